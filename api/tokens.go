package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

func (d *door) createAppToken(c *call) error {
	app, err := d.pathApp(c)
	if err != nil {
		return err
	}
	var req AppTokenRequest
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	if err := c.body(&req); err != nil {
		return err
	}
	return d.makeToken(c, ca.NewToken{Name: req.Name, Role: ca.RoleDeveloper, App: app, Scopes: req.Scopes, IdempotencyKey: key}, req.ExpiresInDays)
}

func (d *door) createToken(c *call) error {
	var req TokenRequest
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Role == string(ca.RoleDeveloper) {
		return &ca.Error{Kind: ca.KindInvalid, Field: "/role", Detail: "A developer's token acts for one app: make it at /v1/apps/{id}/tokens."}
	}
	return d.makeToken(c, ca.NewToken{Name: req.Name, Role: ca.Role(req.Role), Scopes: req.Scopes, IdempotencyKey: key}, req.ExpiresInDays)
}

func (d *door) makeToken(c *call, req ca.NewToken, days *int) error {
	var err error
	if req.Life, err = lifeOf(days); err != nil {
		return err
	}
	t, secret, err := d.ca.CreateToken(c.r.Context(), c.principal, req)
	if err != nil {
		return err
	}
	answer := showToken(t)
	answer.Secret = secret
	return c.answer(c.created("/v1/tokens/"+t.ID, secret == ""), answer)
}

func (d *door) listAppTokens(c *call) error {
	app, err := d.pathApp(c)
	if err != nil {
		return err
	}
	return d.pageOfTokens(c, app)
}

func (d *door) listTokens(c *call) error { return d.pageOfTokens(c, "") }

func (d *door) pageOfTokens(c *call, app string) error {
	limit, after := c.query.limit(), parse(&c.query, "cursor", tokenCursor)
	if err := c.query.err(); err != nil {
		return err
	}
	tokens, err := d.ca.ListTokens(c.r.Context(), c.principal, app, after, limit)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageOf(tokens, limit, showToken, func(t ca.Token) string { return t.ID }))
}

func (d *door) rotateToken(c *call) error {
	id, err := c.tokenID()
	if err != nil {
		return err
	}
	var req RotateRequest
	if err := c.optionalBody(&req); err != nil {
		return err
	}
	overlap := ca.DefaultOverlap
	if req.OverlapHours != nil {
		// Whatever the number, the hours must not overflow on their way to the rule.
		overlap = time.Duration(max(-1, min(*req.OverlapHours, 100_000))) * time.Hour
	}
	t, secret, err := d.ca.RotateToken(c.r.Context(), c.principal, id, overlap)
	if err != nil {
		return err
	}
	answer := showToken(t)
	answer.Secret = secret
	return c.answer(c.created("/v1/tokens/"+t.ID, false), answer)
}

func (d *door) revokeToken(c *call) error {
	id, err := c.tokenID()
	if err != nil {
		return err
	}
	if err := d.ca.RevokeToken(c.r.Context(), c.principal, id); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// pathApp is the app in the path, which must exist.
func (d *door) pathApp(c *call) (string, error) {
	id, err := c.appID()
	if err != nil {
		return "", err
	}
	app, err := d.ca.App(c.r.Context(), c.principal, id)
	return app.ID, err
}

func showToken(t ca.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, Role: string(t.Role), App: t.App, Scopes: strings.Fields(string(t.Scopes)), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: moment(t.ExpiresAt), RevokedAt: moment(t.RevokedAt), SupersededAt: moment(t.SupersededAt), LastUsedAt: moment(t.LastUsed),
	}
}

// moment is a time that may not be there.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// tokenCursor reads the cursor of a list of tokens: the last one's ID.
func tokenCursor(s string) (string, error) {
	if !tokenIDs.MatchString(s) {
		return "", foreignCursor()
	}
	return s, nil
}
