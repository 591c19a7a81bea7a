package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestWhoIsNotSignedInIsAskedTo(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.nobody().get("/console?x=1")
		require.Equal(t, http.StatusSeeOther, a.StatusCode)
		require.Equal(t, "/signin?next=%2Fconsole%3Fx%3D1", a.Header.Get("Location"))
		a = w.nobody().get("/")
		require.Equal(t, "/signin", a.Header.Get("Location"))
	})
}

func TestHomeIsByRole(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for role, home := range map[ca.Role]string{ca.RoleDeveloper: "/apps/demo", ca.RoleAuditor: "/console", ca.RoleOperator: "/console", ca.RoleAdmin: "/console"} {
			require.Equal(t, home, w.as(role).get("/").Header.Get("Location"), role)
		}
	})
}

func TestPagesAreStrict(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.as(ca.RoleOperator).page("/console")
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			a.Header.Get("Content-Security-Policy"))
		require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Opener-Policy"))
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.nobody()
	require.Equal(t, http.StatusSeeOther, p.post("/language", url.Values{"language": {"zh-CN"}}).StatusCode)
	for _, site := range []string{"cross-site", "same-site"} {
		p.headers.Set("Sec-Fetch-Site", site)
		require.Equal(t, http.StatusForbidden, p.post("/language", url.Values{"language": {"zh-CN"}}).StatusCode, site)
	}
	p.headers.Del("Sec-Fetch-Site")
	p.headers.Set("Origin", "https://evil.example")
	require.Equal(t, http.StatusForbidden, p.post("/language", url.Values{"language": {"zh-CN"}}).StatusCode)
}

func TestLanguage(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleOperator)
	for accept, want := range map[string]string{
		"": "en", "en": "en", "zh": "zh-CN", "zh-TW,en;q=0.5": "zh-CN", "en;q=0.5, zh-CN;q=0.9": "zh-CN", "fr, de": "en", "fr, zh;q=0.1": "zh-CN",
		"zh;q=0, en": "en", "zh;q=x": "en", ";;;,,": "en",
	} {
		p.headers.Set("Accept-Language", accept)
		require.Contains(t, p.page("/console").body, `<html lang="`+want+`">`, accept)
	}

	a := p.post("/language", url.Values{"language": {"zh-CN"}, "next": {"/console?x=1"}})
	require.Equal(t, "/console?x=1", a.Header.Get("Location"))
	require.Len(t, a.Cookies(), 1)
	require.True(t, a.Cookies()[0].Secure)
	p.keep(a)
	p.headers.Set("Accept-Language", "en")
	require.Contains(t, p.page("/console").body, `<html lang="zh-CN">`, "the reader's own choice comes first")

	require.Empty(t, p.post("/language", url.Values{"language": {"tlh"}}).Cookies())
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "", "console"} {
		require.Equal(t, "/", p.post("/language", url.Values{"next": {next}}).Header.Get("Location"), next)
	}
}

func TestAssetsAreKeptForEver(t *testing.T) {
	w := newWorld(t, sqlite(t))
	page := w.as(ca.RoleOperator).page("/console").body
	found := regexp.MustCompile(`/assets/[0-9a-f]{16}/[a-z.]+`).FindAllString(page, -1)
	require.NotEmpty(t, found)
	types := make(map[string]bool)
	for _, path := range found {
		a := w.nobody().page(path)
		require.Equal(t, "public, max-age=31536000, immutable", a.Header.Get("Cache-Control"))
		types[a.Header.Get("Content-Type")] = true
	}
	require.Equal(t, map[string]bool{"text/css; charset=utf-8": true, "text/javascript; charset=utf-8": true, "image/svg+xml": true}, types)
	for _, path := range []string{"/assets/0000000000000000/console.css", "/assets/", found[0] + "/..", "/assets/../console.go"} {
		require.NotEqual(t, http.StatusOK, w.nobody().get(path).StatusCode, path)
	}
}

func TestProblemsArePages(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.nobody()
	a := p.get("/nowhere/<script>alert(1)</script>")
	require.Equal(t, http.StatusNotFound, a.StatusCode)
	require.Contains(t, a.body, "There is no such page")
	require.NotContains(t, a.body, "<script>alert")
	p.headers.Set("Accept-Language", "zh")
	require.Contains(t, p.get("/nowhere").body, "页面不存在")

	a = w.as(ca.RoleDeveloper).get("/console")
	require.Equal(t, http.StatusForbidden, a.StatusCode)
	require.Contains(t, a.body, "Not yours to do")

	p.headers.Set("Accept", "*/*")
	require.Equal(t, "application/problem+json", p.get("/nowhere").Header.Get("Content-Type"), "programs read no pages")
}

// TestOnlyKnownWordsAreSaidToBeDone: a link from elsewhere cannot put words into the page's mouth.
func TestOnlyKnownWordsAreSaidToBeDone(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleOperator)
	require.NotContains(t, p.page("/console/apps?done=Your+token+was+stolen").body, `role="status"`)
	require.Contains(t, p.page("/console/apps?done=saved").body, `role="status"`)
}
