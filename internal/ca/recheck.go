package ca

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leaseTime is how long a process has a due claim for itself; recheckPause how long it is before a proof that failed is looked at again.
const (
	leaseTime    = 10 * time.Minute
	recheckPause = 24 * time.Hour
)

// RecheckDomains looks at all proofs whose time has come, and renews those that are still in place. One that stays away until SuspendAfter
// has passed, or until it ends, costs the app the use of the name until it is proven again. Any number of processes may do it at once: each claim is
// looked at by one of them.
func (c *CA) RecheckDomains(ctx context.Context) error {
	for {
		due, err := c.store.DueDomains(ctx, c.clock(), 100)
		if err != nil {
			return fmt.Errorf("reading what is due: %w", err)
		}
		if len(due) == 0 {
			return nil
		}
		var (
			looking sync.WaitGroup
			errs    = make([]error, len(due))
			eight   = make(chan struct{}, 8)
		)
		for i, d := range due {
			eight <- struct{}{}
			looking.Go(func() {
				defer func() { <-eight }()
				errs[i] = c.recheck(ctx, d)
			})
		}
		looking.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
}

// recheck looks at one proof.
func (c *CA) recheck(ctx context.Context, d Domain) error {
	now := c.clock()
	switch err := c.store.LeaseDomain(ctx, d, now.Add(leaseTime)); {
	case errors.Is(err, ErrChanged):
		return nil // another process looks at it, or it has changed
	case err != nil:
		return fmt.Errorf("taking on %s: %w", d.Name, err)
	}
	found, err := c.lookAgain(ctx, d)
	var refusal *Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // nothing was found out; the lease ends by itself
	case err != nil && !errors.As(err, &refusal):
		return fmt.Errorf("looking for the proof of %s again: %w", d.Name, err)
	}
	app, err := c.store.App(ctx, d.App)
	if err != nil {
		return fmt.Errorf("reading the app %s: %w", d.App, err)
	}
	act := Act{Event: c.event(now, Principal{Name: "imca"}, ActRecheckDomain, target{app: d.App, object: d.Name.String()})}
	if refusal == nil {
		if d.State == DomainSuspended {
			d.ExpiresAt = now // what the new proof gives counts alone
		}
		c.proven(&d, now, &app, found)
		if !d.DueAt.IsZero() && !d.DueAt.After(now) {
			d.DueAt = now.Add(recheckPause)
		}
		act.Event.Detail = map[string]string{"method": string(found.by), "state": string(d.State)}
	} else {
		c.failing(&d, now, refusal, &act)
	}
	err = c.store.ChangeDomains(context.WithoutCancel(ctx), nil, []Domain{d}, act)
	if err != nil && !errors.Is(err, ErrChanged) && !errors.Is(err, ErrExists) { // others have moved the claim on
		return fmt.Errorf("recording the look at %s: %w", d.Name, err)
	}
	if err == nil && act.Event.Action == ActSuspendDomain {
		c.rules.Observe(d.ProvenBy, ProofSuspended)
	}
	return nil
}

// lookAgain looks where the proof was, and then for a standing record, which may have come later.
func (c *CA) lookAgain(ctx context.Context, d Domain) (finding, error) {
	proof := Proof{App: d.App, Name: d.Name, Method: d.ProvenBy, Token: d.Token, KeyAuthorization: KeyAuthorization(d.Token, Thumbprint(d.App))}
	if d.Wildcard {
		proof.Name = below(d.Name)
	}
	var err error = refuse(KindProofWrong, "", "The proof has ended: give it again, by the ACME client or 'imca domain verify %s'.", d.Name)
	var found finding
	if d.Lasting {
		found, err = c.look(ctx, d, proof)
		found.lasting = true
		if err == nil || d.ProvenBy == MethodStanding {
			return found, err
		}
	}
	if !c.offersStanding() || d.Name.IsIP() {
		return found, err
	}
	proof.Method = MethodStanding
	standing, missing := c.look(ctx, d, proof)
	var refusal *Error
	if missing != nil && errors.As(missing, &refusal) {
		return found, err // the standing record was only a hope: the proof that was there is what is missing
	}
	return standing, missing
}

// failing makes a claim what another failure makes of it.
func (c *CA) failing(d *Domain, now time.Time, why *Error, act *Act) {
	act.Event.Outcome = OutcomeRefused
	d.CheckedAt, d.Failure = now, why.Detail
	act.Event.Detail = map[string]string{"method": string(d.ProvenBy), "refusal": string(why.Kind), "why": oneLine(why.Detail)}
	if !d.Lasting && !d.lapsed(now) {
		d.DueAt = earlier(now.Add(recheckPause), d.ExpiresAt) // nothing can have been in place: nothing has failed yet
		return
	}
	if d.FailingSince.IsZero() {
		d.FailingSince = now
	}
	end := earlier(d.ExpiresAt, d.FailingSince.Add(c.rules.SuspendAfter))
	d.DueAt = now.Add(recheckPause)
	if d.State != DomainSuspended {
		d.DueAt = earlier(d.DueAt, end)
	}
	switch {
	case now.Before(end):
	case d.State != DomainSuspended:
		d.State = DomainSuspended
		act.Event.Action, act.Event.Outcome = ActSuspendDomain, OutcomeDone
	case !d.Lasting || now.Sub(d.ExpiresAt) > c.rules.ProofLife:
		d.DueAt = time.Time{} // nobody takes care of it any more
	}
}
