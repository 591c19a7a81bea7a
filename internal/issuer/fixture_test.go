package issuer_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// start is the time of every test: no test asks a clock.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// keyring makes one key of each type and number, because RSA keys take their time.
var keyring sync.Map

func keyOf(t testing.TB, kind pki.KeyType, number int) crypto.Signer {
	t.Helper()
	type slot struct {
		kind   pki.KeyType
		number int
	}
	if key, ok := keyring.Load(slot{kind, number}); ok {
		return key.(crypto.Signer)
	}
	key, err := kind.Generate()
	require.NoError(t, err)
	keyring.Store(slot{kind, number}, key)
	return key
}

func newRoot(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	root, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "TencentQQAuthCA", Key: key,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(20 * year),
	})
	require.NoError(t, err)
	return root
}

// direct is a root that signs leaves itself.
func direct(t testing.TB, key crypto.Signer) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(issuer.Config{
		Name: "TencentQQAuthCA", Certificate: newRoot(t, key), Key: key,
		Profiles: allKeys(issuer.DefaultProfiles()), BaseURL: "http://ca.example.com",
	})
	require.NoError(t, err)
	return i
}

// allKeys allows every key type in the profiles.
func allKeys(profiles []issuer.Profile) []issuer.Profile {
	for n := range profiles {
		profiles[n].KeyTypes = pki.KeyTypes()
	}
	return profiles
}

// issuing is an authority for servers below a root, and the root.
func issuing(t testing.TB, rootKey, key crypto.Signer) (root, below *issuer.Issuer) {
	t.Helper()
	profiles := allKeys(issuer.DefaultProfiles())
	root, err := issuer.New(issuer.Config{
		Name: "TencentQQAuthCA", Certificate: newRoot(t, rootKey), Key: rootKey, Profiles: profiles[1:], BaseURL: "http://ca.example.com",
	})
	require.NoError(t, err)
	certificate, err := root.NewIntermediate(issuer.IntermediateRequest{
		Serial: pki.NewSerial(), CommonName: "TencentQQAuthCA-Issuing", PublicKey: key.Public(), EKU: x509.ExtKeyUsageServerAuth,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(10 * year),
	})
	require.NoError(t, err)
	below, err = issuer.New(issuer.Config{
		Name: "TencentQQAuthCA-Issuing", Certificate: certificate, Chain: []*x509.Certificate{root.Certificate()},
		Key: key, Profiles: profiles[:1], BaseURL: "http://ca.example.com",
	})
	require.NoError(t, err)
	return root, below
}

func names(t testing.TB, texts ...string) []pki.Name {
	t.Helper()
	parsed, err := pki.ParseNames(texts)
	require.NoError(t, err)
	return parsed
}

// request asks for a certificate for a server, with a key of its own.
func request(t testing.TB, texts ...string) issuer.Request {
	t.Helper()
	return issuer.Request{
		Profile: "server", Serial: pki.NewSerial(), Names: names(t, texts...), PublicKey: keyOf(t, pki.ECDSAP256, 99).Public(),
		NotBefore: start.Add(-5 * time.Minute), NotAfter: start.Add(-5*time.Minute + 90*24*time.Hour - time.Second),
	}
}

func issue(t testing.TB, i *issuer.Issuer, r issuer.Request) *x509.Certificate {
	t.Helper()
	draft, err := i.Prepare(r)
	require.NoError(t, err)
	der, err := i.Sign(draft)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, draft.TBS(), certificate.RawTBSCertificate)
	return certificate
}

// writePEM puts certificates into a file for other programs.
func writePEM(t testing.TB, name string, certificates ...*x509.Certificate) string {
	t.Helper()
	var text []byte
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}
