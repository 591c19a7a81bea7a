package ca_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// internet is what strangers' servers and name servers show, as far as a CA looks.
type internet struct {
	mu       sync.Mutex
	shown    map[string]bool              // "method name keyAuthorization"
	standing map[string]ca.StandingRecord // "name account"
	caa      map[string]string            // name → why not
	asked    []string                     // CAA questions: "name method accounts"
}

func newInternet() *internet {
	return &internet{shown: make(map[string]bool), standing: make(map[string]ca.StandingRecord), caa: make(map[string]string)}
}

func (i *internet) show(d ca.Domain, m ca.Method) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shown[fmt.Sprint(m, d.Name, ca.KeyAuthorization(d.Token, ca.Thumbprint(d.App)))] = true
}

func (i *internet) hide() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.shown)
	clear(i.standing)
}

func (i *internet) prove(_ context.Context, m ca.Method, n pki.Name, _, keyAuthorization string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.shown[fmt.Sprint(m, n.Base(), keyAuthorization)] {
		return nil
	}
	return &ca.Error{Kind: ca.KindProofWrong, Detail: "there is nothing at " + n.String() + "; put it there"}
}

func (i *internet) look(_ context.Context, n pki.Name, accounts []string) (ca.StandingRecord, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, account := range accounts {
		r, there := i.standing[fmt.Sprint(n.Base(), account)]
		if there && (!n.IsWildcard() || r.Wildcard) {
			r.Account = account
			return r, nil
		}
	}
	return ca.StandingRecord{}, &ca.Error{Kind: ca.KindProofWrong, Detail: "there is no standing record"}
}

func (i *internet) askCAA(_ context.Context, n pki.Name, accounts []string, m ca.Method) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = append(i.asked, fmt.Sprint(n, " ", m, " ", strings.Join(accounts, " ")))
	if why := i.caa[n.String()]; why != "" {
		return &ca.Error{Kind: ca.KindCAA, Detail: why}
	}
	return nil
}

// proving is a fixture whose apps have to prove their names to an internet.
func proving(t testing.TB, url string, policy ca.DomainPolicy, change ...func(*ca.DomainRules)) (*fixture, *internet) {
	f := newFixtureOn(t, url, ca.HierarchyDirect)
	i := newInternet()
	f.rules = ca.DomainRules{Policy: policy, Prove: i.prove, Standing: i.look, CAA: i.askCAA, Identity: "ca.example"}
	for _, c := range change {
		c(&f.rules)
	}
	f.load(f.store)
	for _, id := range []string{"demo", "other"} {
		_, err := f.ChangeApp(t.Context(), operator, id, ca.AppChange{Policy: &policy})
		require.NoError(t, err)
	}
	return f, i
}

func sqliteURL(t testing.TB) string { return databases["sqlite"](t) }

// add makes a claim.
func (f *fixture) add(p ca.Principal, domain string, m ca.Method) ca.Domain {
	f.t.Helper()
	d, _, err := f.AddDomain(f.t.Context(), p, ca.NewDomain{Domain: domain, Method: string(m)})
	require.NoError(f.t, err)
	return d
}

// prove makes a claim and proves it.
func (f *fixture) prove(i *internet, p ca.Principal, domain string) ca.Domain {
	f.t.Helper()
	d := f.add(p, domain, "")
	i.show(d, d.Method)
	d, err := f.VerifyDomain(f.t.Context(), p, d.Name.String(), "", "")
	require.NoError(f.t, err)
	return d
}

func request(domains ...string) ca.IssueRequest { return ca.IssueRequest{Domains: domains} }

// From the refusal to the certificate, by what the refusals say.
func TestUnprovenNameIsRefusedUntilItIsProven(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve)
		_, err := f.Issue(t.Context(), developer, request("www.example.com"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "imca domain add www.example.com")

		d, added, err := f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "WWW.example.com."})
		require.NoError(t, err)
		require.True(t, added)
		require.Equal(t, ca.DomainPending, d.State)
		ways := f.Challenges(d)
		require.Equal(t, ca.MethodHTTP, ways[0].Method)
		require.Equal(t, "http://www.example.com/.well-known/acme-challenge/"+d.Token, ways[0].URL)
		require.Contains(t, ways[0].Instructions, ways[0].KeyAuthorization)
		require.Contains(t, ways[0].Instructions, "imca domain verify www.example.com")
		require.Len(t, ways, 3, "http, dns and the standing record")

		_, err = f.Issue(t.Context(), developer, request("www.example.com"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, ways[0].KeyAuthorization, "the refusal says what to show where")

		events := f.events(func() {
			_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
			require.Contains(t, refusal(t, err, ca.KindProofWrong).Detail, "nothing at www.example.com")
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
		seen, err := f.Domain(t.Context(), developer, "www.example.com", "")
		require.NoError(t, err)
		require.Contains(t, seen.Failure, "nothing at")

		i.show(d, ca.MethodHTTP)
		d, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
		require.NoError(t, err)
		require.Equal(t, ca.DomainValid, d.State)
		require.Equal(t, start.Add(90*24*time.Hour), d.ExpiresAt)
		require.Empty(t, d.Failure)
		f.issue("www.example.com")
		require.Equal(t, []string{"www.example.com http-01 https://ca.example/apps/demo"}, i.asked)

		stored, err := f.Domain(t.Context(), operator, "www.example.com", "")
		require.NoError(t, err)
		require.Equal(t, d, stored, "what is answered is what is kept")
	})
}

// N names are N checks: an unproven one is found wherever it stands, and a CAA record that forbids too.
func TestTenNamesOneUnproven(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	var names []string
	for n := range 10 {
		names = append(names, fmt.Sprintf("n%d.example.com", n))
		f.prove(i, developer, names[n])
	}
	f.issue(names...)
	require.Len(t, i.asked, 10)
	for n := range 10 {
		bad := append([]string(nil), names...)
		bad[n] = "bad.example.com"
		_, err := f.Issue(t.Context(), developer, request(bad...))
		e := refusal(t, err, ca.KindUnproven)
		require.Len(t, e.Faults, 1)
		require.Equal(t, fmt.Sprintf("/domains/%d", n), e.Faults[0].Field)

		i.caa = map[string]string{names[n]: "CAA forbids " + names[n]}
		_, err = f.Issue(t.Context(), developer, request(names...))
		e = refusal(t, err, ca.KindCAA)
		require.Len(t, e.Faults, 1)
		require.Equal(t, fmt.Sprintf("/domains/%d", n), e.Faults[0].Field)
		i.caa = nil

		csrNames := csr(t, certificateRequest(bad...))
		_, err = f.Issue(t.Context(), developer, ca.IssueRequest{CSR: csrNames})
		refusal(t, err, ca.KindUnproven)
	}
	require.Len(t, f.all(""), 1, "nothing else was recorded")
}

// A proof is good for one name, one app, its time, and nothing else.
func TestProofIsForNothingElse(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, f *fixture, i *internet) error{
		"another name": func(t *testing.T, f *fixture, i *internet) error {
			d := f.add(developer, "a.example.com", "")
			d.Name = f.add(developer, "b.example.com", "").Name
			i.show(d, ca.MethodHTTP)
			_, err := f.VerifyDomain(t.Context(), developer, "b.example.com", "", "")
			return err
		},
		"another app": func(t *testing.T, f *fixture, i *internet) error {
			i.show(f.add(developer, "a.example.com", ""), ca.MethodHTTP)
			f.add(stranger, "a.example.com", "")
			_, err := f.VerifyDomain(t.Context(), stranger, "a.example.com", "", "")
			return err
		},
		"the token of another app": func(t *testing.T, f *fixture, i *internet) error {
			theirs, mine := f.add(developer, "a.example.com", ""), f.add(stranger, "a.example.com", "")
			theirs.Token = mine.Token
			i.show(theirs, ca.MethodHTTP)
			_, err := f.VerifyDomain(t.Context(), stranger, "a.example.com", "", "")
			return err
		},
		"another method": func(t *testing.T, f *fixture, i *internet) error {
			i.show(f.add(developer, "a.example.com", ca.MethodDNS), ca.MethodHTTP)
			_, err := f.VerifyDomain(t.Context(), developer, "a.example.com", "", "")
			return err
		},
		"a claim that was given up": func(t *testing.T, f *fixture, i *internet) error {
			f.prove(i, developer, "a.example.com")
			require.NoError(t, f.RemoveDomain(t.Context(), developer, "a.example.com", ""))
			f.add(developer, "a.example.com", "")
			_, err := f.VerifyDomain(t.Context(), developer, "a.example.com", "", "")
			return err
		},
		"the name's life under another app": func(t *testing.T, f *fixture, i *internet) error {
			f.prove(i, developer, "a.example.com")
			for _, to := range []string{"other", "demo"} {
				_, err := f.TransferDomain(t.Context(), operator, "a.example.com", to)
				require.NoError(t, err)
			}
			_, err := f.VerifyDomain(t.Context(), developer, "a.example.com", "", "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, i := proving(t, sqliteURL(t), ca.PolicyProve)
			refusal(t, test(t, f, i), ca.KindProofWrong)
			_, err := f.Issue(t.Context(), stranger, request("a.example.com"))
			refusal(t, err, ca.KindUnproven)
		})
	}
}

func TestChallengeEnds(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	old := f.add(developer, "www.example.com", "")
	i.show(old, ca.MethodHTTP)
	f.clock.advance(7 * 24 * time.Hour)
	_, err := f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
	refusal(t, err, ca.KindConflict)
	renewed := f.add(developer, "www.example.com", "")
	require.NotEqual(t, old.Token, renewed.Token)
	_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
	refusal(t, err, ca.KindProofWrong)
	i.show(renewed, ca.MethodHTTP)
	_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
	require.NoError(t, err)
}

func TestProofLapses(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	f.prove(i, developer, "www.example.com")
	f.clock.advance(90*24*time.Hour - time.Microsecond)
	f.issue("www.example.com")
	f.clock.advance(time.Microsecond)
	_, err := f.Issue(t.Context(), developer, request("www.example.com"))
	refusal(t, err, ca.KindUnproven)
	_, err = f.Renew(t.Context(), developer, f.all("")[0].Serial, ca.RenewRequest{})
	refusal(t, err, ca.KindUnproven)
}

func TestWildcards(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	_, _, err := f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "*.example.com", Method: "http-01"})
	refusal(t, err, ca.KindInvalid)
	_, _, err = f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "203.0.114.7", Method: "dns-01"})
	refusal(t, err, ca.KindInvalid)
	f.prove(i, developer, "203.0.114.7")
	f.issue("203.0.114.7")

	f.prove(i, developer, "example.com")
	_, err = f.Issue(t.Context(), developer, request("*.example.com"))
	require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "'*.example.com'")
	d := f.add(developer, "*.example.com", "")
	require.Equal(t, ca.MethodDNS, d.Method)
	f.issue("example.com") // what was proven stays so
	i.show(d, ca.MethodDNS)
	_, err = f.VerifyDomain(t.Context(), developer, "example.com", "", "")
	require.NoError(t, err)
	f.issue("*.example.com", "example.com")
	_, err = f.VerifyDomain(t.Context(), developer, "example.com", "", ca.MethodHTTP)
	require.NoError(t, err)
	f.issue("*.example.com") // a proof that covers less takes nothing away
	_, err = f.Issue(t.Context(), developer, request("*.www.example.com"))
	refusal(t, err, ca.KindUnproven)
	_, err = f.Issue(t.Context(), developer, request("www.example.com"))
	refusal(t, err, ca.KindUnproven)
}

func TestParentCoversItsChildrenWherePolicySaysSo(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) { r.ParentCovers = true })
	f.prove(i, developer, "http.example")
	_, err := f.Issue(t.Context(), developer, request("www.http.example"))
	refusal(t, err, ca.KindUnproven)

	d := f.add(developer, "example.com", ca.MethodDNS)
	i.show(d, ca.MethodDNS)
	_, err = f.VerifyDomain(t.Context(), developer, "example.com", "", "")
	require.NoError(t, err)
	f.issue("www.example.com", "a.b.c.example.com", "*.d.example.com", "*.example.com")

	f.prove(i, stranger, "shop.example.com")
	for _, name := range []string{"shop.example.com", "www.shop.example.com", "*.shop.example.com"} {
		_, err = f.Issue(t.Context(), developer, request(name))
		refusal(t, err, ca.KindUnproven)
	}
	_, err = f.Issue(t.Context(), stranger, request("shop.example.com"))
	require.NoError(t, err)
	_, err = f.Issue(t.Context(), stranger, request("notexample.com"))
	refusal(t, err, ca.KindUnproven)
}

func TestStandingRecord(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	d := f.add(developer, "example.com", ca.MethodStanding)
	require.Equal(t, "ca.example; accounturi=https://ca.example/apps/demo", f.Challenges(d)[0].RecordValue)
	i.standing["example.comhttps://ca.example/apps/other"] = ca.StandingRecord{}
	_, err := f.VerifyDomain(t.Context(), developer, "example.com", "", "")
	refusal(t, err, ca.KindProofWrong)
	until := start.Add(30 * 24 * time.Hour)
	i.standing["example.comhttps://ca.example/apps/demo"] = ca.StandingRecord{Until: until}
	d, err = f.VerifyDomain(t.Context(), developer, "example.com", "", "")
	require.NoError(t, err)
	require.Equal(t, until, d.ExpiresAt, "a proof lasts no longer than its record")
	_, err = f.Issue(t.Context(), developer, request("*.example.com"))
	refusal(t, err, ca.KindUnproven)
}

// What an operator has opened or listed needs no proof, and no CAA.
func TestPoliciesWithoutProof(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	i.caa["listed.example"] = "no"
	allowed := []string{"listed.example"}
	_, err := f.ChangeApp(t.Context(), operator, "demo", ca.AppChange{Allowed: &allowed})
	require.NoError(t, err)
	f.issue("listed.example")
	_, err = f.Issue(t.Context(), developer, request("listed.example", "www.listed.example"))
	require.Equal(t, "/domains/1", refusal(t, err, ca.KindUnproven).Field)
	open := ca.PolicyOpen
	_, err = f.ChangeApp(t.Context(), operator, "demo", ca.AppChange{Policy: &open})
	require.NoError(t, err)
	f.issue("any.example")
	require.Empty(t, i.asked)
	app, _, err := f.CreateApp(t.Context(), operator, ca.NewApp{})
	require.NoError(t, err)
	require.Equal(t, ca.PolicyProve, app.Policy, "the policy of the configuration")
}

func TestMayHave(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	n, err := pki.ParseName("www.example.com")
	require.NoError(t, err)
	refusal(t, f.MayHave(t.Context(), developer, "demo", n), ca.KindUnproven)
	refusal(t, f.MayHave(t.Context(), stranger, "demo", n), ca.KindNotFound)
	f.prove(i, developer, "www.example.com")
	require.NoError(t, f.MayHave(t.Context(), developer, "demo", n))
	internal, err := pki.ParseName("localhost")
	require.NoError(t, err)
	refusal(t, f.MayHave(t.Context(), developer, "demo", internal), ca.KindRejectedName)
}

// The ACME door brings tokens of its own; what it proves is the same.
func TestProofOfAnotherDoor(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	n, err := pki.ParseName("*.example.com")
	require.NoError(t, err)
	proof := ca.Proof{App: "demo", Name: n, Method: ca.MethodDNS, Token: "T", KeyAuthorization: "T.account"}
	_, err = f.ProveDomain(t.Context(), developer, proof)
	refusal(t, err, ca.KindProofWrong)
	i.shown[fmt.Sprint(ca.MethodDNS, n.Base(), "T.account")] = true
	_, err = f.ProveDomain(t.Context(), stranger, proof)
	refusal(t, err, ca.KindNotFound)
	d, err := f.ProveDomain(t.Context(), developer, proof)
	require.NoError(t, err)
	require.True(t, d.Wildcard)
	f.issue("*.example.com", "example.com")
}

func TestAbsurdDomains(t *testing.T) {
	f, _ := proving(t, sqliteURL(t), ca.PolicyProve)
	for _, name := range []string{"", "localhost", "co.uk", "*.co.uk", "a b.example", "127.0.0.1", "10.0.0.1", "www.example.com/x", "169.254.169.254", "*", "*.*.example.com"} {
		_, _, err := f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: name})
		refusal(t, err, ca.KindRejectedName)
	}
	_, _, err := f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "www.example.com", Method: "telepathy"})
	refusal(t, err, ca.KindInvalid)
	_, _, err = f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "www.example.com", App: "other"})
	refusal(t, err, ca.KindNotFound)
	_, _, err = f.AddDomain(t.Context(), operator, ca.NewDomain{Domain: "www.example.com"})
	refusal(t, err, ca.KindInvalid)
	_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
	refusal(t, err, ca.KindNotFound)
}
