package ca

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Authorize is authorize for a door that keeps records of its own: the act that it returns is to be committed with the change that it is about.
func (c *CA) Authorize(ctx context.Context, p Principal, a Action, app, object string, detail map[string]string) (Act, error) {
	return c.authorize(ctx, c.clock(), p, a, target{app: app, object: object, detail: detail})
}

// eabPrefix marks the IDs of credentials for ACME accounts.
const eabPrefix = "eab_"

// CreateEAB makes a credential by which ACME accounts are bound to an app (RFC 8555, Section 7.3.4): its ID is the key ID, its Hash the MAC key,
// which is shown this once. It is kept as a developer's token whose secret nobody knows, so it opens no other door, and is listed and revoked
// like one. A revoked credential ends the accounts that it has bound; one that has expired binds no more, and leaves them be.
func (c *CA) CreateEAB(ctx context.Context, p Principal, app, name string, life time.Duration) (Token, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActCreateEAB, target{app: app, object: app, detail: map[string]string{"name": name}})
	if err != nil {
		return Token{}, err
	}
	if err := checkToken(p, NewToken{Name: name, Role: RoleDeveloper, App: app, Life: life}); err != nil {
		return Token{}, c.refused(ctx, act, err)
	}
	t := Token{
		ID: eabPrefix + randomText(9), Hash: newMACKey(), Name: name, Role: RoleDeveloper, App: app, Scopes: Scopes(ActRegister),
		CreatedAt: now, CreatedBy: p.Name,
	}
	if life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	act.Event.Object = t.ID
	switch err := c.store.CreateToken(context.WithoutCancel(ctx), t, act); {
	case errors.Is(err, ErrNotFound):
		return Token{}, c.refused(ctx, act, refuse(KindNotFound, "", "There is no app %q: look its ID up in the list (GET /v1/apps, or 'imca app list').", app))
	case err != nil:
		return Token{}, fmt.Errorf("recording the credential %s: %w", t.ID, err)
	}
	return t, nil
}

// newMACKey is a random key whose text does not begin with a hyphen: a client that takes it as an argument would read an option.
func newMACKey() [32]byte {
	for {
		key := sha256.Sum256([]byte(randomText(32)))
		if base64.RawURLEncoding.EncodeToString(key[:1])[0] != '-' {
			return key
		}
	}
}

// EAB is the credential with this ID, if it may bind an account at this moment. The refusals are events too.
func (c *CA) EAB(ctx context.Context, id, address, requestID string) (Token, error) {
	now := c.clock()
	refused := func(format string, args ...any) (Token, error) {
		act := Act{Event: c.event(now, Nobody(address, requestID), ActUseEAB, target{object: id})}
		return Token{}, c.refused(ctx, act, refuse(KindForbidden, "", format, args...))
	}
	if !strings.HasPrefix(id, eabPrefix) {
		return refused("%q is no key ID of this server: they begin with %q; check that it was copied whole.", oneLine(id), eabPrefix)
	}
	t, err := c.store.Token(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return refused("The key ID %q is not known here: check that it was copied whole and belongs to this server, or ask an operator for another.", oneLine(id))
	case err != nil:
		return Token{}, fmt.Errorf("looking up a credential: %w", err)
	case !t.RevokedAt.IsZero():
		return refused("The credential %q was revoked at %s: ask an operator for another.", t.Name, t.RevokedAt.Format(time.DateTime))
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return refused("The credential %q expired at %s: ask an operator for another.", t.Name, t.ExpiresAt.Format(time.DateTime))
	}
	if err := c.store.TouchToken(ctx, t.ID, now); err != nil {
		c.log.WarnContext(ctx, "remembering the use of a credential", "credential", t.ID, "error", err)
	}
	return t, nil
}
