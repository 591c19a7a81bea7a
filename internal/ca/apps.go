package ca

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/pki"
)

// NewApp asks for an app.
type NewApp struct {
	ID             string       // see App; made up when empty
	Name           string       // the ID when empty
	Policy         DomainPolicy // that of Config.Domains when empty
	Allowed        []string
	IdempotencyKey string
}

// AppChange changes an app; nil fields stay as they are.
type AppChange struct {
	Name      *string
	Policy    *DomainPolicy
	Allowed   *[]string
	Quotas    *map[string]int // all that it shall have of its own
	Suspended *bool
}

// appID is what the ID of an app looks like: it stands in paths, commands and file names.
var appID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// maxAllowed bounds an app's allow-list, which is read whole at each issuance.
const maxAllowed = 1000

// CreateApp makes an app, or finds the one that an earlier request with the same idempotency key made.
func (c *CA) CreateApp(ctx context.Context, p Principal, req NewApp) (app App, replayed bool, err error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActCreateApp, target{app: req.ID, object: req.ID, detail: map[string]string{"name": req.Name}})
	if err != nil {
		return App{}, false, err
	}
	app, replayed, err = c.createApp(ctx, p, req, act)
	return app, replayed, c.answer(ctx, act, err)
}

func (c *CA) createApp(ctx context.Context, p Principal, req NewApp, act Act) (_ App, replayed bool, err error) {
	asked, key := req, req.IdempotencyKey
	asked.IdempotencyKey = ""
	claim, err := claimFor(p, key, asked, act.Event.At)
	if err != nil {
		return App{}, false, err
	}
	app := App{ID: req.ID, Name: req.Name, Policy: req.Policy, CreatedAt: act.Event.At, Version: 1}
	if app.ID == "" {
		app.ID = "app-" + strings.ToLower(rand.Text()[:10])
	}
	if app.ID == CanaryApp {
		return App{}, false, refuse(KindInvalid, "/id", "The ID %s stands for the certificates of the door check: choose another.", CanaryApp)
	}
	if app.Name == "" {
		app.Name = app.ID
	}
	if app.Policy == "" {
		app.Policy = c.rules.Policy
	}
	if app.Allowed, err = parseAllowed(req.Allowed); err != nil {
		return App{}, false, err
	}
	if err := app.check(); err != nil {
		return App{}, false, err
	}
	act.Event.App, act.Event.Object = app.ID, app.ID
	if act.Claim = claim; claim != nil {
		claim.Object = app.ID
	}
	var claimed *ClaimedError
	switch err := c.store.CreateApp(context.WithoutCancel(ctx), app, act); {
	case errors.As(err, &claimed):
		if claimed.Earlier.Request != claim.Request {
			return App{}, false, keyReused()
		}
		app, err := c.store.App(ctx, claimed.Earlier.Object)
		return app, true, err
	case errors.Is(err, ErrExists):
		return App{}, false, refuse(KindConflict, "/id", "There is an app %s already: choose another ID.", app.ID)
	case err != nil:
		return App{}, false, fmt.Errorf("recording the app %s: %w", app.ID, err)
	}
	return app, false, nil
}

func (a *App) check() error {
	if !appID.MatchString(a.ID) {
		return refuse(KindInvalid, "/id", "The ID of an app has 1 to 64 of a–z, 0–9 and \"-\", with a letter or digit at both ends.")
	}
	if err := checkLabel("/name", a.Name, 200); err != nil {
		return err
	}
	if !slices.Contains(DomainPolicies(), a.Policy) {
		return refuse(KindInvalid, "/policy", "There is no policy %q: use one of %s.", a.Policy, joined(DomainPolicies()))
	}
	return nil
}

// parseAllowed brings an allow-list to normal form.
func parseAllowed(entries []string) ([]string, error) {
	if len(entries) > maxAllowed {
		return nil, refuse(KindInvalid, "/allowed", "An allow-list has at most %d entries: use \".example.com\" for everything below a name.", maxAllowed)
	}
	var allowed []string
	for i, entry := range entries {
		below, isBelow := strings.CutPrefix(entry, ".")
		n, err := pki.ParseName(below)
		if err == nil && isBelow && (n.IsIP() || n.IsWildcard()) {
			err = fmt.Errorf("%q: only a host name can follow the leading dot", entry)
		}
		if err != nil {
			return nil, &Error{Kind: KindRejectedName, Field: "/allowed/" + strconv.Itoa(i), Detail: sentence(err), Err: err}
		}
		entry = n.String()
		if isBelow {
			entry = "." + entry
		}
		if !slices.Contains(allowed, entry) {
			allowed = append(allowed, entry)
		}
	}
	return allowed, nil
}

// App is the app with this ID. A developer sees the own one.
func (c *CA) App(ctx context.Context, p Principal, id string) (App, error) {
	app, _, err := c.app(ctx, p, ActReadApp, id)
	return app, err
}

func (c *CA) app(ctx context.Context, p Principal, a Action, id string) (App, Act, error) {
	act, err := c.authorize(ctx, c.clock(), p, a, target{app: id, object: id})
	if err != nil {
		return App{}, Act{}, err
	}
	app, err := c.store.App(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return App{}, Act{}, c.refused(ctx, act, refuse(KindNotFound, "", "There is no app %q: look its ID up in the list (GET /v1/apps, or 'imca app list').", id))
	case err != nil:
		return App{}, Act{}, fmt.Errorf("reading the app %s: %w", id, err)
	}
	return app, act, nil
}

// ListApps is a page of all apps in the order of their IDs, from beyond after.
func (c *CA) ListApps(ctx context.Context, p Principal, after string, limit int) ([]App, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActListApps, target{}); err != nil {
		return nil, err
	}
	limit, err := pageSize(limit)
	if err != nil {
		return nil, err
	}
	return c.store.ListApps(ctx, after, limit)
}

// ChangeApp changes an app. Two changes at once do not overwrite each other: the later one is made on top of the earlier.
func (c *CA) ChangeApp(ctx context.Context, p Principal, id string, change AppChange) (App, error) {
	for range tries {
		app, act, err := c.app(ctx, p, ActChangeApp, id)
		if err != nil {
			return App{}, err
		}
		if err := change.apply(&app); err != nil {
			return App{}, c.answer(ctx, act, err)
		}
		act.Event.Detail = map[string]string{
			"name": app.Name, "policy": string(app.Policy), "suspended": strconv.FormatBool(app.Suspended),
			"allowed": strconv.Itoa(len(app.Allowed)) + " entries", "quotas": listed(app.Quotas),
		}
		err = c.store.ChangeApp(context.WithoutCancel(ctx), app, act)
		if err == nil {
			app.Version++
			return app, nil
		}
		if !errors.Is(err, ErrChanged) {
			return App{}, fmt.Errorf("changing the app %s: %w", id, err)
		}
	}
	return App{}, &Error{Kind: KindUnavailable, Detail: "Others are changing this app at this moment: try again."}
}

// listed are an app's own quotas in a line.
func listed(quotas map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(quotas)) {
		list = append(list, name+"="+strconv.Itoa(quotas[name]))
	}
	return strings.Join(list, " ")
}

func (ch AppChange) apply(a *App) (err error) {
	if ch.Name != nil {
		a.Name = *ch.Name
	}
	if ch.Policy != nil {
		a.Policy = *ch.Policy
	}
	if ch.Allowed != nil {
		if a.Allowed, err = parseAllowed(*ch.Allowed); err != nil {
			return err
		}
	}
	if ch.Quotas != nil {
		if err := checkQuotas(*ch.Quotas); err != nil {
			return err
		}
		a.Quotas = *ch.Quotas
	}
	if ch.Suspended != nil {
		a.Suspended = *ch.Suspended
	}
	return a.check()
}
