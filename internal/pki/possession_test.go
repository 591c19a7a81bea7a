package pki_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

func proofText(t testing.TB, template x509.CertificateRequest, key any) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

// The line that the documentation shows makes a proof with a key of each type.
func TestProofByOpenSSL(t *testing.T) {
	judge.Need(t, "openssl")
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
		t.Run(string(kind), func(t *testing.T) {
			key, err := kind.Generate()
			require.NoError(t, err)
			text, err := pki.EncodeKey(key)
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "key.pem")
			require.NoError(t, os.WriteFile(file, text, 0o600))
			serial := pki.NewSerial()
			proof := judge.Run(t, "openssl", "req", "-new", "-key", file, "-subj", "/CN=revoke "+serial.String())
			public, err := pki.ParseProof(proof, serial)
			require.NoError(t, err)
			require.Equal(t, key.Public(), public)

			block, _ := pem.Decode([]byte(proof))
			public, err = pki.ParseProof(base64.StdEncoding.EncodeToString(block.Bytes)+"\n", serial)
			require.NoError(t, err)
			require.Equal(t, key.Public(), public)
			_, err = pki.ParseProof(proof, pki.NewSerial())
			require.ErrorContains(t, err, "openssl req -new", "it is for one certificate")
		})
	}
}

func TestProofRefuses(t *testing.T) {
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	serial := pki.NewSerial()
	subject := pkix.Name{CommonName: pki.ProofSubject(serial)}
	good := proofText(t, x509.CertificateRequest{Subject: subject}, key)
	_, err = pki.ParseProof(good, serial)
	require.NoError(t, err)
	_, err = pki.ParseProof(proofText(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: strings.ToUpper(subject.CommonName)}}, key), serial)
	require.NoError(t, err, "in any case")

	der, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	broken := append([]byte(nil), der...)
	broken[len(broken)-1] ^= 1
	for name, text := range map[string]string{
		"nothing":            "",
		"not base64":         "…",
		"a text":             base64.StdEncoding.EncodeToString([]byte("revoke")),
		"a broken signature": base64.StdEncoding.EncodeToString(broken),
		"truncated":          base64.StdEncoding.EncodeToString(der[:len(der)-9]),
		"something behind":   base64.StdEncoding.EncodeToString(append(append([]byte(nil), der...), 0)),
		"a request for a certificate": proofText(t, x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "www.example.com"}, DNSNames: []string{"www.example.com"}}, key),
		"only the serial": proofText(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: serial.String()}}, key),
		"another name":    proofText(t, x509.CertificateRequest{Subject: subject, DNSNames: []string{"www.example.com"}}, key),
		"another subject": proofText(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: subject.CommonName, Country: []string{"CN"}}}, key),
		"large":           strings.Repeat("A", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pki.ParseProof(text, serial)
			require.Error(t, err)
		})
	}
}

// Whatever is taken is a request that says what it is for, and that its key has signed.
func FuzzParseProof(f *testing.F) {
	key, err := pki.ECDSAP256.Generate()
	require.NoError(f, err)
	serial, err := pki.ParseSerial("01" + strings.Repeat("ab", 16))
	require.NoError(f, err)
	good := proofText(f, x509.CertificateRequest{Subject: pkix.Name{CommonName: pki.ProofSubject(serial)}}, key)
	f.Add(good)
	der, err := base64.StdEncoding.DecodeString(good)
	require.NoError(f, err)
	f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		public, err := pki.ParseProof(text, serial)
		if err != nil {
			return
		}
		data := []byte(text)
		if block, _ := pem.Decode(data); block != nil {
			data = block.Bytes
		} else {
			data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			require.NoError(t, err)
		}
		request, err := x509.ParseCertificateRequest(data)
		require.NoError(t, err)
		require.NoError(t, request.CheckSignature())
		require.Equal(t, request.PublicKey, public)
		require.True(t, strings.EqualFold("revoke "+serial.String(), request.Subject.CommonName))
	})
}
