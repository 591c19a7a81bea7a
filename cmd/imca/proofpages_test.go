package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// proofPages is a server whose demo app has to prove its names, at a real Apache by HTTP, and by the records of a real Knot.
type proofPages struct {
	*dev
	t     *testing.T
	names *judge.Nameserver
	root  string // Apache's DocumentRoot
}

const proofZone = "www-en A 127.0.0.1\nwww-zh A 127.0.0.1\nplain A 127.0.0.1\n"

func newProofPages(t *testing.T) *proofPages {
	judge.Need(t, "apache2", "chromium", "knotd", "openssl", "unzip")
	p := &proofPages{t: t, names: judge.Knot(t, map[string]string{"test": "", "shop.test": proofZone}), root: t.TempDir()}
	require.NoError(t, os.Chmod(filepath.Dir(p.root), 0o711)) // so that Apache's workers can walk through
	require.NoError(t, os.Chmod(p.root, 0o755))
	port := judge.FreePort(t)
	judge.Apache(t, judge.Site{
		Config: fmt.Sprintf("Listen 127.0.0.1:%d\nDocumentRoot %q\n<Directory %q>\nRequire all granted\n</Directory>\n", port, p.root, p.root),
		Addrs:  []string{fmt.Sprintf("127.0.0.1:%d", port)},
	})
	folder := filepath.Join(t.TempDir(), "data")
	p.dev = startDev(t, folder, "sqlite:"+filepath.Join(folder, "imca.db"), "--domains", "prove", "--resolver", p.names.Addr, "--allow-egress", "127.0.0.0/8",
		"--http01-port", strconv.Itoa(port))
	return p
}

// link signs the demo app's developer in.
func (p *proofPages) link() string {
	state, err := p.folder.state()
	require.NoError(p.t, err)
	return strings.TrimSpace(judge.Run(p.t, "imca", "console", "link", "--url", p.url, "--ca", p.folder.path(state.CA), "--token-file", p.folder.path(demoToken)))
}

// putFile puts a text where an address says.
func (p *proofPages) putFile(address, text string) {
	u, err := url.Parse(address)
	require.NoError(p.t, err)
	file := filepath.Join(p.root, filepath.FromSlash(u.Path))
	require.NoError(p.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(p.t, os.WriteFile(file, []byte(text), 0o644))
}

// TestProofsThroughThePages goes from a name to its certificate by either proof, with nothing but what the page gives to copy, and notices the
// proof on the page that stays open.
func TestProofsThroughThePages(t *testing.T) {
	judge.Long(t)
	p := newProofPages(t)
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			r := newReader(t, p.url, language)
			r.do(chromedp.Navigate(p.link()))
			r.click("main button", "main a.button")
			ask := func(name string) {
				r.click(`nav a[href$="/new"]`, "#domain")
				r.do(chromedp.SendKeys("#domain", name, chromedp.ByQuery))
				r.ready()
				r.click("#new button", "#proof")
			}
			await := func(what, name string, still func() bool) {
				r.do(chromedp.WaitVisible("#proof a.button", chromedp.ByQuery))
				require.True(t, still(), "the page was not loaded anew")
				r.look("proven-" + what)
				var left int
				r.do(chromedp.Evaluate(`document.querySelectorAll("section.card").length`, &left))
				require.Zero(t, left, "nothing is left to show")
				r.click("#proof a.button", "#new button")
				r.ready()
				r.click("#new button", "#download")
				r.do(chromedp.Click("#download", chromedp.ByQuery))
				belongsTogether(t, r.downloaded(name+".zip"), name)
				r.click("#certificate", `a[href*="/check"]`)
			}

			short := language[:2]
			site, zone := "www-"+short+".shop.test", short+".shop.test"

			// The file is put in place, and nothing is pressed.
			ask(site)
			still := r.stays()
			r.do(chromedp.WaitVisible("#seen-http-01 p", chromedp.ByQuery)) // it was looked for once
			r.look("proof-missing")
			p.putFile(r.copied("#way-http-01 dd:nth-of-type(1) code"), r.copied("#way-http-01 dd:nth-of-type(2) code"))
			await("http", site, still)

			// The record is published after the button was pressed too early. Its server is not asked by HTTP any more.
			ask("*." + zone)
			r.click("#look-dns-01", "#proof .note.bad")
			r.refused()
			r.look("proof-too-early")
			still = r.stays()
			name, value := r.copied("#way-dns-01 dd:nth-of-type(1) code"), r.copied("#way-dns-01 dd:nth-of-type(3) code")
			require.Equal(t, "_acme-challenge."+zone, name)
			p.names.Replace(t, "shop.test", proofZone+name+`. TXT "`+value+`"`)
			await("dns", "wildcard."+zone, still)
			p.names.Replace(t, "shop.test", proofZone)

			// The names are given up.
			for _, name := range []string{site, zone} {
				r.click(`nav a[href$="/demo"]`, "#domains")
				r.click(`main a[href$="/domains/`+name+`"]`, "details.apart")
				r.click("details.apart summary", "details.apart button")
				r.look("proof-give-up")
				r.click("details.apart button", "#certificates")
			}
		})
	}
}

// belongsTogether holds key and certificate of an archive together by the word of openssl.
func belongsTogether(t *testing.T, archive, stem string) {
	t.Helper()
	folder := t.TempDir()
	judge.Run(t, "unzip", "-q", archive, "-d", folder)
	require.NoError(t, os.Remove(archive))
	require.Equal(t, judge.Run(t, "openssl", "pkey", "-in", filepath.Join(folder, stem+".key"), "-pubout"),
		judge.Run(t, "openssl", "x509", "-in", filepath.Join(folder, stem+".crt"), "-noout", "-pubkey"))
}

// TestPagesWithoutScripts: from the link to the bundle in a browser that runs none.
func TestPagesWithoutScripts(t *testing.T) {
	judge.Long(t)
	p := newProofPages(t)
	r := newReader(t, p.url, "en")
	r.do(emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(p.link()))
	r.click("main button", "main a.button")
	r.click(`nav a[href$="/new"]`, "#domain")
	r.do(chromedp.SendKeys("#domain", "plain.shop.test", chromedp.ByQuery))
	r.click("#key-server", "#new button")
	r.click("#new button", "#look-http-01")
	r.click("#look-http-01", "#proof .note.bad")
	var address, text string
	r.do(chromedp.Text("#way-http-01 dd:nth-of-type(1) code", &address, chromedp.ByQuery), chromedp.Text("#way-http-01 dd:nth-of-type(2) code", &text, chromedp.ByQuery))
	p.putFile(address, text)
	r.click("#look-http-01", "#new button")
	r.click("#new button", "#download")
	r.do(chromedp.Click("#download", chromedp.ByQuery))
	belongsTogether(t, r.downloaded("plain.shop.test.zip"), "plain.shop.test")
}
