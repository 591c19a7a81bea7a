package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/judge"
)

// BenchmarkOrder measures whole ACME orders, from newOrder to the chain, for names that their app has: three signed requests each, by clients with
// an account and a CSR of their own. CAA is looked up, at a DNS server whose work is not counted. The yardstick S and what is counted is as for BenchmarkIssue.
func BenchmarkOrder(b *testing.B) {
	for _, database := range []string{"postgres", "sqlite"} {
		b.Run(database, func(b *testing.B) {
			url := "sqlite:" + filepath.Join(b.TempDir(), "imca.db")
			if database == "postgres" {
				url = judge.Postgres(b)
			}
			dns := judge.Knot(b, map[string]string{"com": "", "example.com": "* A 192.0.2.1"})
			site := serve(b, url, fmt.Sprintf(", resolver: %q", dns.Addr))
			orders := site.orders(b, 32)
			for _, clients := range []int{32, 1} {
				b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { site.measure(b, clients, orders.order) })
			}
		})
	}
}

// ordering is a number of ACME clients, each with a name that is approved for its app.
type ordering struct {
	clients []*xacme.Client
	names   []string
	csrs    [][]byte
}

// orders registers clients.
func (s *site) orders(b *testing.B, clients int) *ordering {
	o := new(ordering)
	s.ask(b, s.admin, http.MethodPost, "/v1/apps", `{"id":"orders","policy":"approve"}`, nil)
	for i := range clients {
		name := fmt.Sprintf("order%d.example.com", i)
		s.ask(b, s.admin, http.MethodPost, "/v1/domains", `{"app":"orders","domain":"`+name+`"}`, nil)
		s.ask(b, s.admin, http.MethodPost, "/v1/domains/"+name+"/approve", `{"app":"orders"}`, nil)
		var bound struct {
			KeyID     string `json:"key_id"`
			HMACKey   string `json:"hmac_key"`
			Directory string
		}
		s.ask(b, s.admin, http.MethodPost, "/v1/apps/orders/eab", `{"name":"bench"}`, &bound)
		secret, err := base64.RawURLEncoding.DecodeString(bound.HMACKey)
		require.NoError(b, err)
		client := &xacme.Client{Key: newECKey(b), HTTPClient: s.client, DirectoryURL: bound.Directory}
		_, err = client.Register(b.Context(), &xacme.Account{ExternalAccountBinding: &xacme.ExternalAccountBinding{KID: bound.KeyID, Key: secret}}, xacme.AcceptTOS)
		require.NoError(b, err)
		csr, err := request(newECKey(b), name)
		require.NoError(b, err)
		o.clients, o.names, o.csrs = append(o.clients, client), append(o.names, name), append(o.csrs, csr.Raw)
	}
	return o
}

// order is one whole order of a client.
func (o *ordering) order(client int) error {
	c, ctx := o.clients[client], context.Background()
	order, err := c.AuthorizeOrder(ctx, xacme.DomainIDs(o.names[client]))
	if err != nil {
		return err
	}
	if order.Status != xacme.StatusReady {
		return fmt.Errorf("the order is %s", order.Status)
	}
	chain, _, err := c.CreateOrderCert(ctx, order.FinalizeURL, o.csrs[client], true)
	if err == nil && len(chain) != 2 {
		err = fmt.Errorf("the chain has %d certificates", len(chain))
	}
	return err
}

// ask sends a request of REST, and decodes the answer.
func (s *site) ask(b *testing.B, token, method, path, body string, into any) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(b, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	require.NoError(b, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	require.NoError(b, response.Body.Close())
	require.Less(b, response.StatusCode, 300, string(answer))
	if into != nil {
		require.NoError(b, json.Unmarshal(answer, into))
	}
}
