package api

import (
	"encoding/base64"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// createEAB makes a credential that binds ACME accounts to the app in the path.
func (d *door) createEAB(c *call) error {
	app, err := d.pathApp(c)
	if err != nil {
		return err
	}
	var req EABRequest
	if err := c.body(&req); err != nil {
		return err
	}
	life, err := lifeOf(req.ExpiresInDays)
	if err != nil {
		return err
	}
	t, err := d.ca.CreateEAB(c.r.Context(), c.principal, app, req.Name, life)
	if err != nil {
		return err
	}
	return c.answer(c.created("/v1/tokens/"+t.ID, false), EAB{
		KeyID: t.ID, HMACKey: base64.RawURLEncoding.EncodeToString(t.Hash[:]), App: t.App, Name: t.Name,
		Directory: "https://" + c.r.Host + "/acme/directory", ExpiresAt: moment(t.ExpiresAt),
	})
}

// lifeOf is how long a token is to last; zero for one that does not end.
func lifeOf(days *int) (time.Duration, error) {
	const mostDays = 3650
	if days == nil {
		return 0, nil
	}
	if *days < 1 || *days > mostDays {
		return 0, &ca.Error{Kind: ca.KindInvalid, Field: "/expires_in_days", Detail: "A token lasts 1 to 3650 days: give such a number, or leave it out for a token that does not end."}
	}
	return time.Duration(*days) * 24 * time.Hour, nil
}
