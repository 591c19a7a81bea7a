package store

import (
	"context"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

const sessionColumns = `id, hash, token, name, role, COALESCE(app, ''), scopes, created_at, begun_at, last_used, ends_at`

// CreateSession implements ca.Store.
func (s *Store) CreateSession(ctx context.Context, n ca.Session, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO sessions (id, hash, token, name, role, app, scopes, created_at, begun_at, last_used, ends_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			n.ID, n.Hash[:], text(n.Token), text(n.Name), string(n.Role), orNull(n.App), string(n.Scopes),
			micros(n.CreatedAt), microsOrNull(n.BegunAt), micros(n.LastUsed), micros(n.EndsAt))
		return err
	})
}

// BeginSession implements ca.Store.
func (s *Store) BeginSession(ctx context.Context, link [32]byte, n ca.Session, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE sessions SET hash = $2, begun_at = $3, last_used = $4, ends_at = $5 WHERE hash = $1 AND begun_at IS NULL`,
			link[:], n.Hash[:], micros(n.BegunAt), micros(n.LastUsed), micros(n.EndsAt)))
	})
}

// SessionByHash implements ca.Store.
func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (n ca.Session, err error) {
	err = one(ctx, s.db, `SELECT `+sessionColumns+` FROM sessions WHERE hash = $1`, []any{hash[:]},
		&n.ID, octets(n.Hash[:]), &n.Token, &n.Name, &n.Role, &n.App, &n.Scopes,
		instant{&n.CreatedAt}, instant{&n.BegunAt}, instant{&n.LastUsed}, instant{&n.EndsAt})
	return n, err
}

// TouchSession implements ca.Store.
func (s *Store) TouchSession(ctx context.Context, id string, at time.Time) error {
	_, err := s.db.exec(ctx, `UPDATE sessions SET last_used = $2 WHERE id = $1 AND last_used < $2`, text(id), micros(at))
	return err
}

// EndSession implements ca.Store.
func (s *Store) EndSession(ctx context.Context, id string, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `DELETE FROM sessions WHERE id = $1`, text(id))
		if err == nil && n == 0 {
			err = ca.ErrNotFound
		}
		return err
	})
}

// EndSessions implements ca.Store.
func (s *Store) EndSessions(ctx context.Context, token string, act ca.Act) (ended int, err error) {
	err = s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `DELETE FROM sessions WHERE token = $1`, text(token))
		ended = int(n)
		return err
	})
	return ended, err
}

// ForgetSessions implements ca.Store.
func (s *Store) ForgetSessions(ctx context.Context, end, idle time.Time) error {
	_, err := s.db.exec(ctx, `DELETE FROM sessions WHERE ends_at <= $1 OR last_used <= $2`, micros(end), micros(idle))
	return err
}
