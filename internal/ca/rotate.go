package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of the overlap of a rotation.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// RotateToken makes a successor of a token, with the same name, role, app, scopes and life, and has the old one end after the overlap, so that
// its users can change over without haste. Everybody may rotate the token that they show; operators those of developers, administrators all.
func (c *CA) RotateToken(ctx context.Context, p Principal, id string, overlap time.Duration) (Token, string, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActRotateToken, target{app: p.App, object: id})
	if err != nil {
		return Token{}, "", err
	}
	t, secret, err := c.rotateToken(ctx, p, act, id, overlap)
	return t, secret, c.answer(ctx, act, err)
}

func (c *CA) rotateToken(ctx context.Context, p Principal, act Act, id string, overlap time.Duration) (Token, string, error) {
	now := act.Event.At
	if overlap < 0 || overlap > MaxOverlap {
		return Token{}, "", refuse(KindInvalid, "/overlap_hours", "The overlap is 0 to %d hours: give such a number.", MaxOverlap/time.Hour)
	}
	old, err := c.store.Token(ctx, id)
	missing := errors.Is(err, ErrNotFound)
	switch {
	case err != nil && !missing:
		return Token{}, "", fmt.Errorf("reading the token %s: %w", id, err)
	case missing || p.Token != id && p.Role == RoleDeveloper:
		return Token{}, "", refuse(KindNotFound, "", "There is no token %q that you may rotate: GET /v1/whoami tells the ID of the one that you show.", id)
	case p.Token != id && !p.Role.May(ActCreateToken):
		return Token{}, "", refuse(KindForbidden, "", "Only operators rotate other tokens than their own: ask one.")
	case p.Token != id && old.Role != RoleDeveloper && p.Role != RoleAdmin:
		return Token{}, "", refuse(KindForbidden, "", "Only an administrator rotates tokens of role %s: ask one.", old.Role)
	}
	if strings.HasPrefix(id, eabPrefix) {
		return Token{}, "", refuse(KindConflict, "", "%s is a credential for ACME accounts, which has no successor: make another (imca app eab), and let this one expire or revoke it.", id)
	}
	if refusal := givesOwn(p, old.Role, old.Scopes); refusal != nil {
		return Token{}, "", refusal
	}
	var life time.Duration
	if !old.ExpiresAt.IsZero() {
		life = old.ExpiresAt.Sub(old.CreatedAt)
	}
	successor, secret := mintToken(p, now, old, life)
	act.Event.App = old.App
	act.Event.Detail = map[string]string{"successor": successor.ID, "name": old.Name, "ends": now.Add(overlap).Format(time.RFC3339)}
	switch err := c.store.RotateToken(context.WithoutCancel(ctx), id, now, now.Add(overlap), successor, act); {
	case errors.Is(err, ErrChanged):
		return Token{}, "", refuse(KindConflict, "", "The token %s is valid no more, and so has no successor: make a new one (POST /v1/tokens, or 'imca token create').", id)
	case err != nil:
		return Token{}, "", fmt.Errorf("recording the successor of the token %s: %w", id, err)
	}
	return successor, secret, nil
}
