package api

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func (d *door) addAppRoot(c *call) error {
	app, err := c.appID()
	if err != nil {
		return err
	}
	var req AppRootRequest
	if err := c.body(&req); err != nil {
		return err
	}
	r, added, err := d.ca.AddAppRoot(c.r.Context(), c.principal, app, []byte(req.Certificate))
	if err != nil {
		return err
	}
	shown, err := showAppRoot(r)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = c.created("/v1/apps/"+app+"/roots/"+shown.FingerprintSHA256, false)
	}
	return c.answer(status, shown)
}

func (d *door) listAppRoots(c *call) error {
	app, err := c.appID()
	if err != nil {
		return err
	}
	roots, err := d.ca.ListAppRoots(c.r.Context(), c.principal, app)
	if err != nil {
		return err
	}
	page := Page[AppRoot]{Items: make([]AppRoot, len(roots))}
	for i, r := range roots {
		if page.Items[i], err = showAppRoot(r); err != nil {
			return err
		}
	}
	return c.answer(http.StatusOK, page)
}

func (d *door) removeAppRoot(c *call) error {
	app, err := c.appID()
	if err != nil {
		return err
	}
	fingerprint, err := ca.ParseFingerprint(c.path("fingerprint"))
	if err != nil {
		return &ca.Error{Kind: ca.KindNotFound, Detail: sentence(err), Err: err}
	}
	if err := d.ca.RemoveAppRoot(c.r.Context(), c.principal, app, fingerprint); err != nil {
		return err
	}
	return c.write(http.StatusNoContent, nil)
}

func showAppRoot(r ca.AppRoot) (AppRoot, error) {
	parsed, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return AppRoot{}, fmt.Errorf("reading a root of %s: %w", r.App, err)
	}
	return AppRoot{
		FingerprintSHA256: hex.EncodeToString(r.Fingerprint[:]), App: r.App, Subject: parsed.Subject.String(), NotAfter: parsed.NotAfter.UTC(),
		Certificate: string(pki.EncodeCertificate(r.Certificate)), CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
	}, nil
}
