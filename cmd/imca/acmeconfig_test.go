package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/config"
)

// TestACMEFromTheConfiguration: what imca.yaml says about ACME is what clients see.
func TestACMEFromTheConfiguration(t *testing.T) {
	c, err := config.Parse([]byte(`acme: {url: "https://acme.example.com", open_app: shop, terms_of_service: "https://example.com/terms", website: "https://example.com", open_orders: 7}`))
	require.NoError(t, err)
	s, _ := newServer(t, func(cfg *ServerConfig) { cfg.ACME, cfg.Proof.Rules.Identity = acmeConfig(c.ACME), "ca.example.com" })
	require.Equal(t, 7, s.cfg.ACME.Limits.OpenOrders)
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(s.ca.Issuers(), "server"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get("https://" + s.Address("https") + "/acme/directory")
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	var directory struct {
		NewOrder string
		Meta     struct {
			TermsOfService, Website string
			CAAIdentities           []string
			ExternalAccountRequired bool
		}
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&directory))
	require.Equal(t, "https://acme.example.com/acme/new-order", directory.NewOrder)
	require.Equal(t, "https://example.com/terms", directory.Meta.TermsOfService)
	require.Equal(t, "https://example.com", directory.Meta.Website)
	require.Equal(t, []string{"ca.example.com"}, directory.Meta.CAAIdentities)
	require.False(t, directory.Meta.ExternalAccountRequired)
	require.Empty(t, config.Default().ACME.OpenApp, "without a word, every account is bound by a credential")
}
