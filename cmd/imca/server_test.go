package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// clock is a time that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

// newServer starts a server in this process, on a CA of its own.
func newServer(t *testing.T, change func(*ServerConfig)) (*Server, *clock) {
	t.Helper()
	folder := t.TempDir()
	k := &keyStore{folder: filepath.Join(folder, "keys"), passphrase: []byte("correct horse")}
	url := "sqlite:" + filepath.Join(folder, "imca.db")
	records, err := openStore(t.Context(), url)
	require.NoError(t, err)
	_, made, err := establish(t.Context(), records, ca.Establishment{Hierarchy: ca.HierarchyIssuing}, k, time.Now())
	require.NoError(t, err)
	require.True(t, made)
	require.NoError(t, records.Close())

	c := new(clock)
	cfg := ServerConfig{
		Database: url, HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0", Ops: "127.0.0.1:0", OpenKey: k.open, OwnNames: localNames(),
		Limits: web.Limits{Address: web.Rate{PerSecond: -1}, Token: web.Rate{PerSecond: -1}},
		Now:    c.now, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := NewServer(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, c
}

// shownBy is the certificate that the server shows to a client that trusts its root at a time.
func shownBy(t *testing.T, s *Server, now time.Time) *x509.Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(s.ca.Issuers(), "server"))
	conn, err := tls.Dial("tcp", s.Address("https"), &tls.Config{RootCAs: roots, ServerName: "localhost", Time: func() time.Time { return now }})
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	return conn.ConnectionState().PeerCertificates[0]
}

func TestOwnCertificateRenewsItself(t *testing.T) {
	s, c := newServer(t, nil)
	first := shownBy(t, s, c.now())
	require.Equal(t, []string{"localhost"}, first.DNSNames)
	require.Len(t, first.IPAddresses, 2)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, first.ExtKeyUsage)

	c.pass(4 * 24 * time.Hour)
	s.tls.upkeep(t.Context())
	require.Equal(t, first.SerialNumber, shownBy(t, s, c.now()).SerialNumber, "more than a third is left")
	c.pass(24 * time.Hour)
	s.tls.upkeep(t.Context())
	second := shownBy(t, s, c.now())
	require.NotEqual(t, first.SerialNumber, second.SerialNumber, "swapped without a restart")
	require.True(t, second.NotAfter.After(first.NotAfter))

	// It is on the list like every other.
	page, err := s.ca.ListCertificates(t.Context(), itself(), ca.CertificateQuery{App: ownApp})
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
}

func TestOwnCertificateOfOtherNamesToo(t *testing.T) {
	s, _ := newServer(t, nil)
	name, err := pki.ParseName("ca.example.com")
	require.NoError(t, err)
	other, err := newOwnCertificate(t.Context(), ca.Config{Store: s.store, Issuers: s.ca.Issuers(), Now: time.Now, Log: s.cfg.Log}, []pki.Name{name})
	require.NoError(t, err)
	require.Equal(t, []string{"ca.example.com"}, other.certificate().Leaf.DNSNames)
	require.NoError(t, s.tls.(*ownCertificate).renew(t.Context()), "the names of another server do not displace ours")

	// The names that a server has for itself are for nobody else: through REST, not even for its own app.
	_, err = s.ca.Issue(t.Context(), itself(), ca.IssueRequest{App: ownApp, Domains: []string{"localhost"}})
	require.True(t, isKind(err, ca.KindRejectedName), err)
}

func TestCertificateFromFilesIsReadAgain(t *testing.T) {
	judge.Need(t, "openssl")
	folder := t.TempDir()
	crt, key := filepath.Join(folder, "own.crt"), filepath.Join(folder, "own.key")
	make := func(name string) {
		judge.Run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
			"-subj", "/CN="+name, "-addext", "subjectAltName=DNS:"+name, "-keyout", key, "-out", crt)
	}
	shown := func(s *Server) string {
		conn, err := tls.Dial("tcp", s.Address("https"), &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	make("one.example.com")
	s, _ := newServer(t, func(cfg *ServerConfig) { cfg.CertificateFile, cfg.KeyFile, cfg.OwnNames = crt, key, nil })
	require.Equal(t, "one.example.com", shown(s))

	require.NoError(t, os.WriteFile(crt, []byte("half a file"), 0o600))
	s.tls.upkeep(t.Context())
	require.Equal(t, "one.example.com", shown(s), "what cannot be read changes nothing")
	make("two.example.com")
	s.tls.upkeep(t.Context())
	require.Equal(t, "two.example.com", shown(s))
}

// Each listener has its routes and no others: REST is nowhere but behind TLS, metrics nowhere but where operators are.
func TestListeners(t *testing.T) {
	s, _ := newServer(t, nil)
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(s.ca.Issuers(), "server"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	status := func(base, path string) int {
		response, err := client.Get(base + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	bases := []string{"https://" + s.Address("https"), "http://" + s.Address("http"), "http://" + s.Address("ops")}
	for path, want := range map[string][3]int{
		"/v1/certificates":         {401, 404, 404},
		"/v1/whoami":               {401, 404, 404},
		"/openapi.yaml":            {200, 404, 404},
		"/docs":                    {200, 404, 404},
		"/ca/TencentQQAuthCA.crt":  {200, 200, 404},
		"/ca/bundle.pem":           {200, 200, 404},
		"/healthz":                 {200, 200, 200},
		"/readyz":                  {200, 200, 200},
		"/metrics":                 {404, 404, 200},
		"/":                        {200, 404, 404}, // the page where to sign in
		"/elsewhere":               {404, 404, 404},
		"/ca/../v1/certificates":   {404, 404, 404},
		"/healthz/v1/certificates": {404, 404, 404},
	} {
		for i, base := range bases {
			if have := status(base, path); have != want[i] {
				require.Equal(t, want[i], have, "%s%s", base, path)
			}
		}
	}
	require.Empty(t, s.Address("other"))
}

func TestStartRefusesWhatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	first, _ := newServer(t, nil)
	cfg := first.cfg
	cfg.HTTP = taken.Addr().String()
	second, err := NewServer(t.Context(), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(), "end what uses it, or choose another port")
}

func TestPlatformCertificateRenewsItself(t *testing.T) {
	s, c := newServer(t, nil)
	folder := dataFolder(t.TempDir())
	name, err := pki.ParseName("callback.platform.internal")
	require.NoError(t, err)
	serial := func() string {
		require.NoError(t, folder.platform(t.Context(), s.ca, name, c.now()))
		pair, err := tls.LoadX509KeyPair(folder.path(platformCert), folder.path(platformKey))
		require.NoError(t, err)
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, pair.Leaf.ExtKeyUsage)
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	c.pass(4 * 24 * time.Hour)
	require.Equal(t, first, serial())
	c.pass(24 * time.Hour)
	require.NotEqual(t, first, serial())
}

// TestManyAtOnce has clients of every kind at work while the server ends.
func TestManyAtOnce(t *testing.T) {
	s, _ := newServer(t, nil)
	_, _, err := s.ca.CreateApp(t.Context(), localAdmin(), ca.NewApp{ID: "shop", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	_, developer, err := s.ca.CreateToken(t.Context(), localAdmin(), ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "shop"})
	require.NoError(t, err)
	_, operator, err := s.ca.CreateToken(t.Context(), localAdmin(), ca.NewToken{Name: "alice", Role: ca.RoleOperator})
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(s.ca.Issuers(), "server"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)

	var (
		working sync.WaitGroup
		issued  atomic.Int64
	)
	work := func(token string, do func(c *api.Client, i int) error) {
		working.Go(func() {
			for i := 0; ; i++ {
				err := do(&api.Client{URL: "https://" + s.Address("https"), Token: token, HTTP: client}, i)
				var problem *api.Problem
				if err != nil {
					assert.False(t, errors.As(err, &problem), "no request fails but for want of a server: %v", err)
					return
				}
			}
		})
	}
	for n := range 4 {
		work(developer, func(c *api.Client, i int) error {
			_, err := c.Issue(t.Context(), api.IssueRequest{Domain: fmt.Sprintf("c%d-%d.example.com", n, i)})
			issued.Add(1)
			return err
		})
	}
	work(operator, func(c *api.Client, _ int) error {
		_, err := c.Certificates(t.Context(), api.Filter{"status": "valid", "app": "shop"})
		return err
	})
	work(operator, func(*api.Client, int) error {
		response, err := http.Get("http://" + s.Address("ops") + "/metrics")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	})
	work(operator, func(*api.Client, int) error {
		if issued.Load() > 40 {
			return errors.New("enough")
		}
		return s.tls.(*ownCertificate).renew(t.Context())
	})
	require.Eventually(t, func() bool { return issued.Load() > 40 }, time.Minute, time.Millisecond)
	require.NoError(t, s.Close())
	working.Wait()
}
