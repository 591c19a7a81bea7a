package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/imca-project/imca/internal/ca"
)

// english finds four words of English, one behind the other.
var english = regexp.MustCompile(`(?:[A-Za-z][A-Za-z'’-]+[,:;]? ){3}[A-Za-z][A-Za-z'’-]+`)

// unmarked are the stretches of a page that read like English, though nothing says so: they stand in no element with lang="en", and in none for code or
// for what somebody types. What stands between Chinese quotation marks or within backquotes is to be typed too.
func unmarked(t testing.TB, page string) (all []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			if slices.Contains([]string{"script", "style", "code", "pre", "textarea", "option"}, n.Data) ||
				slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "lang" && a.Val == "en" }) {
				return
			}
		}
		if n.Type == html.TextNode {
			all = append(all, english.FindAllString(typed.ReplaceAllString(n.Data, " 0 "), -1)...)
		}
		for child := range n.ChildNodes() {
			walk(child)
		}
	}
	walk(root)
	return all
}

var typed = regexp.MustCompile("“[^”]*”|`[^`]*`|imca [a-z]+ [a-z]+ ")

func TestEnglishIsFound(t *testing.T) {
	require.Equal(t, []string{"This session has ended", "it is not marked"}, unmarked(t, `<p>This session has ended: 请登录。</p><p lang="en">This is marked as such</p>
<pre>this is code of somebody</pre><p>请运行“imca domain verify this that there”。</p><p lang="zh-CN">it is not marked</p>`))
}

// TestChinesePagesHaveNoUnmarkedEnglish goes through the pages and through what they refuse.
func TestChinesePagesHaveNoUnmarkedEnglish(t *testing.T) {
	w := newWorld(t, sqlite(t))
	cert := w.issue("www.example.com")
	operator, developers := w.as(ca.RoleOperator), w.as(ca.RoleDeveloper)
	for _, p := range []*person{operator, developers} {
		p.headers.Set("Accept-Language", "zh-CN")
		p.headers.Set("Accept", "text/html")
	}
	require.NotEmpty(t, unmarked(t, strings.Replace(w.as(ca.RoleOperator).page("/console/revoke").body, `<html lang="en">`, "<html>", 1)), "an English page is full of it")
	for _, path := range append(consolePages(cert), "/console/certificates/00", "/console/nothing", "/console/checks/none", "/console/events?cursor=zz", "/console/checks?url=ftp://x") {
		require.Empty(t, unmarked(t, operator.get(path).body), path)
	}
	one := "/console/certificates/" + cert.Serial.String()
	for path, form := range map[string]url.Values{
		"/console/apps/new":                  {"id": {"demo"}, "policy": {"prove"}},
		"/console/apps/demo":                 {"name": {"Demo"}, "policy": {"list"}, "allowed": {"http://x.example.com/\n10.0.0.1\n.192.0.2.1"}},
		"/console/apps/demo/tokens":          {"name": {""}},
		"/console/apps/demo/tokens/x/revoke": {},
		"/console/revoke/count":              {"suffix": {"no name"}, "reason": {"superseded"}},
		one + "/nothing":                     {},
	} {
		a := operator.post(path, form)
		require.GreaterOrEqual(t, a.StatusCode, 400, path)
		require.Empty(t, unmarked(t, a.body), path)
		require.NotContains(t, a.body, `<p lang="en">`, "%s: %s", path, a.body)
	}
	for _, domain := range []string{"http://www.example.com/", "a_b.example.com", "10.0.0.1", "*.com", "www.example.com:8443", "中 文", "xn--a", "a..b", "localhost"} {
		a := developers.post("/apps/demo/new", url.Values{"domain": {domain}, "key": {"server"}, "server": {"apache"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, domain)
		require.Empty(t, unmarked(t, a.body), domain)
		require.NotContains(t, faultOf(a.body), `lang="en"`, domain)
	}
	for _, csr := range []string{"x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		a := developers.post("/apps/demo/new", url.Values{"domain": {"www.example.com"}, "key": {"csr"}, "csr": {csr}, "server": {"apache"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, csr)
		require.Empty(t, unmarked(t, a.body), csr)
	}
	for _, address := range []string{"", "http://www.example.com/", "https://www.example.com/?a=b", "https://www.example.com:99999/"} {
		a := developers.post("/apps/demo/check", url.Values{"url": {address}})
		require.GreaterOrEqual(t, a.StatusCode, 400, address)
		require.Empty(t, unmarked(t, a.body), address)
	}
}

// faultOf is what a page says of a field.
func faultOf(page string) string {
	_, after, _ := strings.Cut(page, `class="fault"`)
	fault, _, _ := strings.Cut(after, "</p>")
	return fault
}

// TestCheckInChinese shows a report as internal/doorcheck writes it, with what strangers have to say in it.
func TestCheckInChinese(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.sight.Summary = "locked_out"
	w.sight.Findings = []ca.CheckFinding{{Code: "ca_not_ours", Title: "The server accepts clients of other CAs, not the platform's", Severity: "fault"}}
	w.report = `{"admits_platform":{"answer":"no","reason":"the platform's certificate was refused"},
		"refuses_strangers":{"answer":"unknown","reason":"something that nobody has translated"},
		"refuses_revoked":{"answer":"unknown","reason":"no revoked certificate was tried"},
		"untold":["whether an expired certificate is refused: the check was given no such certificate"],
		"probes":[{"certificate":"platform","outcome":"refused"}],
		"findings":[{"code":"ca_not_ours","title":"The server accepts clients of other CAs, not the platform's","severity":"fault",
			"advice":"Name Root.crt, the current one, as the CA of the clients, and reload the server. An intermediate CA alone never works: the file holds the root.",
			"evidence":["the platform's certificate at 192.0.2.1:443: TLS alert 48, unknown_ca","it names 1 CA(s), ours is not among them; the first: CN=<b>The port speaks HTTP, not HTTPS</b>"],
			"mends":[{"server":"apache","lines":["SSLCACertificateFile conf/Root.crt"]}]}]}`
	p := w.as(ca.RoleDeveloper)
	p.headers.Set("Accept-Language", "zh-CN")
	path := p.post("/apps/demo/check", url.Values{"url": {"www.example.com"}}).Header.Get("Location")
	require.NoError(t, w.ca.RunDueChecks(t.Context()))
	body := p.page(path).body
	for _, want := range []string{
		"服务器接受其他 CA 的客户端，而不接受平台的", "请将最新的 Root.crt 设为客户端的 CA", "平台的证书，地址 192.0.2.1:443：TLS 警报 48，unknown_ca",
		"它列出 1 个 CA，其中没有我们的；第一个是：CN=&lt;b&gt;The port speaks HTTP, not HTTPS&lt;/b&gt;",
		"<strong>否</strong><br>平台的证书被拒绝", `<span lang="en">something that nobody has translated</span>`, "已过期的证书是否被拒绝：检测没有得到这样的证书", "SSLCACertificateFile conf/Root.crt",
	} {
		require.Contains(t, body, want)
	}
	require.Equal(t, []string{"The port speaks HTTP"}, unmarked(t, body), "and what a stranger says")

	p.headers.Set("Accept-Language", "en")
	body = p.page(path).body
	require.Contains(t, body, "The server accepts clients of other CAs, not the platform&#39;s")
	require.NotContains(t, body, `lang="en">something`)

	o := w.as(ca.RoleOperator)
	o.headers.Set("Accept-Language", "zh-CN")
	for _, page := range []string{"/console/checks", strings.Replace(path, "/apps/demo", "/console", 1)} {
		body := o.page(page).body
		require.Contains(t, body, "服务器接受其他 CA 的客户端，而不接受平台的", page)
		require.Empty(t, unmarked(t, body), page)
	}
}

// TestFailedProofInChinese: why a proof failed is told when it fails, and read from the database later, by developers and by those who decide.
func TestFailedProofInChinese(t *testing.T) {
	w := newWorld(t, sqlite(t))
	policy := ca.PolicyProve
	_, err := w.ca.ChangeApp(t.Context(), root, "demo", ca.AppChange{Policy: &policy})
	require.NoError(t, err)
	w.proof = &ca.Error{Kind: ca.KindProofReach, Detail: "fetching http://www.example.com/.well-known/acme-challenge/x: dial tcp 192.0.2.1:80: connect: connection refused; let port 80 of www.example.com answer requests from outside, or use another method"}
	const told = "获取 http://www.example.com/.well-known/acme-challenge/x：连接 192.0.2.1:80 被拒绝；请让 www.example.com 的 80 端口能够应答外部请求，或使用其他验证方式"
	p := w.as(ca.RoleDeveloper)
	p.headers.Set("Accept-Language", "zh-CN")
	path, _, _ := strings.Cut(p.post("/apps/demo/new", url.Values{"domain": {"www.example.com"}, "key": {"server"}, "server": {"apache"}}).Header.Get("Location"), "?")
	require.Contains(t, path, "/domains/")
	a := p.post(path, url.Values{"method": {"http-01"}})
	require.Contains(t, a.body, told)
	require.Empty(t, unmarked(t, a.body))
	require.Contains(t, p.page(path).body, told, "kept")
	o := w.as(ca.RoleOperator)
	o.headers.Set("Accept-Language", "zh-CN")
	require.Contains(t, o.page("/console/approvals/demo/www.example.com").body, told)
	require.Contains(t, o.page("/console/events").body, "被拒绝", "the event tells why")
	p.headers.Set("Accept-Language", "en")
	require.Contains(t, p.page(path).body, "connection refused; let port 80 of www.example.com answer")
}
