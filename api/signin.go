package api

import "net/http"

// createSignInLink makes an address that signs its bearer in to the web pages, once, as the caller.
func (d *door) createSignInLink(c *call) error {
	secret, s, err := d.ca.SignInLink(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, SignInLink{URL: "https://" + c.r.Host + "/signin/" + secret, ExpiresAt: s.EndsAt})
}

// endSessions signs somebody out of the web pages, everywhere.
func (d *door) endSessions(c *call) error {
	var req SignOutRequest
	if err := c.body(&req); err != nil {
		return err
	}
	n, err := d.ca.EndSessions(c.r.Context(), c.principal, req.TokenID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, SignedOut{Ended: n})
}
