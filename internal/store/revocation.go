package store

import (
	"context"
	"slices"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// revocationRow is a revocation that may be missing.
type revocationRow struct{ ca.Revocation }

const revocationColumns = `r.revoked_at, COALESCE(r.reason, 0), COALESCE(r.revoked_by, '')`

func (r *revocationRow) columns() []any { return []any{instant{&r.At}, &r.Reason, &r.By} }

func (r *revocationRow) revocation() *ca.Revocation {
	if r.At.IsZero() {
		return nil
	}
	return &r.Revocation
}

// Standing implements ca.Store.
func (s *Store) Standing(ctx context.Context, serial pki.Serial) (ca.Standing, error) {
	standing, err := s.standings.do(ctx, serial)
	if standing.Revocation != nil { // another caller may have the same answer
		r := *standing.Revocation
		standing.Revocation = &r
	}
	return standing, err
}

// findStandings answers calls of Standing.
func (s *Store) findStandings(round []*call[pki.Serial, ca.Standing]) {
	find(s.db, round, `SELECT c.serial, c.authority, `+revocationColumns+` FROM certificates c LEFT JOIN revocations r ON r.serial = c.serial WHERE c.serial`,
		func(serial pki.Serial) any { return serial[:] },
		func(row row) (serial pki.Serial, standing ca.Standing, err error) {
			var r revocationRow
			err = row.Scan(append([]any{octets(serial[:]), &standing.Authority}, r.columns()...)...)
			standing.Revocation = r.revocation()
			return serial, standing, err
		})
}

// ListRevoked implements ca.Store.
func (s *Store) ListRevoked(ctx context.Context, q ca.RevokedQuery) (all []ca.Revoked, err error) {
	var p conditions
	p.add("r.authority = ?", text(q.Authority))
	if b := q.Beyond; b != nil {
		p.add("(r.not_after, r.serial) > (?, ?)", micros(b.NotAfter), b.Serial[:])
	} else {
		p.add("r.not_after >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		p.add("r.not_after < ?", micros(q.To))
	}
	err = s.db.list(ctx, func(row row) error {
		var one ca.Revoked
		var r revocationRow
		err := row.Scan(append([]any{octets(one.Serial[:]), instant{&one.NotAfter}}, r.columns()...)...)
		one.Revocation = r.Revocation
		all = append(all, one)
		return err
	}, `SELECT r.serial, r.not_after, `+revocationColumns+` FROM revocations r`+p.where()+` ORDER BY r.not_after, r.serial LIMIT `+p.value(q.Limit), p.args...)
	return all, err
}

// ListUnpublished implements ca.Store. It is one statement, so that a change and what it changed are seen together or not at all. The changes are
// chosen before they are joined: a planner that believes the table to be small, as it mostly is, would otherwise join and sort a million for each page.
func (s *Store) ListUnpublished(ctx context.Context, authority string, limit int) (all []ca.Unpublished, err error) {
	err = s.db.list(ctx, func(row row) error {
		var one ca.Unpublished
		var id []byte
		var r revocationRow
		err := row.Scan(append([]any{&id, octets(one.Serial[:]), instant{&one.NotAfter}}, r.columns()...)...)
		one.ID, one.Revocation = string(id), r.revocation()
		all = append(all, one)
		return err
	}, `SELECT u.id, u.serial, c.not_after, `+revocationColumns+`
		FROM (SELECT id, serial FROM unpublished WHERE authority = $1 ORDER BY id, serial LIMIT $2) u
			JOIN certificates c ON c.serial = u.serial LEFT JOIN revocations r ON r.serial = u.serial
		ORDER BY u.id, u.serial`, text(authority), limit)
	return all, err
}

// unpublish makes a change of revocations wait for the next list.
func (s *Store) unpublish(ctx context.Context, tx statements, act ca.Act, serials [][]byte) error {
	among, keys := s.db.among(1, serials)
	_, err := tx.exec(ctx, `INSERT INTO unpublished (authority, id, serial) SELECT authority, $2, serial FROM certificates WHERE serial `+among,
		keys, act.Event.ID[:])
	return err
}

// ListCRLStates implements ca.Store.
func (s *Store) ListCRLStates(ctx context.Context) (all []ca.CRLState, err error) {
	err = s.db.query(ctx, func(r row) error {
		var one ca.CRLState
		err := r.Scan(&one.Authority, &one.Number, &one.Waiting)
		all = append(all, one)
		return err
	}, `SELECT a.name, COALESCE(c.number, 0), EXISTS (SELECT 1 FROM unpublished u WHERE u.authority = a.name)
		FROM authorities a LEFT JOIN crls c ON c.authority = a.name ORDER BY a.position`)
	return all, err
}

// CRL implements ca.Store. It is one statement, so that all parts are of one list.
func (s *Store) CRL(ctx context.Context, authority string, earlier *ca.CRL) (*ca.CRL, error) {
	var since int64
	c := new(ca.CRL)
	if earlier != nil {
		since, c.Entries = earlier.Number, slices.Clone(earlier.Entries)
	}
	err := s.db.query(ctx, func(r row) error {
		var part int
		var entries []byte
		err := r.Scan(&c.Authority, &c.Number, instant{&c.ThisUpdate}, instant{&c.NextUpdate}, instant{&c.PublishedAt}, instant{&c.RegularAt},
			instant{&c.ListsFrom}, &c.Count, &c.Head, &c.Tail, &part, &entries)
		if err != nil || part < 0 {
			return err
		}
		for part >= len(c.Entries) {
			c.Entries = append(c.Entries, nil)
		}
		c.Entries[part] = entries
		return nil
	}, `SELECT c.authority, c.number, c.this_update, c.next_update, c.published_at, c.regular_at, c.lists_from, c.entries, c.head, c.tail,
			COALESCE(p.part, -1), p.entries
		FROM crls c LEFT JOIN crl_parts p ON p.authority = c.authority AND p.number > $2
		WHERE c.authority = $1`, text(authority), since)
	if err == nil && c.Number == 0 {
		err = ca.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// PublishCRL implements ca.Store. Who changes the row of the list was first; another one waits for that one's commit, and then finds another number.
func (s *Store) PublishCRL(ctx context.Context, c *ca.CRL, previous int64, changed []int, shown []ca.Unpublished, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		values := []any{text(c.Authority), c.Number, micros(c.ThisUpdate), micros(c.NextUpdate), micros(c.PublishedAt), micros(c.RegularAt),
			micros(c.ListsFrom), c.Count, c.Head, c.Tail}
		statement := `INSERT INTO crls (authority, number, this_update, next_update, published_at, regular_at, lists_from, entries, head, tail)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (authority) DO NOTHING`
		if previous != 0 {
			values = append(values, previous)
			statement = `UPDATE crls SET number = $2, this_update = $3, next_update = $4, published_at = $5, regular_at = $6, lists_from = $7,
				entries = $8, head = $9, tail = $10 WHERE authority = $1 AND number = $11`
		}
		if err := changedOne(tx.exec(ctx, statement, values...)); err != nil {
			return err
		}
		for _, part := range changed {
			_, err := tx.exec(ctx, `INSERT INTO crl_parts (authority, part, number, entries) VALUES ($1, $2, $3, $4)
				ON CONFLICT (authority, part) DO UPDATE SET number = excluded.number, entries = excluded.entries`,
				text(c.Authority), part, c.Number, orEmpty(c.Entries[part]))
			if err != nil {
				return err
			}
		}
		return s.db.forget(ctx, tx, text(c.Authority), shown)
	})
}

// orEmpty is b, which may not be NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
