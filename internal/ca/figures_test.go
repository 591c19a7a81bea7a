package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func TestFigures(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		first := f.issue("a.example.com")
		f.clock.advance(48 * time.Hour)
		f.issue("b.example.com")
		figures := f.figures(auditor)
		require.Equal(t, start.Add(48*time.Hour), figures.At)
		today := start.Add(48 * time.Hour).Truncate(24 * time.Hour)
		require.Equal(t, today.AddDate(0, 0, -89), figures.Past)
		require.Equal(t, today, figures.Future)
		require.Len(t, figures.Issued, ca.FigureDays)
		require.Equal(t, []int{1, 0, 1}, figures.Issued[87:])
		require.Equal(t, 1, figures.Ending[88], "90 days, of which two have gone")
		require.Equal(t, 0, sum(figures.Revoked))

		_, err := f.Revoke(t.Context(), operator, first.Certificate.Serial, pki.Superseded)
		require.NoError(t, err)
		require.Equal(t, figures, f.figures(operator), "they stay for a minute")
		f.clock.advance(time.Minute)
		figures = f.figures(operator)
		require.Equal(t, 1, figures.Revoked[89])
		require.Equal(t, 0, figures.Ending[88])
		figures.Issued[0] = 99
		require.NotEqual(t, 99, f.figures(operator).Issued[0], "what a caller gets is theirs")
	})
}

func TestFiguresAreNoDevelopers(t *testing.T) {
	f := newFixture(t)
	_, err := f.Figures(t.Context(), developer)
	refusal(t, err, ca.KindForbidden)
}

// figures are those of the last minute: a caller need not wait for them, so they may come later.
func (f *fixture) figures(p ca.Principal) (figures ca.Figures) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		var err error
		figures, err = f.Figures(f.t.Context(), p)
		require.NoError(f.t, err)
		return f.now().Sub(figures.At) < time.Minute
	}, 10*time.Second, time.Millisecond)
	return figures
}

func sum(counts []int) (all int) {
	for _, n := range counts {
		all += n
	}
	return all
}
