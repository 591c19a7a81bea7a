package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestQuotasOfAnApp(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const page = "/console/apps/demo"
		p := w.as(ca.RoleOperator)
		own := func() map[string]int {
			app, err := w.ca.App(t.Context(), root, "demo")
			require.NoError(t, err)
			return app.Quotas
		}
		require.NotContains(t, p.page(page).body, ">its own<")
		a := p.post(page+"/quotas", url.Values{"certificates_per_week": {" 5000 "}, "checks_per_hour": {"0"}, "open_claims": {""}})
		require.Equal(t, page+"?done=app-changed#quotas", a.Header.Get("Location"), a.body)
		require.Equal(t, map[string]int{"certificates_per_week": 5000, "checks_per_hour": 0}, own())
		shown := p.page(page).body
		require.Contains(t, shown, "5,000")
		require.Contains(t, shown, ">its own<")
		require.Contains(t, shown, `name="certificates_per_week" type="text" value="5000"`)

		// What else is changed leaves them alone.
		p.post(page, url.Values{"name": {"Demo"}, "policy": {"open"}})
		require.Len(t, own(), 2)

		a = p.post(page+"/quotas", url.Values{"certificates_per_week": {"many"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Contains(t, a.body, `id="quota-certificates_per_week-fault"`)
		require.Contains(t, a.body, `value="many"`)
		a = p.post(page+"/quotas", url.Values{"open_claims": {"0"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Contains(t, a.body, "give a number from 1 to")
		require.Len(t, own(), 2)

		require.NotEmpty(t, p.post(page+"/quotas", url.Values{}).Header.Get("Location"))
		require.Empty(t, own())

		auditor := w.as(ca.RoleAuditor)
		require.NotContains(t, auditor.page(page).body, page+"/quotas")
		require.Equal(t, http.StatusForbidden, auditor.post(page+"/quotas", url.Values{"open_claims": {"7"}}).StatusCode)
		require.Empty(t, own())
	})
}
