package ca_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// signedIn is a developer of demo with a token of their own, signed in.
func (f *fixture) signedIn() (cookie string, token ca.Token) {
	f.t.Helper()
	token, secret, err := f.CreateToken(f.t.Context(), operator, ca.NewToken{Name: "dora", Role: ca.RoleDeveloper, App: "demo"})
	require.NoError(f.t, err)
	p, err := f.Authenticate(f.t.Context(), secret, "192.0.2.1", "r")
	require.NoError(f.t, err)
	cookie, _, err = f.SignIn(f.t.Context(), p)
	require.NoError(f.t, err)
	return cookie, token
}

func TestSessionIsThePrincipal(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		cookie, token := f.signedIn()
		p, err := f.Session(t.Context(), cookie, "192.0.2.7", "r7")
		require.NoError(t, err)
		require.Equal(t, ca.Principal{Name: "dora", Role: ca.RoleDeveloper, App: "demo", Token: token.ID, Address: "192.0.2.7", RequestID: "r7"}, p)

		_, err = f.Authenticate(t.Context(), cookie, "", "")
		refusal(t, err, ca.KindUnauthenticated)
		for _, wrong := range []string{"", "x", cookie[:len(cookie)-1], cookie + "x"} {
			require.Empty(t, f.events(func() {
				_, err := f.Session(t.Context(), wrong, "", "")
				refusal(t, err, ca.KindUnauthenticated)
			}))
		}

		events := f.events(func() { require.NoError(t, f.SignOut(t.Context(), cookie, "192.0.2.7", "r8")) })
		require.Len(t, events, 1)
		require.Equal(t, ca.ActSignOut, events[0].Action)
		_, err = f.Session(t.Context(), cookie, "", "")
		refusal(t, err, ca.KindUnauthenticated)
		require.NoError(t, f.SignOut(t.Context(), cookie, "", ""), "twice is as good as once")
	})
}

func TestSessionsAreOver(t *testing.T) {
	f := newFixture(t)
	alive := func(cookie string) bool {
		_, err := f.Session(t.Context(), cookie, "", "")
		return err == nil
	}
	cookie, _ := f.signedIn()
	f.clock.advance(ca.SessionIdle - time.Microsecond)
	require.True(t, alive(cookie), "just in time")
	f.clock.advance(ca.SessionIdle)
	require.False(t, alive(cookie), "nobody used it")

	cookie, _ = f.signedIn()
	for spent := time.Duration(0); spent < ca.SessionLife; spent += 20 * time.Minute {
		require.True(t, alive(cookie), spent)
		f.clock.advance(20 * time.Minute)
	}
	require.False(t, alive(cookie), "at the latest")
	require.NoError(t, f.Sweep(t.Context()))
	require.False(t, alive(cookie))
}

// TestTokenTakesItsSessionsAlong: whatever ends a token ends what stands on it, at once and in every process.
func TestTokenTakesItsSessionsAlong(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		here := newFixtureOn(t, url, ca.HierarchyDirect)
		there := *here
		there.open()
		there.load(there.store)

		cookie, token := here.signedIn()
		_, err := there.Session(t.Context(), cookie, "", "")
		require.NoError(t, err)
		require.NoError(t, here.RevokeToken(t.Context(), operator, token.ID))
		_, err = there.Session(t.Context(), cookie, "", "")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "revoked")

		cookie, token = here.signedIn()
		_, _, err = here.RotateToken(t.Context(), operator, token.ID, time.Minute)
		require.NoError(t, err)
		here.clock.advance(time.Minute)
		_, err = there.Session(t.Context(), cookie, "", "")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "rotated")
	})
}

func TestPersonIsSignedOutEverywhere(t *testing.T) {
	f := newFixture(t)
	person := ca.Principal{Name: "olga@example.com", Role: ca.RoleOperator, Token: "oidc:u-1"}
	cookie, _, err := f.SignIn(t.Context(), person)
	require.NoError(t, err)
	link, _, err := f.SignInLink(t.Context(), person)
	require.NoError(t, err)
	for _, p := range []ca.Principal{auditor, developer} {
		_, err = f.EndSessions(t.Context(), p, person.Token)
		refusal(t, err, ca.KindForbidden)
	}
	_, err = f.EndSessions(t.Context(), operator, "")
	refusal(t, err, ca.KindInvalid)
	n, err := f.EndSessions(t.Context(), operator, person.Token)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = f.Session(t.Context(), cookie, "", "")
	refusal(t, err, ca.KindUnauthenticated)
	_, _, err = f.OpenSignInLink(t.Context(), link, "", "")
	refusal(t, err, ca.KindUnauthenticated)
}

func TestSignInLinkWorksOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		_, token := f.signedIn()
		p := ca.Principal{Name: "dora", Role: ca.RoleDeveloper, App: "demo", Token: token.ID}
		link, _, err := f.SignInLink(t.Context(), p)
		require.NoError(t, err)
		_, err = f.Session(t.Context(), link, "", "")
		refusal(t, err, ca.KindUnauthenticated)

		var cookie string
		events := f.events(func() {
			cookie, _, err = f.OpenSignInLink(t.Context(), link, "192.0.2.9", "r9")
			require.NoError(t, err)
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.ActSignIn, events[0].Action)
		require.Equal(t, "192.0.2.9", events[0].Address)
		got, err := f.Session(t.Context(), cookie, "", "")
		require.NoError(t, err)
		require.Equal(t, p, got)

		late, _, err := f.SignInLink(t.Context(), p)
		require.NoError(t, err)
		f.clock.advance(ca.SignInLinkLife)
		for _, bad := range []string{link, late, "", "imca_link_" + link, cookie} {
			events := f.events(func() {
				_, _, err := f.OpenSignInLink(t.Context(), bad, "", "")
				refusal(t, err, ca.KindUnauthenticated)
			})
			require.Len(t, events, 1, "a refusal is an event")
			require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
		}

		last, _, err := f.SignInLink(t.Context(), p)
		require.NoError(t, err)
		require.NoError(t, f.RevokeToken(t.Context(), operator, token.ID))
		_, _, err = f.OpenSignInLink(t.Context(), last, "", "")
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "revoked")
	})
}

func TestWhoMaySignIn(t *testing.T) {
	f := newFixture(t)
	narrow := developer
	narrow.Scopes = "certificate.read"
	for name, p := range map[string]ca.Principal{"nobody": ca.Nobody("", ""), "a token for one thing": narrow, "a local command": admin} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.SignIn(t.Context(), p)
			require.Error(t, err)
			_, _, err = f.SignInLink(t.Context(), p)
			require.Error(t, err)
		})
	}
}

// TestHistoryIsTheAppsOwn: developers see what was done for their app, and not from where others did it.
func TestHistoryIsTheAppsOwn(t *testing.T) {
	f := newFixture(t)
	mine := f.issue("www.example.com")
	far := operator
	far.Address, far.RequestID = "198.51.100.1", "r"
	_, err := f.Revoke(t.Context(), far, mine.Certificate.Serial, pki.Superseded)
	require.NoError(t, err)
	events, err := f.History(t.Context(), developer, "demo", uuid.UUID{}, 0)
	require.NoError(t, err)
	seen := make(map[ca.Action]bool)
	for _, e := range events {
		seen[e.Action] = true
		require.Equal(t, "demo", e.App)
		require.False(t, e.Role != ca.RoleDeveloper && (e.Address != "" || e.Token != "" || e.RequestID != ""), e)
	}
	require.True(t, seen[ca.ActRevoke] && seen[ca.ActIssueServer])
	_, err = f.History(t.Context(), stranger, "demo", uuid.UUID{}, 0)
	refusal(t, err, ca.KindNotFound)
}
