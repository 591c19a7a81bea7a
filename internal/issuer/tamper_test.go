package issuer

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

// A fault between what was asked for and what is encoded is found in the bytes
// themselves: for each part of a certificate, a template that is wrong there only.
func TestThePreparedCertificateIsHeldAgainstTheRequest(t *testing.T) {
	by, asked, profile := prepared(t)
	otherKey, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	otherSPKI, err := x509.MarshalPKIXPublicKey(otherKey.Public())
	require.NoError(t, err)
	rsaKey, err := pki.RSA2048.Generate()
	require.NoError(t, err)
	otherSigner, err := newSigner(rsaKey, rsaKey.Public())
	require.NoError(t, err)
	more, err := pki.ParseNames([]string{"www.example.com", "b.example.com", "192.0.2.1", "evil.example.com"})
	require.NoError(t, err)
	subject := func(name pkix.Name) []byte {
		der, err := encodeName(name)
		require.NoError(t, err)
		return der
	}
	for name, change := range map[string]func(*template){
		"serial":          func(x *template) { x.serial = pki.NewSerial() },
		"algorithm":       func(x *template) { x.algorithm = otherSigner.encoded },
		"issuer":          func(x *template) { x.issuer = subject(pkix.Name{CommonName: "other"}) },
		"another subject": func(x *template) { x.subject = subject(pkix.Name{CommonName: "callback.platform.internal"}) },
		"more subject": func(x *template) {
			x.subject = subject(pkix.Name{CommonName: "www.example.com", Locality: []string{"x"}})
		},
		"organization": func(x *template) {
			x.subject = subject(pkix.Name{CommonName: "www.example.com", Organization: []string{"x"}})
		},
		"no subject":        func(x *template) { x.subject = subject(pkix.Name{}) },
		"not before":        func(x *template) { x.notBefore = x.notBefore.Add(time.Second) },
		"not after":         func(x *template) { x.notAfter = x.notAfter.Add(time.Second) },
		"key":               func(x *template) { x.spki = otherSPKI },
		"key usage":         func(x *template) { x.keyUsage |= x509.KeyUsageCertSign },
		"no key usage":      func(x *template) { x.keyUsage = x509.KeyUsageKeyAgreement },
		"client's usage":    func(x *template) { x.usage = oidClientAuth },
		"no usage":          func(x *template) { x.usage = nil },
		"any usage":         func(x *template) { x.usage = asn1.ObjectIdentifier{2, 5, 29, 37, 0} },
		"unknown usage":     func(x *template) { x.usage = asn1.ObjectIdentifier{1, 2, 3} },
		"a CA":              func(x *template) { x.isCA = true; x.pathLength = noPathLength },
		"a CA of length 0":  func(x *template) { x.isCA = true },
		"no key identifier": func(x *template) { x.subjectKeyID = nil },
		"authority key":     func(x *template) { x.authorityKey = x.subjectKeyID },
		"another name":      func(x *template) { x.names = append(more[3:4:4], more[1:3]...) },
		"one name more":     func(x *template) { x.names = more },
		"one name less":     func(x *template) { x.names = x.names[:2] },
		"no names":          func(x *template) { x.names = nil },
		"CRL":               func(x *template) { x.urls.crl = "http://evil.example/crl" },
		"no CRL":            func(x *template) { x.urls.crl = "" },
		"OCSP":              func(x *template) { x.urls.ocsp = "http://evil.example/ocsp" },
		"issuer's URL":      func(x *template) { x.urls.issuer = "http://evil.example/ca" },
	} {
		x, err := by.leaf(asked, profile)
		require.NoError(t, err)
		check := func(c *x509.Certificate) error { return by.checkPrepared(c, asked, profile) }
		_, err = by.draft(x, by.linter, check)
		require.NoError(t, err, "as it should be")
		change(x)
		draft, err := by.draft(x, &linter{}, check)
		require.Error(t, err, name)
		require.Nil(t, draft, name)
	}
}

func prepared(t *testing.T) (*Issuer, Request, Profile) {
	t.Helper()
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root, err := NewRoot(RootRequest{
		Serial: pki.NewSerial(), CommonName: "x", Key: key, NotBefore: begin, NotAfter: begin.AddDate(20, 0, 0),
	})
	require.NoError(t, err)
	by, err := New(Config{Name: "x", Certificate: root, Key: key, Profiles: DefaultProfiles(), BaseURL: "http://ca.example.com"})
	require.NoError(t, err)
	leafKey, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	names, err := pki.ParseNames([]string{"www.example.com", "b.example.com", "192.0.2.1"})
	require.NoError(t, err)
	profile, _ := by.Profile(ServerProfile)
	return by, Request{
		Profile: ServerProfile, Serial: pki.NewSerial(), Names: names, PublicKey: leafKey.Public(),
		NotBefore: begin, NotAfter: begin.Add(24 * time.Hour),
	}, profile
}

// A draft whose bytes have changed in memory, at any place, is not signed.
func TestAChangedDraftIsNotSigned(t *testing.T) {
	by, asked, _ := prepared(t)
	for step := 0; step < 400; step += 7 {
		draft, err := by.Prepare(asked)
		require.NoError(t, err)
		draft.tbs[step%len(draft.tbs)] ^= 1
		der, err := by.Sign(draft)
		require.ErrorContains(t, err, "changed since it was checked")
		require.Nil(t, der)
	}
	draft, err := by.Prepare(asked)
	require.NoError(t, err)
	other, err := by.Prepare(asked)
	require.NoError(t, err)
	draft.tbs = append(bytes.Clone(other.tbs), 0)
	_, err = by.Sign(draft)
	require.ErrorContains(t, err, "changed since it was checked")
}

// A lint that objects stops the issuance, and the error names it.
func TestLintsStopTheIssuance(t *testing.T) {
	by, asked, profile := prepared(t)
	require.Greater(t, len(by.linter.lints), 120, "the lints of RFC 5280 and its kin are there")
	pass := func(*x509.Certificate) error { return nil }
	for lint, change := range map[string]func(*template){
		"e_key_usage_and_extended_key_usage_inconsistent": func(x *template) { x.keyUsage = x509.KeyUsageCertSign },
		"w_ext_aia_access_location_missing":               func(x *template) { x.urls.issuer = "ftp://x.example/" },
	} {
		x, err := by.leaf(asked, profile)
		require.NoError(t, err)
		change(x)
		draft, err := by.draft(x, by.linter, pass)
		require.Nil(t, draft)
		require.ErrorContains(t, err, lint)
	}
}
