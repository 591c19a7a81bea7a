package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// quotaFull says which quota stopped a transaction.
type quotaFull struct {
	scope string
	wait  time.Duration
}

func (q *quotaFull) Error() string { return "the quota " + q.scope + " is full" }

// TakeQuota implements ca.Store. A scope has one number: the moment at which what was taken would have been due at the steady rate. It may
// run ahead of the clock by the burst, and no further; a single statement judges that and counts.
func (s *Store) TakeQuota(ctx context.Context, quotas []ca.Quota, now time.Time) (full int, wait time.Duration, err error) {
	at := now.UnixMicro()
	err = s.change(ctx, func(tx statements) error {
		for _, q := range inOrder(quotas) {
			share := q.Per.Microseconds() / int64(q.Most)
			ahead := share * int64(q.Most-1)
			n, err := tx.exec(ctx, `INSERT INTO quotas (scope, due) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
				ON CONFLICT (scope) DO UPDATE SET due = CASE WHEN quotas.due > CAST($2 AS BIGINT) THEN quotas.due ELSE CAST($2 AS BIGINT) END + CAST($3 AS BIGINT)
				WHERE quotas.due <= CAST($2 AS BIGINT) + CAST($4 AS BIGINT)`, text(q.Scope), at, share, ahead)
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
			var due int64
			if err := one(ctx, tx, `SELECT due FROM quotas WHERE scope = $1`, []any{text(q.Scope)}, &due); err != nil {
				return err
			}
			return &quotaFull{q.Scope, time.Duration(max(due-ahead-at, 1)) * time.Microsecond}
		}
		return nil
	})
	var stopped *quotaFull
	if errors.As(err, &stopped) {
		i := slices.IndexFunc(quotas, func(q ca.Quota) bool { return q.Scope == stopped.scope })
		return i, stopped.wait, nil
	}
	return 0, 0, err
}

// GiveBackQuota implements ca.Store.
func (s *Store) GiveBackQuota(ctx context.Context, quotas []ca.Quota) error {
	return s.change(ctx, func(tx statements) error {
		for _, q := range inOrder(quotas) {
			_, err := tx.exec(ctx, `UPDATE quotas SET due = due - CAST($2 AS BIGINT) WHERE scope = $1`, text(q.Scope), q.Per.Microseconds()/int64(q.Most))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// inOrder sorts by scope: transactions that take the same rows in the same order do not wait for each other in a circle.
func inOrder(quotas []ca.Quota) []ca.Quota {
	return slices.SortedFunc(slices.Values(quotas), func(a, b ca.Quota) int { return strings.Compare(a.Scope, b.Scope) })
}

// ForgetQuotas implements ca.Store.
func (s *Store) ForgetQuotas(ctx context.Context, before time.Time) error {
	_, err := s.db.exec(ctx, `DELETE FROM quotas WHERE due < $1`, before.UnixMicro())
	return err
}
