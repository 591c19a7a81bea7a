package acme

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Store keeps the records of the door. What ca.Store promises holds here too: every method is one atomic change, races are decided by
// constraints and compare-and-swap, times are UTC in microseconds, and no method asks a clock. Its errors are those of package ca.
type Store interface {
	// Secret is the secret of this name: the one given, or that which another server has kept before.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)

	// SpendNonce remembers a nonce until it has had its time. ErrExists: it was spent before.
	SpendNonce(ctx context.Context, nonce [16]byte, until time.Time) error

	Accounts
	Orders
}

// Accounts keeps the accounts.
type Accounts interface {
	// CreateAccount: ErrExists when the key has an account. ErrNotFound: there is no such app.
	CreateAccount(ctx context.Context, a Account, act ca.Act) error
	// Account: ErrNotFound when there is none. Its answer is never older than the call.
	Account(ctx context.Context, id string) (Account, error)
	// AccountByKey is the account of the key with this thumbprint.
	AccountByKey(ctx context.Context, thumbprint [32]byte) (Account, error)
	// ChangeAccount replaces key, contact, binding and status of an account whose Version is still the given one, and counts it up. ErrChanged: it
	// is not. ErrExists: another account has the key.
	ChangeAccount(ctx context.Context, a Account, act ca.Act) error
}

// Orders keeps orders and authorizations.
type Orders interface {
	// CreateOrder records an order with its authorizations. ErrExists: another order replaces the same certificate, and is not the one named by
	// instead, which is over and lets go of it. ErrFull: the account has that many orders that may still become valid; 0 for no bound. Orders that are
	// made at the same moment need not see each other, so a few more may come about.
	CreateOrder(ctx context.Context, o Order, authorizations []Authorization, instead string, most int) error
	// Order is an order with its authorizations in the order of their places. ErrNotFound: there is none.
	Order(ctx context.Context, id string) (Order, []Authorization, error)
	// ListOrders are the IDs of an account's orders, newest first, of those older than the one named by beyond; empty: from the newest.
	ListOrders(ctx context.Context, account, beyond string, limit int) ([]string, error)
	// CompleteOrder gives an order its certificate. One that it has already stays.
	CompleteOrder(ctx context.Context, o Order) error

	// Replacing is the ID of the order that replaces a certificate. ErrNotFound: none does.
	Replacing(ctx context.Context, serial pki.Serial) (string, error)

	// CreateAuthorization records one that belongs to no order.
	CreateAuthorization(ctx context.Context, a Authorization) error
	// Authorization: ErrNotFound when there is none.
	Authorization(ctx context.Context, id string) (Authorization, error)
	// ChangeAuthorization replaces status, method, failure and times of one whose Version is still the given one, and counts it up.
	// ErrChanged: it is not.
	ChangeAuthorization(ctx context.Context, a Authorization) error

	// ForgetACME removes the nonces that have had their time at a moment, and the orders and authorizations that ended before another.
	ForgetACME(ctx context.Context, nonces, orders time.Time) error
}

// NonceKey is the secret that marks the nonces of all servers on a database; the first of them makes it.
func NonceKey(ctx context.Context, s Store) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	key, err := s.Secret(ctx, "acme-nonce", fresh)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the nonces: %w", err)
	}
	return key, nil
}

// keepEnded is how long an order can be read after it has ended. Its certificate stays, whatever becomes of the order.
const keepEnded = 30 * 24 * time.Hour

// Sweep forgets what has had its time. It is called now and then, by any number of servers.
func Sweep(ctx context.Context, s Store, now time.Time) error {
	if err := s.ForgetACME(ctx, now, now.Add(-keepEnded)); err != nil {
		return fmt.Errorf("forgetting old nonces and orders: %w", err)
	}
	return nil
}
