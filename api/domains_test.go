package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

// provingWorld is one whose apps have to prove their names.
func provingWorld(t *testing.T, change ...func(*worldOptions)) *world {
	w := newWorld(t, change...)
	prove := string(ca.PolicyProve)
	for _, app := range []string{"demo", "other"} {
		_, err := w.as("operator").ChangeApp(t.Context(), app, api.AppChange{Policy: &prove})
		require.NoError(t, err)
	}
	return w
}

// From the refusal to the certificate.
func TestNameIsProven(t *testing.T) {
	w := provingWorld(t)
	dev := w.as("developer")
	_, err := dev.Issue(t.Context(), api.IssueRequest{Domains: []string{"www.example.com", "*.example.com"}})
	p := refusal(t, err, ca.KindUnproven)
	require.Equal(t, http.StatusForbidden, p.Status)
	require.Equal(t, []string{"/domains/0", "/domains/1"}, []string{p.Errors[0].Pointer, p.Errors[1].Pointer})

	d, err := dev.AddDomain(t.Context(), api.DomainRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	require.Equal(t, "pending", d.State)
	require.Contains(t, d.NextStep, "imca domain verify www.example.com")
	require.Equal(t, []string{"http-01", "dns-01"}, []string{d.Challenges[0].Method, d.Challenges[1].Method})
	d, err = dev.AddDomain(t.Context(), api.DomainRequest{Domain: "*.example.com"})
	require.NoError(t, err)
	require.Equal(t, "_acme-challenge.example.com", d.Challenges[0].RecordName)
	require.Len(t, d.Challenges, 1, "a file cannot prove a wildcard")
	for _, name := range []string{"www.example.com", "*.example.com"} {
		d, err = dev.VerifyDomain(t.Context(), name, api.VerifyRequest{})
		require.NoError(t, err)
		require.Equal(t, "valid", d.State)
		require.NotNil(t, d.ExpiresAt)
	}
	require.Equal(t, "Ask for the certificate: imca issue '*.example.com'", d.NextStep)
	_, err = dev.Issue(t.Context(), api.IssueRequest{Domains: []string{"www.example.com", "*.example.com"}})
	require.NoError(t, err)
}

func TestProofIsMissing(t *testing.T) {
	w := provingWorld(t)
	for _, kind := range []ca.Kind{ca.KindProofReach, ca.KindProofDNS, ca.KindProofTLS, ca.KindProofWrong} {
		name := string(kind) + ".example.com"
		_, err := w.as("developer").AddDomain(t.Context(), api.DomainRequest{Domain: name})
		require.NoError(t, err)
		_, err = w.as("developer").VerifyDomain(t.Context(), name, api.VerifyRequest{})
		refusal(t, err, kind)
		d, err := w.as("developer").Domain(t.Context(), name, "")
		require.NoError(t, err)
		require.Contains(t, d.Failure, "put it there")
	}
}

func TestCAAForbids(t *testing.T) {
	w := provingWorld(t, func(o *worldOptions) { o.rules.CAA = forbidden })
	w.ownDomain("www.example.com", false)
	_, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	refusal(t, err, ca.KindCAA)
}

// What each route refuses, beside what everybody is refused.
func TestDomainsAreRefused(t *testing.T) {
	w := provingWorld(t)
	w.ownDomain("www.example.com", true)
	w.ownDomain("quiet.example.com", false)
	_, err := w.as("stranger").AddDomain(t.Context(), api.DomainRequest{Domain: "quiet.example.com"})
	require.NoError(t, err)
	for _, app := range []string{"demo", "other"} {
		_, err = w.as("operator").AddDomain(t.Context(), api.DomainRequest{Domain: "both.example.com", App: app})
		require.NoError(t, err)
	}
	for _, c := range []struct {
		who, method, path, body string
		kind                    ca.Kind
	}{
		{"developer", "POST", "/v1/domains", `{"domain":"localhost"}`, ca.KindRejectedName},
		{"developer", "POST", "/v1/domains", `{"domain":"www.example.com","method":"faith"}`, ca.KindInvalid},
		{"developer", "POST", "/v1/domains", `{"domain":"www.example.com","app":"other"}`, ca.KindNotFound},
		{"developer", "GET", "/v1/domains?app=other", "", ca.KindNotFound},
		{"developer", "GET", "/v1/domains?state=lost", "", ca.KindInvalid},
		{"developer", "GET", "/v1/domains?cursor=x", "", ca.KindInvalid},
		{"operator", "GET", "/v1/domains/both.example.com", "", ca.KindConflict},
		{"developer", "GET", "/v1/domains/a..b", "", ca.KindNotFound},
		{"developer", "DELETE", "/v1/domains/none.example.com", "", ca.KindNotFound},
		{"developer", "POST", "/v1/domains/none.example.com/verify", "", ca.KindNotFound},
		{"developer", "POST", "/v1/domains/www.example.com/verify", `{"method":"faith"}`, ca.KindInvalid},
		{"operator", "POST", "/v1/domains/both.example.com/verify", "", ca.KindConflict},
		{"operator", "POST", "/v1/domains/none.example.com/approve", "", ca.KindNotFound},
		{"operator", "POST", "/v1/domains/www.example.com/approve", `{"app":"other"}`, ca.KindConflict},
		{"operator", "POST", "/v1/domains/www.example.com/approve", `{"reason":"two\nlines"}`, ca.KindInvalid},
		{"operator", "POST", "/v1/domains/none.example.com/reject", `{"reason":"no"}`, ca.KindNotFound},
		{"operator", "POST", "/v1/domains/www.example.com/reject", `{"reason":""}`, ca.KindInvalid},
		{"operator", "POST", "/v1/domains/none.example.com/transfer", `{"to":"other"}`, ca.KindConflict},
		{"operator", "POST", "/v1/domains/www.example.com/transfer", `{"to":"nobody"}`, ca.KindInvalid},
		{"developer", "POST", "/v1/domains/none.example.com/resolve", `{"to":"demo"}`, ca.KindNotFound},
		{"operator", "POST", "/v1/domains/www.example.com/resolve", `{"to":"nobody"}`, ca.KindInvalid},
		{"operator", "POST", "/v1/domains/quiet.example.com/resolve", `{"to":"demo"}`, ca.KindConflict},
		{"developer", "POST", "/v1/domains/none.example.com/revoke-others", "", ca.KindNotFound},
		{"stranger", "POST", "/v1/domains/quiet.example.com/revoke-others", "", ca.KindConflict},
	} {
		w.ask(c.who, c.method, c.path, c.body).problem(t, c.kind)
	}
}

func TestConflictAndTransfer(t *testing.T) {
	w := provingWorld(t)
	ctx := t.Context()
	w.ownDomain("www.example.com", false)
	theirs, err := w.as("developer").Issue(ctx, api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	_, err = w.as("stranger").AddDomain(ctx, api.DomainRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	d, err := w.as("stranger").VerifyDomain(ctx, "www.example.com", api.VerifyRequest{})
	require.NoError(t, err)
	require.Equal(t, "conflict", d.State)
	d, err = w.as("developer").Domain(ctx, "www.example.com", "")
	require.NoError(t, err)
	require.Equal(t, []string{"other"}, d.ContestedBy)

	d, err = w.as("developer").ResolveDomain(ctx, "www.example.com", api.TransferRequest{To: "other"})
	require.NoError(t, err)
	require.Equal(t, "other valid", d.App+" "+d.State)
	d, err = w.as("stranger").Domain(ctx, "www.example.com", "")
	require.NoError(t, err)
	require.Equal(t, []string{theirs.Serial}, d.OthersCertificates)
	revoked, err := w.as("stranger").RevokeOthers(ctx, "www.example.com")
	require.NoError(t, err)
	require.Len(t, revoked, 1)
	require.Equal(t, "revoked cessationOfOperation", revoked[0].Status+" "+revoked[0].RevocationReason)

	d, err = w.as("operator").TransferDomain(ctx, "www.example.com", api.TransferRequest{To: "demo"})
	require.NoError(t, err)
	require.Equal(t, "demo pending", d.App+" "+d.State)
	require.Equal(t, "operator transferred from other", d.DecidedBy+" "+d.Decision)
}

func TestQueueOfOperators(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	approve := string(ca.PolicyApprove)
	_, err := w.as("operator").ChangeApp(ctx, "demo", api.AppChange{Policy: &approve})
	require.NoError(t, err)
	for _, name := range []string{"c.example.com", "a.example.com", "b.example.com"} {
		_, err := w.as("developer").AddDomain(ctx, api.DomainRequest{Domain: name})
		require.NoError(t, err)
	}
	var queue []string
	for f := (api.Filter{"state": "awaiting-approval", "limit": "2", "suffix": "example.com"}); ; {
		page, err := w.as("operator").Domains(ctx, f)
		require.NoError(t, err)
		for _, d := range page.Items {
			queue = append(queue, d.Domain)
		}
		if page.Next == "" {
			break
		}
		f["cursor"] = page.Next
	}
	require.Equal(t, []string{"a.example.com", "b.example.com", "c.example.com"}, queue)
	d, err := w.as("operator").ApproveDomain(ctx, "a.example.com", api.ApproveRequest{Reason: "known", Wildcard: true})
	require.NoError(t, err)
	require.Equal(t, "ca-approved", d.ProvenBy)
	require.Nil(t, d.ExpiresAt)
	_, err = w.as("developer").Issue(ctx, api.IssueRequest{Domain: "*.a.example.com"})
	require.NoError(t, err)
	d, err = w.as("operator").RejectDomain(ctx, "b.example.com", api.RejectRequest{Reason: "Not a customer."})
	require.NoError(t, err)
	_, err = w.as("developer").AddDomain(ctx, api.DomainRequest{Domain: "b.example.com"})
	require.Contains(t, refusal(t, err, ca.KindForbidden).Detail, d.Decision[:len(d.Decision)-1])
	require.NoError(t, w.as("operator").RemoveDomain(ctx, "b.example.com", "demo"))
}
