package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func TestTokenIsRotatedByItsHolder(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	dev := w.as("developer")
	self, err := dev.Whoami(ctx)
	require.NoError(t, err)
	hours := 2
	next, err := dev.RotateToken(ctx, self.TokenID, api.RotateRequest{OverlapHours: &hours})
	require.NoError(t, err)
	require.Equal(t, "developer demo", next.Name+" "+next.App)
	w.security["successor"] = next.Secret
	_, err = w.as("successor").Whoami(ctx)
	require.NoError(t, err)
	_, err = dev.Whoami(ctx)
	require.NoError(t, err)
	listed, err := w.as("operator").AppTokens(ctx, "demo", nil)
	require.NoError(t, err)
	ends := make(map[string]*time.Time)
	for _, token := range listed.Items {
		ends[token.ID] = token.SupersededAt
	}
	require.Equal(t, start.Add(2*time.Hour), *ends[self.TokenID])
	w.pass(2 * time.Hour)
	_, err = dev.Whoami(ctx)
	refusal(t, err, ca.KindUnauthenticated)

	w.ask("operator", "POST", "/v1/tokens/"+self.TokenID+"/rotate", "").problem(t, ca.KindConflict)
	w.ask("operator", "POST", "/v1/tokens/"+next.ID+"/rotate", `{"overlap_hours":99999999999}`).problem(t, ca.KindInvalid)
	w.ask("operator", "POST", "/v1/tokens/tok_none/rotate", "").problem(t, ca.KindNotFound)
	scoped, err := w.as("operator").CreateAppToken(ctx, "demo", api.AppTokenRequest{Name: "reader", Scopes: []string{"certificate.read"}})
	require.NoError(t, err)
	require.Equal(t, []string{"certificate.read"}, scoped.Scopes)
	w.security["reader"] = scoped.Secret
	_, err = w.as("reader").Issue(ctx, api.IssueRequest{Domain: "www.example.com"})
	refusal(t, err, ca.KindForbidden)
}
