package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// TestFromSignInToGreenCheck goes the way of a developer who has never been here, in either language and on either database: a link, a certificate whose
// key the browser makes, a real Apache on the files that were downloaded, and its check.
func TestFromSignInToGreenCheck(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "apache2", "chromium", "unzip", "openssl")
	names := judge.Knot(t, map[string]string{"test": "", "shop.test": "www A 127.0.0.1\nhooks A 127.0.0.1"})
	sqlite := func(_ *testing.T, folder dataFolder) string { return "sqlite:" + folder.path("imca.db") }
	for name, way := range map[string]struct {
		language string
		database func(t *testing.T, folder dataFolder) string
		flags    []string
	}{
		"en":             {"en", sqlite, []string{"--resolver", names.Addr, "--allow-egress", "127.0.0.0/8"}},
		"zh-CN":          {"zh-CN", func(t *testing.T, _ dataFolder) string { return judge.Postgres(t) }, []string{"--resolver", names.Addr, "--allow-egress", "127.0.0.0/8"}},
		"out of the box": {"en", sqlite, nil}, // where no name leads to this machine
	} {
		t.Run(name, func(t *testing.T) {
			folder := dataFolder(filepath.Join(t.TempDir(), "data"))
			d := startDev(t, string(folder), way.database(t, folder), way.flags...)
			state, err := folder.state()
			require.NoError(t, err)
			// What others have typed is text, wherever it is shown.
			evil := `<script>alert(1)</script><img src=x onerror=alert(2)>"'`
			body := `{"name":` + strconv.Quote(evil) + `}`
			require.NoError(t, d.ask(operatorToken, "PATCH", "/v1/apps/demo", body, http.StatusOK, &struct{}{}))
			link := strings.TrimSpace(judge.Run(t, "imca", "console", "link", "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(demoToken)))

			r := newReader(t, d.url, way.language)
			r.do(chromedp.Navigate(link))
			r.look("sign-in")
			r.click("main button", "main a.button")
			r.look("begin")
			var title string
			r.do(chromedp.Text("h1", &title, chromedp.ByQuery))
			require.Equal(t, evil, title)

			r.click(`main a[href$="/new"]`, "#domain")
			r.look("new")
			r.ready()
			r.do(chromedp.SendKeys("#domain", "www.shop.test", chromedp.ByQuery))
			r.click("#new button", "#download")
			r.look("ready")
			r.do(chromedp.Click("#download", chromedp.ByQuery))
			mine := unpacked(t, r.downloaded("www.shop.test.zip"))
			port := strconv.Itoa(judge.FreePort(t))
			conf := filepath.Join(mine, "apache", "www.shop.test.conf")
			listenOn(t, conf, port)
			judge.Apache(t, judge.Site{Config: "Listen " + port + "\nDefine IMCA_DIR " + mine + "\nInclude " + conf + "\n", Addrs: []string{"127.0.0.1:" + port}})

			r.click("#certificate", `a[href*="/check"]`)
			r.look("certificate")
			r.click(`main a[href*="/check?"]`, "#url")
			r.do(chromedp.SetValue("#url", "https://www.shop.test:"+port+"/callback", chromedp.ByQuery))
			if way.flags == nil {
				r.click("main form summary", "#address")
				r.do(chromedp.SendKeys("#address", "127.0.0.1", chromedp.ByQuery))
			}
			r.look("check")
			r.click("main form button", "#summary")
			var summary string
			r.do(chromedp.AttributeValue("#summary", "data-summary", &summary, nil, chromedp.ByQuery))
			r.look("checked")
			require.Equal(t, "healthy", summary)
			if way.flags != nil {
				watchIt(t, r, newReceiver(t, d, "hooks.shop.test"))
			}
			r.click(`nav a[href$="/history"]`, "main table")
			r.look("history")
			r.click(`nav a[href$="/demo"]`, "#certificates")
			r.look("portal")
			r.click(`nav a[href$="/acme"]`, "main form")
			r.look("acme")
			r.click(`form[action="/signout"] button`, "#token")
			r.look("signed-out")
		})
	}
}

// unpacked is the folder of an archive, as unzip leaves it, in which key and certificate belong together by the word of openssl.
func unpacked(t *testing.T, archive string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "mine")
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(folder)), 0o711)) // so that Apache's workers can walk through
	judge.Run(t, "unzip", "-q", archive, "-d", folder)
	key := filepath.Join(folder, "www.shop.test.key")
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, judge.Run(t, "openssl", "pkey", "-in", key, "-pubout"), judge.Run(t, "openssl", "x509", "-in", filepath.Join(folder, "www.shop.test.crt"), "-noout", "-pubkey"))
	return folder
}

// TestPagesInABrowser looks at what the way above does not lead to: names to be proven, and every page of the operators.
func TestPagesInABrowser(t *testing.T) {
	judge.Need(t, "chromium")
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--domains", "prove")
	state, err := folder.state()
	require.NoError(t, err)
	link := func(token string) string {
		return strings.TrimSpace(judge.Run(t, "imca", "console", "link", "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(token)))
	}
	require.NoError(t, d.ask(operatorToken, "PATCH", "/v1/apps/demo", `{"allowed":[".example.com"]}`, http.StatusOK, &struct{}{}))
	var issued struct{ Serial string }
	require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates", `{"domain":"www.example.com"}`, http.StatusCreated, &issued))
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			r := newReader(t, d.url, language)
			r.do(chromedp.Navigate(link(demoToken)))
			r.click("main button", "main a.button")
			r.click(`main a[href$="/new"]`, "#domain")
			r.do(chromedp.SendKeys("#domain", "www."+language+".example.org", chromedp.ByQuery))
			r.ready()
			r.click("#new button", "#way-http-01 form")
			r.look("proof")
			r.click(`nav a[href$="/demo"]`, "#domains")
			r.look("portal-names")
			r.skips()
			r.click(`form[action="/signout"] button`, "#token")

			r.do(chromedp.Navigate(link(operatorToken)))
			r.click("main button", "nav.menu")
			for _, page := range []string{
				"/console", "/console/certificates", "/console/certificates/" + issued.Serial, "/console/certificates/" + issued.Serial + "/revoke", "/console/revoke", "/console/approvals",
				"/console/checks", "/console/apps", "/console/apps/demo", "/console/tokens", "/console/events", "/console/authorities", "/console/settings",
			} {
				r.do(chromedp.Navigate(d.url+page), chromedp.WaitVisible("main h1", chromedp.ByQuery))
				r.look("operator" + strings.ReplaceAll(page, "/", "-"))
			}
		})
	}
}
