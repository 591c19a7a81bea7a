package ca

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// target is what an act is about, as authorize judges it and its event tells it.
type target struct {
	app    string // whose object it is; empty for the platform's own and for what belongs to nobody
	object string
	detail map[string]string
}

// authorize decides whether p may do a on t, and returns the act to hand to the store together with the change: nothing can be done
// without its event. A refusal is committed as an event of its own before it is answered.
//
// A developer acts on the objects of its own app alone; another app's object is answered like one that does not exist.
func (c *CA) authorize(ctx context.Context, now time.Time, p Principal, a Action, t target) (Act, error) {
	act := Act{Event: c.event(now, p, a, t)}
	switch {
	case p.Role == "":
		return Act{}, c.refused(ctx, act, refuse(KindUnauthenticated, "",
			"This needs a token: send the header 'Authorization: Bearer imca_…' with one that an operator gave you."))
	case !p.Role.May(a):
		return Act{}, c.refused(ctx, act, refuse(KindForbidden, "",
			"A token with the role %s may not do this (%s): ask with one of a role that may, or ask an operator.", p.Role, a))
	case !p.Scopes.Allow(a):
		return Act{}, c.refused(ctx, act, refuse(KindForbidden, "",
			"This token is good for %s only, and this needs %s: ask with another token, or ask an operator for one.", strings.ReplaceAll(string(p.Scopes), " ", ", "), a))
	case p.Role == RoleDeveloper && (p.App == "" || t.app != p.App):
		return Act{}, c.refused(ctx, act, refuse(KindNotFound, "",
			"There is nothing here that belongs to the app %s: check the name or number, and that the token is the right app's.", p.App))
	}
	return act, nil
}

// refused commits the event of a refusal and returns the refusal; or the fault that kept the event from being written.
func (c *CA) refused(ctx context.Context, act Act, e *Error) error {
	act.Event.Outcome = OutcomeRefused
	detail := map[string]string{"refusal": string(e.Kind), "why": e.Detail}
	maps.Copy(detail, act.Event.Detail)
	act.Event.Detail = detail
	if err := c.store.RecordEvent(context.WithoutCancel(ctx), act.Event); err != nil {
		return fmt.Errorf("recording the refusal of %s: %w", act.Event.Action, err)
	}
	return e
}

// answer is how a verb ends: a refusal leaves its event first, unless it has left it, a fault goes through.
func (c *CA) answer(ctx context.Context, act Act, err error) error {
	var recorded *told
	if errors.As(err, &recorded) {
		return recorded.refusal
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		return c.refused(ctx, act, refusal)
	}
	return err
}

func (c *CA) event(now time.Time, p Principal, a Action, t target) Event {
	return Event{
		ID:        newEventID(now),
		At:        now,
		Action:    a,
		Outcome:   OutcomeDone,
		Actor:     p.Name,
		Role:      p.Role,
		Token:     p.Token,
		Address:   p.Address,
		RequestID: p.RequestID,
		App:       oneLine(t.app), // these two may be whatever a stranger typed
		Object:    oneLine(t.object),
		Detail:    t.detail,
	}
}
