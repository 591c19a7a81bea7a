package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var appRootTests = map[string]func(*testing.T, *suite){
	"a root comes back":           appRootComesBack,
	"roots of an app are counted": appRootsCounted,
}

// NewAppRoot is a root of an app.
func NewAppRoot(app string, at time.Time) ca.AppRoot {
	return ca.AppRoot{App: app, Fingerprint: [32]byte(random(32)), Certificate: random(500), CreatedAt: at, CreatedBy: "olga"}
}

func appRootComesBack(t *testing.T, s *suite) {
	first, second, theirs := NewAppRoot("alpha", Epoch), NewAppRoot("alpha", Epoch.Add(time.Second)), NewAppRoot("beta", Epoch)
	theirs.Fingerprint = first.Fingerprint
	before := s.events()
	for _, r := range []ca.AppRoot{second, first, theirs} {
		s.must(s.AddAppRoot(t.Context(), r, 10, NewAct(Epoch)))
	}
	require.Equal(t, before+3, s.events())
	list, err := s.open(t).ListAppRoots(t.Context(), "alpha")
	s.must(err)
	require.Equal(t, []ca.AppRoot{first, second}, list)
	s.unchanged(func() {
		require.ErrorIs(t, s.AddAppRoot(t.Context(), first, 10, NewAct(Epoch)), ca.ErrExists)
		require.ErrorIs(t, s.RemoveAppRoot(t.Context(), "beta", second.Fingerprint, NewAct(Epoch)), ca.ErrNotFound)
	})
	s.must(s.RemoveAppRoot(t.Context(), "alpha", first.Fingerprint, NewAct(Epoch)))
	list, err = s.ListAppRoots(t.Context(), "alpha")
	s.must(err)
	require.Equal(t, []ca.AppRoot{second}, list)
	list, err = s.ListAppRoots(t.Context(), "beta")
	s.must(err)
	require.Equal(t, []ca.AppRoot{theirs}, list)
}

func appRootsCounted(t *testing.T, s *suite) {
	stores := s.two()
	full := 0
	for _, err := range together(8, func(i int) error {
		return stores[i%2].AddAppRoot(t.Context(), NewAppRoot("alpha", Epoch), 3, NewAct(Epoch))
	}) {
		if err != nil {
			require.ErrorIs(t, err, ca.ErrFull)
			full++
		}
	}
	require.Equal(t, 5, full)
	same := NewAppRoot("beta", Epoch)
	exactlyOne(t, together(8, func(i int) error { return stores[i%2].AddAppRoot(t.Context(), same, 3, NewAct(Epoch)) }), ca.ErrExists)
}
