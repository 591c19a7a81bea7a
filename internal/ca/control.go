package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// checkControl refuses an order with a name that its app may not have at this moment: each name has its own check of the app's policy and
// claim, and where the policy asks for proof or approval the owner of each name is asked by CAA. That takes a while, so the claims are read once more after it.
//
// What an operator has opened (policy open) or put on the app's allow-list needs neither: there the operator's word is all that the
// certificate rests on, and the names are often those of private networks.
func (c *CA) checkControl(ctx context.Context, now time.Time, o *order) error {
	if o.app == nil || !o.app.Policy.asksForProof() {
		return nil
	}
	var asked control
	for i, n := range o.names {
		if !o.app.allows(n) {
			asked.names, asked.pointers = append(asked.names, n), append(asked.pointers, o.pointers[i])
		}
	}
	methods, err := c.checkClaims(ctx, now, o.app, asked)
	if err != nil || c.rules.CAA == nil || len(asked.names) == 0 {
		return err
	}
	accounts := slices.DeleteFunc([]string{c.AccountURI(o.app.ID), o.account}, func(s string) bool { return s == "" })
	if err := c.checkCAA(ctx, asked, methods, accounts); err != nil {
		return err
	}
	_, err = c.checkClaims(ctx, now, o.app, asked)
	return err
}

// control is what has to be under an app's control: names, and where each stands in the request.
type control struct {
	names    []pki.Name
	pointers []string
}

// MayHave tells whether an app could have a certificate for a name at this moment, CAA aside; the refusal says what to do about it.
func (c *CA) MayHave(ctx context.Context, p Principal, app string, n pki.Name) error {
	now := c.clock()
	if _, err := c.authorize(ctx, now, p, ActReadDomain, target{app: app, object: n.String()}); err != nil {
		return err
	}
	whose, err := c.appOf(ctx, app)
	if err != nil {
		return err
	}
	return c.mayHave(ctx, now, whose, n)
}

func (c *CA) mayHave(ctx context.Context, now time.Time, whose *App, n pki.Name) error {
	if err := c.names.check(n); err != nil {
		return &Error{Kind: KindRejectedName, Detail: sentence(err), Err: err}
	}
	switch {
	case whose.allows(n):
		return nil
	case !whose.Policy.asksForProof():
		return notListed(n, whose, "")
	}
	_, err := c.checkClaims(ctx, now, whose, control{[]pki.Name{n}, []string{""}})
	return err
}

// checkClaims judges every name by the claims as they are now, and returns the methods by which each came to the app.
func (c *CA) checkClaims(ctx context.Context, now time.Time, app *App, asked control) ([]Method, error) {
	methods, missing, err := c.judgeAll(ctx, now, app, asked.names)
	if err != nil {
		return nil, err
	}
	var faults []Fault
	for i, why := range missing {
		if why != "" {
			faults = append(faults, Fault{Field: asked.pointers[i], Detail: why})
		}
	}
	if len(faults) > 0 {
		return nil, &Error{Kind: KindUnproven, Field: faults[0].Field, Detail: faults[0].Detail, Faults: faults}
	}
	return methods, nil
}

// judgeAll finds of each name by which method it came to the app, or what is missing to that.
func (c *CA) judgeAll(ctx context.Context, now time.Time, app *App, names []pki.Name) (methods []Method, missing []string, err error) {
	var deciding []pki.Name
	for _, n := range names {
		for at := range c.upward(n) {
			deciding = append(deciding, at)
		}
	}
	slices.SortFunc(deciding, func(a, b pki.Name) int { return strings.Compare(a.String(), b.String()) })
	claims, err := c.store.Domains(ctx, slices.Compact(deciding))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the claims on the names: %w", err)
	}
	byName := make(map[pki.Name][]Domain)
	for _, d := range claims {
		byName[d.Name] = append(byName[d.Name], d)
	}
	methods, missing = make([]Method, len(names)), make([]string, len(names))
	for i, n := range names {
		d, why := c.judge(now, app, n, byName)
		methods[i], missing[i] = d.ProvenBy, why
	}
	return methods, missing, nil
}

// upward are the names whose claims decide about a name, the nearest first: itself, and where a parent's proof covers its children, what it lies below.
func (c *CA) upward(n pki.Name) func(yield func(pki.Name) bool) {
	return func(yield func(pki.Name) bool) {
		at := n.Base()
		for yield(at) && c.rules.ParentCovers && !at.IsIP() {
			_, parent, _ := strings.Cut(at.String(), ".")
			next, err := pki.ParseName(parent)
			if err != nil || !strings.Contains(parent, ".") {
				return
			}
			at = next
		}
	}
}

// judge finds the claim that gives a name to the app, or says why there is none. The nearest name that anybody holds decides: whoever holds
// shop.example.com has it, whatever the holder of example.com has proven.
func (c *CA) judge(now time.Time, app *App, n pki.Name, claims map[pki.Name][]Domain) (giving Domain, why string) {
	mine := own(claims[n.Base()], app.ID)
	for at := range c.upward(n) {
		for _, d := range claims[at] {
			covers := d.Usable(now) && (d.Wildcard || n == at)
			switch {
			case !d.Holds:
				continue
			case d.App == app.ID && covers:
				return d, ""
			case d.App != app.ID && at == n.Base():
				return d, c.taken(app, n, mine)
			case d.App != app.ID:
				return d, fmt.Sprintf("%s lies below %s, which belongs to another app. If it is yours all the same, prove it: %s.", n, at, c.proveIt(app, n))
			}
		}
	}
	if mine != nil && mine.Usable(now) {
		return *mine, fmt.Sprintf("What the app %s has shown for %s does not cover what lies below it. Prove that like this: %s.", app.ID, mine.Name, c.proveIt(app, n))
	}
	return Domain{}, c.unproven(now, app, n, mine)
}

// own is the app's claim among those on a name, or nil.
func own(claims []Domain, app string) *Domain {
	i := slices.IndexFunc(claims, func(d Domain) bool { return d.App == app })
	if i < 0 {
		return nil
	}
	return &claims[i]
}

// unproven says what is missing to a name, and what to do about it: whoever follows it gets there.
func (c *CA) unproven(now time.Time, app *App, n pki.Name, d *Domain) string {
	if d == nil {
		if app.Policy == PolicyApprove {
			return fmt.Sprintf("%s is not approved for the app %s. Ask for it: imca domain add %s (or POST /v1/domains with {\"domain\":%q}); an operator decides.", n, app.ID, quoted(n), n)
		}
		return fmt.Sprintf("%s is not proven to be yours (app %s). Prove it like this: %s.", n, app.ID, c.proveIt(app, n))
	}
	switch d.State {
	case DomainAwaiting:
		since := d.CreatedAt.Format(time.DateOnly)
		if d.Flag != "" {
			return fmt.Sprintf("%s waits for an operator's approval since %s (%s): 'imca domain show %s' tells when it is there.", n, since, d.Flag, d.Name)
		}
		return fmt.Sprintf("%s waits for an operator's approval since %s: 'imca domain show %s' tells when it is there.", n, since, d.Name)
	case DomainConflict: // with an app that has given the name up
		return fmt.Sprintf("%s was another app's, and is free now: imca domain verify %s (or POST /v1/domains/%s/verify) looks at the proof again. Then ask for the certificate again.", n, d.Name, d.Name)
	case DomainRejected:
		return rejected(*d).Detail
	case DomainSuspended, DomainValid: // the latter has lapsed a moment ago
		if why := strings.TrimSuffix(d.Failure, "."); why != "" {
			return fmt.Sprintf("%s is suspended for the app %s, as its proof could not be renewed (%s). Prove it again like this: %s", n, app.ID, why, c.howTo(d))
		}
		return fmt.Sprintf("%s is suspended for the app %s, as its proof could not be renewed. Prove it again like this: %s", n, app.ID, c.howTo(d))
	}
	if !now.Before(d.ChallengeUntil) {
		return fmt.Sprintf("%s was not proven in time. Prove it like this: %s.", n, c.proveIt(app, n))
	}
	if n.IsWildcard() && !d.Wildcard {
		return fmt.Sprintf("%s is not proven to be yours (app %s). Prove it like this: %s.", n, app.ID, c.proveIt(app, n))
	}
	return fmt.Sprintf("%s is not proven yet. Prove it like this: %s", n, c.howTo(d))
}

func (c *CA) howTo(d *Domain) string {
	return strings.ReplaceAll(c.challenge(*d, d.Method).Instructions, "\n", " ") + ". Then ask for the certificate again."
}

func (c *CA) proveIt(app *App, n pki.Name) string {
	if app.Policy == PolicyApprove {
		return fmt.Sprintf("ask for it: imca domain add %s", quoted(n))
	}
	return fmt.Sprintf("imca domain add %s (or POST /v1/domains with {\"domain\":%q}) says what to show, and imca domain verify %s (or POST /v1/domains/%s/verify) looks at it; then ask for the certificate again",
		quoted(n), n, n.Base(), n.Base())
}

// taken speaks of a name that another app has.
func (c *CA) taken(app *App, n pki.Name, d *Domain) string {
	if d != nil && d.State == DomainConflict {
		return fmt.Sprintf("%s is proven, but another app has it: that app's developers or an operator have to decide; tell an operator that it is the app %s's now.", n, app.ID)
	}
	return fmt.Sprintf("%s belongs to another app. If it is yours now, prove it all the same: %s; an operator, or the app that has it, then decides.", n, c.proveIt(app, n))
}

// quoted keeps a shell from reading a wildcard.
func quoted(n pki.Name) string {
	if n.IsWildcard() {
		return "'" + n.String() + "'"
	}
	return n.String()
}

// checkCAA asks the owners of all names at once, and of each for itself.
func (c *CA) checkCAA(ctx context.Context, asked control, methods []Method, accounts []string) error {
	errs := make([]error, len(asked.names))
	var asking sync.WaitGroup
	for i, n := range asked.names {
		asking.Go(func() {
			select {
			case c.probes <- struct{}{}:
				defer func() { <-c.probes }()
				errs[i] = c.rules.CAA(ctx, n, accounts, methods[i])
			case <-ctx.Done():
				errs[i] = ctx.Err()
			}
		})
	}
	asking.Wait()
	var refusal *Error
	for i, err := range errs {
		var no *Error
		switch {
		case err == nil:
			continue
		case !errors.As(err, &no):
			return fmt.Errorf("checking CAA of %s: %w", asked.names[i], err)
		case refusal == nil:
			refusal = &Error{Kind: no.Kind, Field: asked.pointers[i], Detail: no.Detail, Err: no}
		}
		refusal.Faults = append(refusal.Faults, Fault{Field: asked.pointers[i], Detail: no.Detail})
	}
	if refusal != nil {
		return refusal
	}
	return nil
}
