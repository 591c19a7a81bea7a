package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var secretText = regexp.MustCompile(`imca_[A-Za-z0-9_-]{20,}`)

func TestOperatorsTokens(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleAdmin)
		for name, form := range map[string]url.Values{
			"name":      {"role": {"auditor"}},
			"role":      {"name": {"x"}, "role": {"king"}},
			"developer": {"name": {"x"}, "role": {"developer"}},
			"days":      {"name": {"x"}, "role": {"auditor"}, "days": {"0"}},
			"scopes":    {"name": {"x"}, "role": {"auditor"}, "scope": {"event.read", "token.create"}},
		} {
			a := p.post("/console/tokens", form)
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, name)
			require.Contains(t, a.body, `class="fault"`, name)
			require.NotRegexp(t, secretText, a.body, name)
		}
		a := p.post("/console/tokens", url.Values{"name": {"night watch"}, "role": {"auditor"}, "days": {"30"}, "scope": {"event.read", "session.sign-in"}})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		secret := secretText.FindString(a.body)
		who, err := w.ca.Authenticate(t.Context(), secret, "", "")
		require.NoError(t, err)
		require.Equal(t, ca.RoleAuditor, who.Role)
		require.Equal(t, ca.Scopes("event.read session.sign-in"), who.Scopes)
		page := p.page("/console/tokens").body
		require.NotContains(t, page, secret)
		require.Contains(t, page, who.Token)
		require.Contains(t, page, "only for some things")
		require.Contains(t, page, "2026-03-31")

		a = p.post("/console/tokens/"+who.Token+"/rotate", url.Values{})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		successor, err := w.ca.Authenticate(t.Context(), secretText.FindString(a.body), "", "")
		require.NoError(t, err)
		require.Equal(t, who.Scopes, successor.Scopes)
		require.Contains(t, a.body, "The old one goes on until")
		require.NotContains(t, p.page("/console/tokens").body, "/"+who.Token+"/rotate", "it has a successor")

		require.Equal(t, "/console/tokens?done=token-revoked", p.post("/console/tokens/"+who.Token+"/revoke", url.Values{}).Header.Get("Location"))
		_, err = w.ca.Authenticate(t.Context(), secret, "", "")
		require.Error(t, err)

		for _, role := range []ca.Role{ca.RoleOperator, ca.RoleAuditor} {
			other := w.as(role)
			page := other.page("/console/tokens").body
			require.Contains(t, page, successor.Token)
			require.NotContains(t, page, "/"+successor.Token+"/")
			require.NotContains(t, page, `id="make"`)
			require.Equal(t, http.StatusForbidden, other.post("/console/tokens", url.Values{"name": {"x"}, "role": {"operator"}}).StatusCode)
			require.Equal(t, http.StatusForbidden, other.post("/console/tokens/"+successor.Token+"/rotate", url.Values{}).StatusCode)
			require.Equal(t, http.StatusForbidden, other.post("/console/tokens/"+successor.Token+"/revoke", url.Values{}).StatusCode)
			own := regexp.MustCompile(`/console/tokens/(tok_[A-Za-z0-9_-]+)/rotate`).FindString(page)
			require.NotEmpty(t, own, "the own one can be replaced")
			require.Regexp(t, secretText, other.post(own, url.Values{}).body)
		}
	})
}

func TestTokensPageByPage(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for range ca.DefaultPage + 1 {
		_, _, err := w.ca.CreateToken(t.Context(), root, ca.NewToken{Name: "machine", Role: ca.RoleAuditor})
		require.NoError(t, err)
	}
	p := w.as(ca.RoleAdmin)
	seen := make(map[string]bool)
	for path := "/console/tokens"; path != ""; {
		page := p.page(path).body
		for _, id := range regexp.MustCompile(`>(tok_[A-Za-z0-9_-]+)<`).FindAllStringSubmatch(page, -1) {
			seen[id[1]] = true
		}
		path = ""
		if next := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(page); next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	require.Len(t, seen, ca.DefaultPage+2)
}

// TestAppTokenIsReplaced: on the page of its app, by an operator.
func TestAppTokenIsReplaced(t *testing.T) {
	w := newWorld(t, sqlite(t))
	token, _ := w.token()
	p := w.as(ca.RoleOperator)
	path := "/console/apps/demo/tokens/" + token.ID
	require.Contains(t, p.page("/console/apps/demo").body, path+"/rotate")
	a := p.post(path+"/rotate", url.Values{})
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	who, err := w.ca.Authenticate(t.Context(), secretText.FindString(a.body), "", "")
	require.NoError(t, err)
	require.Equal(t, "demo", who.App)
	require.Contains(t, a.body, `href="/console/apps/demo"`)
	require.NotContains(t, p.page("/console/apps/demo").body, path+"/rotate")
	_, err = w.ca.CreateEAB(t.Context(), root, "demo", "web", 0)
	require.NoError(t, err)
	require.NotContains(t, p.page("/console/apps/demo").body, "only for some things", "of a credential, that says nothing")
}
