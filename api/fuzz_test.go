package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// send asks a handler as a developer, and demands of the answer what holds for every one: no fault of ours, and a refusal is a whole problem
// document.
func send(t *testing.T, w *world, handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	r.Header.Set("Authorization", "Bearer "+w.security["developer"])
	got := httptest.NewRecorder()
	handler.ServeHTTP(got, r)
	require.Less(t, got.Code, 500, "%s", got.Body)
	require.True(t, json.Valid(got.Body.Bytes()), "%q", got.Body)
	if got.Code >= 400 {
		var p api.Problem
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &p))
		require.Equal(t, web.ProblemType, got.Header().Get("Content-Type"))
		require.Equal(t, got.Code, p.Status)
		require.NotEmpty(t, p.Detail)
		require.True(t, utf8.ValidString(p.Detail))
		for _, f := range p.Errors {
			require.NotEmpty(t, f.Detail)
		}
	}
	return got
}

// FuzzIssueRequest posts any bytes as a request for a certificate. What is granted must be what encoding/json, which is laxer, reads too.
func FuzzIssueRequest(f *testing.F) {
	for _, seed := range []string{
		`{"domain":"www.example.com"}`, `{"domains":["a.example.com","203.0.113.7"],"validity_days":30,"key_type":"ecdsa-p256"}`,
		`{"domain":"www.example.com","csr":"-----BEGIN CERTIFICATE REQUEST-----"}`, `{"domain":null}`, `{"domain":"\u0000"}`, `{"domain":"a"}x`, `{"app":"demo",`,
		`{"domain":"www.example.com","domain":"x"}`, `{"\u0064omain":"www.example.com"}`, `[]`, `{"a~/b":{}}`, "{\"domain\":\"\xff\"}", `{"validity_days":1e2}`,
	} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	handler := api.New(api.Config{CA: w.ca, Frame: w.frame})
	f.Fuzz(func(t *testing.T, body []byte) {
		if strings.Contains(string(body), "rsa-") {
			t.Skip("RSA keys take too long to make")
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/certificates", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		got := send(t, w, handler, r)
		if got.Code != http.StatusCreated {
			return
		}
		var asked api.IssueRequest
		require.NoError(t, json.Unmarshal(body, &asked))
		var cert api.Certificate
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &cert))
		leaf := parse(t, cert.Certificate)
		require.Equal(t, len(cert.Domains), len(leaf.DNSNames)+len(leaf.IPAddresses))
		require.LessOrEqual(t, len(cert.Domains), max(len(asked.Domains), 1))
	})
}

// FuzzQuery searches with any query.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"domain=www.example.com", "suffix=example.com&limit=1", "status=valid&expires_before=2026-12-31", "serial=" + strings.Repeat("4f", 17),
		"fingerprint_sha256=" + strings.Repeat("ab", 32), "cursor=AAAA", "a=%00", "a=%ff", ";", "issued_after=0000-01-01", "issued_before=9999-12-31T23:59:59-23:59", "limit=1&limit=2",
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	_, err := w.ca.Issue(f.Context(), ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "demo"}, ca.IssueRequest{Domains: []string{"www.example.com"}})
	require.NoError(f, err)
	handler := api.New(api.Config{CA: w.ca, Frame: w.frame})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/v1/certificates", nil)
		r.URL.RawQuery = query
		if got := send(t, w, handler, r); got.Code == http.StatusOK {
			known, err := url.ParseQuery(query)
			require.NoError(t, err, "what was granted was understood")
			for name, values := range known {
				require.Len(t, values, 1)
				require.Contains(t, "domain suffix app status profile authority serial fingerprint_sha256 spki_sha256 expires_after expires_before issued_after issued_before limit cursor", name)
			}
		}
	})
}

// FuzzCursor goes on from any cursor. One that is taken is the one that we would write.
func FuzzCursor(f *testing.F) {
	seed := ca.Cursor{Name: "com.example.www", Time: start}
	seed.Serial[0] = 1
	f.Add(seed.String())
	f.Add("")
	f.Add("AAAA")
	w := newWorld(f)
	handler := api.New(api.Config{CA: w.ca, Frame: w.frame})
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, path := range []string{"/v1/certificates", "/v1/certificates?suffix=example.com"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			query := r.URL.Query()
			query.Set("cursor", cursor)
			r.URL.RawQuery = query.Encode()
			if got := send(t, w, handler, r); got.Code == http.StatusOK {
				read, err := ca.ParseCursor(cursor)
				require.NoError(t, err)
				again, err := ca.ParseCursor(read.String())
				require.NoError(t, err)
				require.Equal(t, read, again)
			}
		}
	})
}
