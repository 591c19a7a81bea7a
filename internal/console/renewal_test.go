package console_test

import (
	"html"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
)

func TestLinesForACMEClients(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleDeveloper)
		page := p.page("/apps/demo/acme").body
		require.Contains(t, page, w.url+"/acme/directory")
		credentials := func() (ids []string) {
			tokens, err := w.ca.ListTokens(t.Context(), root, "demo", "", ca.MaxPage)
			require.NoError(t, err)
			for _, token := range tokens {
				if token.Scopes != "" {
					ids = append(ids, token.ID)
				}
			}
			return ids
		}
		require.Empty(t, credentials(), "looking makes nothing")

		for _, wrong := range []string{"*.example.com", "www.example.com 192.0.2.1", "no_such name"} {
			a := p.post("/apps/demo/acme", url.Values{"domains": {wrong}})
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, wrong)
			require.Contains(t, a.body, `class="fault"`, wrong)
			require.Empty(t, credentials(), "nobody would see it")
		}

		a := p.post("/apps/demo/acme", url.Values{"domains": {"www.example.com api.example.com"}})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.Len(t, credentials(), 1)
		id := credentials()[0]
		token, err := w.ca.EAB(t.Context(), id, "192.0.2.1", "")
		require.NoError(t, err)
		require.Equal(t, "demo", token.App)
		text := html.UnescapeString(a.body)
		for _, client := range acmelines.Clients() {
			require.Contains(t, text, "<summary>"+client+"</summary>")
		}
		require.Contains(t, text, id)
		require.Contains(t, text, "api.example.com", "in the lines")
		require.NotContains(t, p.page("/apps/demo/acme").body, id, "it is shown once")

		require.Equal(t, http.StatusNotFound, p.get("/apps/other/acme").StatusCode)
		require.Equal(t, http.StatusNotFound, p.post("/apps/other/acme", nil).StatusCode)
		auditor := w.as(ca.RoleAuditor)
		require.Contains(t, auditor.page("/apps/demo/acme").body, "Ask an operator")
		require.Equal(t, http.StatusForbidden, auditor.post("/apps/demo/acme", nil).StatusCode)
	})
}
