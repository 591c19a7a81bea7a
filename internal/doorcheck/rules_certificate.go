package doorcheck

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ownCertificate are the lines that name the server's own certificate and key.
var ownCertificate = mends{
	Apache: {"SSLCertificateFile conf/{name}.crt", "SSLCertificateKeyFile conf/{name}.key", "# then: sudo apachectl configtest && sudo systemctl reload apache2"},
	Nginx:  {"ssl_certificate {name}.crt;", "ssl_certificate_key {name}.key;", "# then: sudo nginx -t && sudo systemctl reload nginx"},
	HAProxy: {"# cat {name}.crt {name}.key > {name}.pem", "bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required",
		"# then: sudo systemctl reload haproxy"},
	Tomcat:       {"<Certificate certificateKeystoreFile=\"conf/{name}.p12\" certificateKeystorePassword=\"changeit\" certificateKeystoreType=\"PKCS12\" />"},
	IIS:          {"# Import-PfxCertificate -FilePath {name}.p12 -CertStoreLocation Cert:\\LocalMachine\\My", "# then choose it in the binding of the site"},
	Caddy:        {"tls {name}.crt {name}.key"},
	Go:           {"certificate, err := tls.LoadX509KeyPair(\"{name}.crt\", \"{name}.key\")"},
	Node:         {"cert: fs.readFileSync('{name}.crt'),", "key: fs.readFileSync('{name}.key'),"},
	LoadBalancer: {"# load {name}.crt, all of its certificates, and {name}.key into the listener"},
}

// modernTLS are the lines that switch TLS 1.2 and 1.3 on and what is older off.
var modernTLS = mends{
	Apache:       {"SSLProtocol -all +TLSv1.2 +TLSv1.3", "SSLCipherSuite HIGH:!aNULL:!MD5"},
	Nginx:        {"ssl_protocols TLSv1.2 TLSv1.3;", "ssl_ciphers HIGH:!aNULL:!MD5;"},
	HAProxy:      {"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required ssl-min-ver TLSv1.2"},
	Tomcat:       {"<SSLHostConfig protocols=\"TLSv1.2+TLSv1.3\">"},
	IIS:          {"# switch TLS 1.2 on below HKLM\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\SCHANNEL\\Protocols, restart"},
	Caddy:        {"# remove the protocols line from the tls block: TLS 1.2 and 1.3 are the default"},
	Go:           {"MinVersion: tls.VersionTLS12, // and no MaxVersion"},
	Node:         {"minVersion: 'TLSv1.2', // and no maxVersion"},
	LoadBalancer: {"# choose a security policy of the listener with TLS 1.2 and 1.3"},
}

// certificateRules are the failures of what the server shows of itself, and of the handshake before our certificate is looked at.
var certificateRules = []rule{
	{
		code: "old_tls_only", title: "The server speaks only TLS 1.1 or older", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || s.lead.Failure != AlertCame && s.lead.Failure != WeHungUp {
				return nil
			}
			if old := s.oldVersions(); len(old) > 0 {
				return surely(s.lead.saw(), "it did show a certificate over TLS "+strings.Join(old, " and "))
			}
			if s.lead.alerted(alertProtocolVersion) {
				return likely(s.lead.saw())
			}
			return nil
		},
		advice: "Let the server speak TLS 1.2 and 1.3: no client of today speaks what is older.",
		mends:  modernTLS,
	},
	{
		code: "weak_ciphers_only", title: "The server speaks only cipher suites that clients no longer offer", severity: Fault, unless: []string{"old_tls_only"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || !s.lead.alerted(alertHandshakeFailure, alertInsufficientSecurity) {
				return nil
			}
			weak := s.find(func(p *Probe) bool { return p.Version == "1.2" && p.address == s.lead.address && len(p.served) > 0 })
			if weak == nil {
				return nil
			}
			return surely(s.lead.saw(), "with every old suite offered, it chose "+weak.Cipher)
		},
		advice: "Let the server speak suites with ECDHE and AES-GCM or ChaCha20, and TLS 1.3.",
		mends:  modernTLS,
	},
	{
		code: "no_shared_cipher", title: "Server and client find no cipher suite in common", severity: Fault, unless: []string{"old_tls_only", "weak_ciphers_only"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || !s.lead.alerted(alertHandshakeFailure, alertInsufficientSecurity) {
				return nil
			}
			return likely(s.lead.saw(), "the server ended it before it showed a certificate, so it is not about ours")
		},
		advice: "Most often the key does not fit the certificate (an RSA key beside an ECDSA certificate), so that no suite is left; else the list of suites is too short. " +
			"Compare `openssl x509 -in {name}.crt -noout -pubkey` with `openssl pkey -in {name}.key -pubout`.",
		mends: ownCertificate,
	},
	{
		code: "tls13_fails", title: "The server fails as soon as it is offered TLS 1.3", severity: Fault, unless: []string{"old_tls_only", "weak_ciphers_only"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || s.lead.Failure == TimedOut {
				return nil
			}
			older := s.find(func(p *Probe) bool { return p.Version == "1.2" && p.address == s.lead.address && len(p.served) > 0 })
			if older == nil {
				return nil
			}
			return surely(s.lead.saw(), "over TLS 1.2 alone it shows a certificate")
		},
		advice: "Update the server, or take out of its configuration what limits signature algorithms, groups or suites. Until then, let it speak TLS 1.2 alone.",
		mends: mends{
			Apache: {"SSLProtocol -all +TLSv1.2"},
			Nginx:  {"ssl_protocols TLSv1.2;"},
		},
	},
	{
		code: "no_site", title: "The server has no certificate for the name", severity: Fault, unless: []string{"old_tls_only", "weak_ciphers_only", "tls13_fails", "no_shared_cipher"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Stage != StageHello || s.lead.Failure != AlertCame {
				return nil
			}
			if s.lead.alerted(alertUnrecognizedName) {
				return surely(s.lead.saw())
			}
			if unnamed := s.named(NoName); unnamed != nil && len(unnamed.served) > 0 {
				return likely(s.lead.saw(), "without a server name it shows a certificate")
			}
			return perhaps(s.lead.saw())
		},
		advice: "Give the site the name {name} and its certificate, then reload. If it has them, the server's log says why it ends the handshake.",
		mends: mends{
			Apache: {"ServerName {name}", "SSLCertificateFile conf/{name}.crt", "SSLCertificateKeyFile conf/{name}.key"},
			Nginx:  {"server_name {name};", "ssl_certificate {name}.crt;", "ssl_certificate_key {name}.key;"},
			Caddy:  {"https://{name}:{port} {", "  tls {name}.crt {name}.key", "}"},
		},
	},
	{
		code: "key_mismatch", title: "The server's key is not the one of its certificate", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != BadKey {
				return nil
			}
			return surely(s.lead.saw(), s.lead.Error)
		},
		advice: "Put certificate and key of the same issuance side by side: {name}.crt and {name}.key of one bundle.",
		mends:  ownCertificate,
	},
	{
		code: "unreadable_certificate", title: "The certificate that the server shows cannot be read", severity: Fault, unless: []string{"key_mismatch", "old_tls_only"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Failure != WeHungUp || len(s.lead.served) > 0 || s.lead.Stage != StageHello && s.lead.Stage != StageHandshake {
				return nil
			}
			return likely(s.lead.Error)
		},
		advice: "Load the file {name}.crt as it was issued.",
		mends:  ownCertificate,
	},
	{
		code: "served_expired", title: "The server's certificate has expired", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.expired {
				return nil
			}
			evidence := []string{fmt.Sprintf("it ended on %s", s.served.leaf.NotAfter.UTC().Format(time.RFC3339))}
			if newest := s.newest(); newest != nil && newest.NotAfter.After(s.served.leaf.NotAfter) {
				evidence = append(evidence, fmt.Sprintf("a newer one was issued, until %s: it was not installed, or the server not reloaded",
					newest.NotAfter.UTC().Format(time.RFC3339)))
			}
			return surely(evidence...)
		},
		advice: "Install the newest certificate and reload the server; then have an ACME client renew it.",
		mends:  ownCertificate,
	},
	{
		code: "served_early", title: "The server's certificate is not valid yet", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.notYet {
				return nil
			}
			return surely(fmt.Sprintf("it begins on %s", s.served.leaf.NotBefore.UTC().Format(time.RFC3339)))
		},
		advice: "Use the certificate before it until then, or have one issued that begins now.",
		mends:  ownCertificate,
	},
	{
		code: "name_mismatch", title: "The server's certificate is for another name", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || s.served.nameFault == "" {
				return nil
			}
			evidence := []string{s.served.nameFault}
			if s.served.nameOnlyCN {
				evidence = append(evidence, "the name stands in the common name alone, where nobody looks any more: it must be a subject alternative name")
			}
			if unnamed := s.named(NoName); unnamed != nil && len(unnamed.served) > 0 && unnamed.served[0].VerifyHostname(s.name.String()) == nil {
				evidence = append(evidence, "without a server name (SNI) the right certificate is shown: the sites of the server are mixed up")
			}
			return surely(evidence...)
		},
		advice: "Have a certificate issued for {name}, and let the site with that name show it.",
		mends: mends{
			Apache: {"ServerName {name}", "SSLCertificateFile conf/{name}.crt", "SSLCertificateKeyFile conf/{name}.key"},
			Nginx:  {"server_name {name};", "ssl_certificate {name}.crt;", "ssl_certificate_key {name}.key;"},
			HAProxy: {"# cat {name}.crt {name}.key > {name}.pem",
				"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required"},
			Tomcat: ownCertificate[Tomcat], IIS: ownCertificate[IIS], Caddy: ownCertificate[Caddy], Go: ownCertificate[Go], Node: ownCertificate[Node],
			LoadBalancer: ownCertificate[LoadBalancer],
		},
	},
	{
		code: "chain_incomplete", title: "The server does not send its whole chain", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.incomplete {
				return nil
			}
			return surely(fmt.Sprintf("%d certificate(s) came", len(s.served.Certificates)), "missing: "+strings.Join(s.served.Missing, "; "))
		},
		advice: "Use the file {name}.crt as it was handed out: the server's certificate first, then that of the issuing CA.",
		mends:  ownCertificate,
	},
	{
		code: "unknown_issuer", title: "The server's certificate is of a CA that the platform does not trust", severity: Fault, unless: []string{"chain_incomplete"},
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.unknown {
				return nil
			}
			leaf := s.served.leaf
			evidence := []string{"it was issued by " + printable(leaf.Issuer.String(), 200)}
			if slices.Equal(leaf.RawIssuer, leaf.RawSubject) {
				evidence = []string{"it is self-signed: the one that the server came with, perhaps"}
			} else if len(s.served.Certificates) == 1 && len(leaf.IssuingCertificateURL) > 0 {
				evidence = append(evidence, "it came alone; the certificate of its issuer is at "+printable(leaf.IssuingCertificateURL[0], 200))
			}
			return surely(evidence...)
		},
		advice: "Install the certificate that was issued for {name}; of a public CA, install the whole chain (often called fullchain).",
		mends:  ownCertificate,
	},
	{
		code: "wrong_usage", title: "The server's certificate is not one for servers", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.usage {
				return nil
			}
			return surely(s.served.Error)
		},
		advice: "Install the server certificate: it has the extended key usage serverAuth.",
		mends:  ownCertificate,
	},
	{
		code: "weak_signature", title: "The server's certificate is signed with SHA-1 or MD5", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || !s.served.chainFault.weakSigning {
				return nil
			}
			return surely(s.served.Error)
		},
		advice: "Have a new certificate issued: it is signed with SHA-256.",
		mends:  ownCertificate,
	},
	{
		code: "weak_key", title: "The server's key is too short", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil {
				return nil
			}
			if key, ok := s.served.leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
				return surely(fmt.Sprintf("an RSA key of %d bits; 2048 are the least", key.N.BitLen()))
			}
			return nil
		},
		advice: "Have a new certificate issued with a new key: P-256, or RSA of 2048 bits and more.",
		mends:  ownCertificate,
	},
	{
		code: "chain_refused", title: "The server's chain does not verify", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || s.served.chainFault.other == "" {
				return nil
			}
			return surely(s.served.chainFault.other)
		},
		advice: "Install the file {name}.crt as it was handed out.",
		mends:  ownCertificate,
	},
	{
		code: "served_revoked", title: "The server's certificate has been revoked", severity: Fault,
		when: func(s *sight) *match {
			if s.served == nil || s.served.record == nil || !s.served.record.Revoked {
				return nil
			}
			return surely(fmt.Sprintf("serial %s, revoked on %s", serialText(s.served.leaf), s.served.record.RevokedAt.UTC().Format(time.RFC3339)))
		},
		advice: "Have a new certificate issued, with a new key if the old one was compromised, and install it.",
		mends:  ownCertificate,
	},
	{
		code: "not_newest", title: "The server shows an older certificate than the newest one", severity: Warning, unless: []string{"served_expired", "served_revoked"},
		when: func(s *sight) *match {
			newest := s.newest()
			if newest == nil || !s.served.record.Ours || newest.Equal(s.served.leaf) || !newest.NotBefore.After(s.served.leaf.NotBefore) {
				return nil
			}
			return surely(fmt.Sprintf("served: serial %s, until %s", serialText(s.served.leaf), s.served.leaf.NotAfter.UTC().Format(time.RFC3339)),
				fmt.Sprintf("newest: serial %s, until %s", serialText(newest), newest.NotAfter.UTC().Format(time.RFC3339)))
		},
		advice: "Install the newest certificate and reload the server. If the file is the newest already: the server was not reloaded, or could not read it " +
			"(wrong path, permissions, SELinux) and kept the old one; its log says so.",
		mends: ownCertificate,
	},
	{
		code: "other_certificate", title: "The server shows another certificate than the one that was issued", severity: Warning,
		when: func(s *sight) *match {
			newest := s.newest()
			if newest == nil || s.served.record.Ours {
				return nil
			}
			return surely(fmt.Sprintf("served: of %s, serial %s", printable(s.served.leaf.Issuer.String(), 120), serialText(s.served.leaf)),
				fmt.Sprintf("issued: serial %s", serialText(newest)))
		},
		advice: "The configuration was not taken over (wrong path or file, not reloaded), another site answers, or a load balancer in front ends TLS.",
		mends:  ownCertificate,
	},
	{
		code: "expires_soon", title: "The server's certificate expires soon", severity: Warning, unless: []string{"served_expired", "not_newest"},
		when: func(s *sight) *match {
			if s.served == nil || s.served.chainFault.expired {
				return nil
			}
			// Of a short life, the last third is "soon".
			left, life := s.served.leaf.NotAfter.Sub(s.Now()), s.served.leaf.NotAfter.Sub(s.served.leaf.NotBefore)
			if left > min(s.ExpiresSoon, life/3) {
				return nil
			}
			return surely(fmt.Sprintf("it ends on %s", s.served.leaf.NotAfter.UTC().Format(time.RFC3339)))
		},
		advice: "Renew it now, and have an ACME client renew it from then on.",
		mends:  mends{Apache: {"MDomain {name}", "MDRenewMode auto"}},
	},
	{
		code: "chain_order", title: "The server sends its chain in the wrong order", severity: Warning,
		when: func(s *sight) *match {
			if s.served == nil || s.served.order == "" {
				return nil
			}
			return surely(s.served.order)
		},
		advice: "Use the file {name}.crt as it was handed out: the server's certificate first, then each one that certifies the one before. Not every client sorts them itself.",
		mends:  ownCertificate,
	},
	{
		code: "old_tls_too", title: "The server also speaks TLS 1.0 or 1.1", severity: Warning, unless: []string{"old_tls_only"},
		when: func(s *sight) *match {
			if old := s.oldVersions(); len(old) > 0 {
				return surely("it showed a certificate over TLS " + strings.Join(old, " and "))
			}
			return nil
		},
		advice: "Switch off what is older than TLS 1.2: it is broken, and no client of the platform uses it.",
		mends:  modernTLS,
	},
}

// newest is the newest certificate that was issued for the name; nil if none is known.
func (s *sight) newest() *x509.Certificate {
	if s.served == nil || s.served.record == nil {
		return nil
	}
	return s.served.record.Newest
}

// named is the probe of the first call's role under another server name; nil if it was not made.
func (s *sight) named(sni SNI) *Probe {
	return s.find(func(p *Probe) bool {
		return p.SNI == sni && p.Certificate == s.lead.Certificate && p.address == s.lead.address
	})
}

// oldVersions are the TLS versions before 1.2 over which the server showed a certificate.
func (s *sight) oldVersions() []string {
	var old []string
	for _, p := range s.probes {
		if p.maxTLS < tls.VersionTLS12 && len(p.served) > 0 && !slices.Contains(old, p.Version) {
			old = append(old, p.Version)
		}
	}
	return old
}
