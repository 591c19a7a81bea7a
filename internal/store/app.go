package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

const appColumns = `id, name, policy, allowed, quotas, suspended, created_at, version`

func scanApp(r row) (a ca.App, err error) {
	var allowed, quotas string
	if err := r.Scan(&a.ID, &a.Name, &a.Policy, &allowed, &quotas, &a.Suspended, instant{&a.CreatedAt}, &a.Version); err != nil {
		return a, err
	}
	a.Allowed = words(allowed)
	if err := json.Unmarshal([]byte(quotas), &a.Quotas); err != nil {
		return a, fmt.Errorf("reading the quotas of the app %s: %w", a.ID, err)
	}
	if len(a.Quotas) == 0 {
		a.Quotas = nil
	}
	return a, nil
}

func encodeQuotas(quotas map[string]int) (string, error) {
	if quotas == nil {
		return "{}", nil
	}
	text, err := json.Marshal(quotas)
	if err != nil {
		return "", fmt.Errorf("encoding quotas: %w", err)
	}
	return string(text), nil
}

// CreateApp implements ca.Store.
func (s *Store) CreateApp(ctx context.Context, a ca.App, act ca.Act) error {
	quotas, err := encodeQuotas(a.Quotas)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `INSERT INTO apps (`+appColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			a.ID, text(a.Name), string(a.Policy), strings.Join(a.Allowed, " "), quotas, a.Suspended, micros(a.CreatedAt), a.Version)
		if err == nil && n == 0 {
			err = ca.ErrExists
		}
		return err
	})
}

// App implements ca.Store.
func (s *Store) App(ctx context.Context, id string) (ca.App, error) {
	a, err := s.apps.do(ctx, text(id))
	a.Allowed, a.Quotas = slices.Clone(a.Allowed), maps.Clone(a.Quotas) // another caller may have the same answer
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
	quotas, err := encodeQuotas(a.Quotas)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE apps SET name = $3, policy = $4, allowed = $5, quotas = $6, suspended = $7, version = version + 1
			WHERE id = $1 AND version = $2`, a.ID, a.Version, text(a.Name), string(a.Policy), strings.Join(a.Allowed, " "), quotas, a.Suspended))
	})
}
