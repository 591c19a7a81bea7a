package store

import (
	"context"
	"errors"

	"github.com/imca-project/imca/internal/ca"
)

// AddAppRoot implements ca.Store. As with claims, the constraint on slots counts.
func (s *Store) AddAppRoot(ctx context.Context, r ca.AppRoot, most int, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		var known int
		err := one(ctx, tx, `SELECT 1 FROM app_roots WHERE app = $1 AND fingerprint = $2`, []any{text(r.App), r.Fingerprint[:]}, &known)
		if err == nil {
			return ca.ErrExists
		}
		if !errors.Is(err, ca.ErrNotFound) {
			return err
		}
		slot, err := freeSlot(ctx, tx, `SELECT slot FROM app_roots WHERE app = $1 ORDER BY slot`, r.App, most)
		if err != nil {
			return err
		}
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO app_roots (app, fingerprint, slot, certificate, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)`,
			text(r.App), r.Fingerprint[:], slot, r.Certificate, micros(r.CreatedAt), text(r.CreatedBy))
		if err != nil && s.db.badRow(err) {
			return errAgain // another request took the slot, or added the same
		}
		return err
	})
}

// ListAppRoots implements ca.Store.
func (s *Store) ListAppRoots(ctx context.Context, app string) (roots []ca.AppRoot, err error) {
	err = s.db.query(ctx, func(r row) error {
		var root ca.AppRoot
		err := r.Scan(&root.App, octets(root.Fingerprint[:]), &root.Certificate, instant{&root.CreatedAt}, &root.CreatedBy)
		roots = append(roots, root)
		return err
	}, `SELECT app, fingerprint, certificate, created_at, created_by FROM app_roots WHERE app = $1 ORDER BY created_at, fingerprint`, text(app))
	return roots, err
}

// RemoveAppRoot implements ca.Store.
func (s *Store) RemoveAppRoot(ctx context.Context, app string, fingerprint [32]byte, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return foundOne(tx.exec(ctx, `DELETE FROM app_roots WHERE app = $1 AND fingerprint = $2`, text(app), fingerprint[:]))
	})
}
