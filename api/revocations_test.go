package api_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

func TestRevokeBySearch(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		for i := range 30 {
			_, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: fmt.Sprintf("h%d.example.com", i)})
			require.NoError(t, err)
		}
		other, err := w.as("stranger").Issue(t.Context(), api.IssueRequest{Domain: "other.example.com"})
		require.NoError(t, err)
		op := w.as("operator")
		req := api.RevocationRequest{Suffix: "example.com", App: "demo", Profile: "server", IssuedAfter: "2020-01-01", IssuedBefore: "2030-01-01T00:00:00Z", Reason: "superseded", DryRun: true}
		counted, err := op.RevokeFound(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, 30, counted.Matched)
		require.Len(t, counted.First, 20)
		require.Empty(t, counted.Next)
		page, err := op.Certificates(t.Context(), api.Filter{"status": "revoked"})
		require.NoError(t, err)
		require.Empty(t, page.Items)

		req.DryRun = false
		_, err = op.RevokeFound(t.Context(), req)
		require.Equal(t, "/confirm", refusal(t, err, ca.KindInvalid).Errors[0].Pointer)
		req.Confirm = counted.Confirm
		done, err := op.RevokeFound(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, &api.Revocations{Matched: 30, Revoked: 30}, done)
		again, err := op.RevokeFound(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, &api.Revocations{Matched: 30, RevokedBefore: 30}, again)
		req.Reason = "keyCompromise"
		_, err = op.RevokeFound(t.Context(), req)
		refusal(t, err, ca.KindConflict)

		// A developer's search ends at the own app.
		mine, err := w.as("developer").RevokeFound(t.Context(), api.RevocationRequest{Serials: []string{other.Serial, counted.First[0].Serial}, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, 1, mine.Matched)
		require.Equal(t, []string{other.Serial}, mine.Missing)
		_, err = w.as("developer").RevokeFound(t.Context(), api.RevocationRequest{App: "other", DryRun: true})
		refusal(t, err, ca.KindNotFound)
	})
}

func TestRevokeBySearchTellsAllThatIsWrong(t *testing.T) {
	w := newWorld(t)
	_, err := w.as("operator").RevokeFound(t.Context(), api.RevocationRequest{
		Suffix: "*.example.com", SPKISHA256: "00", IssuedAfter: "yesterday", IssuedBefore: "x", Serials: []string{"1"}, DryRun: true, Confirm: "x"})
	p := refusal(t, err, ca.KindInvalid)
	var places []string
	for _, f := range p.Errors {
		places = append(places, f.Pointer)
	}
	require.Equal(t, []string{"/suffix", "/spki_sha256", "/issued_after", "/issued_before", "/serials/0", "/confirm"}, places)
	_, err = w.as("operator").RevokeFound(t.Context(), api.RevocationRequest{DryRun: true})
	refusal(t, err, ca.KindInvalid)
	_, err = w.as("operator").RevokeFound(t.Context(), api.RevocationRequest{Suffix: "example.com", Reason: "because", DryRun: true})
	refusal(t, err, ca.KindBadReason)
}

func TestHold(t *testing.T) {
	w := newWorld(t)
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	_, err = w.as("developer").Revoke(t.Context(), cert.Serial, "certificateHold")
	refusal(t, err, ca.KindForbidden)
	held, err := w.as("operator").Revoke(t.Context(), cert.Serial, "certificateHold")
	require.NoError(t, err)
	require.Equal(t, "revoked", held.Status)
	free, err := w.as("operator").Release(t.Context(), cert.Serial)
	require.NoError(t, err)
	require.Equal(t, "valid", free.Status)
	require.Nil(t, free.RevokedAt)
	_, err = w.as("developer").Revoke(t.Context(), cert.Serial, "superseded")
	require.NoError(t, err)
	_, err = w.as("operator").Release(t.Context(), cert.Serial)
	refusal(t, err, ca.KindConflict)
	_, err = w.as("operator").Release(t.Context(), pki.NewSerial().String())
	refusal(t, err, ca.KindNotFound)
}

// proof is one of holding a certificate's key, as base64.
func proof(t *testing.T, serial, privateKey string) string {
	t.Helper()
	key, err := pki.ParseKey([]byte(privateKey))
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "revoke " + serial}}, key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

func TestRevokeByKey(t *testing.T) {
	w := newWorld(t)
	issue := func() *api.Certificate {
		cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
		require.NoError(t, err)
		return cert
	}
	cert, other := issue(), issue()
	nobody := w.as("nobody")
	refusal(t, nobody.RevokeByKey(t.Context(), cert.Serial, "x"), ca.KindBadCSR)
	refusal(t, nobody.RevokeByKey(t.Context(), cert.Serial, proof(t, other.Serial, cert.PrivateKey)), ca.KindBadCSR)
	refusal(t, nobody.RevokeByKey(t.Context(), cert.Serial, proof(t, cert.Serial, other.PrivateKey)), ca.KindBadKey)
	none := pki.NewSerial().String()
	refusal(t, nobody.RevokeByKey(t.Context(), none, proof(t, none, other.PrivateKey)), ca.KindNotFound)
	refusal(t, nobody.RevokeByKey(t.Context(), cert.Serial, ""), ca.KindUnauthenticated)
	good := proof(t, cert.Serial, cert.PrivateKey)
	refusal(t, w.as("developer").RevokeByKey(t.Context(), cert.Serial, good), ca.KindInvalid)
	place := "/v1/certificates/" + cert.Serial + "/revoke"
	w.ask("nobody", "POST", place, `{"proof":"`+good+`","reason":"superseded"}`).problem(t, ca.KindBadReason)
	w.ask("nobody", "POST", place, `{"proof":"`+good+`","reason":"because"}`).problem(t, ca.KindBadReason)
	w.ask("nobody", "POST", place, `{`).problem(t, ca.KindMalformed)
	w.ask("nobody", "POST", place+"?proof=1", "").problem(t, ca.KindInvalid)
	w.ask("nobody", "POST", "/v1/certificates/1/revoke", `{"proof":"x"}`).problem(t, ca.KindNotFound)
	still, err := w.as("developer").Certificate(t.Context(), cert.Serial)
	require.NoError(t, err)
	require.Equal(t, "valid", still.Status)

	for range 2 { // the second time changes nothing
		require.NoError(t, nobody.RevokeByKey(t.Context(), cert.Serial, good))
		gone, err := w.as("developer").Certificate(t.Context(), cert.Serial)
		require.NoError(t, err)
		require.Equal(t, "keyCompromise", gone.RevocationReason)
	}
	der, err := base64.StdEncoding.DecodeString(proof(t, other.Serial, other.PrivateKey))
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	require.NoError(t, nobody.RevokeByKey(t.Context(), other.Serial, text))

	_, err = w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com", CSR: csrFor(t, cert.PrivateKey)})
	refusal(t, err, ca.KindBadKey)
}

func csrFor(t *testing.T, privateKey string) string {
	t.Helper()
	key, err := pki.ParseKey([]byte(privateKey))
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"www.example.com"}}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Whoever guesses at proofs is stopped, like whoever guesses at tokens.
func TestProofsAreLimited(t *testing.T) {
	w := newWorld(t, func(o *worldOptions) { o.limits.Failures = web.Rate{PerSecond: 1, Burst: 3} })
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	good := proof(t, cert.Serial, cert.PrivateKey)
	for range 5 {
		require.NoError(t, w.as("nobody").RevokeByKey(t.Context(), cert.Serial, good), "good ones do not count")
	}
	for range 3 {
		refusal(t, w.as("nobody").RevokeByKey(t.Context(), cert.Serial, "x"), ca.KindBadCSR)
	}
	refusal(t, w.as("nobody").RevokeByKey(t.Context(), cert.Serial, good), ca.KindRateLimited)
	w.pass(time.Second)
	require.Equal(t, http.StatusNoContent, w.ask("nobody", "POST", "/v1/certificates/"+cert.Serial+"/revoke", `{"proof":"`+good+`"}`).StatusCode)
}
