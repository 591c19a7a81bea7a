package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/judge"
)

// TestServerIsKilledWhileItLooks ends the server by SIGKILL when it has taken a challenge up and waits for the developer's web server: the next one takes it
// up again when the lease has passed, without being asked for more than how it stands, and the order goes on to its certificate.
func TestServerIsKilledWhileItLooks(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "knotd", "imca")
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "* A 127.0.0.1"})
	databases(t, func(t *testing.T, database string) {
		t.Parallel() // both wait for the lease
		page := newSlowPage(t)
		folder := filepath.Join(t.TempDir(), "data")
		start := func() *dev {
			return startDev(t, folder, database, "--domains", "prove", "--resolver", dns.Addr, "--allow-egress", "127.0.0.0/8", "--http01-port", strconv.Itoa(page.port))
		}
		doomed := start()
		key := newECKey(t)
		c := &xacme.Client{Key: key, HTTPClient: doomed.client, DirectoryURL: doomed.url + "/acme/directory"}
		_, err := c.Register(t.Context(), new(xacme.Account), xacme.AcceptTOS)
		require.NoError(t, err)
		order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.shop.test"))
		require.NoError(t, err)
		authorization, err := c.GetAuthorization(t.Context(), order.AuthzURLs[0])
		require.NoError(t, err)
		challenge := authorization.Challenges[0]
		require.Equal(t, "http-01", challenge.Type)
		text, err := c.HTTP01ChallengeResponse(challenge.Token)
		require.NoError(t, err)
		page.text.Store(&text)
		_, err = c.Accept(t.Context(), challenge)
		require.NoError(t, err)
		<-page.asked
		require.Error(t, doomed.Kill())
		close(page.answer)

		next := start()
		c = &xacme.Client{Key: key, HTTPClient: next.client, DirectoryURL: next.url + "/acme/directory"}
		_, err = c.GetReg(t.Context(), "")
		require.NoError(t, err)
		at := func(url string) string { return strings.Replace(url, doomed.url, next.url, 1) }
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err = c.WaitAuthorization(ctx, at(order.AuthzURLs[0]))
		require.NoError(t, err)
		require.Equal(t, int64(2), page.requests.Load(), "once for each server")
		csr, err := request(newECKey(t), "www.shop.test")
		require.NoError(t, err)
		chain, _, err := c.CreateOrderCert(ctx, at(order.FinalizeURL), csr.Raw, true)
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(chain[0])
		require.NoError(t, err)
		require.Equal(t, []string{"www.shop.test"}, leaf.DNSNames)
	})
}

// slowPage is a developer's web server that keeps the first who asks for the proof waiting.
type slowPage struct {
	port     int
	text     atomic.Pointer[string]
	requests atomic.Int64
	asked    chan struct{} // closed when somebody asks
	answer   chan struct{} // to be closed when the first one may have its answer
}

func newSlowPage(t *testing.T) *slowPage {
	p := &slowPage{port: judge.FreePort(t), asked: make(chan struct{}), answer: make(chan struct{})}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	require.NoError(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.requests.Add(1) == 1 {
			close(p.asked)
			<-p.answer
		}
		_, _ = w.Write([]byte(*p.text.Load()))
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return p
}
