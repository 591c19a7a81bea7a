package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// TestFormsInABrowser sends the operators' forms, and looks at what comes of each: what is shown once, what has to be confirmed, what is refused.
func TestFormsInABrowser(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "chromium")
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--domains", "approve")
	state, err := folder.state()
	require.NoError(t, err)
	link := func(token string) string {
		return strings.TrimSpace(judge.Run(t, "imca", "console", "link", "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(token)))
	}
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			app := "shop-" + strings.ToLower(language)
			r := newReader(t, d.url, language)
			open := func(path, then string) {
				r.do(chromedp.Navigate(d.url+path), chromedp.WaitVisible(then, chromedp.ByQuery))
			}
			fill := func(selector, text string) { r.do(chromedp.SetValue(selector, text, chromedp.ByQuery)) }

			// A developer asks for a name, and waits.
			r.do(chromedp.Navigate(link(demoToken)))
			r.click("main button", "main a.button")
			for _, name := range []string{"yes", "no"} {
				open("/apps/demo/new?domain="+name+"."+app+".example", "#new")
				r.ready()
				r.click("#new button", "#proof")
			}
			r.look("form-waiting")
			still := r.stays()

			// An operator decides, in another browser.
			o := newReader(t, d.url, language)
			decide := func(path, then string) {
				o.do(chromedp.Navigate(d.url+path), chromedp.WaitVisible(then, chromedp.ByQuery))
			}
			o.do(chromedp.Navigate(link(operatorToken)))
			o.click("main button", "nav.menu")
			decide("/console/approvals", "#waiting")
			o.look("form-approvals")
			decide("/console/approvals/demo/no."+app+".example", "#reason")
			o.look("form-approval")
			o.click("button.danger", "#reason-fault")
			o.refused()
			o.look("form-rejection-without-reason")
			o.do(chromedp.SetValue("#reason", `Not yours: <b>`, chromedp.ByQuery))
			// A page that nobody has touched for a while asks for nothing, so that its session comes to its end; whoever comes back sees how it stands.
			r.do(chromedp.Evaluate("const then = Date.now; Date.now = () => then() + 16 * 60 * 1000; 0", nil))
			o.click("button.danger", "main .note.good, main [role=status]")
			time.Sleep(2500 * time.Millisecond)
			var noticed bool
			r.do(chromedp.Evaluate(`document.querySelector("#proof .note") !== null`, &noticed))
			require.False(t, noticed)
			r.do(chromedp.KeyEvent(kb.Shift), chromedp.WaitVisible("#proof .note", chromedp.ByQuery))
			require.True(t, still(), "the developer's page has noticed by itself")
			r.look("form-rejected")
			decide("/console/approvals/demo/yes."+app+".example", "#reason")
			o.click("button[formaction]", "main [role=status]")
			open("/apps/demo/domains/yes."+app+".example", "#proof a.button")
			r.look("form-approved")
			open("/apps/demo/acme", "main form")
			fill("#domains", "yes."+app+".example")
			r.click("main form button", "details.client")
			r.click("details.client summary", "details.client pre")
			r.look("form-acme")

			// Credentials are shown once.
			open("/apps/demo/nothing", "main h1")
			r.answered(http.StatusNotFound)
			r.look("form-no-such-page")
			decide("/console/apps/new", "#app-id")
			o.do(chromedp.SetValue("#app-id", "Not An ID", chromedp.ByQuery))
			o.click("main form button", "#app-id-fault")
			o.refused()
			o.look("form-app-refused")
			o.do(chromedp.SetValue("#app-id", app, chromedp.ByQuery))
			o.click("main form button", "#token-name")
			o.do(chromedp.SendKeys("#token-name", "ci", chromedp.ByQuery))
			o.click(`form[action$="/tokens"] button`, "#secret")
			o.look("form-token")
			o.click("main a.button", "#eab-name")
			o.do(chromedp.SendKeys("#eab-name", "web", chromedp.ByQuery))
			o.click(`form[action$="/eab"] button`, "#secret")
			o.look("form-eab")
			o.click("main a.button", "#tokens")
			o.look("form-app")
			o.click(`.small-actions summary`, ".small-actions button.danger")
			o.look("form-token-revoke")
			o.click(".small-actions button.danger", "main [role=status]")

			// Many are counted, confirmed by their number, and revoked.
			require.NoError(t, d.ask(operatorToken, "PATCH", "/v1/apps/demo", fmt.Sprintf(`{"allowed":[".%s.test"]}`, app), http.StatusOK, &struct{}{}))
			for i := range 3 {
				require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates", fmt.Sprintf(`{"domain":"h%d.%s.test"}`, i, app), http.StatusCreated, &struct{}{}))
			}
			decide("/console/revoke?suffix="+app+".test", "#suffix")
			o.click("#reason-superseded", "main form button")
			o.click("main form button", "#typed")
			o.look("form-revoke-count")
			o.do(chromedp.SendKeys("#typed", "4", chromedp.ByQuery))
			o.click("button.danger", "#typed-fault")
			o.refused()
			o.do(chromedp.SetValue("#typed", "3", chromedp.ByQuery))
			o.click("button.danger", "#run:not([data-follow])")
			o.look("form-revoke-run")
			var progress string
			o.do(chromedp.Text("#run", &progress, chromedp.ByQuery))
			require.Contains(t, progress, "3")
			decide("/console/certificates?q="+app+".test+revoked", "main table")
			var found int
			o.do(chromedp.Evaluate(`document.querySelectorAll("#main tbody tr").length`, &found))
			require.Equal(t, 3, found)
			o.look("form-revoked")
		})
	}
}
