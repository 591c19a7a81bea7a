package storetest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var checkTests = map[string]func(*testing.T, *suite){
	"a check comes back":              checkComesBack,
	"a check is taken up once":        checkLeased,
	"a check ends once":               checkEndsOnce,
	"checks are listed newest first":  checksListed,
	"old checks are forgotten":        checksForgotten,
	"a check is asked for once a key": checkClaimed,
}

// NewCheck is a running check of an app's endpoint; of an operator's, when app is empty. Its ID is its number.
func NewCheck(app string, number int) ca.Check {
	return ca.Check{
		ID: fmt.Sprintf("chk_%04d", number), App: app, URL: "https://www.example.com/", Cause: ca.CauseAsked, AskedBy: "ci of " + app,
		CreatedAt: Epoch.Add(time.Duration(number) * time.Minute), State: ca.CheckRunning, DueAt: Epoch.Add(time.Duration(number) * time.Minute),
	}
}

func (s *suite) check(checks ...ca.Check) {
	s.Helper()
	for _, k := range checks {
		s.must(s.CreateCheck(s.Context(), k, NewAct(k.CreatedAt)))
	}
}

func checkComesBack(t *testing.T, s *suite) {
	bare, full := NewCheck("", 1), NewCheck("alpha", 2)
	full.Address, full.Callback, full.Cause = netip.MustParseAddr("2001:db8::7"), true, ca.CauseScheduled
	s.check(bare, full)
	for _, k := range []ca.Check{bare, full} {
		found, err := s.Check(t.Context(), k.ID)
		s.must(err)
		require.Equal(t, k, found)
	}
	full.State, full.FinishedAt, full.Since = ca.CheckDone, Epoch.Add(time.Hour), bare.ID
	full.Facts = ca.CheckFacts{Summary: "open", Findings: []ca.CheckFinding{{Code: "any_ca", Severity: "fault", Title: "ü'"}}, Served: "01ab", ServedUntil: Epoch.Truncate(time.Second)}
	full.Changes = []ca.CheckChange{{What: "finding", Before: "a", After: "b", Worse: true, Text: "new: \u2028"}}
	full.Report = []byte(`{"url":"` + strings.Repeat("x", 100_000) + `"}`)
	before := s.events()
	s.must(s.FinishCheck(t.Context(), full, ca.CheckEnd{}, NewAct(Epoch)))
	require.Equal(t, before+1, s.events())
	full.DueAt = time.Time{}
	found, err := s.open(t).Check(t.Context(), full.ID)
	s.must(err)
	require.Equal(t, full, found)
	listed, err := s.ListChecks(t.Context(), ca.CheckQuery{App: "alpha", Limit: 10})
	s.must(err)
	full.Report = nil
	require.Equal(t, []ca.Check{full}, listed)

	bare.State, bare.Failure = ca.CheckFailed, "no\x00 way"
	s.must(s.FinishCheck(t.Context(), bare, ca.CheckEnd{}, NewAct(Epoch)))
	bare.DueAt, bare.Failure = time.Time{}, "no\uFFFD way"
	found, err = s.Check(t.Context(), bare.ID)
	s.must(err)
	require.Equal(t, bare, found)
	for _, id := range []string{"", "none", "\x00", "\xff"} {
		_, err := s.Check(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
	}
}

func checkLeased(t *testing.T, s *suite) {
	checks := []ca.Check{NewCheck("alpha", 3), NewCheck("", 1), NewCheck("beta", 2)}
	s.check(checks...)
	due, err := s.DueChecks(t.Context(), Epoch.Add(2*time.Minute), 10)
	s.must(err)
	require.Equal(t, []ca.Check{checks[1], checks[2]}, due)
	due, err = s.DueChecks(t.Context(), Epoch.Add(time.Hour), 1)
	s.must(err)
	require.Equal(t, checks[1:2], due)
	until := Epoch.Add(2 * time.Hour)
	stores := s.two()
	exactlyOne(t, together(20, func(i int) error { return stores[i%2].LeaseCheck(t.Context(), checks[1], until) }), ca.ErrChanged)
	leased, err := s.Check(t.Context(), checks[1].ID)
	s.must(err)
	checks[1].DueAt, checks[1].Tries = until, 1
	require.Equal(t, checks[1], leased)
}

func checkEndsOnce(t *testing.T, s *suite) {
	k := NewCheck("alpha", 1)
	s.check(k)
	stale := k
	k.DueAt = k.DueAt.Add(time.Minute)
	s.must(s.LeaseCheck(t.Context(), stale, k.DueAt))
	k.State, stale.State = ca.CheckDone, ca.CheckFailed
	s.unchanged(func() {
		require.ErrorIs(t, s.FinishCheck(t.Context(), stale, ca.CheckEnd{}, NewAct(Epoch)), ca.ErrChanged, "another has taken it up")
	})
	stores := s.two()
	exactlyOne(t, together(10, func(i int) error { return stores[i%2].FinishCheck(t.Context(), k, ca.CheckEnd{}, NewAct(Epoch)) }), ca.ErrChanged)
	found, err := s.Check(t.Context(), k.ID)
	s.must(err)
	require.Equal(t, ca.CheckDone, found.State)
	due, err := s.DueChecks(t.Context(), Epoch.Add(24*time.Hour), 10)
	s.must(err)
	require.Empty(t, due)
	require.ErrorIs(t, s.LeaseCheck(t.Context(), k, Epoch), ca.ErrChanged)
}

func checksListed(t *testing.T, s *suite) {
	for i := range 12 {
		k := NewCheck([]string{"alpha", "beta", ""}[i%3], i)
		if i%2 == 1 {
			k.URL = "https://other.example.com/"
		}
		s.check(k)
		if i < 6 {
			k.State = ca.CheckDone
			s.must(s.FinishCheck(t.Context(), k, ca.CheckEnd{}, NewAct(Epoch)))
		}
	}
	for _, c := range []struct {
		query ca.CheckQuery
		want  []int
	}{
		{ca.CheckQuery{}, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{ca.CheckQuery{App: "alpha"}, []int{9, 6, 3, 0}},
		{ca.CheckQuery{URL: "https://www.example.com/"}, []int{10, 8, 6, 4, 2, 0}},
		{ca.CheckQuery{URL: "https://www.example.com/", App: "beta"}, []int{10, 4}},
		{ca.CheckQuery{State: ca.CheckDone}, []int{5, 4, 3, 2, 1, 0}},
		{ca.CheckQuery{App: "beta", State: ca.CheckRunning}, []int{10, 7}},
		{ca.CheckQuery{App: "nobody"}, nil},
		{ca.CheckQuery{URL: "\x00\xff"}, nil},
	} {
		var got []int
		for q := c.query; ; {
			q.Limit = 2
			page, err := s.ListChecks(t.Context(), q)
			s.must(err)
			for _, k := range page {
				var number int
				_, err := fmt.Sscanf(k.ID, "chk_%d", &number)
				s.must(err)
				got = append(got, number)
			}
			if len(page) < 2 {
				break
			}
			q.Beyond = page[1].ID
		}
		require.Equal(t, c.want, got, "%+v", c.query)
	}
}

func checksForgotten(t *testing.T, s *suite) {
	s.check(NewCheck("alpha", 1), NewCheck("alpha", 2))
	s.must(s.ForgetChecks(t.Context(), NewCheck("", 2).CreatedAt))
	left, err := s.ListChecks(t.Context(), ca.CheckQuery{Limit: 10})
	s.must(err)
	require.Equal(t, []ca.Check{NewCheck("alpha", 2)}, left)
}

func checkClaimed(t *testing.T, s *suite) {
	act := NewAct(Epoch)
	act.Claim = &ca.Claim{Scope: "token:t", Key: "k", Object: NewCheck("", 1).ID, At: Epoch}
	s.must(s.CreateCheck(t.Context(), NewCheck("alpha", 1), act))
	var claimed *ca.ClaimedError
	s.unchanged(func() {
		require.ErrorAs(t, s.CreateCheck(t.Context(), NewCheck("alpha", 2), act), &claimed)
	})
	require.Equal(t, NewCheck("", 1).ID, claimed.Earlier.Object)
}
