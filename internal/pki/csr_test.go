package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

func request(t testing.TB, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	require.NoError(t, err)
	return der
}

func armour(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

func newKey(t testing.TB, kind pki.KeyType) crypto.Signer {
	t.Helper()
	key, err := kind.Generate()
	require.NoError(t, err)
	return key
}

func extension(t testing.TB, oid asn1.ObjectIdentifier, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	require.NoError(t, err)
	return pkix.Extension{Id: oid, Value: der}
}

func TestParseCSR(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
		key := newKey(t, kind)
		der := request(t, key, x509.CertificateRequest{
			Subject:     pkix.Name{CommonName: "www.Example.com"},
			DNSNames:    []string{"B.example.com.", "www.example.com", "*.example.com"},
			IPAddresses: []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")},
		})
		text := armour("CERTIFICATE REQUEST", der)
		for name, form := range map[string][]byte{
			"DER":           der,
			"PEM":           text,
			"old PEM":       armour("NEW CERTIFICATE REQUEST", der),
			"CRLF":          bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
			"BOM":           append([]byte("\xef\xbb\xbf"), text...),
			"text before":   append([]byte("Certificate Request:\n    Data:\n"), text...),
			"spaces behind": append(bytes.Clone(text), " \r\n\n"...),
		} {
			csr, err := pki.ParseCSR(form)
			require.NoError(t, err, name)
			require.Equal(t, []pki.Name{mustName(t, "b.example.com"), mustName(t, "www.example.com"),
				mustName(t, "*.example.com"), mustName(t, "192.0.2.1"), mustName(t, "2001:db8::1")}, csr.Names)
			require.Equal(t, key.Public(), csr.PublicKey)
			require.Equal(t, der, csr.Raw)
			require.Empty(t, csr.Ignored)
		}
	}
}

// A request with its name in the common name only, or without any name, is fine.
func TestParseCSRCommonName(t *testing.T) {
	key := newKey(t, pki.ECDSAP256)
	csr, err := pki.ParseCSR(request(t, key, x509.CertificateRequest{Subject: pkix.Name{CommonName: "www.example.com"}}))
	require.NoError(t, err)
	require.Equal(t, []pki.Name{mustName(t, "www.example.com")}, csr.Names)

	csr, err = pki.ParseCSR(request(t, key, x509.CertificateRequest{}))
	require.NoError(t, err)
	require.Empty(t, csr.Names)

	csr, err = pki.ParseCSR(request(t, key, x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "My server"}, DNSNames: []string{"www.example.com"}}))
	require.NoError(t, err)
	require.Equal(t, []pki.Name{mustName(t, "www.example.com")}, csr.Names)
	require.Equal(t, []string{`subject CN="My server"`}, csr.Ignored)
}

func TestParseCSRTellsWhatIsIgnored(t *testing.T) {
	key := newKey(t, pki.ECDSAP256)
	der := request(t, key, x509.CertificateRequest{
		Subject: pkix.Name{
			CommonName: "www.example.com", Organization: []string{"Evil\nLtd"}, OrganizationalUnit: []string{"IM"},
			Country: []string{"CN"}, SerialNumber: "1",
		},
		DNSNames: []string{"www.example.com"},
		ExtraExtensions: []pkix.Extension{
			extension(t, asn1.ObjectIdentifier{2, 5, 29, 37}, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1},
				{1, 3, 6, 1, 5, 5, 7, 3, 2}, {1, 3, 6, 1, 5, 5, 7, 3, 9}, {2, 5, 29, 37, 0}, {1, 2, 3}}),
			extension(t, asn1.ObjectIdentifier{2, 5, 29, 19}, struct{ CA bool }{true}),
			extension(t, asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{6}, BitLength: 7}),
			extension(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, []int{5}),
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte("anything")},
		},
		//lint:ignore SA1019 the only way to put such an attribute into a request
		Attributes: []pkix.AttributeTypeAndValueSET{{
			Type:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7},
			Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{1, 2}, Value: "secret"}}},
		}},
	})
	csr, err := pki.ParseCSR(der)
	require.NoError(t, err)
	require.Equal(t, []pki.Name{mustName(t, "www.example.com")}, csr.Names)
	require.ElementsMatch(t, []string{
		`subject O="Evil\nLtd"`, `subject OU="IM"`, `subject C="CN"`, `subject serialNumber="1"`,
		"extended key usage serverAuth, clientAuth, OCSPSigning, anyExtendedKeyUsage, 1.2.3",
		"basic constraints CA:TRUE", "key usage", "TLS feature (must-staple)", "extension 1.2.3.4",
		"attribute challengePassword",
	}, csr.Ignored)
}

func TestParseCSRRefuses(t *testing.T) {
	key := newKey(t, pki.ECDSAP256)
	good := request(t, key, x509.CertificateRequest{DNSNames: []string{"www.example.com"}})
	forged := bytes.Clone(good)
	forged[bytes.Index(forged, []byte("www.example"))] = 'x'
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	keyPEM, err := pki.EncodeKey(key)
	require.NoError(t, err)
	named := func(names ...string) []byte {
		return request(t, key, x509.CertificateRequest{DNSNames: names})
	}
	for name, c := range map[string]struct {
		data []byte
		why  string
	}{
		"nothing":         {nil, "empty"},
		"spaces":          {[]byte(" \n"), "empty"},
		"text":            {[]byte("www.example.com"), "neither PEM nor DER"},
		"too large":       {append(bytes.Clone(good), make([]byte, pki.MaxCSRSize)...), "64 KiB"},
		"a certificate":   {pki.EncodeCertificate(good), "this is a certificate: give a certificate signing request"},
		"a key":           {keyPEM, "this is a private key"},
		"a public key":    {armour("PUBLIC KEY", good), "this is a public key"},
		"something":       {armour("X\tY", good), `this is a PEM block "X\tY"`},
		"two blocks":      {bytes.Repeat(armour("CERTIFICATE REQUEST", good), 2), "more than one PEM block"},
		"key and request": {append(bytes.Clone(keyPEM), armour("CERTIFICATE REQUEST", good)...), "private key"},
		"request and key": {append(armour("CERTIFICATE REQUEST", good), keyPEM...), "more than one PEM block"},
		"text behind":     {append(armour("CERTIFICATE REQUEST", good), "x"...), "give it alone"},
		"broken PEM":      {armour("CERTIFICATE REQUEST", good)[:200], "the PEM is broken"},
		"broken DER":      {good[:len(good)-1], "make it again"},
		"trailing data":   {append(bytes.Clone(good), 0), "trailing data"},
		"trailing in PEM": {armour("CERTIFICATE REQUEST", append(bytes.Clone(good), 0)), "trailing data"},
		"forged":          {forged, "signature of the certificate signing request is wrong"},
		"P-224":           {request(t, p224, x509.CertificateRequest{}), "P-224"},
		"RSA-1024":        {testRequest(t, "rsa1024.csr"), "1024 bits"},
		"exponent 3":      {testRequest(t, "rsa-e3.csr"), "exponent 3"},
		"DSA":             {testRequest(t, "dsa.csr"), "kind that is not served"},
		"mail":            {request(t, key, x509.CertificateRequest{EmailAddresses: []string{"a@example.com"}}), "mail address"},
		"URI":             {request(t, key, x509.CertificateRequest{URIs: []*url.URL{{Scheme: "https", Host: "example.com"}}}), "URI"},
		"other name": {request(t, key, x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{0x30, 4, 0x88, 2, 0x2a, 3}}}}), "neither a DNS name nor an IP address"},
		"bad name":        {named("www.example.com", "a_b.example.com"), "underscore"},
		"line end":        {named("www.example.com\nx"), "control character"},
		"bad common name": {request(t, key, x509.CertificateRequest{Subject: pkix.Name{CommonName: "My server"}}), "give the host name alone"},
	} {
		csr, err := pki.ParseCSR(c.data)
		require.Nil(t, csr, name)
		require.ErrorContains(t, err, c.why, name)
		require.Less(t, len(err.Error()), 1000, name)
	}
}

// testRequest makes requests that Go refuses to make: their signatures need not be
// right, because the key is looked at first.
func testRequest(t *testing.T, kind string) []byte {
	t.Helper()
	public := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	if kind == "rsa-e3.csr" {
		public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 3}
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	if kind == "dsa.csr" {
		spki, err = asn1.Marshal(struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 110}}, asn1.BitString{Bytes: make([]byte, 32), BitLength: 256}})
		require.NoError(t, err)
	}
	der, err := asn1.Marshal(struct {
		Info struct {
			Version    int
			Subject    pkix.RDNSequence
			SPKI       asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		Info: struct {
			Version    int
			Subject    pkix.RDNSequence
			SPKI       asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0"`
		}{SPKI: asn1.RawValue{FullBytes: spki}},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}},
		Signature: asn1.BitString{Bytes: make([]byte, 256), BitLength: 2048},
	})
	require.NoError(t, err)
	return der
}

// One bad name is found in whatever place it stands.
func TestParseCSRFindsTheBadName(t *testing.T) {
	key := newKey(t, pki.ECDSAP256)
	for bad := range 5 {
		names := strings.Fields("a.example b.example c.example d.example e.example")
		names[bad] = "*.*.example"
		_, err := pki.ParseCSR(request(t, key, x509.CertificateRequest{DNSNames: names}))
		require.ErrorContains(t, err, "wildcard")
	}
}

func FuzzParseCSR(f *testing.F) {
	key := newKey(f, pki.ECDSAP256)
	der := request(f, key, x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "www.example.com", Organization: []string{"x"}},
		DNSNames:    []string{"*.example.com"},
		IPAddresses: []net.IP{net.ParseIP("192.0.2.1")},
	})
	f.Add(der)
	f.Add(armour("CERTIFICATE REQUEST", der))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		csr, err := pki.ParseCSR(data)
		if err != nil {
			require.Nil(t, csr)
			return
		}
		require.NoError(t, pki.CheckPublicKey(csr.PublicKey))
		for _, name := range csr.Names {
			again, err := pki.ParseName(name.String())
			require.NoError(t, err)
			require.Equal(t, name, again)
		}
		for _, ignored := range csr.Ignored {
			require.False(t, strings.ContainsAny(ignored, "\n\r\x00"))
		}
		again, err := pki.ParseCSR(csr.Raw)
		require.NoError(t, err)
		require.Equal(t, csr, again)
	})
}

func BenchmarkParseCSR(b *testing.B) {
	der := request(b, newKey(b, pki.ECDSAP256), x509.CertificateRequest{DNSNames: []string{"www.example.com"}})
	for b.Loop() {
		_, err := pki.ParseCSR(der)
		require.NoError(b, err)
	}
}
