package store

import (
	"context"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
)

// orderWrite is a change of an order that shares its commit with others: an order is made, or gets its certificate.
type orderWrite struct {
	order          []any // nil: none is made
	authorizations [][]any
	instead        string // the order that lets go of a certificate before; empty: none

	id     string // of the order that gets its certificate
	serial []byte
}

var (
	ordersTable = table{"acme_orders", []column{
		{"id", "text"}, {"account", "text"}, {"names", "text"}, {"profile", "text"}, {"replaces", "bytea"}, {"not_before", "timestamptz"},
		{"not_after", "timestamptz"}, {"created_at", "timestamptz"}, {"expires_at", "timestamptz"},
	}}
	authorizationsTable = table{"acme_authorizations", []column{
		{"id", "text"}, {"account", "text"}, {`"order"`, "text"}, {"place", "integer"}, {"name", "text"}, {"status", "text"}, {"token", "text"},
		{"method", "text"}, {"attempted_at", "timestamptz"}, {"failure", "text"}, {"detail", "text"}, {"validated_at", "timestamptz"},
		{"created_at", "timestamptz"}, {"expires_at", "timestamptz"}, {"version", "integer"},
	}}
)

// CreateOrder implements acme.Store.
func (s *Store) CreateOrder(ctx context.Context, o acme.Order, authorizations []acme.Authorization, instead string, most int) error {
	if most > 0 {
		if err := openOrders(ctx, s.db, o, most); err != nil {
			return err
		}
	}
	w := &orderWrite{instead: text(instead), order: []any{
		o.ID, o.Account, joinNames(o.Names), text(o.Profile), serialOrNull(o.Replaces), microsOrNull(o.NotBefore), microsOrNull(o.NotAfter),
		micros(o.CreatedAt), micros(o.ExpiresAt),
	}}
	for _, a := range authorizations {
		w.authorizations = append(w.authorizations, authorizationRecord(a))
	}
	_, err := s.orderWrites.do(ctx, w)
	if err != nil && s.db.badRow(err) && !o.Replaces.IsZero() {
		if other, lookup := s.Replacing(ctx, o.Replaces); lookup == nil && other != o.ID {
			return ca.ErrExists
		}
	}
	return err
}

// openOrders refuses an order beyond the most that may still become valid.
func openOrders(ctx context.Context, in statements, o acme.Order, most int) error {
	n := 0
	err := in.query(ctx, func(row) error {
		n++
		return nil
	}, `SELECT 1 FROM acme_orders o WHERE account = $1 AND serial IS NULL AND expires_at > $2 AND NOT EXISTS (
		SELECT 1 FROM acme_authorizations a WHERE a."order" = o.id AND a.status NOT IN ('pending', 'valid')) LIMIT $3`, o.Account, micros(o.CreatedAt), most)
	if err == nil && n >= most {
		err = ca.ErrFull
	}
	return err
}

// CompleteOrder implements acme.Store.
func (s *Store) CompleteOrder(ctx context.Context, o acme.Order) error {
	_, err := s.orderWrites.do(ctx, &orderWrite{id: text(o.ID), serial: o.Serial[:]})
	return err
}

// commitOrders commits a round of changes together. When one of them breaks a constraint, the round is halved until that one is alone, so that no other
// suffers for it.
func (s *Store) commitOrders(round []*call[*orderWrite, struct{}]) {
	err := inRound(func(ctx context.Context) error {
		return s.change(ctx, func(tx statements) error { return s.writeOrders(ctx, tx, round) })
	})
	if err != nil && len(round) > 1 && s.db.badRow(err) {
		s.commitOrders(round[:len(round)/2])
		s.commitOrders(round[len(round)/2:])
		return
	}
	for _, c := range round {
		c.err = err
	}
}

func (s *Store) writeOrders(ctx context.Context, tx statements, round []*call[*orderWrite, struct{}]) error {
	var orders, authorizations [][]any
	var done []*orderWrite
	for _, c := range round {
		w := c.question
		if w.order == nil {
			done = append(done, w)
			continue
		}
		orders, authorizations = append(orders, w.order), append(authorizations, w.authorizations...)
		if w.instead == "" {
			continue
		}
		if _, err := tx.exec(ctx, `UPDATE acme_orders SET replaces = NULL WHERE id = $1 AND serial IS NULL`, w.instead); err != nil {
			return err
		}
	}
	if len(orders) > 0 {
		if err := s.db.insert(ctx, tx, ordersTable, orders); err != nil {
			return err
		}
		if err := s.db.insert(ctx, tx, authorizationsTable, authorizations); err != nil {
			return err
		}
	}
	if len(done) == 0 {
		return nil
	}
	return s.db.complete(ctx, tx, done)
}

func (p *postgres) complete(ctx context.Context, tx statements, done []*orderWrite) error {
	var ids []string
	var serials [][]byte
	for _, w := range done {
		ids, serials = append(ids, w.id), append(serials, w.serial)
	}
	_, err := tx.exec(ctx, `UPDATE acme_orders o SET serial = g.serial FROM (SELECT * FROM unnest($1::text[], $2::bytea[]) AS g (id, serial) ORDER BY id) g
		WHERE o.id = g.id AND o.serial IS NULL`, ids, serials)
	return err
}

func (l *sqlite) complete(ctx context.Context, tx statements, done []*orderWrite) error {
	for _, w := range done {
		if _, err := tx.exec(ctx, `UPDATE acme_orders SET serial = $2 WHERE id = $1 AND serial IS NULL`, w.id, w.serial); err != nil {
			return err
		}
	}
	return nil
}
