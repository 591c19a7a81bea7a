package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// runs are the revocations of many certificates that are under way on this server, or ended a while ago.
type runs struct {
	ca         *ca.CA
	background func(func(context.Context))
	now        func() time.Time
	log        *slog.Logger

	mu  sync.Mutex
	all map[string]*run
}

// run is one of them. It goes on when its browser has gone.
type run struct {
	ID              string
	By              string
	app             string // of the developer who began it; empty: an operator did
	Reason          pki.Reason
	Began, Ended    time.Time // Ended is zero while it goes on
	Matched, Before int
	Revoked         int       // by this run
	Expected        int       // how many the dry run found
	Fault           *ca.Error // what broke it off
}

// Bounds of the runs that are remembered: whoever asks for one that is over wants to know soon.
const (
	mostRuns = 20
	runKept  = 24 * time.Hour
)

// start begins one. The CA judges each of its steps anew, by the search, the reason and the confirmation of its dry run.
func (r *runs) start(p ca.Principal, s ca.RevocationSearch, reason pki.Reason, confirm string, expected int) (string, error) {
	now := r.now()
	one := &run{ID: rand.Text(), By: p.Name, app: p.App, Reason: reason, Began: now, Expected: expected}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, old := range r.all {
		if !old.Ended.IsZero() && (now.Sub(old.Ended) > runKept || len(r.all) >= mostRuns) {
			delete(r.all, id)
		}
	}
	if len(r.all) >= mostRuns {
		return "", &ca.Error{Kind: ca.KindUnavailable, Detail: fmt.Sprintf("%d revocations of many are under way here: wait for one of them to end.", mostRuns)}
	}
	r.all[one.ID] = one
	r.background(func(ctx context.Context) { r.carryOut(ctx, one, p, s, reason, confirm) })
	return one.ID, nil
}

// carryOut goes from step to step. Between them, others get their turn.
func (r *runs) carryOut(ctx context.Context, one *run, p ca.Principal, s ca.RevocationSearch, reason pki.Reason, confirm string) {
	for next := ""; ; {
		step, err := r.ca.RevokeFound(ctx, p, s, reason, confirm, next)
		r.mu.Lock()
		if err != nil {
			one.Fault, one.Ended = r.told(ctx, err), r.now()
		} else {
			one.Matched, one.Before = step.Matched, step.Before
			one.Revoked += step.Revoked
			if next = step.Next; next == "" {
				one.Ended = r.now()
			}
		}
		over := !one.Ended.IsZero()
		r.mu.Unlock()
		if over {
			return
		}
	}
}

// told is what a fault is shown as.
func (r *runs) told(ctx context.Context, err error) *ca.Error {
	var refusal *ca.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	r.log.ErrorContext(ctx, "revoking many certificates", "error", err)
	return web.Refuse(web.KindInternal, "The server could not go on. What is revoked stays revoked: search again, and begin anew; it counts as done.")
}

// find is a copy of a run, as it stands.
func (r *runs) find(id string) (run, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one, found := r.all[id]; found {
		return *one, true
	}
	return run{}, false
}

// runPage is the progress of a run.
type runPage struct{ run }

func (runPage) template() string { return "revoke-run" }

// Over tells whether it has ended.
func (p runPage) Over() bool { return !p.Ended.IsZero() }

// watchRun shows how far a run is. A browser without scripts asks again by itself.
func watchRun(v *visit) error {
	if !v.may(ca.ActRevokeSearch) {
		return v.notYours(ca.ActRevokeSearch)
	}
	one, found := v.runs.find(v.param("run"))
	if !found || v.principal.Role == ca.RoleDeveloper && one.app != v.principal.App {
		return &ca.Error{Kind: ca.KindNotFound, Detail: "This server knows no such run: it has started anew since, or another server carries it out. What is revoked stays revoked, and the events tell of it; to make sure of the rest, search again and begin anew: what is done counts as done."}
	}
	p := runPage{one}
	if !p.Over() {
		v.refresh = 2
	}
	return v.show(p)
}
