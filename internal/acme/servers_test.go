package acme_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
)

// onTwo runs a test on two servers, which share nothing but a database of each kind, and a name.
func onTwo(t *testing.T, change func(*acme.Config), test func(t *testing.T, w *world)) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			named := func(c *acme.Config) {
				c.URL = "https://acme.example"
				if change != nil {
					change(c)
				}
			}
			w := newWorld(t, options{database: database, change: named})
			other := w.another(named)
			w.client = &http.Client{Transport: &balancer{to: w.client.Transport, urls: []string{w.server.URL, other.URL}}}
			test(t, w)
		})
	}
}

// balancer sends requests for one name to several servers in turn.
type balancer struct {
	to   http.RoundTripper
	urls []string

	mu   sync.Mutex
	next int
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	host := strings.TrimPrefix(b.urls[b.next%len(b.urls)], "https://")
	b.next++
	b.mu.Unlock()
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = host, "acme.example"
	return b.to.RoundTrip(r)
}

// TestManyAtOnce: 100 orders of one account on two servers lose nothing, and an order that is finalized by many at once has one certificate.
func TestManyAtOnce(t *testing.T) {
	onTwo(t, nil, func(t *testing.T, w *world) {
		c := &xacme.Client{Key: newKey(t), HTTPClient: w.client, DirectoryURL: "https://acme.example/acme/directory"}
		_, err := c.Register(t.Context(), &xacme.Account{}, xacme.AcceptTOS)
		require.NoError(t, err)
		var running sync.WaitGroup
		for i := range 100 {
			running.Go(func() {
				name := fmt.Sprintf("n%d.example.com", i)
				order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs(name))
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), name), false); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		issued := func() int {
			page, err := w.ca.ListCertificates(t.Context(), admin, ca.CertificateQuery{App: "open", Limit: 1000})
			require.NoError(t, err)
			return len(page.Items)
		}
		require.Equal(t, 100, issued())

		order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("one.example.com"))
		require.NoError(t, err)
		csr := w.csr(newKey(t), "one.example.com")
		for range 10 {
			running.Go(func() {
				if _, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr, false); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		require.Equal(t, 101, issued())
		_, _, err = c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "one.example.com"), false)
		require.ErrorContains(t, err, "another CSR")
	})
}

// TestServerEndsWhileItLooks: a challenge whose server is gone goes on at another one, when its account asks there.
func TestServerEndsWhileItLooks(t *testing.T) {
	for name, c := range map[string]struct {
		run   func(task func(context.Context)) // what the first server does with its tasks
		pause time.Duration
	}{
		"killed": {func(func(context.Context)) {}, 46 * time.Second},
		"told to end": {func(task func(context.Context)) {
			ended, end := context.WithCancel(context.Background())
			end()
			task(ended)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			onTwo(t, func(cfg *acme.Config) { cfg.OpenApp = "shop" }, func(t *testing.T, w *world) {
				doomed := w.another(func(cfg *acme.Config) { cfg.URL, cfg.OpenApp, cfg.Go = "https://acme.example", "shop", c.run })
				r := &raw{world: w, key: newKey(t), base: "https://acme.example"}
				made := r.post("/acme/new-account", `{}`)
				require.Equal(t, http.StatusCreated, made.status, string(made.body))
				r.account = made.header.Get("Location")
				order := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, ""))
				path, token := r.challengeOf(order, "http-01")
				w.show(r.keyAuthorization(token))

				balanced := w.client
				w.client = &http.Client{Transport: &balancer{to: doomed.Client().Transport, urls: []string{doomed.URL}}}
				require.Equal(t, http.StatusOK, r.post(path, `{}`).status)
				w.client = balanced
				if c.pause > 0 {
					require.Contains(t, string(r.post(path, "").body), `"processing"`, "its server may still be there")
					w.pass(c.pause)
				}
				require.Equal(t, "valid", r.settled(path))
			})
		})
	}
}
