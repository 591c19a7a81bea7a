package store

import (
	"context"
	"errors"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

const webhookColumns = `id, app, url, secret, old_secret, old_until, created_at, created_by, delivered_at, failing_since, failure, version`

func scanWebhook(r row) (w ca.Webhook, err error) {
	err = r.Scan(&w.ID, &w.App, &w.URL, octets(w.Secret[:]), octets(w.OldSecret[:]), instant{&w.OldUntil}, instant{&w.CreatedAt}, &w.CreatedBy,
		instant{&w.DeliveredAt}, instant{&w.FailingSince}, &w.Failure, &w.Version)
	return w, err
}

// CreateWebhook implements ca.Store. As with claims, the constraint on slots counts.
func (s *Store) CreateWebhook(ctx context.Context, w ca.Webhook, most int, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		slot, err := freeSlot(ctx, tx, `SELECT slot FROM webhooks WHERE app = $1 ORDER BY slot`, w.App, most)
		if err != nil {
			return err
		}
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO webhooks (`+webhookColumns+`, slot) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			w.ID, text(w.App), text(w.URL), w.Secret[:], w.OldSecret[:], microsOrNull(w.OldUntil), micros(w.CreatedAt), text(w.CreatedBy),
			microsOrNull(w.DeliveredAt), microsOrNull(w.FailingSince), text(w.Failure), w.Version, slot)
		if err != nil && s.db.badRow(err) {
			return errAgain // another request took the slot
		}
		return err
	})
}

// Webhook implements ca.Store.
func (s *Store) Webhook(ctx context.Context, id string) (w ca.Webhook, err error) {
	err = ca.ErrNotFound
	fault := s.db.query(ctx, func(r row) error {
		w, err = scanWebhook(r)
		return err
	}, `SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`, text(id))
	return w, errors.Join(fault, err)
}

// ListWebhooks implements ca.Store.
func (s *Store) ListWebhooks(ctx context.Context, app string) (webhooks []ca.Webhook, err error) {
	err = s.db.query(ctx, func(r row) error {
		w, err := scanWebhook(r)
		webhooks = append(webhooks, w)
		return err
	}, `SELECT `+webhookColumns+` FROM webhooks WHERE app = $1 ORDER BY id`, text(app))
	return webhooks, err
}

// RotateWebhook implements ca.Store.
func (s *Store) RotateWebhook(ctx context.Context, w ca.Webhook, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE webhooks SET secret = $3, old_secret = $4, old_until = $5, version = version + 1 WHERE id = $1 AND version = $2`,
			text(w.ID), w.Version, w.Secret[:], w.OldSecret[:], microsOrNull(w.OldUntil)))
	})
}

// RemoveWebhook implements ca.Store.
func (s *Store) RemoveWebhook(ctx context.Context, id string, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return foundOne(tx.exec(ctx, `DELETE FROM webhooks WHERE id = $1`, text(id)))
	})
}

// foundOne tells from the rows that a statement touched whether there was one.
func foundOne(n int64, err error) error {
	if err == nil && n == 0 {
		return ca.ErrNotFound
	}
	return err
}

// QueueNotice implements ca.Store.
func (s *Store) QueueNotice(ctx context.Context, webhook string, n ca.Notice, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return foundOne(queue(ctx, tx, n, `id = $7`, text(webhook)))
	})
}

// queue has a notice delivered to the webhooks that a condition selects.
func queue(ctx context.Context, tx statements, n ca.Notice, condition string, arg any) (int64, error) {
	return tx.exec(ctx, `INSERT INTO deliveries (notice, webhook, app, type, at, body, due_at, tries)
		SELECT CAST($1 AS TEXT), id, CAST($2 AS TEXT), CAST($3 AS TEXT), $4, $5, $6, 0 FROM webhooks WHERE `+condition,
		n.ID, text(n.App), n.Type, micros(n.At), n.Body, micros(n.At), arg)
}

// DueDeliveries implements ca.Store.
func (s *Store) DueDeliveries(ctx context.Context, now time.Time, limit int) (due []ca.Delivery, err error) {
	err = s.db.list(ctx, func(r row) error {
		var d ca.Delivery
		err := r.Scan(&d.ID, &d.Webhook, &d.App, &d.Type, instant{&d.At}, &d.Body, instant{&d.DueAt}, &d.Tries)
		due = append(due, d)
		return err
	}, `SELECT notice, webhook, app, type, at, body, due_at, tries FROM deliveries WHERE due_at <= $1 ORDER BY due_at, notice LIMIT $2`, micros(now), limit)
	return due, err
}

// LeaseDelivery implements ca.Store.
func (s *Store) LeaseDelivery(ctx context.Context, d ca.Delivery, until time.Time) error {
	return changedOne(s.db.exec(ctx, `UPDATE deliveries SET due_at = $4, tries = tries + 1 WHERE notice = $1 AND webhook = $2 AND due_at = $3`,
		text(d.ID), text(d.Webhook), micros(d.DueAt), micros(until)))
}

// EndDelivery implements ca.Store.
func (s *Store) EndDelivery(ctx context.Context, d ca.Delivery, a ca.Attempt, events []ca.Event) error {
	return s.change(ctx, func(tx statements) error {
		for _, e := range events {
			if err := begin(ctx, tx, ca.Act{Event: e}); err != nil {
				return err
			}
		}
		const this = ` WHERE notice = $1 AND webhook = $2 AND due_at = $3`
		args := []any{text(d.ID), text(d.Webhook), micros(d.DueAt)}
		var err error
		if a.Next.IsZero() {
			err = changedOne(tx.exec(ctx, `DELETE FROM deliveries`+this, args...))
		} else {
			err = changedOne(tx.exec(ctx, `UPDATE deliveries SET due_at = $4`+this, append(args, micros(a.Next))...))
		}
		if err != nil {
			return err
		}
		if a.Failure == "" {
			return changedOne(tx.exec(ctx, `UPDATE webhooks SET delivered_at = $2, failing_since = NULL, failure = '' WHERE id = $1`, text(d.Webhook), micros(a.At)))
		}
		return changedOne(tx.exec(ctx, `UPDATE webhooks SET failing_since = COALESCE(failing_since, $2), failure = $3 WHERE id = $1`, text(d.Webhook), micros(a.At), text(a.Failure)))
	})
}
