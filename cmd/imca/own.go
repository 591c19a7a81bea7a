package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// ownApp is the app that the server's own certificates belong to.
const ownApp = "imca"

// ownLife is how long the server's own certificate lasts. Its key stays in memory, so each start makes another: a short life keeps the list
// of those that are left behind short.
const ownLife = 7 // days

// itself is the principal of what the server does for itself.
func itself() ca.Principal { return ca.Principal{Name: "imca", Role: ca.RoleOperator} }

// ownCertificate is the certificate of the server's own HTTPS: it issues itself one by the rules that hold for everyone, and renews it
// long before it ends, without a restart.
type ownCertificate struct {
	authority *ca.CA // over the same records, with these names for a policy
	names     []string
	now       func() time.Time
	log       *slog.Logger

	current atomic.Pointer[tls.Certificate]
}

// newOwnCertificate issues the first one, by a CA like that of cfg. The names need not be public: the operator has given them in the configuration.
func newOwnCertificate(ctx context.Context, cfg ca.Config, names []pki.Name) (*ownCertificate, error) {
	o := &ownCertificate{now: cfg.Now, log: cfg.Log}
	var policy ca.NamePolicy
	for _, n := range names {
		o.names = append(o.names, n.String())
		if n.IsIP() {
			policy.AllowAddresses = append(policy.AllowAddresses, netip.PrefixFrom(n.Addr(), n.Addr().BitLen()))
		} else {
			policy.AllowInternal = append(policy.AllowInternal, n.Base().String())
		}
	}
	cfg.Names = policy
	var err error
	if o.authority, err = ca.New(cfg); err != nil {
		return nil, err
	}
	if err := o.admit(ctx, cfg.Store); err != nil {
		return nil, fmt.Errorf("preparing the server's own certificate: %w", err)
	}
	return o, o.renew(ctx)
}

// admit sees to the app that has the names: these, and those of other servers on the same database.
func (o *ownCertificate) admit(ctx context.Context, store ca.Store) error {
	app, err := ensureApp(ctx, store, o.authority, itself(), ca.NewApp{
		ID: ownApp, Name: "This server's own HTTPS", Policy: ca.PolicyList, Allowed: o.names,
	})
	if err != nil {
		return err
	}
	allowed := slices.Clone(app.Allowed)
	for _, name := range o.names {
		if !slices.Contains(allowed, name) {
			allowed = append(allowed, name)
		}
	}
	if len(allowed) > len(app.Allowed) {
		_, err = o.authority.ChangeApp(ctx, itself(), ownApp, ca.AppChange{Allowed: &allowed})
	}
	return err
}

// ensureApp is the app with an ID, made if there is none.
func ensureApp(ctx context.Context, store ca.Store, authority *ca.CA, p ca.Principal, want ca.NewApp) (ca.App, error) {
	app, err := store.App(ctx, want.ID)
	if !errors.Is(err, ca.ErrNotFound) {
		return app, err
	}
	app, _, err = authority.CreateApp(ctx, p, want)
	if isKind(err, ca.KindConflict) {
		return store.App(ctx, want.ID) // another server that started at the same moment has made it
	}
	return app, err
}

// isKind tells whether an error is a refusal of a kind.
func isKind(err error, kind ca.Kind) bool {
	var refusal *ca.Error
	return errors.As(err, &refusal) && refusal.Kind == kind
}

func (o *ownCertificate) renew(ctx context.Context) error {
	days := ownLife
	for _, i := range o.authority.Issuers() {
		if p, known := i.Profile(issuer.ServerProfile); known {
			days = min(days, int(p.MaxValidity/(24*time.Hour)))
		}
	}
	issued, err := o.authority.Issue(ctx, itself(), ca.IssueRequest{App: ownApp, Domains: o.names, ValidityDays: &days})
	if err != nil {
		return fmt.Errorf("issuing the server's own certificate: %w", err)
	}
	chain, err := chainOf(o.authority, issued.Certificate)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, issued.PrivateKey)
	if err != nil {
		return fmt.Errorf("using the server's own certificate: %w", err)
	}
	o.current.Store(&pair)
	o.log.InfoContext(ctx, "issued the server's own certificate", "serial", issued.Certificate.Serial, "names", o.names, "not_after", issued.Certificate.NotAfter)
	return nil
}

// chainOf is a certificate and those between it and the root, in PEM.
func chainOf(authority *ca.CA, c *ca.Certificate) ([]byte, error) {
	der, err := c.DER()
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", c.Serial, err)
	}
	chain := pki.EncodeCertificate(der)
	for _, i := range authority.Issuers() {
		if i.Name() != c.Authority {
			continue
		}
		above := i.Certificate()
		for _, next := range i.Chain() {
			chain = append(chain, pki.EncodeCertificate(above.Raw)...)
			above = next
		}
	}
	return chain, nil
}

// upkeep renews the certificate when a third of its life is left.
func (o *ownCertificate) upkeep(ctx context.Context) {
	if leaf := o.current.Load().Leaf; worn(leaf.NotBefore, leaf.NotAfter, o.now()) {
		_, err := o.authority.FollowAuthorities(ctx)
		if err == nil {
			err = o.renew(ctx)
		}
		if err != nil {
			o.log.ErrorContext(ctx, "renewing the server's own certificate; it is tried again in a minute", "error", err)
		}
	}
}

// worn tells whether less than a third of a certificate's life is left.
func worn(notBefore, notAfter, now time.Time) bool {
	return notAfter.Sub(now) < notAfter.Sub(notBefore)/3
}

func (o *ownCertificate) certificate() *tls.Certificate { return o.current.Load() }

// fileCertificate is a certificate from files, read again when one of them has changed.
type fileCertificate struct {
	crt, key string
	log      *slog.Logger

	current atomic.Pointer[tls.Certificate]
	changed [2]time.Time // of both files, when they were read last
}

func newFileCertificate(crt, key string, log *slog.Logger) (*fileCertificate, error) {
	f := &fileCertificate{crt: crt, key: key, log: log}
	return f, f.read()
}

func (f *fileCertificate) read() error {
	changed, err := f.times()
	if err != nil {
		return fmt.Errorf("reading the server's certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(f.crt, f.key)
	if err != nil {
		return fmt.Errorf("reading the server's certificate: %w: check that tls.certificate and tls.key are PEM files that belong together", err)
	}
	f.current.Store(&pair)
	f.changed = changed
	return nil
}

func (f *fileCertificate) times() (times [2]time.Time, err error) {
	for i, path := range []string{f.crt, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return times, err
		}
		times[i] = info.ModTime()
	}
	return times, nil
}

// upkeep reads changed files. While they are half-way replaced, the old pair stays.
func (f *fileCertificate) upkeep(ctx context.Context) {
	if changed, err := f.times(); err == nil && changed == f.changed {
		return
	}
	if err := f.read(); err != nil {
		f.log.ErrorContext(ctx, "the server's certificate has changed and cannot be read; the one before stays", "error", err)
		return
	}
	f.log.InfoContext(ctx, "read the server's certificate anew", "not_after", f.certificate().Leaf.NotAfter)
}

func (f *fileCertificate) certificate() *tls.Certificate { return f.current.Load() }
