package ca

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// VerifyDomain looks for the proof of a claim, by the method given or else the chosen one. What it finds missing it says, and keeps for the
// next reader of the claim.
func (c *CA) VerifyDomain(ctx context.Context, p Principal, name, app string, m Method) (Domain, error) {
	d, act, err := c.claim(ctx, p, ActVerifyDomain, name, app)
	if err != nil {
		return Domain{}, err
	}
	d, err = c.verifyDomain(ctx, act, d, cmp.Or(m, d.Method))
	return d, c.answer(ctx, act, err)
}

func (c *CA) verifyDomain(ctx context.Context, act Act, d Domain, m Method) (Domain, error) {
	app, proof, err := c.beforeLook(ctx, act, d, m)
	if err != nil {
		return Domain{}, err
	}
	found, err := c.look(ctx, d, proof)
	if err != nil {
		return Domain{}, c.proofMissing(ctx, act, d, m, err)
	}
	found.lasting = true
	return c.recordProof(ctx, act, app, d, found)
}

// beforeLook refuses a look at the proof of a claim that would change nothing, takes it from the quota, and says what to look for.
func (c *CA) beforeLook(ctx context.Context, act Act, d Domain, m Method) (*App, Proof, error) {
	now := act.Event.At
	wanted := d.Name
	if d.Wildcard && !d.Usable(now) {
		wanted = below(d.Name)
	}
	if err := checkMethod(m, wanted); err != nil {
		return nil, Proof{}, err
	}
	app, err := c.appOf(ctx, d.App)
	if err != nil {
		return nil, Proof{}, err
	}
	switch {
	case d.State == DomainRejected:
		return nil, Proof{}, rejected(d)
	case d.State == DomainAwaiting && app.Policy == PolicyApprove:
		return nil, Proof{}, refuse(KindConflict, "", "%s waits for an operator, and needs no proof: 'imca domain show %s' tells when the decision is there.", d.Name, d.Name)
	case d.State == DomainPending && !now.Before(d.ChallengeUntil):
		return nil, Proof{}, refuse(KindConflict, "", "The challenge for %s ended at %s: get a new one (POST /v1/domains, or 'imca domain add %s').",
			d.Name, d.ChallengeUntil.Format(time.DateTime), quoted(d.fullName()))
	}
	if err := c.take(ctx, now, c.QuotasOf(app).forProof(app.ID)); err != nil {
		return nil, Proof{}, err
	}
	return app, Proof{App: d.App, Name: wanted, Method: m, Token: d.Token, KeyAuthorization: KeyAuthorization(d.Token, Thumbprint(d.App))}, nil
}

// Proof is what an ACME account shows for a name.
type Proof struct {
	App    string
	Name   pki.Name // may be a wildcard
	Method Method

	// Token and KeyAuthorization are the ACME challenge's (RFC 8555, Section 8); a standing record needs none.
	Token, KeyAuthorization string

	// Account is the URI of the ACME account, which a standing record may name in place of the app; empty for none.
	Account string
}

// ProveDomain looks for a proof by a challenge of another door, which keeps its own tokens, and makes the claim if there is none. It is one attempt.
func (c *CA) ProveDomain(ctx context.Context, p Principal, proof Proof) (Domain, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActVerifyDomain, target{
		app: proof.App, object: proof.Name.Base().String(), detail: map[string]string{"method": string(proof.Method), "name": proof.Name.String()}})
	if err != nil {
		return Domain{}, err
	}
	d, err := c.proveDomain(ctx, p, act, proof)
	return d, c.answer(ctx, act, err)
}

func (c *CA) proveDomain(ctx context.Context, p Principal, act Act, proof Proof) (Domain, error) {
	now := act.Event.At
	if err := checkMethod(proof.Method, proof.Name); err != nil {
		return Domain{}, err
	}
	app, err := c.appOf(ctx, proof.App)
	if err != nil {
		return Domain{}, err
	}
	claim := act
	claim.Event = c.event(now, p, ActAddDomain, target{app: app.ID, object: proof.Name.Base().String()})
	d, _, err := c.addDomain(ctx, now, p, NewDomain{App: app.ID, Domain: proof.Name.String()}, claim)
	if err != nil {
		return Domain{}, err
	}
	if err := c.take(ctx, now, c.QuotasOf(app).forProof(app.ID)); err != nil {
		return Domain{}, err
	}
	found, err := c.look(ctx, d, proof)
	if err != nil {
		return Domain{}, c.proofMissing(ctx, act, d, proof.Method, err)
	}
	return c.recordProof(ctx, act, app, d, found)
}

// below is everything one level below a name.
func below(n pki.Name) pki.Name {
	wildcard, err := pki.ParseName("*." + n.String())
	if err != nil {
		return n // an address, or a name too long to have anything below it
	}
	return wildcard
}

// finding is a proof that was found.
type finding struct {
	by       Method
	wildcard bool // it covers what lies below
	until    time.Time
	lasting  bool
}

// look asks the network once.
func (c *CA) look(ctx context.Context, d Domain, proof Proof) (finding, error) {
	n, m := proof.Name, proof.Method
	select {
	case c.probes <- struct{}{}:
		defer func() { <-c.probes }()
	case <-ctx.Done():
		return finding{}, &Error{Kind: KindUnavailable, RetryAfter: 10 * time.Second, Err: ctx.Err(),
			Detail: "Too many proofs are being looked at: try again in a moment."}
	}
	found := finding{by: m}
	var err error
	switch {
	case m == MethodStanding && !c.offersStanding():
		return found, refuse(KindInvalid, "/method", "Standing records are not set up here, as the CA has no name for them (domains.caa_identity): use %s.", MethodDNS)
	case m == MethodStanding:
		var record StandingRecord
		app := c.AccountURI(d.App)
		accounts := slices.DeleteFunc([]string{app, proof.Account}, func(s string) bool { return s == "" })
		record, err = c.rules.Standing(ctx, n, accounts)
		// One that names an ACME account is found again by that account alone.
		found.wildcard, found.until, found.lasting = record.Wildcard, record.Until, record.Account == app
	case c.rules.Prove == nil:
		return found, refuse(KindUnavailable, "", "This server proves no names: ask an operator to approve %s.", n)
	default:
		err = c.rules.Prove(ctx, m, n, proof.Token, proof.KeyAuthorization)
		found.wildcard = m == MethodDNS
	}
	result := ProofGiven
	if err != nil {
		result = ProofMissing
	}
	c.rules.Observe(m, result)
	return found, err
}

// proofMissing keeps why a proof was not found with the claim, in one change with the event of the refusal, and returns the refusal. The claim was read
// before the look: it may have been given up and made anew since, and what it lacked is nothing to the next one. One that others change at this
// moment stays as they make it.
func (c *CA) proofMissing(ctx context.Context, act Act, seen Domain, m Method, err error) error {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return fmt.Errorf("looking for the proof of %s: %w", seen.Name, err)
	}
	d, err := c.store.Domain(context.WithoutCancel(ctx), seen.App, seen.Name)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && d.Token != seen.Token:
		return refusal // answer writes the event
	case err != nil:
		return fmt.Errorf("reading the claim on %s: %w", seen.Name, err)
	}
	now := act.Event.At
	d.CheckedAt, d.Failure = now, refusal.Detail
	failed := act
	failed.Event = act.Event
	failed.Event.Outcome = OutcomeRefused
	failed.Event.Detail = map[string]string{"method": string(m), "refusal": string(refusal.Kind), "why": oneLine(refusal.Detail)}
	switch err := c.store.ChangeDomains(context.WithoutCancel(ctx), nil, []Domain{d}, failed); {
	case errors.Is(err, ErrChanged):
		return refusal // answer writes the event
	case err != nil:
		return fmt.Errorf("recording the attempt on %s: %w", d.Name, err)
	}
	return &told{refusal}
}

// told marks a refusal whose event is recorded.
type told struct{ refusal *Error }

func (t *told) Error() string { return t.refusal.Error() }

// recordProof commits a proof. If another app has the name, the claim is in conflict from then on.
func (c *CA) recordProof(ctx context.Context, act Act, app *App, seen Domain, found finding) (Domain, error) {
	now := act.Event.At
	ctx = context.WithoutCancel(ctx)
	contested := false
	for range tries {
		d, err := c.store.Domain(ctx, seen.App, seen.Name)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && d.Token != seen.Token:
			return Domain{}, refuse(KindConflict, "", "The claim on %s ended while its proof was looked at: begin again (POST /v1/domains, or 'imca domain add %s').", seen.Name, seen.Name)
		case err != nil:
			return Domain{}, fmt.Errorf("reading the claim on %s: %w", seen.Name, err)
		case d.State == DomainRejected:
			return Domain{}, rejected(d)
		}
		c.proven(&d, now, app, found)
		if contested && d.Holds {
			d.State, d.Holds, d.DueAt = DomainConflict, false, time.Time{}
		}
		act.Event.Detail = map[string]string{"method": string(found.by), "state": string(d.State)}
		switch err := c.store.ChangeDomains(ctx, nil, []Domain{d}, act); {
		case err == nil:
			d.Version++
			return d, nil
		case errors.Is(err, ErrExists):
			contested = true
		case errors.Is(err, ErrFull), !errors.Is(err, ErrChanged):
			return Domain{}, fmt.Errorf("recording the proof of %s: %w", d.Name, err)
		default:
			contested = false // whoever changed the claim may have settled that
		}
	}
	return Domain{}, busy(seen.Name)
}

// proven makes a claim what a proof makes of it.
func (c *CA) proven(d *Domain, now time.Time, app *App, found finding) {
	d.CheckedAt, d.Failure, d.FailingSince = now, "", time.Time{}
	if d.Usable(now) && (d.ProvenBy == MethodApproved || d.Wildcard && !found.wildcard) {
		return // it has more already than this proof would give
	}
	d.ProvenBy, d.Lasting, d.ProvenAt = found.by, found.lasting, now
	d.ExpiresAt = now.Add(c.rules.ProofLife)
	if !found.until.IsZero() {
		d.ExpiresAt = earlier(d.ExpiresAt, found.until)
	}
	d.Wildcard = found.wildcard
	d.DueAt = c.nextLook(d, now)
	if (app.Policy == PolicyApprove || d.Flag != "") && !d.approved() {
		d.State, d.DueAt = DomainAwaiting, time.Time{}
		return
	}
	d.State, d.Holds = DomainValid, true
}

// nextLook is when a proof is looked at without anybody asking: when a third of its life is left, or, if it cannot be in place any more, when it ends.
func (c *CA) nextLook(d *Domain, now time.Time) time.Time {
	const pause = time.Hour // so that a life near its end is not looked at ever more often
	if !d.Lasting && !c.offersStanding() {
		return d.ExpiresAt
	}
	return earlier(d.ExpiresAt, now.Add(max(pause, d.ExpiresAt.Sub(now)*2/3)).Truncate(time.Microsecond))
}
