package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// domainValues are what changes in a claim, with their columns in domainColumns; the key goes before them.
const domainColumns = `reversed, app, name, state, holds, wildcard, method, token, challenge_until, proven_by, lasting, proven_at, expires_at,
	checked_at, failing_since, failure, due_at, flag, decided_at, decided_by, decision, created_at, created_by, version`

func domainValues(d ca.Domain) []any {
	return []any{
		searchKey(d.Name), d.App, d.Name.String(), string(d.State), d.Holds, d.Wildcard, string(d.Method), d.Token, microsOrNull(d.ChallengeUntil),
		string(d.ProvenBy), d.Lasting, microsOrNull(d.ProvenAt), microsOrNull(d.ExpiresAt), microsOrNull(d.CheckedAt), microsOrNull(d.FailingSince),
		text(d.Failure), microsOrNull(d.DueAt), text(d.Flag), microsOrNull(d.DecidedAt), text(d.DecidedBy), text(d.Decision), micros(d.CreatedAt),
		text(d.CreatedBy), max(d.Version, 1),
	}
}

func scanDomain(r row) (d ca.Domain, err error) {
	var reversed, name string
	err = r.Scan(&reversed, &d.App, &name, &d.State, &d.Holds, &d.Wildcard, &d.Method, &d.Token, instant{&d.ChallengeUntil},
		&d.ProvenBy, &d.Lasting, instant{&d.ProvenAt}, instant{&d.ExpiresAt}, instant{&d.CheckedAt}, instant{&d.FailingSince},
		&d.Failure, instant{&d.DueAt}, &d.Flag, instant{&d.DecidedAt}, &d.DecidedBy, &d.Decision, instant{&d.CreatedAt}, &d.CreatedBy, &d.Version)
	if err == nil {
		d.Name = pki.RecordedName(name)
	}
	return d, err
}

const insertDomain = `INSERT INTO domains (` + domainColumns + `, slot)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`

// CreateDomain implements ca.Store. Each open claim of an app has a number of its own, of which there are as many as there may be claims: so the
// constraint counts, whoever else makes claims at the same time.
func (s *Store) CreateDomain(ctx context.Context, d ca.Domain, most int, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		var known int
		err := one(ctx, tx, `SELECT 1 FROM domains WHERE reversed = $1 AND app = $2`, []any{searchKey(d.Name), d.App}, &known)
		if err == nil {
			return ca.ErrExists
		}
		if !errors.Is(err, ca.ErrNotFound) {
			return err
		}
		slot, err := freeSlot(ctx, tx, `SELECT slot FROM domains WHERE app = $1 AND slot IS NOT NULL ORDER BY slot`, d.App, most)
		if err != nil {
			return err
		}
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		_, err = tx.exec(ctx, insertDomain, append(domainValues(d), slot)...)
		if err != nil && s.db.badRow(err) {
			return errAgain // another request took the slot, or made the same claim
		}
		return err
	})
}

// freeSlot is the smallest number that the app has not given yet, of those that a statement lists in order.
func freeSlot(ctx context.Context, tx statements, taken, app string, most int) (slot int, err error) {
	slot = 1
	err = tx.query(ctx, func(r row) error {
		var number int
		err := r.Scan(&number)
		if number == slot {
			slot++
		}
		return err
	}, taken, text(app))
	if err == nil && slot > most {
		err = ca.ErrFull
	}
	return slot, err
}

// Domain implements ca.Store.
func (s *Store) Domain(ctx context.Context, app string, n pki.Name) (d ca.Domain, err error) {
	err = ca.ErrNotFound
	qerr := s.db.query(ctx, func(r row) error {
		d, err = scanDomain(r)
		return err
	}, `SELECT `+domainColumns+` FROM domains WHERE reversed = $1 AND app = $2`, searchKey(n), text(app))
	if qerr != nil {
		err = qerr
	}
	return d, err
}

// Domains implements ca.Store. Those that are asked for together share a query.
func (s *Store) Domains(ctx context.Context, names []pki.Name) ([]ca.Domain, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return s.claims.do(ctx, searchKeys(names))
}

// findClaims answers calls of Domains.
func (s *Store) findClaims(round []*call[[]string, []ca.Domain]) {
	var keys []any
	found := make(map[string][]ca.Domain)
	for _, c := range round {
		for _, key := range c.question {
			if _, asked := found[key]; !asked {
				found[key], keys = nil, append(keys, key)
			}
		}
	}
	err := inRound(func(ctx context.Context) error {
		return s.db.find(ctx, func(r row) error {
			d, err := scanDomain(r)
			key := searchKey(d.Name)
			found[key] = append(found[key], d)
			return err
		}, `SELECT `+domainColumns+` FROM domains WHERE reversed`, keys)
	})
	for _, c := range round {
		if c.err = err; err != nil {
			continue
		}
		for _, key := range c.question {
			c.answer = append(c.answer, found[key]...)
		}
	}
}

// ListDomains implements ca.Store.
func (s *Store) ListDomains(ctx context.Context, q ca.DomainQuery) ([]ca.Domain, error) {
	condition, args := domainStatement(s.db, q)
	return s.listDomains(ctx, condition, args)
}

// domainStatement is what follows "FROM domains" for a page of claims, in the order of names. There is an index for all claims, for those of an app and
// for those in a state.
func domainStatement(db database, q ca.DomainQuery) (condition string, args []any) {
	where := new(conditions)
	r := reading{order: []string{"reversed", "app"}}
	key := []any{searchKey(q.Beyond.Name), text(q.Beyond.App)}
	switch {
	case !q.Name.IsZero():
		where.add("reversed = ?", searchKey(q.Name.Base()))
		where.other("app", q.App)
		where.other("state", string(q.State))
	case q.App != "":
		r.lead, r.common, r.order, key = "app", text(q.App), r.order[:1], key[:1]
		where.other("state", string(q.State))
	case q.State != "":
		r.lead, r.common = "state", text(string(q.State))
	}
	low := ""
	if q.Suffix != "" {
		low = suffixKey(q.Suffix)
		r.from, r.to = low, strings.TrimSuffix(low, ".")+"/" // "/" follows "." in ASCII
	}
	if q.Beyond != (ca.DomainCursor{}) && searchKey(q.Beyond.Name) >= low {
		r.beyond = key
	}
	r.bound(where, db)
	return where.where() + r.orderBy() + " LIMIT " + where.value(q.Limit), where.args
}

// DueDomains implements ca.Store.
func (s *Store) DueDomains(ctx context.Context, now time.Time, limit int) ([]ca.Domain, error) {
	return s.listDomains(ctx, ` WHERE due_at <= $1 ORDER BY due_at, reversed, app LIMIT $2`, []any{micros(now), limit})
}

func (s *Store) listDomains(ctx context.Context, condition string, args []any) (claims []ca.Domain, err error) {
	err = s.db.list(ctx, func(r row) error {
		d, err := scanDomain(r)
		claims = append(claims, d)
		return err
	}, `SELECT `+domainColumns+` FROM domains`+condition, args...)
	return claims, err
}

// ChangeDomains implements ca.Store. What is removed, and what gives its name up, goes first: a name is free before another takes it.
func (s *Store) ChangeDomains(ctx context.Context, remove, keep []ca.Domain, act ca.Act) error {
	keep = slices.Clone(keep)
	slices.SortStableFunc(keep, func(a, b ca.Domain) int { return fromBool(a.Holds) - fromBool(b.Holds) })
	err := s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		for _, d := range remove {
			err := changedOne(tx.exec(ctx, `DELETE FROM domains WHERE reversed = $1 AND app = $2 AND version = $3`, searchKey(d.Name), d.App, d.Version))
			if err != nil {
				return err
			}
		}
		for _, d := range keep {
			if err := keepDomain(ctx, tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && s.db.badRow(err) {
		return ca.ErrExists
	}
	return err
}

func keepDomain(ctx context.Context, tx statements, d ca.Domain) error {
	if d.Version == 0 {
		_, err := tx.exec(ctx, insertDomain, append(domainValues(d), nil)...)
		return err
	}
	return changedOne(tx.exec(ctx, `UPDATE domains SET name = $3, state = $4, holds = $5, wildcard = $6, method = $7, token = $8, challenge_until = $9,
		proven_by = $10, lasting = $11, proven_at = $12, expires_at = $13, checked_at = $14, failing_since = $15, failure = $16, due_at = $17,
		flag = $18, decided_at = $19, decided_by = $20, decision = $21, created_at = $22, created_by = $23, version = $24 + 1,
		slot = CASE WHEN $25 THEN slot ELSE NULL END
		WHERE reversed = $1 AND app = $2 AND version = $24`, append(domainValues(d), d.Open())...))
}

func fromBool(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LeaseDomain implements ca.Store.
func (s *Store) LeaseDomain(ctx context.Context, d ca.Domain, until time.Time) error {
	return changedOne(s.db.exec(ctx, `UPDATE domains SET due_at = $4 WHERE reversed = $1 AND app = $2 AND due_at = $3`,
		searchKey(d.Name), d.App, micros(d.DueAt), micros(until)))
}
