package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var _ acme.Store = (*Store)(nil)

// Secret implements acme.Store.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) (kept []byte, err error) {
	if _, err := s.db.exec(ctx, `INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, text(name), fresh); err != nil {
		return nil, err
	}
	err = one(ctx, s.db, `SELECT value FROM secrets WHERE name = $1`, []any{text(name)}, &kept)
	return kept, err
}

// spending remembers a nonce, if it was not spent before.
type spending struct {
	nonce [16]byte
	until time.Time

	done bool // whether it was not
}

// SpendNonce implements acme.Store.
func (s *Store) SpendNonce(ctx context.Context, value [16]byte, until time.Time) error {
	w := &write{spends: &spending{nonce: value, until: micros(until)}}
	if _, err := s.writes.do(ctx, w); err != nil {
		return err
	}
	if !w.spends.done {
		return ca.ErrExists
	}
	return nil
}

// existedIfNone tells from the rows that an insertion touched whether there was one in its way.
func existedIfNone(n int64, err error) error {
	if err == nil && n == 0 {
		return ca.ErrExists
	}
	return err
}

const selectAccount = `SELECT a.id, a.app, COALESCE(a.binding, ''), a.key, a.thumbprint, a.contact, a.status, a.created_at, a.version, t.revoked_at
	FROM acme_accounts a LEFT JOIN tokens t ON t.id = a.binding WHERE `

func scanAccount(r row) (a acme.Account, err error) {
	var (
		contact string
		revoked time.Time
	)
	err = r.Scan(&a.ID, &a.App, &a.Binding, &a.Key, octets(a.Thumbprint[:]), &contact, &a.Status, instant{&a.CreatedAt}, &a.Version, instant{&revoked})
	a.Contact, a.BindingRevoked = words(contact), !revoked.IsZero()
	return a, err
}

// Account implements acme.Store. Every request asks for one, so those that come together share a query.
func (s *Store) Account(ctx context.Context, id string) (acme.Account, error) {
	a, err := s.accounts.do(ctx, text(id))
	a.Key, a.Contact = slices.Clone(a.Key), slices.Clone(a.Contact) // another caller may have the same answer
	return a, err
}

// findAccounts answers calls of Account.
func (s *Store) findAccounts(round []*call[string, acme.Account]) {
	find(s.db, round, selectAccount+`a.id`, func(id string) any { return id }, func(r row) (string, acme.Account, error) {
		a, err := scanAccount(r)
		return a.ID, a, err
	})
}

// AccountByKey implements acme.Store.
func (s *Store) AccountByKey(ctx context.Context, thumbprint [32]byte) (a acme.Account, err error) {
	found := false
	err = s.db.query(ctx, func(r row) (err error) {
		found = true
		a, err = scanAccount(r)
		return err
	}, selectAccount+`a.thumbprint = $1`, thumbprint[:])
	if err == nil && !found {
		err = ca.ErrNotFound
	}
	return a, err
}

// CreateAccount implements acme.Store.
func (s *Store) CreateAccount(ctx context.Context, a acme.Account, act ca.Act) error {
	err := s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return existedIfNone(tx.exec(ctx, `INSERT INTO acme_accounts (id, app, binding, key, thumbprint, contact, status, created_at, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (thumbprint) DO NOTHING`,
			a.ID, text(a.App), orNull(a.Binding), a.Key, a.Thumbprint[:], text(strings.Join(a.Contact, " ")), string(a.Status), micros(a.CreatedAt), a.Version))
	})
	if err != nil && s.db.badRow(err) {
		if _, missing := s.App(ctx, a.App); missing != nil {
			return missing
		}
	}
	return err
}

// ChangeAccount implements acme.Store.
func (s *Store) ChangeAccount(ctx context.Context, a acme.Account, act ca.Act) error {
	err := s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		return changedOne(tx.exec(ctx, `UPDATE acme_accounts SET binding = $3, key = $4, thumbprint = $5, contact = $6, status = $7, version = version + 1
			WHERE id = $1 AND version = $2`,
			text(a.ID), a.Version, orNull(a.Binding), a.Key, a.Thumbprint[:], text(strings.Join(a.Contact, " ")), string(a.Status)))
	})
	if err != nil && s.db.badRow(err) { // the key, unless it is something that nobody foresaw
		if other, lookup := s.AccountByKey(ctx, a.Thumbprint); lookup == nil && other.ID != a.ID {
			return ca.ErrExists
		}
	}
	return err
}

const authorizationColumns = `id, account, COALESCE("order", ''), place, name, status, token, method, attempted_at, failure, detail, validated_at, created_at, expires_at, version`

// authorizationRecord is the row of an authorization.
func authorizationRecord(a acme.Authorization) []any {
	return []any{
		a.ID, a.Account, orNull(a.Order), a.Place, a.Name.String(), string(a.Status), a.Token, string(a.Method), microsOrNull(a.AttemptedAt),
		string(a.Failure.Kind), text(a.Failure.Detail), microsOrNull(a.ValidatedAt), micros(a.CreatedAt), micros(a.ExpiresAt), a.Version,
	}
}

func scanAuthorization(r row) (a acme.Authorization, err error) {
	var name string
	if err := r.Scan(&a.ID, &a.Account, &a.Order, &a.Place, &name, &a.Status, &a.Token, &a.Method, instant{&a.AttemptedAt}, &a.Failure.Kind,
		&a.Failure.Detail, instant{&a.ValidatedAt}, instant{&a.CreatedAt}, instant{&a.ExpiresAt}, &a.Version); err != nil {
		return a, err
	}
	a.Name, err = pki.ParseName(name)
	return a, err
}

const orderColumns = `id, account, names, profile, replaces, not_before, not_after, created_at, expires_at, serial`

func scanOrder(r row) (o acme.Order, err error) {
	var names string
	if err := r.Scan(&o.ID, &o.Account, &names, &o.Profile, octets(o.Replaces[:]), instant{&o.NotBefore}, instant{&o.NotAfter}, instant{&o.CreatedAt},
		instant{&o.ExpiresAt}, octets(o.Serial[:])); err != nil {
		return o, err
	}
	for _, word := range words(names) {
		n, err := pki.ParseName(word)
		if err != nil {
			return o, fmt.Errorf("the order %s has a name that is none: %w", o.ID, err)
		}
		o.Names = append(o.Names, n)
	}
	return o, nil
}

// Order implements acme.Store. The two queries are asked together with those of others.
func (s *Store) Order(ctx context.Context, id string) (acme.Order, []acme.Authorization, error) {
	o, err := s.orders.do(ctx, text(id))
	if err != nil {
		return acme.Order{}, nil, err
	}
	authorizations, err := s.authorizations.do(ctx, o.ID)
	if errors.Is(err, ca.ErrNotFound) {
		err = nil
	}
	o.Names = slices.Clone(o.Names) // another caller may have the same answer
	return o, slices.Clone(authorizations), err
}

// findOrders and findAuthorizations answer calls of Order.
func (s *Store) findOrders(round []*call[string, acme.Order]) {
	find(s.db, round, `SELECT `+orderColumns+` FROM acme_orders WHERE id`, func(id string) any { return id }, func(r row) (string, acme.Order, error) {
		o, err := scanOrder(r)
		return o.ID, o, err
	})
}

func (s *Store) findAuthorizations(round []*call[string, []acme.Authorization]) {
	found := make(map[string][]acme.Authorization)
	find(s.db, round, `SELECT `+authorizationColumns+` FROM acme_authorizations WHERE "order"`, func(id string) any { return id },
		func(r row) (string, []acme.Authorization, error) {
			a, err := scanAuthorization(r)
			of := append(found[a.Order], a)
			slices.SortFunc(of, func(a, b acme.Authorization) int { return a.Place - b.Place })
			found[a.Order] = of
			return a.Order, of, err
		})
}

// ListOrders implements acme.Store.
func (s *Store) ListOrders(ctx context.Context, account, beyond string, limit int) (ids []string, err error) {
	where, args := `account = $1`, []any{text(account), limit}
	if beyond != "" {
		where += ` AND (created_at, id) < (SELECT created_at, id FROM acme_orders WHERE id = $3 AND account = $1)`
		args = append(args, text(beyond))
	}
	err = s.db.list(ctx, func(r row) error {
		var id string
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM acme_orders WHERE `+where+` ORDER BY created_at DESC, id DESC LIMIT $2`, args...)
	return ids, err
}

// Replacing implements acme.Store.
func (s *Store) Replacing(ctx context.Context, serial pki.Serial) (id string, err error) {
	err = one(ctx, s.db, `SELECT id FROM acme_orders WHERE replaces = $1`, []any{serial[:]}, &id)
	return id, err
}

// CreateAuthorization implements acme.Store.
func (s *Store) CreateAuthorization(ctx context.Context, a acme.Authorization) error {
	_, err := s.db.exec(ctx, groupTables[inAuthorizations].insert(), authorizationRecord(a)...)
	return err
}

// Authorization implements acme.Store.
func (s *Store) Authorization(ctx context.Context, id string) (a acme.Authorization, err error) {
	err = ca.ErrNotFound
	fault := s.db.query(ctx, func(r row) error {
		a, err = scanAuthorization(r)
		return err
	}, `SELECT `+authorizationColumns+` FROM acme_authorizations WHERE id = $1`, text(id))
	if fault != nil {
		err = fault
	}
	return a, err
}

// ChangeAuthorization implements acme.Store.
func (s *Store) ChangeAuthorization(ctx context.Context, a acme.Authorization) error {
	return changedOne(s.db.exec(ctx, `UPDATE acme_authorizations SET status = $3, method = $4, attempted_at = $5, failure = $6, detail = $7, validated_at = $8,
		version = version + 1 WHERE id = $1 AND version = $2`,
		text(a.ID), a.Version, string(a.Status), string(a.Method), microsOrNull(a.AttemptedAt), string(a.Failure.Kind), text(a.Failure.Detail),
		microsOrNull(a.ValidatedAt)))
}

// ForgetACME implements acme.Store. Authorizations go with their orders.
func (s *Store) ForgetACME(ctx context.Context, nonces, orders time.Time) error {
	if _, err := s.db.exec(ctx, `DELETE FROM acme_nonces WHERE until < $1`, micros(nonces)); err != nil {
		return err
	}
	if _, err := s.db.exec(ctx, `DELETE FROM acme_orders WHERE expires_at < $1`, micros(orders)); err != nil {
		return err
	}
	_, err := s.db.exec(ctx, `DELETE FROM acme_authorizations WHERE "order" IS NULL AND expires_at < $1`, micros(orders))
	return err
}
