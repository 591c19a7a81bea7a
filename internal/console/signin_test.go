package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// token is a token of a developer of demo.
func (w *world) token() (ca.Token, string) {
	w.t.Helper()
	token, secret, err := w.ca.CreateToken(w.t.Context(), root, ca.NewToken{Name: "dora", Role: ca.RoleDeveloper, App: "demo"})
	require.NoError(w.t, err)
	return token, secret
}

func TestSignInByToken(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		token, secret := w.token()
		p := w.nobody()
		require.Contains(t, p.page("/signin?next=/apps/demo/history").body, `value="/apps/demo/history"`)
		for _, wrong := range []string{"", "imca_x", secret + "x", "<script>alert(1)</script>"} {
			a := p.post("/signin", url.Values{"token": {wrong}})
			require.Equal(t, http.StatusUnauthorized, a.StatusCode)
			require.Contains(t, a.body, `class="fault"`)
			require.Empty(t, a.Cookies())
			require.NotContains(t, a.body, "<script>alert")
		}
		a := p.post("/signin", url.Values{"token": {" " + secret + "\n"}, "next": {"/apps/demo/history"}})
		require.Equal(t, "/apps/demo/history", a.Header.Get("Location"))
		require.Len(t, a.Cookies(), 1)
		cookie := a.Cookies()[0]
		require.True(t, cookie.Secure && cookie.HttpOnly && cookie.SameSite == http.SameSiteLaxMode && cookie.Domain == "" && cookie.Path == "/")
		require.NotContains(t, cookie.Value, secret)
		p.keep(a)
		require.Equal(t, "/apps/demo", p.get("/").Header.Get("Location"))
		require.Equal(t, "/", p.get("/signin").Header.Get("Location"), "who is signed in is not asked again")

		require.NoError(t, w.ca.RevokeToken(t.Context(), root, token.ID))
		require.Equal(t, "/signin", p.get("/").Header.Get("Location"), "the session ends with its token")
		require.Equal(t, "/", p.post("/signin", url.Values{"token": {w.secret()}, "next": {"https://evil.example/"}}).Header.Get("Location"))
	})
}

func (w *world) secret() string {
	_, secret := w.token()
	return secret
}

func TestSignInByLink(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		who, err := w.ca.Authenticate(t.Context(), w.secret(), "", "")
		require.NoError(t, err)
		link, _, err := w.ca.SignInLink(t.Context(), who)
		require.NoError(t, err)
		p := w.nobody()
		for range 2 { // looking at it does not spend it
			require.Contains(t, p.page("/signin/"+link).body, `name="link" value="`+link+`"`)
		}
		a := p.post("/signin", url.Values{"link": {link}})
		require.Equal(t, "/", a.Header.Get("Location"))
		p.keep(a)
		require.Equal(t, "/apps/demo", p.get("/").Header.Get("Location"))
		second := w.nobody().post("/signin", url.Values{"link": {link}})
		require.Equal(t, http.StatusUnauthorized, second.StatusCode)
		require.Contains(t, second.body, "This link has been used")

		out := p.post("/signout", url.Values{})
		require.Equal(t, "/signin?done=signed-out", out.Header.Get("Location"))
		require.Equal(t, -1, out.Cookies()[0].MaxAge)
		require.Equal(t, "/signin", p.get("/").Header.Get("Location"), "the cookie is worth nothing any more")
		require.Contains(t, w.nobody().page("/signin?done=signed-out").body, "You are signed out.")
		require.False(t, strings.Contains(w.log.String(), link), "no log has the link")
	})
}

// TestSignInLeadsBack: whoever has been away for too long comes back to the page that was open, and nowhere else.
func TestSignInLeadsBack(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.nobody()
	require.Equal(t, "/signin?next=%2Fapps%2Fdemo%2Fnew%3Fdomain%3Da.example", p.get("/apps/demo/new?domain=a.example").Header.Get("Location"))
	for from, want := range map[string]string{
		w.url + "/apps/demo/new?domain=a.example":         "/signin?next=%2Fapps%2Fdemo%2Fnew%3Fdomain%3Da.example",
		w.url + "/console/apps/demo/tokens":               "/signin", // there only with a form
		w.url + "//evil.example/":                         "/signin",
		"https://evil.example/apps/demo/new":              "/signin",
		"https://evil.example" + w.url + "/apps/demo/new": "/signin",
		"": "/signin",
	} {
		p.headers.Set("Referer", from)
		require.Equal(t, want, p.post("/apps/demo/new", url.Values{}).Header.Get("Location"), from)
	}
}
