package store

import (
	"context"
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
			n, err := tx.exec(ctx, `INSERT INTO authorities (name, position, parent, certificate, key_ref, profiles, created_at)
				VALUES ($1, (SELECT COALESCE(MAX(position), 0) + 1 FROM authorities), $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
				a.Name, orNull(a.Parent), a.Certificate, a.KeyRef, strings.Join(a.Profiles, " "), micros(a.CreatedAt))
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

// ListAuthorities implements ca.Store.
func (s *Store) ListAuthorities(ctx context.Context) (as []ca.Authority, err error) {
	err = s.db.query(ctx, func(r row) error {
		var a ca.Authority
		var profiles string
		err := r.Scan(&a.Name, &a.Parent, &a.Certificate, &a.KeyRef, &profiles, instant{&a.CreatedAt})
		a.Profiles = words(profiles)
		as = append(as, a)
		return err
	}, `SELECT name, COALESCE(parent, ''), certificate, key_ref, profiles, created_at FROM authorities ORDER BY position`)
	return as, err
}
