package web_test

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

// TestOps shows what the operators' listener tells of a real CA, and of a database that is gone.
func TestOps(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	url := "sqlite:" + filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, store.Migrate(t.Context(), url))
	s, err := store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	var key crypto.Signer
	authorities, err := ca.Establish(t.Context(), s, ca.Principal{Name: "root", Role: ca.RoleAdmin}, ca.Establishment{
		NewKey: func(_ string, kind pki.KeyType) (crypto.Signer, string, error) {
			key, err = kind.Generate()
			return key, "memory:root", err
		},
	}, now)
	require.NoError(t, err)
	issuers, err := ca.Load(authorities, issuer.DefaultProfiles(), "", func(string) (crypto.Signer, error) { return key, nil })
	require.NoError(t, err)
	metrics := web.NewMetrics(clock)
	c, err := ca.New(ca.Config{Store: s, Issuers: issuers, Observe: metrics.Issuance, Now: clock})
	require.NoError(t, err)
	metrics.Watch(c)
	log := &logBuffer{}
	ops := web.New(web.Config{Authenticate: c.Authenticate, Metrics: metrics, Now: clock, Log: slog.New(slog.NewTextHandler(log, nil))}).Ops(c)
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		ops.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}

	operator := ca.Principal{Name: "olga", Role: ca.RoleOperator, Token: "tok_olga"}
	request := ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}, IdempotencyKey: "once"}
	for range 2 {
		_, err = c.Issue(t.Context(), operator, request)
		require.NoError(t, err)
	}
	_, err = c.Issue(t.Context(), ca.Principal{Name: "aude", Role: ca.RoleAuditor}, request)
	require.Error(t, err)
	_, err = c.Issue(t.Context(), operator, ca.IssueRequest{Profile: "whatever a stranger types"})
	require.Error(t, err)

	require.Equal(t, http.StatusOK, ask("/healthz").Code)
	require.Equal(t, http.StatusOK, ask("/readyz").Code)
	require.NotContains(t, log.String(), "healthz", "asked too often to be told")
	page := ask("/metrics").Body.String()
	for _, line := range []string{
		`imca_issuances_total{profile="client",result="issued"} 1`,
		`imca_issuances_total{profile="client",result="replayed"} 1`,
		`imca_issuances_total{profile="client",result="refused"} 1`,
		`imca_issuances_total{profile="unknown",result="refused"} 1`,
		fmt.Sprintf(`imca_authority_not_after_seconds{authority="TencentQQAuthCA"} %g`, float64(issuers[0].Certificate().NotAfter.Unix())),
		`imca_authority_can_sign{authority="TencentQQAuthCA"} 1`,
		`imca_ready 1`,
	} {
		require.Contains(t, page, line+"\n")
	}

	require.NoError(t, s.Close())
	require.Equal(t, http.StatusOK, ask("/healthz").Code)
	w := ask("/readyz")
	problem(t, w, ca.KindUnavailable)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Contains(t, ask("/metrics").Body.String(), "imca_ready 0\n")
	_, err = c.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
	require.False(t, errors.As(err, new(*ca.Error)))
	require.Contains(t, ask("/metrics").Body.String(), `imca_issuances_total{profile="client",result="failed"} 1`+"\n")
}

func TestIssuanceDurations(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := web.NewMetrics(func() time.Time { return now })
	issue := func(profile string, took time.Duration, result ca.Result) {
		ended := m.Issuance(profile)
		now = now.Add(took)
		ended(result)
	}
	bounds, counts := m.IssuanceDurations()
	require.Empty(t, counts, "nothing was issued")
	require.Empty(t, bounds)
	issue("server", 3*time.Millisecond, ca.ResultIssued)
	issue("client", 4*time.Millisecond, ca.ResultIssued)
	issue("server", 20*time.Second, ca.ResultIssued)
	issue("server", time.Second, ca.ResultRefused)
	bounds, counts = m.IssuanceDurations()
	require.Len(t, counts, len(bounds)+1)
	require.Equal(t, 500*time.Microsecond, bounds[0])
	all := make(map[string]int)
	for i, n := range counts {
		switch {
		case n == 0:
		case i == len(bounds):
			all["longer"] = n
		default:
			all[bounds[i].String()] = n
		}
	}
	require.Equal(t, map[string]int{"4ms": 2, "longer": 1}, all)
}
