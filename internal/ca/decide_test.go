package ca_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func TestApprovalQueue(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _ := proving(t, url, ca.PolicyApprove)
		_, err := f.Issue(t.Context(), developer, request("www.example.com"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "imca domain add www.example.com")
		f.add(developer, "www.example.com", "")
		f.add(developer, "*.bad.example", "")
		_, err = f.Issue(t.Context(), developer, request("www.example.com"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "waits for an operator")
		_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
		refusal(t, err, ca.KindConflict)

		queue, err := f.ListDomains(t.Context(), operator, ca.DomainQuery{State: ca.DomainAwaiting})
		require.NoError(t, err)
		require.Len(t, queue, 2)
		require.Equal(t, "www.example.com", queue[0].Name.String(), "in the order of reversed names")

		_, err = f.ApproveDomain(t.Context(), developer, ca.Decision{Name: "www.example.com"})
		refusal(t, err, ca.KindForbidden)
		d, err := f.ApproveDomain(t.Context(), operator, ca.Decision{Name: "www.example.com", Reason: "known customer"})
		require.NoError(t, err)
		require.Equal(t, "olga known customer", d.DecidedBy+" "+d.Decision)
		f.clock.advance(1000 * 24 * time.Hour)
		f.issue("www.example.com") // an operator's word does not lapse

		_, err = f.RejectDomain(t.Context(), operator, ca.Decision{Name: "bad.example"})
		refusal(t, err, ca.KindInvalid)
		_, err = f.RejectDomain(t.Context(), operator, ca.Decision{Name: "bad.example", Reason: "Not a customer."})
		require.NoError(t, err)
		_, err = f.Issue(t.Context(), developer, request("bad.example"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "Not a customer")
		_, _, err = f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "bad.example"})
		require.Contains(t, refusal(t, err, ca.KindForbidden).Detail, "Not a customer")
		refusal(t, f.RemoveDomain(t.Context(), developer, "bad.example", ""), ca.KindForbidden)

		_, err = f.RejectDomain(t.Context(), operator, ca.Decision{Name: "www.example.com", Reason: "left"})
		require.NoError(t, err, "a yes can be taken back")
		_, err = f.Issue(t.Context(), developer, request("www.example.com"))
		refusal(t, err, ca.KindUnproven)
	})
}

// One domain, one app: of two proofs at the same moment one wins, and the other is a conflict.
func TestOneDomainOneApp(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve)
		for round := range 5 {
			name := fmt.Sprintf("r%d.example.com", round)
			both := []ca.Principal{developer, stranger}
			for _, p := range both {
				i.show(f.add(p, name, ""), ca.MethodHTTP)
			}
			states := make([]ca.DomainState, 2)
			var racing sync.WaitGroup
			for n, p := range both {
				racing.Go(func() {
					d, err := f.VerifyDomain(t.Context(), p, name, "", "")
					require.NoError(t, err)
					states[n] = d.State
				})
			}
			racing.Wait()
			require.ElementsMatch(t, []ca.DomainState{ca.DomainValid, ca.DomainConflict}, states)
			for n, p := range both {
				_, err := f.Issue(t.Context(), p, request(name))
				if states[n] == ca.DomainValid {
					require.NoError(t, err)
				} else {
					require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "another app has it")
				}
			}
		}
	})
}

// contested is a name that demo has and other has proven too.
func contested(t *testing.T, f *fixture, i *internet) {
	f.prove(i, developer, "www.example.com")
	f.issue("www.example.com")
	f.issue("www.example.com", "mail.example.org")
	require.Equal(t, ca.DomainConflict, f.prove(i, stranger, "www.example.com").State)
}

func TestConflictIsResolved(t *testing.T) {
	for name, test := range map[string]struct {
		by     ca.Principal
		to     string
		loser  ca.Principal
		winner ca.Principal
	}{
		"the owner keeps it":     {developer, "demo", stranger, developer},
		"the owner yields":       {developer, "other", developer, stranger},
		"an operator decides so": {operator, "other", developer, stranger},
		"or so":                  {operator, "demo", stranger, developer},
	} {
		t.Run(name, func(t *testing.T) {
			f, i := proving(t, sqliteURL(t), ca.PolicyProve)
			f.prove(i, developer, "mail.example.org")
			contested(t, f, i)
			_, err := f.ResolveDomain(t.Context(), stranger, "www.example.com", "other")
			refusal(t, err, ca.KindForbidden)
			_, err = f.ResolveDomain(t.Context(), test.by, "www.example.com", "nobody")
			refusal(t, err, ca.KindInvalid)
			d, err := f.ResolveDomain(t.Context(), test.by, "www.example.com", test.to)
			require.NoError(t, err)
			require.Equal(t, test.to, d.App)
			require.Equal(t, ca.DomainValid, d.State)
			_, err = f.Issue(t.Context(), test.winner, request("www.example.com"))
			require.NoError(t, err)
			_, err = f.Issue(t.Context(), test.loser, request("www.example.com"))
			refusal(t, err, ca.KindUnproven)
			_, err = f.ResolveDomain(t.Context(), operator, "www.example.com", test.to)
			refusal(t, err, ca.KindConflict)
		})
	}
}

func TestWhatIsLeftOfTheLoser(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve)
		f.prove(i, developer, "mail.example.org")
		contested(t, f, i)
		f.issue("mail.example.org")
		d, err := f.ResolveDomain(t.Context(), operator, "www.example.com", "other")
		require.NoError(t, err)
		_, err = f.Issue(t.Context(), stranger, request("www.example.com"))
		require.NoError(t, err)
		left, err := f.Others(t.Context(), d, f.clock.Now())
		require.NoError(t, err)
		require.Len(t, left, 2)
		_, err = f.RevokeOthers(t.Context(), developer, "www.example.com")
		refusal(t, err, ca.KindNotFound)
		revoked, err := f.RevokeOthers(t.Context(), stranger, "www.example.com")
		require.NoError(t, err)
		require.Len(t, revoked, 2)
		require.Len(t, f.all(ca.StatusRevoked), 2)
		require.Len(t, f.all(ca.StatusValid), 2, "the winner's, and the loser's for another name")
		for _, c := range f.all(ca.StatusRevoked) {
			require.Equal(t, "demo", c.App)
			require.Equal(t, pki.CessationOfOperation, c.Revocation.Reason)
		}
		revoked, err = f.RevokeOthers(t.Context(), stranger, "www.example.com")
		require.NoError(t, err)
		require.Empty(t, revoked)
	})
}

func TestTransfer(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	_, err := f.TransferDomain(t.Context(), operator, "www.example.com", "other")
	refusal(t, err, ca.KindConflict)
	f.prove(i, developer, "www.example.com")
	_, err = f.TransferDomain(t.Context(), developer, "www.example.com", "other")
	refusal(t, err, ca.KindForbidden)
	_, err = f.TransferDomain(t.Context(), operator, "www.example.com", "nobody")
	refusal(t, err, ca.KindInvalid)
	d, err := f.TransferDomain(t.Context(), operator, "www.example.com", "other")
	require.NoError(t, err)
	require.Equal(t, ca.DomainPending, d.State)
	for _, p := range []ca.Principal{developer, stranger} {
		_, err = f.Issue(t.Context(), p, request("www.example.com"))
		refusal(t, err, ca.KindUnproven)
	}
	require.Equal(t, ca.DomainConflict, f.prove(i, developer, "www.example.com").State, "it is the other's, proven or not")
	i.show(d, ca.MethodHTTP)
	d, err = f.VerifyDomain(t.Context(), stranger, "www.example.com", "", "")
	require.NoError(t, err)
	require.Equal(t, ca.DomainValid, d.State)
	events, err := f.ListEvents(t.Context(), auditor, ca.EventQuery{Action: ca.ActTransferDomain, Outcome: ca.OutcomeDone})
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, "demo other", events[0].Detail["from"]+" "+events[0].Detail["to"])
}

// An approval cannot give away what another app has.
func TestApprovalOfAnothersName(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	f.prove(i, developer, "www.example.com")
	f.add(stranger, "www.example.com", "")
	_, err := f.ApproveDomain(t.Context(), operator, ca.Decision{Name: "www.example.com", App: "other"})
	require.Contains(t, refusal(t, err, ca.KindConflict).Detail, "imca domain transfer")
	d, err := f.ApproveDomain(t.Context(), operator, ca.Decision{Name: "www.example.com", Wildcard: true})
	require.NoError(t, err, "the one that has it")
	require.Equal(t, "demo", d.App)
	f.issue("*.www.example.com")
}

func TestLookAlikesNeedApproval(t *testing.T) {
	for name, flagged := range map[string]bool{
		"tencent-login.example": true, "pay.tencent.evil.example": true, "tencemt.example": true, "t3ncent.example": true, "tecnent.example": true,
		"téncent.example": true, "qq-pay.example": true, "q-q.example": true,
		"tennis.example": false, "imqqx.example": false, "www.example.com": false, "content.example": false,
	} {
		t.Run(name, func(t *testing.T) {
			f, i := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) { r.Brands = []string{"tencent", "qq"} })
			d := f.prove(i, developer, name)
			if !flagged {
				require.Equal(t, ca.DomainValid, d.State, d.Flag)
				return
			}
			require.Equal(t, ca.DomainAwaiting, d.State)
			_, err := f.Issue(t.Context(), developer, request(name))
			require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "looks like the brand")
			_, err = f.ApproveDomain(t.Context(), operator, ca.Decision{Name: name})
			require.NoError(t, err)
			f.issue(name)
			f.clock.advance(90 * 24 * time.Hour)
			_, err = f.Issue(t.Context(), developer, request(name))
			refusal(t, err, ca.KindUnproven) // the approval is no proof
		})
	}
}

func TestWhoSeesDomains(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	f.prove(i, developer, "a.example.com")
	f.prove(i, stranger, "b.example.com")
	f.add(stranger, "a.example.com", "")
	_, err := f.Domain(t.Context(), developer, "b.example.com", "")
	refusal(t, err, ca.KindNotFound)
	_, err = f.Domain(t.Context(), developer, "b.example.com", "other")
	refusal(t, err, ca.KindNotFound)
	_, err = f.ListDomains(t.Context(), developer, ca.DomainQuery{App: "other"})
	refusal(t, err, ca.KindNotFound)
	mine, err := f.ListDomains(t.Context(), developer, ca.DomainQuery{})
	require.NoError(t, err)
	require.Len(t, mine, 1)
	d, err := f.Domain(t.Context(), auditor, "a.example.com", "")
	require.NoError(t, err)
	require.Equal(t, "demo", d.App, "the one that has it is meant")
	all, err := f.ListDomains(t.Context(), auditor, ca.DomainQuery{Suffix: ".example.com", Limit: 2})
	require.NoError(t, err)
	require.Len(t, all, 2)
	rest, err := f.ListDomains(t.Context(), auditor, ca.DomainQuery{Beyond: ca.DomainCursor{Name: all[1].Name, App: all[1].App}})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, "b.example.com", rest[0].Name.String())
	_, err = f.VerifyDomain(t.Context(), auditor, "a.example.com", "", "")
	refusal(t, err, ca.KindForbidden)
}

// Who gives a name up leaves it to the next who shows that it is theirs.
func TestNameThatIsGivenUp(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	f.prove(i, developer, "mail.example.org")
	contested(t, f, i)
	require.NoError(t, f.RemoveDomain(t.Context(), developer, "www.example.com", ""))
	_, err := f.Issue(t.Context(), stranger, request("www.example.com"))
	require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "is free now: imca domain verify www.example.com")
	_, err = f.ResolveDomain(t.Context(), operator, "www.example.com", "other")
	require.Contains(t, refusal(t, err, ca.KindConflict).Detail, "imca domain verify www.example.com")
	_, err = f.VerifyDomain(t.Context(), stranger, "www.example.com", "", "")
	require.NoError(t, err)
	_, err = f.Issue(t.Context(), stranger, request("www.example.com"))
	require.NoError(t, err)
}

// Where a parent's proof covers its children, what a former owner has below the name is left too, but for what other apps hold there.
func TestWhatIsLeftBelowTheName(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) { r.ParentCovers = true })
	d := f.add(developer, "example.com", ca.MethodDNS)
	i.show(d, ca.MethodDNS)
	_, err := f.VerifyDomain(t.Context(), developer, "example.com", "", "")
	require.NoError(t, err)
	f.prove(i, developer, "kept.example.com")
	f.issue("www.example.com", "*.example.com", "example.com")
	f.issue("a.b.example.com")
	f.issue("kept.example.com")
	d = f.add(stranger, "example.com", ca.MethodDNS)
	i.show(d, ca.MethodDNS)
	_, err = f.VerifyDomain(t.Context(), stranger, "example.com", "", "")
	require.NoError(t, err)
	d, err = f.ResolveDomain(t.Context(), operator, "example.com", "other")
	require.NoError(t, err)
	left, err := f.Others(t.Context(), d, f.clock.Now())
	require.NoError(t, err)
	require.Len(t, left, 2)
}
