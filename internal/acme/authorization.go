package acme

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// authorizationObject is an authorization as clients see it (RFC 8555, Section 7.1.4).
type authorizationObject struct {
	Status     Status            `json:"status"`
	Expires    time.Time         `json:"expires"`
	Identifier identifier        `json:"identifier"`
	Wildcard   bool              `json:"wildcard,omitempty"`
	Challenges []challengeObject `json:"challenges"`
}

// challengeObject is a challenge as clients see it (RFC 8555, Section 7.1.5). Some clients want the first one of a list to have a token: all have.
type challengeObject struct {
	Type      ca.Method  `json:"type"`
	URL       string     `json:"url"`
	Status    Status     `json:"status"`
	Token     string     `json:"token"`
	Validated *time.Time `json:"validated,omitempty"`
	Error     *problem   `json:"error,omitempty"`

	// Of a standing record (draft-ietf-acme-dns-persist, Section 3): by which names it may call the CA, and which account it names. The account's own URL
	// is as good.
	Issuers    []string `json:"issuer-domain-names,omitempty"`
	AccountURI string   `json:"accounturi,omitempty"`
}

func (d *door) authorizationURL(q *request, id string) string { return d.url(q.r, pathAuthz+"/"+id) }

// methods are the ways to prove a name (RFC 8555, Section 8; RFC 8737; RFC 8738, Section 7: none by DNS for an address; draft-ietf-acme-dns-persist).
// What clients know least comes last.
func (d *door) methods(n pki.Name) []ca.Method {
	if n.IsIP() {
		return []ca.Method{ca.MethodHTTP, ca.MethodTLSALPN}
	}
	list := []ca.Method{ca.MethodHTTP, ca.MethodDNS, ca.MethodTLSALPN}
	if n.IsWildcard() {
		list = []ca.Method{ca.MethodDNS}
	}
	if d.CA.StandingIdentity() != "" {
		list = append(list, ca.MethodStanding)
	}
	return list
}

func (d *door) showAuthorization(q *request, a Authorization) authorizationObject {
	shown := authorizationObject{Status: a.at(q.now), Expires: a.ExpiresAt.Truncate(time.Second), Identifier: identify(a.Name.Base()), Wildcard: a.Name.IsWildcard()}
	for _, m := range d.methods(a.Name) {
		// Once one was taken up the others are of no use, but for those who look for theirs before they begin.
		if a.Status == StatusPending || m == a.Method {
			shown.Challenges = append(shown.Challenges, d.showChallenge(q, a, m))
		}
	}
	return shown
}

func (d *door) showChallenge(q *request, a Authorization, m ca.Method) challengeObject {
	shown := challengeObject{Type: m, URL: d.url(q.r, fmt.Sprintf("%s/%s/%s", pathChallenge, a.ID, m)), Status: StatusPending, Token: a.Token}
	if m == ca.MethodStanding {
		shown.Issuers, shown.AccountURI = []string{d.CA.StandingIdentity()}, d.CA.AccountURI(q.account.App)
	}
	if m != a.Method {
		return shown
	}
	switch a.Status {
	case StatusPending:
		shown.Status = StatusProcessing
	case StatusInvalid:
		shown.Status = StatusInvalid
		shown.Error = a.Failure.show()
	default:
		shown.Status = StatusValid
	}
	if !a.ValidatedAt.IsZero() {
		at := a.ValidatedAt.Truncate(time.Second)
		shown.Validated = &at
	}
	return shown
}

// newAuthorizationFor makes an authorization for a name: valid at once where the app may have it by policy or an earlier proof.
func (d *door) newAuthorizationFor(q *request, n pki.Name, ready bool) Authorization {
	a := Authorization{
		ID: rand.Text(), Account: q.account.ID, Name: n, Status: StatusPending, Token: newToken(), CreatedAt: q.now, ExpiresAt: q.now.Add(orderLife), Version: 1,
	}
	if ready {
		a.Status, a.Method, a.ValidatedAt = StatusValid, d.methods(n)[0], q.now
	}
	return a
}

// newToken is base64url in its one canonical form (RFC 8555, Section 8): certbot decodes it and encodes it again.
func newToken() string {
	token := make([]byte, 32)
	rand.Read(token)
	return base64.RawURLEncoding.EncodeToString(token)
}

// newAuthorization makes an authorization before any order needs it (RFC 8555, Section 7.4.1).
func (d *door) newAuthorization(q *request) error {
	var req struct {
		Identifier identifier `json:"identifier"`
	}
	if err := q.decode(&req); err != nil {
		return err
	}
	given := []identifier{req.Identifier}
	values, err := readIdentifiers(given)
	if err != nil {
		return err
	}
	prospect, err := d.CA.Foresee(q.r.Context(), d.principal(q), ca.IssueRequest{App: q.account.App, Profile: issuedProfile, Domains: values})
	if err != nil {
		return aboutIdentifiers(err, given)
	}
	n := prospect.Names[0]
	if n.IsWildcard() {
		return web.Refuse(ca.KindMalformed, "A wildcard is authorized within an order only (RFC 8555, Section 7.4.1): order it.")
	}
	a := d.newAuthorizationFor(q, n, prospect.Ready[0])
	if err := d.Store.CreateAuthorization(context.WithoutCancel(q.r.Context()), a); err != nil {
		return fmt.Errorf("recording the authorization %s: %w", a.ID, err)
	}
	q.header("Location", d.authorizationURL(q, a.ID))
	return q.answer(http.StatusCreated, d.showAuthorization(q, a))
}

func (d *door) findAuthorization(q *request) (Authorization, error) {
	a, err := d.Store.Authorization(q.r.Context(), param(q.r, "id"))
	switch {
	case errors.Is(err, ca.ErrNotFound) || err == nil && a.Account != q.account.ID:
		return a, missing("authorization")
	case err != nil:
		return a, fmt.Errorf("reading an authorization: %w", err)
	}
	return a, nil
}

// authorization shows an authorization, or ends it (RFC 8555, Sections 7.5 and 7.5.2).
func (d *door) authorization(q *request) error {
	var req struct {
		Status Status `json:"status"`
	}
	if !q.isRead() {
		if err := q.decode(&req); err != nil {
			return err
		}
	}
	a, err := d.findAuthorization(q)
	if err != nil {
		return err
	}
	switch {
	case req.Status == StatusDeactivated && a.Status != StatusDeactivated:
		a, err = d.deactivate(q, a)
	case req.Status != "" && req.Status != a.Status:
		err = web.Refuse(ca.KindMalformed, "The status %q cannot be set: \"deactivated\" ends the authorization.", req.Status)
	default:
		_, err = d.goOn(q, &a)
	}
	if err != nil {
		return err
	}
	if a.at(q.now) == StatusPending {
		q.header("Retry-After", "1")
	}
	return q.answer(http.StatusOK, d.showAuthorization(q, a))
}

// deactivate ends an authorization, whatever a server that looks at its challenge makes of it meanwhile.
func (d *door) deactivate(q *request, a Authorization) (Authorization, error) {
	const tries = 5
	for range tries {
		a.Status = StatusDeactivated
		err := d.Store.ChangeAuthorization(context.WithoutCancel(q.r.Context()), a)
		if err == nil {
			a.Version++
			return a, nil
		}
		if !errors.Is(err, ca.ErrChanged) {
			return a, fmt.Errorf("ending the authorization %s: %w", a.ID, err)
		}
		if a, err = d.findAuthorization(q); err != nil {
			return a, err
		}
	}
	return a, web.Refuse(ca.KindConflict, "The authorization %s is being changed by other requests: repeat yours.", a.ID)
}
