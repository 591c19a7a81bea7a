package storetest

import (
	"testing"

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
