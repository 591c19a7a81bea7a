package ca

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// NewDomain asks for a name.
type NewDomain struct {
	App    string // whose it shall be; a developer may leave it out
	Domain string // "www.example.com", "*.example.com" for everything one level below, or an address

	// Method is the way to prove it. Empty: http-01, or dns-01 for a wildcard.
	Method string
}

// AddDomain makes the app's claim on a name, and says by its challenges what to show. A claim that is there already is brought up to date:
// a challenge that is over is replaced, another method or a wildcard taken note of. added tells whether the claim is new.
func (c *CA) AddDomain(ctx context.Context, p Principal, req NewDomain) (d Domain, added bool, err error) {
	now := c.clock()
	if p.Role == RoleDeveloper && req.App == "" {
		req.App = p.App
	}
	act, err := c.authorize(ctx, now, p, ActAddDomain, target{app: req.App, object: req.Domain, detail: map[string]string{"method": req.Method}})
	if err != nil {
		return Domain{}, false, err
	}
	d, added, err = c.addDomain(ctx, now, p, req, act)
	return d, added, c.answer(ctx, act, err)
}

func (c *CA) addDomain(ctx context.Context, now time.Time, p Principal, req NewDomain, act Act) (Domain, bool, error) {
	name, err := c.parseDomain("/domain", req.Domain)
	if err != nil {
		return Domain{}, false, err
	}
	method := Method(req.Method)
	if err := checkMethod(method, name); err != nil {
		return Domain{}, false, err
	}
	app, err := c.appOf(ctx, req.App)
	if err != nil {
		return Domain{}, false, err
	}
	if app.Policy == PolicyList && !app.allows(name) {
		return Domain{}, false, notListed(name, app, "/domain")
	}
	act.Event.Object = name.Base().String()
	for range tries {
		d, err := c.store.Domain(ctx, app.ID, name.Base())
		switch {
		case errors.Is(err, ErrNotFound):
			d = c.newClaim(now, p, app, name, method)
			act.Event.Detail = map[string]string{"method": string(d.Method), "state": string(d.State), "name": name.String()}
			err = c.store.CreateDomain(context.WithoutCancel(ctx), d, c.QuotasOf(app).OpenClaims, act)
			switch {
			case err == nil:
				d.Version = 1
				return d, true, nil
			case errors.Is(err, ErrFull):
				return Domain{}, false, refuse(KindRateLimited, "", "The app %s has %d names that are not proven, which are the most: prove some, or give some up (imca domain list, imca domain remove).",
					app.ID, c.QuotasOf(app).OpenClaims)
			case !errors.Is(err, ErrExists):
				return Domain{}, false, fmt.Errorf("recording the claim on %s: %w", name, err)
			}
			continue // another request made the claim in this moment
		case err != nil:
			return Domain{}, false, fmt.Errorf("reading the claim on %s: %w", name, err)
		case d.State == DomainRejected:
			return Domain{}, false, rejected(d)
		}
		before := d
		c.refresh(&d, now, name, method)
		if d == before {
			return d, false, nil
		}
		act.Event.Detail = map[string]string{"method": string(d.Method), "state": string(d.State), "name": name.String()}
		err = c.store.ChangeDomains(context.WithoutCancel(ctx), nil, []Domain{d}, act)
		switch {
		case err == nil:
			d.Version++
			return d, false, nil
		case !errors.Is(err, ErrChanged):
			return Domain{}, false, fmt.Errorf("changing the claim on %s: %w", name, err)
		}
	}
	return Domain{}, false, busy(name.Base())
}

// newClaim is a claim as it begins.
func (c *CA) newClaim(now time.Time, p Principal, app *App, name pki.Name, m Method) Domain {
	d := Domain{
		Name: name.Base(), App: app.ID, State: DomainPending, Wildcard: name.IsWildcard(), Method: m, Token: newChallengeToken(),
		ChallengeUntil: now.Add(c.rules.ChallengeLife), CreatedAt: now, CreatedBy: p.Name, Flag: c.lookAlike(name),
	}
	if d.Method == "" {
		d.Method = usualMethod(name)
	}
	if app.Policy == PolicyApprove {
		d.State = DomainAwaiting
	}
	return d
}

// refresh brings a claim up to date with a request for the same name.
func (c *CA) refresh(d *Domain, now time.Time, name pki.Name, m Method) {
	proven := d.Holds && d.State != DomainPending || d.State == DomainConflict
	if m != "" {
		d.Method = m
	}
	if name.IsWildcard() && !d.Wildcard {
		// A proven name keeps what its proof covers; the next proof may cover more.
		d.Wildcard = !proven
		if !d.Method.fits(d.Name, true) {
			d.Method = MethodDNS
		}
	}
	if !proven && !now.Before(d.ChallengeUntil) {
		d.Token, d.ChallengeUntil = newChallengeToken(), now.Add(c.rules.ChallengeLife)
	}
}

func usualMethod(n pki.Name) Method {
	if n.IsWildcard() {
		return MethodDNS
	}
	return MethodHTTP
}

// parseDomain reads a name that somebody wants, and holds it against the operator's policy.
func (c *CA) parseDomain(field, text string) (pki.Name, error) {
	n, err := pki.ParseName(text)
	if err == nil {
		err = c.names.check(n)
	}
	if err != nil {
		return pki.Name{}, &Error{Kind: KindRejectedName, Field: field, Detail: sentence(err), Err: err}
	}
	return n, nil
}

func checkMethod(m Method, n pki.Name) error {
	switch {
	case m == "":
		return nil
	case !slices.Contains(ProofMethods(), m):
		return refuse(KindInvalid, "/method", "There is no method %q: use one of %s.", m, joined(ProofMethods()))
	case !m.fits(n.Base(), n.IsWildcard()) && n.IsIP():
		return refuse(KindInvalid, "/method", "%s is an address, which %s cannot prove: use %s.", n, m, MethodHTTP)
	case !m.fits(n.Base(), n.IsWildcard()):
		return refuse(KindInvalid, "/method", "%s is a wildcard, which %s cannot prove: use %s or %s.", n, m, MethodDNS, MethodStanding)
	}
	return nil
}

// appOf is the app that something new is for.
func (c *CA) appOf(ctx context.Context, id string) (*App, error) {
	if id == "" {
		return nil, refuse(KindInvalid, "/app", "Say which app it is for: give \"app\", the ID of the app.")
	}
	app, err := c.store.App(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, refuse(KindInvalid, "/app", "There is no app %q: create it first (POST /v1/apps, or 'imca app create').", id)
	case err != nil:
		return nil, fmt.Errorf("reading the app %s: %w", id, err)
	case app.Suspended:
		return nil, refuse(KindForbidden, "/app", "The app %s is suspended: ask an operator why.", app.ID)
	}
	return &app, nil
}

func rejected(d Domain) *Error {
	return refuse(KindForbidden, "", "%s was refused to the app %s (%s, %s): %s. Ask an operator.", d.Name, d.App, d.DecidedBy, d.DecidedAt.Format(time.DateOnly), strings.TrimSuffix(d.Decision, "."))
}

func busy(n pki.Name) *Error {
	return &Error{Kind: KindUnavailable, RetryAfter: time.Second, Detail: fmt.Sprintf("Others are changing %s at this moment: try again.", n)}
}

// newChallengeToken is 256 random bits in the alphabet of RFC 8555, Section 8.
func newChallengeToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Domain is an app's claim on a name. Without an app it is the developer's own, or else that of the app that has the name, or the only one.
func (c *CA) Domain(ctx context.Context, p Principal, name, app string) (Domain, error) {
	d, _, err := c.claim(ctx, p, ActReadDomain, name, app)
	return d, err
}

// claim finds the object of an act and authorizes the act on it.
func (c *CA) claim(ctx context.Context, p Principal, a Action, text, app string) (Domain, Act, error) {
	now := c.clock()
	if p.Role == RoleDeveloper {
		app = cmp.Or(app, p.App)
	}
	name, parseErr := pki.ParseName(text)
	name = name.Base()
	object := name.String()
	if parseErr != nil {
		object = text
	}
	act, err := c.authorize(ctx, now, p, a, target{app: app, object: object})
	if err != nil {
		return Domain{}, Act{}, err
	}
	if parseErr != nil {
		return Domain{}, Act{}, c.refused(ctx, act, &Error{Kind: KindNotFound, Detail: sentence(parseErr), Err: parseErr})
	}
	claims, err := c.store.Domains(ctx, []pki.Name{name})
	if err != nil {
		return Domain{}, Act{}, fmt.Errorf("reading the claims on %s: %w", name, err)
	}
	d, refusal := choose(claims, name, app)
	if refusal != nil {
		return Domain{}, Act{}, c.refused(ctx, act, refusal)
	}
	act.Event.App = d.App
	return d, act, nil
}

// choose finds the claim that is meant among all claims on a name.
func choose(claims []Domain, name pki.Name, app string) (Domain, *Error) {
	var apps []string
	for _, d := range claims {
		if d.App == app || app == "" && d.Holds {
			return d, nil
		}
		apps = append(apps, d.App)
	}
	switch {
	case app != "":
		return Domain{}, refuse(KindNotFound, "", "The app %s has not asked for %s: begin with POST /v1/domains, or 'imca domain add %s'.", app, name, name)
	case len(claims) == 0:
		return Domain{}, refuse(KindNotFound, "", "No app has asked for %s: look it up in the list (GET /v1/domains, or 'imca domain list').", name)
	case len(claims) > 1:
		return Domain{}, refuse(KindConflict, "", "Several apps ask for %s (%s): say which one is meant (\"app\", or --app).", name, strings.Join(apps, ", "))
	}
	return claims[0], nil
}

// ListDomains is a page of the claims that the query selects. A developer sees those of the own app alone.
func (c *CA) ListDomains(ctx context.Context, p Principal, q DomainQuery) ([]Domain, error) {
	if p.Role == RoleDeveloper && q.App == "" {
		q.App = p.App
	}
	if _, err := c.authorize(ctx, c.clock(), p, ActReadDomain, target{app: q.App}); err != nil {
		return nil, err
	}
	q.Suffix = strings.TrimPrefix(q.Suffix, ".")
	var err error
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, err
	}
	return c.store.ListDomains(ctx, q)
}

// RemoveDomain gives a claim up. Certificates that were issued by it stay as they are. What was refused stays refused, unless an operator removes it.
func (c *CA) RemoveDomain(ctx context.Context, p Principal, name, app string) error {
	for range tries {
		d, act, err := c.claim(ctx, p, ActRemoveDomain, name, app)
		if err != nil {
			return err
		}
		if d.State == DomainRejected && p.Role == RoleDeveloper {
			return c.refused(ctx, act, rejected(d))
		}
		act.Event.Detail = map[string]string{"state": string(d.State)}
		err = c.store.ChangeDomains(context.WithoutCancel(ctx), []Domain{d}, nil, act)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrChanged) {
			return fmt.Errorf("removing the claim on %s: %w", d.Name, err)
		}
	}
	return &Error{Kind: KindUnavailable, Detail: "Others are changing this domain at this moment: try again."}
}

// tries bounds how often a change is made anew because others changed the same.
const tries = 10
