package api_test

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// newCSR makes a key and a request for names.
func newCSR(t testing.TB, names ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func parse(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	certificates, err := pki.ParseCertificates([]byte(text))
	require.NoError(t, err)
	require.Len(t, certificates, 1)
	return certificates[0]
}

func TestIssue(t *testing.T) {
	for hierarchy, chain := range map[ca.Hierarchy]int{ca.HierarchyDirect: 0, ca.HierarchyIssuing: 1, ca.HierarchySeparate: 0} {
		t.Run(string(hierarchy), func(t *testing.T) {
			w := newWorld(t, func(o *worldOptions) { o.hierarchy = hierarchy })
			days := 30
			cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domains: []string{"WWW.example.com.", "*.example.com"}, KeyType: "ecdsa-p384", ValidityDays: &days})
			require.NoError(t, err)

			leaf, root := parse(t, cert.Certificate), parse(t, cert.CACertificate)
			require.Equal(t, []string{"www.example.com", "*.example.com"}, leaf.DNSNames)
			require.Equal(t, leaf.DNSNames, cert.Domains)
			require.Equal(t, fmt.Sprintf("%034x", leaf.SerialNumber), cert.Serial)
			require.Equal(t, "valid", cert.Status)
			require.Equal(t, "server", cert.Profile)
			require.Equal(t, "demo", cert.App)
			require.Equal(t, "developer", cert.RequestedBy)
			require.Equal(t, "ecdsa-p384", cert.KeyType)
			require.Equal(t, 30*24*time.Hour-time.Second, cert.NotAfter.Sub(cert.NotBefore))
			require.True(t, cert.CreatedAt.Equal(start))
			require.Equal(t, chain, strings.Count(cert.Chain, "BEGIN CERTIFICATE"))

			roots, between := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(root)
			between.AppendCertsFromPEM([]byte(cert.Chain))
			_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "a.example.com", CurrentTime: start})
			require.NoError(t, err)
			key, err := pki.ParseKey([]byte(cert.PrivateKey))
			require.NoError(t, err)
			require.Equal(t, leaf.PublicKey, key.Public())

			again, err := w.as("developer").Certificate(t.Context(), cert.Serial)
			require.NoError(t, err)
			require.Empty(t, again.PrivateKey, "a key is shown once")
			again.PrivateKey = cert.PrivateKey
			require.Equal(t, cert, again)
		})
	}
}

func TestCreationIsAnnounced(t *testing.T) {
	w := newWorld(t)
	got := w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com"}`)
	require.Equal(t, http.StatusCreated, got.StatusCode)
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.Empty(t, got.Header.Get("Idempotent-Replayed"))
	place := got.Header.Get("Location")
	require.Equal(t, http.StatusOK, w.ask("developer", "GET", place, "").StatusCode)

	head := w.ask("developer", "HEAD", place, "")
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, head.body)
}

func TestRepresentations(t *testing.T) {
	w := newWorld(t, func(o *worldOptions) { o.hierarchy = ca.HierarchyIssuing })
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	place := "/v1/certificates/" + cert.Serial
	leaf, _ := pem.Decode([]byte(cert.Certificate))
	for accept, want := range map[string]string{
		api.PEM:   cert.Certificate,
		api.Chain: cert.Certificate + cert.Chain,
		api.DER:   string(leaf.Bytes),
		"text/html, application/*;q=0.5, application/pkix-cert;q=0.9":         string(leaf.Bytes),
		"application/json;q=0, application/x-pem-file;q=0.1, text/plain;q=xx": cert.Certificate,
	} {
		got := w.ask("auditor", "GET", place, "", "Accept", accept)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Equal(t, want, string(got.body), accept)
		require.Contains(t, got.Header.Get("Content-Disposition"), "filename=www.example.com.")
	}
	for _, accept := range []string{"", "*/*", "application/*", "application/json", "text/html, */*;q=0.1", "application/json, " + api.PEM} {
		require.Equal(t, api.JSON, w.ask("auditor", "GET", place, "", "Accept", accept).Header.Get("Content-Type"), accept)
	}
	for _, accept := range []string{"text/html", "application/json;q=0", "json", "application/zip"} {
		w.ask("auditor", "GET", place, "", "Accept", accept).problem(t, web.KindNotAcceptable)
	}
	w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com"}`, "Accept", "text/html").problem(t, web.KindNotAcceptable)
}

func unzip(t testing.TB, archive []byte) map[string]string {
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

func TestHandOver(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			w := newWorld(t, func(o *worldOptions) { o.hierarchy = hierarchy })
			dev := w.as("developer")
			archive, err := dev.IssueAs(t.Context(), api.Zip, api.IssueRequest{Domains: []string{"203.0.113.7", "www.example.com"}})
			require.NoError(t, err)
			files := unzip(t, archive)
			require.Contains(t, files, "www.example.com.crt")
			require.Contains(t, files, "www.example.com.key")
			require.Contains(t, files, "TencentQQAuthCA.crt")
			require.Contains(t, files["apache/www.example.com.conf"], "callback.platform.internal")

			archive, err = dev.IssueAs(t.Context(), api.Zip, api.IssueRequest{CSR: newCSR(t, "www.example.com")})
			require.NoError(t, err)
			files = unzip(t, archive)
			require.Contains(t, files, "www.example.com.crt")
			require.NotContains(t, files, "www.example.com.key", "the key of a CSR is with its owner")

			platform, err := w.as("operator").Issue(t.Context(), api.IssueRequest{Profile: "client", Domain: "callback.platform.internal"})
			require.NoError(t, err)
			require.Empty(t, platform.App)
			_, err = w.as("operator").RenewAs(t.Context(), platform.Serial, api.Zip, api.RenewRequest{})
			refusal(t, err, web.KindNotAcceptable)
			before := w.recorded()
			_, err = w.as("operator").IssueAs(t.Context(), api.Zip, api.IssueRequest{Profile: "client", Domain: "callback.platform.internal"})
			refusal(t, err, web.KindNotAcceptable)
			require.Equal(t, before, w.recorded())
		})
	}
}

func TestKeyStore(t *testing.T) {
	judge.Need(t, "openssl")
	w := newWorld(t)
	dev := w.as("developer")
	store, err := dev.IssueAs(t.Context(), api.PKCS12, api.IssueRequest{Domain: "www.example.com", PKCS12Password: "p4ss word!"})
	require.NoError(t, err)
	text := judge.RunInput(t, store, "openssl", "pkcs12", "-passin", "pass:p4ss word!", "-noenc")
	require.Contains(t, text, "BEGIN PRIVATE KEY")
	require.Contains(t, text, "CN = www.example.com")
	require.NotContains(t, w.log.String(), "p4ss")
	require.NotContains(t, w.log.String(), "PRIVATE KEY")

	page, err := dev.Certificates(t.Context(), nil)
	require.NoError(t, err)
	renewed, err := dev.RenewAs(t.Context(), page.Items[0].Serial, api.PKCS12, api.RenewRequest{PKCS12Password: "secret"})
	require.NoError(t, err)
	judge.RunInput(t, renewed, "openssl", "pkcs12", "-passin", "pass:secret", "-noenc")

	before := w.recorded()
	for password, csr := range map[string]string{"": "", "12345": "", "pässword": "", "line\nbreak": "", "good password": newCSR(t, "www.example.com")} {
		_, err := dev.IssueAs(t.Context(), api.PKCS12, api.IssueRequest{Domain: "www.example.com", PKCS12Password: password, CSR: csr})
		p := refusal(t, err, ca.KindInvalid)
		require.NotContains(t, p.Detail, "good password")
	}
	_, err = dev.Issue(t.Context(), api.IssueRequest{Domain: "www.example.com", PKCS12Password: "p4ss word!"})
	require.Equal(t, []api.Fault{{Pointer: "/pkcs12_password", Detail: refusal(t, err, ca.KindInvalid).Detail}}, refusal(t, err, ca.KindInvalid).Errors)
	require.Equal(t, before, w.recorded(), "what cannot be handed over is not issued")
}

func TestIdempotency(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		const body = `{"domain":"www.example.com"}`
		first := w.ask("developer", "POST", "/v1/certificates", body, "Idempotency-Key", "once")
		var made, again api.Certificate
		first.read(t, http.StatusCreated, &made)
		require.NotEmpty(t, made.PrivateKey)

		second := w.ask("developer", "POST", "/v1/certificates", body, "Idempotency-Key", "once")
		second.read(t, http.StatusOK, &again)
		require.Equal(t, "true", second.Header.Get("Idempotent-Replayed"))
		require.Empty(t, second.Header.Get("Location"))
		require.Empty(t, again.PrivateKey)
		require.Equal(t, made.Certificate, again.Certificate)

		archive := w.ask("developer", "POST", "/v1/certificates", body, "Idempotency-Key", "once", "Accept", api.Zip)
		require.Equal(t, http.StatusOK, archive.StatusCode)
		require.Equal(t, "true", archive.Header.Get("Idempotent-Replayed"))
		require.NotContains(t, unzip(t, archive.body), "www.example.com.key")

		w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com","pkcs12_password":"password"}`, "Idempotency-Key", "once", "Accept", api.PKCS12).
			problem(t, ca.KindConflict)
		w.ask("developer", "POST", "/v1/certificates", `{"domain":"other.example.com"}`, "Idempotency-Key", "once").problem(t, ca.KindKeyReused)
		w.ask("stranger", "POST", "/v1/certificates", body, "Idempotency-Key", "once").read(t, http.StatusCreated, new(api.Certificate))
		for _, bad := range []string{"", "two words", strings.Repeat("a", 256), "ü"} {
			p := w.ask("developer", "POST", "/v1/certificates", body, "Idempotency-Key", bad).problem(t, ca.KindInvalid)
			require.Equal(t, "Idempotency-Key", p.Errors[0].Parameter)
		}

		place := "/v1/certificates/" + made.Serial
		renew := w.ask("developer", "POST", place+"/renew", "", "Idempotency-Key", "renewal")
		renew.read(t, http.StatusCreated, &again)
		require.Equal(t, made.Serial, again.Replaces)
		replayed := w.ask("developer", "POST", place+"/renew", "", "Idempotency-Key", "renewal", "Accept", api.Zip)
		require.Equal(t, http.StatusOK, replayed.StatusCode)
		require.Equal(t, http.StatusCreated, w.ask("developer", "POST", place+"/renew", "", "Accept", api.Zip).StatusCode)
		w.ask("developer", "POST", place+"/renew", "", "Idempotency-Key", "renewal").read(t, http.StatusOK, &again)
		w.ask("developer", "POST", place+"/renew", `{"pkcs12_password":"password"}`, "Idempotency-Key", "renewal", "Accept", api.PKCS12).problem(t, ca.KindConflict)
	})
}

// TestOneKeyManyRequests sends the same request many times at once: one certificate comes of it, and one answer has the key.
func TestOneKeyManyRequests(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		const many = 50
		var (
			group   sync.WaitGroup
			mu      sync.Mutex
			answers = make(map[int]int)
			serials = make(map[string]bool)
			keys    int
		)
		for range many {
			group.Go(func() {
				for {
					got := w.ask("developer", "POST", "/v1/certificates", `{"domain":"www.example.com"}`, "Idempotency-Key", "double-click")
					if got.StatusCode == http.StatusConflict {
						p := got.problem(t, ca.KindInProgress)
						require.NotEmpty(t, p.Detail)
						require.Equal(t, "1", got.Header.Get("Retry-After"))
						time.Sleep(5 * time.Millisecond) // sooner than told, so that the test is quick
						continue
					}
					var cert api.Certificate
					got.read(t, got.StatusCode, &cert)
					mu.Lock()
					defer mu.Unlock()
					answers[got.StatusCode]++
					serials[cert.Serial] = true
					if cert.PrivateKey != "" {
						keys++
					}
					return
				}
			})
		}
		group.Wait()
		require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusOK: many - 1}, answers)
		require.Len(t, serials, 1)
		require.Equal(t, 1, keys)
		require.Equal(t, 1, w.recorded()["certificates"])
	})
}

// TestPending shows a certificate whose issuance stopped half-way.
func TestPending(t *testing.T) {
	w := newWorld(t)
	w.store.breaks("CommitSignature", io.ErrUnexpectedEOF)
	_, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com", IdempotencyKey: "half"})
	p := refusal(t, err, web.KindInternal)
	require.NotContains(t, p.Detail, "EOF")
	require.Contains(t, w.log.String(), p.RequestID)
	w.store.breaks("", nil)

	_, err = w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com", IdempotencyKey: "half"})
	require.Equal(t, time.Second, refusal(t, err, ca.KindInProgress).RetryAfter)
	w.pass(time.Minute)
	_, err = w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com", IdempotencyKey: "half"})
	require.Contains(t, refusal(t, err, ca.KindConflict).Detail, "revoke it", "it does not come to its end any more")

	page, err := w.as("developer").Certificates(t.Context(), api.Filter{"status": "pending"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, "pending", page.Items[0].Status)
	serial := page.Items[0].Serial
	cert, err := w.as("developer").Certificate(t.Context(), serial)
	require.NoError(t, err)
	require.Empty(t, cert.Certificate)
	require.NotEmpty(t, cert.CACertificate)
	_, err = w.as("developer").CertificateAs(t.Context(), serial, api.PEM)
	refusal(t, err, ca.KindConflict)

	cert, err = w.as("developer").Revoke(t.Context(), serial, "superseded")
	require.NoError(t, err)
	require.Equal(t, "revoked", cert.Status)
	_, err = w.as("developer").IssueAs(t.Context(), api.Zip, api.IssueRequest{Domain: "www.example.com", IdempotencyKey: "half"})
	refusal(t, err, ca.KindConflict)
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	dev := w.as("developer")
	for _, reason := range pki.LeafReasons() {
		cert, err := dev.Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
		require.NoError(t, err)
		w.pass(time.Minute)
		who := dev
		if reason == pki.CertificateHold {
			who = w.as("operator")
		}
		revoked, err := who.Revoke(t.Context(), cert.Serial, reason.String())
		require.NoError(t, err)
		require.Equal(t, "revoked", revoked.Status)
		require.Equal(t, reason.String(), revoked.RevocationReason)
		require.True(t, revoked.RevokedAt.Equal(w.clock()))

		again, err := who.Revoke(t.Context(), cert.Serial, reason.String())
		require.NoError(t, err)
		require.Equal(t, revoked, again)
		if reason == pki.KeyCompromise {
			_, err = dev.Revoke(t.Context(), cert.Serial, "superseded")
			refusal(t, err, ca.KindRevoked)
			continue
		}
		raised, err := dev.Revoke(t.Context(), cert.Serial, "keyCompromise")
		require.NoError(t, err)
		require.Equal(t, "keyCompromise", raised.RevocationReason)
		require.Equal(t, revoked.RevokedAt, raised.RevokedAt)
	}

	cert, err := dev.Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	for _, reason := range []string{"cACompromise", "removeFromCRL", "aACompromise", "because"} {
		_, err := dev.Revoke(t.Context(), cert.Serial, reason)
		p := refusal(t, err, ca.KindBadReason)
		require.Contains(t, p.Detail, "superseded", "the choice is told")
	}
	place := "/v1/certificates/" + cert.Serial + "/revoke"
	var revoked api.Certificate
	w.ask("operator", "POST", place, "").read(t, http.StatusOK, &revoked)
	require.Equal(t, "unspecified", revoked.RevocationReason)

	renewed, err := dev.Renew(t.Context(), cert.Serial, api.RenewRequest{})
	require.NoError(t, err, "a revoked one may be renewed")
	require.Equal(t, cert.Domains, renewed.Domains)
	require.Equal(t, cert.Serial, renewed.Replaces)
}

func TestRenewPointsAtWhatItsBodyHas(t *testing.T) {
	w := newWorld(t)
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	list := []string{"else.example.com"}
	policy := "list"
	_, err = w.as("operator").ChangeApp(t.Context(), "demo", api.AppChange{Policy: &policy, Allowed: &list})
	require.NoError(t, err)

	_, err = w.as("developer").Renew(t.Context(), cert.Serial, api.RenewRequest{})
	p := refusal(t, err, ca.KindRejectedName)
	require.Empty(t, p.Errors[0].Pointer)
	require.Contains(t, p.Detail, "www.example.com")
	days := 5000
	_, err = w.as("operator").Renew(t.Context(), cert.Serial, api.RenewRequest{ValidityDays: &days})
	require.NotNil(t, err)
}

func TestRestingAuthority(t *testing.T) {
	w := newWorld(t, func(o *worldOptions) { o.resting = true })
	_, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	refusal(t, err, ca.KindUnavailable)
	profiles, err := w.as("developer").Profiles(t.Context())
	require.NoError(t, err)
	require.False(t, profiles[0].Ready)
}
