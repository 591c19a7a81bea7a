package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// TestForesee: what can be known before a name is proven is what Issue says, and nothing else.
func TestForesee(t *testing.T) {
	f, _ := proving(t, databases["sqlite"](t), ca.PolicyProve)
	foresee := func(change func(*ca.IssueRequest)) (ca.Prospect, error) {
		req := ca.IssueRequest{App: "demo", Profile: "server", Domains: []string{"A.example.com.", "b.example.com", "a.example.com"}}
		if change != nil {
			change(&req)
		}
		return f.Foresee(t.Context(), developer, req)
	}
	p, err := foresee(nil)
	require.NoError(t, err)
	require.Equal(t, []bool{false, false}, p.Ready)
	require.Equal(t, "a.example.com", p.Names[0].String())

	allowed := []string{"b.example.com"}
	_, err = f.ChangeApp(t.Context(), operator, "demo", ca.AppChange{Allowed: &allowed})
	require.NoError(t, err)
	p, err = foresee(nil)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, p.Ready)

	for name, c := range map[string]struct {
		change func(*ca.IssueRequest)
		kind   ca.Kind
		field  string
	}{
		"another's app":      {func(r *ca.IssueRequest) { r.App = "other" }, ca.KindNotFound, ""},
		"the platform's":     {func(r *ca.IssueRequest) { r.App, r.Profile = "demo", "client" }, ca.KindInvalid, "/app"},
		"no profile":         {func(r *ca.IssueRequest) { r.Profile = "x" }, ca.KindInvalid, "/profile"},
		"an internal name":   {func(r *ca.IssueRequest) { r.Domains = []string{"a.example.com", "x.local"} }, ca.KindRejectedName, "/domains/1"},
		"no name":            {func(r *ca.IssueRequest) { r.Domains = nil }, ca.KindInvalid, "/domains"},
		"an end in the past": {func(r *ca.IssueRequest) { r.NotAfter = start }, ca.KindInvalid, "/not_after"},
		"a late begin":       {func(r *ca.IssueRequest) { r.NotBefore = start.AddDate(2, 0, 0) }, ca.KindInvalid, "/not_before"},
		"two validities":     {func(r *ca.IssueRequest) { day := 1; r.ValidityDays, r.NotAfter = &day, start.AddDate(0, 1, 0) }, ca.KindInvalid, "/validity_days"},
	} {
		_, err := foresee(c.change)
		require.Equal(t, c.field, refusal(t, err, c.kind).Field, name)
		if name != "another's app" && name != "no name" {
			req := ca.IssueRequest{App: "demo", Profile: "server", Domains: []string{"b.example.com"}}
			c.change(&req)
			_, err = f.Issue(t.Context(), operator, req)
			require.Equal(t, c.field, refusal(t, err, c.kind).Field, name)
		}
	}
}

// TestIssueWithin: a certificate begins and ends as was wished, to the second.
func TestIssueWithin(t *testing.T) {
	f := newFixture(t)
	issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{
		Domains: []string{"www.example.com"}, NotBefore: start.Add(time.Hour), NotAfter: start.Add(2*time.Hour + time.Millisecond),
	})
	require.NoError(t, err)
	c := leaf(t, issued.Certificate)
	require.Equal(t, start.Add(time.Hour), c.NotBefore)
	require.Equal(t, start.Add(2*time.Hour), c.NotAfter)
}
