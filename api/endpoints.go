package api

import (
	"net/http"
	"regexp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

func (d *door) addEndpoint(c *call) error {
	var req EndpointRequest
	if err := c.body(&req); err != nil {
		return err
	}
	e, added, err := d.ca.AddEndpoint(c.r.Context(), c.principal, ca.NewEndpoint{App: req.App, URL: req.URL, Callback: req.Callback})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = c.created("/v1/endpoints/"+e.ID, false)
	}
	return c.answer(status, showEndpoint(e))
}

func (d *door) listEndpoints(c *call) error {
	q := ca.EndpointQuery{App: c.query.text("app"), Limit: c.query.limit(), Beyond: parse(&c.query, "cursor", endpointCursor)}
	if err := c.query.err(); err != nil {
		return err
	}
	endpoints, err := d.ca.ListEndpoints(c.r.Context(), c.principal, q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageOf(endpoints, q.Limit, showEndpoint, func(e ca.Endpoint) string { return e.ID }))
}

var endpointIDs = regexp.MustCompile(`^end_[0-9a-f]{32}$`)

// endpointCursor reads the cursor of a list of endpoints: the last one's ID.
func endpointCursor(s string) (string, error) {
	if !endpointIDs.MatchString(s) {
		return "", foreignCursor()
	}
	return s, nil
}

// endpointID is the endpoint in the path.
func (c *call) endpointID() (string, error) {
	id := c.path("id")
	if !endpointIDs.MatchString(id) {
		return "", web.Refuse(ca.KindNotFound, "No endpoint can have this ID: look it up in the list (GET /v1/endpoints).")
	}
	return id, nil
}

func (d *door) readEndpoint(c *call) error {
	id, err := c.endpointID()
	if err != nil {
		return err
	}
	e, err := d.ca.Endpoint(c.r.Context(), c.principal, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, showEndpoint(e))
}

func (d *door) removeEndpoint(c *call) error {
	id, err := c.endpointID()
	if err != nil {
		return err
	}
	if err := d.ca.RemoveEndpoint(c.r.Context(), c.principal, id); err != nil {
		return err
	}
	return c.write(http.StatusNoContent, nil)
}

func showEndpoint(e ca.Endpoint) Endpoint {
	shown := Endpoint{
		ID: e.ID, App: e.App, URL: e.URL, Callback: e.Callback, CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy, NextCheckAt: e.DueAt,
		CheckedAt: moment(e.CheckedAt), Check: e.CheckID, Summary: e.Summary, Alerts: make([]string, len(e.Alerts)),
		ReadyFor: orEmpty(e.Ready), NotReadyFor: orEmpty(e.Unready),
	}
	for i, a := range e.Alerts {
		shown.Alerts[i] = string(a)
	}
	return shown
}
