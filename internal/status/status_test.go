package status_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api/apitest"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/status"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

var contract = apitest.Load()

var operator = ca.Principal{Name: "olga", Role: ca.RoleOperator}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is the door over a real CA, behind a real server that speaks plain HTTP.
type world struct {
	ca     *ca.CA
	store  *store.Store
	url    string
	door   http.Handler
	client *http.Client
	newKey func(authority string, kind pki.KeyType) (crypto.Signer, string, error)
}

var admin = ca.Principal{Name: "root", Role: ca.RoleAdmin}

func newWorld(t testing.TB, hierarchy ca.Hierarchy) *world {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, store.Migrate(t.Context(), url))
	s, err := store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	keys := make(map[string]crypto.Signer)
	w := &world{store: s, newKey: func(authority string, kind pki.KeyType) (crypto.Signer, string, error) {
		key, err := kind.Generate()
		keys["memory:"+authority] = key
		return key, "memory:" + authority, err
	}}
	authorities, err := ca.Establish(t.Context(), s, admin, ca.Establishment{Hierarchy: hierarchy, NewKey: w.newKey}, start)
	require.NoError(t, err)
	load := func(recorded []ca.Authority) ([]*issuer.Issuer, error) {
		return ca.Load(recorded, issuer.DefaultProfiles(), "http://ca.example", func(ref string) (crypto.Signer, error) { return keys[ref], nil })
	}
	issuers, err := load(authorities)
	require.NoError(t, err)
	w.ca, err = ca.New(ca.Config{Store: s, Issuers: issuers, Open: load, Recorded: authorities})
	require.NoError(t, err)
	_, _, err = w.ca.CreateApp(t.Context(), operator, ca.NewApp{ID: "demo", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	frame := web.New(web.Config{Authenticate: w.ca.Authenticate, Limits: web.Limits{Address: web.Rate{PerSecond: -1}}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w.door = status.New(status.Config{CA: w.ca, Frame: frame})
	server := httptest.NewServer(w.door)
	t.Cleanup(server.Close)
	w.url, w.client = server.URL, contract.Client(t, server.Client().Transport)
	return w
}

// fetch gets a CA certificate, with pairs of header name and value.
func (w *world) fetch(t *testing.T, method, file string, header ...string) (*http.Response, string) {
	t.Helper()
	return w.ask(t, method, "/ca/"+file, nil, header...)
}

// ask sends a request, with pairs of header name and value.
func (w *world) ask(t *testing.T, method, path string, content []byte, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, bytes.NewReader(content))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	answer, err := w.client.Do(r)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(body)
}

func TestFiles(t *testing.T) {
	for hierarchy, roots := range map[ca.Hierarchy]int{ca.HierarchyDirect: 1, ca.HierarchyIssuing: 1, ca.HierarchySeparate: 2} {
		t.Run(string(hierarchy), func(t *testing.T) {
			w := newWorld(t, hierarchy)
			for _, i := range w.ca.Issuers() {
				answer, body := w.fetch(t, "GET", i.Name()+".crt")
				require.Equal(t, http.StatusOK, answer.StatusCode)
				require.Equal(t, "application/x-pem-file", answer.Header.Get("Content-Type"))
				require.Equal(t, string(pki.EncodeCertificate(i.Certificate().Raw)), body)

				answer, body = w.fetch(t, "GET", i.Name()+".der")
				require.Equal(t, "application/pkix-cert", answer.Header.Get("Content-Type"))
				require.Equal(t, string(i.Certificate().Raw), body)
			}
			_, body := w.fetch(t, "GET", "bundle.pem")
			certificates, err := pki.ParseCertificates([]byte(body))
			require.NoError(t, err)
			require.Len(t, certificates, roots)
			for _, c := range certificates {
				require.NoError(t, c.CheckSignatureFrom(c), "roots only")
			}
		})
	}
}

// During a roll-over the files hold what is to be trusted, without a restart.
func TestFilesDuringARollOver(t *testing.T) {
	w := newWorld(t, ca.HierarchySeparate)
	holds := func(file string, want ...string) {
		t.Helper()
		answer, body := w.fetch(t, "GET", file)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		certificates, err := pki.ParseCertificates([]byte(body))
		require.NoError(t, err)
		var names []string
		for _, c := range certificates {
			names = append(names, c.Subject.CommonName)
		}
		require.Equal(t, want, names)
	}
	holds("bundle.pem", "TencentQQAuthCA", "TencentQQAuthCA-Server")
	holds("clients.pem", "TencentQQAuthCA")
	absent, _ := w.fetch(t, "GET", "Next.crt")
	require.Equal(t, http.StatusNotFound, absent.StatusCode)
	absent, _ = w.ask(t, "GET", "/crl/Next.crl", nil)
	require.Equal(t, http.StatusNotFound, absent.StatusCode)

	_, err := w.ca.AddAuthority(t.Context(), admin, ca.NewAuthority{Name: "Next", For: []string{"client"}, NewKey: w.newKey})
	require.NoError(t, err)
	early, _ := w.ask(t, "GET", "/crl/Next.crl", nil)
	require.Equal(t, http.StatusServiceUnavailable, early.StatusCode)
	require.NoError(t, w.ca.PublishCRLs(t.Context()))
	holds("Next.crt", "Next")
	holds("bundle.pem", "TencentQQAuthCA", "TencentQQAuthCA-Server", "Next")
	holds("clients.pem", "TencentQQAuthCA", "Next")
	published, _ := w.ask(t, "GET", "/crl/Next.crl", nil)
	require.Equal(t, http.StatusOK, published.StatusCode)

	_, err = w.ca.Promote(t.Context(), admin, "Next", false)
	require.NoError(t, err)
	holds("clients.pem", "Next", "TencentQQAuthCA")
	require.NoError(t, w.ca.Retire(t.Context(), admin, "TencentQQAuthCA", true, false))
	holds("clients.pem", "Next")
	holds("bundle.pem", "TencentQQAuthCA-Server", "Next")
	holds("TencentQQAuthCA.crt", "TencentQQAuthCA")
	published, _ = w.ask(t, "GET", "/crl/TencentQQAuthCA.crl", nil)
	require.Equal(t, http.StatusOK, published.StatusCode, "its list goes on")
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, ca.HierarchyDirect)
	answer, body := w.fetch(t, "GET", "TencentQQAuthCA.crt")
	hash := sha256.Sum256([]byte(body))
	require.Equal(t, "sha-256=:"+base64.StdEncoding.EncodeToString(hash[:])+":", answer.Header.Get("Repr-Digest"))
	require.Equal(t, "public, max-age=3600", answer.Header.Get("Cache-Control"))
	require.Equal(t, "attachment; filename=TencentQQAuthCA.crt", answer.Header.Get("Content-Disposition"))
	tag := answer.Header.Get("ETag")
	require.Regexp(t, `^"[A-Za-z0-9+/=]+"$`, tag)

	head, nothing := w.fetch(t, "HEAD", "TencentQQAuthCA.crt")
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, nothing)
	require.Equal(t, int64(len(body)), head.ContentLength)
	for _, name := range []string{"ETag", "Repr-Digest", "Cache-Control", "Content-Type"} {
		require.Equal(t, answer.Header.Get(name), head.Header.Get(name), name)
	}

	for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		for _, method := range []string{"GET", "HEAD"} {
			same, nothing := w.fetch(t, method, "TencentQQAuthCA.crt", "If-None-Match", known)
			require.Equal(t, http.StatusNotModified, same.StatusCode, known)
			require.Empty(t, nothing)
			require.Equal(t, tag, same.Header.Get("ETag"))
		}
	}
	for _, other := range []string{`"other"`, "", strings.Trim(tag, `"`)} {
		full, _ := w.fetch(t, "GET", "TencentQQAuthCA.crt", "If-None-Match", other)
		require.Equal(t, http.StatusOK, full.StatusCode, other)
	}
	ranged, _ := w.fetch(t, "GET", "TencentQQAuthCA.crt", "Range", "bytes=0-9")
	require.Equal(t, http.StatusOK, ranged.StatusCode)
}

func TestUnknownFile(t *testing.T) {
	w := newWorld(t, ca.HierarchyDirect)
	for _, name := range []string{"Nobody.crt", "TencentQQAuthCA", "TencentQQAuthCA.key", "..%2f..%2fetc%2fpasswd", "TencentQQAuthCA.crt.der"} {
		answer, body := w.fetch(t, "GET", name)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, name)
		require.Contains(t, body, "TencentQQAuthCA.crt, TencentQQAuthCA.der, bundle.pem")
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	}
	answer, _ := w.fetch(t, "POST", "bundle.pem")
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
	answer, _ = w.fetch(t, "GET", "bundle.pem?a=%00")
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
}

// TestCertificatesPointHere follows the authority information access of a certificate.
func TestCertificatesPointHere(t *testing.T) {
	w := newWorld(t, ca.HierarchyIssuing)
	issued, err := w.ca.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
	require.NoError(t, err)
	der, err := issued.Certificate.DER()
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Len(t, leaf.IssuingCertificateURL, 1)
	name, found := strings.CutPrefix(leaf.IssuingCertificateURL[0], "http://ca.example/ca/")
	require.True(t, found, leaf.IssuingCertificateURL[0])
	_, body := w.fetch(t, "GET", name)
	parent, err := x509.ParseCertificate([]byte(body))
	require.NoError(t, err)
	require.NoError(t, leaf.CheckSignatureFrom(parent))
}

func TestOpensslReadsTheFiles(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t, ca.HierarchyDirect)
	_, pem := w.fetch(t, "GET", "TencentQQAuthCA.crt")
	require.Contains(t, judge.RunInput(t, []byte(pem), "openssl", "x509", "-noout", "-subject"), "TencentQQAuthCA")
	_, der := w.fetch(t, "GET", "TencentQQAuthCA.der")
	require.Contains(t, judge.RunInput(t, []byte(der), "openssl", "x509", "-inform", "DER", "-noout", "-subject"), "TencentQQAuthCA")
}

// TestRoutesAndContract holds the routes against openapi.yaml, both ways.
func TestRoutesAndContract(t *testing.T) {
	w := newWorld(t, ca.HierarchyDirect)
	var served, documented []string
	require.NoError(t, chi.Walk(w.door.(chi.Routes), func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served = append(served, method+" "+strings.Replace(path, "/*", "/{request}", 1))
		return nil
	}))
	for _, route := range contract.Routes() {
		if _, path, _ := strings.Cut(route, " "); apitest.Public(path) {
			documented = append(documented, route)
		}
	}
	require.ElementsMatch(t, documented, served)
}

// TestMain demands that every documented answer is seen.
func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func() []string {
		return contract.Unseen(apitest.Public)
	}))
}
