package console_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// unzipped are the files of an archive.
func unzipped(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	files := make(map[string]string)
	for _, f := range r.File {
		content, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(content)
		require.NoError(t, err)
		files[f.Name] = string(text)
	}
	return files
}

func TestNewCertificateWithAKeyOfTheServer(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleDeveloper)
		form := url.Values{"domain": {"www.example.com api.example.com"}, "server": {"nginx"}, "key": {"server"}, "once": {"0123456789"}}
		a := p.post("/apps/demo/new", form)
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		data := regexp.MustCompile(`href="data:application/zip;base64,([^"]+)" download="www.example.com.zip"`).FindStringSubmatch(a.body)
		require.NotNil(t, data, a.body)
		archive, err := base64.StdEncoding.DecodeString(html.UnescapeString(data[1]))
		require.NoError(t, err)
		files := unzipped(t, archive)
		require.Contains(t, files, "nginx/www.example.com.conf")
		require.NotContains(t, files, "apache/www.example.com.conf")
		key, err := pki.ParseKey([]byte(files["www.example.com.key"]))
		require.NoError(t, err)
		chain, err := pki.ParseCertificates([]byte(files["www.example.com.crt"]))
		require.NoError(t, err)
		require.Equal(t, chain[0].PublicKey, key.Public())
		require.Equal(t, []string{"www.example.com", "api.example.com"}, chain[0].DNSNames)

		again := p.post("/apps/demo/new", form)
		require.Equal(t, http.StatusSeeOther, again.StatusCode, "sent twice, it is issued once")
		path, _, _ := strings.Cut(again.Header.Get("Location"), "?")
		page := p.page(path).body
		require.Contains(t, page, "www.example.com")
		bundle := p.page(path + "/bundle?server=apache")
		require.Equal(t, `attachment; filename="www.example.com.zip"`, bundle.Header.Get("Content-Disposition"))
		require.NotContains(t, unzipped(t, []byte(bundle.body)), "www.example.com.key", "the key was handed over once")

		renewed := p.post("/apps/demo/new", url.Values{"renews": {filepath.Base(path)}, "key": {"server"}})
		require.Equal(t, http.StatusOK, renewed.StatusCode, renewed.body)

		require.Equal(t, http.StatusUnprocessableEntity, p.post(path+"/revoke", url.Values{}).StatusCode)
		require.Contains(t, p.post(path+"/revoke", url.Values{"reason": {"superseded"}}).Header.Get("Location"), "done=revoked")
		require.Contains(t, p.page("/apps/demo").body, "revoked")
		require.Contains(t, p.page("/apps/demo/history").body, "revoke a certificate")
	})
}

func TestNewCertificateForACSR(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	file := filepath.Join(t.TempDir(), "csr.pem")
	judge.Run(t, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", os.DevNull, "-subj", "/CN=www.example.com", "-out", file)
	csr, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, form := range map[string]url.Values{
		"nothing":    {"key": {"csr"}},
		"no domain":  {"key": {"server"}},
		"no script":  {"domain": {"www.example.com"}},
		"nonsense":   {"key": {"csr"}, "csr": {"<script>alert(1)</script>"}},
		"bad domain": {"key": {"server"}, "domain": {"<b>x</b>.example.com"}},
		"localhost":  {"key": {"server"}, "domain": {"localhost"}},
	} {
		a := p.post("/apps/demo/new", form)
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, name)
		require.Regexp(t, `class="fault"|role="alert"`, a.body, name)
		require.NotContains(t, a.body, "<script>alert", name)
		require.NotContains(t, a.body, "<b>x", name)
	}
	a := p.post("/apps/demo/new", url.Values{"key": {"csr"}, "csr": {string(csr)}, "server": {"nginx"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
	require.Contains(t, a.Header.Get("Location"), "done=issued")
	require.Contains(t, p.page(a.Header.Get("Location")).body, "The certificate is issued.")
}

// TestNameIsProvenFirst: what is not the app's yet leads to its proof, and from there back.
func TestNameIsProvenFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		policy := ca.PolicyApprove
		_, err := w.ca.ChangeApp(t.Context(), root, "demo", ca.AppChange{Policy: &policy})
		require.NoError(t, err)
		p := w.as(ca.RoleDeveloper)
		a := p.post("/apps/demo/new", url.Values{"domain": {"www.example.com"}, "key": {"server"}, "server": {"nginx"}})
		require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
		path := a.Header.Get("Location")
		require.Contains(t, path, "/apps/demo/domains/www.example.com?")
		require.Contains(t, p.page(path).body, "an operator has to approve it")
		require.Contains(t, p.page("/apps/demo").body, "waiting for approval")

		_, err = w.ca.ApproveDomain(t.Context(), root, ca.Decision{Name: "www.example.com", App: "demo", Reason: "<i>fine</i>"})
		require.NoError(t, err)
		page := p.page(path).body
		require.Contains(t, page, "/apps/demo/new?domain=www.example.com&amp;key=server&amp;server=nginx")
		require.NotContains(t, page, "<i>fine")
		require.Equal(t, http.StatusOK, p.post("/apps/demo/new", url.Values{"domain": {"www.example.com"}, "key": {"server"}}).StatusCode)
	})
}

func TestProofSaysWhatToShow(t *testing.T) {
	w := newWorld(t, sqlite(t))
	policy := ca.PolicyProve
	_, err := w.ca.ChangeApp(t.Context(), root, "demo", ca.AppChange{Policy: &policy})
	require.NoError(t, err)
	p := w.as(ca.RoleDeveloper)
	path := p.post("/apps/demo/new", url.Values{"domain": {"www.example.com"}, "key": {"server"}}).Header.Get("Location")
	page := p.page(path).body
	require.Contains(t, page, "http://www.example.com/.well-known/acme-challenge/")
	require.Contains(t, page, "_acme-challenge.www.example.com")
	require.Contains(t, page, `name="method" value="dns-01"`)
}

// TestPagesOfAnotherApp: what is another app's is not there.
func TestPagesOfAnotherApp(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	theirs, err := w.ca.Issue(t.Context(), root, ca.IssueRequest{App: "other", Domains: []string{"theirs.example.com"}})
	require.NoError(t, err)
	serial := theirs.Certificate.Serial.String()
	for _, path := range []string{
		"/apps/other", "/apps/other/new", "/apps/other/check", "/apps/other/history", "/apps/none", "/apps/other/certificates/" + serial,
		"/apps/demo/certificates/" + serial, "/apps/demo/certificates/" + serial + "/bundle", "/apps/demo/checks/chk_none", "/apps/demo/domains/theirs.example.com",
	} {
		a := p.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.NotContains(t, a.body, "theirs.example.com<", path)
	}
	require.Equal(t, http.StatusNotFound, p.post("/apps/demo/certificates/"+serial+"/revoke", url.Values{"reason": {"superseded"}}).StatusCode)
	require.Nil(t, w.revocation(theirs.Certificate))
}

func TestCheckIsAPicture(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.sight.Summary = "healthy"
	p := w.as(ca.RoleDeveloper)
	require.Equal(t, http.StatusUnprocessableEntity, p.post("/apps/demo/check", url.Values{"url": {"https://"}}).StatusCode)
	a := p.post("/apps/demo/check", url.Values{"url": {"www.example.com"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
	path := a.Header.Get("Location")
	require.NoError(t, w.ca.RunDueChecks(t.Context()))
	require.Contains(t, p.page(path).body, `data-summary="healthy"`)
	require.Contains(t, p.page("/apps/demo/check").body, "https://www.example.com/")
}

// TestCheckTellsWhoIsReady: who is refused that is to come is a warning, not a fault of today.
func TestCheckTellsWhoIsReady(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.sight.Summary = "healthy"
	w.report = `{"admits_platform":{"answer":"yes"},"probes":[{"certificate":"platform","outcome":"admitted"},{"certificate":"none","outcome":"refused"},
		{"certificate":"next_root","outcome":"admitted"},{"certificate":"next_root","outcome":"refused"},{"certificate":"intermediate","outcome":"admitted"}]}`
	p := w.as(ca.RoleDeveloper)
	path := p.post("/apps/demo/check", url.Values{"url": {"www.example.com"}}).Header.Get("Location")
	require.NoError(t, w.ca.RunDueChecks(t.Context()))
	body := p.page(path).body
	require.Regexp(t, `<li class="warn">.*The platform under its next root</span> <strong>stays out`, body)
	require.Regexp(t, `<li class="good">.*The platform behind an intermediate CA</span> <strong>gets in`, body)
	require.NotContains(t, body, `<li class="bad">`)
}

// TestAuthoritiesOfARollOver are shown as they stand.
func TestAuthoritiesOfARollOver(t *testing.T) {
	w := newWorld(t, sqlite(t))
	_, err := w.ca.AddAuthority(t.Context(), root, ca.NewAuthority{Name: "Next", For: []string{"client"}, NewKey: w.newKey})
	require.NoError(t, err)
	p := w.as(ca.RoleOperator)
	body := p.page("/console/authorities").body
	require.Contains(t, body, `id="Next"`)
	require.Regexp(t, `<dt>Stands by for</dt><dd>client\s*</dd>`, body)
	require.NotContains(t, body, "retired")
	require.NoError(t, w.ca.Retire(t.Context(), root, "Next", false, false))
	require.Contains(t, p.page("/console/authorities").body, "retired: nobody is to trust it")
}
