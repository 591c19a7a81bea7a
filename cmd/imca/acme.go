package main

import (
	"context"
	"net/http"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
)

// ACMEConfig says how ACME accounts come to their apps. The zero value has each bound by a credential.
type ACMEConfig struct {
	URL            string // where clients find the server; empty: where each says that it went
	OpenApp        string // the app of accounts without a credential; empty: there are none
	Terms, Website string // URLs for the directory; empty for none
	Limits         acme.Limits
}

// acmeConfig is the configuration as a ServerConfig takes it.
func acmeConfig(c config.ACME) ACMEConfig {
	return ACMEConfig{
		URL: c.URL, OpenApp: c.OpenApp, Terms: c.Terms, Website: c.Website,
		Limits: acme.Limits{
			OpenOrders: *c.OpenOrders, AccountsPerAddressHour: *c.AccountsPerAddressHour, AccountsPerAppHour: *c.AccountsPerAppHour,
			FailuresPerNameHour: *c.FailuresPerNameHour,
		},
	}
}

// acme is the door for ACME clients.
func (s *Server) acme() http.Handler {
	cfg := acme.Config{
		CA: s.ca, Frame: s.frame, Store: s.store, NonceKey: s.nonceKey, URL: s.cfg.ACME.URL, OpenApp: s.cfg.ACME.OpenApp,
		Terms: s.cfg.ACME.Terms, Website: s.cfg.ACME.Website, Limits: s.cfg.ACME.Limits, Log: s.cfg.Log, Go: s.goOn,
	}
	if identity := s.cfg.Proof.Rules.Identity; identity != "" {
		cfg.CAAIdentities = []string{identity}
	}
	return acme.New(cfg)
}

// acmeServer is the server as ACME clients reach it.
func (s *Server) acmeServer() acmelines.Server {
	rules := s.cfg.Proof.Rules
	server := acmelines.Server{HTTPPort: int(rules.HTTPPort), TLSPort: int(rules.TLSPort)}
	if s.cfg.ACME.URL != "" {
		server.Directory = s.cfg.ACME.URL + "/acme/directory"
	}
	if s.cfg.CertificateFile != "" {
		return server // it is from elsewhere: whoever wants it trusted has seen to that
	}
	server.Roots, _ = rootsFor(s.ca, ca.UsageServerAuth) // the next one too: the server renews its certificate without asking its clients
	return server
}

// goOn runs what goes on after its request, until the server ends.
func (s *Server) goOn(task func(ctx context.Context)) {
	if s.life.Err() == nil {
		s.background.Go(func() { task(s.life) })
	}
}

// sweep forgets what has had its time.
func (s *Server) sweep(ctx context.Context) error {
	if err := s.ca.Sweep(ctx); err != nil {
		return err
	}
	return acme.Sweep(ctx, s.store, s.cfg.Now())
}
