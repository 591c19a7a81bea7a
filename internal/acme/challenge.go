package acme

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// challenge shows a challenge, or takes it up (RFC 8555, Section 7.5.1). What was taken up before goes on, or has ended.
func (d *door) challenge(q *request) error {
	a, err := d.findAuthorization(q)
	if err != nil {
		return err
	}
	m := ca.Method(param(q.r, "method"))
	if !slices.Contains(d.methods(a.Name), m) {
		return missing("challenge")
	}
	if !q.isRead() && a.at(q.now) == StatusPending && a.Method == "" {
		var nothing struct{}
		if err := q.decode(&nothing); err != nil {
			return err
		}
		err = d.takeUp(q, &a, m)
	} else if m == a.Method {
		_, err = d.goOn(q, &a)
	}
	if err != nil {
		return err
	}
	q.w.Header().Add("Link", link(d.authorizationURL(q, a.ID), "up"))
	shown := d.showChallenge(q, a, m)
	if shown.Status == StatusProcessing {
		q.header("Retry-After", "1")
	}
	return q.answer(http.StatusOK, shown)
}

// takeUp begins a challenge. It counts as failed until it has come right, so that no number of them at once gets around the limit.
func (d *door) takeUp(q *request, a *Authorization, m ca.Method) error {
	quota := d.Limits.forChallenge(a.Account, a.Name)
	if err := d.CA.TakeQuotas(q.r.Context(), quota); err != nil {
		return err
	}
	a.Method = m
	mine, err := d.goOn(q, a)
	if !mine {
		d.CA.GiveBackQuotas(q.r.Context(), quota)
	}
	return err
}

// A server that looks at a challenge says so at least every attemptLease, in which a pause and a look fit. One that is silent for longer has ended,
// and whoever is asked next goes on. attemptTime bounds all looks together.
const (
	attemptLease = 45 * time.Second
	attemptTime  = 3 * time.Minute
)

// goOn has a challenge looked at that is taken up and at which nobody looks. It tells whether this server does; if another one was faster, the
// authorization is as that one has made it.
func (d *door) goOn(q *request, a *Authorization) (mine bool, err error) {
	if a.at(q.now) != StatusPending || a.Method == "" || q.now.Sub(a.AttemptedAt) < attemptLease {
		return false, nil
	}
	a.AttemptedAt = q.now
	switch err := d.Store.ChangeAuthorization(context.WithoutCancel(q.r.Context()), *a); {
	case errors.Is(err, ca.ErrChanged):
		*a, err = d.findAuthorization(q)
		return false, err
	case err != nil:
		return false, fmt.Errorf("taking up the authorization %s: %w", a.ID, err)
	}
	a.Version++
	proof := ca.Proof{
		App: q.account.App, Name: a.Name, Method: a.Method, Token: a.Token, Account: d.accountURL(q, q.account.ID),
		KeyAuthorization: ca.KeyAuthorization(a.Token, base64.RawURLEncoding.EncodeToString(q.account.Thumbprint[:])),
	}
	attempt := attempt{door: d, by: d.principal(q), proof: proof, authorization: *a}
	d.Go(attempt.run)
	return true, nil
}

// attempt is a server's work on a challenge.
type attempt struct {
	*door
	by            ca.Principal
	proof         ca.Proof
	authorization Authorization
}

// run looks for the proof, and records what came of it.
func (t *attempt) run(life context.Context) {
	a := &t.authorization
	err := t.look(life)
	var refusal *ca.Error
	switch {
	case errors.Is(err, ca.ErrChanged):
		return // it was ended, or another server has taken over
	case err == nil:
		a.Status, a.ValidatedAt = StatusValid, t.now()
	case errors.As(err, &refusal) && life.Err() == nil:
		a.Status, a.Failure = StatusInvalid, Failure{refusal.Kind, refusal.Detail}
	default:
		a.AttemptedAt = time.Time{} // whoever is asked next goes on at once
		if life.Err() == nil {
			t.Log.ErrorContext(life, "looking at a challenge; it is tried again when its account asks", "authorization", a.ID, "error", err)
		}
	}
	ctx := context.WithoutCancel(life)
	switch err := t.Store.ChangeAuthorization(ctx, *a); {
	case err == nil && a.Status == StatusValid:
		t.CA.GiveBackQuotas(ctx, t.Limits.forChallenge(a.Account, a.Name))
	case err != nil && !errors.Is(err, ca.ErrChanged):
		t.Log.ErrorContext(ctx, "recording a challenge; it is tried again when its account asks", "authorization", a.ID, "error", err)
	}
}

// look looks several times, where a later look may find what is on its way.
func (t *attempt) look(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, attemptTime)
	defer cancel()
	_, err := t.CA.ProveDomain(ctx, t.by, t.proof)
	for _, pause := range t.Pauses {
		if !mayComeRight(err) {
			break
		}
		if err := t.stay(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		_, err = t.CA.ProveDomain(ctx, t.by, t.proof)
	}
	if err == nil { // the proof is there, but the name may be another app's, or wait for an operator
		err = t.CA.MayHave(ctx, t.by, t.proof.App, t.proof.Name)
	}
	return err
}

// stay says that this server is still there.
func (t *attempt) stay(ctx context.Context) error {
	t.authorization.AttemptedAt = t.now()
	if err := t.Store.ChangeAuthorization(ctx, t.authorization); err != nil {
		return fmt.Errorf("going on with the authorization %s: %w", t.authorization.ID, err)
	}
	t.authorization.Version++
	return nil
}

// mayComeRight tells whether the next look may find what this one did not.
func mayComeRight(err error) bool {
	var refusal *ca.Error
	return errors.As(err, &refusal) &&
		slices.Contains([]ca.Kind{ca.KindProofReach, ca.KindProofDNS, ca.KindProofTLS, ca.KindProofWrong, ca.KindUnavailable}, refusal.Kind)
}
