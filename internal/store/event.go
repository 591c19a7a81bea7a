package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
)

// begin makes the claim of an act, if it has one, and writes its event: what every change in a transaction starts with.
func begin(ctx context.Context, tx statements, act ca.Act) error {
	if act.Claim != nil {
		n, err := tx.exec(ctx, groupTables[inClaims].insert()+` ON CONFLICT (scope, key) DO NOTHING`, claimRow(act.Claim)...)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := claimed(ctx, tx, act.Claim); err != nil {
				return err
			}
			return errAgain // it was forgotten in this moment
		}
	}
	event, err := eventRow(act.Event)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, groupTables[inEvents].insert(), event...)
	return err
}

// claimed returns *ca.ClaimedError when the claim was made before.
func claimed(ctx context.Context, in statements, c *ca.Claim) error {
	if c == nil {
		return nil
	}
	earlier := ca.Claim{Scope: c.Scope, Key: c.Key}
	err := one(ctx, in, `SELECT request, object, at FROM claims WHERE scope = $1 AND key = $2`, []any{text(c.Scope), []byte(c.Key)},
		octets(earlier.Request[:]), &earlier.Object, instant{&earlier.At})
	switch {
	case errors.Is(err, ca.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &ca.ClaimedError{Earlier: earlier}
}

func claimRow(c *ca.Claim) []any {
	request := c.Request
	return []any{text(c.Scope), []byte(c.Key), request[:], text(c.Object), micros(c.At)}
}

// ForgetClaims implements ca.Store.
func (s *Store) ForgetClaims(ctx context.Context, before time.Time) error {
	_, err := s.db.exec(ctx, `DELETE FROM claims WHERE at < $1`, micros(before))
	return err
}

func eventRow(e ca.Event) ([]any, error) {
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return nil, fmt.Errorf("encoding the detail of an event: %w", err)
	}
	if e.Detail == nil {
		detail = []byte("{}")
	}
	return []any{
		e.ID[:], micros(e.At), string(e.Action), string(e.Outcome), text(e.Actor), string(e.Role), text(e.Token), text(e.Address), text(e.RequestID),
		orNull(text(e.App)), text(e.Object), string(detail),
	}, nil
}

// ListEvents implements ca.Store. Each of the filters has an index that ends in the ID; the most telling one is named first, for the planners to take
// where they have no other preference.
func (s *Store) ListEvents(ctx context.Context, q ca.EventQuery) (events []ca.Event, err error) {
	var p conditions
	p.equal("object", q.Object)
	p.equal("app", q.App)
	p.equal("actor", q.Actor)
	p.equal("action", string(q.Action))
	p.equal("outcome", string(q.Outcome))
	if !q.After.IsZero() {
		p.add("id >= ?", eventID(ca.FirstEventID(q.After)))
	}
	if !q.Before.IsZero() {
		p.add("id < ?", eventID(ca.FirstEventID(q.Before)))
	}
	if q.Beyond != uuid.Nil {
		p.add("id < ?", eventID(q.Beyond))
	}
	err = s.db.list(ctx, func(r row) error {
		e, err := scanEvent(r)
		events = append(events, e)
		return err
	}, `SELECT id, at, action, outcome, actor, role, token, address, request_id, COALESCE(app, ''), object, detail FROM events`+
		p.where()+` ORDER BY id DESC LIMIT `+p.value(q.Limit), p.args...)
	return events, err
}

func eventID(id uuid.UUID) []byte { return id[:] }

func scanEvent(r row) (e ca.Event, err error) {
	var detail []byte
	if err := r.Scan(octets(e.ID[:]), instant{&e.At}, &e.Action, &e.Outcome, &e.Actor, &e.Role, &e.Token, &e.Address, &e.RequestID, &e.App, &e.Object, &detail); err != nil {
		return e, err
	}
	if err := json.Unmarshal(detail, &e.Detail); err != nil {
		return e, fmt.Errorf("reading the detail of event %s: %w", e.ID, err)
	}
	if len(e.Detail) == 0 {
		e.Detail = nil
	}
	return e, nil
}
