package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var replacementTests = map[string]func(*testing.T, *suite){
	"the last word on a replacement counts":          replacementChanged,
	"replacements are listed the most urgent first":  replacementsListed,
	"replacements end with their certificates' time": replacementsForgotten,
}

func replacementChanged(t *testing.T, s *suite) {
	c, other := NewCertificate("alpha", Epoch, "a.example.com"), NewCertificate("alpha", Epoch, "b.example.com")
	s.sign(c, other)
	_, err := s.Replacement(t.Context(), c.Serial)
	require.ErrorIs(t, err, ca.ErrNotFound)
	before := s.events()
	for i, by := range []time.Time{Epoch.Add(48 * time.Hour), Epoch.Add(24 * time.Hour)} {
		at := Epoch.Add(time.Duration(i) * time.Second)
		s.must(s.PlanReplacements(t.Context(), []pki.Serial{pki.NewSerial(), c.Serial}, by, NewAct(at)))
		planned, err := s.Replacement(t.Context(), c.Serial)
		s.must(err)
		require.Equal(t, ca.Replacement{By: by, PlannedAt: at}, planned)
	}
	_, err = s.Replacement(t.Context(), other.Serial)
	require.ErrorIs(t, err, ca.ErrNotFound)
	s.must(s.PlanReplacements(t.Context(), []pki.Serial{c.Serial, other.Serial}, time.Time{}, NewAct(Epoch)))
	_, err = s.Replacement(t.Context(), c.Serial)
	require.ErrorIs(t, err, ca.ErrNotFound)
	require.Equal(t, before+3, s.events())
}

func replacementsListed(t *testing.T, s *suite) {
	var serials []pki.Serial
	for i, app := range []string{"alpha", "beta", "alpha", "alpha"} {
		c := NewCertificate(app, Epoch, "a.example.com")
		s.sign(c)
		serials = append(serials, c.Serial)
		s.must(s.PlanReplacements(t.Context(), []pki.Serial{c.Serial}, Epoch.Add(time.Duration(10-i)*time.Hour), NewAct(Epoch)))
	}
	s.must(s.RevokeCertificate(t.Context(), serials[2], ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "x"}, NewAct(Epoch)))
	list := func(q ca.ReplacementQuery) (found []pki.Serial) {
		t.Helper()
		q.Now, q.Limit = Epoch, 1
		for {
			page, err := s.ListReplacements(t.Context(), q)
			s.must(err)
			if len(page) == 0 {
				return found
			}
			found = append(found, page[0].Certificate.Serial)
			q.Beyond = ca.Cursor{Time: page[0].By, Serial: page[0].Certificate.Serial}
		}
	}
	require.Equal(t, []pki.Serial{serials[3], serials[1], serials[0]}, list(ca.ReplacementQuery{}), "what is revoked needs nothing more")
	require.Equal(t, []pki.Serial{serials[3], serials[0]}, list(ca.ReplacementQuery{App: "alpha"}))
	c, err := s.Certificate(t.Context(), serials[0])
	s.must(err)
	page, err := s.ListReplacements(t.Context(), ca.ReplacementQuery{Now: c.NotAfter.Add(time.Second), Limit: 10})
	s.must(err)
	require.Empty(t, page, "nor does what has expired")
}

func replacementsForgotten(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "a.example.com")
	s.sign(c)
	s.must(s.PlanReplacements(t.Context(), []pki.Serial{c.Serial}, Epoch.Add(time.Hour), NewAct(Epoch)))
	s.must(s.ForgetReplacements(t.Context(), c.NotAfter))
	_, err := s.Replacement(t.Context(), c.Serial)
	s.must(err)
	s.must(s.ForgetReplacements(t.Context(), c.NotAfter.Add(time.Second)))
	_, err = s.Replacement(t.Context(), c.Serial)
	require.ErrorIs(t, err, ca.ErrNotFound)
}
