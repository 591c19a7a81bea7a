package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/pki"
)

// idp is an identity provider at which olga is signed in already: it sends her back at once.
type idp struct {
	*httptest.Server
	t      *testing.T
	signer jose.Signer
	public any
	asked  map[string]url.Values // by the code
	nonce  string                // instead of the one that was asked for
}

func newIDP(t *testing.T) *idp {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	require.NoError(t, err)
	p := &idp{t: t, signer: signer, public: key.Public(), asked: make(map[string]url.Values)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize",
			"token_endpoint": p.URL + "/token", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.public, KeyID: "k", Algorithm: "ES256"}}})
	})
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("/token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != "imca" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "openid profile email" {
		http.Error(w, "bad request: "+q.Encode(), http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.asked[code] = q
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	asked, known := p.asked[r.PostFormValue("code")]
	delete(p.asked, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	if !known || id != "imca" || secret != "hush" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	nonce := asked.Get("nonce")
	if p.nonce != "" {
		nonce = p.nonce
	}
	claims, err := json.Marshal(map[string]any{"iss": p.URL, "aud": "imca", "sub": "u-1", "email": "olga@example.com", "nonce": nonce,
		"exp": time.Now().Add(time.Hour).Unix(), "groups": []string{"im-ops"}})
	require.NoError(p.t, err)
	signed, err := p.signer.Sign(claims)
	require.NoError(p.t, err)
	text, err := signed.CompactSerialize()
	require.NoError(p.t, err)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
}

// TestSignInAtTheProvider goes the whole flow as a browser does: there and back, to the console. What is not of this very attempt signs nobody in.
func TestSignInAtTheProvider(t *testing.T) {
	p := newIDP(t)
	dir := t.TempDir()
	authority, hush := filepath.Join(dir, "provider.crt"), filepath.Join(dir, "hush")
	require.NoError(t, os.WriteFile(authority, pki.EncodeCertificate(p.Certificate().Raw), 0o600))
	require.NoError(t, os.WriteFile(hush, []byte("hush\n"), 0o600))
	s, _ := newServer(t, func(cfg *ServerConfig) {
		cfg.OIDC = config.OIDC{Issuer: p.URL, Audience: "imca", RoleClaim: "groups", Operators: []string{"im-ops"}, CA: authority, Allow: []string{"127.0.0.1"}, ClientSecret: "file:" + hush}
	})
	both := filepath.Join(dir, "both.crt")
	require.NoError(t, os.WriteFile(both, append(pki.EncodeCertificate(p.Certificate().Raw), pki.EncodeCertificate(rootFor(s.ca.Issuers(), "server").Raw)...), 0o600))
	here := "https://" + s.Address("https")
	browser := func() *http.Client {
		client := trusting(t, both)
		client.Jar, _ = cookiejar.New(nil)
		return client
	}
	get := func(client *http.Client, address string) (*http.Response, string) {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		require.NoError(t, err)
		request.Header.Set("Accept", "text/html")
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}

	olga := browser()
	response, body := get(olga, here+"/signin")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, body, `href="/signin/provider?next=%2f"`)
	response, body = get(olga, here+"/signin/provider")
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	require.Equal(t, "/console", response.Request.URL.Path)
	require.Contains(t, body, "olga@example.com")
	events, err := s.ca.EndSessions(t.Context(), localAdmin(), "oidc:u-1")
	require.NoError(t, err)
	require.Equal(t, 1, events)
	response, _ = get(olga, here+"/console")
	require.Equal(t, "/signin", response.Request.URL.Path, "signed out everywhere")

	// Who wanted a page gets there.
	response, body = get(olga, here+"/console/certificates?q=shop.example&status=valid")
	require.Equal(t, "/signin", response.Request.URL.Path)
	way := regexp.MustCompile(`href="(/signin/provider[^"]*)"`).FindStringSubmatch(body)
	require.NotNil(t, way, body)
	response, _ = get(olga, here+html.UnescapeString(way[1]))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "/console/certificates?q=shop.example&status=valid", response.Request.URL.RequestURI())
	for _, elsewhere := range []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, "evil.example", "javascript:alert(1)", "/" + strings.Repeat("x", 3000)} {
		response, _ = get(browser(), here+"/signin/provider?"+url.Values{"next": {elsewhere}}.Encode())
		require.Equal(t, "/console", response.Request.URL.Path, elsewhere)
	}

	// Another browser brings a code that olga's attempt was given, with her state: she is not signed in there, nor anybody else.
	stop := browser()
	stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/signin/provider/back" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	response, _ = get(stop, here+"/signin/provider")
	back := response.Header.Get("Location")
	require.NotEmpty(t, back)
	for name, address := range map[string]string{"no attempt": back, "no state": here + "/signin/provider/back?code=x", "nothing": here + "/signin/provider/back"} {
		stranger := browser()
		response, _ = get(stranger, address)
		require.Equal(t, http.StatusUnauthorized, response.StatusCode, name)
		response, _ = get(stranger, here+"/console")
		require.Equal(t, "/signin", response.Request.URL.Path, name)
	}
	p.nonce = "another"
	response, _ = get(browser(), here+"/signin/provider")
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "a token of another attempt")
	_, body = get(browser(), here+"/signin/provider?next=/console/events")
	require.Contains(t, body, `href="/signin/provider?next=%2fconsole%2fevents"`, "the next try leads there, too")
	p.nonce = ""
	response, _ = get(browser(), here+"/signin/provider")
	require.Equal(t, "/console", response.Request.URL.Path)
}
