package acme

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
}

func (d *door) authorizationURL(q *request, id string) string { return d.url(q.r, pathAuthz+"/"+id) }

// methods are the ways to prove a name (RFC 8555, Section 8; RFC 8737; RFC 8738, Section 7: none by DNS for an address).
func methods(n pki.Name) []ca.Method {
	switch {
	case n.IsWildcard():
		return []ca.Method{ca.MethodDNS}
	case n.IsIP():
		return []ca.Method{ca.MethodHTTP, ca.MethodTLSALPN}
	}
	return []ca.Method{ca.MethodHTTP, ca.MethodDNS, ca.MethodTLSALPN}
}

func (d *door) showAuthorization(q *request, a Authorization) authorizationObject {
	shown := authorizationObject{Status: a.at(q.now), Expires: a.ExpiresAt.Truncate(time.Second), Identifier: identify(a.Name.Base()), Wildcard: a.Name.IsWildcard()}
	for _, m := range methods(a.Name) {
		// Once one was taken up the others are of no use, but for those who look for theirs before they begin.
		if a.Status == StatusPending || m == a.Method {
			shown.Challenges = append(shown.Challenges, d.showChallenge(q, a, m))
		}
	}
	return shown
}

func (d *door) showChallenge(q *request, a Authorization, m ca.Method) challengeObject {
	shown := challengeObject{Type: m, URL: d.url(q.r, fmt.Sprintf("%s/%s/%s", pathChallenge, a.ID, m)), Status: StatusPending, Token: a.Token}
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
func newAuthorizationFor(q *request, n pki.Name, ready bool) Authorization {
	a := Authorization{
		ID: rand.Text(), Account: q.account.ID, Name: n, Status: StatusPending, Token: newToken(), CreatedAt: q.now, ExpiresAt: q.now.Add(orderLife), Version: 1,
	}
	if ready {
		a.Status, a.Method, a.ValidatedAt = StatusValid, methods(n)[0], q.now
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
	a := newAuthorizationFor(q, n, prospect.Ready[0])
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
		a.Status = StatusDeactivated
		if err := d.changeAuthorization(q, &a); err != nil {
			return err
		}
	case req.Status != "" && req.Status != a.Status:
		return web.Refuse(ca.KindMalformed, "The status %q cannot be set: \"deactivated\" ends the authorization.", req.Status)
	default:
		d.goOn(q, &a)
	}
	if a.at(q.now) == StatusPending {
		q.header("Retry-After", "1")
	}
	return q.answer(http.StatusOK, d.showAuthorization(q, a))
}

func (d *door) changeAuthorization(q *request, a *Authorization) error {
	switch err := d.Store.ChangeAuthorization(context.WithoutCancel(q.r.Context()), *a); {
	case errors.Is(err, ca.ErrChanged):
		return web.Refuse(ca.KindConflict, "The authorization was changed by another request at this moment: read it again.")
	case err != nil:
		return fmt.Errorf("changing the authorization %s: %w", a.ID, err)
	}
	a.Version++
	return nil
}

// challenge shows a challenge, or takes it up (RFC 8555, Section 7.5.1). What was taken up before goes on, or has ended.
func (d *door) challenge(q *request) error {
	a, err := d.findAuthorization(q)
	if err != nil {
		return err
	}
	m := ca.Method(param(q.r, "method"))
	if !slices.Contains(methods(a.Name), m) {
		return missing("challenge")
	}
	if !q.isRead() && a.at(q.now) == StatusPending && a.Method == "" {
		var nothing struct{}
		if err := q.decode(&nothing); err != nil {
			return err
		}
		if err := d.takeUp(q, &a, m); err != nil {
			return err
		}
	} else if m == a.Method {
		d.goOn(q, &a)
	}
	q.w.Header().Add("Link", link(d.authorizationURL(q, a.ID), "up"))
	shown := d.showChallenge(q, a, m)
	if shown.Status == StatusProcessing {
		q.header("Retry-After", "1")
	}
	return q.answer(http.StatusOK, shown)
}

// attemptLife is how long a server looks at a challenge. One that is taken up, and at which nobody looks for longer, was left by a server that ended.
const attemptLife = 2 * time.Minute

// takeUp begins a challenge. It counts as failed until it has come right, so that no number of them at once gets around the limit.
func (d *door) takeUp(q *request, a *Authorization, m ca.Method) error {
	quota := d.Limits.forChallenge(a.Account, a.Name)
	if err := d.CA.TakeQuotas(q.r.Context(), quota); err != nil {
		return err
	}
	a.Method = m
	if !d.goOn(q, a) {
		d.CA.GiveBackQuotas(q.r.Context(), quota)
	}
	return nil
}

// goOn has a challenge looked at that is taken up and at which nobody looks. It tells whether this server does.
func (d *door) goOn(q *request, a *Authorization) bool {
	if a.at(q.now) != StatusPending || a.Method == "" || q.now.Sub(a.AttemptedAt) < attemptLife {
		return false
	}
	a.AttemptedAt = q.now
	if err := d.changeAuthorization(q, a); err != nil {
		return false // somebody else was faster, or the next one who asks tries again
	}
	proof := ca.Proof{
		App: q.account.App, Name: a.Name, Method: a.Method, Token: a.Token,
		KeyAuthorization: ca.KeyAuthorization(a.Token, base64.RawURLEncoding.EncodeToString(q.account.Thumbprint[:])),
	}
	p, attempt := d.principal(q), *a
	d.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, attemptLife)
		defer cancel()
		d.attempt(ctx, p, proof, attempt)
	})
	return true
}

// attempt looks for the proof of a challenge, several times where a later look may find what is on its way, and records what came of it.
func (d *door) attempt(ctx context.Context, p ca.Principal, proof ca.Proof, a Authorization) {
	_, err := d.CA.ProveDomain(ctx, p, proof)
	for _, pause := range d.Pauses {
		if !mayComeRight(err) {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return // the server ends: another one goes on
		}
		_, err = d.CA.ProveDomain(ctx, p, proof)
	}
	if err == nil { // the proof is there, but the name may be another app's, or wait for an operator
		err = d.CA.MayHave(ctx, p, proof.App, proof.Name)
	}
	var refusal *ca.Error
	switch {
	case err == nil:
		a.Status, a.ValidatedAt = StatusValid, d.Frame.Now().UTC().Truncate(time.Microsecond)
	case errors.As(err, &refusal):
		a.Status, a.Failure = StatusInvalid, Failure{refusal.Kind, refusal.Detail}
	default:
		d.Log.ErrorContext(ctx, "looking at a challenge; it is tried again when its account asks", "authorization", a.ID, "error", err)
		return
	}
	switch err := d.Store.ChangeAuthorization(context.WithoutCancel(ctx), a); {
	case err == nil && a.Status == StatusValid:
		d.CA.GiveBackQuotas(ctx, d.Limits.forChallenge(a.Account, a.Name))
	case err != nil && !errors.Is(err, ca.ErrChanged):
		d.Log.ErrorContext(ctx, "recording a challenge; it is tried again when its account asks", "authorization", a.ID, "error", err)
	}
}

// mayComeRight tells whether the next look may find what this one did not.
func mayComeRight(err error) bool {
	var refusal *ca.Error
	return errors.As(err, &refusal) &&
		slices.Contains([]ca.Kind{ca.KindProofReach, ca.KindProofDNS, ca.KindProofTLS, ca.KindProofWrong, ca.KindUnavailable}, refusal.Kind)
}
