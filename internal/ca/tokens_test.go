package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestTokenLife(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		token, secret, err := f.CreateToken(t.Context(), operator, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo", Life: 24 * time.Hour})
		require.NoError(t, err)

		p, err := f.Authenticate(t.Context(), secret, "192.0.2.1", "r1")
		require.NoError(t, err)
		require.Equal(t, ca.Principal{Name: "ci", Role: ca.RoleDeveloper, App: "demo", Token: token.ID, Address: "192.0.2.1", RequestID: "r1"}, p)

		kept, err := f.store.Token(t.Context(), token.ID)
		require.NoError(t, err)
		require.Equal(t, f.clock.Now(), kept.LastUsed)
		require.NotContains(t, string(kept.Hash[:]), secret, "only a hash is kept")

		for _, wrong := range []string{"", "x", secret[:len(secret)-1], secret + "x", "Bearer " + secret} {
			_, err = f.Authenticate(t.Context(), wrong, "192.0.2.1", "r2")
			refusal(t, err, ca.KindUnauthenticated)
		}

		f.clock.advance(24*time.Hour - time.Microsecond)
		_, err = f.Authenticate(t.Context(), secret, "192.0.2.1", "r3")
		require.NoError(t, err, "until its last moment")
		f.clock.advance(time.Microsecond)
		_, err = f.Authenticate(t.Context(), secret, "192.0.2.1", "r4")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "expired")
	})
}

func TestRevokedTokenIsRefusedEverywhereAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		here := newFixtureOn(t, url, ca.HierarchyDirect)
		there := *here
		there.open()
		there.load(there.store)

		token, secret, err := here.CreateToken(t.Context(), operator, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo"})
		require.NoError(t, err)
		_, err = there.Authenticate(t.Context(), secret, "", "")
		require.NoError(t, err)
		require.NoError(t, here.RevokeToken(t.Context(), operator, token.ID))
		require.NoError(t, here.RevokeToken(t.Context(), operator, token.ID), "twice is as good as once")
		_, err = there.Authenticate(t.Context(), secret, "", "")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "revoked")
	})
}

func TestWhoMakesAndRevokesTokens(t *testing.T) {
	f := newFixture(t)
	anAdmin := ca.NewToken{Name: "second", Role: ca.RoleAdmin}
	forDemo := ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo"}
	for name, test := range map[string]struct {
		p    ca.Principal
		req  ca.NewToken
		kind ca.Kind
	}{
		"admin makes admin":             {admin, anAdmin, ""},
		"operator makes developer":      {operator, forDemo, ""},
		"operator makes admin":          {operator, anAdmin, ca.KindForbidden},
		"auditor":                       {auditor, forDemo, ca.KindForbidden},
		"developer":                     {developer, forDemo, ca.KindForbidden},
		"no such role":                  {admin, ca.NewToken{Name: "x", Role: "root"}, ca.KindInvalid},
		"developer of no app":           {admin, ca.NewToken{Name: "x", Role: ca.RoleDeveloper}, ca.KindInvalid},
		"developer of an unknown app":   {admin, ca.NewToken{Name: "x", Role: ca.RoleDeveloper, App: "nowhere"}, ca.KindInvalid},
		"operator of one app":           {admin, ca.NewToken{Name: "x", Role: ca.RoleOperator, App: "demo"}, ca.KindInvalid},
		"no name":                       {admin, ca.NewToken{Role: ca.RoleAdmin}, ca.KindInvalid},
		"a name that would break a log": {admin, ca.NewToken{Name: "x\ny", Role: ca.RoleAdmin}, ca.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			token, secret, err := f.CreateToken(t.Context(), test.p, test.req)
			if test.kind != "" {
				refusal(t, err, test.kind)
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, secret)
			if test.req.Role == ca.RoleAdmin {
				refusal(t, f.RevokeToken(t.Context(), operator, token.ID), ca.KindForbidden)
			}
			require.NoError(t, f.RevokeToken(t.Context(), test.p, token.ID))
		})
	}
	refusal(t, f.RevokeToken(t.Context(), admin, "tok_nothing"), ca.KindNotFound)
}

func TestTokenAskedForTwice(t *testing.T) {
	f := newFixture(t)
	req := ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo", IdempotencyKey: "k"}
	first, secret, err := f.CreateToken(t.Context(), operator, req)
	require.NoError(t, err)
	require.NotEmpty(t, secret)
	second, secret, err := f.CreateToken(t.Context(), operator, req)
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	require.Empty(t, secret, "a secret is shown once")
	req.Name = "other"
	_, _, err = f.CreateToken(t.Context(), operator, req)
	refusal(t, err, ca.KindKeyReused)
}
