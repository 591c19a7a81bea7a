package validate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/stretchr/testify/require"
)

var identifierOID = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// identifier is the acmeIdentifier extension of RFC 8737.
func identifier(keyAuthorization string) pkix.Extension {
	digest := sha256.Sum256([]byte(keyAuthorization))
	return pkix.Extension{Id: identifierOID, Critical: true, Value: append([]byte{0x04, 0x20}, digest[:]...)}
}

// TestTLSALPN01 has each way to answer wrongly; all but the first few must fail.
func TestTLSALPN01(t *testing.T) {
	const www = "www.example.test"
	spoilt := func(change func(e *pkix.Extension)) []pkix.Extension {
		e := identifier(keyAuthorization)
		change(&e)
		return []pkix.Extension{e}
	}
	good := []pkix.Extension{identifier(keyAuthorization)}
	platform := selfSigned(t, template{commonName: "callback.platform.internal"})

	for what, test := range map[string]struct {
		certificate template
		change      func(c *tls.Config)
		noClient    bool // we have no certificate to show
		kind        Kind // empty: proven
		says        string
	}{
		"TLS 1.3": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
		"TLS 1.2": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		"upper case": {certificate: template{dnsNames: []string{"WWW.Example.test"}, extensions: good}},
		"client certificate demanded, TLS 1.2": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }},
		"client certificate demanded, TLS 1.3": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }},
		"client certificate demanded, none to show, TLS 1.3": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, noClient: true},
		"client certificate demanded, none to show, TLS 1.2": {certificate: template{dnsNames: []string{www}, extensions: good},
			change:   func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 },
			noClient: true, kind: KindTLS, says: "let port"},

		"TLS 1.1": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
			kind:   KindTLS, says: "protocol version"},
		"no ALPN": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.NextProtos = nil }, kind: KindUnauthorized, says: "does not speak acme-tls/1"},
		"another ALPN": {certificate: template{dnsNames: []string{www}, extensions: good},
			change: func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, kind: KindTLS, says: "no application protocol"},

		"wrong OID": {certificate: template{dnsNames: []string{www}, extensions: spoilt(func(e *pkix.Extension) {
			e.Id = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 30, 1} // of the drafts
		})}, kind: KindUnauthorized, says: "without an acmeIdentifier"},
		"no extension": {certificate: template{dnsNames: []string{www}}, kind: KindUnauthorized, says: "without an acmeIdentifier"},
		"not critical": {certificate: template{dnsNames: []string{www}, extensions: spoilt(func(e *pkix.Extension) { e.Critical = false })},
			kind: KindUnauthorized, says: "not critical"},
		"digest of another": {certificate: template{dnsNames: []string{www}, extensions: []pkix.Extension{identifier("other")}},
			kind: KindUnauthorized, says: "for another challenge"},
		"short digest": {certificate: template{dnsNames: []string{www}, extensions: spoilt(func(e *pkix.Extension) {
			e.Value = append([]byte{0x04, 0x1f}, e.Value[2:33]...)
		})}, kind: KindUnauthorized, says: "for another challenge"},
		"digest and more": {certificate: template{dnsNames: []string{www}, extensions: spoilt(func(e *pkix.Extension) {
			e.Value = append(e.Value, 0x05, 0x00)
		})}, kind: KindUnauthorized, says: "not one OCTET STRING"},
		"digest without its tag": {certificate: template{dnsNames: []string{www}, extensions: spoilt(func(e *pkix.Extension) {
			e.Value = e.Value[2:]
		})}, kind: KindUnauthorized, says: "not one OCTET STRING"},

		"another name": {certificate: template{dnsNames: []string{"other.example.test"}, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"name in CN only": {certificate: template{commonName: www, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"wildcard": {certificate: template{dnsNames: []string{"*.example.test"}, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"extra name": {certificate: template{dnsNames: []string{www, "other.example.test"}, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"the name twice": {certificate: template{dnsNames: []string{www, www}, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"extra address": {certificate: template{dnsNames: []string{www}, addresses: []net.IP{net.IPv4(127, 0, 10, 1)}, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"extra mail": {certificate: template{dnsNames: []string{www}, mail: "a@example.test", extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"extra URI": {certificate: template{dnsNames: []string{www}, uri: "https://www.example.test/", extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"name as a URI": {certificate: template{uri: www, extensions: good},
			kind: KindUnauthorized, says: "not www.example.test alone"},
		"not self-signed": {certificate: template{dnsNames: []string{www}, extensions: good, issued: true},
			kind: KindUnauthorized, says: "not self-signed"},
	} {
		t.Run(what, func(t *testing.T) {
			port := freePort(t)
			config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t, test.certificate)}, NextProtos: []string{"h2", "acme-tls/1"}}
			if test.change != nil {
				test.change(config)
			}
			serveTLS(t, listen(t, "127.0.10.1", port), config)
			c := Config{TLSPort: port, ClientCertificate: func() (*tls.Certificate, error) { return &platform, nil }}
			if test.noClient {
				c.ClientCertificate = nil
			}
			v := validator(t, setup{resolver: resolverFor(t, www), Config: c})
			err := v.TLSALPN01(t.Context(), name(t, www), keyAuthorization)
			if test.kind == "" {
				require.NoError(t, err)
				return
			}
			requireError(t, err, test.kind, test.says)
		})
	}
}

// TestTLSALPN01ByAddress is RFC 8738: an address has the name of its reverse mapping
// in the handshake and an iPAddress in the certificate.
func TestTLSALPN01ByAddress(t *testing.T) {
	require.Equal(t, "1.10.0.127.in-addr.arpa", serverName(name(t, "127.0.10.1")))
	require.Equal(t, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", serverName(name(t, "2001:db8::1")))

	port := freePort(t)
	asked := make(chan string, 10)
	var current tls.Certificate
	serveTLS(t, listen(t, "127.0.10.1", port), &tls.Config{NextProtos: []string{"acme-tls/1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked <- hello.ServerName
			return &current, nil
		}})
	v := validator(t, setup{Config: Config{TLSPort: port}})
	ip := name(t, "127.0.10.1")
	good := []pkix.Extension{identifier(keyAuthorization)}

	current = selfSigned(t, template{addresses: []net.IP{net.IPv4(127, 0, 10, 1)}, extensions: good})
	require.NoError(t, v.TLSALPN01(t.Context(), ip, keyAuthorization))
	require.Equal(t, "1.10.0.127.in-addr.arpa", <-asked)

	for _, wrong := range []template{
		{addresses: []net.IP{net.IPv4(127, 0, 10, 2)}, extensions: good},
		{dnsNames: []string{"1.10.0.127.in-addr.arpa"}, extensions: good},
		{dnsNames: []string{"127.0.10.1"}, extensions: good},
	} {
		current = selfSigned(t, wrong)
		requireError(t, v.TLSALPN01(t.Context(), ip, keyAuthorization), KindUnauthorized, "not 127.0.10.1 alone")
	}
}

// TestTLSALPN01WithOpenSSL has openssl as the server, demanding a client certificate
// as a developer's port 443 does.
func TestTLSALPN01WithOpenSSL(t *testing.T) {
	judge.Need(t, "openssl")
	const www = "www.example.test"
	dir := t.TempDir()
	writePEM(t, dir, "server", selfSigned(t, template{dnsNames: []string{www}, extensions: []pkix.Extension{identifier(keyAuthorization)}}))
	platform := selfSigned(t, template{commonName: "callback.platform.internal", ca: true})
	writePEM(t, dir, "platform", platform)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		port := freePort(t)
		address := fmt.Sprintf("127.0.10.1:%d", port)
		judge.Start(t, "openssl", exec.Command("openssl", "s_server", "-accept", address, version, "-alpn", "acme-tls/1", "-quiet",
			"-cert", filepath.Join(dir, "server.crt"), "-key", filepath.Join(dir, "server.key"),
			"-CAfile", filepath.Join(dir, "platform.crt"), "-Verify", "1", "-verify_return_error"), judge.Listening(address))
		v := validator(t, setup{resolver: resolverFor(t, www), Config: Config{TLSPort: port,
			ClientCertificate: func() (*tls.Certificate, error) { return &platform, nil }}})
		require.NoError(t, v.TLSALPN01(t.Context(), name(t, www), keyAuthorization), version)
		requireError(t, v.TLSALPN01(t.Context(), name(t, www), "other"), KindUnauthorized, "for another challenge")
	}
}

func TestTLSALPN01WithoutTLS(t *testing.T) {
	const www = "www.example.test"
	port := freePort(t)
	plain := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	go plain.Serve(listen(t, "127.0.10.1", port))
	t.Cleanup(func() { plain.Close() })
	silentPort := freePort(t)
	silent := listen(t, "127.0.10.1", silentPort)
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	resolver := resolverFor(t, www)
	at := func(port uint16, timeout time.Duration) *Validator {
		return validator(t, setup{resolver: resolver, Config: Config{TLSPort: port, Timeout: timeout}})
	}
	requireError(t, at(port, time.Minute).TLSALPN01(t.Context(), name(t, www), keyAuthorization), KindTLS, "let port")
	requireError(t, at(silentPort, 200*time.Millisecond).TLSALPN01(t.Context(), name(t, www), keyAuthorization), KindConnection, "deadline exceeded")
	requireError(t, at(freePort(t), time.Minute).TLSALPN01(t.Context(), name(t, www), keyAuthorization), KindConnection, "connection refused")
	requireError(t, at(port, time.Minute).TLSALPN01(t.Context(), name(t, "127.0.0.1"), keyAuthorization), KindConnection, "is loopback")
	requireError(t, at(port, time.Minute).TLSALPN01(t.Context(), name(t, "other.example.test"), keyAuthorization), KindDNS, "NXDOMAIN")
	requireError(t, at(port, time.Minute).TLSALPN01(t.Context(), name(t, "*.example.test"), keyAuthorization), KindMalformed, "use dns-01")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	requireError(t, at(port, time.Minute).TLSALPN01(ctx, name(t, www), keyAuthorization), KindInternal, "try again")
}

// FuzzALPNCertificate holds that only a certificate with this name alone and this
// digest passes, whatever octets its extensions are made of.
func FuzzALPNCertificate(f *testing.F) {
	good := identifier(keyAuthorization).Value
	san := append([]byte{0x30, 0x12, 0x82, 0x10}, "www.example.test"...)
	f.Add(san, good)
	f.Add(append([]byte{0x30, 0x14, 0x82, 0x10}, "www.example.test\x82\x00"...), good)
	f.Add([]byte{0x30, 0x80, 0, 0}, []byte{0x04, 0x80, 0, 0})
	www, err := pki.ParseName("www.example.test")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, altName, digest []byte) {
		certificate := &x509.Certificate{Extensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: altName},
			{Id: identifierOID, Critical: true, Value: digest},
		}}
		if soleAltName(certificate, www) {
			require.True(t, strings.EqualFold(string(san), string(altName)), "%x", altName)
		}
		require.Equal(t, string(digest) == string(good), checkIdentifier(certificate, keyAuthorization) == "", "%x", digest)
	})
}

type template struct {
	commonName string
	dnsNames   []string
	addresses  []net.IP
	mail, uri  string
	extensions []pkix.Extension
	ca         bool
	issued     bool // by another certificate
}

// selfSigned makes a certificate and its key.
func selfSigned(t testing.TB, from template) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: from.commonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: from.dnsNames, IPAddresses: from.addresses, ExtraExtensions: from.extensions,
		IsCA: from.ca, BasicConstraintsValid: true,
	}
	if from.mail != "" {
		c.EmailAddresses = []string{from.mail}
	}
	if from.uri != "" {
		c.URIs = []*url.URL{{Path: from.uri}}
	}
	parent, parentKey := c, key
	if from.issued {
		issuer := selfSigned(t, template{commonName: "issuer", ca: true})
		parent, parentKey = issuer.Leaf, issuer.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func writePEM(t testing.TB, dir, file string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	for suffix, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		".key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file+suffix), pem.EncodeToMemory(block), 0o600))
	}
}

// serveTLS shakes hands with whoever connects, and closes.
func serveTLS(t testing.TB, l net.Listener, config *tls.Config) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				secure := tls.Server(conn, config)
				if secure.Handshake() == nil {
					io.Copy(io.Discard, secure)
				}
			}()
		}
	}()
}
