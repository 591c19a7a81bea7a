package pki_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// Requests with weak and foreign keys, as people make them with openssl.
func TestWeakRequestsMadeByOpenSSL(t *testing.T) {
	for name, c := range map[string]struct {
		genpkey []string
		why     string
	}{
		"RSA-1024":   {[]string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"}, "RSA key of 1024 bits"},
		"exponent 3": {[]string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"}, "exponent 3"},
		"P-224":      {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"}, "P-224"},
		"P-521":      {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, "P-521"},
		"secp256k1":  {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, "unsupported elliptic curve"},
		"Ed448":      {[]string{"-algorithm", "ED448"}, "kind that is not served"},
		"RSA-PSS":    {[]string{"-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"}, "kind that is not served"},
	} {
		t.Run(name, func(t *testing.T) {
			key, file := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "request.pem")
			judge.Run(t, "openssl", append([]string{"genpkey", "-out", key}, c.genpkey...)...)
			judge.Run(t, "openssl", "req", "-new", "-key", key, "-subj", "/CN=www.example.com", "-out", file)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = pki.ParseCSR(data)
			require.ErrorContains(t, err, c.why)
		})
	}
}

// A request with its text before it, and a certificate in the place of a request.
func TestFilesMadeByOpenSSL(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	judge.Run(t, "openssl", "ecparam", "-name", "secp384r1", "-genkey", "-out", key)
	text := judge.Run(t, "openssl", "req", "-new", "-text", "-key", key, "-subj", "/CN=www.example.com")
	csr, err := pki.ParseCSR([]byte(text))
	require.NoError(t, err)
	require.Equal(t, []pki.Name{mustName(t, "www.example.com")}, csr.Names)

	data, err := os.ReadFile(key)
	require.NoError(t, err)
	parsed, err := pki.ParseKey(data)
	require.NoError(t, err)
	require.Equal(t, csr.PublicKey, parsed.Public())

	certificate := judge.Run(t, "openssl", "req", "-x509", "-text", "-key", key, "-subj", "/CN=www.example.com")
	_, err = pki.ParseCSR([]byte(certificate))
	require.ErrorContains(t, err, "this is a certificate: give a certificate signing request")
	certificates, err := pki.ParseCertificates([]byte(certificate))
	require.NoError(t, err)
	require.Len(t, certificates, 1)
}
