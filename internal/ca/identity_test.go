package ca_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// Whoever the identity provider vouches for is a principal like others; a refusal of it is an event.
func TestIdentityProvider(t *testing.T) {
	f := newFixture(t)
	who := ca.Identity{Subject: "u-1", Name: "olga\n", Role: ca.RoleOperator}
	var refused error
	c, err := ca.New(ca.Config{Store: f.store, Issuers: f.Issuers(), Now: f.clock.Now, Identify: func(context.Context, string) (ca.Identity, error) { return who, refused }})
	require.NoError(t, err)
	p, err := c.Authenticate(t.Context(), "a.b.c", "192.0.2.1", "r")
	require.NoError(t, err)
	require.Equal(t, ca.Principal{Name: "olga\uFFFD", Role: ca.RoleOperator, Token: "oidc:u-1", Address: "192.0.2.1", RequestID: "r"}, p)
	_, err = c.ListApps(t.Context(), p, "", 0)
	require.NoError(t, err)

	refused = &ca.Error{Kind: ca.KindUnauthenticated, Detail: "It is over."}
	events := f.events(func() {
		_, err = c.Authenticate(t.Context(), "a.b.c", "192.0.2.1", "r")
		refusal(t, err, ca.KindUnauthenticated)
	})
	require.Len(t, events, 1)
	require.Equal(t, ca.OutcomeRefused, events[0].Outcome)

	refused = nil
	for _, role := range []ca.Role{ca.RoleDeveloper, "", "root"} {
		who.Role = role
		_, err = c.Authenticate(t.Context(), "a.b.c", "", "")
		require.Error(t, err)
	}
	refused = errors.New("a fault of ours")
	_, err = c.Authenticate(t.Context(), "a.b.c", "", "")
	require.ErrorContains(t, err, "a fault of ours")

	// Our own tokens go on, and without a provider nothing else does.
	token, secret, err := f.CreateToken(t.Context(), operator, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo"})
	require.NoError(t, err)
	p, err = c.Authenticate(t.Context(), secret, "", "")
	require.NoError(t, err)
	require.Equal(t, token.ID, p.Token)
	_, err = f.Authenticate(t.Context(), "a.b.c", "", "")
	refusal(t, err, ca.KindUnauthenticated)
}
