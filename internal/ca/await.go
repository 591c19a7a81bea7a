package ca

import (
	"context"
	"errors"
	"time"
)

// Awaited is a proof that somebody is about to put in place.
type Awaited struct {
	Name, App string
	Methods   []Method // by which it may be given; they take turns, and what the first misses is what counts as missing
	Pause     time.Duration

	// Seen, if not nil, is told of each look that found nothing.
	Seen func(m Method, at time.Time, why *Error)
}

// AwaitProof looks for the proof of a claim again and again, until it is there, the name is the app's by other means, or ctx is over. Each look counts
// against the quota of the app, but all of them are one act with one event: of the proof, or of what was missing.
func (c *CA) AwaitProof(ctx context.Context, p Principal, req Awaited) (Domain, error) {
	missing := func() error { return ctx.Err() } // how it ends without a proof
	for i := 0; ; i++ {
		d, act, err := c.claim(ctx, p, ActVerifyDomain, req.Name, req.App)
		switch {
		case ctx.Err() != nil:
			return Domain{}, missing()
		case err != nil:
			return Domain{}, err
		case d.Usable(act.Event.At):
			return d, nil
		}
		m := req.Methods[i%len(req.Methods)]
		app, proof, err := c.beforeLook(ctx, act, d, m)
		var found finding
		if err == nil {
			found, err = c.look(ctx, d, proof)
		}
		var refusal *Error
		switch {
		case err == nil:
			found.lasting = true
			d, err = c.recordProof(ctx, act, app, d, found)
			return d, c.answer(ctx, act, err)
		case ctx.Err() != nil:
			return Domain{}, missing() // this look was broken off
		case !errors.As(err, &refusal) || !notThere(refusal.Kind):
			return Domain{}, c.answer(ctx, act, err)
		}
		if m == req.Methods[0] {
			missing = func() error { return c.answer(ctx, act, c.proofMissing(ctx, act, d, m, refusal)) }
		}
		if req.Seen != nil {
			req.Seen(m, act.Event.At, refusal)
		}
		select {
		case <-ctx.Done():
			return Domain{}, missing()
		case <-time.After(req.Pause):
		}
	}
}

// notThere tells whether a refusal says that a proof is not where it was looked for, or not yet.
func notThere(k Kind) bool {
	switch k {
	case KindProofReach, KindProofDNS, KindProofTLS, KindProofWrong:
		return true
	}
	return false
}
