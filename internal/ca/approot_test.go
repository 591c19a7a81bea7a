package ca_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// foreignRoot is a CA that is none of ours, valid for so many days.
func foreignRoot(t testing.TB, days int) []byte {
	t.Helper()
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	root, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "A company", Key: key, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Duration(days) * 24 * time.Hour),
	})
	require.NoError(t, err)
	return pki.EncodeCertificate(root.Raw)
}

func TestAppRoots(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		root := foreignRoot(t, 1000)
		added, is, err := f.AddAppRoot(t.Context(), operator, "demo", root)
		require.NoError(t, err)
		require.True(t, is)
		require.Equal(t, sha256.Sum256(added.Certificate), added.Fingerprint)
		_, is, err = f.AddAppRoot(t.Context(), operator, "demo", root)
		require.NoError(t, err)
		require.False(t, is)
		f.check(developer, ca.NewCheck{URL: endpointURL})
		require.Len(t, d.visits[0].Roots, 1)
		require.Equal(t, added.Certificate, d.visits[0].Roots[0].Raw)
		f.check(stranger, ca.NewCheck{URL: endpointURL})
		require.Empty(t, d.visits[1].Roots, "another app's")
		list, err := f.ListAppRoots(t.Context(), developer, "demo")
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.NoError(t, f.RemoveAppRoot(t.Context(), operator, "demo", added.Fingerprint))
		f.check(developer, ca.NewCheck{URL: endpointURL})
		require.Empty(t, d.visits[2].Roots)
		refusal(t, f.RemoveAppRoot(t.Context(), operator, "demo", added.Fingerprint), ca.KindNotFound)
	})
}

func TestAppRootsRefused(t *testing.T) {
	f, _ := checkingFixture(t, databases["sqlite"](t))
	root := foreignRoot(t, 1)
	_, _, err := f.AddAppRoot(t.Context(), developer, "demo", root)
	refusal(t, err, ca.KindForbidden)
	_, err = f.ListAppRoots(t.Context(), stranger, "demo")
	refusal(t, err, ca.KindNotFound)
	der, err := f.issue("www.example.com").Certificate.DER()
	require.NoError(t, err)
	for what, bad := range map[string][]byte{
		"text": []byte("root"), "nothing": nil, "two": append(append([]byte{}, root...), foreignRoot(t, 1)...), "a server's": pki.EncodeCertificate(der),
	} {
		_, _, err := f.AddAppRoot(t.Context(), operator, "demo", bad)
		require.Equal(t, "/certificate", refusal(t, err, ca.KindInvalid).Field, what)
	}
	_, _, err = f.AddAppRoot(t.Context(), operator, "none", root)
	require.Equal(t, "/app", refusal(t, err, ca.KindInvalid).Field)
	f.clock.advance(48 * time.Hour)
	_, _, err = f.AddAppRoot(t.Context(), operator, "demo", root)
	require.Contains(t, refusal(t, err, ca.KindInvalid).Detail, "ended")
	for range 10 {
		_, _, err := f.AddAppRoot(t.Context(), operator, "demo", foreignRoot(t, 100))
		require.NoError(t, err)
	}
	_, _, err = f.AddAppRoot(t.Context(), operator, "demo", foreignRoot(t, 100))
	refusal(t, err, ca.KindConflict)
}
