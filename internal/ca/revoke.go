package ca

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Revoke ends a certificate, pending ones included. Revoking again with the same reason changes nothing and is no error; the reason
// keyCompromise may follow any other, and any reason may follow certificateHold; every other second revocation is refused. After keyCompromise,
// the key is never certified again. To put a certificate on hold, which Release takes back, is an operator's.
func (c *CA) Revoke(ctx context.Context, p Principal, serial pki.Serial, reason pki.Reason) (*Certificate, error) {
	action := ActRevoke
	if reason == pki.CertificateHold {
		action = ActHold
	}
	cert, act, err := c.certificate(ctx, p, action, serial)
	if err != nil {
		return nil, err
	}
	if !reason.FitsLeaf() {
		return nil, c.refused(ctx, act, refuse(KindBadReason, "/reason", "The reason %s does not fit such a certificate: use one of %s.", reason, joined(pki.LeafReasons())))
	}
	return c.revoke(ctx, p, cert, reason, act)
}

// revoke carries out what was authorized.
func (c *CA) revoke(ctx context.Context, p Principal, cert *Certificate, reason pki.Reason, act Act) (*Certificate, error) {
	act.Event.Detail = map[string]string{"reason": reason.String(), "status": string(cert.Status(act.Event.At))}
	ctx = context.WithoutCancel(ctx)
	for {
		changed, err := c.tryRevoke(ctx, p, cert, reason, act)
		switch {
		case err == nil:
			return changed, nil
		case !errors.Is(err, ErrChanged):
			return nil, err
		}
		// Somebody was faster: go by what they made of it.
		if cert, err = c.store.Certificate(ctx, cert.Serial); err != nil {
			return nil, fmt.Errorf("reading the certificate %s: %w", act.Event.Object, err)
		}
	}
}

// tryRevoke revokes a certificate as it was read. ErrChanged: it has changed since.
func (c *CA) tryRevoke(ctx context.Context, p Principal, cert *Certificate, reason pki.Reason, act Act) (*Certificate, error) {
	delete(act.Event.Detail, "raised_from") // of a try before
	if cert.Revocation == nil {
		r := Revocation{At: act.Event.At, Reason: reason, By: p.Name}
		if err := c.store.RevokeCertificate(ctx, cert.Serial, r, act); err != nil {
			return nil, fmt.Errorf("revoking the certificate %s: %w", cert.Serial, err)
		}
		cert.Revocation = &r
		return cert, nil
	}
	was := cert.Revocation.Reason
	switch {
	case was == reason:
		return cert, nil
	case !slices.Contains(givesWayTo(reason), was):
		return nil, c.refused(ctx, act, refuse(KindRevoked, "/reason", "The certificate was revoked at %s (%s): that stands, and only keyCompromise may still be added.",
			cert.Revocation.At.Format("2006-01-02 15:04:05 MST"), was))
	}
	act.Event.Detail["raised_from"] = was.String()
	if err := c.store.RaiseRevocation(ctx, cert.Serial, was, reason, act); err != nil {
		return nil, fmt.Errorf("raising the revocation of %s: %w", cert.Serial, err)
	}
	cert.Revocation.Reason = reason
	return cert, nil
}

// givesWayTo are the reasons of an earlier revocation that a new one replaces; its time stays, as what was signed since then is in doubt. Of the
// reasons that are for good, only keyCompromise adds to what relying parties must know.
func givesWayTo(reason pki.Reason) []pki.Reason {
	switch reason {
	case pki.CertificateHold:
		return nil
	case pki.KeyCompromise:
		return slices.DeleteFunc(pki.LeafReasons(), func(r pki.Reason) bool { return r == reason })
	}
	return []pki.Reason{pki.CertificateHold}
}

// RevokePresented revokes a certificate that p presents: one of p's own app, or one of another whose names all belong to p's app by now, by proof or an
// operator's approval (RFC 8555, Section 7.6). The latter knows nothing of the key, so its reason is always cessationOfOperation. Unlike Revoke, it refuses
// what is revoked already.
func (c *CA) RevokePresented(ctx context.Context, p Principal, serial pki.Serial, fingerprint [32]byte, reason pki.Reason) error {
	now := c.clock()
	cert, err := c.store.Certificate(ctx, serial)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return fmt.Errorf("reading the certificate %s: %w", serial, err)
	}
	missing = missing || cert.App == "" || len(cert.Signature) == 0 || cert.Fingerprint != fingerprint
	action := ActRevokeOthers
	if !missing && cert.App == p.App {
		action = ActRevoke
	}
	act, err := c.authorize(ctx, now, p, action, target{app: p.App, object: serial.String()})
	if err != nil {
		return err
	}
	if missing {
		return c.refused(ctx, act, refuse(KindNotFound, "", "This is no certificate of this CA: present it whole, as it was issued."))
	}
	if action == ActRevokeOthers {
		if err := c.checkOwnsAll(ctx, now, p, cert); err != nil {
			return c.answer(ctx, act, err)
		}
		reason = pki.CessationOfOperation
		// In the audit log it is a revocation like others, of a certificate of the other app.
		act.Event.Action, act.Event.App = ActRevoke, cert.App
	}
	switch {
	case !reason.FitsLeaf() || reason == pki.CertificateHold:
		return c.refused(ctx, act, refuse(KindBadReason, "/reason", "The reason %s does not fit such a certificate.", reason))
	case cert.Revocation != nil && !slices.Contains(givesWayTo(reason), cert.Revocation.Reason):
		return c.refused(ctx, act, refuse(KindRevoked, "", "The certificate was revoked before (%s): nothing is left to do.", cert.Revocation.Reason))
	}
	_, err = c.revoke(ctx, p, cert, reason, act)
	return err
}

// checkOwnsAll refuses an app that does not hold every name of a certificate. What an open policy would let it have counts for nothing here.
func (c *CA) checkOwnsAll(ctx context.Context, now time.Time, p Principal, cert *Certificate) error {
	app, err := c.appOf(ctx, p.App)
	if err != nil {
		return err
	}
	_, missing, err := c.judgeAll(ctx, now, app, cert.Names)
	if err != nil {
		return err
	}
	for i, why := range missing {
		if why != "" {
			return refuse(KindForbidden, "", "The certificate is another app's, and has the name %s, which is not proven to be the app %s's: prove every name of it, or ask an operator.", cert.Names[i], app.ID)
		}
	}
	return nil
}

// Release takes a certificate off hold: it is as it was before. The next revocation list leaves it out (RFC 5280, Section 5.3.1: removeFromCRL is
// said in delta lists alone, of which there are none).
func (c *CA) Release(ctx context.Context, p Principal, serial pki.Serial) (*Certificate, error) {
	cert, act, err := c.certificate(ctx, p, ActRelease, serial)
	if err != nil {
		return nil, err
	}
	if cert.Revocation == nil {
		return cert, nil
	}
	notHeld := refuse(KindConflict, "", "The certificate %s is not on hold but revoked for good (%s): issue another.", serial, cert.Revocation.Reason)
	if cert.Revocation.Reason != pki.CertificateHold {
		return nil, c.refused(ctx, act, notHeld)
	}
	switch err := c.store.ReleaseCertificate(context.WithoutCancel(ctx), serial, act); {
	case errors.Is(err, ErrChanged):
		return c.Certificate(ctx, p, serial) // somebody was faster
	case err != nil:
		return nil, fmt.Errorf("releasing the certificate %s: %w", serial, err)
	}
	cert.Revocation = nil
	return cert, nil
}

// RevokeByKey revokes a certificate for keyCompromise at the wish of whoever holds its private key: the door has seen the proof that p holds the one
// of this public key. Nobody else than the key's owner should have it; and if it is the owner, that is a good reason too.
func (c *CA) RevokeByKey(ctx context.Context, p Principal, serial pki.Serial, key crypto.PublicKey) error {
	p = Principal{Name: "the holder of the key", Role: roleKeyHolder, Address: p.Address, RequestID: p.RequestID}
	cert, act, err := c.certificate(ctx, p, ActRevokeByKey, serial)
	if err != nil {
		return err
	}
	hash, err := pki.SPKIHash(key)
	if err != nil {
		return fmt.Errorf("hashing the public key: %w", err)
	}
	if hash != cert.SPKIHash {
		return c.refused(ctx, act, refuse(KindBadKey, "/proof", "The proof is by another key than that of the certificate %s: sign it with the certificate's own.", serial))
	}
	// In the audit log it is a revocation like others.
	act.Event.Action = ActRevoke
	_, err = c.revoke(ctx, p, cert, pki.KeyCompromise, act)
	return err
}

// keyAllowed refuses a key that is known to be in other hands.
func (c *CA) keyAllowed(ctx context.Context, hash [32]byte) error {
	switch blocked, err := c.store.KeyBlocked(ctx, hash); {
	case err != nil:
		return fmt.Errorf("asking whether the key is blocked: %w", err)
	case blocked:
		return refuse(KindBadKey, "/csr", "This key is blocked: a certificate with it was revoked for keyCompromise. Make a new key, and a CSR with it.")
	}
	return nil
}
