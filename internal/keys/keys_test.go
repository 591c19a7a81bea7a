package keys_test

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
)

const passphrase = "correct horse, batterie, Ständer"

func newKey(t testing.TB, kind pki.KeyType) crypto.Signer {
	t.Helper()
	key, err := kind.Generate()
	require.NoError(t, err)
	return key
}

func publicPEM(t *testing.T, path string) string {
	t.Helper()
	key, err := keys.Open("file:"+path, []byte(passphrase))
	require.NoError(t, err)
	text, err := pki.EncodeKey(key)
	require.NoError(t, err)
	return judge.RunInput(t, text, "openssl", "pkey", "-pubout")
}

func TestWriteAndOpen(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
		t.Run(string(kind), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ca.key")
			key := newKey(t, kind)
			require.NoError(t, keys.Write(path, key, []byte(passphrase)))
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode())
			opened, err := keys.Open("file:"+path, []byte(passphrase))
			require.NoError(t, err)
			require.Equal(t, key, opened)

			require.Equal(t, publicPEM(t, path),
				judge.Run(t, "openssl", "pkey", "-in", path, "-passin", "pass:"+passphrase, "-pubout"))
			_, err = judge.RunErr(t, "openssl", "pkey", "-in", path, "-passin", "pass:wrong", "-noout")
			require.Error(t, err)
		})
	}
}

func TestWriteNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.key")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o644))
	err := keys.Write(path, newKey(t, pki.ECDSAP256), []byte(passphrase))
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorContains(t, err, "choose another path")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t, pki.ECDSAP256)
	require.ErrorContains(t, keys.Write(filepath.Join(dir, "a"), key, nil), "passphrase is empty")
	require.ErrorIs(t, keys.Write(filepath.Join(dir, "none", "a"), key, []byte("x")), fs.ErrNotExist)
	require.Error(t, keys.Write(filepath.Join(dir, "b"), struct{ crypto.Signer }{}, []byte("x")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing half-written stays")
}

// Keys as openssl writes them, and as it reads ours.
func TestOpenReadsWhatOpenSSLWrites(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.key")
	judge.Run(t, "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", plain)
	require.NoError(t, os.Chmod(plain, 0o600))
	want := judge.Run(t, "openssl", "pkey", "-in", plain, "-pubout")
	require.Equal(t, want, publicPEM(t, plain), "SEC 1 behind EC PARAMETERS, not encrypted")

	pass := "pass:" + passphrase
	for name, options := range map[string][]string{
		"default":    {},
		"aes128":     {"-v2", "aes-128-cbc"},
		"aes192":     {"-v2", "aes-192-cbc"},
		"sha1":       {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"},
		"sha384":     {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384"},
		"sha512":     {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"},
		"iterations": {"-v2", "aes-256-cbc", "-iter", "10000"},
	} {
		out := filepath.Join(dir, name)
		judge.Run(t, "openssl", append([]string{"pkcs8", "-topk8", "-in", plain, "-out", out, "-passout", pass}, options...)...)
		require.Equal(t, want, publicPEM(t, out), name)
	}
	for name, options := range map[string][]string{
		"scrypt": {"-scrypt"},
		"3des":   {"-v2", "des3"},
	} {
		out := filepath.Join(dir, name)
		judge.Run(t, "openssl", append([]string{"pkcs8", "-topk8", "-in", plain, "-out", out, "-passout", pass}, options...)...)
		_, err := keys.Open("file:"+out, []byte(passphrase))
		require.ErrorContains(t, err, "openssl pkcs8 -topk8", name)

		mended := out + ".mended"
		judge.Run(t, "openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", out, "-out", mended, "-passin", pass, "-passout", pass)
		require.Equal(t, want, publicPEM(t, mended), "what the message says to do works")
	}
	old := filepath.Join(dir, "old")
	judge.Run(t, "openssl", "ec", "-aes128", "-in", plain, "-out", old, "-passout", pass)
	_, err := keys.Open("file:"+old, []byte(passphrase))
	require.ErrorContains(t, err, "encrypted")
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	require.NoError(t, keys.Write(good, newKey(t, pki.ECDSAP256), []byte(passphrase)))
	text, err := os.ReadFile(good)
	require.NoError(t, err)
	plain, err := pki.EncodeKey(newKey(t, pki.ECDSAP256))
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	block.Bytes = bytes.Clone(block.Bytes)
	block.Bytes[len(block.Bytes)-1] ^= 1
	write := func(name string, data []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return "file:" + path
	}
	for name, c := range map[string]struct {
		ref, passphrase, why string
	}{
		"no reference":     {good, passphrase, "give file:PATH"},
		"empty reference":  {"file:", passphrase, "give file:PATH"},
		"unknown scheme":   {"vault:x", passphrase, "give file:PATH"},
		"missing":          {"file:" + filepath.Join(dir, "none"), passphrase, "no such file"},
		"a folder":         {"file:" + dir, passphrase, "directory"},
		"no passphrase":    {"file:" + good, "", "give its passphrase"},
		"wrong passphrase": {"file:" + good, "wrong", "passphrase does not fit"},
		"damaged":          {write("damaged", pem.EncodeToMemory(block), 0o600), passphrase, "passphrase does not fit"},
		"truncated":        {write("truncated", text[:len(text)/2], 0o600), passphrase, "no private key"},
		"readable by all":  {write("open", plain, 0o644), passphrase, "chmod 600"},
		"large":            {write("large", make([]byte, 65<<10), 0o600), passphrase, "larger than 64 KiB"},
		"a certificate":    {write("cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), 0o600), passphrase, "this is a certificate"},
	} {
		key, err := keys.Open(c.ref, []byte(c.passphrase))
		require.Nil(t, key, name)
		require.ErrorContains(t, err, c.why, name)
		require.NotContains(t, err.Error(), passphrase)
	}
	key, err := keys.Open(write("group", plain, 0o640), nil)
	require.NoError(t, err, "a group may read it, as secrets are mounted")
	require.NotNil(t, key)
}

func TestPassphrase(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return "file:" + path
	}
	t.Setenv("IMCA_TEST_PASSPHRASE", " a:b ")
	t.Setenv("IMCA_TEST_EMPTY", "")
	for ref, want := range map[string]string{
		"env:IMCA_TEST_PASSPHRASE": " a:b ",
		write("plain", "secret"):   "secret",
		write("unix", "secret\n"):  "secret",
		write("dos", "secret\r\n"): "secret",
		write("two", "one\ntwo\n"): "one\ntwo",
		write("bytes", "\xff\x00"): "\xff\x00",
		write("spaces", " a b \n"): " a b ",
	} {
		got, err := keys.Passphrase(ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, string(got), ref)
	}
	for ref, why := range map[string]string{
		"env:IMCA_TEST_EMPTY":                       "empty or not set",
		"env:IMCA_TEST_UNSET":                       "empty or not set",
		write("empty", "\n"):                        "empty or not set",
		"file:" + filepath.Join(dir, "none"):        "no such file",
		write("large", string(make([]byte, 5<<10))): "larger than 4 KiB",
		"":           "give env:NAME or file:PATH",
		"env:":       "give env:NAME or file:PATH",
		"my secret":  "give env:NAME or file:PATH",
		"my:secret!": "give env:NAME or file:PATH",
	} {
		_, err := keys.Passphrase(ref)
		require.ErrorContains(t, err, why, ref)
		require.NotContains(t, err.Error(), "secret", "what was taken for a reference may be a passphrase")
	}
}
