package api

import (
	"context"
	"net/http"
)

// CreateSignInLink makes an address that signs its bearer in to the web pages, once, as the holder of this client's token.
func (c *Client) CreateSignInLink(ctx context.Context) (*SignInLink, error) {
	var link SignInLink
	err := c.send(ctx, http.MethodPost, "/v1/sign-in-links", nil, nil, &link)
	return &link, err
}

// EndSessions signs somebody out of the web pages, everywhere: a token's ID, or "oidc:" and a subject.
func (c *Client) EndSessions(ctx context.Context, who string) (*SignedOut, error) {
	var ended SignedOut
	err := c.send(ctx, http.MethodPost, "/v1/sign-outs", nil, SignOutRequest{TokenID: who}, &ended)
	return &ended, err
}
