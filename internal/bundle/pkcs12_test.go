package bundle_test

import (
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

const password = `pass "word"~1`

func TestKeyStore(t *testing.T) {
	for shape, build := range hierarchies {
		for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
			t.Run(shape+"/"+string(kind), func(t *testing.T) {
				in := build(t).input(t, kind, "www.example.com")
				store, err := bundle.KeyStore(in, password)
				require.NoError(t, err)
				file := filepath.Join(t.TempDir(), "www.example.com.p12")
				require.NoError(t, os.WriteFile(file, store, 0o600))

				output := judge.Run(t, "openssl", "pkcs12", "-in", file, "-passin", "pass:"+password, "-nodes")
				chain, err := pki.ParseCertificates([]byte(certificates(output)))
				require.NoError(t, err)
				want, err := pki.ParseCertificates(slices.Concat(in.Certificate, in.Chain))
				require.NoError(t, err)
				require.Equal(t, len(want), len(chain))
				for i := range want {
					require.True(t, want[i].Equal(chain[i]))
				}
				_, key, _ := strings.Cut(output, "-----BEGIN PRIVATE KEY")
				require.Equal(t, string(in.Key), strings.TrimSpace("-----BEGIN PRIVATE KEY"+key)+"\n")
				_, err = judge.RunErr(t, "openssl", "pkcs12", "-in", file, "-passin", "pass:another", "-nodes")
				require.Error(t, err)

				listed := judge.Run(t, "keytool", "-list", "-v", "-keystore", file, "-storepass", password)
				require.Contains(t, listed, "Your keystore contains 1 entry")
				require.Contains(t, listed, "Entry type: PrivateKeyEntry")
				require.Contains(t, listed, map[int]string{1: "Certificate chain length: 1", 2: "Certificate chain length: 2"}[len(want)])
			})
		}
	}
}

func certificates(output string) string {
	var blocks strings.Builder
	for {
		_, rest, found := strings.Cut(output, "-----BEGIN CERTIFICATE")
		if !found {
			return blocks.String()
		}
		block, after, _ := strings.Cut(rest, "-----END CERTIFICATE-----\n")
		blocks.WriteString("-----BEGIN CERTIFICATE" + block + "-----END CERTIFICATE-----\n")
		output = after
	}
}

// The platform itself may keep its client certificate in a Java key store.
func TestKeyStoreOfThePlatform(t *testing.T) {
	h := hierarchies["separate"](t)
	leaf := h.client.leaf(t, pki.ECDSAP256, clientTemplate(pkix.Name{CommonName: platform}, clientAuth))
	in := bundle.Input{Certificate: pki.EncodeCertificate(leaf.Certificate[0]), Key: encodeKey(t, leaf.PrivateKey), Root: h.client.root()}
	store, err := bundle.KeyStore(in, password)
	require.NoError(t, err)
	require.Contains(t, judge.RunInput(t, store, "openssl", "pkcs12", "-passin", "pass:"+password, "-nodes"), platform)
}

func TestKeyStoreNeedsTheKey(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	in.Key = nil
	_, err := bundle.KeyStore(in, password)
	require.ErrorContains(t, err, "openssl pkcs12 -export")
}

func TestTrustStore(t *testing.T) {
	first, second := newAuthority(t, "TencentQQAuthCA", nil), newAuthority(t, "another", nil)
	authority := first.root()
	for entries, want := range map[string][]string{
		"Your keystore contains 1 entry":   {"Alias name: tencentqqauthca\n"},
		"Your keystore contains 2 entries": {"Alias name: tencentqqauthca\n", "Alias name: tencentqqauthca-2\n"},
	} {
		t.Run(entries, func(t *testing.T) {
			a := authority
			if len(want) == 2 {
				a.Certificates = slices.Concat(a.Certificates, second.root().Certificates)
			}
			store, err := bundle.TrustStore(a, "changeit")
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "TencentQQAuthCA.p12")
			require.NoError(t, os.WriteFile(file, store, 0o600))
			listed := judge.Run(t, "keytool", "-list", "-v", "-keystore", file, "-storepass", "changeit")
			require.Contains(t, listed, entries)
			for _, alias := range want {
				require.Contains(t, listed, alias)
			}
			require.Equal(t, len(want), strings.Count(listed, "Entry type: trustedCertEntry"))
			output := judge.Run(t, "openssl", "pkcs12", "-in", file, "-passin", "pass:changeit", "-nokeys")
			require.Equal(t, string(a.Certificates), certificates(output))
		})
	}
}

func TestPasswords(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	for _, bad := range []string{"", "12345", "pässword", "pass\nword", "pass\x00word", "password\x7f"} {
		_, err := bundle.KeyStore(in, bad)
		require.ErrorContains(t, err, "give at least 6 printable ASCII characters", "%q", bad)
		_, err = bundle.TrustStore(in.ClientCA, bad)
		require.ErrorContains(t, err, "give at least 6 printable ASCII characters", "%q", bad)
	}
	_, err := bundle.TrustStore(bundle.Authority{Name: "../x", Certificates: in.ClientCA.Certificates}, password)
	require.ErrorContains(t, err, "cannot name a file")
}
