package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/console"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/web"
)

func newServe(p *program) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "serve --config FILE", Short: "Run the server", Args: noArgs,
		Long: `Run the server of a configuration (docs/configuration.md). It brings the schema of the database up to date, serves REST over HTTPS
only, and issues and renews its own certificate. It does not start with a configuration that would let others in: secrets
that everyone on the machine can read, or that are missing. Any number of servers may share one PostgreSQL.

SIGTERM or Ctrl-C ends it: requests under way are finished, and what they have changed is committed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), p, path) },
	}
	configFlag(cmd, &path)
	return cmd
}

func runServe(ctx context.Context, p *program, path string) error {
	s, err := loadSecure(path)
	if err != nil {
		return err
	}
	url, err := s.databaseURL()
	if err != nil {
		return err
	}
	k, err := s.keyStore()
	if err != nil {
		return err
	}
	collectLessOften()
	log := slog.New(slog.NewJSONHandler(p.err, &slog.HandlerOptions{Level: s.logLevel}))
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	shown, err := s.shown()
	if err != nil {
		return err
	}
	server, err := NewServer(ctx, ServerConfig{
		Settings: shown, Database: url, HTTPS: listener(s.Listen.HTTPS), HTTP: listener(s.Listen.HTTP), Ops: listener(s.Listen.Ops),
		BaseURL: s.PublicURL, OpenKey: k.open, Profiles: s.profiles, Names: s.names, Proof: s.proof, Doors: s.proof.Egress, OIDC: s.OIDC, Machines: s.Machines, CRLs: s.crls,
		OwnNames: s.ownNames, CertificateFile: s.TLS.Certificate, KeyFile: s.TLS.Key, ClientName: s.clientName,
		ACME: acmeConfig(s.ACME),
		Limits: web.Limits{
			Address: web.Rate{PerSecond: s.Limits.AddressPerSecond, Burst: s.Limits.AddressBurst},
			Token:   web.Rate{PerSecond: s.Limits.TokenPerSecond, Burst: s.Limits.TokenBurst},
		},
		Proxies: s.proxies, Grace: time.Duration(s.Limits.ShutdownSeconds) * time.Second, Log: log,
	})
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	log.Info("serving", "version", version)
	select {
	case err = <-server.Failed():
	case <-ctx.Done():
		stop() // a second signal ends it at once
		log.Info("ending: requests under way are finished")
	}
	return errors.Join(err, server.Close())
}

// shown is the configuration as operators see it in their browser.
func (s *settings) shown() ([]console.Setting, error) {
	lines, err := s.Lines()
	var shown []console.Setting
	for _, l := range lines {
		shown = append(shown, console.Setting{Path: l.Path, Value: l.Value})
	}
	return shown, err
}

// collectLessOften lets the heap of a server grow to three times what is alive before garbage is collected, instead of twice: issuing makes much
// garbage and keeps little, and spends a good part of its time on it. GOGC has the last word.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// listener is an address of the configuration as a ServerConfig takes it.
func listener(address string) string {
	if address == config.Off {
		return ""
	}
	return address
}

// loadSecure is loadSettings for commands that use secrets: what would let others in is a fault too.
func loadSecure(path string) (*settings, error) {
	s, err := loadSettings(path)
	if s == nil {
		return nil, err
	}
	return s, joinFaults(s, err, s.open())
}

// keyStore is the folder of the CA's keys, with its passphrase.
func (s *settings) keyStore() (*keyStore, error) {
	passphrase, err := keys.Passphrase(s.CA.Passphrase)
	if err != nil {
		return nil, usageError{err}
	}
	return &keyStore{folder: s.CA.Keys, passphrase: passphrase}, nil
}
