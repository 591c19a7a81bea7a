package store

import (
	"bytes"
	"context"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
)

// CreateOrder implements acme.Store.
func (s *Store) CreateOrder(ctx context.Context, o acme.Order, authorizations []acme.Authorization, instead string, most int) error {
	if most > 0 {
		if err := openOrders(ctx, s.db, o, most); err != nil {
			return err
		}
	}
	w := new(write)
	w.rows[inOrders] = [][]any{{
		o.ID, o.Account, joinNames(o.Names), text(o.Profile), serialOrNull(o.Replaces), microsOrNull(o.NotBefore), microsOrNull(o.NotAfter),
		micros(o.CreatedAt), micros(o.ExpiresAt),
	}}
	for _, a := range authorizations {
		w.rows[inAuthorizations] = append(w.rows[inAuthorizations], authorizationRecord(a))
	}
	var err error
	if instead == "" {
		_, err = s.writes.do(ctx, w)
	} else {
		err = s.supersede(ctx, instead, w)
	}
	if err != nil && s.db.badRow(err) && !o.Replaces.IsZero() {
		if other, lookup := s.Replacing(ctx, o.Replaces); lookup == nil && other != o.ID {
			return ca.ErrExists
		}
	}
	return err
}

// supersede makes an order in the place of one that is over, which lets go of the certificate that both replace.
func (s *Store) supersede(ctx context.Context, over string, w *write) error {
	return s.change(ctx, func(tx statements) error {
		if _, err := tx.exec(ctx, `UPDATE acme_orders SET replaces = NULL WHERE id = $1 AND serial IS NULL`, text(over)); err != nil {
			return err
		}
		for _, in := range []int{inOrders, inAuthorizations} {
			for _, r := range w.rows[in] {
				if _, err := tx.exec(ctx, groupTables[in].insert(), r...); err != nil {
					return err
				}
			}
		}
		return nil
	})
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

// completion gives an order its certificate, if it has none.
type completion struct {
	order  string
	serial []byte
}

// CompleteOrder implements acme.Store.
func (s *Store) CompleteOrder(ctx context.Context, o acme.Order) error {
	_, err := s.writes.do(ctx, &write{completes: &completion{text(o.ID), bytes.Clone(o.Serial[:])}})
	return err
}
