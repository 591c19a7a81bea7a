package api

import (
	"net/http"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

func (d *door) createApp(c *call) error {
	var req AppRequest
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	if err := c.body(&req); err != nil {
		return err
	}
	app, replayed, err := d.ca.CreateApp(c.r.Context(), c.principal, ca.NewApp{
		ID: req.ID, Name: req.Name, Policy: ca.DomainPolicy(req.Policy), Allowed: req.Allowed, IdempotencyKey: key,
	})
	if err != nil {
		return err
	}
	return c.answer(c.created("/v1/apps/"+app.ID, replayed), showApp(app))
}

func (d *door) listApps(c *call) error {
	limit, after := c.query.limit(), parse(&c.query, "cursor", appCursor)
	if err := c.query.err(); err != nil {
		return err
	}
	apps, err := d.ca.ListApps(c.r.Context(), c.principal, after, limit)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageOf(apps, limit, showApp, func(a ca.App) string { return a.ID }))
}

func (d *door) readApp(c *call) error {
	id, err := c.appID()
	if err != nil {
		return err
	}
	app, err := d.ca.App(c.r.Context(), c.principal, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, showApp(app))
}

func (d *door) changeApp(c *call) error {
	id, err := c.appID()
	if err != nil {
		return err
	}
	var req AppChange
	if err := c.body(&req); err != nil {
		return err
	}
	app, err := d.ca.ChangeApp(c.r.Context(), c.principal, id, ca.AppChange{
		Name: req.Name, Policy: (*ca.DomainPolicy)(req.Policy), Allowed: req.Allowed, Quotas: req.Quotas, Suspended: req.Suspended,
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, showApp(app))
}

func showApp(a ca.App) App {
	shown := App{ID: a.ID, Name: a.Name, Policy: string(a.Policy), Allowed: a.Allowed, Suspended: a.Suspended, CreatedAt: a.CreatedAt, Quotas: a.Quotas}
	if shown.Allowed == nil {
		shown.Allowed = []string{}
	}
	if shown.Quotas == nil {
		shown.Quotas = map[string]int{}
	}
	return shown
}

// appCursor reads the cursor of a list of apps: the last one's ID.
func appCursor(s string) (string, error) {
	if !appIDs.MatchString(s) {
		return "", foreignCursor()
	}
	return s, nil
}

func foreignCursor() error {
	return web.Refuse(ca.KindInvalid, "This cursor is not one of ours: take it unchanged from \"next\" of the page before, or leave it out to start from the first page.")
}

// pageOf is a page of a list whose cursor is the last item's ID. A page that is full may be followed by an empty one.
func pageOf[From, To any](from []From, limit int, show func(From) To, id func(From) string) Page[To] {
	page := Page[To]{Items: make([]To, len(from))}
	for i, item := range from {
		page.Items[i] = show(item)
	}
	if limit == 0 {
		limit = ca.DefaultPage
	}
	if len(from) == limit {
		page.Next = id(from[len(from)-1])
	}
	return page
}
