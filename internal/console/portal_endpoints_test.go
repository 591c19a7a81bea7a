package console_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestEndpointsInThePortal(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleDeveloper)
		require.Contains(t, p.page("/apps/demo/endpoints").body, "No server is checked regularly yet.")
		for _, bad := range []string{"", "http://www.example.com/", "https://www.example.com/?token=x", "https://localhost/", "https://"} {
			a := p.post("/apps/demo/endpoints", url.Values{"url": {bad}})
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, bad)
			require.Contains(t, a.body, `role="alert"`, bad)
			require.Contains(t, a.body, `id="endpoint-url"`, bad)
		}
		a := p.post("/apps/demo/endpoints", url.Values{"url": {" www.example.com/callback "}, "callback": {"1"}})
		require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
		path := before(t, a.Header.Get("Location"), "?done=endpoint-added")
		page := p.page(path).body
		require.Contains(t, page, "https://www.example.com/callback")
		require.Contains(t, page, "first check under way")
		require.Contains(t, page, "data-follow")
		require.Contains(t, page, `<noscript><meta http-equiv="refresh"`)
		again := p.post("/apps/demo/endpoints", url.Values{"url": {"https://www.example.com/callback"}})
		require.Equal(t, path+"?done=endpoint-known", again.Header.Get("Location"))

		w.sight.Summary = "open"
		require.NoError(t, w.ca.RunDueChecks(t.Context()))
		page = p.page(path).body
		require.Contains(t, page, "strangers get in")
		require.NotContains(t, page, "data-follow")
		check := regexp.MustCompile(`/apps/demo/checks/chk_[0-9a-f]+`).FindString(page)
		require.NotEmpty(t, check)
		require.Contains(t, p.page(check).body, path, "a check leads to the endpoint that is registered")
		require.Contains(t, p.page("/apps/demo").body, "Something is wrong with a server")
		require.Contains(t, p.page("/apps/demo/endpoints").body, path)

		w.sight.Summary = "healthy"
		w.advance(25 * time.Hour)
		require.NoError(t, w.ca.RunDueChecks(t.Context()))
		p = w.as(ca.RoleDeveloper)
		require.NotContains(t, p.page("/apps/demo").body, "Something is wrong with a server")
		require.Contains(t, p.page(path).body, "as it should be")

		auditor := w.as(ca.RoleAuditor)
		require.NotContains(t, auditor.page(path).body, "/remove")
		require.Equal(t, http.StatusForbidden, auditor.post(path+"/remove", url.Values{}).StatusCode)
		require.Equal(t, "/apps/demo/endpoints?done=endpoint-removed", p.post(path+"/remove", url.Values{}).Header.Get("Location"))
		require.Equal(t, http.StatusNotFound, p.get(path).StatusCode)
		require.NotContains(t, p.page(check).body, path)
		require.Contains(t, p.page(check).body, "Check it regularly", "what is not registered can be")
	})
}

// before is what stands before an end that must be there.
func before(t *testing.T, text, end string) string {
	t.Helper()
	require.True(t, strings.HasSuffix(text, end), text)
	return strings.TrimSuffix(text, end)
}

func TestWebhooksInThePortal(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleDeveloper)
		for _, bad := range []string{"", "http://hooks.example.com/", "https://user:pass@hooks.example.com/", "https://hooks.example.com:22/"} {
			a := p.post("/apps/demo/webhooks", url.Values{"url": {bad}})
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, bad)
			require.Contains(t, a.body, `id="webhook-url-fault"`, bad)
		}
		secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/=&#;]+`)
		a := p.post("/apps/demo/webhooks", url.Values{"url": {"hooks.example.com/imca"}})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		first := secret.FindString(a.body)
		require.NotEmpty(t, first)
		page := p.page("/apps/demo/endpoints").body
		require.NotContains(t, page, "whsec_", "it is shown once")
		require.Contains(t, page, "https://hooks.example.com/imca")
		require.Contains(t, page, "none yet")
		path := regexp.MustCompile(`/apps/demo/webhooks/whk_[0-9a-f]+`).FindString(page)

		test := func() string {
			a := p.post(path+"/test", url.Values{})
			require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
			back := before(t, a.Header.Get("Location"), "&done=webhook-tested#webhooks")
			require.Contains(t, p.page(back).body, "data-follow", "it is on its way")
			require.NoError(t, w.ca.DeliverDue(t.Context()))
			return back
		}
		page = p.page(test()).body
		require.NotContains(t, page, "data-follow", "it has arrived")
		require.Contains(t, page, "arrived</span>")

		w.advance(time.Minute)
		w.undelivered = errors.New("the answer was HTTP 500 <b>")
		back := test()
		page = p.page(back).body
		require.Contains(t, page, "does not arrive")
		require.Contains(t, page, "the answer was HTTP 500 &lt;b&gt;")
		require.Contains(t, page, "data-follow", "it is tried again soon")
		w.advance(21 * time.Second)
		require.NotContains(t, p.page(back).body, "data-follow", "but an attempt takes no longer")

		a = p.post(path+"/rotate", url.Values{})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.NotEqual(t, first, secret.FindString(a.body))
		require.Contains(t, a.body, "The old secret counts until")

		auditor := w.as(ca.RoleAuditor)
		require.NotContains(t, auditor.page("/apps/demo/endpoints").body, path)
		for _, verb := range []string{"/test", "/rotate", "/remove"} {
			require.Equal(t, http.StatusForbidden, auditor.post(path+verb, url.Values{}).StatusCode, verb)
			require.Equal(t, http.StatusNotFound, p.post("/apps/demo/webhooks/whk_none"+verb, url.Values{}).StatusCode, verb)
		}
		require.Equal(t, "/apps/demo/endpoints?done=webhook-removed", p.post(path+"/remove", url.Values{}).Header.Get("Location"))
		require.Contains(t, p.page("/apps/demo/endpoints").body, "Nobody is told yet.")
	})
}

// TestEndpointsOfAnotherApp: what is another app's is not there.
func TestEndpointsOfAnotherApp(t *testing.T) {
	w := newWorld(t, sqlite(t))
	theirs, _, err := w.ca.AddEndpoint(t.Context(), root, ca.NewEndpoint{App: "other", URL: "https://theirs.example.com/"})
	require.NoError(t, err)
	hook, err := w.ca.CreateWebhook(t.Context(), root, "other", "https://hooks.example.com/theirs")
	require.NoError(t, err)
	p := w.as(ca.RoleDeveloper)
	for _, path := range []string{"/apps/other/endpoints", "/apps/other/endpoints/" + theirs.ID, "/apps/demo/endpoints/" + theirs.ID} {
		a := p.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.NotContains(t, a.body, "theirs.example.com<", path)
	}
	for _, path := range []string{
		"/apps/other/endpoints", "/apps/other/endpoints/" + theirs.ID + "/remove", "/apps/demo/endpoints/" + theirs.ID + "/remove", "/apps/other/webhooks",
		"/apps/demo/webhooks/" + hook.ID + "/rotate", "/apps/other/webhooks/" + hook.ID + "/remove", "/apps/demo/webhooks/" + hook.ID + "/test",
	} {
		require.Equal(t, http.StatusNotFound, p.post(path, url.Values{"url": {"https://www.example.com/"}}).StatusCode, path)
	}
	operator := w.as(ca.RoleOperator)
	require.Equal(t, http.StatusNotFound, operator.post("/apps/demo/endpoints/"+theirs.ID+"/remove", url.Values{}).StatusCode, "not below another app")
	require.Contains(t, operator.page("/apps/other/endpoints").body, "https://hooks.example.com/theirs")
}
