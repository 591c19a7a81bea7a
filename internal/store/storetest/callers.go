package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var callerTests = map[string]func(*testing.T, *suite){
	"one who has gone already":           cancelledCallers,
	"those who leave meanwhile":          leavingCallers,
	"closing under load":                 closeUnderLoad,
	"a closed store":                     closedStore,
	"what was there at closing is there": reopened,
}

func cancelledCallers(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	want := NewToken("tok_1", "alpha")
	s.must(s.CreateToken(t.Context(), want, NewAct(Epoch)))
	pending := NewCertificate("alpha", Epoch, "www.example.com")
	s.record(pending)
	s.unchanged(func() {
		for method, call := range map[string]func() error{
			"RecordCertificate": func() error {
				return s.RecordCertificate(ctx, NewCertificate("alpha", Epoch, "www.example.com"), WithClaim(Epoch, NewClaim("k", "x")))
			},
			"CommitSignature": func() error { return s.CommitSignature(ctx, pending.Serial, []byte("s"), [32]byte{1}, Epoch) },
			"Certificate":     func() error { _, err := s.Certificate(ctx, c.Serial); return err },
			"ListCertificates": func() error {
				_, err := s.ListCertificates(ctx, ca.CertificateQuery{Limit: 1})
				return err
			},
			"CountCertificates": func() error {
				_, err := s.CountCertificates(ctx, ca.WasIssued, []time.Time{Epoch, Epoch.Add(time.Hour)})
				return err
			},
			"RevokeCertificate": func() error { return s.RevokeCertificate(ctx, c.Serial, ca.Revocation{At: Epoch}, NewAct(Epoch)) },
			"RaiseRevocation": func() error {
				return s.RaiseRevocation(ctx, c.Serial, pki.Unspecified, pki.KeyCompromise, NewAct(Epoch))
			},
			"CreateApp":         func() error { return s.CreateApp(ctx, NewApp("gamma"), NewAct(Epoch)) },
			"App":               func() error { _, err := s.App(ctx, "alpha"); return err },
			"ListApps":          func() error { _, err := s.ListApps(ctx, "", 1); return err },
			"ChangeApp":         func() error { return s.ChangeApp(ctx, NewApp("alpha"), NewAct(Epoch)) },
			"CreateToken":       func() error { return s.CreateToken(ctx, NewToken("tok_2", "alpha"), NewAct(Epoch)) },
			"TokenByHash":       func() error { _, err := s.TokenByHash(ctx, [32]byte{1}); return err },
			"TouchToken":        func() error { return s.TouchToken(ctx, "tok_1", Epoch) },
			"ListTokens":        func() error { _, err := s.ListTokens(ctx, "alpha", "", 1); return err },
			"Token":             func() error { _, err := s.Token(ctx, "tok_1"); return err },
			"RevokeToken":       func() error { return s.RevokeToken(ctx, "tok_1", Epoch, NewAct(Epoch)) },
			"CreateAuthorities": func() error { return s.CreateAuthorities(ctx, newHierarchy("Root"), NewAct(Epoch)) },
			"ChangeAuthorities": func() error { return s.ChangeAuthorities(ctx, nil, nil, NewAct(Epoch)) },
			"ListAuthorities":   func() error { _, err := s.ListAuthorities(ctx); return err },
			"RecordEvent":       func() error { return s.RecordEvent(ctx, NewEvent(Epoch, ca.ActReadApp)) },
			"ListEvents":        func() error { _, err := s.ListEvents(ctx, ca.EventQuery{Limit: 1}); return err },
			"ForgetClaims":      func() error { return s.ForgetClaims(ctx, Epoch.Add(time.Hour)) },
			"Ping":              func() error { return s.Ping(ctx) },
		} {
			require.ErrorIs(t, call(), context.Canceled, method)
		}
	})
	require.Equal(t, c, s.found(c))
	require.Equal(t, pending, s.found(pending))
	require.Empty(t, s.authorities())
	token, err := s.Token(t.Context(), "tok_1")
	s.must(err)
	require.Equal(t, want, token)
	s.sign(NewCertificate("alpha", Epoch, "www.example.com")) // and the store goes on
}

// leavingCallers: whoever leaves while a commit is on its way may or may not be recorded, but whole or not at all; nobody else is disturbed.
func leavingCallers(t *testing.T, s *suite) {
	const n = 300
	certificates := make([]*ca.Certificate, n)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, fmt.Sprintf("h%d.example.com", i))
	}
	before := s.events()
	errs := together(n, func(i int) error {
		ctx := t.Context()
		if i%2 == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*20*time.Microsecond)
			defer cancel()
		}
		return s.RecordCertificate(ctx, certificates[i], NewAct(Epoch))
	})
	// Another change on the same way is behind all those that were still on it.
	s.record(NewCertificate("beta", Epoch, "last.example.org"))
	recorded := 0
	for i, err := range errs {
		if i%2 == 1 {
			require.NoError(t, err)
		}
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		listed := len(s.walk(ca.CertificateQuery{Domain: certificates[i].Names[0]}, 2))
		_, found := s.Certificate(t.Context(), certificates[i].Serial)
		if found == nil {
			recorded++
			require.Equal(t, 1, listed)
			s.must(s.CommitSignature(t.Context(), certificates[i].Serial, []byte("s"), [32]byte(random(32)), Epoch))
			continue
		}
		require.ErrorIs(t, found, ca.ErrNotFound)
		require.Error(t, err, "answered, but not there")
		require.Zero(t, listed)
	}
	require.Equal(t, before+recorded+1, s.events())
}

func closeUnderLoad(t *testing.T, s *suite) {
	store := s.open(t)
	var mu sync.Mutex
	var answered []*ca.Certificate
	var refused atomic.Int64
	var load sync.WaitGroup
	for range 32 {
		load.Go(func() {
			for {
				c := NewCertificate("alpha", Epoch, "www.example.com")
				if err := store.RecordCertificate(context.Background(), c, NewAct(Epoch)); err != nil {
					refused.Add(1)
					return
				}
				mu.Lock()
				answered = append(answered, c)
				mu.Unlock()
			}
		})
	}
	for enough := false; !enough; {
		time.Sleep(time.Millisecond)
		mu.Lock()
		enough = len(answered) > 100
		mu.Unlock()
	}
	s.must(store.Close())
	load.Wait()
	require.EqualValues(t, 32, refused.Load())
	for _, c := range answered {
		require.Equal(t, c, s.found(c))
	}
}

func closedStore(t *testing.T, s *suite) {
	store := s.open(t)
	s.must(store.Close())
	require.Error(t, store.Ping(t.Context()))
	require.Error(t, store.RecordCertificate(t.Context(), NewCertificate("alpha", Epoch, "www.example.com"), NewAct(Epoch)))
	require.Error(t, store.CreateApp(t.Context(), NewApp("gamma"), NewAct(Epoch)))
	_, err := store.TokenByHash(t.Context(), [32]byte{1})
	require.Error(t, err)
	require.False(t, errors.Is(err, ca.ErrNotFound), "a closed store knows nothing")
	_, err = store.App(t.Context(), "alpha")
	require.False(t, err == nil || errors.Is(err, ca.ErrNotFound))
}

func reopened(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	first := s.open(t)
	s.must(first.RecordCertificate(t.Context(), c, NewAct(Epoch)))
	s.must(first.Close())
	second := s.open(t)
	found, err := second.Certificate(t.Context(), c.Serial)
	s.must(err)
	require.Equal(t, c, found)
}
