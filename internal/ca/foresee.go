package ca

import (
	"context"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Prospect is what a request for a certificate may lead to.
type Prospect struct {
	Names []pki.Name // each once
	Ready []bool     // of each name: the app may have it now; otherwise when it is proven
}

// Foresee judges a request for a developer's certificate by everything that can be known before its names are proven and its key is there: what
// can never be issued is refused as Issue would refuse it. The CSR is left aside. It is for doors that let applicants prove their names first.
func (c *CA) Foresee(ctx context.Context, p Principal, req IssueRequest) (Prospect, error) {
	now := c.clock()
	req.CSR = nil
	act, err := c.authorize(ctx, now, p, ActIssueServer, target{app: req.App, detail: req.summary()})
	if err != nil {
		return Prospect{}, err
	}
	prospect, err := c.foresee(ctx, now, req)
	return prospect, c.answer(ctx, act, err)
}

func (c *CA) foresee(ctx context.Context, now time.Time, req IssueRequest) (Prospect, error) {
	o, err := c.orderProfile(ctx, req)
	if err != nil {
		return Prospect{}, err
	}
	if o.app == nil {
		return Prospect{}, refuse(KindInvalid, "/profile", "The profile %s is the platform's own: use %s.", req.Profile, issuer.ServerProfile)
	}
	if err := c.orderNames(o, req); err != nil {
		return Prospect{}, err
	}
	if err := o.readValidity(now, req); err != nil {
		return Prospect{}, err
	}
	prospect := Prospect{Names: o.names, Ready: make([]bool, len(o.names))}
	var asked control
	for i, n := range o.names {
		if prospect.Ready[i] = !o.app.Policy.asksForProof() || o.app.allows(n); !prospect.Ready[i] {
			asked.names = append(asked.names, n)
		}
	}
	if len(asked.names) == 0 {
		return prospect, nil
	}
	_, missing, err := c.judgeAll(ctx, now, o.app, asked.names)
	if err != nil {
		return Prospect{}, err
	}
	for i, n := range o.names {
		if at := slices.Index(asked.names, n); at >= 0 {
			prospect.Ready[i] = missing[at] == ""
		}
	}
	return prospect, nil
}
