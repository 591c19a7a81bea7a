package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/console"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// devOptions are the flags of 'imca dev'.
type devOptions struct {
	data, https, http, database, hierarchy, logLevel string

	domains           string
	httpPort, tlsPort uint16
	resolver          string
	allowEgress       []string
	acmeEAB           string
}

// The values of --acme-eab.
const (
	eabOptional = "optional"
	eabRequired = "required"
)

func newDev(p *program) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use: "dev", Short: "Run everything on this machine, to try it", Args: noArgs,
		Long: `Run everything on this machine: a CA made at the first start, an embedded database, HTTPS with its own certificate, and a
demo app that may have certificates for any name. It listens on loopback only, so nobody else can reach it.

What it needs is kept in the data folder, and used again at the next start. In that folder are the tokens and CA certificates to
work with; other commands find them there by themselves.`,
		Example: "  imca dev\n  imca dev --data /tmp/try --https 127.0.0.1:9443 --http 127.0.0.1:9080 --hierarchy separate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd.Context(), p, o, cmd.Flags().Changed("hierarchy"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", defaultData, "the folder for everything that is kept")
	flags.StringVar(&o.https, "https", "127.0.0.1:8443", "where to listen for REST")
	flags.StringVar(&o.http, "http", "127.0.0.1:8080", "where to listen for plain HTTP: CA certificates and health")
	flags.StringVar(&o.database, "database", "", "postgres://USER:PASSWORD@HOST/NAME or sqlite:FILE (default: SQLite in the data folder)")
	flags.StringVar(&o.hierarchy, "hierarchy", string(ca.HierarchyDirect), "the shape of a CA that is made: direct, issuing or separate")
	flags.StringVar(&o.logLevel, "log-level", "info", "the least important thing to log: debug, info, warn or error")
	flags.StringVar(&o.domains, "domains", "", "how the demo app comes to names: open, prove or approve (default: open, or as it was)")
	flags.Uint16Var(&o.httpPort, "http01-port", 80, "where developers' servers are asked for proofs by http-01")
	flags.Uint16Var(&o.tlsPort, "tlsalpn01-port", 443, "where they are asked by tls-alpn-01")
	flags.StringVar(&o.resolver, "resolver", "", "the DNS server to ask, ADDRESS:PORT (default: the system's)")
	flags.StringArrayVar(&o.allowEgress, "allow-egress", nil, "a range of addresses that are called, and certified, although they are not public, such as 127.0.0.0/8; several times for several")
	flags.StringVar(&o.acmeEAB, "acme-eab", eabOptional, "whether ACME accounts need a credential (imca app eab): optional, where one without acts for the demo app, or required")
	oneOf(cmd, "acme-eab", []string{eabOptional, eabRequired})
	oneOf(cmd, "domains", []ca.DomainPolicy{ca.PolicyOpen, ca.PolicyProve, ca.PolicyApprove})
	oneOf(cmd, "hierarchy", ca.Hierarchies())
	oneOf(cmd, "log-level", []string{"debug", "info", "warn", "error"})
	return cmd
}

// runDev serves until Ctrl-C.
func runDev(ctx context.Context, p *program, o devOptions, hierarchyGiven bool) error {
	for flag, address := range map[string]string{"--https": o.https, "--http": o.http} {
		if err := loopbackOnly(flag, address); err != nil {
			return err
		}
	}
	if o.acmeEAB != eabOptional && o.acmeEAB != eabRequired {
		return usageError{fmt.Errorf("--acme-eab %s: use optional or required", o.acmeEAB)}
	}
	if o.domains != "" && !slices.Contains([]string{"open", "prove", "approve"}, o.domains) {
		return usageError{fmt.Errorf("--domains %s: use open, prove or approve", o.domains)}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageError{fmt.Errorf("--log-level %s: use debug, info, warn or error", o.logLevel)}
	}
	collectLessOften()
	log := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	d := dataFolder(o.data)
	server, err := d.server(ctx, o, hierarchyGiven, log)
	if err != nil {
		return err
	}
	if err := d.open(ctx, server, o); err != nil {
		return errors.Join(err, server.Close())
	}
	d.welcome(p, server, o)
	return d.serve(ctx, stop, p, server)
}

// settings are the options as the web pages show them; the address of the database may have a password in it.
func (o devOptions) settings() []console.Setting {
	return []console.Setting{
		{Path: "--data", Value: o.data}, {Path: "--https", Value: o.https}, {Path: "--http", Value: o.http}, {Path: "--hierarchy", Value: o.hierarchy},
		{Path: "--domains", Value: o.domains}, {Path: "--http01-port", Value: fmt.Sprint(o.httpPort)}, {Path: "--tlsalpn01-port", Value: fmt.Sprint(o.tlsPort)},
		{Path: "--resolver", Value: o.resolver}, {Path: "--allow-egress", Value: strings.Join(o.allowEgress, " ")}, {Path: "--acme-eab", Value: o.acmeEAB},
		{Path: "--log-level", Value: o.logLevel},
	}
}

// loopbackOnly refuses an address that others could reach, and a port that is not known beforehand.
func loopbackOnly(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" || port == "0" {
		return usageError{fmt.Errorf("%s %s: write HOST:PORT, such as 127.0.0.1:8443", flag, address)}
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return usageError{fmt.Errorf("%s %s: 'imca dev' has a demo token and listens on loopback only: use 127.0.0.1, or 'imca serve' for a server that others reach", flag, address)}
	}
	return nil
}

// server builds the server on the folder; the CA is made if there is none.
func (d dataFolder) server(ctx context.Context, o devOptions, hierarchyGiven bool, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	passphrase, err := d.passphrase()
	if err != nil {
		return nil, err
	}
	k := &keyStore{folder: d.path("keys"), passphrase: passphrase}
	database, err := d.database(o.database)
	if err != nil {
		return nil, err
	}
	if err := d.establish(ctx, database, o.hierarchy, hierarchyGiven, k); err != nil {
		return nil, err
	}
	names := localNames()
	clientName, err := pki.ParseName(config.Default().ClientName)
	if err != nil {
		return nil, fmt.Errorf("reading the default client name: %w", err)
	}
	host, _, _ := net.SplitHostPort(o.https)
	if name, err := pki.ParseName(host); err == nil && !slices.Contains(names, name) {
		names = append(names, name)
	}
	proof, err := d.proof(o)
	if err != nil {
		return nil, err
	}
	accounts := ACMEConfig{OpenApp: demoApp}
	if o.acmeEAB == eabRequired {
		accounts.OpenApp = ""
	}
	doors := proof.Egress // a server to try is on this machine
	doors.Allow = append(slices.Clone(doors.Allow), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	return NewServer(ctx, ServerConfig{
		Settings: o.settings(), ACME: accounts, Proof: proof, Doors: doors, Database: database, HTTPS: o.https, HTTP: o.http, BaseURL: "http://" + o.http, OpenKey: k.open,
		Names: ca.NamePolicy{AllowAddresses: proof.Egress.Allow}, OwnNames: names, ClientName: clientName, Grace: 10 * time.Second, Log: log,
		// One machine, and one person on it: limits would only be in the way of trying how fast it is.
		Limits: web.Limits{Address: web.Rate{PerSecond: -1}, Token: web.Rate{PerSecond: -1}},
	})
}

// devIdentity is what CAA and standing records call the CA of 'imca dev': a name that belongs to nobody (RFC 6761, Section 6.2).
const devIdentity = "imca.test"

// proof is how names are proven to it.
func (d dataFolder) proof(o devOptions) (ProofConfig, error) {
	cfg := ProofConfig{
		Rules:  ca.DomainRules{Identity: devIdentity, HTTPPort: o.httpPort, TLSPort: o.tlsPort},
		Egress: egress.Config{Resolver: o.resolver},
		ClientCertificate: func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(d.path(platformCert), d.path(platformKey))
			return &pair, err
		},
	}
	if o.domains != string(ca.PolicyOpen) { // new apps are closed unless somebody opens them
		cfg.Rules.Policy = ca.DomainPolicy(o.domains)
	}
	for _, text := range o.allowEgress {
		r, err := config.ParseRange(text)
		if err != nil {
			return cfg, usageError{fmt.Errorf("--allow-egress: %w", err)}
		}
		cfg.Egress.Allow = append(cfg.Egress.Allow, r)
	}
	if _, err := egress.New(cfg.Egress); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// database is the URL of the database: as given, or a file in the folder.
func (d dataFolder) database(given string) (string, error) {
	if given == "" {
		given = "sqlite:" + d.path(databaseFile)
	}
	path, is := strings.CutPrefix(given, "sqlite:")
	if !is {
		return given, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the database: %w", err)
	}
	return "sqlite:" + path, nil
}

func (d dataFolder) establish(ctx context.Context, database, hierarchy string, given bool, k *keyStore) (err error) {
	store, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	authorities, _, err := establish(ctx, store, ca.Establishment{Hierarchy: ca.Hierarchy(hierarchy)}, k, time.Now())
	if err != nil {
		return err
	}
	if shape := hierarchyOf(authorities); given && string(shape) != hierarchy {
		return usageError{fmt.Errorf("--hierarchy %s: there is a CA with the hierarchy %s already, and it stays: leave the flag out, or try the other in a folder of its own with --data", hierarchy, shape)}
	}
	return nil
}

// open fills the folder and starts the server.
func (d dataFolder) open(ctx context.Context, s *Server, o devOptions) error {
	root, err := d.provision(ctx, s.store, s.ca, s.cfg.ClientName, ca.DomainPolicy(o.domains), time.Now())
	if err != nil {
		return err
	}
	if err := d.remember(devState{URL: "https://" + o.https, BaseURL: s.cfg.BaseURL, CA: root, Database: s.cfg.Database}); err != nil {
		return err
	}
	return s.Start()
}

// keepUp brings the folder up to date: the platform's certificate, and the files of the roots during a roll-over.
func (d dataFolder) keepUp(ctx context.Context, s *Server, now time.Time) error {
	root, err := d.provision(ctx, s.store, s.ca, s.cfg.ClientName, "", now)
	if err != nil {
		return err
	}
	state, err := d.state()
	if err != nil || state.CA == root {
		return err
	}
	state.CA = root
	return d.remember(state)
}

// serve waits for the end, and keeps the folder up to date until then.
func (d dataFolder) serve(ctx context.Context, stop context.CancelFunc, p *program, s *Server) error {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		select {
		case err := <-s.Failed():
			return errors.Join(err, s.Close())
		case <-hour.C:
			if err := d.keepUp(ctx, s, time.Now()); err != nil {
				s.cfg.Log.Error("renewing what is in the data folder; it is tried again in an hour", "error", err)
			}
		case <-ctx.Done():
			stop() // a second Ctrl-C ends it at once
			p.note("\nEnding. Everything is kept in %s and used again at the next start.", d)
			return s.Close()
		}
	}
}
