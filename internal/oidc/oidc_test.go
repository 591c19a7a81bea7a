package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/oidc"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// provider is an identity provider, with its keys by ID.
type provider struct {
	*httptest.Server
	keys map[string]*ecdsa.PrivateKey
	down bool
}

func newProvider(t *testing.T) *provider {
	p := &provider{keys: make(map[string]*ecdsa.PrivateKey)}
	p.addKey(t, "one")
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case p.down:
			http.Error(w, "down", http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys",
				"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}})
		case r.URL.Path == "/keys":
			var set jose.JSONWebKeySet
			for id, key := range p.keys {
				set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
			}
			_ = json.NewEncoder(w).Encode(set)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) addKey(t *testing.T, id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p.keys[id] = key
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", id))
	require.NoError(t, err)
	text, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(text)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

func (p *provider) claims(change map[string]any) map[string]any {
	claims := map[string]any{"iss": p.URL, "aud": "imca", "sub": "u-1", "preferred_username": "olga", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"roles": []string{"staff", "imca-operators"}}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func newVerifier(t *testing.T, p *provider, claim string) *oidc.Verifier {
	v, err := oidc.New(oidc.Config{Issuer: p.URL, Audience: "imca", RoleClaim: claim, Client: p.Client(), Now: func() time.Time { return now },
		Roles: map[ca.Role][]string{ca.RoleAdmin: {"imca-admins"}, ca.RoleOperator: {"imca-operators"}, ca.RoleAuditor: {"audit"}}})
	require.NoError(t, err)
	return v
}

func TestRoles(t *testing.T) {
	p := newProvider(t)
	for name, test := range map[string]struct {
		claim string
		roles any
		want  ca.Role
	}{
		"a list":            {"roles", []string{"staff", "imca-operators"}, ca.RoleOperator},
		"a text":            {"roles", "audit", ca.RoleAuditor},
		"the widest":        {"roles", []string{"audit", "imca-admins", "imca-operators"}, ca.RoleAdmin},
		"in an object":      {"realm_access.roles", []string{"imca-operators"}, ca.RoleOperator},
		"none":              {"roles", []string{"staff"}, ""},
		"a role's own name": {"roles", []string{"admin", "operator"}, ""},
		"a number":          {"roles", 7, ""},
		"nothing":           {"roles", nil, ""},
		"another claim":     {"groups", []string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			change := map[string]any{"roles": test.roles}
			if test.claim == "realm_access.roles" {
				change = map[string]any{"roles": nil, "realm_access": map[string]any{"roles": test.roles}}
			}
			got, err := newVerifier(t, p, test.claim).Identify(t.Context(), sign(t, jose.ES256, p.keys["one"], "one", p.claims(change)))
			if test.want == "" {
				var refusal *ca.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, ca.KindForbidden, refusal.Kind)
				return
			}
			require.NoError(t, err)
			require.Equal(t, ca.Identity{Subject: "u-1", Name: "olga", Role: test.want}, got)
		})
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	p := newProvider(t)
	v := newVerifier(t, p, "")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(p.keys["one"].Public())
	require.NoError(t, err)
	encode := func(v any) string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	good := func(change map[string]any) string { return sign(t, jose.ES256, p.keys["one"], "one", p.claims(change)) }
	_, err = v.Identify(t.Context(), good(nil))
	require.NoError(t, err)
	for name, token := range map[string]string{
		"another audience":    good(map[string]any{"aud": "mail"}),
		"no audience":         good(map[string]any{"aud": nil}),
		"another issuer":      good(map[string]any{"iss": "https://evil.example"}),
		"over":                good(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"without an end":      good(map[string]any{"exp": nil}),
		"not yet":             good(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"a stranger's key":    sign(t, jose.ES256, stranger, "one", p.claims(nil)),
		"an unknown key":      sign(t, jose.ES256, stranger, "two", p.claims(nil)),
		"the key as a secret": sign(t, jose.HS256, public, "one", p.claims(nil)),
		"no signature":        encode(map[string]string{"alg": "none"}) + "." + encode(p.claims(nil)) + ".",
		"claims changed":      good(nil)[:40] + "." + encode(p.claims(map[string]any{"roles": "imca-admins"})) + "." + "AAAA",
		"nonsense":            "a.b.c",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Identify(t.Context(), token)
			var refusal *ca.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, ca.KindUnauthenticated, refusal.Kind, refusal.Detail)
		})
	}
	// The provider changes its key.
	p.addKey(t, "two")
	token := sign(t, jose.ES256, p.keys["two"], "two", p.claims(nil))
	require.Eventually(t, func() bool { // the keys are not fetched again in the very moment in which a fetch ends
		_, err := v.Identify(t.Context(), token)
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestProviderIsDown(t *testing.T) {
	p := newProvider(t)
	p.down = true
	v := newVerifier(t, p, "")
	token := sign(t, jose.ES256, crypto.Signer(p.keys["one"]).(*ecdsa.PrivateKey), "one", p.claims(nil))
	_, err := v.Identify(t.Context(), token)
	var refusal *ca.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, ca.KindUnavailable, refusal.Kind)
	p.down = false
	_, err = v.Identify(t.Context(), token)
	require.NoError(t, err)
}

func TestConfig(t *testing.T) {
	for _, cfg := range []oidc.Config{
		{}, {Issuer: "https://x"}, {Audience: "imca"},
		{Issuer: "https://x", Audience: "imca", Roles: map[ca.Role][]string{ca.RoleDeveloper: {"dev"}}},
		{Issuer: "https://x", Audience: "imca", Roles: map[ca.Role][]string{ca.RoleAdmin: {""}}},
	} {
		_, err := oidc.New(cfg)
		require.Error(t, err)
	}
}
