package main

import (
	"context"
	"net/http"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// ACMEConfig says how ACME accounts come to their apps. The zero value has each bound by a credential.
type ACMEConfig struct {
	OpenApp        string // the app of accounts without a credential; empty: there are none
	Terms, Website string // URLs for the directory; empty for none
}

// acme is the door for ACME clients.
func (s *Server) acme() http.Handler {
	cfg := acme.Config{
		CA: s.ca, Frame: s.frame, Store: s.store, NonceKey: s.nonceKey, OpenApp: s.cfg.ACME.OpenApp, Terms: s.cfg.ACME.Terms, Website: s.cfg.ACME.Website,
		Log: s.cfg.Log, Go: s.goOn,
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
	if s.cfg.CertificateFile != "" {
		return server // it is from elsewhere: whoever wants it trusted has seen to that
	}
	for _, i := range s.ca.Issuers() {
		if _, issues := i.Profile(issuer.ServerProfile); issues {
			server.Roots = append(server.Roots, pki.EncodeCertificate(i.Root().Raw)...)
		}
	}
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
