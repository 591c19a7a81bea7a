package ca

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// NewCheck asks for a test of an endpoint.
type NewCheck struct {
	App      string // whose history it stands in; a developer may leave it out, an operator leaves it out for an endpoint of nobody
	URL      string // https://HOST[:PORT][/PATH]
	Address  string // an address to go to instead of those that the name has; empty: those
	Callback bool   // post a harmless callback, too

	IdempotencyKey string
}

// RunCheck has an endpoint tested from outside. It answers at once with the check as it begins; AwaitCheck waits for its end. A developer may
// test endpoints whose name the app could have a certificate for, an operator any.
func (c *CA) RunCheck(ctx context.Context, p Principal, req NewCheck) (_ Check, replayed bool, err error) {
	now := c.clock()
	if p.Role == RoleDeveloper && req.App == "" {
		req.App = p.App
	}
	act, err := c.authorize(ctx, now, p, ActCheck, target{app: req.App, object: req.URL})
	if err != nil {
		return Check{}, false, err
	}
	k, replayed, err := c.runCheck(ctx, p, req, act)
	return k, replayed, c.answer(ctx, act, err)
}

func (c *CA) runCheck(ctx context.Context, p Principal, req NewCheck, act Act) (_ Check, replayed bool, err error) {
	now := act.Event.At
	if c.checks.Look == nil {
		return Check{}, false, refuse(KindUnavailable, "", "This server checks no endpoints: ask another, or use 'imca check' with --cert and --key on a machine that has the platform's certificate.")
	}
	asked, key := req, req.IdempotencyKey
	asked.IdempotencyKey = ""
	if act.Claim, err = claimFor(p, key, asked, now); err != nil {
		return Check{}, false, err
	}
	endpoint, err := c.endpointOf(ctx, now, p, req.App, req.URL)
	if err != nil {
		return Check{}, false, err
	}
	k := Check{
		ID: newCheckID(now), App: req.App, URL: endpoint.url, Callback: req.Callback, Cause: CauseAsked, AskedBy: p.Name,
		CreatedAt: now, State: CheckRunning, DueAt: now,
	}
	if req.Address != "" {
		if k.Address, err = netip.ParseAddr(req.Address); err != nil || k.Address.Zone() != "" {
			return Check{}, false, refuse(KindInvalid, "/address", "%q is no address: write one like 192.0.2.7 or 2001:db8::7, or leave it out to go where the name leads.", oneLine(req.Address))
		}
		k.Address = k.Address.Unmap()
	}
	quotas, err := c.quotasForCheck(ctx, k.App)
	if err != nil {
		return Check{}, false, err
	}
	if err := c.take(ctx, now, quotas); err != nil {
		return Check{}, false, err
	}
	act.Event.Object, act.Event.Detail = k.ID, map[string]string{"url": k.URL}
	if act.Claim != nil {
		act.Claim.Object = k.ID
	}
	var claimed *ClaimedError
	switch err := c.store.CreateCheck(context.WithoutCancel(ctx), k, act); {
	case errors.As(err, &claimed):
		c.giveBack(ctx, quotas)
		if claimed.Earlier.Request != act.Claim.Request {
			return Check{}, false, keyReused()
		}
		k, err = c.store.Check(ctx, claimed.Earlier.Object)
		return k, true, err
	case err != nil:
		return Check{}, false, fmt.Errorf("recording the check of %s: %w", k.URL, err)
	}
	c.checking.wake()
	return k, false, nil
}

func newCheckID(now time.Time) string {
	id := newEventID(now)
	return "chk_" + hex.EncodeToString(id[:])
}

// endpoint is a URL that has been understood.
type endpoint struct {
	url  string // in normal form
	name pki.Name
	port uint64
}

// maxURL bounds the URL of an endpoint.
const maxURL = 1000

// parseEndpoint brings the URL of an endpoint to normal form. It has no query: what is kept for a history must hold no secret.
func parseEndpoint(text string) (endpoint, error) {
	bad := func(format string, args ...any) (endpoint, error) {
		return endpoint{}, refuse(KindInvalid, "/url", format, args...)
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return bad("The URL has more than %d characters: shorten its path.", maxURL)
	case err != nil || u.Host == "" || u.Opaque != "":
		return bad("This is no URL: write it like https://www.example.com/callback.")
	case u.Scheme != "https":
		return bad("Endpoints are reached by HTTPS: begin the URL with https://.")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return bad("Leave the query, user and fragment out of the URL: what is checked is kept, and they may hold secrets.")
	}
	n, err := pki.ParseName(u.Hostname())
	if err != nil || n.IsWildcard() {
		return bad("%q is no host: write the URL like https://www.example.com/callback.", oneLine(u.Hostname()))
	}
	host := n.String()
	if n.IsIP() && n.Addr().Is6() {
		host = "[" + host + "]"
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	if err != nil || port == 0 {
		return bad("The port %q is out of bounds: give one from 1 to 65535.", oneLine(u.Port()))
	}
	if port != 443 {
		host += ":" + strconv.FormatUint(port, 10)
	}
	path := cmp.Or(u.EscapedPath(), "/")
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("The path has characters that a URL does not have: escape them by %%.")
	}
	return endpoint{"https://" + host + path, n, port}, nil
}

// endpointOf reads the URL of an endpoint and refuses a developer one that is not the app's.
func (c *CA) endpointOf(ctx context.Context, now time.Time, p Principal, app, text string) (endpoint, error) {
	switch {
	case app == "":
		return parseEndpoint(text)
	case p.Role == RoleDeveloper:
		return c.ownEndpoint(ctx, now, app, text)
	}
	if _, err := c.appOf(ctx, app); err != nil {
		return endpoint{}, err
	}
	return parseEndpoint(text)
}

// ownEndpoint reads the URL of an endpoint of an app: its name is one that the app could have a certificate for.
func (c *CA) ownEndpoint(ctx context.Context, now time.Time, app, text string) (endpoint, error) {
	e, err := parseEndpoint(text)
	if err != nil {
		return e, err
	}
	whose, err := c.appOf(ctx, app)
	if err != nil {
		return e, err
	}
	if e.port != 443 && e.port < 1024 {
		return e, refuse(KindInvalid, "/url", "Port %d belongs to another service: use 443, or one from 1024 on.", e.port)
	}
	var refusal *Error
	err = c.mayHave(ctx, now, whose, e.name)
	if errors.As(err, &refusal) {
		return e, &Error{Kind: refusal.Kind, Field: "/url", Detail: refusal.Detail, Err: err}
	}
	return e, err
}

// Check is the check with this ID. A developer sees those of the own app.
func (c *CA) Check(ctx context.Context, p Principal, id string) (Check, error) {
	now := c.clock()
	k, err := c.store.Check(ctx, id)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return Check{}, fmt.Errorf("reading the check %s: %w", oneLine(id), err)
	}
	t := target{app: k.App, object: id}
	if missing && p.Role == RoleDeveloper {
		t.app = p.App
	}
	act, err := c.authorize(ctx, now, p, ActReadCheck, t)
	if err == nil && missing {
		err = c.refused(ctx, act, refuse(KindNotFound, "", "There is no check %s: look it up in the list (GET /v1/checks, or 'imca check --list'). Checks are kept for %d days.",
			oneLine(id), int(c.checks.Keep/(24*time.Hour))))
	}
	if err != nil {
		return Check{}, err
	}
	return k, nil
}

// ListChecks is a page of checks, newest first, without their reports. A developer sees those of the own app alone.
func (c *CA) ListChecks(ctx context.Context, p Principal, q CheckQuery) ([]Check, error) {
	if p.Role == RoleDeveloper && q.App == "" {
		q.App = p.App
	}
	if _, err := c.authorize(ctx, c.clock(), p, ActReadCheck, target{app: q.App}); err != nil {
		return nil, err
	}
	if q.URL != "" {
		e, err := parseEndpoint(q.URL)
		if err != nil {
			return nil, err
		}
		q.URL = e.url
	}
	var err error
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, err
	}
	return c.store.ListChecks(ctx, q)
}

// AwaitCheck is the check with this ID when it has ended, or as it is after a while.
func (c *CA) AwaitCheck(ctx context.Context, p Principal, id string, most time.Duration) (Check, error) {
	const look = time.Second // another process may be running it
	ended, stop := c.checking.watch(id)
	defer stop()
	limit := time.NewTimer(most)
	defer limit.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for over := false; ; {
		k, err := c.Check(ctx, p, id)
		if err != nil || k.State != CheckRunning || over {
			return k, err
		}
		select {
		case <-ended:
			ended = nil
		case <-tick.C:
		case <-limit.C:
			over = true
		case <-ctx.Done():
			return k, nil
		}
	}
}
