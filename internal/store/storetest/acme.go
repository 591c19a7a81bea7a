package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var acmeTests = map[string]func(*testing.T, *suite){
	"a secret is made once":              secretOnce,
	"a nonce is spent once":              nonceOnce,
	"an account comes back":              accountComesBack,
	"a key has one account":              keyHasOneAccount,
	"an account is changed once":         accountChanged,
	"a revoked credential shows":         bindingRevoked,
	"an order comes back":                orderComesBack,
	"an order has one certificate":       orderCompletedOnce,
	"orders are listed newest first":     ordersListed,
	"an authorization is changed once":   authorizationChanged,
	"what has had its time is forgotten": acmeForgotten,
	"an account leaves its event":        accountEvents,
	"one order replaces a certificate":   oneReplaces,
	"open orders are bounded":            openOrdersBounded,
}

// NewAccount is an account of an app.
func NewAccount(id, app string) acme.Account {
	return acme.Account{
		ID: id, App: app, Key: []byte(`{"kty":"OKP"}`), Thumbprint: [32]byte(random(32)), Contact: []string{"mailto:a@example.com", "mailto:b@example.com"},
		Status: acme.StatusValid, CreatedAt: Epoch, Version: 1,
	}
}

// NewOrder is an order of an account, and its authorizations.
func NewOrder(id, account string, at time.Time, names ...string) (acme.Order, []acme.Authorization) {
	o := acme.Order{ID: id, Account: account, Profile: "server", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	var as []acme.Authorization
	for i, text := range names {
		name, err := pki.ParseName(text)
		if err != nil {
			panic(err)
		}
		o.Names = append(o.Names, name)
		as = append(as, acme.Authorization{
			ID: fmt.Sprintf("%s-%d", id, i), Account: account, Order: id, Place: i, Name: name, Status: acme.StatusPending, Token: "token",
			CreatedAt: at, ExpiresAt: o.ExpiresAt, Version: 1,
		})
	}
	return o, as
}

func (s *suite) account(id string) acme.Account {
	s.Helper()
	a := NewAccount(id, "alpha")
	s.must(s.CreateAccount(s.Context(), a, NewAct(Epoch)))
	return a
}

func (s *suite) order(id, account string, at time.Time, names ...string) (acme.Order, []acme.Authorization) {
	s.Helper()
	o, as := NewOrder(id, account, at, names...)
	s.must(s.CreateOrder(s.Context(), o, as, "", 0))
	return o, as
}

func secretOnce(t *testing.T, s *suite) {
	first, err := s.Secret(t.Context(), "x", []byte("one"))
	s.must(err)
	require.Equal(t, "one", string(first))
	second, err := s.open(t).Secret(t.Context(), "x", []byte("two"))
	s.must(err)
	require.Equal(t, "one", string(second))
	other, err := s.Secret(t.Context(), "y", []byte("two"))
	s.must(err)
	require.Equal(t, "two", string(other))
}

func nonceOnce(t *testing.T, s *suite) {
	nonce := [16]byte(random(16))
	const tries = 8
	other := s.open(t)
	spent := make(chan error, 2*tries)
	for range tries {
		go func() { spent <- s.SpendNonce(t.Context(), nonce, Epoch) }()
		go func() { spent <- other.SpendNonce(t.Context(), nonce, Epoch) }()
	}
	var good int
	for range 2 * tries {
		if err := <-spent; err == nil {
			good++
		} else {
			require.ErrorIs(t, err, ca.ErrExists)
		}
	}
	require.Equal(t, 1, good)
}

func accountComesBack(t *testing.T, s *suite) {
	token := NewToken("eab_1", "alpha")
	s.must(s.CreateToken(t.Context(), token, NewAct(Epoch)))
	for _, change := range []func(*acme.Account){
		func(*acme.Account) {},
		func(a *acme.Account) { a.ID, a.Contact = "two", nil },
		func(a *acme.Account) { a.ID, a.Binding = "three", token.ID },
	} {
		a := NewAccount("one", "alpha")
		change(&a)
		s.must(s.CreateAccount(t.Context(), a, NewAct(Epoch)))
		found, err := s.Account(t.Context(), a.ID)
		s.must(err)
		require.Equal(t, a, found)
		found, err = s.AccountByKey(t.Context(), a.Thumbprint)
		s.must(err)
		require.Equal(t, a, found)
	}
	for _, id := range []string{"", "none", "\x00", "\xff"} {
		_, err := s.Account(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound, "%q", id)
	}
	_, err := s.AccountByKey(t.Context(), [32]byte{})
	require.ErrorIs(t, err, ca.ErrNotFound)
}

func keyHasOneAccount(t *testing.T, s *suite) {
	a := s.account("one")
	b := NewAccount("two", "beta")
	b.Thumbprint = a.Thumbprint
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateAccount(t.Context(), b, NewAct(Epoch)), ca.ErrExists)
	})
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateAccount(t.Context(), NewAccount("three", "none"), NewAct(Epoch)), ca.ErrNotFound)
	})
	b = s.account("two")
	b.Thumbprint = a.Thumbprint
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeAccount(t.Context(), b, NewAct(Epoch)), ca.ErrExists)
	})
}

func accountChanged(t *testing.T, s *suite) {
	a := s.account("one")
	a.Key, a.Thumbprint, a.Contact, a.Status = []byte("other"), [32]byte(random(32)), nil, acme.StatusDeactivated
	s.must(s.ChangeAccount(t.Context(), a, NewAct(Epoch)))
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeAccount(t.Context(), a, NewAct(Epoch)), ca.ErrChanged)
	})
	a.Version++
	found, err := s.Account(t.Context(), a.ID)
	s.must(err)
	require.Equal(t, a, found)
}

func bindingRevoked(t *testing.T, s *suite) {
	token := NewToken("eab_1", "alpha")
	s.must(s.CreateToken(t.Context(), token, NewAct(Epoch)))
	a := NewAccount("one", "alpha")
	a.Binding = token.ID
	s.must(s.CreateAccount(t.Context(), a, NewAct(Epoch)))
	s.must(s.RevokeToken(t.Context(), token.ID, Epoch, NewAct(Epoch)))
	found, err := s.Account(t.Context(), a.ID)
	s.must(err)
	require.True(t, found.BindingRevoked)
}

func orderComesBack(t *testing.T, s *suite) {
	s.account("one")
	o, as := NewOrder("first", "one", Epoch, "www.example.com", "*.example.com", "192.0.2.1")
	o.Replaces, o.NotBefore, o.NotAfter = pki.NewSerial(), Epoch, Epoch.Add(24*time.Hour)
	as[1].Status, as[1].Method, as[1].Failure = acme.StatusInvalid, ca.MethodDNS, acme.Failure{Kind: ca.KindProofDNS, Detail: "no\x00t there"}
	as[2].AttemptedAt, as[2].ValidatedAt = Epoch.Add(time.Second), Epoch.Add(time.Minute)
	s.must(s.CreateOrder(t.Context(), o, as, "", 0))
	as[1].Failure.Detail = "no\uFFFDt there"
	found, authorizations, err := s.Order(t.Context(), o.ID)
	s.must(err)
	require.Equal(t, o, found)
	require.Equal(t, as, authorizations)
	one, err := s.Authorization(t.Context(), as[1].ID)
	s.must(err)
	require.Equal(t, as[1], one)

	alone := as[0]
	alone.ID, alone.Order = "alone", ""
	s.must(s.CreateAuthorization(t.Context(), alone))
	one, err = s.Authorization(t.Context(), "alone")
	s.must(err)
	require.Equal(t, alone, one)

	for _, id := range []string{"", "none", "\x00", "\xff"} {
		_, _, err = s.Order(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
		_, err = s.Authorization(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
	}
}

func orderCompletedOnce(t *testing.T, s *suite) {
	s.account("one")
	o, _ := s.order("first", "one", Epoch, "example.com")
	o.Serial = pki.NewSerial()
	s.must(s.CompleteOrder(t.Context(), o))
	again := o
	again.Serial = pki.NewSerial()
	s.must(s.CompleteOrder(t.Context(), again))
	found, _, err := s.Order(t.Context(), o.ID)
	s.must(err)
	require.Equal(t, o, found)
}

func ordersListed(t *testing.T, s *suite) {
	s.account("one")
	s.account("two")
	for i, id := range []string{"c", "a", "b", "d"} {
		s.order(id, "one", Epoch.Add(time.Duration(i/2)*time.Second), "example.com")
	}
	s.order("other", "two", Epoch, "example.com")
	var all []string
	for beyond := ""; ; {
		page, err := s.ListOrders(t.Context(), "one", beyond, 3)
		s.must(err)
		all = append(all, page...)
		if len(page) < 3 {
			break
		}
		beyond = page[2]
	}
	require.Equal(t, []string{"d", "b", "c", "a"}, all)
	none, err := s.ListOrders(t.Context(), "one", "other", 3)
	s.must(err)
	require.Empty(t, none, "another account's order is no place in this list")
}

func authorizationChanged(t *testing.T, s *suite) {
	s.account("one")
	_, as := s.order("first", "one", Epoch, "example.com")
	a := as[0]
	a.Status, a.Method, a.AttemptedAt, a.ValidatedAt = acme.StatusValid, ca.MethodHTTP, Epoch, Epoch.Add(time.Second)
	a.Failure = acme.Failure{Kind: ca.KindProofTLS, Detail: "why"}
	s.must(s.ChangeAuthorization(t.Context(), a))
	require.ErrorIs(t, s.ChangeAuthorization(t.Context(), a), ca.ErrChanged)
	a.Version++
	found, err := s.Authorization(t.Context(), a.ID)
	s.must(err)
	require.Equal(t, a, found)
	a.ID = "none"
	require.ErrorIs(t, s.ChangeAuthorization(t.Context(), a), ca.ErrChanged)
}

func acmeForgotten(t *testing.T, s *suite) {
	s.account("one")
	old, young := [16]byte(random(16)), [16]byte(random(16))
	s.must(s.SpendNonce(t.Context(), old, Epoch))
	s.must(s.SpendNonce(t.Context(), young, Epoch.Add(time.Second)))
	_, as := s.order("old", "one", Epoch, "example.com")
	kept, _ := s.order("kept", "one", Epoch.Add(time.Second), "example.com")
	alone := as[0]
	alone.ID, alone.Order = "alone", ""
	s.must(s.CreateAuthorization(t.Context(), alone))

	s.must(s.ForgetACME(t.Context(), Epoch.Add(time.Second), kept.ExpiresAt))
	s.must(s.SpendNonce(t.Context(), old, Epoch))
	require.ErrorIs(t, s.SpendNonce(t.Context(), young, Epoch), ca.ErrExists)
	_, _, err := s.Order(t.Context(), "old")
	require.ErrorIs(t, err, ca.ErrNotFound)
	for _, id := range []string{as[0].ID, "alone"} {
		_, err = s.Authorization(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
	}
	_, _, err = s.Order(t.Context(), "kept")
	s.must(err)
}

func accountEvents(t *testing.T, s *suite) {
	before := s.events()
	a := s.account("one")
	s.must(s.ChangeAccount(t.Context(), a, NewAct(Epoch)))
	require.Equal(t, before+2, s.events())
}

func oneReplaces(t *testing.T, s *suite) {
	s.account("one")
	serial := pki.NewSerial()
	_, err := s.Replacing(t.Context(), serial)
	require.ErrorIs(t, err, ca.ErrNotFound)
	create := func(id, instead string) error {
		o, as := NewOrder(id, "one", Epoch, "example.com")
		o.Replaces = serial
		return s.CreateOrder(t.Context(), o, as, instead, 0)
	}
	require.Equal(t, 1, atOnce(8, func(n int) error { return create(fmt.Sprintf("racing%d", n), "") }))
	first, err := s.Replacing(t.Context(), serial)
	s.must(err)
	require.ErrorIs(t, create("second", ""), ca.ErrExists)
	_, _, err = s.Order(t.Context(), "second")
	require.ErrorIs(t, err, ca.ErrNotFound)

	s.must(create("third", first))
	now, err := s.Replacing(t.Context(), serial)
	s.must(err)
	require.Equal(t, "third", now)
	require.ErrorIs(t, create("fourth", first), ca.ErrExists, "it has let go before")

	o, _, err := s.Order(t.Context(), "third")
	s.must(err)
	o.Serial = pki.NewSerial()
	s.must(s.CompleteOrder(t.Context(), o))
	require.ErrorIs(t, create("fifth", "third"), ca.ErrExists, "what has its certificate does not let go")
}

// atOnce does something n times at once, and counts the successes.
func atOnce(n int, do func(n int) error) (good int) {
	answers := make(chan error, n)
	for i := range n {
		go func() { answers <- do(i) }()
	}
	for range n {
		if <-answers == nil {
			good++
		}
	}
	return good
}

func openOrdersBounded(t *testing.T, s *suite) {
	s.account("one")
	s.account("two")
	create := func(id, account string, at time.Time) error {
		o, as := NewOrder(id, account, at, "example.com")
		return s.CreateOrder(t.Context(), o, as, "", 2)
	}
	s.must(create("a", "one", Epoch))
	s.must(create("b", "one", Epoch))
	require.ErrorIs(t, create("c", "one", Epoch), ca.ErrFull)
	s.must(create("x", "two", Epoch))

	_, as, err := s.Order(t.Context(), "a")
	s.must(err)
	as[0].Status = acme.StatusInvalid
	s.must(s.ChangeAuthorization(t.Context(), as[0]))
	s.must(create("c", "one", Epoch))
	require.ErrorIs(t, create("d", "one", Epoch), ca.ErrFull)
	o, _, err := s.Order(t.Context(), "b")
	s.must(err)
	o.Serial = pki.NewSerial()
	s.must(s.CompleteOrder(t.Context(), o))
	s.must(create("d", "one", Epoch))
	require.ErrorIs(t, create("e", "one", o.ExpiresAt.Add(-time.Microsecond)), ca.ErrFull)
	s.must(create("e", "one", o.ExpiresAt))
}
