package ca

import (
	"context"
	"errors"
	"fmt"

	"github.com/imca-project/imca/internal/pki"
)

// Revoke ends a certificate, pending ones included. Revoking again with the same reason changes nothing and is no error; the reason
// keyCompromise may follow any other; every other second revocation is refused.
func (c *CA) Revoke(ctx context.Context, p Principal, serial pki.Serial, reason pki.Reason) (*Certificate, error) {
	cert, act, err := c.certificate(ctx, p, ActRevoke, serial)
	if err != nil {
		return nil, err
	}
	if !reason.FitsLeaf() {
		return nil, c.refused(ctx, act, refuse(KindBadReason, "/reason", "The reason %s does not fit such a certificate: use one of %s.", reason, joined(pki.LeafReasons())))
	}
	now := act.Event.At
	act.Event.Detail = map[string]string{"reason": reason.String(), "status": string(cert.Status(now))}
	ctx = context.WithoutCancel(ctx)
	for cert.Revocation == nil {
		r := Revocation{At: now, Reason: reason, By: p.Name}
		err := c.store.RevokeCertificate(ctx, serial, r, act)
		if err == nil {
			cert.Revocation = &r
			return cert, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, fmt.Errorf("revoking the certificate %s: %w", serial, err)
		}
		// Somebody was faster: go by what they made of it.
		if cert, err = c.store.Certificate(ctx, serial); err != nil {
			return nil, fmt.Errorf("reading the certificate %s: %w", serial, err)
		}
	}
	return c.reRevoke(ctx, act, cert, reason)
}

// reRevoke judges a second revocation: only keyCompromise adds to what relying parties must know.
func (c *CA) reRevoke(ctx context.Context, act Act, cert *Certificate, reason pki.Reason) (*Certificate, error) {
	was := cert.Revocation.Reason
	switch {
	case was == reason:
		return cert, nil
	case reason != pki.KeyCompromise:
		return nil, c.refused(ctx, act, refuse(KindRevoked, "/reason", "The certificate was revoked at %s (%s): that stands, and only keyCompromise may still be added.",
			cert.Revocation.At.Format("2006-01-02 15:04:05 MST"), was))
	}
	act.Event.Detail["raised_from"] = was.String()
	err := c.store.RaiseRevocation(ctx, cert.Serial, was, reason, act)
	if err != nil && !errors.Is(err, ErrChanged) {
		return nil, fmt.Errorf("raising the revocation of %s: %w", cert.Serial, err)
	}
	cert.Revocation.Reason = reason
	return cert, nil
}
