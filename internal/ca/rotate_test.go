package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestRotation(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		old, secret, err := f.CreateToken(t.Context(), operator, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo", Life: 90 * 24 * time.Hour, Scopes: []string{"certificate.read", "token.rotate"}})
		require.NoError(t, err)
		ci, err := f.Authenticate(t.Context(), secret, "", "")
		require.NoError(t, err)
		f.clock.advance(24 * time.Hour)
		_, _, err = f.RotateToken(t.Context(), stranger, old.ID, time.Hour)
		refusal(t, err, ca.KindNotFound)
		_, _, err = f.RotateToken(t.Context(), auditor, old.ID, time.Hour)
		refusal(t, err, ca.KindForbidden)
		for range 2 { // an answer that got lost is asked for again
			next, fresh, err := f.RotateToken(t.Context(), ci, old.ID, time.Hour)
			require.NoError(t, err)
			require.Equal(t, old.Scopes, next.Scopes)
			require.Equal(t, f.clock.Now().Add(90*24*time.Hour), next.ExpiresAt)
			for _, s := range []string{secret, fresh} {
				_, err = f.Authenticate(t.Context(), s, "", "")
				require.NoError(t, err, "both work for the overlap")
			}
		}
		f.clock.advance(time.Hour)
		_, err = f.Authenticate(t.Context(), secret, "", "")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "was rotated")
		_, _, err = f.RotateToken(t.Context(), operator, old.ID, time.Hour)
		refusal(t, err, ca.KindConflict)
		_, _, err = f.RotateToken(t.Context(), operator, old.ID, 31*24*time.Hour)
		refusal(t, err, ca.KindInvalid)
		mine, _, err := f.CreateToken(t.Context(), admin, ca.NewToken{Name: "root", Role: ca.RoleAdmin})
		require.NoError(t, err)
		_, _, err = f.RotateToken(t.Context(), operator, mine.ID, time.Hour)
		refusal(t, err, ca.KindForbidden)
	})
}

func TestScopes(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.CreateToken(t.Context(), operator, ca.NewToken{Name: "x", Role: ca.RoleDeveloper, App: "demo", Scopes: []string{"certificate.issue", "app.create"}})
	require.Equal(t, "/scopes/1", refusal(t, err, ca.KindInvalid).Field, "no scope beyond the role")
	_, secret, err := f.CreateToken(t.Context(), operator, ca.NewToken{Name: "x", Role: ca.RoleDeveloper, App: "demo", Scopes: []string{"certificate.issue"}})
	require.NoError(t, err)
	p, err := f.Authenticate(t.Context(), secret, "", "")
	require.NoError(t, err)
	issued, err := f.Issue(t.Context(), p, request("www.example.com"))
	require.NoError(t, err)
	events := f.events(func() {
		_, err = f.Certificate(t.Context(), p, issued.Certificate.Serial)
		require.Contains(t, refusal(t, err, ca.KindForbidden).Detail, "good for certificate.issue only")
	})
	require.Len(t, events, 1)

	// A scoped token makes none that can do more.
	_, secret, err = f.CreateToken(t.Context(), admin, ca.NewToken{Name: "maker", Role: ca.RoleOperator, Scopes: []string{"token.create", "certificate.issue"}})
	require.NoError(t, err)
	maker, err := f.Authenticate(t.Context(), secret, "", "")
	require.NoError(t, err)
	for _, scopes := range [][]string{nil, {"certificate.issue", "certificate.revoke"}} {
		_, _, err = f.CreateToken(t.Context(), maker, ca.NewToken{Name: "x", Role: ca.RoleDeveloper, App: "demo", Scopes: scopes})
		refusal(t, err, ca.KindForbidden)
	}
	_, _, err = f.CreateToken(t.Context(), maker, ca.NewToken{Name: "x", Role: ca.RoleDeveloper, App: "demo", Scopes: []string{"certificate.issue"}})
	require.NoError(t, err)
}
