package api_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/web"
)

// refused posts a request for a certificate that must be refused, and sees that nothing was recorded.
func (w *world) refused(body string, kind ca.Kind, pointer string) api.Problem {
	w.t.Helper()
	before := w.recorded()
	p := w.ask("developer", "POST", "/v1/certificates", body).problem(w.t, kind)
	require.NotEmpty(w.t, p.Detail)
	if pointer != "" {
		require.NotEmpty(w.t, p.Errors, "%s", body)
		require.Equal(w.t, pointer, p.Errors[0].Pointer, "%s", body)
	}
	require.Equal(w.t, before, w.recorded(), "%s", body)
	return p
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestBadNames(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		for _, name := range []string{
			"", " ", strings.Repeat("a.", 126) + "aa", strings.Repeat("a", 64) + ".example.com", "_", "a_b.example.com", "..", ".example.com",
			"a..example.com", "*.*.example.com", "a.*.example.com", "w*.example.com", "*.com", "*", "com", "co.uk", "localhost", "db", "-a.example.com", "a-.example.com",
			"https://www.example.com", "www.example.com/", "www.example.com:443", "user@example.com", "раураl.example", "www.example.com\n",
			"example.com\" SSLVerifyClient none", "example.com;", "$(id).example.com", "example.com\x00", "www.example.com ", "www.internal", "printer.local",
			"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "fe80::1", "fd00::1", "ff02::1", "203.0.113.7/32",
			"[2001:db8::1]", "1.2.3", "0x7f.1", "2130706433", "::ffff:127.0.0.1", "xn--a.example", "www.example.com..",
		} {
			kind := ca.KindRejectedName
			if strings.Contains(name, "\x00") {
				kind = ca.KindMalformed
			}
			if name == "" {
				kind = ca.KindInvalid
			}
			pointer := "/domain"
			if name == "" {
				pointer = "/domains" // no name at all: told where several would stand
			}
			w.refused(toJSON(t, map[string]any{"domain": name}), kind, pointer)
		}
		w.refused(`{}`, ca.KindInvalid, "/domains")
		w.refused(`{"domains":[]}`, ca.KindInvalid, "/domains")
		w.refused(`{"domains":[""]}`, ca.KindRejectedName, "/domains/0")
		w.refused(`{"domain":"a.example.com","domains":["a.example.com"]}`, ca.KindInvalid, "/domain")

		// One bad name, in every place.
		for i := range 10 {
			domains := make([]string, 10)
			for j := range domains {
				domains[j] = fmt.Sprintf("host%d.example.com", j)
			}
			domains[i] = "localhost"
			w.refused(toJSON(t, map[string]any{"domains": domains}), ca.KindRejectedName, fmt.Sprintf("/domains/%d", i))
		}
		p := w.refused(`{"domains":["localhost","www.example.com","*.com"]}`, ca.KindRejectedName, "/domains/0")
		require.Len(t, p.Errors, 2, "all faults at once")

		many := make([]string, 101)
		for i := range many {
			many[i] = fmt.Sprintf("host%d.example.com", i)
		}
		w.refused(toJSON(t, map[string]any{"domains": many}), ca.KindRejectedName, "/domains")
		w.refused(toJSON(t, map[string]any{"domains": make([]string, 2001)}), ca.KindInvalid, "/domains")
		w.refused(toJSON(t, map[string]any{"domain": strings.Repeat("a", 1025)}), ca.KindInvalid, "/domain")
	})
}

func TestNamesAreNormalized(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]string{
		"WWW.Example.COM": "www.example.com", "www.example.com.": "www.example.com", "münchen.example": "xn--mnchen-3ya.example",
		"203.0.113.7": "203.0.113.7", "2001:DB8:0::7": "2001:db8::7",
	} {
		cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: name})
		require.NoError(t, err, name)
		require.Equal(t, []string{want}, cert.Domains)
	}
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domains: []string{"a.example.com", "A.example.com.", "b.example.com"}})
	require.NoError(t, err)
	require.Equal(t, []string{"a.example.com", "b.example.com"}, cert.Domains, "duplicates are merged")
}

// opensslCSR makes a CSR that Go would not make.
func opensslCSR(t testing.TB, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "csr.pem")
	judge.Run(t, "openssl", append([]string{
		"req", "-new", "-noenc", "-subj", "/CN=www.example.com", "-keyout", filepath.Join(t.TempDir(), "key.pem"), "-out", file,
	}, args...)...)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func TestBadCSRs(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	good := newCSR(t, "www.example.com")
	block, _ := pem.Decode([]byte(good))
	broken := append([]byte(nil), block.Bytes...)
	broken[len(broken)-1] ^= 1
	signedBy := func(key crypto.Signer) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"www.example.com"}}, key)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	for name, c := range map[string]struct {
		csr  string
		kind ca.Kind
	}{
		"text":            {"please", ca.KindBadCSR},
		"DER":             {string(block.Bytes), ca.KindBadCSR},
		"a certificate":   {strings.ReplaceAll(good, "CERTIFICATE REQUEST", "CERTIFICATE"), ca.KindBadCSR},
		"cut off":         {good[:len(good)/2], ca.KindBadCSR},
		"wrong signature": {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: broken})), ca.KindBadCSR},
		"RSA-1024":        {opensslCSR(t, "-newkey", "rsa:1024"), ""},
		"RSA exponent 3":  {opensslCSR(t, "-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"), ""},
		"P-224":           {opensslCSR(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"), ""},
		"Ed448":           {opensslCSR(t, "-newkey", "ed448"), ""},
		"Ed25519":         {opensslCSR(t, "-newkey", "ed25519"), ca.KindBadKey},
		"the CA's key":    {signedBy(w.keys["TencentQQAuthCA"]), ca.KindBadKey},
		"further names":   {newCSR(t, "www.example.com", "more.example.com"), ca.KindBadCSR},
		"a mail address":  {opensslCSR(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-addext", "subjectAltName=email:a@example.com"), ca.KindBadCSR},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.recorded()
			got := w.ask("developer", "POST", "/v1/certificates", toJSON(t, map[string]any{"domain": "www.example.com", "csr": c.csr}))
			if c.kind == "" { // whether a bad key makes a bad CSR is the parser's to say
				c.kind = ca.KindBadCSR
				if strings.Contains(string(got.body), string(ca.KindBadKey)) {
					c.kind = ca.KindBadKey
				}
			}
			if c.csr == string(block.Bytes) && got.StatusCode == http.StatusBadRequest {
				got.problem(t, ca.KindMalformed)
				return
			}
			p := got.problem(t, c.kind)
			require.Equal(t, "/csr", p.Errors[0].Pointer)
			require.Equal(t, before, w.recorded())
		})
	}
	w.refused(toJSON(t, map[string]any{"csr": good, "key_type": "rsa-2048"}), ca.KindInvalid, "/key_type")
	w.refused(toJSON(t, map[string]any{"csr": strings.Repeat("a", 65537)}), ca.KindInvalid, "/csr")

	// What a CSR asks for beyond its names is left out, and told by the event.
	greedy := opensslCSR(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-addext", "subjectAltName=DNS:www.example.com",
		"-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "1.2.3.4=ASN1:UTF8String:x")
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{CSR: greedy})
	require.NoError(t, err)
	require.Empty(t, cert.PrivateKey)
	leaf := parse(t, cert.Certificate)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, leaf.ExtKeyUsage)
	require.False(t, leaf.IsCA)
	page, err := w.as("auditor").Events(t.Context(), api.Filter{"object": cert.Serial})
	require.NoError(t, err)
	require.Contains(t, page.Items[0].Detail["ignored"], "1.2.3.4")
}

func TestBadValidity(t *testing.T) {
	w := newWorld(t)
	for _, days := range []string{"0", "-1", "398", "100000"} {
		w.refused(`{"domain":"www.example.com","validity_days":`+days+`}`, ca.KindInvalid, "/validity_days")
	}
	for _, days := range []string{`"90"`, "1.5", "1e400", "99999999999999999999", "true", "[]", "null"} {
		w.refused(`{"domain":"www.example.com","validity_days":`+days+`}`, ca.KindMalformed, "/validity_days")
	}
	// Near the end of the root's life.
	w.pass(parse(t, string(w.rootPEM())).NotAfter.Sub(start) - 100*24*time.Hour)
	w.refused(`{"domain":"www.example.com","validity_days":101}`, ca.KindInvalid, "")
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	require.False(t, cert.NotAfter.After(parse(t, cert.CACertificate).NotAfter))
}

func TestBadFields(t *testing.T) {
	w := newWorld(t)
	for body, pointer := range map[string]string{
		`{"domian":"www.example.com"}`:                            "/domian",
		`{"Domain":"www.example.com"}`:                            "/Domain",
		`{"domain":7}`:                                            "/domain",
		`{"domain":["www.example.com"]}`:                          "/domain",
		`{"domain":null}`:                                         "/domain",
		`{"domains":"www.example.com"}`:                           "/domains",
		`{"domains":["www.example.com",7]}`:                       "/domains/1",
		`{"domains":["www.example.com",null]}`:                    "/domains/1",
		`{"domains":{"0":"www.example.com"}}`:                     "/domains",
		`{"domain":"a.example.com","domain":"b.example.com"}`:     "/domain",
		`{"a/b~c":1}`:                                             "/a~1b~0c",
		`{"domain":"www.example.com","private_key":"x"}`:          "/private_key",
		`{"domain":"www.example.com","app":"de\u0000mo"}`:         "/app",
		`{"domain":"www.example.com","not_after":"2030-01-01"}`:   "/not_after",
		`{"domain":"www.example.com","extensions":{"1.2.3":"x"}}`: "/extensions",
	} {
		w.refused(body, ca.KindMalformed, pointer)
	}
	for _, body := range []string{
		`{"domain":"www.example.com"} trailing`, `{"domain":"www.example.com"}{}`, `{"domain":"www.example.com"`, `{`, `[]`, `"www.example.com"`, `null`, `7`,
		`{domain:"www.example.com"}`, `{"domain":"www.example.com",}`, "\xef\xbb\xbf{}", "{\"domain\":\"\xff\"}", ` `, strings.Repeat("[", 100_000),
		`{"domain":` + strings.Repeat("[", 100_000),
	} {
		w.refused(body, ca.KindMalformed, "")
	}
	for body, pointer := range map[string]string{
		`{"domain":"www.example.com","profile":"platform"}`:                         "/profile",
		`{"domain":"www.example.com","key_type":"rsa-1024"}`:                        "/key_type",
		`{"domain":"www.example.com","key_type":"` + strings.Repeat("a", 65) + `"}`: "/key_type",
	} {
		w.refused(body, ca.KindInvalid, pointer)
	}
	w.refused(`{"domain":"www.example.com","key_type":"ed25519"}`, ca.KindBadKey, "/key_type")
	w.refused(`{"domain":"www.example.com","profile":"client"}`, ca.KindForbidden, "")
	w.refused(`{"domain":"www.example.com","app":"other"}`, ca.KindNotFound, "")
	for body, pointer := range map[string]string{
		`{"domain":"www.example.com"}`:                                            "/app",
		`{"domain":"www.example.com","app":"nobody"}`:                             "/app",
		`{"domain":"callback.platform.internal","profile":"client","app":"demo"}`: "/app",
	} {
		p := w.ask("operator", "POST", "/v1/certificates", body).problem(t, ca.KindInvalid)
		require.Equal(t, pointer, p.Errors[0].Pointer)
	}
	require.Zero(t, w.recorded()["certificates"])
	p := w.refused(`{"domian":"a","domains":7,"csr":false}`, ca.KindMalformed, "/domian")
	require.Len(t, p.Errors, 3, "all faults at once")
	p = w.refused(`{`+strings.Repeat(`"x":1,`, 5000)+`"y":1}`, ca.KindMalformed, "/x")
	require.LessOrEqual(t, len(p.Errors), 20)
}

func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	w.refused(`{"csr":"`+strings.Repeat("a", 2<<20)+`"}`, web.KindTooLarge, "")
	for _, mediaType := range []string{"application/x-www-form-urlencoded", "text/plain", "", "application/xml", ";"} {
		w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com"}`, "Content-Type", mediaType).problem(t, web.KindMediaType)
	}
	w.ask("developer", "POST", "/v1/certificates", "").problem(t, ca.KindMalformed)
	require.Zero(t, w.recorded()["certificates"])
	require.Equal(t, http.StatusCreated, w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com"}`, "Content-Type", "application/json; charset=utf-8").StatusCode)
}

func TestBadTokens(t *testing.T) {
	w := newWorld(t)
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	before := w.recorded()
	for what, authorization := range map[string]string{
		"none": "", "another scheme": "Basic ZGVtbzpkZW1v", "another service's": "Bearer ghp_0123456789", "unknown": "Bearer imca_0123456789",
		"cut off": "Bearer " + w.security["developer"][:20], "empty": "Bearer ", "long": "Bearer imca_" + strings.Repeat("a", 10_000),
	} {
		got := w.ask("", "POST", "/v1/certificates", `{"domain":"www.example.com"}`, "Authorization", authorization)
		require.Contains(t, strings.ToLower(got.problem(t, ca.KindUnauthenticated).Detail), "token", what)
		require.Equal(t, `Bearer realm="imca"`, got.Header.Get("WWW-Authenticate"))
	}
	for _, path := range []string{"", "/revoke", "/renew"} {
		method := "POST"
		if path == "" {
			method = "GET"
		}
		w.ask("stranger", method, "/v1/certificates/"+cert.Serial+path, "").problem(t, ca.KindNotFound)
	}
	require.Equal(t, before, w.recorded())
	page, err := w.as("auditor").Events(t.Context(), api.Filter{"outcome": "refused", "limit": "1000"})
	require.NoError(t, err)
	require.Len(t, page.Items, 10, "each refusal is an event")
}

func TestBadApps(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		before := w.recorded()
		for body, pointer := range map[string]string{
			`{"id":"UPPER"}`: "/id", `{"id":"-a"}`: "/id", `{"id":"a b"}`: "/id", `{"id":"` + strings.Repeat("a", 65) + `"}`: "/id",
			`{"name":"two\nlines"}`: "/name", `{"policy":"some"}`: "/policy",
		} {
			require.Equal(t, pointer, w.ask("operator", "POST", "/v1/apps", body).problem(t, ca.KindInvalid).Errors[0].Pointer, body)
		}
		for _, entry := range []string{"", "..", "*.*.example.com", ".203.0.113.7", ".*.example.com", "https://example.com"} {
			p := w.ask("operator", "POST", "/v1/apps", toJSON(t, map[string]any{"allowed": []string{"example.com", entry}})).problem(t, ca.KindRejectedName)
			require.Equal(t, "/allowed/1", p.Errors[0].Pointer, entry)
		}
		entries := make([]string, 1001)
		for i := range entries {
			entries[i] = fmt.Sprintf("host%d.example.com", i)
		}
		require.Equal(t, "/allowed", w.ask("operator", "POST", "/v1/apps", toJSON(t, map[string]any{"allowed": entries})).problem(t, ca.KindInvalid).Errors[0].Pointer)
		w.ask("operator", "POST", "/v1/apps", "[]").problem(t, ca.KindMalformed)
		for _, id := range []string{"%00", "A", "a%2Fb", "%F0%9F%98%80", strings.Repeat("a", 65), "..%2f.."} {
			require.Equal(t, 4, w.ask("operator", "GET", "/v1/apps/"+id, "").StatusCode/100, id)
			require.Equal(t, 4, w.ask("operator", "DELETE", "/v1/tokens/"+id, "").StatusCode/100, id)
			require.Equal(t, 4, w.ask("operator", "GET", "/v1/certificates/"+id, "").StatusCode/100, id)
		}
		require.Equal(t, before, w.recorded())
	})
}
