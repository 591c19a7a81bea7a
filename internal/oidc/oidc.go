// Package oidc tells who an operator is by the word of an identity provider (OpenID Connect Core 1.0): it checks the tokens that the provider
// signs, and turns a claim in them into a role.
//
// It holds to these promises: a token counts only if it is signed by a key that the provider publishes, with an asymmetric algorithm, for this
// service as its audience, and is not over; a role comes from the configured values of the configured claim alone, and who has none of them is
// nobody; no developer comes in this way.
//
// Where people sign in by a browser, it sends them to the provider and gets their token (Provider). It keeps no sessions.
package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	upstream "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/imca-project/imca/internal/ca"
)

// Config is what a Verifier needs. Issuer, Audience and Roles are required.
type Config struct {
	Issuer    string // the provider's URL, exactly as its tokens say
	Audience  string // what tokens for this service have in "aud"; for ID tokens the client ID
	RoleClaim string // a dot leads into an object: "realm_access.roles". Default: "roles"

	// Roles are the values of the claim that give a role. Who has several gets the widest.
	Roles map[ca.Role][]string

	Client *http.Client     // asks the provider; nil means http.DefaultClient
	Now    func() time.Time // nil means time.Now
}

// Verifier checks tokens. It is safe for concurrent use. It asks the provider when the first token comes, so that a server starts without it.
type Verifier struct {
	cfg Config

	mu       sync.Mutex
	verifier *upstream.IDTokenVerifier
	endpoint oauth2.Endpoint // where browsers sign in
}

// New checks the configuration and returns its Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("both the issuer and the audience are needed")
	}
	for role, values := range cfg.Roles {
		if role == ca.RoleDeveloper {
			return nil, errors.New("developers act for an app and have tokens: give the roles admin, operator and auditor only")
		}
		if slices.Contains(values, "") {
			return nil, fmt.Errorf("an empty value gives the role %s to nobody: take it out", role)
		}
	}
	if cfg.RoleClaim == "" {
		cfg.RoleClaim = "roles"
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg}, nil
}

// Identify tells whose a token is; it fits ca.Config.Identify. A token that does not count is an *ca.Error.
func (v *Verifier) Identify(ctx context.Context, token string) (ca.Identity, error) {
	verifier, err := v.ready()
	if err != nil {
		return ca.Identity{}, &ca.Error{Kind: ca.KindUnavailable, RetryAfter: 10 * time.Second, Err: err,
			Detail: "The identity provider does not answer: try again, or use a token of this service."}
	}
	checked, err := verifier.Verify(ctx, token)
	if err != nil {
		return ca.Identity{}, &ca.Error{Kind: ca.KindUnauthenticated, Err: err,
			Detail: "The identity provider's token does not count here (" + reason(err) + "): sign in there again, for the audience " + v.cfg.Audience + "."}
	}
	var claims map[string]json.RawMessage
	if err := checked.Claims(&claims); err != nil {
		return ca.Identity{}, fmt.Errorf("reading the claims of a checked token: %w", err)
	}
	role, found := v.role(claims)
	if !found {
		return ca.Identity{}, &ca.Error{Kind: ca.KindForbidden, Detail: fmt.Sprintf(
			"You are known (%s), but have no role here: ask for a group that gives one (claim %s).", checked.Subject, v.cfg.RoleClaim)}
	}
	return ca.Identity{Subject: checked.Subject, Name: name(claims, checked.Subject), Role: role}, nil
}

// ready asks the provider for what it says of itself, once.
func (v *Verifier) ready() (*upstream.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier != nil {
		return v.verifier, nil
	}
	// The provider's keys are fetched with this context for as long as the process lives.
	provider, err := upstream.NewProvider(upstream.ClientContext(context.Background(), v.cfg.Client), v.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	v.endpoint = provider.Endpoint()
	v.verifier = provider.Verifier(&upstream.Config{
		ClientID: v.cfg.Audience, Now: v.cfg.Now,
		SupportedSigningAlgs: []string{upstream.RS256, upstream.RS384, upstream.RS512, upstream.PS256, upstream.ES256, upstream.ES384, upstream.EdDSA},
	})
	return v.verifier, nil
}

// reason is why a token does not count, in words that a stranger may see.
func reason(err error) string {
	var expired *upstream.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return "it is over since " + expired.Expiry.UTC().Format(time.DateTime)
	case strings.Contains(err.Error(), "audience"):
		return "it is for another audience"
	case strings.Contains(err.Error(), "issued by a different provider"):
		return "it is from another issuer"
	}
	return "its signature is not the provider's"
}

// role is the widest role that the claim gives.
func (v *Verifier) role(claims map[string]json.RawMessage) (ca.Role, bool) {
	values := v.values(claims)
	for _, role := range slices.Backward(ca.Roles()) {
		if slices.ContainsFunc(v.cfg.Roles[role], func(wanted string) bool { return slices.Contains(values, wanted) }) {
			return role, true
		}
	}
	return "", false
}

// values are the texts in the claim: one, or a list.
func (v *Verifier) values(claims map[string]json.RawMessage) []string {
	steps := strings.Split(v.cfg.RoleClaim, ".")
	at := claims
	for _, step := range steps[:len(steps)-1] {
		var inner map[string]json.RawMessage
		if json.Unmarshal(at[step], &inner) != nil {
			return nil
		}
		at = inner
	}
	raw := at[steps[len(steps)-1]]
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		return nil
	}
	return many
}

// name is what people call the subject.
func name(claims map[string]json.RawMessage, subject string) string {
	for _, claim := range []string{"preferred_username", "email", "name"} {
		var text string
		if json.Unmarshal(claims[claim], &text) == nil && text != "" {
			return text
		}
	}
	return subject
}
