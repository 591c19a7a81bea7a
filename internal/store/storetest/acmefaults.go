package storetest

import (
	"context"
	"time"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// ACMEFaults is Faults for the records of the ACME door.
type ACMEFaults struct {
	store acme.Store
	switches
}

// ACMEMethods are the names of all methods of acme.Store.
func ACMEMethods() []string {
	return []string{
		"Secret", "SpendNonce",
		"CreateAccount", "Account", "AccountByKey", "ChangeAccount",
		"CreateOrder", "Order", "ListOrders", "CompleteOrder", "Replacing",
		"CreateAuthorization", "Authorization", "ChangeAuthorization",
		"ForgetACME",
	}
}

// NewACMEFaults wraps a store; it does what that one does until it is told to fail.
func NewACMEFaults(store acme.Store) *ACMEFaults {
	return &ACMEFaults{store: store, switches: switches{methods: ACMEMethods(), armed: make(map[string]Fault)}}
}

var _ acme.Store = (*ACMEFaults)(nil)

// Secret implements acme.Store, like all methods below.
func (f *ACMEFaults) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	return ask(f, "Secret", func() ([]byte, error) { return f.store.Secret(ctx, name, fresh) })
}

func (f *ACMEFaults) SpendNonce(ctx context.Context, nonce [16]byte, until time.Time) error {
	return f.do("SpendNonce", func() error { return f.store.SpendNonce(ctx, nonce, until) })
}

func (f *ACMEFaults) CreateAccount(ctx context.Context, a acme.Account, act ca.Act) error {
	return f.do("CreateAccount", func() error { return f.store.CreateAccount(ctx, a, act) })
}

func (f *ACMEFaults) Account(ctx context.Context, id string) (acme.Account, error) {
	return ask(f, "Account", func() (acme.Account, error) { return f.store.Account(ctx, id) })
}

func (f *ACMEFaults) AccountByKey(ctx context.Context, thumbprint [32]byte) (acme.Account, error) {
	return ask(f, "AccountByKey", func() (acme.Account, error) { return f.store.AccountByKey(ctx, thumbprint) })
}

func (f *ACMEFaults) ChangeAccount(ctx context.Context, a acme.Account, act ca.Act) error {
	return f.do("ChangeAccount", func() error { return f.store.ChangeAccount(ctx, a, act) })
}

func (f *ACMEFaults) CreateOrder(ctx context.Context, o acme.Order, authorizations []acme.Authorization, instead string, most int) error {
	return f.do("CreateOrder", func() error { return f.store.CreateOrder(ctx, o, authorizations, instead, most) })
}

func (f *ACMEFaults) Order(ctx context.Context, id string) (o acme.Order, authorizations []acme.Authorization, err error) {
	err = f.do("Order", func() (err error) {
		o, authorizations, err = f.store.Order(ctx, id)
		return err
	})
	return o, authorizations, err
}

func (f *ACMEFaults) ListOrders(ctx context.Context, account, beyond string, limit int) ([]string, error) {
	return ask(f, "ListOrders", func() ([]string, error) { return f.store.ListOrders(ctx, account, beyond, limit) })
}

func (f *ACMEFaults) CompleteOrder(ctx context.Context, o acme.Order) error {
	return f.do("CompleteOrder", func() error { return f.store.CompleteOrder(ctx, o) })
}

func (f *ACMEFaults) Replacing(ctx context.Context, serial pki.Serial) (string, error) {
	return ask(f, "Replacing", func() (string, error) { return f.store.Replacing(ctx, serial) })
}

func (f *ACMEFaults) CreateAuthorization(ctx context.Context, a acme.Authorization) error {
	return f.do("CreateAuthorization", func() error { return f.store.CreateAuthorization(ctx, a) })
}

func (f *ACMEFaults) Authorization(ctx context.Context, id string) (acme.Authorization, error) {
	return ask(f, "Authorization", func() (acme.Authorization, error) { return f.store.Authorization(ctx, id) })
}

func (f *ACMEFaults) ChangeAuthorization(ctx context.Context, a acme.Authorization) error {
	return f.do("ChangeAuthorization", func() error { return f.store.ChangeAuthorization(ctx, a) })
}

func (f *ACMEFaults) ForgetACME(ctx context.Context, nonces, orders time.Time) error {
	return f.do("ForgetACME", func() error { return f.store.ForgetACME(ctx, nonces, orders) })
}
