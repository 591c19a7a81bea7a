package acme_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
)

// flattened is a signed request, to be spoiled.
type flattened struct {
	Protected string `json:"protected"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// spoil changes a signed request after it was signed.
func spoil(t *testing.T, body []byte, change func(f *flattened, header map[string]any)) []byte {
	t.Helper()
	var f flattened
	require.NoError(t, json.Unmarshal(body, &f))
	text, err := base64.RawURLEncoding.DecodeString(f.Protected)
	require.NoError(t, err)
	header := make(map[string]any)
	require.NoError(t, json.Unmarshal(text, &header))
	change(&f, header)
	if text, err = json.Marshal(header); err == nil && f.Protected != "" {
		f.Protected = base64.RawURLEncoding.EncodeToString(text)
	}
	body, err = json.Marshal(f)
	require.NoError(t, err)
	return body
}

// TestUnsignedRequests are those that are no signed requests of the account (RFC 8555, Section 6).
func TestUnsignedRequests(t *testing.T) {
	w := newWorld(t, options{})
	r, other := w.raw(), w.raw()
	const path = "/acme/new-order"
	order := orderOf([]string{"www.example.com"}, "")
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": encoded(strings.Repeat("x", 32)), "y": encoded(strings.Repeat("y", 32))}
	public, err := (&jose.JSONWebKey{Key: r.key.Public()}).MarshalJSON()
	require.NoError(t, err)
	var own map[string]any
	require.NoError(t, json.Unmarshal(public, &own))
	foreign := &raw{world: w, key: other.key, account: r.account}

	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"plain JSON":        {[]byte(order), "malformed"},
		"nothing":           {nil, "malformed"},
		"no JSON":           {[]byte("\x00"), "malformed"},
		"kid and jwk":       {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["jwk"] = own }), "malformed"},
		"neither":           {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { delete(h, "kid") }), "malformed"},
		"alg none":          {spoil(t, r.sign(path, order, nil), func(f *flattened, h map[string]any) { h["alg"], f.Signature = "none", "" }), "badSignatureAlgorithm"},
		"alg HS256":         {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["alg"] = "HS256" }), "badSignatureAlgorithm"},
		"alg RS512":         {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["alg"] = "RS512" }), "badSignatureAlgorithm"},
		"alg of another":    {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["alg"] = "RS256" }), "malformed"},
		"another payload":   {spoil(t, r.sign(path, order, nil), func(f *flattened, _ map[string]any) { f.Payload = encoded(orderOf([]string{"evil.example.com"}, "")) }), "malformed"},
		"another header":    {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["x"] = "y" }), "malformed"},
		"no signature":      {spoil(t, r.sign(path, order, nil), func(f *flattened, _ map[string]any) { f.Signature = "" }), "malformed"},
		"a critical header": {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { h["crit"] = []string{"b64"} }), "malformed"},
		"no url":            {r.sign(path, order, map[jose.HeaderKey]any{"url": nil}), "malformed"},
		"another url":       {r.sign(path, order, map[jose.HeaderKey]any{"url": r.home() + "/acme/new-authz"}), "unauthorized"},
		"another host":      {r.sign(path, order, map[jose.HeaderKey]any{"url": "https://other.example" + path}), "unauthorized"},
		"key of another":    {foreign.sign(path, order, nil), "malformed"},
		"no point":          {spoil(t, r.sign(path, order, nil), func(_ *flattened, h map[string]any) { delete(h, "kid"); h["jwk"] = jwk }), "malformed"},
		"too large":         {bytes.Repeat([]byte("a"), 200<<10), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.send(path, c.body)
			a.requireProblem(t, c.want)
			if c.want == "badSignatureAlgorithm" {
				require.Contains(t, string(a.body), `"algorithms":["ES256"`, "RFC 8555, Section 6.2")
			}
			// Whatever it was, the next request goes on with the nonce of the refusal.
			again := r.send(path, r.sign(path, order, map[jose.HeaderKey]any{"nonce": a.header.Get("Replay-Nonce")}))
			require.Equal(t, http.StatusCreated, again.status, string(again.body))
		})
	}

	for _, kind := range []string{"application/json", "text/plain", ""} {
		response, err := w.client.Post(w.server.URL+path, kind, bytes.NewReader(r.sign(path, order, nil)))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode, "RFC 8555, Section 6.2")
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		request, err := http.NewRequestWithContext(t.Context(), method, r.account, nil)
		require.NoError(t, err)
		response, err := w.client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, "RFC 8555, Section 6.3")
	}
}

// TestBadAccountKeys: no account has a key that is too weak.
func TestBadAccountKeys(t *testing.T) {
	w := newWorld(t, options{})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	r := w.raw()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: weak}, &jose.SignerOptions{EmbedJWK: true,
		ExtraHeaders: map[jose.HeaderKey]any{"url": r.home() + "/acme/new-account", "nonce": r.freshNonce()}})
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(`{}`))
	require.NoError(t, err)
	r.send("/acme/new-account", []byte(signed.FullSerialize())).requireProblem(t, "badPublicKey")
}

// TestOthersThings: what belongs to another account is not there.
func TestOthersThings(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "shop" }})
	r, other := w.raw(), w.raw()
	order := other.post("/acme/new-order", orderOf([]string{"www.example.com"}, ""))
	challenge, _ := other.challengeOf(order, "http-01")
	var o struct{ Authorizations []string }
	require.NoError(t, json.Unmarshal(order.body, &o))
	authorization := strings.TrimPrefix(o.Authorizations[0], w.server.URL)
	account := strings.TrimPrefix(other.account, w.server.URL)
	for path, payload := range map[string]string{
		other.path(order): "", other.path(order) + "/finalize": `{"csr":"AA"}`, authorization: "", authorization + "?": `{"status":"deactivated"}`,
		challenge: `{}`, account: "", account + "?": `{"status":"deactivated"}`, account + "/orders": "",
	} {
		path = strings.TrimSuffix(path, "?")
		a := r.post(path, payload)
		a.requireProblem(t, "malformed")
		require.Equal(t, http.StatusNotFound, a.status, path)
	}
	require.Equal(t, http.StatusOK, other.post(account, `{"status":"deactivated"}`).status)
	for _, path := range []string{account, "/acme/new-order", authorization, challenge} {
		a := other.post(path, "")
		a.requireProblem(t, "unauthorized")
		require.Equal(t, http.StatusUnauthorized, a.status, "RFC 8555, Section 7.3.6")
	}
	other.account = ""
	other.post("/acme/new-account", `{}`).requireProblem(t, "unauthorized")
}

// TestFinalizeRefuses walks what a CSR may not be, and orders that are not ready for one.
func TestFinalizeRefuses(t *testing.T) {
	w := newWorld(t, options{})
	r := w.raw()
	made := r.post("/acme/new-order", orderOf([]string{"www.example.com", "api.example.com"}, ""))
	finalize := func(path string, der []byte) answer {
		return r.post(path+"/finalize", `{"csr":"`+base64.RawURLEncoding.EncodeToString(der)+`"}`)
	}
	path := r.path(made)
	both := []string{"www.example.com", "api.example.com"}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	authority := w.keys["memory:TencentQQAuthCA"]
	broken := w.csr(newKey(t), both...)
	broken[len(broken)-1] ^= 1
	ipToo, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: both, EmailAddresses: []string{"a@example.com"}}, newKey(t))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"no CSR":            {[]byte("no CSR"), "badCSR"},
		"nothing":           {nil, "badCSR"},
		"another name":      {w.csr(newKey(t), "other.example.com", "api.example.com"), "badCSR"},
		"a name less":       {w.csr(newKey(t), "www.example.com"), "badCSR"},
		"a name more":       {w.csr(newKey(t), "www.example.com", "api.example.com", "other.example.com"), "badCSR"},
		"no name":           {w.csr(newKey(t)), "badCSR"},
		"a mail address":    {ipToo, "badCSR"},
		"broken signature":  {broken, "badCSR"},
		"the account's key": {w.csr(r.key, both...), "badPublicKey"},
		"the CA's key":      {w.csr(authority, both...), "badPublicKey"},
		"a weak key":        {w.csr(weak, both...), "badCSR"},
	} {
		t.Run(name, func(t *testing.T) { finalize(path, c.der).requireProblem(t, c.want) })
	}
	r.post(path+"/finalize", `{"csr":"*"}`).requireProblem(t, "badCSR")
	r.post(path+"/finalize", "").requireProblem(t, "malformed")
	r.post(path, `{}`).requireProblem(t, "malformed")

	other := r.post("/acme/new-order", orderOf(both, ""))
	r.deactivate(other)
	refused := finalize(r.path(other), w.csr(newKey(t), both...))
	refused.requireProblem(t, "orderNotReady")
	require.Equal(t, http.StatusForbidden, refused.status, "RFC 8555, Section 7.4")
	require.Equal(t, http.StatusOK, finalize(path, w.csr(newKey(t), both...)).status, "no refusal has spoilt the order")
}

// TestOrderEnds when its time is over.
func TestOrderEnds(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "shop" }})
	r := w.raw()
	made := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, ""))
	challenge, token := r.challengeOf(made, "http-01")
	pending := r.post(r.path(made)+"/finalize", `{"csr":"`+base64.RawURLEncoding.EncodeToString(w.csr(newKey(t), "www.example.com"))+`"}`)
	pending.requireProblem(t, "orderNotReady")
	w.pass(21 * 60 * 60 * 1e9)
	w.show(r.keyAuthorization(token))
	require.Equal(t, http.StatusOK, r.post(challenge, `{}`).status)
	require.Contains(t, string(r.post(r.path(made), "").body), `"status":"invalid"`)
	r.post(r.path(made)+"/finalize", `{"csr":"`+base64.RawURLEncoding.EncodeToString(w.csr(newKey(t), "www.example.com"))+`"}`).requireProblem(t, "orderNotReady")
}

func TestRevokeRefuses(t *testing.T) {
	w := newWorld(t, options{})
	r := w.raw()
	_, leaf := r.issue("www.example.com", "")
	revoke := func(r *raw, der []byte, more string) answer {
		return r.post("/acme/revoke-cert", `{"certificate":"`+base64.RawURLEncoding.EncodeToString(der)+`"`+more+`}`)
	}
	own := w.issuers[0].Certificate()
	revoke(r, own.Raw, "").requireProblem(t, "malformed")
	for _, reason := range []string{"2", "6", "7", "8", "10", "-1", "99"} {
		revoke(r, leaf.Raw, `,"reason":`+reason).requireProblem(t, "badRevocationReason")
	}
	revoke(r, append([]byte(nil), leaf.Raw[:len(leaf.Raw)-1]...), "").requireProblem(t, "malformed")
	stranger := &raw{world: w, key: newKey(t)}
	wrong := revoke(stranger, leaf.Raw, "")
	wrong.requireProblem(t, "unauthorized")
	require.Equal(t, http.StatusForbidden, wrong.status)
	require.Equal(t, http.StatusOK, revoke(r, leaf.Raw, `,"reason":4`).status)
	again := revoke(r, leaf.Raw, `,"reason":4`)
	again.requireProblem(t, "alreadyRevoked")
	require.Equal(t, http.StatusBadRequest, again.status, "RFC 8555, Section 7.6")
}

func TestKeyChangeRefuses(t *testing.T) {
	w := newWorld(t, options{})
	r, other := w.raw(), w.raw()
	const path = "/acme/key-change"
	next := newKey(t)
	inner := func(key crypto.Signer, url, payload string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"url": url}})
		require.NoError(t, err)
		signed, err := signer.Sign([]byte(payload))
		require.NoError(t, err)
		return signed.FullSerialize()
	}
	old := func(r *raw) string {
		jwk, err := (&jose.JSONWebKey{Key: r.key.Public()}).MarshalJSON()
		require.NoError(t, err)
		return string(jwk)
	}
	about := func(account, key string) string { return `{"account":"` + account + `","oldKey":` + key + `}` }
	for name, payload := range map[string]string{
		"not signed":      about(r.account, old(r)),
		"another url":     inner(next, r.home()+"/acme/new-order", about(r.account, old(r))),
		"another account": inner(next, r.home()+path, about(other.account, old(r))),
		"another old key": inner(next, r.home()+path, about(r.account, old(other))),
		"no account":      inner(next, r.home()+path, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			a := r.post(path, payload)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, a.status, string(a.body))
		})
	}
	taken := r.post(path, inner(other.key, r.home()+path, about(r.account, old(r))))
	require.Equal(t, http.StatusConflict, taken.status, "RFC 8555, Section 7.3.5")
	require.Equal(t, other.account, taken.header.Get("Location"))
	require.Equal(t, http.StatusOK, r.post(path, inner(next, r.home()+path, about(r.account, old(r)))).status)
}
