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
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

func selfSigned(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<40, 0).AddDate(-30000, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return der
}

func TestCertificatesInPEM(t *testing.T) {
	a, b := selfSigned(t, newKey(t, pki.ECDSAP256)), selfSigned(t, newKey(t, pki.Ed25519))
	require.True(t, bytes.HasSuffix(pki.EncodeCertificate(a), []byte("-----END CERTIFICATE-----\n")))
	file := append(append([]byte("\xef\xbb\xbf"), pki.EncodeCertificate(a)...), "\nand its parent\n"...)
	file = append(file, pki.EncodeCertificate(b)...)
	certificates, err := pki.ParseCertificates(file)
	require.NoError(t, err)
	require.Len(t, certificates, 2)
	require.Equal(t, a, certificates[0].Raw)
	require.Equal(t, b, certificates[1].Raw)

	key, err := pki.EncodeKey(newKey(t, pki.ECDSAP256))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		data []byte
		why  string
	}{
		"nothing":    {nil, "no certificate in PEM"},
		"DER":        {a, "-inform der"},
		"a key":      {key, "this is a private key where certificates"},
		"key behind": {append(pki.EncodeCertificate(a), key...), "this is a private key"},
		"broken":     {append(pki.EncodeCertificate(a), pki.EncodeCertificate(b[:9])...), "certificate 2 is broken"},
	} {
		certificates, err := pki.ParseCertificates(c.data)
		require.Nil(t, certificates, name)
		require.ErrorContains(t, err, c.why, name)
	}
}

func TestKeysInPEM(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	pkcs8, err := pki.EncodeKey(ec)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(pkcs8, []byte("-----END PRIVATE KEY-----\n")))
	for name, c := range map[string]struct {
		data []byte
		key  crypto.Signer
	}{
		"PKCS#8":               {pkcs8, ec},
		"PKCS#1":               {armour("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), rsaKey},
		"SEC 1":                {armour("EC PRIVATE KEY", sec1), ec},
		"SEC 1 and parameters": {append(armour("EC PARAMETERS", []byte{6, 0}), armour("EC PRIVATE KEY", sec1)...), ec},
	} {
		key, err := pki.ParseKey(c.data)
		require.NoError(t, err, name)
		require.Equal(t, c.key.Public(), key.Public(), name)
	}
	for name, c := range map[string]struct {
		data []byte
		why  string
	}{
		"nothing":       {nil, "no private key in PEM"},
		"encrypted":     {armour("ENCRYPTED PRIVATE KEY", []byte{1}), "passphrase"},
		"a certificate": {pki.EncodeCertificate(selfSigned(t, ec)), "this is a certificate where a private key"},
		"broken":        {armour("PRIVATE KEY", []byte{0x30, 0}), "broken"},
		"two":           {append(bytes.Clone(pkcs8), pkcs8...), "more than one"},
	} {
		key, err := pki.ParseKey(c.data)
		require.Nil(t, key, name)
		require.ErrorContains(t, err, c.why, name)
	}
}

func TestSplitAndAssemble(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.RSA2048, pki.Ed25519} {
		der := selfSigned(t, newKey(t, kind))
		certificate, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		tbs, signature, err := pki.SplitCertificate(der)
		require.NoError(t, err)
		require.Equal(t, certificate.RawTBSCertificate, tbs)
		require.Equal(t, certificate.Signature, signature)
		again, err := pki.AssembleCertificate(tbs, signature)
		require.NoError(t, err)
		require.Equal(t, der, again)
	}
	for _, bad := range [][]byte{nil, {0x30, 0}, []byte("certificate")} {
		_, err := pki.AssembleCertificate(bad, []byte{1})
		require.Error(t, err)
		_, _, err = pki.SplitCertificate(bad)
		require.Error(t, err)
	}
}

func FuzzSplitCertificate(f *testing.F) {
	der := selfSigned(f, newKey(f, pki.ECDSAP256))
	f.Add(der)
	f.Add(der[:40])
	f.Fuzz(func(t *testing.T, der []byte) {
		tbs, signature, err := pki.SplitCertificate(der)
		if err != nil {
			return
		}
		again, err := pki.AssembleCertificate(tbs, signature)
		require.NoError(t, err)
		require.Equal(t, der, again)
	})
}

func FuzzParseCertificates(f *testing.F) {
	one := pki.EncodeCertificate(selfSigned(f, newKey(f, pki.ECDSAP256)))
	f.Add(one)
	f.Add(append(bytes.Clone(one), one...))
	f.Fuzz(func(t *testing.T, data []byte) {
		certificates, err := pki.ParseCertificates(data)
		if err != nil {
			require.Empty(t, certificates)
			return
		}
		require.NotEmpty(t, certificates)
		var file []byte
		for _, certificate := range certificates {
			file = append(file, pki.EncodeCertificate(certificate.Raw)...)
		}
		again, err := pki.ParseCertificates(file)
		require.NoError(t, err)
		require.Len(t, again, len(certificates))
		for i := range again {
			require.Equal(t, certificates[i].Raw, again[i].Raw)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.Ed25519} {
		text, err := pki.EncodeKey(newKey(f, kind))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := pki.ParseKey(data)
		if err != nil {
			require.Nil(t, key)
			return
		}
		text, err := pki.EncodeKey(key)
		require.NoError(t, err)
		again, err := pki.ParseKey(text)
		require.NoError(t, err)
		require.Equal(t, key.Public(), again.Public())
	})
}
