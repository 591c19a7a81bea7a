package doorcheck

import (
	"fmt"
	"strings"
)

// networkRules are the failures before TLS begins, or instead of it.
var networkRules = []rule{
	{
		code: "no_address", title: "The name has no address", severity: Fault,
		when: func(s *sight) *match {
			if s.unresolved == nil {
				return nil
			}
			return surely(errorText(s.unresolved))
		},
		advice: "Publish an A or AAAA record for {name}, or correct the URL.",
	},
	{
		code: "not_dialled", title: "The address is not one that the check may call", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != DialGuarded {
				return nil
			}
			return surely(s.lead.Error)
		},
		advice: "Give {name} a public address and one of the ports that the platform calls; for a private network, the operator opens its range.",
	},
	{
		code: "unreachable", title: "Nobody listens at the address and port", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageDial || s.lead.Failure != DialFailed {
				return nil
			}
			var evidence []string
			for _, lead := range s.leads() {
				evidence = append(evidence, lead.saw())
			}
			return surely(evidence...)
		},
		advice: "Start the server, see in its log why it did not start (a wrong path or directive stops it; an empty trust store closes Tomcat's connector), and open port {port} in the firewall.",
		mends: mends{
			Apache: {"# sudo apachectl configtest && sudo systemctl restart apache2", "Listen {port}"},
			Nginx:  {"# sudo nginx -t && sudo systemctl restart nginx", "listen {port} ssl;"},
		},
	},
	{
		code: "address_down", title: "One of the addresses does not answer", severity: Warning,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage == StageDial {
				return nil
			}
			var evidence []string
			for _, lead := range s.leads() {
				if lead.Failure == DialFailed || lead.Failure == DialGuarded {
					evidence = append(evidence, lead.saw())
				}
			}
			if evidence == nil {
				return nil
			}
			return surely(evidence...)
		},
		advice: "Have the server listen at this address too, or take it out of the DNS: a call that tries it first is lost or late.",
		mends: mends{
			Apache: {"Listen {port}"},
			Nginx:  {"listen {port} ssl;", "listen [::]:{port} ssl;"},
		},
	},
	{
		code: "addresses_differ", title: "The addresses of the name lead to servers that behave differently", severity: Fault,
		when:   differingAddresses,
		advice: "Bring the same certificate and configuration to every server behind {name}, IPv6 included.",
		mends: mends{
			Apache: {"# one virtual host for every address:", "<VirtualHost *:{port}>"},
			Nginx:  {"listen {port} ssl;", "listen [::]:{port} ssl;"},
		},
	},
	{
		code: "plain_http", title: "The port speaks HTTP, not HTTPS", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure == NoFailure || s.lead.Stage != StageHello {
				return nil
			}
			plain := s.plain()
			switch {
			case s.lead.Failure == PlainHTTP:
				return surely(s.lead.saw())
			case plain != nil && plain.Answer != nil && plain.Answer.Page == "":
				return surely(s.lead.saw(), plain.saw())
			}
			return nil
		},
		advice: "Switch TLS on for this port.",
		mends: mends{
			Apache:  {"SSLEngine on", "SSLCertificateFile conf/{name}.crt", "SSLCertificateKeyFile conf/{name}.key", "SSLCACertificateFile conf/{ca}.crt", "SSLVerifyClient require"},
			Nginx:   {"listen {port} ssl;", "ssl_certificate {name}.crt;", "ssl_certificate_key {name}.key;", "ssl_client_certificate {ca}.crt;", "ssl_verify_client on;"},
			HAProxy: {"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required"},
			Node:    {"https.createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: true }, app) // not http.createServer"},
			Go:      {"server.ListenAndServeTLS(\"{name}.crt\", \"{name}.key\") // not ListenAndServe"},
		},
	},
	{
		code: "not_tls", title: "What answers at the port is not TLS", severity: Fault, unless: []string{"plain_http"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != NotTLS {
				return nil
			}
			return surely(s.lead.saw(), s.lead.Error)
		},
		advice: "Find out what listens on port {port}: `ss -ltnp 'sport = :{port}'`. If a load balancer adds the PROXY protocol or SSH shares the port, give HTTPS a port of its own.",
	},
	{
		code: "no_handshake", title: "The connection ends before the server shows a certificate", severity: Fault, unless: []string{"plain_http", "not_tls"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || s.lead.Failure != ResetByServer && s.lead.Failure != ClosedByServer && s.lead.Failure != TimedOut {
				return nil
			}
			return surely(s.lead.saw())
		},
		advice: "Something accepts connections and does not speak TLS: a firewall, a load balancer without a living server behind it, or a server that expects " +
			"the PROXY protocol. Look at the server itself: `openssl s_client -connect localhost:{port} -servername {name}`.",
	},
	{
		code: "no_answer", title: "The handshake succeeds, then nothing is answered", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != TimedOut || s.lead.Stage != StageRequest && s.lead.Stage != StageHandshake {
				return nil
			}
			return surely(s.lead.saw(), fmt.Sprintf("%d ms passed; a callback may take %d ms", s.lead.totalMS(), s.Budget.Milliseconds()))
		},
		advice: "The application behind TLS hangs, or its address in the proxy's configuration does not answer: look at its log, and give the proxy a time limit below the platform's.",
	},
	{
		code: "not_http", title: "What answers inside TLS is not HTTP", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != NotHTTP {
				return nil
			}
			return surely(s.lead.saw())
		},
		advice: "Another service answers at this port. Correct the port of the URL, or the backend to which the proxy hands over.",
	},
	{
		code: "over_budget", title: "The answer takes longer than the platform waits", severity: Fault, unless: []string{"no_answer"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageAnswer || s.lead.totalMS() <= s.Budget.Milliseconds() {
				return nil
			}
			return surely(fmt.Sprintf("connecting %d ms, handshake %d ms, answer %d ms: more than %d ms in all",
				s.lead.ConnectMS, s.lead.HandshakeMS, s.lead.AnswerMS, s.Budget.Milliseconds()))
		},
		advice: "Answer first and work afterwards; keep connections alive, so that most calls need no handshake.",
	},
	{
		code: "near_budget", title: "The answer takes more than half of the time that the platform waits", severity: Warning, unless: []string{"no_answer", "over_budget"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageAnswer || 2*s.lead.totalMS() <= s.Budget.Milliseconds() {
				return nil
			}
			return surely(fmt.Sprintf("connecting %d ms, handshake %d ms, answer %d ms; the platform waits %d ms",
				s.lead.ConnectMS, s.lead.HandshakeMS, s.lead.AnswerMS, s.Budget.Milliseconds()))
		},
		advice: "Answer first and work afterwards; keep connections alive, so that most calls need no handshake.",
	},
}

// plain is the probe that spoke HTTP without TLS; nil if it was not made.
func (s *sight) plain() *Probe {
	return s.find(func(p *Probe) bool { return p.Version == plainVersion && p.address == s.lead.address })
}

// differingAddresses compares what the addresses did with the platform's certificate, with none, and which certificate they showed.
func differingAddresses(s *sight) *match {
	if s.lead == nil {
		return nil
	}
	var first, firstPrint string
	var evidence []string
	doors, prints, verified := false, false, true
	for _, lead := range s.leads() {
		if lead.Stage == StageDial {
			continue
		}
		a := s.address(lead)
		seen := strings.Join([]string{string(lead.Outcome), string(a.Nobody), string(s.outcomeAt(lead, AsStranger))}, " ")
		if evidence == nil {
			first, firstPrint = seen, a.Fingerprint
		}
		doors, prints = doors || seen != first, prints || a.Fingerprint != firstPrint
		verified = verified && lead.Verified
		served := "no certificate"
		if len(lead.served) > 0 {
			served = "certificate " + serialText(lead.served[0])
		}
		evidence = append(evidence, fmt.Sprintf("%s serves %s; the platform: %s; without a certificate: %s", a.Address, served, lead.Outcome, a.Nobody))
		if len(lead.served) > 0 && !lead.Verified {
			evidence = append(evidence, s.certificateError(lead))
		}
	}
	if !doors && !prints {
		return nil
	}
	m := surely(evidence...)
	m.milder = !doors && verified // each server may have a certificate of its own
	return m
}

func (s *sight) outcomeAt(lead *Probe, role Role) Outcome {
	if p := s.twin(lead, role); p != nil {
		return p.Outcome
	}
	return notJudged
}
