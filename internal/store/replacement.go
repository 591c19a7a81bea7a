package store

import (
	"context"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// PlanReplacements implements ca.Store.
func (s *Store) PlanReplacements(ctx context.Context, serials []pki.Serial, by time.Time, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		given := make([][]byte, len(serials))
		for i := range serials {
			given[i] = serials[i][:]
		}
		among, keys := s.db.among(1, given)
		if by.IsZero() {
			_, err := tx.exec(ctx, `DELETE FROM replacements WHERE serial `+among, keys)
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO replacements (serial, replace_by, planned_at, not_after)
			SELECT serial, $2, $3, not_after FROM certificates WHERE serial `+among+` ORDER BY serial
			ON CONFLICT (serial) DO UPDATE SET replace_by = excluded.replace_by, planned_at = excluded.planned_at`, keys, micros(by), micros(act.Event.At))
		return err
	})
}

// Replacement implements ca.Store.
func (s *Store) Replacement(ctx context.Context, serial pki.Serial) (r ca.Replacement, err error) {
	err = one(ctx, s.db, `SELECT replace_by, planned_at FROM replacements WHERE serial = $1`, []any{serial[:]}, instant{&r.By}, instant{&r.PlannedAt})
	return r, err
}

// ListReplacements implements ca.Store.
func (s *Store) ListReplacements(ctx context.Context, q ca.ReplacementQuery) (list []ca.Replacement, err error) {
	where := new(conditions)
	where.add("c.serial = p.serial")
	where.add("r.serial IS NULL")
	where.add("p.not_after >= ?", micros(q.Now.Truncate(time.Second)))
	where.other("c.app", q.App)
	if !q.Beyond.IsZero() {
		where.add("(p.replace_by, p.serial) > (?, ?)", micros(q.Beyond.Time), q.Beyond.Serial[:])
	}
	limit := where.value(q.Limit)
	err = s.db.list(ctx, func(r row) error {
		found, plan := new(certificateRow), ca.Replacement{}
		if err := r.Scan(append(found.columns(), instant{&plan.By}, instant{&plan.PlannedAt})...); err != nil {
			return err
		}
		plan.Certificate = found.certificate()
		list = append(list, plan)
		return nil
	}, `SELECT `+certificateColumns+`, p.replace_by, p.planned_at FROM replacements p CROSS JOIN certificates c
		LEFT JOIN signatures s ON s.serial = p.serial LEFT JOIN revocations r ON r.serial = p.serial`+where.where()+`
		ORDER BY p.replace_by, p.serial LIMIT `+limit, where.args...)
	return list, err
}

// ForgetReplacements implements ca.Store.
func (s *Store) ForgetReplacements(ctx context.Context, before time.Time) error {
	_, err := s.db.exec(ctx, `DELETE FROM replacements WHERE not_after < $1`, micros(before))
	return err
}
