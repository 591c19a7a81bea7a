package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// TestRenewalIsPulled: what an operator plans moves the window in which clients renew, and so does what is known of key and authority.
func TestRenewalIsPulled(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		window := func(c *ca.Certificate) (start, end time.Time) {
			t.Helper()
			start, end, err := f.RenewalWindow(t.Context(), c.Serial)
			require.NoError(t, err)
			require.True(t, start.Before(end))
			return start, end
		}
		a, b := f.issue("a.example.com").Certificate, f.issue("b.example.com").Certificate
		usual, _ := window(a)
		require.True(t, usual.After(start.AddDate(0, 0, 50)))

		by := start.AddDate(0, 0, 7)
		step, err := f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{Suffix: "a.example.com"}, by, "")
		require.NoError(t, err)
		require.Equal(t, 1, step.Planned)
		from, end := window(a)
		require.Equal(t, by, end)
		require.False(t, from.After(start), "all of the time until then is used")
		unmoved, _ := window(b)
		require.True(t, unmoved.After(start.AddDate(0, 0, 50)))

		list, next, err := f.ListReplacements(t.Context(), developer, ca.ReplacementQuery{})
		require.NoError(t, err)
		require.True(t, next.IsZero())
		require.Len(t, list, 1)
		require.Equal(t, a.Serial, list[0].Certificate.Serial)
		require.Equal(t, by, list[0].By)
		_, _, err = f.ListReplacements(t.Context(), stranger, ca.ReplacementQuery{App: "demo"})
		refusal(t, err, ca.KindNotFound)

		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{Serials: []pki.Serial{a.Serial}}, start.AddDate(1, 0, 0), "")
		require.NoError(t, err)
		later, _ := window(a)
		require.Equal(t, usual, later, "a time after the usual one moves nothing")
		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{App: "demo"}, by, "")
		require.NoError(t, err)
		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{App: "demo"}, time.Time{}, "")
		require.NoError(t, err)
		back, _ := window(a)
		require.Equal(t, usual, back, "the wish is taken back")

		_, err = f.PlanReplacements(t.Context(), developer, ca.RevocationSearch{App: "demo"}, by, "")
		refusal(t, err, ca.KindForbidden)
		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{}, by, "")
		refusal(t, err, ca.KindInvalid)
		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{App: "demo"}, start, "")
		refusal(t, err, ca.KindInvalid)
		_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{App: "demo"}, by, "x")
		refusal(t, err, ca.KindInvalid)

		_, err = f.Revoke(t.Context(), operator, a.Serial, pki.KeyCompromise)
		require.NoError(t, err)
		_, end = window(a)
		require.False(t, end.After(start))
	})
}

// TestRenewalOfABlockedKey: two certificates with one key, of which one was revoked because the key is in other hands.
func TestRenewalOfABlockedKey(t *testing.T) {
	f := newFixture(t)
	request := csr(t, certificateRequest("a.example.com"))
	var both []*ca.Certificate
	for range 2 {
		issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
		require.NoError(t, err)
		both = append(both, issued.Certificate)
	}
	_, err := f.Revoke(t.Context(), operator, both[0].Serial, pki.KeyCompromise)
	require.NoError(t, err)
	_, end, err := f.RenewalWindow(t.Context(), both[1].Serial)
	require.NoError(t, err)
	require.False(t, end.After(start), "it is renewed at once")
}

// TestReplacementsInSteps: a plan for many certificates is made page by page.
func TestReplacementsInSteps(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.issue("a.example.com")
	}
	list, next, err := f.ListReplacements(t.Context(), auditor, ca.ReplacementQuery{})
	require.NoError(t, err)
	require.Empty(t, list)
	require.True(t, next.IsZero())
	_, err = f.PlanReplacements(t.Context(), operator, ca.RevocationSearch{App: "demo"}, start.AddDate(0, 0, 7), "")
	require.NoError(t, err)
	var seen int
	for q := (ca.ReplacementQuery{Limit: 2}); ; q.Beyond = next {
		list, next, err = f.ListReplacements(t.Context(), auditor, q)
		require.NoError(t, err)
		seen += len(list)
		if next.IsZero() {
			break
		}
	}
	require.Equal(t, 3, seen)
}
