package ca_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// count makes a dry run to its end.
func (f *fixture) count(p ca.Principal, s ca.RevocationSearch, reason pki.Reason) *ca.RevocationStep {
	f.t.Helper()
	step, err := f.CountRevocations(f.t.Context(), p, s, reason, "")
	require.NoError(f.t, err)
	for step.Next != "" {
		require.Empty(f.t, step.Confirm)
		step, err = f.CountRevocations(f.t.Context(), p, s, reason, step.Next)
		require.NoError(f.t, err)
	}
	require.NotEmpty(f.t, step.Confirm)
	return step
}

// revokeFound revokes what was confirmed, to the end, and returns how many it has revoked.
func (f *fixture) revokeFound(p ca.Principal, s ca.RevocationSearch, reason pki.Reason, confirm string) (revoked int) {
	f.t.Helper()
	for next := ""; ; {
		step, err := f.RevokeFound(f.t.Context(), p, s, reason, confirm, next)
		require.NoError(f.t, err)
		revoked += step.Revoked
		if next = step.Next; next == "" {
			return revoked
		}
	}
}

func TestRevokeBySearch(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		for i := range 3 {
			f.issue(fmt.Sprintf("h%d.leaked.example.com", i), fmt.Sprintf("g%d.leaked.example.com", i))
		}
		before := f.issue("a.leaked.example.com").Certificate.Serial
		_, err := f.Revoke(t.Context(), developer, before, pki.Superseded)
		require.NoError(t, err)
		other := f.issue("www.example.com").Certificate
		search := ca.RevocationSearch{Suffix: ".leaked.example.com"}

		var step *ca.RevocationStep
		require.Empty(t, f.events(func() { step = f.count(operator, search, pki.CessationOfOperation) }), "a dry run changes nothing")
		require.Equal(t, 4, step.Matched)
		require.Equal(t, 1, step.Before)
		require.Len(t, step.First, 4)

		// What was not seen is not revoked.
		f.clock.advance(time.Second)
		late := f.issue("late.leaked.example.com").Certificate

		events := f.events(func() { require.Equal(t, 3, f.revokeFound(operator, search, pki.CessationOfOperation, step.Confirm)) })
		require.Len(t, events, 4)
		sums := 0
		for _, e := range events {
			if e.Action == ca.ActRevokeSearch {
				sums++
				require.Equal(t, map[string]string{"reason": "cessationOfOperation", "suffix": ".leaked.example.com", "certificates": "3"}, e.Detail)
			} else {
				require.Equal(t, ca.ActRevoke, e.Action)
				require.Equal(t, "cessationOfOperation", e.Detail["reason"])
			}
		}
		require.Equal(t, 1, sums)
		require.Len(t, f.all(ca.StatusRevoked), 4)
		for _, c := range []*ca.Certificate{other, late} {
			found, err := f.Certificate(t.Context(), operator, c.Serial)
			require.NoError(t, err)
			require.Nil(t, found.Revocation)
		}
		require.Empty(t, f.events(func() {
			require.Zero(t, f.revokeFound(operator, search, pki.CessationOfOperation, step.Confirm), "again: nothing is left to do")
		}))

		// keyCompromise adds to what was revoked for another reason.
		step = f.count(operator, search, pki.KeyCompromise)
		require.Equal(t, []int{5, 0}, []int{step.Matched, step.Before})
		require.Equal(t, 5, f.revokeFound(operator, search, pki.KeyCompromise, step.Confirm))
		for _, c := range f.all(ca.StatusRevoked) {
			require.Equal(t, pki.KeyCompromise, c.Revocation.Reason)
		}
	})
}

// Many are revoked in steps; one that fails is repeated, and one may begin anew.
func TestRevokeBySearchInSteps(t *testing.T) {
	f := newFixture(t)
	const n = 1201
	for i := range n {
		f.issue(fmt.Sprintf("h%d.example.com", i))
	}
	search := ca.RevocationSearch{App: "demo"}
	step := f.count(operator, search, pki.Superseded)
	require.Equal(t, n, step.Matched)
	confirm := step.Confirm

	first, err := f.RevokeFound(t.Context(), operator, search, pki.Superseded, confirm, "")
	require.NoError(t, err)
	require.NotEmpty(t, first.Next)
	require.Equal(t, first.Matched, first.Revoked)
	again, err := f.RevokeFound(t.Context(), operator, search, pki.Superseded, confirm, "")
	require.NoError(t, err)
	require.Equal(t, []int{first.Matched, first.Matched, 0}, []int{again.Matched, again.Before, again.Revoked})
	require.Equal(t, first.Next != "", again.Next != "")

	require.Equal(t, n-first.Revoked, f.revokeFound(operator, search, pki.Superseded, confirm))
	require.Len(t, f.all(ca.StatusRevoked), n)
}

func TestRevokeBySerials(t *testing.T) {
	f := newFixture(t)
	mine := f.issue("www.example.com").Certificate.Serial
	theirs, err := f.Issue(t.Context(), stranger, ca.IssueRequest{Domains: []string{"other.example.com"}})
	require.NoError(t, err)
	none := pki.NewSerial()
	search := ca.RevocationSearch{Serials: []pki.Serial{mine, theirs.Certificate.Serial, none, mine}}

	step := f.count(developer, search, pki.Superseded)
	require.Equal(t, 1, step.Matched)
	require.Equal(t, []pki.Serial{theirs.Certificate.Serial, none}, step.Missing, "another app's is like none")
	require.Equal(t, 1, f.revokeFound(developer, search, pki.Superseded, step.Confirm))
	step = f.count(operator, search, pki.Superseded)
	require.Equal(t, []int{2, 1}, []int{step.Matched, step.Before})
	require.Equal(t, []pki.Serial{none}, step.Missing)
	require.Equal(t, 1, f.revokeFound(operator, search, pki.Superseded, step.Confirm))
}

func TestRevokeBySearchRefuses(t *testing.T) {
	f := newFixture(t)
	f.issue("www.example.com")
	search := ca.RevocationSearch{Suffix: "example.com"}
	confirm := f.count(operator, search, pki.Superseded).Confirm
	other := f.count(operator, ca.RevocationSearch{Suffix: "example.net"}, pki.Superseded)

	for name, test := range map[string]struct {
		p             ca.Principal
		s             ca.RevocationSearch
		reason        pki.Reason
		confirm, next string
		kind          ca.Kind
	}{
		"without a dry run":        {operator, search, pki.Superseded, "", "", ca.KindInvalid},
		"made up":                  {operator, search, pki.Superseded, "e30", "", ca.KindInvalid},
		"not base64":               {operator, search, pki.Superseded, "…", "", ca.KindInvalid},
		"of another search":        {operator, search, pki.Superseded, other.Confirm, "", ca.KindConflict},
		"of another reason":        {operator, search, pki.KeyCompromise, confirm, "", ca.KindConflict},
		"a cursor of another":      {operator, search, pki.Superseded, confirm, other.Confirm, ca.KindConflict},
		"a cursor made up":         {operator, search, pki.Superseded, confirm, "e30", ca.KindInvalid},
		"of somebody's own app":    {developer, search, pki.Superseded, confirm, "", ca.KindConflict},
		"everything":               {operator, ca.RevocationSearch{}, pki.Superseded, confirm, "", ca.KindInvalid},
		"serials and a search":     {operator, ca.RevocationSearch{Suffix: "example.com", Serials: make([]pki.Serial, 1)}, pki.Superseded, confirm, "", ca.KindInvalid},
		"too many serials":         {operator, ca.RevocationSearch{Serials: make([]pki.Serial, ca.MaxSerials+1)}, pki.Superseded, confirm, "", ca.KindInvalid},
		"a hold":                   {operator, search, pki.CertificateHold, confirm, "", ca.KindBadReason},
		"a reason of CAs":          {operator, search, pki.CACompromise, confirm, "", ca.KindBadReason},
		"somebody else's app":      {stranger, ca.RevocationSearch{App: "demo"}, pki.Superseded, confirm, "", ca.KindNotFound},
		"an auditor":               {auditor, search, pki.Superseded, confirm, "", ca.KindForbidden},
		"nobody":                   {ca.Nobody("", ""), search, pki.Superseded, confirm, "", ca.KindUnauthenticated},
		"a developer's whole app?": {developer, ca.RevocationSearch{}, pki.Superseded, confirm, "", ca.KindConflict}, // it is a search; only not the confirmed one
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.RevokeFound(t.Context(), test.p, test.s, test.reason, test.confirm, test.next)
			refusal(t, err, test.kind)
			if test.kind != ca.KindConflict && test.confirm == confirm && test.next == "" {
				_, err = f.CountRevocations(t.Context(), test.p, test.s, test.reason, "")
				refusal(t, err, test.kind)
			}
		})
	}
	require.Empty(t, f.all(ca.StatusRevoked))
}

// A dry run that was not finished confirms nothing.
func TestUnfinishedDryRun(t *testing.T) {
	f := newFixture(t)
	search := ca.RevocationSearch{Suffix: "example.com"}
	step := f.count(operator, search, pki.Superseded)
	_, err := f.CountRevocations(t.Context(), operator, search, pki.Superseded, step.Confirm)
	require.NoError(t, err, "to look at the end once more does no harm")
	_, err = f.RevokeFound(t.Context(), operator, search, pki.Superseded, unfinished(t, step.Confirm), "")
	refusal(t, err, ca.KindInvalid)
}
