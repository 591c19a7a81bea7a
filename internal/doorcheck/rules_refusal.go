package doorcheck

import (
	"fmt"
	"net/http"
	"time"
)

// clientCA are the lines that name the CA whose clients are let in.
var clientCA = mends{
	Apache:  {"SSLCACertificateFile conf/{ca}.crt", "SSLVerifyClient require"},
	Nginx:   {"ssl_client_certificate {ca}.crt;", "ssl_verify_client on;"},
	HAProxy: {"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required"},
	Tomcat: {"# keytool -importcert -noprompt -alias {ca} -file {ca}.crt -keystore conf/{ca}.p12 -storetype PKCS12 -storepass changeit",
		"<SSLHostConfig certificateVerification=\"required\" truststoreFile=\"conf/{ca}.p12\" truststorePassword=\"changeit\" truststoreType=\"PKCS12\">"},
	IIS:          {"# Import-Certificate -FilePath {ca}.crt -CertStoreLocation Cert:\\LocalMachine\\Root", "<access sslFlags=\"Ssl,SslNegotiateCert,SslRequireCert\" />"},
	Caddy:        {"client_auth {", "  mode require_and_verify", "  trusted_ca_cert_file {ca}.crt", "}"},
	Go:           {"ClientCAs: pool, // x509.NewCertPool() with {ca}.crt alone", "ClientAuth: tls.RequireAndVerifyClientCert,"},
	Node:         {"ca: fs.readFileSync('{ca}.crt'),", "requestCert: true,", "rejectUnauthorized: true,"},
	LoadBalancer: {"# switch mutual TLS on in the listener, with {ca}.crt as its trust store"},
}

// revocationList are the lines that load a fresh revocation list.
var revocationList = mends{
	Apache: {"# fetch {ca}.crl daily, then: sudo systemctl reload apache2", "SSLCARevocationFile conf/{ca}.crl", "SSLCARevocationCheck leaf"},
	Nginx:  {"# fetch {ca}.crl daily, one for each CA of the chain in the same file, then: sudo systemctl reload nginx", "ssl_crl {ca}.crl;"},
	HAProxy: {"# fetch {ca}.crl daily, one for each CA of the chain in the same file, then: sudo systemctl reload haproxy",
		"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required crl-file {ca}.crl"},
	Tomcat: {"<SSLHostConfig certificateRevocationListFile=\"conf/{ca}.crl\">"},
	IIS:    {"# certutil -addstore CA {ca}.crl"},
	Go:     {"VerifyConnection: refuseRevoked, // compare PeerCertificates[0].SerialNumber with the list"},
	Node:   {"crl: fs.readFileSync('{ca}.crl'),"},
}

// refusalRules are the reasons for which the platform's certificate is refused, or may be.
var refusalRules = []rule{
	{
		code: "our_certificate_expired", title: "The platform's own certificate has expired", severity: Fault,
		when: func(s *sight) *match {
			if s.platform == nil {
				return nil
			}
			if s.Now().After(s.platform.NotAfter) {
				return surely(fmt.Sprintf("it ended on %s", s.platform.NotAfter.UTC().Format(time.RFC3339)))
			}
			for _, ca := range s.ClientCAs {
				if s.Now().After(ca.NotAfter) && s.platformRefused() != nil {
					return likely(fmt.Sprintf("its CA %s ended on %s", printable(ca.Subject.String(), 100), ca.NotAfter.UTC().Format(time.RFC3339)))
				}
			}
			return nil
		},
		advice: "This is the platform's to mend: its operators renew the certificate.",
	},
	{
		code: "clock_behind", title: "The server's clock is behind", severity: Fault,
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || s.platform == nil {
				return nil
			}
			if s.clock != nil && s.clock.Date.Before(s.platform.NotBefore) {
				return surely(p.saw(), s.skew(), fmt.Sprintf("by its clock, the platform's certificate begins only on %s", s.platform.NotBefore.UTC().Format(time.RFC3339)))
			}
			fresh := s.Now().Sub(s.platform.NotBefore) < 24*time.Hour
			if s.clock == nil && fresh && s.asks.HasOurs && p.alerted(alertBadCertificate) && !s.as(AsStranger).alerted(alertBadCertificate) {
				return perhaps(p.saw(), "the platform's certificate is young; to a clock that is behind it is not valid yet")
			}
			return nil
		},
		advice: "Set the clock and keep it set: `timedatectl set-ntp true`.",
	},
	{
		code: "clock_ahead", title: "The server's clock is ahead", severity: Fault, unless: []string{"our_certificate_expired"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || s.platform == nil {
				return nil
			}
			ended := fmt.Sprintf("the platform's certificate ends on %s", s.platform.NotAfter.UTC().Format(time.RFC3339))
			switch {
			case s.clock != nil && s.clock.Date.After(s.platform.NotAfter):
				return surely(p.saw(), s.skew(), ended)
			case s.clock == nil && p.alerted(alertCertificateExpired):
				return perhaps(p.saw(), ended)
			}
			return nil
		},
		advice: "Set the clock and keep it set: `timedatectl set-ntp true`.",
	},
	{
		code: "asked_too_late", title: "The certificate is asked for after the handshake, too late", severity: Fault,
		when:   askedTooLate,
		advice: "Require the certificate for the whole site, not inside of <Location> or <Directory>: in TLS 1.3 a server cannot ask later.",
		mends: mends{
			Apache: {"# in <VirtualHost>, outside of <Location>, <Directory> and .htaccess:", "SSLVerifyClient require", "SSLVerifyDepth 2", "SSLCACertificateFile conf/{ca}.crt"},
			Nginx:  clientCA[Nginx],
			IIS:    {"# netsh http update sslcert ipport=0.0.0.0:{port} … clientcertnegotiation=enable"},
			Tomcat: {"<SSLHostConfig certificateVerification=\"required\"> <!-- instead of CLIENT-CERT in web.xml -->"},
		},
	},
	{
		code: "certificate_lost", title: "The platform's certificate is lost on the way to the server that wants it", severity: Fault, unless: []string{"asked_too_late"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil {
				return nil
			}
			gone := p.Answer != nil && (p.Answer.Page == pageNoCertificate || p.Answer.Status == 496)
			switch {
			case gone && !p.Asked:
				return surely(p.saw(), "it was ready to be shown, and what ends TLS here did not ask for it")
			case gone || p.alerted(alertCertificateRequired):
				return likely(p.saw(), "a certificate was shown")
			}
			return nil
		},
		advice: "Something in front ends TLS and calls the real server without a certificate. Verify the client there, or hand TLS through untouched (TCP mode, `ssl_preread`, a network load balancer).",
		mends: mends{
			Nginx:        clientCA[Nginx],
			HAProxy:      {"mode tcp", "bind :{port}"},
			LoadBalancer: {"# use a TCP (layer 4) listener, or switch mutual TLS on in the listener with {ca}.crt as its trust store"},
		},
	},
	{
		code: "trust_store_empty", title: "The server's store of trusted CAs is empty or cannot be read", severity: Fault,
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !s.asks.Asked || s.asks.Names > 0 || !p.alerted(alertInternalError, alertCertificateUnknown) {
				return nil
			}
			return likely(p.saw(), "the server names no CA that it would accept", "so does Java whose trust store is a PKCS#12 file made by openssl: it sees no entry in it")
		},
		advice: "Load {ca}.crt into the trust store with the server's own tool.",
		mends:  clientCA,
	},
	{
		code: "ca_list_empty", title: "The server verifies client certificates, but was given no CA", severity: Fault, unless: []string{"trust_store_empty", "certificate_lost", "clock_behind"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !s.asks.Asked || s.asks.Names > 0 || p.Outcome != Refused {
				return nil
			}
			evidence := []string{p.saw(), "it names no CA that it would accept"}
			if s.server.Product == Nginx {
				// ssl_trusted_certificate is not listed.
				return perhaps(append(evidence, "nginx does not list the CAs of ssl_trusted_certificate: it may have been given another one there")...)
			}
			return likely(evidence...)
		},
		advice: "Name {ca}.crt as the CA of the clients. The file must be PEM, and hold the CA's certificate.",
		mends:  clientCA,
	},
	{
		code: "ca_not_ours", title: "The server accepts clients of other CAs, not the platform's", severity: Fault, unless: []string{"certificate_lost"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || s.asks.Names == 0 || s.asks.HasOurs {
				return nil
			}
			evidence := []string{p.saw(), fmt.Sprintf("it names %d CA(s), ours is not among them; the first: %s", s.asks.Names, s.asks.Listed[0])}
			return surely(evidence...)
		},
		advice: "Name {ca}.crt, the current one, as the CA of the clients, and reload the server. An intermediate CA alone never works: the file holds the root.",
		mends:  clientCA,
	},
	{
		code: "chain_too_deep", title: "The server allows no intermediate CA in a client's chain", severity: Fault, unless: []string{"ca_not_ours", "ca_list_empty", "trust_store_empty"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || len(s.identities[AsPlatform].Certificate) < 2 {
				return nil
			}
			evidence := []string{p.saw(), "the platform's certificate stands behind an intermediate CA"}
			switch {
			case p.alerted(alertInternalError):
				return surely(append(evidence, "Apache ends it with this alert when SSLVerifyDepth is too small")...)
			case s.asks.HasOurs && p.alerted(alertUnknownCA):
				return perhaps(evidence...)
			}
			return nil
		},
		advice: "Let the server verify chains of two certificates above the client's.",
		mends:  verifyDepth,
	},
	{
		code: "revocation_list_expired", title: "The server's revocation list has expired, so that it refuses everyone", severity: Fault,
		unless: []string{"ca_not_ours", "clock_behind", "our_certificate_expired", "ca_list_empty", "certificate_lost"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !s.asks.HasOurs {
				return nil
			}
			switch {
			case p.alerted(alertCertificateExpired) && s.clock == nil:
				return likely(p.saw(), "the certificate that was shown has not expired")
			case p.alerted(alertCertificateExpired) && !s.clock.Date.After(s.platform.NotAfter):
				return surely(p.saw(), "the certificate that was shown has not expired", s.skew())
			case p.alerted(alertCertificateUnknown) && s.as(AsStranger).alerted(alertCertificateUnknown):
				return perhaps(p.saw(), "Java uses this alert for everything")
			case p.alerted(alertCertificateUnknown) && s.as(AsRevoked).alerted(alertCertificateUnknown):
				return surely(p.saw(), "it does not know the revoked certificate for revoked either")
			case p.alerted(alertCertificateUnknown) && !s.as(AsRevoked).alerted(alertCertificateRevoked):
				return likely(p.saw(), "the CA is the right one; OpenSSL says this when the list has expired")
			case p.Answer != nil && p.Answer.Page == pageBadCertificate:
				return perhaps(p.saw(), "the CA is the right one by its name; nginx does not say what else it disliked")
			}
			return nil
		},
		advice: "Fetch the current list and reload the server, daily, by a timer; without one, take the list out of the configuration: an expired one is an outage.",
		mends:  revocationList,
	},
	{
		code: "revocation_list_partial", title: "The server's revocation list is not for all certificates, so that it refuses the others", severity: Fault,
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !p.alerted(alertCertificateUnknown) || !s.as(AsRevoked).alerted(alertCertificateRevoked) {
				return nil
			}
			return surely(p.saw(), s.as(AsRevoked).saw(), "OpenSSL does this with a list that has a critical IssuingDistributionPoint")
		},
		advice: "Load the full list, {ca}.crl as it is published, and check the leaf.",
		mends:  revocationList,
	},
	{
		code: "revocation_list_missing", title: "The server wants a revocation list that it does not have", severity: Fault,
		unless: []string{"ca_not_ours", "ca_list_empty", "chain_too_deep"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !s.asks.HasOurs || !p.alerted(alertUnknownCA) {
				return nil
			}
			// OpenSSL looks at the purpose before it looks for a list, and for neither without the CA.
			switch developer := s.as(AsDeveloper); {
			case developer.alerted(alertUnsupportedCertificate):
				return surely(p.saw(), "the CA is the right one: "+developer.saw())
			case developer.alerted(alertUnknownCA):
				return nil
			}
			return perhaps(p.saw(), "the CA is the right one by its name")
		},
		advice: "Load the lists of every CA in the chain, the root's included; Apache can check the leaf alone.",
		mends:  revocationList,
	},
	{
		code: "ca_stale", title: "The server has an old or false CA certificate of the right name", severity: Fault,
		unless: []string{"clock_behind", "clock_ahead", "ca_not_ours", "ca_list_empty", "chain_too_deep"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !s.asks.HasOurs {
				return nil
			}
			stranger := s.as(AsStranger)
			switch {
			case s.as(AsDeveloper).alerted(alertUnsupportedCertificate):
				return nil // it knows our CA
			case p.alerted(alertUnknownCA, alertDecryptError):
				return likely(p.saw(), "the server names a CA like ours")
			case p.alerted(alertBadCertificate, alertCertificateUnknown) && stranger.alerted(p.Alert.Code):
				return perhaps(p.saw(), stranger.saw(), "the server names a CA like ours, and uses one alert for everything")
			case p.Answer != nil && p.Answer.Page == pageBadCertificate && stranger != nil && stranger.Answer != nil && stranger.Answer.Page == p.Answer.Page:
				return perhaps(p.saw(), "a stranger's certificate gets the same answer")
			}
			return nil
		},
		advice: "Fetch {ca}.crt again and compare its SHA-256 with the published one; then reload the server.",
		mends:  clientCA,
	},
	{
		code: "platform_revoked", title: "The server holds the platform's certificate for revoked", severity: Fault,
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || !p.alerted(alertCertificateRevoked) {
				return nil
			}
			return surely(p.saw())
		},
		advice: "If the certificate is not revoked, fetch the current revocation list and reload the server.",
		mends:  revocationList,
	},
	{
		code: "cut_off", title: "The server cuts the connection off without a word", severity: Fault,
		unless: []string{"ca_not_ours", "ca_list_empty", "asked_too_late"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || p.Failure != ResetByServer && p.Failure != ClosedByServer {
				return nil
			}
			if nobody := s.as(AsNobody); nobody != nil && (nobody.Failure == ResetByServer || nobody.Failure == ClosedByServer) {
				return likely(p.saw(), nobody.saw(), "it does the same without a certificate: it may be the application that ends, not the door that refuses")
			}
			return likely(p.saw())
		},
		advice: "A server on Node, IIS or behind a load balancer refuses client certificates this way; so does an application that crashes. The server's log tells which.",
		mends: mends{
			Node:         {"server.on('tlsClientError', (err) => console.error(err)) // says why"},
			IIS:          {"# netsh http show sslcert ipport=0.0.0.0:{port}", "# Import-Certificate -FilePath {ca}.crt -CertStoreLocation Cert:\\LocalMachine\\Root"},
			LoadBalancer: {"# load the trust store of the load balancer with {ca}.crt"},
		},
	},
	{
		code: "key_type_refused", title: "The server accepts no certificate with a key like the platform's", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Certificate != AsPlatform || s.lead.Failure != WeHungUp || !s.lead.Asked || len(s.lead.served) == 0 {
				return nil
			}
			return likely(s.lead.Error, "the platform's key: "+keyText(s.platform))
		},
		advice: "Take out what limits the signature algorithms of clients, or let the platform's be among them.",
		mends: mends{
			Apache:  {"SSLOpenSSLConfCmd ClientSignatureAlgorithms ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256"},
			Nginx:   {"ssl_conf_command ClientSignatureAlgorithms ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256;"},
			HAProxy: {"bind :{port} ssl crt {name}.pem ca-file {ca}.crt verify required client-sigalgs ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256"},
		},
	},
	{
		code: "platform_refused", title: "The platform's certificate is refused", severity: Fault,
		unless: []string{"asked_too_late", "certificate_lost", "trust_store_empty", "ca_list_empty", "ca_not_ours", "clock_behind", "clock_ahead", "chain_too_deep",
			"revocation_list_expired", "revocation_list_partial", "revocation_list_missing", "ca_stale", "platform_revoked", "our_certificate_expired", "cut_off"},
		when: func(s *sight) *match {
			p := s.platformRefused()
			if p == nil || p.Outcome != Refused || p.Answer != nil && p.Answer.Status == http.StatusMisdirectedRequest {
				return nil
			}
			return surely(p.saw())
		},
		advice: "From outside no more can be told. Apache: `LogLevel ssl:debug`, nginx: `error_log … info`, Java: `-Djavax.net.debug=ssl:handshake`: then the log says why.",
		mends:  clientCA,
	},
}

var verifyDepth = mends{
	Apache:  {"SSLVerifyDepth 2"},
	Nginx:   {"ssl_verify_depth 2;"},
	Tomcat:  {"<SSLHostConfig certificateVerificationDepth=\"2\">"},
	HAProxy: {"# HAProxy takes chains of any usual depth: give ca-file the root, {ca}.crt"},
}

// askedTooLate tells a server that decides for a certificate when it has read the request. In TLS 1.3 it can then only refuse; in TLS 1.2 it asks
// for a second handshake, which no client of the platform grants.
func askedTooLate(s *sight) *match {
	p := s.platformRefused()
	if p == nil || p.Asked {
		return nil
	}
	again := s.find(func(q *Probe) bool {
		return q.Certificate == AsPlatform && q.Failure == AsksAgain && q.address == p.address
	})
	page := p.Answer.page()
	switch {
	case page != nil && page.product == Apache && page.refuses:
		return surely(p.saw(), "the server did not ask in the handshake")
	case again != nil:
		return surely(p.saw(), "the server did not ask in the first handshake", again.saw())
	case p.Answer != nil && p.Answer.Status == http.StatusForbidden:
		return likely(p.saw(), "the server did not ask in the handshake")
	}
	return nil
}

// skew says how far the server's clock is off.
func (s *sight) skew() string {
	off := (time.Duration(s.clock.SkewMS) * time.Millisecond).Round(time.Second)
	switch {
	case off > 0:
		return fmt.Sprintf("its clock is %s ahead", off)
	case off < 0:
		return fmt.Sprintf("its clock is %s behind", -off)
	}
	return "its clock is right"
}
