package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var sessionTests = map[string]func(*testing.T, *suite){
	"a session comes back":          sessionComesBack,
	"a link is opened once":         linkOpenedOnce,
	"a session ends":                sessionEnds,
	"all of a token's end together": sessionsOfToken,
	"the last use goes forward":     sessionTouched,
	"what is over is forgotten":     sessionsForgotten,
	"a session is a principal's":    sessionRoles,
}

// newSession is a session of an app's developer, or of an operator, which begins at Epoch.
func newSession(id, app string) ca.Session {
	n := ca.Session{
		ID: id, Hash: [32]byte(random(32)), Token: "tok_1", Name: "olga", Role: ca.RoleOperator, App: app,
		CreatedAt: Epoch, BegunAt: Epoch, LastUsed: Epoch, EndsAt: Epoch.Add(time.Hour),
	}
	if app != "" {
		n.Role = ca.RoleDeveloper
	}
	return n
}

func newLink(id, app string) ca.Session {
	n := newSession(id, app)
	n.BegunAt = time.Time{}
	return n
}

func sessionComesBack(t *testing.T, s *suite) {
	odd := newSession("ses_odd", "beta")
	odd.Name, odd.Token, odd.Scopes = "Zoë\n二", "oidc:u'1", "certificate.read domain.read"
	for _, want := range []ca.Session{newSession("ses_1", "alpha"), newSession("ses_2", ""), newLink("ses_3", "alpha"), odd} {
		before := s.events()
		s.must(s.CreateSession(t.Context(), want, NewAct(Epoch)))
		require.Equal(t, before+1, s.events())
		got, err := s.SessionByHash(t.Context(), want.Hash)
		s.must(err)
		require.Equal(t, want, got)
	}
	_, err := s.SessionByHash(t.Context(), [32]byte{})
	require.ErrorIs(t, err, ca.ErrNotFound)
	again := newSession("ses_4", "")
	again.Hash = odd.Hash
	s.unchanged(func() { require.Error(t, s.CreateSession(t.Context(), again, NewAct(Epoch))) })
}

func linkOpenedOnce(t *testing.T, s *suite) {
	link := newLink("ses_1", "alpha")
	s.must(s.CreateSession(t.Context(), link, NewAct(Epoch)))
	opened := make([]ca.Session, 20)
	for i := range opened {
		opened[i] = newSession("ses_1", "alpha")
		opened[i].BegunAt, opened[i].LastUsed, opened[i].EndsAt = Epoch.Add(time.Minute), Epoch.Add(2*time.Minute), Epoch.Add(3*time.Hour)
	}
	before, won := s.events(), -1
	for i, err := range together(len(opened), func(i int) error { return s.BeginSession(t.Context(), link.Hash, opened[i], NewAct(Epoch)) }) {
		if err == nil {
			require.Equal(t, -1, won, "one opens it")
			won = i
			continue
		}
		require.ErrorIs(t, err, ca.ErrChanged)
	}
	require.NotEqual(t, -1, won)
	require.Equal(t, before+1, s.events())
	got, err := s.SessionByHash(t.Context(), opened[won].Hash)
	s.must(err)
	require.Equal(t, opened[won], got)
	_, err = s.SessionByHash(t.Context(), link.Hash)
	require.ErrorIs(t, err, ca.ErrNotFound)
	s.unchanged(func() {
		require.ErrorIs(t, s.BeginSession(t.Context(), got.Hash, opened[0], NewAct(Epoch)), ca.ErrChanged, "a session is no link")
	})
}

func sessionEnds(t *testing.T, s *suite) {
	session := newSession("ses_1", "alpha")
	s.must(s.CreateSession(t.Context(), session, NewAct(Epoch)))
	before := s.events()
	s.must(s.EndSession(t.Context(), session.ID, NewAct(Epoch)))
	require.Equal(t, before+1, s.events())
	_, err := s.SessionByHash(t.Context(), session.Hash)
	require.ErrorIs(t, err, ca.ErrNotFound)
	s.unchanged(func() { require.ErrorIs(t, s.EndSession(t.Context(), session.ID, NewAct(Epoch)), ca.ErrNotFound) })
}

func sessionsOfToken(t *testing.T, s *suite) {
	a, b, other := newSession("ses_1", "alpha"), newLink("ses_2", "alpha"), newSession("ses_3", "beta")
	other.Token = "tok_2"
	for _, n := range []ca.Session{a, b, other} {
		s.must(s.CreateSession(t.Context(), n, NewAct(Epoch)))
	}
	for _, want := range []int{2, 0} {
		before := s.events()
		ended, err := s.EndSessions(t.Context(), "tok_1", NewAct(Epoch))
		s.must(err)
		require.Equal(t, want, ended)
		require.Equal(t, before+1, s.events(), "who wanted them ended is told, whether there were any or not")
	}
	_, err := s.SessionByHash(t.Context(), a.Hash)
	require.ErrorIs(t, err, ca.ErrNotFound)
	_, err = s.SessionByHash(t.Context(), other.Hash)
	s.must(err)
}

func sessionTouched(t *testing.T, s *suite) {
	session := newSession("ses_1", "alpha")
	s.must(s.CreateSession(t.Context(), session, NewAct(Epoch)))
	for _, step := range []struct{ at, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Hour}, {2 * time.Hour, 2 * time.Hour}} {
		s.must(s.TouchSession(t.Context(), session.ID, Epoch.Add(step.at)))
		got, err := s.SessionByHash(t.Context(), session.Hash)
		s.must(err)
		require.Equal(t, Epoch.Add(step.want), got.LastUsed)
	}
	s.must(s.TouchSession(t.Context(), "ses_none", Epoch))
}

func sessionsForgotten(t *testing.T, s *suite) {
	ended, idle, link, live := newSession("ses_1", ""), newSession("ses_2", ""), newLink("ses_3", ""), newSession("ses_4", "")
	now := Epoch.Add(time.Hour)
	for _, n := range []*ca.Session{&ended, &link, &live} {
		n.LastUsed = now
	}
	idle.EndsAt, live.EndsAt = now.Add(time.Hour), now.Add(time.Microsecond)
	for _, n := range []ca.Session{ended, idle, link, live} {
		s.must(s.CreateSession(t.Context(), n, NewAct(Epoch)))
	}
	s.must(s.ForgetSessions(t.Context(), now, Epoch))
	for _, n := range []ca.Session{ended, idle, link} {
		_, err := s.SessionByHash(t.Context(), n.Hash)
		require.ErrorIs(t, err, ca.ErrNotFound, n.ID)
	}
	_, err := s.SessionByHash(t.Context(), live.Hash)
	s.must(err)
}

func sessionRoles(t *testing.T, s *suite) {
	for _, spoil := range []func(*ca.Session){
		func(n *ca.Session) { n.App = "" },
		func(n *ca.Session) { n.App = "none" },
		func(n *ca.Session) { n.Role = ca.RoleAdmin },
	} {
		session := newSession("ses_1", "alpha")
		spoil(&session)
		s.unchanged(func() { require.Error(t, s.CreateSession(t.Context(), session, NewAct(Epoch))) })
	}
}
