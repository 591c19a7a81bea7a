package ca

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// AppRoot is a CA certificate, beside the public ones and ours, under which an app's own server certificates stand. Checks of the app's endpoints
// go by it; whoever calls the endpoints has to know it too, which is why operators add it and not developers.
type AppRoot struct {
	App         string
	Fingerprint [32]byte // SHA-256 over Certificate
	Certificate []byte   // DER
	CreatedAt   time.Time
	CreatedBy   string // the principal's name
}

// AppRoots keeps them.
type AppRoots interface {
	// AddAppRoot: ErrExists when the app has it, ErrFull when it has that many.
	AddAppRoot(ctx context.Context, r AppRoot, most int, act Act) error
	// ListAppRoots are those of an app, oldest first.
	ListAppRoots(ctx context.Context, app string) ([]AppRoot, error)
	// RemoveAppRoot: ErrNotFound when the app does not have it.
	RemoveAppRoot(ctx context.Context, app string, fingerprint [32]byte, act Act) error
}

// maxAppRoots is how many an app may have.
const maxAppRoots = 10

// AddAppRoot has checks of an app's endpoints accept server certificates under a CA certificate, given in PEM. It may be repeated; added is false then.
func (c *CA) AddAppRoot(ctx context.Context, p Principal, app string, certificate []byte) (_ AppRoot, added bool, err error) {
	act, err := c.authorize(ctx, c.clock(), p, ActAddRoot, target{app: app, object: app})
	if err != nil {
		return AppRoot{}, false, err
	}
	r, added, err := c.addAppRoot(ctx, p, app, certificate, act)
	return r, added, c.answer(ctx, act, err)
}

func (c *CA) addAppRoot(ctx context.Context, p Principal, app string, certificate []byte, act Act) (_ AppRoot, added bool, err error) {
	if _, err := c.appOf(ctx, app); err != nil {
		return AppRoot{}, false, err
	}
	certificates, err := pki.ParseCertificates(certificate)
	switch {
	case err != nil:
		return AppRoot{}, false, &Error{Kind: KindInvalid, Field: "/certificate", Detail: sentence(err), Err: err}
	case len(certificates) != 1:
		return AppRoot{}, false, refuse(KindInvalid, "/certificate", "These are %d certificates: add one at a time.", len(certificates))
	}
	root := certificates[0]
	switch {
	case !root.IsCA || !root.BasicConstraintsValid || root.KeyUsage != 0 && root.KeyUsage&x509.KeyUsageCertSign == 0:
		return AppRoot{}, false, refuse(KindInvalid, "/certificate", "This is no certificate of a CA: give the root under which the server's certificate stands, not the server's.")
	case act.Event.At.After(root.NotAfter):
		return AppRoot{}, false, refuse(KindInvalid, "/certificate", "This CA certificate ended at %s: give the one that followed it.", root.NotAfter.UTC().Format(time.DateTime))
	}
	r := AppRoot{App: app, Fingerprint: sha256.Sum256(root.Raw), Certificate: root.Raw, CreatedAt: act.Event.At, CreatedBy: p.Name}
	act.Event.Detail = map[string]string{"fingerprint_sha256": hex.EncodeToString(r.Fingerprint[:]), "subject": oneLine(root.Subject.String())}
	switch err := c.store.AddAppRoot(context.WithoutCancel(ctx), r, maxAppRoots, act); {
	case errors.Is(err, ErrExists):
		return r, false, nil
	case errors.Is(err, ErrFull):
		return AppRoot{}, false, refuse(KindConflict, "", "The app %s has %d roots, which is the most: remove one (DELETE /v1/apps/%s/roots/{fingerprint}).", app, maxAppRoots, app)
	case err != nil:
		return AppRoot{}, false, fmt.Errorf("recording a root of %s: %w", app, err)
	}
	return r, true, nil
}

// ListAppRoots are those of an app, oldest first.
func (c *CA) ListAppRoots(ctx context.Context, p Principal, app string) ([]AppRoot, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadRoot, target{app: app}); err != nil {
		return nil, err
	}
	return c.store.ListAppRoots(ctx, app)
}

// RemoveAppRoot takes it away again.
func (c *CA) RemoveAppRoot(ctx context.Context, p Principal, app string, fingerprint [32]byte) error {
	text := hex.EncodeToString(fingerprint[:])
	act, err := c.authorize(ctx, c.clock(), p, ActRemoveRoot, target{app: app, object: app, detail: map[string]string{"fingerprint_sha256": text}})
	if err != nil {
		return err
	}
	err = c.store.RemoveAppRoot(context.WithoutCancel(ctx), app, fingerprint, act)
	if errors.Is(err, ErrNotFound) {
		return c.refused(ctx, act, refuse(KindNotFound, "", "The app %s has no root with the fingerprint %s: look it up in the list (GET /v1/apps/%s/roots).", oneLine(app), text, oneLine(app)))
	}
	if err != nil {
		return fmt.Errorf("removing a root of %s: %w", app, err)
	}
	return nil
}

// rootsOf are the roots of an app for a check.
func (c *CA) rootsOf(ctx context.Context, app string) ([]*x509.Certificate, error) {
	if app == "" {
		return nil, nil
	}
	stored, err := c.store.ListAppRoots(ctx, app)
	if err != nil {
		return nil, fmt.Errorf("reading the roots of %s: %w", app, err)
	}
	var roots []*x509.Certificate
	for _, r := range stored {
		root, err := parseCertificate(r.Certificate)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}
