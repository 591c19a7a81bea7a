package store

import (
	"context"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

const appColumns = `id, name, policy, allowed, suspended, created_at, version`

func scanApp(r row) (a ca.App, err error) {
	var allowed string
	err = r.Scan(&a.ID, &a.Name, &a.Policy, &allowed, &a.Suspended, instant{&a.CreatedAt}, &a.Version)
	a.Allowed = words(allowed)
	return a, err
}

// CreateApp implements ca.Store.
func (s *Store) CreateApp(ctx context.Context, a ca.App, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `INSERT INTO apps (`+appColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
			a.ID, text(a.Name), string(a.Policy), strings.Join(a.Allowed, " "), a.Suspended, micros(a.CreatedAt), a.Version)
		if err == nil && n == 0 {
			err = ca.ErrExists
		}
		return err
	})
}

// App implements ca.Store.
func (s *Store) App(ctx context.Context, id string) (ca.App, error) {
	a, err := s.apps.do(ctx, text(id))
	a.Allowed = slices.Clone(a.Allowed) // another caller may have the same answer
	return a, err
}

// findApps answers calls of App.
func (s *Store) findApps(round []*call[string, ca.App]) {
	find(s.db, round, `SELECT `+appColumns+` FROM apps WHERE id`, func(id string) any { return id }, func(r row) (string, ca.App, error) {
		a, err := scanApp(r)
		return a.ID, a, err
	})
}

// ListApps implements ca.Store.
func (s *Store) ListApps(ctx context.Context, after string, limit int) (apps []ca.App, err error) {
	err = s.db.list(ctx, func(r row) error {
		a, err := scanApp(r)
		apps = append(apps, a)
		return err
	}, `SELECT `+appColumns+` FROM apps WHERE id > $1 ORDER BY id LIMIT $2`, text(after), limit)
	return apps, err
}

// ChangeApp implements ca.Store.
func (s *Store) ChangeApp(ctx context.Context, a ca.App, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE apps SET name = $3, policy = $4, allowed = $5, suspended = $6, version = version + 1 WHERE id = $1 AND version = $2`,
			a.ID, a.Version, text(a.Name), string(a.Policy), strings.Join(a.Allowed, " "), a.Suspended))
	})
}
