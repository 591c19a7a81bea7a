package ca

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tokenPrefix marks our tokens, so that scanners find those that leak.
const tokenPrefix = "imca_"

// tokenIDPrefix begins the ID of every token.
const tokenIDPrefix = "tok_"

// NewToken asks for a token.
type NewToken struct {
	Name           string // 1–100 printable characters
	Role           Role
	App            string        // required for a developer, refused for the other roles
	Life           time.Duration // zero: never expires
	Scopes         []string      // actions that it is good for; empty: all of its role's
	IdempotencyKey string
}

// CreateToken makes a token and returns it with its secret, which is shown this once and not kept. Operators make tokens for developers,
// administrators for every role. A replay (idempotency key) returns the token without the secret.
func (c *CA) CreateToken(ctx context.Context, p Principal, req NewToken) (Token, string, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActCreateToken, target{app: req.App, detail: map[string]string{"name": req.Name, "role": string(req.Role)}})
	if err != nil {
		return Token{}, "", err
	}
	if err := checkToken(p, req); err != nil {
		return Token{}, "", c.refused(ctx, act, err)
	}
	scopes, refusal := parseScopes(req.Scopes, req.Role)
	if refusal == nil {
		refusal = givesOwn(p, req.Role, scopes)
	}
	if refusal != nil {
		return Token{}, "", c.refused(ctx, act, refusal)
	}
	t, secret := mintToken(p, now, Token{Name: req.Name, Role: req.Role, App: req.App, Scopes: scopes}, req.Life)
	asked, key := req, req.IdempotencyKey
	asked.IdempotencyKey = ""
	if act.Claim, err = claimFor(p, key, asked, now); err != nil {
		return Token{}, "", c.answer(ctx, act, err)
	}
	if act.Claim != nil {
		act.Claim.Object = t.ID
	}
	act.Event.Object = t.ID
	var claimed *ClaimedError
	switch err := c.store.CreateToken(context.WithoutCancel(ctx), t, act); {
	case errors.As(err, &claimed):
		if claimed.Earlier.Request != act.Claim.Request {
			return Token{}, "", c.refused(ctx, act, keyReused())
		}
		t, err := c.store.Token(ctx, claimed.Earlier.Object)
		return t, "", err
	case errors.Is(err, ErrNotFound):
		return Token{}, "", c.refused(ctx, act, refuse(KindInvalid, "/app", "There is no app %q: create it first (POST /v1/apps, or 'imca app create').", req.App))
	case err != nil:
		return Token{}, "", fmt.Errorf("recording the token %s: %w", t.ID, err)
	}
	return t, secret, nil
}

// mintToken makes a token like another one.
func mintToken(p Principal, now time.Time, like Token, life time.Duration) (Token, string) {
	secret := tokenPrefix + randomText(32)
	t := Token{
		ID: tokenIDPrefix + randomText(9), Hash: sha256.Sum256([]byte(secret)), Name: like.Name, Role: like.Role, App: like.App, Scopes: like.Scopes,
		CreatedAt: now, CreatedBy: p.Name,
	}
	if life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	return t, secret
}

// givesOwn refuses a token that is good for more than the scoped one with which it is made.
func givesOwn(p Principal, role Role, scopes Scopes) *Error {
	if p.Scopes == "" {
		return nil
	}
	given := permissions[role]
	if scopes != "" {
		given = nil
		for _, s := range strings.Fields(string(scopes)) {
			given = append(given, Action(s))
		}
	}
	for _, a := range given {
		if !p.Scopes.Allow(a) {
			return refuse(KindForbidden, "/scopes", "This token is not good for %s itself, and so makes no token that is: leave it out of \"scopes\", or ask with another token.", a)
		}
	}
	return nil
}

func checkToken(p Principal, req NewToken) *Error {
	switch {
	case !slices.Contains(Roles(), req.Role):
		return refuse(KindInvalid, "/role", "There is no role %q: use one of %s.", req.Role, joined(Roles()))
	case req.Role == RoleDeveloper && req.App == "":
		return refuse(KindInvalid, "/app", "A developer's token acts for one app: say which.")
	case req.Role != RoleDeveloper && req.App != "":
		return refuse(KindInvalid, "/app", "A token of role %s acts for no single app: leave \"app\" out.", req.Role)
	case req.Role != RoleDeveloper && p.Role != RoleAdmin:
		return refuse(KindForbidden, "/role", "Only an administrator makes tokens of role %s: ask one.", req.Role)
	case req.Life < 0:
		return refuse(KindInvalid, "/expires_in_days", "A token's life is 1 day or more: leave it out for one that does not expire.")
	}
	return checkLabel("/name", req.Name, 100)
}

// checkLabel refuses a name for people that is empty, too long, or would break a line of a log or a table.
func checkLabel(field, s string, most int) *Error {
	if s == "" || len([]rune(s)) > most {
		return refuse(KindInvalid, field, "Give a name of 1 to %d characters.", most)
	}
	if !printable(s) {
		return refuse(KindInvalid, field, "A name has no line breaks or other control characters: take them out.")
	}
	return nil
}

// Authenticate turns a token as it was sent into the principal who holds it. The refusals are events too.
func (c *CA) Authenticate(ctx context.Context, secret, address, requestID string) (Principal, error) {
	now := c.clock()
	nobody := Nobody(address, requestID)
	refused := func(object, format string, args ...any) (Principal, error) {
		act := Act{Event: c.event(now, nobody, ActAuthenticate, target{object: object})}
		return Principal{}, c.refused(ctx, act, refuse(KindUnauthenticated, "", format, args...))
	}
	if secret == "" {
		return refused("", "This needs a token: send the header 'Authorization: Bearer imca_…' with one that an operator gave you.")
	}
	if c.identify != nil && strings.Count(secret, ".") == 2 && !strings.HasPrefix(secret, tokenPrefix) {
		return c.vouched(ctx, now, nobody, "oidc:", func() (Identity, error) { return c.identify(ctx, secret) })
	}
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 200 {
		return refused("", "This is no token of this service: tokens begin with %q; check that it was copied whole.", tokenPrefix)
	}
	t, err := c.store.TokenByHash(ctx, sha256.Sum256([]byte(secret)))
	switch {
	case errors.Is(err, ErrNotFound):
		return refused("", "This token is not known here: check that it was copied whole and belongs to this server, or ask an operator for a new one.")
	case err != nil:
		return Principal{}, fmt.Errorf("looking up a token: %w", err)
	}
	if why := t.ended(now); why != "" {
		return refused(t.ID, "%s", why)
	}
	// Once a minute is exact enough for "last used", and spares a write on every request.
	if now.Sub(t.LastUsed) >= time.Minute {
		if err := c.store.TouchToken(ctx, t.ID, now); err != nil {
			c.log.WarnContext(ctx, "remembering the use of a token", "token", t.ID, "error", err)
		}
	}
	return Principal{Name: t.Name, Role: t.Role, App: t.App, Scopes: t.Scopes, Token: t.ID, Address: address, RequestID: requestID}, nil
}

// ended tells how a token has ended, and what to do; empty: it is good.
func (t Token) ended(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return fmt.Sprintf("The token %q was revoked at %s: ask an operator for a new one.", t.Name, t.RevokedAt.Format(time.DateTime))
	case !t.SupersededAt.IsZero() && !now.Before(t.SupersededAt):
		return fmt.Sprintf("The token %q was rotated, and ended at %s: use its successor, or ask an operator for a new one.", t.Name, t.SupersededAt.Format(time.DateTime))
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return fmt.Sprintf("The token %q expired at %s: ask an operator for a new one.", t.Name, t.ExpiresAt.Format(time.DateTime))
	}
	return ""
}

// ListTokens is a page of the tokens of one app, or of those of no app, in the order of their IDs from beyond after.
func (c *CA) ListTokens(ctx context.Context, p Principal, app, after string, limit int) ([]Token, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadTokens, target{app: app}); err != nil {
		return nil, err
	}
	limit, err := pageSize(limit)
	if err != nil {
		return nil, err
	}
	return c.store.ListTokens(ctx, app, after, limit)
}

// RevokeToken ends a token at once, everywhere. Operators end those of developers, administrators all.
func (c *CA) RevokeToken(ctx context.Context, p Principal, id string) error {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActRevokeToken, target{object: id})
	if err != nil {
		return err
	}
	t, err := c.store.Token(ctx, id)
	if err == nil && t.Role != RoleDeveloper && p.Role != RoleAdmin {
		return c.refused(ctx, act, refuse(KindForbidden, "", "Only an administrator revokes tokens of role %s: ask one.", t.Role))
	}
	if err == nil {
		act.Event.App = t.App
		err = c.store.RevokeToken(ctx, id, now, act)
	}
	switch {
	case errors.Is(err, ErrChanged):
		return nil // it is as the caller wants it
	case errors.Is(err, ErrNotFound):
		return c.refused(ctx, act, refuse(KindNotFound, "", "There is no token %q: look its ID up in the list.", id))
	case err != nil:
		return fmt.Errorf("revoking the token %s: %w", id, err)
	}
	return nil
}

// randomText is n random bytes in URL-safe letters and digits.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
