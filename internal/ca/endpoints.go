package ca

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// maxEndpoints is how many an app may register.
const maxEndpoints = 100

// NewEndpoint asks for an endpoint to be checked from now on.
type NewEndpoint struct {
	App      string // a developer may leave it out
	URL      string // https://HOST[:PORT][/PATH]
	Callback bool
}

// AddEndpoint registers an endpoint; its first check is at once. One that the app has registered already is answered as it is, and added is false.
func (c *CA) AddEndpoint(ctx context.Context, p Principal, req NewEndpoint) (_ Endpoint, added bool, err error) {
	now := c.clock()
	if p.Role == RoleDeveloper && req.App == "" {
		req.App = p.App
	}
	act, err := c.authorize(ctx, now, p, ActAddEndpoint, target{app: req.App, object: req.URL})
	if err != nil {
		return Endpoint{}, false, err
	}
	e, added, err := c.addEndpoint(ctx, p, req, act)
	return e, added, c.answer(ctx, act, err)
}

func (c *CA) addEndpoint(ctx context.Context, p Principal, req NewEndpoint, act Act) (_ Endpoint, added bool, err error) {
	now := act.Event.At
	if c.checks.Look == nil {
		return Endpoint{}, false, refuse(KindUnavailable, "", "This server checks no endpoints: ask another.")
	}
	if _, err := c.appOf(ctx, req.App); err != nil {
		return Endpoint{}, false, err
	}
	at, err := c.ownEndpoint(ctx, now, req.App, req.URL)
	if err != nil {
		return Endpoint{}, false, err
	}
	id := newEventID(now)
	e := Endpoint{
		ID: "end_" + hex.EncodeToString(id[:]), App: req.App, URL: at.url, Name: at.name, Callback: req.Callback, CreatedAt: now, CreatedBy: p.Name,
		DueAt: now, Cause: CauseScheduled, SeenAt: now, Version: 1,
	}
	act.Event.Object, act.Event.Detail = e.ID, map[string]string{"url": e.URL}
	switch err := c.store.CreateEndpoint(context.WithoutCancel(ctx), e, maxEndpoints, act); {
	case errors.Is(err, ErrExists):
		e, err := c.store.EndpointAt(ctx, req.App, at.url)
		if errors.Is(err, ErrNotFound) {
			err = &Error{Kind: KindUnavailable, RetryAfter: time.Second, Detail: "Others are changing this endpoint at this moment: try again."}
		}
		return e, false, err
	case errors.Is(err, ErrFull):
		return Endpoint{}, false, refuse(KindConflict, "", "The app %s has %d endpoints, which is the most: remove one ('imca endpoint remove', or DELETE /v1/endpoints/{id}).", req.App, maxEndpoints)
	case err != nil:
		return Endpoint{}, false, fmt.Errorf("recording the endpoint %s: %w", e.URL, err)
	}
	c.checking.wake()
	return e, true, nil
}

// Endpoint is the one with this ID. A developer sees those of the own app.
func (c *CA) Endpoint(ctx context.Context, p Principal, id string) (Endpoint, error) {
	e, _, err := c.endpoint(ctx, p, ActReadEndpoint, id)
	return e, err
}

// endpoint finds the object of an act and authorizes the act on it.
func (c *CA) endpoint(ctx context.Context, p Principal, a Action, id string) (Endpoint, Act, error) {
	e, err := c.store.Endpoint(ctx, id)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return Endpoint{}, Act{}, fmt.Errorf("reading the endpoint %s: %w", oneLine(id), err)
	}
	t := target{app: e.App, object: id}
	if missing && p.Role == RoleDeveloper {
		t.app = p.App
	}
	act, err := c.authorize(ctx, c.clock(), p, a, t)
	if err == nil && missing {
		err = c.refused(ctx, act, refuse(KindNotFound, "", "There is no endpoint %s: look it up in the list (GET /v1/endpoints, or 'imca endpoint list').", oneLine(id)))
	}
	return e, act, err
}

// ListEndpoints is a page of endpoints, oldest first. A developer sees those of the own app alone.
func (c *CA) ListEndpoints(ctx context.Context, p Principal, q EndpointQuery) ([]Endpoint, error) {
	if p.Role == RoleDeveloper && q.App == "" {
		q.App = p.App
	}
	if _, err := c.authorize(ctx, c.clock(), p, ActReadEndpoint, target{app: q.App}); err != nil {
		return nil, err
	}
	var err error
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, err
	}
	return c.store.ListEndpoints(ctx, q)
}

// RemoveEndpoint ends the regular checks of an endpoint. Those that were made stay.
func (c *CA) RemoveEndpoint(ctx context.Context, p Principal, id string) error {
	e, act, err := c.endpoint(ctx, p, ActRemoveEndpoint, id)
	if err != nil {
		return err
	}
	act.Event.Detail = map[string]string{"url": e.URL}
	err = c.store.RemoveEndpoint(context.WithoutCancel(ctx), id, act)
	if err != nil && !errors.Is(err, ErrNotFound) { // somebody was faster
		return fmt.Errorf("removing the endpoint %s: %w", id, err)
	}
	return nil
}
