package ca

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	checkEvery  = 24 * time.Hour   // between checks of a registered endpoint
	checkSpread = 2 * time.Hour    // each is up to so much earlier, that those registered together part
	issuedPause = 15 * time.Minute // after an issuance, in which the certificate gets to its server
	lapseNotice = 2 * time.Hour    // before the end of a served certificate
)

// hastenChecks has endpoints with new certificates checked soon. It looks at all of them, so it is done now and then.
func (c *CA) hastenChecks(ctx context.Context) error {
	if err := c.store.HastenEndpoints(ctx, c.clock().Add(issuedPause)); err != nil {
		return fmt.Errorf("looking for new certificates of endpoints: %w", err)
	}
	return nil
}

// scheduleChecks makes a check of each endpoint that is due.
func (c *CA) scheduleChecks(ctx context.Context) error {
	const most = 100
	now := c.clock()
	for {
		due, err := c.store.DueEndpoints(ctx, now, most)
		if err != nil {
			return fmt.Errorf("reading the endpoints that are due: %w", err)
		}
		for _, e := range due {
			if err := c.scheduleCheck(ctx, now, e); err != nil {
				return err
			}
		}
		if len(due) < most {
			return nil
		}
	}
}

func (c *CA) scheduleCheck(ctx context.Context, now time.Time, e Endpoint) error {
	k := Check{
		ID: newCheckID(now), App: e.App, URL: e.URL, Callback: e.Callback, Cause: e.Cause, AskedBy: itself().Name,
		CreatedAt: now, State: CheckRunning, DueAt: now,
	}
	act, err := c.authorize(ctx, now, itself(), ActScheduleCheck, target{app: e.App, object: k.ID, detail: map[string]string{"url": e.URL, "cause": string(e.Cause)}})
	if err != nil {
		return err
	}
	next := now.Add(checkEvery - rand.N(checkSpread)).Truncate(time.Microsecond)
	err = c.store.ScheduleCheck(ctx, e, next, k, act)
	if err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("scheduling a check of %s: %w", e.URL, err)
	}
	return nil
}

// CheckEnd is what the end of a check brings about beside itself.
type CheckEnd struct {
	Endpoint *Endpoint // the registered endpoint as it shall be, with the Version that was read; nil: none
	Events   []Event   // the alerts that begin, and the end of all
	Notices  []Notice  // the same to the webhooks of the app
}

// endOf is what a check that is done brings about. A check of another address says nothing about the endpoint.
func (c *CA) endOf(ctx context.Context, now time.Time, k Check) (CheckEnd, error) {
	if k.App == "" || k.Address.IsValid() || k.State != CheckDone {
		return CheckEnd{}, nil
	}
	e, err := c.store.EndpointAt(ctx, k.App, k.URL)
	switch {
	case errors.Is(err, ErrNotFound):
		return CheckEnd{}, nil
	case err != nil:
		return CheckEnd{}, fmt.Errorf("reading the endpoint %s: %w", k.URL, err)
	}
	before := e.Alerts
	e.CheckedAt, e.CheckID, e.Summary, e.Alerts = now, k.ID, k.Facts.Summary, alertsOf(k.Facts, e.Alerts)
	e.Ready, e.Unready = k.Facts.Ready, k.Facts.Unready
	if last := k.Facts.ServedUntil.Add(-lapseNotice); last.After(now) && last.Before(e.DueAt) {
		e.DueAt, e.Cause = last, CauseExpiring
	}
	end := CheckEnd{Endpoint: &e}
	for _, alert := range e.Alerts {
		if !slices.Contains(before, alert) {
			if err := c.tell(&end, now, k, ActAlert, string(alert)); err != nil {
				return end, err
			}
		}
	}
	if len(before) > 0 && len(e.Alerts) == 0 {
		return end, c.tell(&end, now, k, ActRecover, "recovered")
	}
	return end, nil
}

// tell adds what has happened to an endpoint to the end of a check: as an event, and as a message.
func (c *CA) tell(end *CheckEnd, now time.Time, k Check, a Action, what string) error {
	e := end.Endpoint
	event := c.event(now, itself(), a, target{app: e.App, object: e.ID, detail: map[string]string{
		"alert": what, "url": e.URL, "check": k.ID, "summary": e.Summary}})
	n, err := c.notice(event, "endpoint."+what, map[string]any{
		"app": e.App, "endpoint": e.ID, "url": e.URL, "check": k.ID, "summary": e.Summary, "alerts": append([]Alert{}, e.Alerts...),
		"findings": append([]CheckFinding{}, k.Facts.Findings...),
	})
	end.Events, end.Notices = append(end.Events, event), append(end.Notices, n)
	return err
}

// began are the alerts that begin.
func (end CheckEnd) began() (alerts []Alert) {
	for _, e := range end.Events {
		if e.Action == ActAlert {
			alerts = append(alerts, Alert(e.Detail["alert"]))
		}
	}
	return alerts
}
