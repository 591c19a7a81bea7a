package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// A fortnight is a CA whose certificates last three days, and a client of it with many names, under one clock.
type fortnight struct {
	*testing.T
	*clock
	server  *Server
	client  acmez.Client
	account acme.Account
	kept    []*kept

	transport   *http.Transport
	unreachable bool // the CA, from where the client is
	renewals    int
}

// kept is a certificate that the client keeps fresh.
type kept struct {
	name   string
	key    crypto.Signer
	leaf   *x509.Certificate
	window acme.RenewalInfo
	asked  time.Time // when it last asked for the window
}

// TestFortnight: two weeks of certificates that last three days, renewed when the CA suggests it (RFC 9773), without a hand. Meanwhile the CA is
// away for half a day, is started again, and revokes a certificate. No name is ever without a good certificate, no order is left open, and what has
// had its time is gone.
func TestFortnight(t *testing.T) {
	judge.Long(t)
	f := newFortnight(t, 25)
	f.live(5 * 24 * time.Hour)
	f.unreachable = true
	f.live(12 * time.Hour)
	f.unreachable = false
	require.NoError(t, f.server.Close())
	f.start()
	f.live(3 * 24 * time.Hour)

	stolen := f.kept[0].leaf
	serial, ours := pki.SerialFromInt(stolen.SerialNumber)
	require.True(t, ours)
	_, err := f.server.ca.Revoke(t.Context(), itself(), serial, pki.Superseded)
	require.NoError(t, err)
	f.live(12 * time.Hour)
	require.NotEqual(t, stolen.SerialNumber, f.kept[0].leaf.SerialNumber, "it was renewed because it was revoked")
	f.live(5 * 24 * time.Hour)

	// Every two days, more or less.
	require.InDelta(t, 7*len(f.kept), f.renewals, float64(len(f.kept)))
	require.Zero(t, f.count(`SELECT count(*) FROM acme_orders WHERE serial IS NULL`), "orders left open")
	require.Less(t, f.count(`SELECT count(*) FROM acme_nonces`), 20*len(f.kept), "nonces that have had their time")

	// The client is gone.
	for range 32 {
		f.pass(24 * time.Hour)
		require.NoError(t, f.server.sweep(t.Context()))
	}
	for _, table := range []string{"acme_nonces", "acme_orders", "acme_authorizations"} {
		require.Zero(t, f.count(`SELECT count(*) FROM `+table), table)
	}
}

func newFortnight(t *testing.T, names int) *fortnight {
	f := &fortnight{T: t}
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "* A 127.0.0.1"})
	p := newProofs(&acmeWorld{T: t, dns: dns, httpPort: judge.FreePort(t), tlsPort: judge.FreePort(t)})
	profiles := issuer.DefaultProfiles()
	for i := range profiles {
		if profiles[i].Name == issuer.ServerProfile {
			profiles[i].DefaultValidity = 3 * 24 * time.Hour
		}
	}
	proving := provingConfig(dns.Addr, uint16(p.httpPort))
	f.server, f.clock = newServer(t, func(cfg *ServerConfig) {
		cfg.HTTPS, cfg.Profiles, cfg.Proof = judge.FreeAddr(t), profiles, proving
	})
	_, _, err := f.server.ca.CreateApp(t.Context(), itself(), ca.NewApp{ID: "shop"})
	require.NoError(t, err)
	bound, err := f.server.ca.CreateEAB(t.Context(), itself(), "shop", "fortnight", 24*time.Hour)
	require.NoError(t, err)

	f.connect()
	f.client = acmez.Client{
		Client: &acme.Client{
			Directory: "https://" + f.server.Address("https") + "/acme/directory", HTTPClient: &http.Client{Transport: f}, PollInterval: 10 * time.Millisecond,
		},
		ChallengeSolvers: map[string]acmez.Solver{acme.ChallengeTypeHTTP01: solver{p}},
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: newECKey(t)}
	require.NoError(t, account.SetExternalAccountBinding(t.Context(), f.client.Client, acme.EAB{KeyID: bound.ID, MACKey: base64.RawURLEncoding.EncodeToString(bound.Hash[:])}))
	f.account, err = f.client.NewAccount(t.Context(), account)
	require.NoError(t, err)
	for i := range names {
		k := &kept{name: fmt.Sprintf("host%d.shop.test", i), key: newECKey(t)}
		require.NoError(t, f.renew(t.Context(), k))
		f.kept = append(f.kept, k)
	}
	f.renewals = 0
	return f
}

// start starts the server again, on its database and at its address.
func (f *fortnight) start() {
	f.Helper()
	cfg := f.server.cfg
	var err error
	f.server, err = NewServer(f.Context(), cfg)
	require.NoError(f.T, err)
	require.NoError(f.T, f.server.Start())
	f.connect()
	server := f.server
	f.Cleanup(func() { require.NoError(f.T, server.Close()) })
}

// connect makes the client's connections: it trusts the CA's root by the clock of the test.
func (f *fortnight) connect() {
	roots := x509.NewCertPool()
	roots.AddCert(rootFor(f.server.ca.Issuers(), issuer.ServerProfile))
	f.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: f.now}}
	f.Cleanup(f.transport.CloseIdleConnections)
}

// RoundTrip is the client's network.
func (f *fortnight) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.unreachable {
		return nil, errors.New("no route to host")
	}
	return f.transport.RoundTrip(r)
}

// live lets hours pass, in each of which server and client do what they do by themselves; and no name is without a good certificate.
func (f *fortnight) live(d time.Duration) {
	f.Helper()
	for ; d > 0; d -= time.Hour {
		f.pass(time.Hour)
		f.server.tls.upkeep(f.Context())
		require.NoError(f.T, f.server.sweep(f.Context()))
		require.NoError(f.T, f.server.ca.RecheckDomains(f.Context()))
		for _, k := range f.kept {
			if err := f.keep(k); err != nil && !f.unreachable {
				require.NoError(f.T, err, "%s at %v", k.name, f.now())
			}
			require.True(f.T, f.now().Before(k.leaf.NotAfter), "%s lapsed at %v", k.name, k.leaf.NotAfter)
		}
		require.LessOrEqual(f.T, f.count(`SELECT count(*) FROM acme_orders WHERE serial IS NULL`), 0)
	}
}

// keep asks when a certificate is best renewed, as often as the CA wants to be asked, and renews it when the time has come.
func (f *fortnight) keep(k *kept) error {
	patience := 20 * time.Second
	if f.unreachable {
		patience = time.Millisecond // the library tries for half a minute, and nothing changes meanwhile
	}
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	const every = 6 * time.Hour // what the CA says in Retry-After, which acmez tells by the machine's own clock
	if f.now().Sub(k.asked) >= every {
		info, err := f.client.GetRenewalInfo(ctx, k.leaf)
		if err != nil {
			return err
		}
		if k.asked = f.now(); !k.window.SameWindow(info) {
			k.window = info
		}
	}
	if f.now().Before(k.window.SelectedTime) {
		return nil
	}
	return f.renew(ctx, k)
}

func (f *fortnight) renew(ctx context.Context, k *kept) error {
	csr, err := request(k.key, k.name)
	if err != nil {
		return err
	}
	params, err := acmez.OrderParametersFromCSR(f.account, csr)
	if err != nil {
		return err
	}
	params.Replaces = k.leaf
	certificates, err := f.client.ObtainCertificate(ctx, params)
	if err != nil {
		return err
	}
	chain, err := pki.ParseCertificates(certificates[0].ChainPEM)
	if err != nil {
		return err
	}
	f.renewals++
	*k = kept{name: k.name, key: k.key, leaf: chain[0], asked: f.now()}
	k.window, err = f.client.GetRenewalInfo(ctx, k.leaf)
	return err
}

// count asks the database.
func (f *fortnight) count(query string) int {
	f.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: strings.TrimPrefix(f.server.cfg.Database, "sqlite:"), RawQuery: "mode=ro"}).String())
	require.NoError(f.T, err)
	defer func() { require.NoError(f.T, db.Close()) }()
	var n int
	require.NoError(f.T, db.QueryRow(query).Scan(&n))
	return n
}
