package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// TestProofBehindTwoWayTLS: where http-01 is redirected to the port that lets nobody but the platform in, a server as 'imca serve' starts it proves
// the name all the same, with a client certificate that it has issued itself.
func TestProofBehindTwoWayTLS(t *testing.T) {
	judge.Need(t, "knotd")
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "* A 127.0.0.1"})
	var (
		s     *Server
		proof ca.Challenge
		shown []*x509.Certificate
	)
	door := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		roots := x509.NewCertPool()
		roots.AddCert(rootFor(s.ca.Issuers(), "client"))
		chain := r.TLS.PeerCertificates
		if len(chain) == 0 {
			http.Error(w, "no certificate", http.StatusForbidden)
			return
		}
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil || chain[0].Subject.CommonName != "callback.platform.internal" {
			http.Error(w, "another's certificate", http.StatusForbidden)
			return
		}
		shown = append(shown, chain[0])
		_, _ = w.Write([]byte(proof.KeyAuthorization))
	}))
	door.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	door.StartTLS()
	t.Cleanup(door.Close)
	_, text, err := net.SplitHostPort(door.Listener.Addr().String())
	require.NoError(t, err)
	port, err := strconv.ParseUint(text, 10, 16)
	require.NoError(t, err)
	plain := webServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		http.Redirect(w, r, "https://"+net.JoinHostPort(host, text)+r.URL.Path, http.StatusMovedPermanently)
	}))
	name, err := pki.ParseName("callback.platform.internal")
	require.NoError(t, err)
	s = provingServer(t, dns.Addr, plain, func(cfg *ServerConfig) { cfg.Proof.Rules.TLSPort, cfg.ClientName = uint16(port), name })

	prove := func(host string) {
		t.Helper()
		_, proof = claimed(t, s, host, ca.MethodHTTP)
		d, err := s.ca.VerifyDomain(t.Context(), shopDeveloper, host, "shop", "")
		require.NoError(t, err)
		require.Equal(t, ca.DomainValid, d.State)
	}
	prove("a.shop.test")
	prove("b.shop.test")
	require.Len(t, shown, 2)
	require.Equal(t, shown[0].SerialNumber, shown[1].SerialNumber, "one is enough")
	require.LessOrEqual(t, shown[0].NotAfter.Sub(shown[0].NotBefore), 24*time.Hour)
	serial, _ := pki.SerialFromInt(shown[0].SerialNumber)
	recorded, err := s.ca.Certificate(t.Context(), itself(), serial)
	require.NoError(t, err, "it is recorded like every other")
	require.Equal(t, ca.UsageClientAuth, recorded.Usage)

	_, err = s.ca.Revoke(t.Context(), itself(), serial, pki.Superseded)
	require.NoError(t, err)
	prove("c.shop.test")
	require.NotEqual(t, shown[0].SerialNumber, shown[2].SerialNumber, "revoked, it is replaced at once")
}

// TestPlatformCertificateIsRenewed when it is worn, and is none where its key is elsewhere.
func TestPlatformCertificateIsRenewed(t *testing.T) {
	name, err := pki.ParseName("callback.platform.internal")
	require.NoError(t, err)
	s, c := newServer(t, func(cfg *ServerConfig) { cfg.ClientName = name })
	p := &platformCertificate{authority: s.ca, name: name, now: c.now, log: s.cfg.Log}
	first, err := p.certificate()
	require.NoError(t, err)
	c.pass(15 * time.Hour)
	again, err := p.certificate()
	require.NoError(t, err)
	require.Same(t, first, again)
	c.pass(2 * time.Hour)
	second, err := p.certificate()
	require.NoError(t, err)
	require.NotEqual(t, first.Leaf.SerialNumber, second.Leaf.SerialNumber)

	none, err := (&platformCertificate{authority: s.ca, now: c.now, log: s.cfg.Log}).certificate()
	require.NoError(t, err)
	require.Empty(t, none.Certificate, "without a name it shows none")
	root := s.ca.Issuers()[0]
	rests, err := issuer.New(issuer.Config{Name: root.Name(), Certificate: root.Certificate(), Profiles: root.Profiles()})
	require.NoError(t, err)
	resting, err := ca.New(ca.Config{Store: s.store, Issuers: []*issuer.Issuer{rests}, Now: c.now})
	require.NoError(t, err)
	none, err = (&platformCertificate{authority: resting, name: name, now: c.now, log: s.cfg.Log}).certificate()
	require.NoError(t, err)
	require.Empty(t, none.Certificate, "the key that issues it rests elsewhere")
}
