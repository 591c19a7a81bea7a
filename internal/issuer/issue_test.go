package issuer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// Leaves of every kind of key under every kind of authority pass every lint, Go's
// verification and openssl's strict one, each for its own purpose and no other.
func TestEveryKindOfLeaf(t *testing.T) {
	for _, caKind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.RSA3072, pki.RSA4096, pki.Ed25519} {
		if testing.Short() && strings.HasPrefix(string(caKind), "rsa") {
			continue
		}
		root := direct(t, keyOf(t, caKind, 1))
		above, below := issuing(t, keyOf(t, caKind, 1), keyOf(t, caKind, 2))
		for name, by := range map[string]struct {
			issuer *issuer.Issuer
			usage  string
		}{
			"direct server":  {root, "server"},
			"direct client":  {root, "client"},
			"issuing server": {below, "server"},
			"root client":    {above, "client"},
		} {
			for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
				t.Run(string(caKind)+" "+name+" "+string(kind), func(t *testing.T) {
					asked := request(t, "callback.platform.internal", "b.example.com")
					asked.Profile, asked.PublicKey = by.usage, keyOf(t, kind, 99).Public()
					leaf := issue(t, by.issuer, asked)
					verifyForItsPurpose(t, by.issuer, leaf, by.usage)
				})
			}
		}
	}
}

func verifyForItsPurpose(t *testing.T, by *issuer.Issuer, leaf *x509.Certificate, usage string) {
	t.Helper()
	require.NoError(t, by.Verify(leaf.Raw))
	require.NoError(t, issuer.CheckStored(leaf.Raw, usage))
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(by.Root())
	between.AddCert(by.Certificate())
	fits := map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth}
	files := []string{"-CAfile", writePEM(t, "root.pem", by.Root())}
	if len(by.Chain()) > 0 {
		files = append(files, "-untrusted", writePEM(t, "between.pem", by.Certificate()))
	}
	files = append(files, writePEM(t, "leaf.pem", leaf))
	for purpose, key := range fits {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{key}, DNSName: leaf.DNSNames[0],
		})
		_, openssl := judge.RunErr(t, "openssl", append([]string{"verify", "-x509_strict", "-purpose", "ssl" + purpose,
			"-attime", strconv.FormatInt(start.Unix(), 10)}, files...)...)
		if purpose == usage {
			require.NoError(t, err)
			require.NoError(t, openssl)
		} else {
			require.Error(t, err)
			require.Error(t, openssl)
		}
	}
}

// What openssl shows of a certificate, in words.
func TestOpenSSLShows(t *testing.T) {
	_, below := issuing(t, keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2))
	asked := request(t, "www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
	leaf := issue(t, below, asked)
	text := judge.Run(t, "openssl", "x509", "-noout", "-text", "-in", writePEM(t, "leaf.pem", leaf))
	for _, want := range []string{
		"Version: 3 (0x2)",
		"Issuer: CN = TencentQQAuthCA-Issuing",
		"Subject: CN = www.example.com",
		"Not Before: Mar  1 11:55:00 2026 GMT",
		"Not After : May 30 11:54:59 2026 GMT",
		"X509v3 Key Usage: critical\n                Digital Signature\n",
		"X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n",
		"X509v3 Basic Constraints: critical\n                CA:FALSE\n",
		"X509v3 Subject Key Identifier",
		"X509v3 Authority Key Identifier",
		"OCSP - URI:http://ca.example.com/ocsp/TencentQQAuthCA-Issuing\n",
		"CA Issuers - URI:http://ca.example.com/ca/TencentQQAuthCA-Issuing.der\n",
		"X509v3 Subject Alternative Name: \n                DNS:www.example.com, DNS:*.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1\n",
		"URI:http://ca.example.com/crl/TencentQQAuthCA-Issuing.crl\n",
		"Signature Algorithm: ecdsa-with-SHA256",
	} {
		require.Contains(t, text, want)
	}
	serial := judge.Run(t, "openssl", "x509", "-noout", "-serial", "-in", writePEM(t, "leaf.pem", leaf))
	_, printed, _ := strings.Cut(strings.TrimSpace(serial), "=")
	parsed, err := pki.ParseSerial(printed)
	require.NoError(t, err)
	require.Equal(t, asked.Serial, parsed)
}

func TestAuthoritiesAsOpenSSLShowsThem(t *testing.T) {
	above, below := issuing(t, keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2))
	root := judge.Run(t, "openssl", "x509", "-noout", "-text", "-in", writePEM(t, "root.pem", above.Certificate()))
	require.Contains(t, root, "Subject: CN = TencentQQAuthCA\n")
	require.Contains(t, root, "X509v3 Basic Constraints: critical\n                CA:TRUE\n")
	require.Contains(t, root, "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n")
	require.NotContains(t, root, "Extended Key Usage")
	between := judge.Run(t, "openssl", "x509", "-noout", "-text", "-in", writePEM(t, "between.pem", below.Certificate()))
	require.Contains(t, between, "Issuer: CN = TencentQQAuthCA\n")
	require.Contains(t, between, "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n")
	require.Contains(t, between, "X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n")
	require.Contains(t, between, "URI:http://ca.example.com/crl/TencentQQAuthCA.crl\n")
	judge.Run(t, "openssl", "verify", "-x509_strict", "-attime", strconv.FormatInt(start.Unix(), 10),
		"-CAfile", writePEM(t, "root.pem", above.Certificate()), writePEM(t, "between.pem", below.Certificate()))
}

// Nothing from a request made by openssl passes but its key and its names, whatever
// else it asks for.
func TestRequestsMadeByOpenSSL(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	for name, newKey := range map[string][]string{
		"rsa":     {"-newkey", "rsa:2048"},
		"ec":      {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"},
		"ed25519": {"-newkey", "ed25519"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "request.pem")
		judge.Run(t, "openssl", append([]string{"req", "-new", "-nodes", "-keyout", filepath.Join(dir, "key.pem"), "-out", file,
			"-subj", "/C=CN/O=Evil Ltd/CN=www.example.com",
			"-addext", "subjectAltName=DNS:www.example.com,DNS:B.example.com,IP:192.0.2.1",
			"-addext", "extendedKeyUsage=clientAuth,OCSPSigning", "-addext", "basicConstraints=critical,CA:TRUE",
			"-addext", "keyUsage=keyCertSign", "-addext", "1.2.3.4=ASN1:UTF8String:hello"}, newKey...)...)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		csr, err := pki.ParseCSR(data)
		require.NoError(t, err, name)
		require.ElementsMatch(t, []string{`subject C="CN"`, `subject O="Evil Ltd"`, "extended key usage clientAuth, OCSPSigning",
			"basic constraints CA:TRUE", "key usage", "extension 1.2.3.4"}, csr.Ignored)

		asked := request(t, "placeholder.example")
		asked.Names, asked.PublicKey = csr.Names, csr.PublicKey
		leaf := issue(t, by, asked)
		require.Equal(t, []string{"www.example.com", "b.example.com"}, leaf.DNSNames)
		require.Equal(t, "CN=www.example.com", leaf.Subject.String())
		require.False(t, leaf.IsCA)
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, leaf.ExtKeyUsage)
		verifyForItsPurpose(t, by, leaf, "server")
	}
}

func TestSubject(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	long := strings.Repeat("a", 60) + ".example.com"
	for name, c := range map[string]struct {
		names    []string
		common   string
		subject  string
		critical bool
	}{
		"the first name":          {[]string{"a.example.com", "b.example.com"}, "", "CN=a.example.com", false},
		"the first that fits":     {[]string{long, "192.0.2.1", "b.example.com"}, "", "CN=b.example.com", false},
		"none fits":               {[]string{long}, "", "", true},
		"an address is no name":   {[]string{"192.0.2.1"}, "", "", true},
		"the one that was chosen": {[]string{"a.example.com", "b.example.com"}, "b.example.com", "CN=b.example.com", false},
	} {
		asked := request(t, c.names...)
		asked.CommonName = c.common
		leaf := issue(t, by, asked)
		require.Equal(t, c.subject, leaf.Subject.String(), name)
		for _, extension := range leaf.Extensions {
			if extension.Id.String() == "2.5.29.17" {
				// RFC 5280, Section 4.2.1.6.
				require.Equal(t, c.critical, extension.Critical, name)
			}
		}
	}
}

func TestNoURLsWithoutABase(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: key, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	leaf := issue(t, by, request(t, "www.example.com"))
	require.Empty(t, leaf.CRLDistributionPoints)
	require.Empty(t, leaf.OCSPServer)
	require.Empty(t, leaf.IssuingCertificateURL)
	verifyForItsPurpose(t, by, leaf, "server")
}

// A root from elsewhere, with a serial, a name and a key of its own shape, is as
// good as ours.
func TestForeignRoots(t *testing.T) {
	for name, c := range map[string]struct {
		kind     pki.KeyType
		template x509.Certificate
		notes    int
	}{
		"RSA, serial 1":      {pki.RSA2048, x509.Certificate{SerialNumber: big.NewInt(1)}, 0},
		"serial of 20":       {pki.ECDSAP384, x509.Certificate{SerialNumber: new(big.Int).Lsh(big.NewInt(1), 158)}, 0},
		"path length":        {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), MaxPathLen: 3}, 0},
		"path length 0":      {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), MaxPathLenZero: true}, 0},
		"SHA-512":            {pki.RSA2048, x509.Certificate{SerialNumber: big.NewInt(7), SignatureAlgorithm: x509.SHA512WithRSA}, 0},
		"no key usage":       {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), KeyUsage: 1 << 8}, 1},
		"digital signatures": {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, 0},
		"other names":        {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{Organization: []string{"腾讯"}, Country: []string{"CN"}}}, 0},
		"many key usages":    {pki.ECDSAP256, x509.Certificate{SerialNumber: big.NewInt(7), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			key := keyOf(t, c.kind, 1)
			root := foreignRoot(t, key, c.template)
			notes, err := issuer.CheckRoot(root, key, start)
			require.NoError(t, err)
			require.Len(t, notes, c.notes)
			by, err := issuer.New(issuer.Config{Name: "foreign", Certificate: root, Key: key, Profiles: issuer.DefaultProfiles()})
			require.NoError(t, err)
			if c.notes == 0 {
				verifyForItsPurpose(t, by, issue(t, by, request(t, "www.example.com")), "server")
			}
		})
	}
}

// foreignRoot makes a root with crypto/x509. The bit 1<<8 as key usage stands for
// none at all.
func foreignRoot(t *testing.T, key crypto.Signer, template x509.Certificate) *x509.Certificate {
	t.Helper()
	template.BasicConstraintsValid, template.IsCA = true, true
	template.NotBefore, template.NotAfter = start.Add(-5*year), start.Add(5*year)
	if len(template.Subject.ToRDNSequence()) == 0 {
		template.Subject.CommonName = "Old Root"
	}
	switch template.KeyUsage {
	case 0:
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case 1 << 8:
		template.KeyUsage = 0
	}
	return created(t, &template, &template, key.Public(), key)
}

func created(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

// A root without a subject key identifier: the leaf has an authority key
// identifier all the same, on which strict verifiers insist.
func TestRootWithoutKeyIdentifier(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	dir := t.TempDir()
	text, err := pki.EncodeKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "conf"), []byte("[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\n"+
		"basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n"), 0o600))
	judge.Run(t, "openssl", "req", "-x509", "-new", "-key", filepath.Join(dir, "key.pem"), "-config", filepath.Join(dir, "conf"),
		"-subj", "/CN=Old", "-days", "3650", "-out", filepath.Join(dir, "root.pem"))
	data, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	require.NoError(t, err)
	certificates, err := pki.ParseCertificates(data)
	require.NoError(t, err)
	require.Empty(t, certificates[0].SubjectKeyId)
	notes, err := issuer.CheckRoot(certificates[0], key, certificates[0].NotBefore)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	by, err := issuer.New(issuer.Config{Name: "old", Certificate: certificates[0], Key: key, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	asked := request(t, "www.example.com")
	asked.NotBefore = certificates[0].NotBefore
	asked.NotAfter = asked.NotBefore.Add(time.Hour)
	leaf := issue(t, by, asked)
	require.Len(t, leaf.AuthorityKeyId, 20)
	judge.Run(t, "openssl", "verify", "-purpose", "sslserver", "-attime", strconv.FormatInt(asked.NotBefore.Unix(), 10),
		"-CAfile", filepath.Join(dir, "root.pem"), writePEM(t, "leaf.pem", leaf))
}

// A leaf for an address is accepted for it by name and not for another.
func TestAddressesVerify(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	leaf := issue(t, by, request(t, "192.0.2.1", "2001:db8::1"))
	require.Equal(t, "192.0.2.1", leaf.IPAddresses[0].String())
	require.Len(t, leaf.IPAddresses[0], net.IPv4len)
	require.NoError(t, leaf.VerifyHostname("192.0.2.1"))
	require.NoError(t, leaf.VerifyHostname("2001:db8::1"))
	require.Error(t, leaf.VerifyHostname("192.0.2.2"))
}
