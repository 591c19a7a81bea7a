package store

import (
	"bytes"
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

// ListEvents implements ca.Store.
func (s *Store) ListEvents(ctx context.Context, q ca.EventQuery) (events []ca.Event, err error) {
	statement, args := eventStatement(s.db, q)
	err = s.db.list(ctx, func(r row) error {
		e, err := scanEvent(r)
		events = append(events, e)
		return err
	}, statement, args...)
	return events, err
}

// eventStatement is the statement for a page of events. Each filter has an index that ends in the ID, whose order is that of time; of several
// filters, the first one leads.
func eventStatement(db database, q ca.EventQuery) (statement string, args []any) {
	where := new(conditions)
	r := reading{order: []string{"id"}, down: true}
	for _, f := range []struct{ column, value string }{
		{"object", q.Object}, {"app", q.App}, {"actor", q.Actor}, {"action", string(q.Action)}, {"outcome", string(q.Outcome)},
	} {
		switch {
		case f.value == "":
		case r.lead == "":
			r.lead, r.common = f.column, text(f.value)
		default:
			where.other(f.column, f.value)
		}
	}
	if !q.After.IsZero() {
		r.from = eventID(ca.FirstEventID(q.After))
	}
	before := ca.FirstEventID(q.Before)
	if !q.Before.IsZero() {
		r.to = eventID(before)
	}
	if q.Beyond != uuid.Nil && (r.to == nil || bytes.Compare(q.Beyond[:], before[:]) < 0) {
		r.beyond = []any{eventID(q.Beyond)}
	}
	r.bound(where, db)
	return `SELECT id, at, action, outcome, actor, role, token, address, request_id, COALESCE(app, ''), object, detail FROM events` +
		where.where() + r.orderBy() + ` LIMIT ` + where.value(q.Limit), where.args
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
