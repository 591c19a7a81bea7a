package store

import (
	"context"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// CreateAuthorities implements ca.Store.
func (s *Store) CreateAuthorities(ctx context.Context, as []ca.Authority, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		for _, a := range as {
			n, err := tx.exec(ctx, `INSERT INTO authorities (name, position, parent, certificate, key_ref, profiles, stands_by, created_at, retired_at)
				VALUES ($1, (SELECT COALESCE(MAX(position), 0) + 1 FROM authorities), $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
				a.Name, orNull(a.Parent), a.Certificate, a.KeyRef, strings.Join(a.Profiles, " "), strings.Join(a.StandsBy, " "), micros(a.CreatedAt), microsOrNull(a.RetiredAt))
			if err != nil {
				return err
			}
			if n == 0 {
				return nameOrPosition(ctx, tx, a.Name)
			}
		}
		return nil
	})
}

// nameOrPosition tells why an authority was not inserted: its name is taken, or another hierarchy took its position meanwhile.
func nameOrPosition(ctx context.Context, tx statements, name string) error {
	var taken bool
	if err := one(ctx, tx, `SELECT EXISTS (SELECT 1 FROM authorities WHERE name = $1)`, []any{name}, &taken); err != nil {
		return err
	}
	if taken {
		return ca.ErrExists
	}
	return errAgain
}

// ChangeKeyRef implements ca.Store.
func (s *Store) ChangeKeyRef(ctx context.Context, name, from, to string, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE authorities SET key_ref = $3 WHERE name = $1 AND key_ref = $2`, text(name), from, to))
	})
}

// ChangeAuthorities implements ca.Store. Rows are changed in the order of their names, so that two changes of the same ones wait for each other.
func (s *Store) ChangeAuthorities(ctx context.Context, from, to []ca.Authority, act ca.Act) error {
	order := make([]int, len(from))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(from[a].Name, from[b].Name) })
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		for _, i := range order {
			was, is := from[i], to[i]
			err := changedOne(tx.exec(ctx, `UPDATE authorities SET profiles = $2, stands_by = $3, retired_at = $4
				WHERE name = $1 AND profiles = $5 AND stands_by = $6 AND (retired_at IS NULL) = $7`,
				text(was.Name), strings.Join(is.Profiles, " "), strings.Join(is.StandsBy, " "), microsOrNull(is.RetiredAt),
				strings.Join(was.Profiles, " "), strings.Join(was.StandsBy, " "), was.RetiredAt.IsZero()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ListAuthorities implements ca.Store.
func (s *Store) ListAuthorities(ctx context.Context) (as []ca.Authority, err error) {
	err = s.db.query(ctx, func(r row) error {
		var a ca.Authority
		var profiles, standsBy string
		err := r.Scan(&a.Name, &a.Parent, &a.Certificate, &a.KeyRef, &profiles, &standsBy, instant{&a.CreatedAt}, instant{&a.RetiredAt})
		a.Profiles, a.StandsBy = words(profiles), words(standsBy)
		as = append(as, a)
		return err
	}, `SELECT name, COALESCE(parent, ''), certificate, key_ref, profiles, stands_by, created_at, retired_at FROM authorities ORDER BY position`)
	return as, err
}
