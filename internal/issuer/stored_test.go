package issuer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// forgeries are changes to a sound server certificate, each of which breaks a rule.
func forgeries() map[string]func(*x509.Certificate) {
	return map[string]func(*x509.Certificate){
		"both usages":    func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) },
		"the other":      func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"no usage":       func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"any usage":      func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
		"OCSP signing":   func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) },
		"unknown usage":  func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} },
		"a CA":           func(c *x509.Certificate) { c.IsCA = true },
		"perhaps a CA":   func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"keyCertSign":    func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"no key usage":   func(c *x509.Certificate) { c.KeyUsage = 0 },
		"small serial":   func(c *x509.Certificate) { c.SerialNumber = big.NewInt(4711) },
		"no name":        func(c *x509.Certificate) { c.DNSNames = nil },
		"a mail address": func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.com"} },
		"a URI":          func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: "x"}} },
		"eleven years":   func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(11 * year) },
		"a policy":       func(c *x509.Certificate) { c.Policies = []x509.OID{mustOID("1.2.3")} },
		"an extension": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}
		},
		"OCSP no check": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
		},
		"critical names": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 'a'}}}
		},
	}
}

func mustOID(text string) x509.OID {
	id, err := x509.ParseOID(text)
	if err != nil {
		panic(err)
	}
	return id
}

func sound(usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: pki.NewSerial().Int(), Subject: pkix.Name{CommonName: "www.example.com"}, DNSNames: []string{"www.example.com"},
		NotBefore: start, NotAfter: start.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true,
	}
}

// A developer's certificate can never play the platform: whatever is in the
// database, this check finds it.
func TestCheckStored(t *testing.T) {
	caKey, key := keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 99)
	root := newRoot(t, caKey)
	sign := func(template *x509.Certificate, public crypto.PublicKey) []byte {
		return created(t, template, root, public, caKey).Raw
	}
	server := sign(sound(x509.ExtKeyUsageServerAuth), key.Public())
	client := sign(sound(x509.ExtKeyUsageClientAuth), key.Public())
	require.NoError(t, issuer.CheckStored(server, "server"))
	require.NoError(t, issuer.CheckStored(client, "client"))
	require.NoError(t, issuer.CheckStored(server, "internal"), "a profile of another name has one usage, too")
	require.NoError(t, issuer.CheckStored(client, "internal"))
	require.Error(t, issuer.CheckStored(client, "server"))
	require.Error(t, issuer.CheckStored(server, "client"))
	for name, forge := range forgeries() {
		forged := sound(x509.ExtKeyUsageServerAuth)
		forge(forged)
		der := sign(forged, key.Public())
		require.ErrorContains(t, issuer.CheckStored(der, "server"), "checking a stored certificate", name)
		if name != "the other" {
			require.Error(t, issuer.CheckStored(der, "internal"), name)
		}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	require.ErrorContains(t, issuer.CheckStored(sign(sound(x509.ExtKeyUsageServerAuth), p224.Public()), "server"), "P-224")
	require.Error(t, issuer.CheckStored(server[:len(server)-1], "server"))
	require.Error(t, issuer.CheckStored(nil, "server"))
	require.Error(t, issuer.CheckStored(root.Raw, "server"))
}

func TestVerify(t *testing.T) {
	by, other := direct(t, keyOf(t, pki.ECDSAP256, 1)), direct(t, keyOf(t, pki.ECDSAP256, 2))
	leaf := issue(t, by, request(t, "www.example.com"))
	require.NoError(t, by.Verify(leaf.Raw))
	require.ErrorContains(t, other.Verify(leaf.Raw), "verifying a certificate", "of the same name, and another key")
	_, below := issuing(t, keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2))
	require.ErrorContains(t, below.Verify(leaf.Raw), `names "CN=TencentQQAuthCA" as its issuer`)
	late := sound(x509.ExtKeyUsageServerAuth)
	late.NotAfter = by.Certificate().NotAfter.Add(time.Second)
	require.ErrorContains(t, by.Verify(created(t, late, by.Certificate(), leaf.PublicKey, keyOf(t, pki.ECDSAP256, 1)).Raw), "outlast")
	require.Error(t, by.Verify(nil))
}

func FuzzCheckStored(f *testing.F) {
	key := keyOf(f, pki.ECDSAP256, 1)
	by := direct(f, key)
	asked := request(f, "www.example.com", "192.0.2.1")
	f.Add(issue(f, by, asked).Raw, "server")
	asked.Profile, asked.Names = "client", names(f, "callback.platform.internal")
	f.Add(issue(f, by, asked).Raw, "client")
	f.Add(by.Certificate().Raw, "internal")
	f.Fuzz(func(t *testing.T, der []byte, profile string) {
		if issuer.CheckStored(der, profile) != nil {
			return
		}
		c, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		require.False(t, c.IsCA)
		require.Len(t, c.ExtKeyUsage, 1)
		require.Empty(t, c.UnknownExtKeyUsage)
		if profile == "server" {
			require.Equal(t, x509.ExtKeyUsageServerAuth, c.ExtKeyUsage[0])
		}
		tbs, signature, err := pki.SplitCertificate(der)
		require.NoError(t, err)
		again, err := pki.AssembleCertificate(tbs, signature)
		require.NoError(t, err)
		require.Equal(t, der, again)
	})
}
