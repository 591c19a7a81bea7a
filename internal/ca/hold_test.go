package ca_test

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// unfinished makes of what a dry run has given at its end what it would give before.
func unfinished(t *testing.T, confirm string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(confirm)
	require.NoError(t, err)
	require.Contains(t, string(text), `,"counted":true`)
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(text), `,"counted":true`, "", 1)))
}

func TestHold(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		serial := f.issue("www.example.com").Certificate.Serial
		_, err := f.Revoke(t.Context(), developer, serial, pki.CertificateHold)
		refusal(t, err, ca.KindForbidden)
		held, err := f.Revoke(t.Context(), operator, serial, pki.CertificateHold)
		require.NoError(t, err)
		require.Equal(t, pki.CertificateHold, held.Revocation.Reason)
		_, err = f.Revoke(t.Context(), operator, serial, pki.CertificateHold)
		require.NoError(t, err, "again changes nothing")

		for p, kind := range map[ca.Principal]ca.Kind{developer: ca.KindForbidden, auditor: ca.KindForbidden, ca.Nobody("", ""): ca.KindUnauthenticated} {
			_, err = f.Release(t.Context(), p, serial)
			refusal(t, err, kind)
		}
		events := f.events(func() {
			free, err := f.Release(t.Context(), operator, serial)
			require.NoError(t, err)
			require.Nil(t, free.Revocation)
			require.Equal(t, ca.StatusValid, free.Status(f.clock.Now()))
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.ActRelease, events[0].Action)
		require.Empty(t, f.events(func() { _, err = f.Release(t.Context(), operator, serial) }))
		require.NoError(t, err, "again changes nothing")
		require.Len(t, f.all(ca.StatusValid), 1)

		// From a hold there is a way to every other reason, and none back.
		_, err = f.Revoke(t.Context(), operator, serial, pki.CertificateHold)
		require.NoError(t, err)
		f.clock.advance(time.Hour)
		gone, err := f.Revoke(t.Context(), developer, serial, pki.CessationOfOperation)
		require.NoError(t, err)
		require.Equal(t, &ca.Revocation{At: f.clock.Now().Add(-time.Hour), Reason: pki.CessationOfOperation, By: "olga"}, gone.Revocation)
		_, err = f.Release(t.Context(), operator, serial)
		refusal(t, err, ca.KindConflict)
		_, err = f.Revoke(t.Context(), operator, serial, pki.CertificateHold)
		refusal(t, err, ca.KindRevoked)
	})
}

func TestBlockedKey(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		replica := &fixture{t: t, url: url, clock: f.clock, keys: f.keys, profiles: f.profiles}
		replica.open()
		replica.load(replica.store)

		request := csr(t, x509.CertificateRequest{DNSNames: []string{"www.example.com"}})
		old, err := f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
		require.NoError(t, err)
		mine := f.issue("www.example.com").Certificate.Serial
		_, err = f.Revoke(t.Context(), developer, old.Certificate.Serial, pki.Superseded)
		require.NoError(t, err)
		_, err = f.Renew(t.Context(), developer, mine, ca.RenewRequest{CSR: request})
		require.NoError(t, err, "another reason does not block the key")
		_, err = f.Revoke(t.Context(), developer, old.Certificate.Serial, pki.KeyCompromise)
		require.NoError(t, err)

		for _, server := range []*fixture{f, replica} {
			_, err = server.Issue(t.Context(), stranger, ca.IssueRequest{CSR: request})
			require.Equal(t, "/csr", refusal(t, err, ca.KindBadKey).Field)
			_, err = server.Renew(t.Context(), developer, mine, ca.RenewRequest{CSR: request})
			refusal(t, err, ca.KindBadKey)
			_, err = server.Renew(t.Context(), developer, old.Certificate.Serial, ca.RenewRequest{})
			require.NoError(t, err, "a new key is made")
		}
	})
}

func TestRevokeByKey(t *testing.T) {
	f := newFixture(t)
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	request := csrOf(t, x509.CertificateRequest{DNSNames: []string{"www.example.com"}}, key)
	mine, err := f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
	require.NoError(t, err)
	other := f.issue("other.example.com").Certificate.Serial
	visitor := ca.Nobody("192.0.2.9", "req-1")

	refusal(t, f.RevokeByKey(t.Context(), visitor, other, key.Public()), ca.KindBadKey)
	refusal(t, f.RevokeByKey(t.Context(), visitor, pki.NewSerial(), key.Public()), ca.KindNotFound)
	require.Empty(t, f.all(ca.StatusRevoked))

	_, err = f.Revoke(t.Context(), developer, mine.Certificate.Serial, pki.Superseded)
	require.NoError(t, err)
	events := f.events(func() { require.NoError(t, f.RevokeByKey(t.Context(), visitor, mine.Certificate.Serial, key.Public())) })
	require.Len(t, events, 1)
	require.Equal(t, ca.ActRevoke, events[0].Action)
	require.Equal(t, "the holder of the key", events[0].Actor)
	require.Equal(t, "192.0.2.9", events[0].Address)
	require.NoError(t, f.RevokeByKey(t.Context(), visitor, mine.Certificate.Serial, key.Public()), "again changes nothing")
	cert, err := f.Certificate(t.Context(), developer, mine.Certificate.Serial)
	require.NoError(t, err)
	require.Equal(t, pki.KeyCompromise, cert.Revocation.Reason)
	_, err = f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
	refusal(t, err, ca.KindBadKey)
}
