package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Bounds of a page.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// Certificate is the certificate with this serial, in any state. A developer sees those of the own app.
func (c *CA) Certificate(ctx context.Context, p Principal, serial pki.Serial) (*Certificate, error) {
	cert, _, err := c.certificate(ctx, p, ActReadCertificate, serial)
	return cert, err
}

// certificate finds the object of an act and authorizes the act on it. One that does not exist is answered like one of somebody else.
func (c *CA) certificate(ctx context.Context, p Principal, a Action, serial pki.Serial) (*Certificate, Act, error) {
	now := c.clock()
	cert, err := c.store.Certificate(ctx, serial)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return nil, Act{}, fmt.Errorf("reading the certificate %s: %w", serial, err)
	}
	t := target{object: serial.String()}
	if !missing {
		t.app = cert.App
	} else if p.Role == RoleDeveloper {
		t.app = p.App
	}
	act, err := c.authorize(ctx, now, p, a, t)
	if err == nil && missing {
		err = c.refused(ctx, act, refuse(KindNotFound, "", "There is no certificate with the serial %s: look it up in the list (GET /v1/certificates, or 'imca list').", serial))
	}
	if err != nil {
		return nil, Act{}, err
	}
	return cert, act, nil
}

// ListCertificates is a page of the certificates that the query selects. A developer sees those of the own app alone.
func (c *CA) ListCertificates(ctx context.Context, p Principal, q CertificateQuery) (CertificatePage, error) {
	now := c.clock()
	if p.Role == RoleDeveloper && q.App == "" {
		q.App = p.App
	}
	if _, err := c.authorize(ctx, now, p, ActReadCertificate, target{app: q.App}); err != nil {
		return CertificatePage{}, err
	}
	q.Now = now
	q.Suffix = strings.TrimPrefix(q.Suffix, ".")
	var err error
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return CertificatePage{}, err
	}
	return c.store.ListCertificates(ctx, q)
}

func pageSize(limit int) (int, error) {
	switch {
	case limit == 0:
		return DefaultPage, nil
	case limit < 0 || limit > MaxPage:
		return 0, refuse(KindInvalid, "limit", "A page has 1 to %d rows: ask for at most %d and go on with \"next\".", MaxPage, MaxPage)
	}
	return limit, nil
}

// ListEvents is a page of the audit log, newest first.
func (c *CA) ListEvents(ctx context.Context, p Principal, q EventQuery) ([]Event, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadEvents, target{}); err != nil {
		return nil, err
	}
	var err error
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, err
	}
	return c.store.ListEvents(ctx, q)
}

// History is what was done for an app and to its things, newest first, from beyond an event; of others than its developers it tells who they are, and
// not from where or by which token.
func (c *CA) History(ctx context.Context, p Principal, app string, beyond uuid.UUID, limit int) ([]Event, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadHistory, target{app: app, object: app}); err != nil {
		return nil, err
	}
	limit, err := pageSize(limit)
	if err != nil {
		return nil, err
	}
	events, err := c.store.ListEvents(ctx, EventQuery{App: app, Beyond: beyond, Limit: limit})
	for i := range events {
		if e := &events[i]; e.Role != RoleDeveloper {
			e.Address, e.RequestID, e.Token = "", "", ""
		}
	}
	return events, err
}

// IssuedProfile is a profile, and the authority that issues it.
type IssuedProfile struct {
	issuer.Profile
	Authority string
	Ready     bool // the authority's key is on this server
}

// ListProfiles is every profile, in the order of their authorities.
func (c *CA) ListProfiles(ctx context.Context, p Principal) ([]IssuedProfile, error) {
	// Profiles belong to nobody: a developer sees them as one of the own app's things.
	if _, err := c.authorize(ctx, c.clock(), p, ActReadProfiles, target{app: p.App}); err != nil {
		return nil, err
	}
	var profiles []IssuedProfile
	for _, i := range c.roster().issuers {
		for _, profile := range i.Profiles() {
			profiles = append(profiles, IssuedProfile{Profile: profile, Authority: i.Name(), Ready: i.CanSign()})
		}
	}
	return profiles, nil
}

// ListAuthorities is every authority, parents first.
func (c *CA) ListAuthorities(ctx context.Context, p Principal) ([]Authority, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadAuthorities, target{}); err != nil {
		return nil, err
	}
	return c.store.ListAuthorities(ctx)
}
