package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

const endpointColumns = `id, app, url, name, callback, created_at, created_by, due_at, cause, seen_at, checked_at, check_id, summary, alerts, ready, unready, version`

func scanEndpoint(r row) (e ca.Endpoint, err error) {
	var name, alerts, ready, unready string
	err = r.Scan(&e.ID, &e.App, &e.URL, &name, &e.Callback, instant{&e.CreatedAt}, &e.CreatedBy, instant{&e.DueAt}, &e.Cause, instant{&e.SeenAt},
		instant{&e.CheckedAt}, &e.CheckID, &e.Summary, &alerts, &ready, &unready, &e.Version)
	e.Name, e.Ready, e.Unready = pki.RecordedName(name), words(ready), words(unready)
	for _, word := range words(alerts) {
		e.Alerts = append(e.Alerts, ca.Alert(word))
	}
	return e, err
}

// wildcardKey is the search key of the wildcard that covers a host.
func wildcardKey(n pki.Name) string {
	_, parent, found := strings.Cut(n.String(), ".")
	if n.IsIP() || !found {
		return ""
	}
	return searchKey(pki.RecordedName("*." + parent))
}

// CreateEndpoint implements ca.Store. As with claims, the constraint on slots counts.
func (s *Store) CreateEndpoint(ctx context.Context, e ca.Endpoint, most int, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		var known int
		err := one(ctx, tx, `SELECT 1 FROM endpoints WHERE app = $1 AND url = $2`, []any{text(e.App), text(e.URL)}, &known)
		if err == nil {
			return ca.ErrExists
		}
		if !errors.Is(err, ca.ErrNotFound) {
			return err
		}
		slot, err := freeSlot(ctx, tx, `SELECT slot FROM endpoints WHERE app = $1 ORDER BY slot`, e.App, most)
		if err != nil {
			return err
		}
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO endpoints (`+endpointColumns+`, slot, reversed, wildcard)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, '', '', '', '', '', $11, $12, $13, $14)`,
			e.ID, text(e.App), text(e.URL), e.Name.String(), e.Callback, micros(e.CreatedAt), text(e.CreatedBy), micros(e.DueAt), string(e.Cause), micros(e.SeenAt),
			e.Version, slot, searchKey(e.Name), wildcardKey(e.Name))
		if err != nil && s.db.badRow(err) {
			return errAgain // another request took the slot, or made the same endpoint
		}
		return err
	})
}

// Endpoint implements ca.Store.
func (s *Store) Endpoint(ctx context.Context, id string) (ca.Endpoint, error) {
	return s.oneEndpoint(ctx, ` WHERE id = $1`, text(id))
}

// EndpointAt implements ca.Store.
func (s *Store) EndpointAt(ctx context.Context, app, url string) (ca.Endpoint, error) {
	return s.oneEndpoint(ctx, ` WHERE app = $1 AND url = $2`, text(app), text(url))
}

func (s *Store) oneEndpoint(ctx context.Context, condition string, args ...any) (e ca.Endpoint, err error) {
	err = ca.ErrNotFound
	fault := s.db.query(ctx, func(r row) error {
		e, err = scanEndpoint(r)
		return err
	}, `SELECT `+endpointColumns+` FROM endpoints`+condition, args...)
	return e, errors.Join(fault, err)
}

// ListEndpoints implements ca.Store.
func (s *Store) ListEndpoints(ctx context.Context, q ca.EndpointQuery) ([]ca.Endpoint, error) {
	condition, args := endpointStatement(s.db, q)
	return s.listEndpoints(ctx, condition, args)
}

// endpointStatement is what follows "FROM endpoints" for a page of endpoints.
func endpointStatement(db database, q ca.EndpointQuery) (condition string, args []any) {
	where := new(conditions)
	r := reading{order: []string{"id"}}
	if q.App != "" {
		r.lead, r.common = "app", text(q.App)
	}
	if q.Beyond != "" {
		r.beyond = []any{text(q.Beyond)}
	}
	r.bound(where, db)
	return where.where() + r.orderBy() + " LIMIT " + where.value(q.Limit), where.args
}

// DueEndpoints implements ca.Store.
func (s *Store) DueEndpoints(ctx context.Context, now time.Time, limit int) ([]ca.Endpoint, error) {
	return s.listEndpoints(ctx, ` WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`, []any{micros(now), limit})
}

func (s *Store) listEndpoints(ctx context.Context, condition string, args []any) (endpoints []ca.Endpoint, err error) {
	err = s.db.list(ctx, func(r row) error {
		e, err := scanEndpoint(r)
		endpoints = append(endpoints, e)
		return err
	}, `SELECT `+endpointColumns+` FROM endpoints`+condition, args...)
	return endpoints, err
}

// RemoveEndpoint implements ca.Store.
func (s *Store) RemoveEndpoint(ctx context.Context, id string, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return foundOne(tx.exec(ctx, `DELETE FROM endpoints WHERE id = $1`, text(id)))
	})
}

// ScheduleCheck implements ca.Store.
func (s *Store) ScheduleCheck(ctx context.Context, e ca.Endpoint, next time.Time, k ca.Check, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		if err := changedOne(tx.exec(ctx, `UPDATE endpoints SET due_at = $3, cause = $4, version = version + 1 WHERE id = $1 AND due_at = $2`,
			text(e.ID), micros(e.DueAt), micros(next), string(ca.CauseScheduled))); err != nil {
			return err
		}
		return insertCheck(ctx, tx, k)
	})
}

// HastenEndpoints implements ca.Store. The certificates of each endpoint are found by the index of names; the newest one is what has been seen then.
func (s *Store) HastenEndpoints(ctx context.Context, due time.Time) error {
	const newest = `(SELECT MAX(n.created_at) FROM certificate_names n WHERE n.app = endpoints.app AND n.reversed IN (endpoints.reversed, endpoints.wildcard)
		AND n.created_at > endpoints.seen_at)`
	_, err := s.db.exec(ctx, `UPDATE endpoints SET version = version + 1, seen_at = `+newest+`,
		cause = CASE WHEN due_at > $1 THEN $2 ELSE cause END, due_at = CASE WHEN due_at > $1 THEN $1 ELSE due_at END WHERE `+newest+` IS NOT NULL`,
		micros(due), string(ca.CauseIssued))
	return err
}

// finishEndpoint records what a check has found about a registered endpoint.
func finishEndpoint(ctx context.Context, tx statements, e *ca.Endpoint) error {
	alerts := make([]string, len(e.Alerts))
	for i, a := range e.Alerts {
		alerts[i] = string(a)
	}
	return changedOne(tx.exec(ctx, `UPDATE endpoints SET due_at = $3, cause = $4, checked_at = $5, check_id = $6, summary = $7, alerts = $8, ready = $9, unready = $10,
		version = version + 1 WHERE id = $1 AND version = $2`,
		text(e.ID), e.Version, micros(e.DueAt), string(e.Cause), microsOrNull(e.CheckedAt), text(e.CheckID), text(e.Summary), strings.Join(alerts, " "),
		strings.Join(e.Ready, " "), strings.Join(e.Unready, " ")))
}
