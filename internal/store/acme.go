package store

import (
	"context"
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

// authorizationColumns are those of the table a, which is joined to another: what may not be NULL there is so here if there is no row.
const authorizationColumns = `COALESCE(a.id, ''), COALESCE(a.account, ''), COALESCE(a."order", ''), COALESCE(a.place, 0), COALESCE(a.name, ''), COALESCE(a.status, ''),
	COALESCE(a.token, ''), COALESCE(a.method, ''), a.attempted_at, COALESCE(a.failure, ''), COALESCE(a.detail, ''), a.validated_at, a.created_at, a.expires_at,
	COALESCE(a.version, 0)`

// authorizationRecord is the row of an authorization.
func authorizationRecord(a acme.Authorization) []any {
	return []any{
		a.ID, a.Account, orNull(a.Order), a.Place, a.Name.String(), string(a.Status), a.Token, string(a.Method), microsOrNull(a.AttemptedAt),
		string(a.Failure.Kind), text(a.Failure.Detail), microsOrNull(a.ValidatedAt), micros(a.CreatedAt), micros(a.ExpiresAt), a.Version,
	}
}

// authorizationRow is an authorization on its way out of the database.
type authorizationRow struct {
	acme.Authorization
	name string
}

// columns are the places for authorizationColumns.
func (a *authorizationRow) columns() []any {
	return []any{&a.ID, &a.Account, &a.Order, &a.Place, &a.name, &a.Status, &a.Token, &a.Method, instant{&a.AttemptedAt}, &a.Failure.Kind,
		&a.Failure.Detail, instant{&a.ValidatedAt}, instant{&a.CreatedAt}, instant{&a.ExpiresAt}, &a.Version}
}

func (a *authorizationRow) authorization() (acme.Authorization, error) {
	var err error
	if a.Name, err = pki.ParseName(a.name); err != nil {
		err = fmt.Errorf("the authorization %s has a name that is none: %w", a.ID, err)
	}
	return a.Authorization, err
}

// orderColumns are those of the table o.
const orderColumns = `o.id, o.account, o.names, o.profile, o.replaces, o.not_before, o.not_after, o.created_at, o.expires_at, o.serial`

// orderRow is an order on its way out of the database.
type orderRow struct {
	acme.Order
	names          string
	authorizations []acme.Authorization
}

// columns are the places for orderColumns.
func (o *orderRow) columns() []any {
	return []any{&o.ID, &o.Account, &o.names, &o.Profile, octets(o.Replaces[:]), instant{&o.NotBefore}, instant{&o.NotAfter}, instant{&o.CreatedAt},
		instant{&o.ExpiresAt}, octets(o.Serial[:])}
}

// Order implements acme.Store. Those that are asked for together share a query.
func (s *Store) Order(ctx context.Context, id string) (acme.Order, []acme.Authorization, error) {
	found, err := s.orders.do(ctx, text(id))
	if err != nil {
		return acme.Order{}, nil, err
	}
	o := found.Order
	for _, word := range words(found.names) {
		n, err := pki.ParseName(word)
		if err != nil {
			return acme.Order{}, nil, fmt.Errorf("the order %s has a name that is none: %w", o.ID, err)
		}
		o.Names = append(o.Names, n)
	}
	return o, slices.Clone(found.authorizations), nil // another caller may have the same answer
}

// findOrders answers calls of Order: a row for each authorization, or one without.
func (s *Store) findOrders(round []*call[string, orderRow]) {
	read := make(map[string][]acme.Authorization)
	find(s.db, round, `SELECT `+orderColumns+`, `+authorizationColumns+` FROM acme_orders o LEFT JOIN acme_authorizations a ON a."order" = o.id WHERE o.id`,
		func(id string) any { return id }, func(r row) (string, orderRow, error) {
			var (
				o   orderRow
				its authorizationRow
			)
			if err := r.Scan(append(o.columns(), its.columns()...)...); err != nil {
				return o.ID, o, err
			}
			if its.ID != "" {
				a, err := its.authorization()
				if err != nil {
					return o.ID, o, err
				}
				read[o.ID] = append(read[o.ID], a)
				slices.SortFunc(read[o.ID], func(a, b acme.Authorization) int { return a.Place - b.Place })
			}
			o.authorizations = read[o.ID]
			return o.ID, o, nil
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
func (s *Store) Authorization(ctx context.Context, id string) (acme.Authorization, error) {
	found := new(authorizationRow)
	err := one(ctx, s.db, `SELECT `+authorizationColumns+` FROM acme_authorizations a WHERE a.id = $1`, []any{text(id)}, found.columns()...)
	if err != nil {
		return acme.Authorization{}, err
	}
	return found.authorization()
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
