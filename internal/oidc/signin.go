package oidc

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	upstream "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/imca-project/imca/internal/ca"
)

// Provider signs people in by their browsers: the authorization code flow (OpenID Connect Core 1.0, Section 3.1) with PKCE (RFC 7636).
type Provider struct {
	verifier *Verifier
	secret   string
}

// Provider is the provider whose tokens are checked, for a client whose ID is the audience. The secret is the client's.
func (v *Verifier) Provider(secret string) *Provider { return &Provider{v, secret} }

// SignInURL is where the browser is sent. state comes back with it, nonce in the token; verifier is the secret of PKCE. All are random, and the caller's
// to keep until then.
func (p *Provider) SignInURL(redirect, state, nonce, verifier string) (string, error) {
	if _, err := p.verifier.ready(); err != nil {
		return "", unavailable(err)
	}
	return p.client(redirect).AuthCodeURL(state, upstream.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Exchange gives the ID token for the code that came back, which must be of this very attempt.
func (p *Provider) Exchange(ctx context.Context, redirect, code, nonce, verifier string) (string, error) {
	checker, err := p.verifier.ready()
	if err != nil {
		return "", unavailable(err)
	}
	refused := func(err error) error {
		return &ca.Error{Kind: ca.KindUnauthenticated, Err: err, Detail: "The identity provider did not confirm this sign-in: begin anew."}
	}
	answer, err := p.client(redirect).Exchange(upstream.ClientContext(ctx, p.verifier.cfg.Client), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", refused(err)
	}
	token, _ := answer.Extra("id_token").(string)
	checked, err := checker.Verify(ctx, token)
	if err != nil {
		return "", refused(err)
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(checked.Nonce), []byte(nonce)) != 1 {
		return "", refused(fmt.Errorf("the token is of another attempt"))
	}
	return token, nil
}

func (p *Provider) client(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.verifier.cfg.Audience, ClientSecret: p.secret, RedirectURL: redirect, Endpoint: p.verifier.endpoint,
		Scopes: []string{upstream.ScopeOpenID, "profile", "email"},
	}
}

func unavailable(err error) error {
	return &ca.Error{Kind: ca.KindUnavailable, RetryAfter: 10 * time.Second, Err: err,
		Detail: "The identity provider does not answer: try again, or use a token of this service."}
}
