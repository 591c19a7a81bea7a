package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// reader is somebody with a real browser, who reads one language. A page that says anything on the console, breaks the Content-Security-Policy, or
// asks anybody but its own server for anything fails the test.
type reader struct {
	t        *testing.T
	ctx      context.Context
	tab      context.Context // ctx, without its end in time
	url      string
	language string
	folder   string // of downloads
	axe      string // the script that judges accessibility

	mu     sync.Mutex
	faults []string
}

// newReader opens a browser on a server.
func newReader(t *testing.T, url, language string) *reader {
	t.Helper()
	judge.Need(t, "chromium")
	r := &reader{t: t, url: url, language: language, folder: t.TempDir(), axe: axe(t)}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(judge.Path(t, "chromium")),
		chromedp.Flag("ignore-certificate-errors", true), // the CA is of this test
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(browserFolder(t)))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		end()
	})
	require.NoError(t, chromedp.Run(ctx)) // the browser ends with the context that it began with
	limited, stop := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(stop)
	r.ctx, r.tab = limited, ctx
	chromedp.ListenTarget(limited, r.watch)
	r.do(
		log.Enable(), network.Enable(), runtime.Enable(), scheme("light"),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": language}),
		browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(r.folder),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(
				`addEventListener("securitypolicyviolation", (e) => console.error("policy: " + e.violatedDirective + " " + e.blockedURI))`).Do(ctx)
			return err
		}),
	)
	return r
}

// browserFolder is for what a browser keeps. Its processes end one after another, and may still write when the first has ended.
func browserFolder(t *testing.T) string {
	folder, err := os.MkdirTemp("", "imca-browser")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(folder) == nil }, 10*time.Second, 50*time.Millisecond, "the browser does not end")
	})
	return folder
}

// axe is the script of axe-core, which scripts/fetch-axe gets.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("IMCA_TEST_AXE")
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("IMCA_TEST_AXE is not set: run the tests by scripts/test")
		}
		t.Skip("IMCA_TEST_AXE is not set: IMCA_TEST_AXE=$(scripts/fetch-axe) go test …")
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// watch hears what the browser has to say of the pages.
func (r *reader) watch(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, a := range e.Args {
				fault += string(a.Value) + " "
			}
		}
	case *runtime.EventExceptionThrown:
		fault = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			fault = e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, r.url+"/") && !strings.HasPrefix(u, "blob:"+r.url+"/") && !strings.HasPrefix(u, "data:") {
			fault = "a request to somebody else: " + u
		}
	case *page.EventJavascriptDialogOpening:
		fault = "a script opened a dialog: " + e.Message
	}
	if fault != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = append(r.faults, fault)
	}
}

// do does something in the browser.
func (r *reader) do(actions ...chromedp.Action) {
	r.t.Helper()
	for i, a := range actions {
		actions[i] = steadily(a)
	}
	if err := chromedp.Run(r.ctx, actions...); err != nil {
		var text string
		last, cancel := context.WithTimeout(r.tab, 5*time.Second)
		defer cancel()
		_ = chromedp.Run(last, chromedp.Evaluate("location.href + '\n' + document.body.innerText", &text))
		require.NoError(r.t, err, text)
	}
}

// english finds, on a page in another language, four words of English one behind the other of which nothing says that they are English: neither a
// lang of their own, nor an element for code, nor the marks between which stands what is to be typed. The name of an app is what somebody has called it,
// and one was named by imca.
const english = `(() => {
	const found = []
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
	while (texts.nextNode()) {
		const text = texts.currentNode
		if (text.parentElement.closest("[lang=en], code, pre, script, style, textarea, option")) continue
		const read = text.data.replace(/“[^”]*”|` + "`[^`]*`" + `|imca [a-z]+ [a-z]+ |This server's own HTTPS/g, " 0 ")
		found.push(...(read.match(/(?:[A-Za-z][A-Za-z'’-]+[,:;]? ){3}[A-Za-z][A-Za-z'’-]+/g) || []))
	}
	return found
})()`

// look judges the page as it stands: accessibility, one language, and whatever the browser complained of. With IMCA_SCREENSHOTS it is pictured, on a desk and on a
// phone, in light and dark.
func (r *reader) look(name string) {
	r.t.Helper()
	r.do(chromedp.Evaluate(r.axe+";0", nil))
	require.Empty(r.t, r.violations("{}"), "accessibility of %s in %s", name, r.language)
	if r.language != "en" {
		var found []string
		r.do(chromedp.Evaluate(english, &found))
		require.Empty(r.t, found, "English of %s in %s", name, r.language)
	}
	r.do(scheme("dark"))
	require.Empty(r.t, r.violations(`{runOnly: ["color-contrast"]}`), "contrast of %s in %s, in the dark", name, r.language)
	r.do(scheme("light"))
	r.fits(name)
	r.mu.Lock()
	faults := r.faults
	r.mu.Unlock()
	require.Empty(r.t, faults, "%s in %s", name, r.language)
	if folder := os.Getenv("IMCA_SCREENSHOTS"); folder != "" {
		r.picture(folder, name)
	}
}

// scheme has pages shown in light or dark, to somebody who wants nothing to move: what is half-way between two colours cannot be judged.
func scheme(colours string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colours}, {Name: "prefers-reduced-motion", Value: "reduce"},
	})
}

// violations are what axe-core finds by some rules.
func (r *reader) violations(rules string) (all []any) {
	r.t.Helper()
	var verdict string
	r.do(chromedp.Evaluate(
		`axe.run(`+rules+`).then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.help, v.nodes.map((n) => n.html + " " + n.failureSummary)])))`,
		&verdict, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	require.NoError(r.t, json.Unmarshal([]byte(verdict), &all))
	return all
}

// skips goes from the top of a page to what stands in it by the keyboard alone: past the menu, to the first link or field.
func (r *reader) skips() {
	r.t.Helper()
	at := func(where string) {
		r.t.Helper()
		var there bool
		r.do(chromedp.Evaluate(where, &there))
		require.True(r.t, there, where)
	}
	r.do(chromedp.Evaluate("document.activeElement.blur(); scrollTo(0, 0); 0", nil), chromedp.KeyEvent(kb.Tab))
	at(`document.activeElement.classList.contains("skip") && document.activeElement.getBoundingClientRect().left >= 0`)
	r.do(chromedp.KeyEvent(kb.Enter))
	at(`document.activeElement.id === "main"`)
	r.do(chromedp.KeyEvent(kb.Tab))
	at(`document.getElementById("main").contains(document.activeElement) && getComputedStyle(document.activeElement).outlineStyle !== "none"`)
}

// fits fails where a small phone would have to be pushed to and fro to read the page; tables scroll within themselves.
func (r *reader) fits(name string) {
	r.t.Helper()
	const width = 320
	var beyond string
	r.do(emulation.SetDeviceMetricsOverride(width, 640, 1, true), chromedp.Evaluate(`
		document.documentElement.scrollWidth <= innerWidth && innerWidth <= 320 ? "" : [...document.querySelectorAll("main *, header *, footer *")]
			.filter((e) => e.getBoundingClientRect().right > 320 && !e.closest(".scroll, .menu, pre, svg")).map((e) => e.outerHTML.slice(0, 200)).join("\n") || "something"`, &beyond))
	r.asBefore()
	require.Empty(r.t, beyond, "%s in %s is wider than %d pixels", name, r.language, width)
}

func (r *reader) picture(folder, name string) {
	r.t.Helper()
	for _, colours := range []string{"light", "dark"} {
		for device, width := range map[string]int64{"desk": 1280, "phone": 360} {
			var png []byte
			r.do(
				scheme(colours),
				emulation.SetDeviceMetricsOverride(width, 800, 1, device == "phone"), chromedp.FullScreenshot(&png, 100),
			)
			require.NoError(r.t, os.WriteFile(filepath.Join(folder, strings.Join([]string{name, r.language, colours, device}, "-")+".png"), png, 0o600))
		}
	}
	r.do(scheme("light"))
	r.asBefore()
}

// asBefore ends the emulation of a device, and waits until the page is laid out anew, lest a click hits what stood there before.
func (r *reader) asBefore() {
	r.t.Helper()
	r.do(emulation.ClearDeviceMetricsOverride(), chromedp.Evaluate(
		`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(0), 50))))`, nil,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// refused takes note that the browser complained of an answer that refuses a form, as it does of each.
func (r *reader) refused() { r.answered(http.StatusUnprocessableEntity) }

// answered takes note that the browser complained of an answer because of its status.
func (r *reader) answered(status int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.faults)
	r.faults = slices.DeleteFunc(r.faults, func(fault string) bool { return strings.Contains(fault, fmt.Sprintf("status of %d", status)) })
	require.Less(r.t, len(r.faults), before, "no answer had the status %d", status)
}

// ready waits until the scripts of the page have taken it over.
func (r *reader) ready() {
	r.t.Helper()
	r.do(chromedp.WaitReady("html[data-ready]", chromedp.ByQuery))
}

// click clicks, and waits for something.
func (r *reader) click(selector, then string) {
	r.t.Helper()
	r.do(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible), chromedp.WaitVisible(then, chromedp.ByQuery))
}

// steadily does something again whose element was gone when its turn came, as another page, or the page's own script, had come in between.
func steadily(a chromedp.Action) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) (err error) {
		for range 3 {
			err = a.Do(ctx)
			if err == nil || !strings.Contains(err.Error(), "Could not find node") && !strings.Contains(err.Error(), "No node with given id") {
				return err
			}
		}
		return err
	})
}

// copied is the text that the copy button behind an element puts into the clipboard.
func (r *reader) copied(selector string) (text string) {
	r.t.Helper()
	r.do(
		browser.GrantPermissions([]browser.PermissionType{browser.PermissionTypeClipboardReadWrite, browser.PermissionTypeClipboardSanitizedWrite}).WithOrigin(r.url),
		chromedp.Click(selector+" + button.copy", chromedp.ByQuery, chromedp.NodeVisible), chromedp.Sleep(50*time.Millisecond),
		chromedp.Evaluate("navigator.clipboard.readText()", &text, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
	)
	return text
}

// stays marks the page, and later tells whether it is still the same one, and was not loaded anew.
func (r *reader) stays() (still func() bool) {
	r.t.Helper()
	r.do(chromedp.Evaluate("window.stayed = true; 0", nil))
	return func() (same bool) {
		r.do(chromedp.Evaluate("window.stayed === true", &same))
		return same
	}
}

// downloaded is what the browser has saved under a name.
func (r *reader) downloaded(name string) string {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	require.Eventually(r.t, func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	}, 20*time.Second, 50*time.Millisecond, "%s was not downloaded", name)
	return path
}
