package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var authorityTests = map[string]func(*testing.T, *suite){
	"a hierarchy comes back":      hierarchyComesBack,
	"a name is taken once":        authorityOnce,
	"a parent must be there":      authorityParent,
	"parents come first":          parentsFirst,
	"there are none at the start": noAuthorities,
	"a key moves":                 keyMoves,
	"profiles move":               profilesMove,
	"authorities retire":          authoritiesRetire,
}

// newHierarchy is a root that issues client certificates, and below it an authority that issues server certificates.
func newHierarchy(name string) []ca.Authority {
	return []ca.Authority{
		{Name: name, Certificate: random(500), KeyRef: "", Profiles: []string{"client"}, CreatedAt: Epoch},
		{Name: name + "-Issuing", Parent: name, Certificate: random(500), KeyRef: "file:/etc/imca/issuing key.pem", Profiles: []string{"server", "edge"}, CreatedAt: Epoch},
	}
}

func (s *suite) authorities() []ca.Authority {
	s.Helper()
	as, err := s.ListAuthorities(s.Context())
	s.must(err)
	return as
}

func noAuthorities(t *testing.T, s *suite) { require.Empty(t, s.authorities()) }

func hierarchyComesBack(t *testing.T, s *suite) {
	want := newHierarchy("Root")
	s.must(s.CreateAuthorities(t.Context(), want, NewAct(Epoch)))
	require.Equal(t, want, s.authorities())
}

func authorityOnce(t *testing.T, s *suite) {
	first := newHierarchy("Root")
	s.must(s.CreateAuthorities(t.Context(), first[:1], NewAct(Epoch)))
	second := newHierarchy("Second")
	second[1].Name = "Root"
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateAuthorities(t.Context(), newHierarchy("Root"), NewAct(Epoch)), ca.ErrExists)
		require.ErrorIs(t, s.CreateAuthorities(t.Context(), second, NewAct(Epoch)), ca.ErrExists)
	})
	require.Equal(t, first[:1], s.authorities(), "nothing of the second was kept")
}

func keyMoves(t *testing.T, s *suite) {
	want := newHierarchy("Root")
	s.must(s.CreateAuthorities(t.Context(), want, NewAct(Epoch)))
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeKeyRef(t.Context(), "Root-Issuing", "file:other.key", "", NewAct(Epoch)), ca.ErrChanged)
		require.ErrorIs(t, s.ChangeKeyRef(t.Context(), "Nobody", "", "file:x.key", NewAct(Epoch)), ca.ErrChanged)
	})
	require.Equal(t, want, s.authorities())
	s.must(s.ChangeKeyRef(t.Context(), "Root-Issuing", want[1].KeyRef, "", NewAct(Epoch)))
	want[1].KeyRef = ""
	require.Equal(t, want, s.authorities())
}

func profilesMove(t *testing.T, s *suite) {
	was := newHierarchy("Root")
	was = append(was, ca.Authority{Name: "Next", Certificate: random(500), StandsBy: []string{"client", "edge"}, CreatedAt: Epoch})
	s.must(s.CreateAuthorities(t.Context(), was, NewAct(Epoch)))
	require.Equal(t, was, s.authorities())

	is := slices.Clone(was)
	is[0].Profiles, is[0].StandsBy = nil, []string{"client"}
	is[1].Profiles, is[1].StandsBy = []string{"server"}, []string{"edge"}
	is[2].Profiles, is[2].StandsBy = []string{"client", "edge"}, nil
	for why, wrong := range map[string]func(a []ca.Authority){
		"another profile":  func(a []ca.Authority) { a[0].Profiles = []string{"server"} },
		"another standby":  func(a []ca.Authority) { a[2].StandsBy = []string{"client"} },
		"retired already":  func(a []ca.Authority) { a[1].RetiredAt = Epoch },
		"nobody's name":    func(a []ca.Authority) { a[1].Name = "Nobody" },
		"no text of a row": func(a []ca.Authority) { a[1].Name = "\x00" },
	} {
		other := slices.Clone(was)
		wrong(other)
		s.unchanged(func() {
			require.ErrorIs(t, s.ChangeAuthorities(t.Context(), other, is, NewAct(Epoch)), ca.ErrChanged, why)
		})
		require.Equal(t, was, s.authorities(), why)
	}
	s.must(s.ChangeAuthorities(t.Context(), was, is, NewAct(Epoch)))
	require.Equal(t, is, s.authorities())
	s.must(s.ChangeAuthorities(t.Context(), is, was, NewAct(Epoch)))
	require.Equal(t, was, s.authorities(), "and back")
}

func authoritiesRetire(t *testing.T, s *suite) {
	was := newHierarchy("Root")
	s.must(s.CreateAuthorities(t.Context(), was, NewAct(Epoch)))
	is := slices.Clone(was)
	is[0].Profiles, is[0].RetiredAt = nil, Epoch.Add(time.Hour)
	s.must(s.ChangeAuthorities(t.Context(), was[:1], is[:1], NewAct(Epoch)))
	require.Equal(t, is, s.authorities())
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeAuthorities(t.Context(), was[:1], is[:1], NewAct(Epoch)), ca.ErrChanged)
	})
	s.must(s.ChangeAuthorities(t.Context(), is[:1], was[:1], NewAct(Epoch)))
	require.Equal(t, was, s.authorities(), "trusted again")
}

func authorityParent(t *testing.T, s *suite) {
	s.unchanged(func() { require.Error(t, s.CreateAuthorities(t.Context(), newHierarchy("Root")[1:], NewAct(Epoch))) })
	require.Empty(t, s.authorities())
}

func parentsFirst(t *testing.T, s *suite) {
	first, second := newHierarchy("Zeta"), newHierarchy("Alpha")
	s.must(s.CreateAuthorities(t.Context(), first, NewAct(Epoch)))
	s.must(s.CreateAuthorities(t.Context(), second, NewAct(Epoch)))
	require.Equal(t, append(first, second...), s.authorities())
}
