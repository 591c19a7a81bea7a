package doorcheck

import (
	"fmt"
	"strings"
)

// openRules are the ways in which somebody gets in who must not.
var openRules = []rule{
	{
		code: "terminated_in_front", title: "A load balancer or proxy in front ends TLS and asks for no certificate", severity: Fault,
		when: func(s *sight) *match {
			if s.asks.Asked || s.outcomeOf(AsNobody) != Admitted {
				return nil
			}
			evidence := []string{s.as(AsNobody).saw(), "no certificate was asked for"}
			newest := s.newest()
			switch {
			case s.server.Front != "":
				return likely(append(evidence, "there are traces of "+s.server.Front)...)
			case s.server.Product == LoadBalancer:
				return likely(append(evidence, "its header: "+s.server.Header)...)
			case newest != nil && !s.served.record.Ours:
				return perhaps(append(evidence, "it shows another certificate than the one that was issued")...)
			}
			return nil
		},
		advice: "Verify the client where TLS ends, or hand TLS through untouched to the server that verifies.",
		mends: mends{
			Nginx:        clientCA[Nginx],
			HAProxy:      clientCA[HAProxy],
			Apache:       clientCA[Apache],
			LoadBalancer: {"# use a TCP (layer 4) listener, or switch mutual TLS on in the listener with {ca}.crt as its trust store"},
		},
	},
	{
		code: "not_asked", title: "The server asks for no client certificate: everyone gets in", severity: Fault,
		when: func(s *sight) *match {
			if s.asks.Asked || s.outcomeOf(AsNobody) != Admitted {
				return nil
			}
			return surely(s.as(AsNobody).saw(), "no certificate was asked for")
		},
		advice: "Require a client certificate of {ca}. If the configuration does: it stands in another site or file than the one that answers for {name}, or was not reloaded.",
		mends:  clientCA,
	},
	{
		code: "not_required", title: "The server asks for a certificate, but lets in who has none", severity: Fault,
		when: func(s *sight) *match {
			if !s.asks.Asked || s.outcomeOf(AsNobody) != Admitted {
				return nil
			}
			return surely(s.as(AsNobody).saw(), "a certificate was asked for")
		},
		advice: "Make the certificate a condition, not an option.",
		mends:  clientCA,
	},
	{
		code: "any_ca", title: "The server does not verify certificates: one of any CA gets in", severity: Fault,
		when: func(s *sight) *match {
			if !s.asks.Asked || s.outcomeOf(AsStranger) != Admitted {
				return nil
			}
			return surely(s.as(AsStranger).saw())
		},
		advice: "Have the server verify against {ca}.crt.",
		mends:  clientCA,
	},
	{
		code: "names_only", title: "The server compares names instead of verifying: a forged certificate gets in", severity: Fault,
		when: func(s *sight) *match {
			if !s.asks.Asked || s.outcomeOf(AsImpostor) != Admitted || s.outcomeOf(AsStranger) == Admitted {
				return nil
			}
			return surely(s.as(AsImpostor).saw(), s.as(AsStranger).saw())
		},
		advice: "Have the server verify against {ca}.crt; the comparison of names may stay on top of it.",
		mends:  clientCA,
	},
	{
		code: "public_cas", title: "The server accepts certificates of public CAs", severity: Fault,
		when: func(s *sight) *match {
			names := s.publicCAs()
			if names == "" {
				return nil
			}
			return surely(names)
		},
		advice: "Give the server {ca}.crt alone as the CA of clients, not the system's bundle.",
		mends:  clientCA,
	},
	{
		code: "other_cas", title: "The server accepts clients of further CAs", severity: Warning, unless: []string{"public_cas", "ca_not_ours"},
		when: func(s *sight) *match {
			if len(s.foreign) == 0 || !s.asks.HasOurs {
				return nil
			}
			return surely("it names, beside ours: " + strings.Join(s.foreign[:min(len(s.foreign), 5)], "; "))
		},
		advice: "Whoever has a certificate of these CAs gets in. If that is not what you want, give the server {ca}.crt alone.",
		mends:  clientCA,
	},
	{
		code: "other_developers", title: "Other developers of the platform get in", severity: Fault, unless: []string{"not_required", "any_ca"},
		when: func(s *sight) *match {
			if !s.asks.Asked || s.outcomeOf(AsDeveloper) != Admitted {
				return nil
			}
			return surely(s.as(AsDeveloper).saw(), "it is for servers alone, and the server did not look at that")
		},
		advice: "Have the server check that the certificate is for clients (extended key usage clientAuth); every ordinary verification does. Compare the subject's common name too.",
		mends: mends{
			Apache:  {"Require expr \"%{SSL_CLIENT_S_DN_CN} == '{platform}'\"", "SSLVerifyClient require"},
			Nginx:   clientCA[Nginx],
			HAProxy: {"# remove crt-ignore-err and ca-ignore-err from the bind line", "bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required"},
			Go:      {"KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // in x509.VerifyOptions, not ExtKeyUsageAny"},
		},
	},
	{
		code: "expired_admitted", title: "Expired certificates get in", severity: Fault, unless: []string{"not_required", "any_ca", "not_asked"},
		when: func(s *sight) *match {
			if !s.asks.Asked || s.outcomeOf(AsExpired) != Admitted {
				return nil
			}
			return surely(s.as(AsExpired).saw())
		},
		advice: "Set the server's clock, and take out what makes it ignore errors of verification.",
		mends:  clientCA,
	},
	{
		code: "revocation_not_checked", title: "A revoked certificate of the platform gets in", severity: Fault, unless: []string{"not_asked", "not_required", "any_ca"},
		when: func(s *sight) *match {
			if s.outcomeOf(AsRevoked) != Admitted || s.outcomeOf(AsStranger) == Admitted {
				return nil
			}
			m := surely(s.as(AsRevoked).saw(), "the server has no current revocation list, or does not check it")
			if s.lately() {
				m = likely(s.as(AsRevoked).saw(), "it was revoked "+s.ago()+": the server checks no revocation list, or fetched it before")
			}
			m.milder = !s.DemandRevocation
			return m
		},
		advice: "The platform's certificates live for days, which bounds the harm of a stolen one. To close the gap, load the revocation list, renew it daily, and switch the check on.",
		mends:  revocationList,
	},
	{
		code: "open_by_version", title: "Over one TLS version or protocol the server lets in who has no certificate", severity: Fault, unless: []string{"not_asked", "not_required"},
		when: func(s *sight) *match {
			return s.openBy(func(p *Probe) bool {
				return p.SNI == RightName && (p.Version != "" || p.Protocol != s.protocol) && p.address == s.lead.address
			})
		},
		advice: "Require the certificate in the settings that hold for every version and protocol.",
		mends:  clientCA,
	},
	{
		code: "open_by_name", title: "Under another server name (SNI) the endpoint lets in who has no certificate", severity: Fault, unless: []string{"not_asked", "not_required"},
		when: func(s *sight) *match {
			return s.openBy(func(p *Probe) bool { return p.SNI != RightName && p.address == s.lead.address })
		},
		advice: "A caller chooses the server name itself: require the certificate in the default site too, or refuse requests whose Host is not the name of the handshake.",
		mends: mends{
			Apache:  {"SSLStrictSNIVHostCheck on"},
			Nginx:   {"# in the default server as well:", "ssl_verify_client on;"},
			HAProxy: {"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required", "http-request deny if !{ ssl_fc_sni -i {name} }"},
			Go:      {"ClientAuth: tls.RequireAndVerifyClientCert, // in the base configuration, not only in GetConfigForClient"},
			Caddy:   {"# servers { strict_sni_host on } in the global options"},
		},
	},
	{
		code: "open_by_address", title: "At one address the server lets in who has no certificate", severity: Fault, unless: []string{"not_asked", "not_required"},
		when: func(s *sight) *match {
			return s.openBy(func(p *Probe) bool { return p.SNI == RightName && p.address != s.lead.address })
		},
		advice: "Bring the same configuration to every server behind {name}, IPv6 included.",
		mends:  clientCA,
	},
	{
		code: "open_at_times", title: "Who was refused at first got in later", severity: Fault,
		when: func(s *sight) *match {
			again := s.find(func(p *Probe) bool { return p.again && p.Certificate != AsPlatform && p.Outcome == Admitted })
			if again == nil {
				return nil
			}
			return surely(s.twin(again, again.Certificate).saw(), again.saw())
		},
		advice: "Several servers behind one address with different configurations, perhaps, or one that is overloaded. Bring the same configuration to all of them.",
		mends:  clientCA,
	},
	{
		code: "open_by_header", title: "Whoever claims in a header to have been verified gets in", severity: Fault, unless: []string{"not_asked", "not_required"},
		when: func(s *sight) *match {
			return s.openBy(func(p *Probe) bool { return p.Forged })
		},
		advice: "Have the proxy set or remove these headers in every request, and let nobody reach the application but the proxy.",
		mends: mends{
			Nginx:   {"proxy_set_header X-SSL-Client-Verify $ssl_client_verify;", "proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn;"},
			Apache:  {"RequestHeader set X-SSL-Client-Verify \"expr=%{SSL_CLIENT_VERIFY}\"", "RequestHeader set X-SSL-Client-S-DN \"expr=%{SSL_CLIENT_S_DN}\""},
			HAProxy: {"http-request set-header X-SSL-Client-Verify %[ssl_c_verify]", "http-request set-header X-SSL-Client-S-DN %{+Q}[ssl_c_s_dn]"},
		},
	},
	{
		code: "open_by_post", title: "A posted callback gets in without a certificate", severity: Fault, unless: []string{"not_asked", "not_required"},
		when: func(s *sight) *match {
			return s.openBy(func(p *Probe) bool { return p.Method == "POST" && p.SNI == RightName })
		},
		advice: "Require the certificate for every method.",
		mends:  clientCA,
	},
}

// openBy finds those without a certificate who got in by a certain way, although the main door is not open to them.
func (s *sight) openBy(way func(*Probe) bool) *match {
	if s.lead == nil {
		return nil
	}
	var evidence []string
	for _, p := range s.probes {
		if p.Certificate == AsNobody && p.Outcome == Admitted && p.Version != plainVersion && !p.again && way(p) {
			evidence = append(evidence, p.saw())
		}
	}
	if evidence == nil {
		return nil
	}
	if nobody := s.as(AsNobody); nobody != nil && nobody.Outcome == Refused {
		evidence = append(evidence, fmt.Sprintf("by the main way: %s", nobody.saw()))
	}
	return surely(evidence...)
}
