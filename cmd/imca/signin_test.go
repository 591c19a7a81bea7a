package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/pki"
)

// TestOperatorSignsInByOIDC: a real provider's protocol, over TLS under a CA of its own, through the guarded way out.
func TestOperatorSignsInByOIDC(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var provider *httptest.Server
	provider = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}})
	}))
	t.Cleanup(provider.Close)
	authority := filepath.Join(t.TempDir(), "provider.crt")
	require.NoError(t, os.WriteFile(authority, pki.EncodeCertificate(provider.Certificate().Raw), 0o600))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	require.NoError(t, err)
	token := func(group string) string {
		claims, err := json.Marshal(map[string]any{"iss": provider.URL, "aud": "imca", "sub": "u-1", "email": "olga@example.com",
			"exp": time.Now().Add(time.Hour).Unix(), "groups": []string{group}})
		require.NoError(t, err)
		signed, err := signer.Sign(claims)
		require.NoError(t, err)
		text, err := signed.CompactSerialize()
		require.NoError(t, err)
		return text
	}
	for _, allow := range [][]string{{"127.0.0.1"}, nil} {
		s, _ := newServer(t, func(cfg *ServerConfig) {
			cfg.OIDC = config.OIDC{Issuer: provider.URL, Audience: "imca", RoleClaim: "groups", Operators: []string{"im-ops"}, CA: authority, Allow: allow}
		})
		root := filepath.Join(t.TempDir(), "root.crt")
		require.NoError(t, os.WriteFile(root, pki.EncodeCertificate(rootFor(s.ca.Issuers(), "server").Raw), 0o600))
		as := func(group string) *api.Client {
			return &api.Client{URL: "https://" + s.Address("https"), Token: token(group), HTTP: trusting(t, root)}
		}
		who, err := as("im-ops").Whoami(t.Context())
		if allow == nil {
			require.ErrorContains(t, err, "identity provider does not answer", "loopback is closed unless it is opened")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, api.Principal{Name: "olga@example.com", Role: "operator", TokenID: "oidc:u-1"}, *who)
		_, err = as("im-ops").CreateApp(t.Context(), api.AppRequest{ID: "shop"})
		require.NoError(t, err)
		_, err = as("staff").Whoami(t.Context())
		require.ErrorContains(t, err, "have no role here")
	}
}
