package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// TestOperatorsInTheBrowser goes the ways of an operator: searching while typing, revoking one and many, deciding about a name, making a token; and
// looks at every page of the console. What developers have typed is markup wherever they can type.
func TestOperatorsInTheBrowser(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "chromium")
	for language, database := range map[string]func(t *testing.T, folder dataFolder) string{
		"en":    func(t *testing.T, _ dataFolder) string { return judge.Postgres(t) },
		"zh-CN": func(_ *testing.T, folder dataFolder) string { return "sqlite:" + folder.path("imca.db") },
	} {
		t.Run(language, func(t *testing.T) {
			folder := dataFolder(filepath.Join(t.TempDir(), "data"))
			d := startDev(t, string(folder), database(t, folder))
			state, err := folder.state()
			require.NoError(t, err)
			evil := `<script>alert(1)</script><img src=x onerror=alert(2)>"'`
			ask := func(token, method, path, body string, status int) {
				require.NoError(t, d.ask(token, method, path, body, status, &struct{}{}))
			}
			for i := range 5 {
				ask(demoToken, "POST", "/v1/certificates", fmt.Sprintf(`{"domain":"h%d.shop.example.com"}`, i), http.StatusCreated)
			}
			ask(demoToken, "POST", "/v1/certificates", `{"domain":"www.example.net"}`, http.StatusCreated)
			ask(operatorToken, "PATCH", "/v1/apps/demo", `{"name":`+strconv.Quote(evil)+`,"policy":"approve"}`, http.StatusOK)
			ask(demoToken, "POST", "/v1/domains", `{"domain":"wanted.example.org"}`, http.StatusCreated)
			ask(demoToken, "POST", "/v1/certificates", `{"domain":`+strconv.Quote(evil)+`}`, http.StatusUnprocessableEntity)
			link := strings.TrimSpace(judge.Run(t, "imca", "console", "link", "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(operatorToken)))

			r := newReader(t, d.url, language)
			r.do(chromedp.Navigate(link))
			r.click("main button", ".tiles")
			r.look("overview")
			for name, path := range map[string]string{
				"apps": "/console/apps", "app-new": "/console/apps/new", "events": "/console/events", "checks": "/console/checks", "authorities": "/console/authorities",
				"settings": "/console/settings", "revoke": "/console/revoke",
			} {
				r.do(chromedp.Navigate(d.url+path), chromedp.WaitVisible("h1", chromedp.ByQuery))
				r.look(name)
			}

			// The list shrinks while somebody types, and the address follows.
			r.do(chromedp.Navigate(d.url+"/console/certificates"), chromedp.WaitVisible("#results table", chromedp.ByQuery))
			r.look("certificates")
			r.do(chromedp.SendKeys("#q", "www.example.net", chromedp.ByQuery), chromedp.Poll(`document.querySelectorAll("#results tbody tr").length == 1 && location.search == "?q=www.example.net"`, nil))
			r.look("found")
			r.click("#results tbody a", "#decoded")
			r.look("certificate-of-operator")
			r.click("main .danger", "#typed")
			r.look("revoke-one")
			r.do(chromedp.Click("#reason-keyCompromise", chromedp.ByQuery), chromedp.SendKeys("#typed", "www.example.net", chromedp.ByQuery))
			r.click("main button.danger", ".note.good")
			r.look("revoked")

			// Many: counted, confirmed by their number, and followed to the end.
			r.do(chromedp.Navigate(d.url+"/console/revoke?suffix=shop.example.com&reason=superseded"), chromedp.WaitVisible("#reason-superseded", chromedp.ByQuery))
			r.click("main form button", "#typed")
			r.look("revoke-count")
			r.do(chromedp.SendKeys("#typed", "5", chromedp.ByQuery))
			r.click("main button.danger", "progress")
			r.do(chromedp.WaitVisible("#run:not([data-follow])", chromedp.ByQuery))
			r.look("revoke-run")

			r.do(chromedp.Navigate(d.url+"/console/approvals"), chromedp.WaitVisible("tbody a", chromedp.ByQuery))
			r.look("approvals")
			r.click("tbody a", "#reason")
			r.look("approval")
			r.do(chromedp.SendKeys("#reason", evil, chromedp.ByQuery))
			r.click(`button[formaction$="/approve"]`, ".note.good")

			r.do(chromedp.Navigate(d.url+"/console/apps/demo"), chromedp.WaitVisible("#token-name", chromedp.ByQuery))
			r.look("app")
			r.do(chromedp.SendKeys("#token-name", evil+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible("#secret", chromedp.ByQuery))
			r.look("secret")
			r.do(chromedp.Navigate(d.url+"/console/events"), chromedp.WaitVisible("table", chromedp.ByQuery))
			r.look("events-after")
			var alerts string
			r.do(chromedp.Text("main", &alerts, chromedp.ByQuery))
			require.Contains(t, alerts, evil, "it is text")
		})
	}
}
