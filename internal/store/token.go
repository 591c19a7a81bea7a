package store

import (
	"context"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

const tokenColumns = `id, hash, name, role, COALESCE(app, ''), scopes, created_at, created_by, expires_at, revoked_at, superseded_at, last_used`

func scanToken(r row) (t ca.Token, err error) {
	err = r.Scan(&t.ID, octets(t.Hash[:]), &t.Name, &t.Role, &t.App, &t.Scopes, instant{&t.CreatedAt}, &t.CreatedBy,
		instant{&t.ExpiresAt}, instant{&t.RevokedAt}, instant{&t.SupersededAt}, instant{&t.LastUsed})
	return t, err
}

// CreateToken implements ca.Store.
func (s *Store) CreateToken(ctx context.Context, t ca.Token, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		if t.App != "" { // apps are never removed, so what was there a moment ago still is
			var known int
			if err := one(ctx, tx, `SELECT 1 FROM apps WHERE id = $1`, []any{text(t.App)}, &known); err != nil {
				return err
			}
		}
		return insertToken(ctx, tx, t)
	})
}

func insertToken(ctx context.Context, tx statements, t ca.Token) error {
	_, err := tx.exec(ctx, `INSERT INTO tokens (id, hash, name, role, app, scopes, created_at, created_by, expires_at, revoked_at, superseded_at, last_used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		t.ID, t.Hash[:], text(t.Name), string(t.Role), orNull(t.App), string(t.Scopes), micros(t.CreatedAt), text(t.CreatedBy),
		microsOrNull(t.ExpiresAt), microsOrNull(t.RevokedAt), microsOrNull(t.SupersededAt), microsOrNull(t.LastUsed))
	return err
}

// RotateToken implements ca.Store.
func (s *Store) RotateToken(ctx context.Context, id string, now, end time.Time, successor ca.Token, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		err := changedOne(tx.exec(ctx, `UPDATE tokens SET superseded_at = CASE WHEN superseded_at < $3 THEN superseded_at ELSE $3 END
			WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) AND (superseded_at IS NULL OR superseded_at > $2)`, text(id), micros(now), micros(end)))
		if err != nil {
			return err
		}
		return insertToken(ctx, tx, successor)
	})
}

// TokenByHash implements ca.Store.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (ca.Token, error) {
	return s.tokens.do(ctx, hash)
}

// findTokens answers calls of TokenByHash.
func (s *Store) findTokens(round []*call[[32]byte, ca.Token]) {
	find(s.db, round, `SELECT `+tokenColumns+` FROM tokens WHERE hash`, func(hash [32]byte) any { return hash[:] }, func(r row) ([32]byte, ca.Token, error) {
		t, err := scanToken(r)
		return t.Hash, t, err
	})
}

// lookers is how many rounds of look-ups run at once.
const lookers = 2

// find answers a round of look-ups by one query, which begins after all of them were asked. The text ends in the column that holds the keys.
func find[Q comparable, A any](db database, round []*call[Q, A], text string, key func(Q) any, scan func(row) (Q, A, error)) {
	asked := make(map[Q]bool)
	var keys []any
	for _, c := range round {
		if !asked[c.question] {
			asked[c.question] = true
			keys = append(keys, key(c.question))
		}
	}
	found := make(map[Q]A)
	err := inRound(func(ctx context.Context) error {
		return db.find(ctx, func(r row) error {
			q, a, err := scan(r)
			found[q] = a
			return err
		}, text, keys)
	})
	for _, c := range round {
		var known bool
		if c.answer, known = found[c.question]; err != nil {
			c.err = err
		} else if !known {
			c.err = ca.ErrNotFound
		}
	}
}

// Token implements ca.Store.
func (s *Store) Token(ctx context.Context, id string) (t ca.Token, err error) {
	found := false
	err = s.db.query(ctx, func(r row) (err error) {
		found = true
		t, err = scanToken(r)
		return err
	}, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1`, text(id))
	if err == nil && !found {
		err = ca.ErrNotFound
	}
	return t, err
}

// TouchToken implements ca.Store.
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	_, err := s.db.exec(ctx, `UPDATE tokens SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)`, text(id), micros(at))
	return err
}

// ListTokens implements ca.Store.
func (s *Store) ListTokens(ctx context.Context, app, after string, limit int) (tokens []ca.Token, err error) {
	where := new(conditions)
	r := reading{order: []string{"id"}, beyond: []any{text(after)}}
	if app == "" {
		where.add("app IS NULL")
	} else {
		r.lead, r.common = "app", text(app)
	}
	r.bound(where, s.db)
	err = s.db.list(ctx, func(r row) error {
		t, err := scanToken(r)
		tokens = append(tokens, t)
		return err
	}, `SELECT `+tokenColumns+` FROM tokens`+where.where()+r.orderBy()+` LIMIT `+where.value(limit), where.args...)
	return tokens, err
}

// RevokeToken implements ca.Store.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		n, err := tx.exec(ctx, `UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`, text(id), micros(at))
		if err != nil || n > 0 {
			return err
		}
		var known int
		if err := one(ctx, tx, `SELECT 1 FROM tokens WHERE id = $1`, []any{text(id)}, &known); err != nil {
			return err
		}
		return ca.ErrChanged
	})
}
