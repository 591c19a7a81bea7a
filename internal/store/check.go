package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// CreateCheck implements ca.Store.
func (s *Store) CreateCheck(ctx context.Context, k ca.Check, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return insertCheck(ctx, tx, k)
	})
}

func insertCheck(ctx context.Context, tx statements, k ca.Check) error {
	_, err := tx.exec(ctx, `INSERT INTO checks (id, app, url, address, callback, cause, asked_by, created_at, state, due_at, tries, failure, facts, since, changes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '{}', '', '[]')`,
		k.ID, orNull(text(k.App)), text(k.URL), addressText(k.Address), k.Callback, string(k.Cause), text(k.AskedBy), micros(k.CreatedAt), string(k.State),
		microsOrNull(k.DueAt), k.Tries)
	return err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// checkColumns are what scanCheck reads.
const checkColumns = `id, COALESCE(app, ''), url, address, callback, cause, asked_by, created_at, state, due_at, tries, finished_at, failure, facts, since, changes`

func scanCheck(r row, more ...any) (k ca.Check, err error) {
	var address, facts, changes string
	if err := r.Scan(append([]any{&k.ID, &k.App, &k.URL, &address, &k.Callback, &k.Cause, &k.AskedBy, instant{&k.CreatedAt}, &k.State, instant{&k.DueAt}, &k.Tries,
		instant{&k.FinishedAt}, &k.Failure, &facts, &k.Since, &changes}, more...)...); err != nil {
		return k, err
	}
	if address != "" {
		if k.Address, err = netip.ParseAddr(address); err != nil {
			return k, fmt.Errorf("reading the address of check %s: %w", k.ID, err)
		}
	}
	if err := errors.Join(json.Unmarshal([]byte(facts), &k.Facts), json.Unmarshal([]byte(changes), &k.Changes)); err != nil {
		return k, fmt.Errorf("reading check %s: %w", k.ID, err)
	}
	if len(k.Changes) == 0 {
		k.Changes = nil
	}
	return k, nil
}

// Check implements ca.Store.
func (s *Store) Check(ctx context.Context, id string) (k ca.Check, err error) {
	err = ca.ErrNotFound
	var report []byte
	fault := s.db.query(ctx, func(r row) error {
		k, err = scanCheck(r, &report)
		return err
	}, `SELECT `+checkColumns+`, report FROM checks WHERE id = $1`, text(id))
	if err = errors.Join(fault, err); err != nil || report == nil {
		return k, err
	}
	if k.Report, err = io.ReadAll(flate.NewReader(bytes.NewReader(report))); err != nil {
		return k, fmt.Errorf("reading the report of check %s: %w", k.ID, err)
	}
	return k, nil
}

// ListChecks implements ca.Store.
func (s *Store) ListChecks(ctx context.Context, q ca.CheckQuery) ([]ca.Check, error) {
	condition, args := checkStatement(s.db, q)
	return s.listChecks(ctx, condition, args)
}

// checkStatement is what follows "FROM checks" for a page of checks.
func checkStatement(db database, q ca.CheckQuery) (condition string, args []any) {
	where := new(conditions)
	r := reading{order: []string{"id"}, down: true}
	switch {
	case q.App != "" && q.URL != "":
		where.add("app = ? AND url = ?", text(q.App), text(q.URL)) // there is an index with both
	case q.App != "":
		r.lead, r.common = "app", text(q.App)
	case q.URL != "":
		r.lead, r.common = "url", text(q.URL)
	}
	where.other("state", string(q.State))
	if q.Beyond != "" {
		r.beyond = []any{text(q.Beyond)}
	}
	r.bound(where, db)
	return where.where() + r.orderBy() + " LIMIT " + where.value(q.Limit), where.args
}

// DueChecks implements ca.Store.
func (s *Store) DueChecks(ctx context.Context, now time.Time, limit int) ([]ca.Check, error) {
	return s.listChecks(ctx, ` WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2`, []any{micros(now), limit})
}

func (s *Store) listChecks(ctx context.Context, condition string, args []any) (checks []ca.Check, err error) {
	err = s.db.list(ctx, func(r row) error {
		k, err := scanCheck(r)
		checks = append(checks, k)
		return err
	}, `SELECT `+checkColumns+` FROM checks`+condition, args...)
	return checks, err
}

// LeaseCheck implements ca.Store.
func (s *Store) LeaseCheck(ctx context.Context, k ca.Check, until time.Time) error {
	return changedOne(s.db.exec(ctx, `UPDATE checks SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2`, text(k.ID), micros(k.DueAt), micros(until)))
}

// FinishCheck implements ca.Store.
func (s *Store) FinishCheck(ctx context.Context, k ca.Check, end ca.CheckEnd, act ca.Act) error {
	facts, err := json.Marshal(k.Facts)
	if err != nil {
		return fmt.Errorf("encoding the facts of a check: %w", err)
	}
	changes, err := json.Marshal(k.Changes)
	if err != nil {
		return fmt.Errorf("encoding the changes of a check: %w", err)
	}
	report, err := deflated(k.Report)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx statements) error {
		for _, e := range append([]ca.Event{act.Event}, end.Events...) {
			if err := begin(ctx, tx, ca.Act{Event: e}); err != nil {
				return err
			}
		}
		if err := changedOne(tx.exec(ctx, `UPDATE checks SET state = $3, due_at = NULL, finished_at = $4, failure = $5, facts = $6, since = $7, changes = $8, report = $9
			WHERE id = $1 AND due_at = $2`,
			text(k.ID), micros(k.DueAt), string(k.State), microsOrNull(k.FinishedAt), text(k.Failure), text(string(facts)), text(k.Since), text(string(changes)), report)); err != nil {
			return err
		}
		for _, n := range end.Notices {
			if _, err := queue(ctx, tx, n, `app = $7`, text(n.App)); err != nil {
				return err
			}
		}
		if end.Endpoint == nil {
			return nil
		}
		return finishEndpoint(ctx, tx, end.Endpoint)
	})
}

// deflated is a report as it is stored: a tenth of its size.
func deflated(report []byte) ([]byte, error) {
	if report == nil {
		return nil, nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("deflating a report: %w", err)
	}
	if _, err = w.Write(report); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("deflating a report: %w", err)
	}
	return b.Bytes(), nil
}

// ForgetChecks implements ca.Store.
func (s *Store) ForgetChecks(ctx context.Context, before time.Time) error {
	_, err := s.db.exec(ctx, `DELETE FROM checks WHERE created_at < $1`, micros(before))
	return err
}
