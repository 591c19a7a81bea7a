package doorcheck

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
)

// Readiness answers: would the platform be admitted under an authority that stands by to issue its certificates?
type Readiness struct {
	Authority string `json:"authority"`
	Kind      Role   `json:"kind"` // next_root or intermediate
	Verdict
}

// role is what is new about a standby: the root, or that there is an authority between.
func (c *caller) role(standby *Standby) Role {
	if slices.ContainsFunc(c.ClientCAs, standby.Root.Equal) {
		return AsIntermediate
	}
	return AsNextRoot
}

// identity is the client certificate of a probe; nil for none.
func (c *caller) identity(p *Probe) *tls.Certificate {
	if p.standby != nil {
		return p.standby.Certificate
	}
	return c.identities[p.Certificate]
}

// standbys plans a probe for each authority that stands by.
func (c *caller) standbys(lead *Probe) (probes []*Probe) {
	for i := range c.Canaries.Standbys {
		standby := &c.Canaries.Standbys[i]
		p := c.newProbe(c.role(standby), lead.address)
		p.Authority, p.standby = printable(standby.Authority, 64), standby
		probes = append(probes, p)
	}
	return probes
}

// tried is the probe of a standby; nil if it was not made.
func (s *sight) tried(standby *Standby) *Probe {
	return s.find(func(p *Probe) bool { return p.standby == standby && !p.again && p.sameWay(s.lead) })
}

// readiness is a verdict for each authority that stands by.
func (s *sight) readiness() []Readiness {
	list := []Readiness{}
	for i := range s.Canaries.Standbys {
		standby := &s.Canaries.Standbys[i]
		list = append(list, Readiness{printable(standby.Authority, 64), s.role(standby), s.ready(standby)})
	}
	return list
}

func (s *sight) ready(standby *Standby) Verdict {
	var p *Probe
	if s.lead != nil {
		p = s.tried(standby)
	}
	switch {
	case p == nil:
		return Verdict{Unknown, "it was not tried: the check ended before", nil}
	case s.lead.Certificate != AsPlatform || s.lead.Outcome != Admitted:
		return Verdict{Unknown, "the platform is not admitted today either", []string{p.saw()}}
	case s.anybody():
		return Verdict{Unknown, "everybody is admitted, so that it proves nothing", []string{p.saw()}}
	case p.Outcome == Admitted:
		return Verdict{Yes, "its certificate was admitted", []string{p.saw()}}
	case p.Outcome == Refused:
		return Verdict{No, "its certificate was refused, as the platform's would be after the roll-over", []string{p.saw()}}
	}
	return Verdict{Unknown, "the answer may be a refusal or not", []string{p.saw()}}
}

// firstUnready is the first standby that is not let in; nil if there is none.
func (s *sight) firstUnready() *Standby {
	for i := range s.Canaries.Standbys {
		if standby := &s.Canaries.Standbys[i]; s.ready(standby).Answer == No {
			return standby
		}
	}
	return nil
}

// anybody reports whether those are let in who have no certificate, or one of any CA.
func (s *sight) anybody() bool {
	return s.outcomeOf(AsNobody) == Admitted || s.outcomeOf(AsStranger) == Admitted
}

// names reports whether the server names the root of a standby as one that it accepts; known is false if it names none at all.
func (s *sight) names(standby *Standby) (named, known bool) {
	asked := s.tried(standby)
	if asked == nil || !asked.Asked || len(asked.caNames) == 0 {
		return false, false
	}
	return slices.ContainsFunc(asked.caNames, func(raw []byte) bool { return bytes.Equal(raw, standby.Root.RawSubject) }), true
}

// unready finds the standbys that are not let in, for one reason.
func (s *sight) unready(reason func(standby *Standby, p *Probe) *match) *match {
	var all *match
	for i := range s.Canaries.Standbys {
		standby := &s.Canaries.Standbys[i]
		if s.ready(standby).Answer != No {
			continue
		}
		p := s.tried(standby)
		m := reason(standby, p)
		switch {
		case m == nil:
		case all == nil:
			all = m
		default:
			all.evidence = append(all.evidence, m.evidence...)
		}
	}
	if all != nil {
		all.evidence = append(all.evidence, s.lead.saw())
	}
	return all
}

// rootMissing finds that the next root is not among those that the server accepts.
func (s *sight) rootMissing() *match {
	return s.unready(func(standby *Standby, p *Probe) *match {
		if p.Certificate != AsNextRoot {
			return nil
		}
		subject := fmt.Sprintf("%s (SHA-256 %s)", printable(standby.Root.Subject.String(), 100), fingerprint(standby.Root))
		switch named, known := s.names(standby); {
		case !known && !p.refusedBehind():
			return likely(p.saw(), "it names no CA that it would accept: "+subject+" is not among them, perhaps")
		case known && !named:
			return surely(p.saw(), fmt.Sprintf("it names %d CA(s) that it would accept, %s is not among them", len(p.caNames), subject))
		}
		return nil
	})
}

// tooDeep finds that the server does not take chains with an intermediate.
func (s *sight) tooDeep() *match {
	return s.unready(func(standby *Standby, p *Probe) *match {
		named, known := s.names(standby)
		if len(standby.Certificate.Certificate) < 2 || p.Certificate == AsNextRoot && !(named && known) || p.refusedBehind() {
			return nil
		}
		switch {
		case p.alerted(alertInternalError):
			return surely(p.saw(), "Apache ends it with this alert when SSLVerifyDepth is too small")
		case s.outcomeOf(AsRevoked) == Refused:
			return nil // it checks revocation: see listMissing
		}
		return likely(p.saw(), "its root is the one of today, or is known to the server")
	})
}

// listMissing finds that the server checks revocation and has no list of an authority that stands by.
func (s *sight) listMissing() *match {
	return s.unready(func(standby *Standby, p *Probe) *match {
		named, known := s.names(standby)
		if p.Certificate == AsNextRoot && !(named && known) || p.alerted(alertInternalError) || p.refusedBehind() {
			return nil
		}
		switch {
		case s.outcomeOf(AsRevoked) == Refused:
			return likely(p.saw(), s.as(AsRevoked).saw(), "it checks revocation lists, and needs one of every CA")
		case len(standby.Certificate.Certificate) < 2:
			return perhaps(p.saw(), "its root is known to the server")
		}
		return nil
	})
}

// refusedBehind reports whether it was not the verification of certificates that refused, but what came after it.
func (p *Probe) refusedBehind() bool { return p.Answer != nil && !refusesByPage(p.Answer) }

// issuerCompared finds that the certificate was verified, and refused by something that compares the name of its issuer, as far as can be seen.
func (s *sight) issuerCompared() *match {
	return s.unready(func(standby *Standby, p *Probe) *match {
		named, known := s.names(standby)
		if !p.refusedBehind() || p.Certificate == AsNextRoot && known && !named {
			return nil
		}
		return likely(p.saw(), "the handshake was done: what stands behind it refuses a certificate that "+printable(issuerName(standby), 64)+" has issued, perhaps")
	})
}

// issuerName is the common name of what issued a standby's certificate.
func issuerName(standby *Standby) string {
	leaf, err := x509.ParseCertificate(standby.Certificate.Certificate[0])
	if err != nil {
		return standby.Authority
	}
	return leaf.Issuer.CommonName
}

// standbyRules tell who is not ready for a roll-over. Nothing of it fails today.
var standbyRules = []rule{
	{
		code: "next_root_refused", title: "Not ready for the platform's next root", severity: Warning,
		when:   (*sight).rootMissing,
		advice: "Nothing fails today. Before the roll-over, give the server the file with both roots: {roots} always holds all that are needed. Compare the fingerprint of what comes by plain HTTP.",
		mends:  nextRoot,
	},
	{
		code: "intermediate_refused", title: "Not ready for a platform certificate behind an intermediate CA", severity: Warning,
		when:   (*sight).tooDeep,
		advice: "Nothing fails today. Before the platform moves behind an intermediate CA, let the server verify chains of two certificates above the client's.",
		mends:  verifyDepth,
	},
	{
		code: "next_list_missing", title: "Not ready for the roll-over: the revocation list of the next CA is missing", severity: Warning,
		when:   (*sight).listMissing,
		advice: "Nothing fails today. A server that checks revocation needs a list of every CA in a client's chain: fetch that of the next one too, into the same file (`imca crl keep --authority {ca} --authority {next}`).",
		mends:  nextList,
	},
	{
		code: "next_issuer_refused", title: "Not ready for the roll-over: something behind the handshake refuses the next CA", severity: Warning,
		when:   (*sight).issuerCompared,
		advice: "Nothing fails today. Where the application or a rule compares the name of the issuer, have it take {issuer} too.",
		mends: mends{
			Tomcat: {"# in rewrite.config, before its rule:", "RewriteCond %{SSL:SSL_CLIENT_I_DN_CN} !^({ca}|{issuer})\\z"},
			Apache: {"Require expr \"%{SSL_CLIENT_I_DN_CN} in { '{ca}', '{issuer}' }\""},
		},
	},
}

// nextRoot are the lines that bring the next root to the server, beside the one of today.
var nextRoot = mends{
	Apache:  {"# {fetch} -o conf/{ca}.crt && sudo systemctl reload apache2", "SSLCACertificateFile conf/{ca}.crt"},
	Nginx:   {"# {fetch} -o {ca}.crt && sudo systemctl reload nginx", "ssl_client_certificate {ca}.crt;"},
	HAProxy: {"# {fetch} -o {ca}.crt && sudo systemctl reload haproxy", "bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required"},
	Tomcat: {"# {fetch} -o roots.pem, and for each certificate in it, with an alias of its own:",
		"# keytool -importcert -noprompt -alias {next} -file {next}.crt -keystore conf/{ca}.p12 -storetype PKCS12 -storepass changeit", "# then restart, or reload the host's SSL configuration"},
	IIS:          {"# {fetch} -o roots.pem, and for each certificate in it: Import-Certificate -FilePath {next}.crt -CertStoreLocation Cert:\\LocalMachine\\Root"},
	Caddy:        {"client_auth {", "  mode require_and_verify", "  trusted_ca_cert_file {ca}.crt", "  trusted_ca_cert_file {next}.crt # one certificate in each file", "}"},
	Go:           {"// {fetch} -o {ca}.crt", "ClientCAs: pool, // x509.NewCertPool() with all of {ca}.crt: AppendCertsFromPEM takes every certificate in it"},
	Node:         {"// {fetch} -o roots.pem", "ca: [fs.readFileSync('{ca}.crt'), fs.readFileSync('{next}.crt')],"},
	LoadBalancer: {"# {fetch} -o roots.pem, and upload it as the trust store of the listener: it holds both roots"},
}

// nextList are the lines that load the lists of all authorities.
var nextList = mends{
	Apache:  {"# the lists of both CAs, one after the other, renewed daily; then: sudo systemctl reload apache2", "SSLCARevocationFile conf/{ca}.crl"},
	Nginx:   {"# the lists of both CAs, one after the other, renewed daily; then: sudo systemctl reload nginx", "ssl_crl {ca}.crl;"},
	HAProxy: {"# the lists of both CAs, one after the other, renewed daily; then: sudo systemctl reload haproxy", "bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required crl-file {ca}.crl"},
	Tomcat:  {"<SSLHostConfig certificateRevocationListFile=\"conf/{ca}.crl\"> <!-- the lists of both CAs, one after the other -->"},
	IIS:     {"# certutil -addstore CA {next}.crl"},
	Node:    {"crl: [fs.readFileSync('{ca}.crl'), fs.readFileSync('{next}.crl')],"},
}
