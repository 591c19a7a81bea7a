package status_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// issue issues a certificate for a developer's server.
func (w *world) issue(t testing.TB) *x509.Certificate {
	t.Helper()
	issued, err := w.ca.Issue(t.Context(), operator, ca.IssueRequest{App: "demo", Domains: []string{"www.example.com"}})
	require.NoError(t, err)
	der, err := issued.Certificate.DER()
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return leaf
}

func (w *world) revoke(t *testing.T, leaf *x509.Certificate, reason pki.Reason) {
	t.Helper()
	serial, ok := pki.SerialFromInt(leaf.SerialNumber)
	require.True(t, ok)
	_, err := w.ca.Revoke(t.Context(), operator, serial, reason)
	require.NoError(t, err)
}

func (w *world) publish(t *testing.T) {
	t.Helper()
	require.NoError(t, w.ca.PublishCRLs(t.Context()))
}

// publishSoon publishes what was revoked, also when a list was published a moment ago.
func (w *world) publishSoon(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.publish(t)
		states, err := w.store.ListCRLStates(t.Context())
		require.NoError(t, err)
		return !slices.ContainsFunc(states, func(s ca.CRLState) bool { return s.Waiting })
	}, 10*time.Second, 50*time.Millisecond)
}

// authority is the certificate of the one that signed a leaf.
func (w *world) authority(t testing.TB, leaf *x509.Certificate) *issuer.Issuer {
	t.Helper()
	for _, i := range w.ca.Issuers() {
		if i.Certificate().Subject.String() == leaf.Issuer.String() {
			return i
		}
	}
	require.Fail(t, "no such authority", leaf.Issuer)
	return nil
}

func TestCRL(t *testing.T) {
	w := newWorld(t, ca.HierarchyDirect)
	early, problem := w.ask(t, "GET", "/crl/TencentQQAuthCA.crl", nil)
	require.Equal(t, http.StatusServiceUnavailable, early.StatusCode)
	require.Contains(t, problem, "ask again")

	leaf := w.issue(t)
	w.revoke(t, leaf, pki.KeyCompromise)
	w.publish(t)
	answer, body := w.ask(t, "GET", "/crl/TencentQQAuthCA.crl", nil, "Range", "bytes=0-9")
	require.Equal(t, http.StatusOK, answer.StatusCode, "ranges are left out")
	require.Equal(t, "application/pkix-crl", answer.Header.Get("Content-Type"))
	require.Equal(t, "public, no-transform, max-age=60", answer.Header.Get("Cache-Control"))
	require.EqualValues(t, len(body), answer.ContentLength)
	list, err := x509.ParseRevocationList([]byte(body))
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(w.authority(t, leaf).Certificate()))
	require.Len(t, list.RevokedCertificateEntries, 1)
	tag := answer.Header.Get("ETag")
	require.Equal(t, `"`+list.Number.String()+`"`, tag)
	modified, err := http.ParseTime(answer.Header.Get("Last-Modified"))
	require.NoError(t, err)
	expires, err := http.ParseTime(answer.Header.Get("Expires"))
	require.NoError(t, err)
	require.True(t, expires.Before(list.NextUpdate))

	head, nothing := w.ask(t, "HEAD", "/crl/TencentQQAuthCA.crl", nil)
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, nothing)
	require.Equal(t, answer.ContentLength, head.ContentLength)
	for name, test := range map[string]struct {
		header []string
		same   bool
	}{
		"the tag":                      {[]string{"If-None-Match", tag}, true},
		"another tag":                  {[]string{"If-None-Match", `"1"`}, false},
		"the time":                     {[]string{"If-Modified-Since", modified.Format(http.TimeFormat)}, true},
		"a time before":                {[]string{"If-Modified-Since", modified.Add(-time.Second).Format(http.TimeFormat)}, false},
		"another tag, a time after it": {[]string{"If-None-Match", `"1"`, "If-Modified-Since", modified.Add(time.Hour).Format(http.TimeFormat)}, false},
		"no time":                      {[]string{"If-Modified-Since", "yesterday"}, false},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			answer, _ := w.ask(t, method, "/crl/TencentQQAuthCA.crl", nil, test.header...)
			require.Equal(t, test.same, answer.StatusCode == http.StatusNotModified, name)
			require.Equal(t, tag, answer.Header.Get("ETag"), name)
		}
	}
	for _, file := range []string{"Nobody.crl", "TencentQQAuthCA", "TencentQQAuthCA.crt", ".crl"} {
		answer, _ := w.ask(t, "GET", "/crl/"+file, nil)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, file)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	}
	refused, _ := w.ask(t, "POST", "/crl/TencentQQAuthCA.crl", nil)
	require.Equal(t, http.StatusMethodNotAllowed, refused.StatusCode)
}

// Where a certificate points for its revocation status, there it is.
func TestCertificatesPointToTheirStatus(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		w := newWorld(t, hierarchy)
		w.publish(t)
		leaf := w.issue(t)
		path, found := strings.CutPrefix(leaf.CRLDistributionPoints[0], "http://ca.example")
		require.True(t, found)
		answer, body := w.ask(t, "GET", path, nil)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		list, err := x509.ParseRevocationList([]byte(body))
		require.NoError(t, err)
		require.Equal(t, leaf.RawIssuer, list.RawIssuer)

		path, found = strings.CutPrefix(leaf.OCSPServer[0], "http://ca.example")
		require.True(t, found)
		question, err := ocsp.CreateRequest(leaf, w.authority(t, leaf).Certificate(), nil)
		require.NoError(t, err)
		_, body = w.ask(t, "POST", path, question, "Content-Type", "application/ocsp-request")
		read, err := ocsp.ParseResponse([]byte(body), w.authority(t, leaf).Certificate())
		require.NoError(t, err)
		require.Equal(t, ocsp.Good, read.Status)
	}
}

func TestOCSP(t *testing.T) {
	w := newWorld(t, ca.HierarchyDirect)
	leaf := w.issue(t)
	authority := w.authority(t, leaf).Certificate()
	question, err := ocsp.CreateRequest(leaf, authority, &ocsp.RequestOptions{Hash: crypto.SHA256})
	require.NoError(t, err)
	text := base64.StdEncoding.EncodeToString(question)
	path := "/ocsp/TencentQQAuthCA/" + url.PathEscape(text)
	status := func(body string) int {
		t.Helper()
		read, err := ocsp.ParseResponse([]byte(body), authority)
		require.NoError(t, err)
		return read.Status
	}

	answer, body := w.ask(t, "GET", path, nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "application/ocsp-response", answer.Header.Get("Content-Type"))
	require.Equal(t, "public, no-transform, max-age=60", answer.Header.Get("Cache-Control"))
	require.Equal(t, ocsp.Good, status(body))
	tag := answer.Header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{64}"$`, tag)
	require.NotEmpty(t, answer.Header.Get("Last-Modified"))
	require.NotEmpty(t, answer.Header.Get("Expires"))
	same, _ := w.ask(t, "GET", path, nil, "If-None-Match", tag)
	require.Equal(t, http.StatusNotModified, same.StatusCode)
	head, _ := w.ask(t, "HEAD", path, nil)
	require.Equal(t, answer.ContentLength, head.ContentLength)

	posted, body := w.ask(t, "POST", "/ocsp/TencentQQAuthCA", question, "Content-Type", "application/ocsp-request")
	require.Equal(t, "no-store", posted.Header.Get("Cache-Control"))
	require.Equal(t, ocsp.Good, status(body))

	w.revoke(t, leaf, pki.Superseded)
	answer, body = w.ask(t, "GET", path, nil, "If-None-Match", tag)
	require.Equal(t, http.StatusOK, answer.StatusCode, "what a client has is right no more")
	require.Equal(t, ocsp.Revoked, status(body))

	// The slashes and the padding as they come, and as others think they should be.
	for _, path := range []string{"/ocsp/TencentQQAuthCA/" + text, "/ocsp/TencentQQAuthCA/" + strings.TrimRight(text, "="), "/ocsp/TencentQQAuthCA/" + url.QueryEscape(text)} {
		answer, err := http.Get(w.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, ocsp.Revoked, status(string(body)), path)
	}
	// A question with many slashes.
	for range 30 {
		serial := pki.NewSerial()
		question, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial.Int()}, authority, nil)
		require.NoError(t, err)
		answer, err := http.Get(w.url + "/ocsp/TencentQQAuthCA/" + base64.StdEncoding.EncodeToString(question))
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, ocsp.Unknown, status(string(body)))
	}
}

func TestOCSPThatIsRefused(t *testing.T) {
	w := newWorld(t, ca.HierarchyIssuing)
	leaf := w.issue(t)
	question, err := ocsp.CreateRequest(leaf, w.authority(t, leaf).Certificate(), nil)
	require.NoError(t, err)
	refused := func(body string) ocsp.ResponseStatus {
		t.Helper()
		_, err := ocsp.ParseResponse([]byte(body), nil)
		var refused ocsp.ResponseError
		require.ErrorAs(t, err, &refused)
		return refused.Status
	}
	for name, malformed := range map[string]string{"nothing": "A", "no base64": "!!!", "no DER": "aGVsbG8", "a part": base64.RawURLEncoding.EncodeToString(question[:30])} {
		answer, body := w.ask(t, "GET", "/ocsp/TencentQQAuthCA/"+malformed, nil)
		require.Equal(t, http.StatusOK, answer.StatusCode, name)
		require.Equal(t, ocsp.Malformed, refused(body), name)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"), name)
	}
	_, body := w.ask(t, "POST", "/ocsp/TencentQQAuthCA", make([]byte, 100_000), "Content-Type", "application/ocsp-request")
	require.Equal(t, ocsp.Malformed, refused(body))
	answer, body := w.ask(t, "POST", "/ocsp/TencentQQAuthCA", question, "Content-Type", "application/ocsp-request")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, ocsp.Unauthorized, refused(body), "asked of the root about the issuing CA's")
	for _, method := range []string{"GET", "POST"} {
		path := "/ocsp/Nobody"
		if method == "GET" {
			path += "/MEIw"
		}
		answer, body := w.ask(t, method, path, question, "Content-Type", "application/ocsp-request")
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
		require.Contains(t, body, "address that stands in the certificate")
	}
	answer, _ = w.ask(t, "POST", "/ocsp/TencentQQAuthCA", make([]byte, 2<<20), "Content-Type", "application/ocsp-request")
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
	answer, _ = w.ask(t, "GET", "/ocsp/TencentQQAuthCA/x?a=%00", nil)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	answer, _ = w.ask(t, "GET", "/crl/TencentQQAuthCA.crl?a=%00", nil)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
}

// openssl and GnuTLS ask, in every way that they can, about a good, a revoked and an unknown certificate, in every hierarchy.
func TestRealOCSPClients(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			w := newWorld(t, hierarchy)
			good, bad := w.issue(t), w.issue(t)
			w.revoke(t, bad, pki.KeyCompromise)
			by := w.authority(t, good)
			folder := t.TempDir()
			file := func(name string, certificates ...*x509.Certificate) string {
				var text []byte
				for _, c := range certificates {
					text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
				}
				path := filepath.Join(folder, name)
				require.NoError(t, os.WriteFile(path, text, 0o600))
				return path
			}
			root, issuedBy := file("root.pem", by.Root()), file("issuer.pem", by.Certificate())
			trusted := file("trusted.pem", by.Certificate(), by.Root()) // GnuTLS takes the signer's issuer from here alone
			files := map[string]string{"good": file("good.pem", good), "revoked": file("bad.pem", bad)}
			door := w.url + "/ocsp/" + by.Name()

			for want, leaf := range files {
				for _, hash := range []string{"-sha1", "-sha256"} {
					for _, nonce := range []string{"-nonce", "-no_nonce"} {
						text := judge.Run(t, "openssl", "ocsp", "-issuer", issuedBy, "-CAfile", root, nonce, hash, "-cert", leaf, "-url", door)
						require.Contains(t, text, "Response verify OK")
						require.Contains(t, text, ": "+want+"\n")
						if want == "revoked" {
							require.Contains(t, text, "Reason: keyCompromise")
						}
					}
				}
				text := judge.Run(t, "ocsptool", "--ask="+door, "--load-issuer", issuedBy, "--load-cert", leaf, "--load-trust", trusted)
				require.Contains(t, text, "Verifying OCSP Response: Success")
				require.Contains(t, text, map[string]string{"good": "Certificate Status: good", "revoked": "Certificate Status: revoked"}[want])
			}
			// Both at once, and one that nobody issued.
			text := judge.Run(t, "openssl", "ocsp", "-issuer", issuedBy, "-CAfile", root, "-cert", files["good"], "-cert", files["revoked"],
				"-serial", "0x"+strconv.FormatInt(4711, 16), "-url", door)
			require.Contains(t, text, "good.pem: good")
			require.Contains(t, text, "bad.pem: revoked")
			require.Contains(t, text, "0x1267: unknown")

			// GET, as caches have it: openssl writes the request and reads the response.
			request, response := filepath.Join(folder, "request.der"), filepath.Join(folder, "response.der")
			judge.Run(t, "openssl", "ocsp", "-issuer", issuedBy, "-cert", files["revoked"], "-no_nonce", "-reqout", request)
			der, err := os.ReadFile(request)
			require.NoError(t, err)
			_, body := w.ask(t, "GET", "/ocsp/"+by.Name()+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(der)), nil)
			require.NoError(t, os.WriteFile(response, []byte(body), 0o600))
			text = judge.Run(t, "openssl", "ocsp", "-issuer", issuedBy, "-CAfile", root, "-cert", files["revoked"], "-no_nonce", "-respin", response)
			require.Contains(t, text, "Response verify OK")
			require.Contains(t, text, ": revoked")
		})
	}
}

// openssl verifies with the lists of the whole chain: the good pass, the revoked do not.
func TestOpensslVerifiesWithTheLists(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		w := newWorld(t, hierarchy)
		good, bad := w.issue(t), w.issue(t)
		w.revoke(t, bad, pki.Superseded)
		w.publish(t)
		by := w.authority(t, good)
		folder := t.TempDir()
		write := func(name, text string) string {
			path := filepath.Join(folder, name)
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			return path
		}
		var lists strings.Builder
		for _, i := range w.ca.Issuers() {
			_, body := w.ask(t, "GET", "/crl/"+i.Name()+".crl", nil)
			lists.WriteString(judge.RunInput(t, []byte(body), "openssl", "crl", "-inform", "DER"))
		}
		arguments := []string{"verify", "-x509_strict", "-crl_check_all", "-CRLfile", write("crls.pem", lists.String()),
			"-CAfile", write("root.pem", string(pki.EncodeCertificate(by.Root().Raw))), "-untrusted", write("issuer.pem", string(pki.EncodeCertificate(by.Certificate().Raw)))}
		_, err := judge.RunErr(t, "openssl", append(arguments, write("good.pem", string(pki.EncodeCertificate(good.Raw))))...)
		require.NoError(t, err)
		text, err := judge.RunErr(t, "openssl", append(arguments, write("bad.pem", string(pki.EncodeCertificate(bad.Raw))))...)
		require.Error(t, err)
		require.Contains(t, text, "certificate revoked")
	}
}
