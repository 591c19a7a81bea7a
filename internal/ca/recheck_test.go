package ca_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

const day = 24 * time.Hour

// days lets days pass, with a look at what is due on each.
func (f *fixture) days(n int) {
	f.t.Helper()
	for range n {
		f.clock.advance(day)
		require.NoError(f.t, f.RecheckDomains(f.t.Context()))
	}
}

// A proof that stays in place is renewed for ever, without work and in good time.
func TestProofInPlaceIsRenewed(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve)
		f.prove(i, developer, "www.example.com")
		f.prove(i, developer, "*.example.com")
		for range 130 {
			f.days(1)
			d, err := f.Domain(t.Context(), developer, "example.com", "")
			require.NoError(t, err)
			require.Greater(t, d.ExpiresAt.Sub(f.clock.Now()), 29*day)
		}
		f.issue("www.example.com", "*.example.com")
	})
}

// A standing record takes over from a proof that was taken away.
func TestStandingRecordRenews(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	f.prove(i, developer, "www.example.com")
	i.hide()
	i.standing["www.example.comhttps://ca.example/apps/demo"] = ca.StandingRecord{}
	f.days(200)
	d, err := f.Domain(t.Context(), developer, "www.example.com", "")
	require.NoError(t, err)
	require.Equal(t, ca.MethodStanding, d.ProvenBy)
	f.issue("www.example.com")
}

func TestProofThatIsGoneSuspends(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		var suspended atomic.Int32
		f, i := proving(t, url, ca.PolicyProve, func(r *ca.DomainRules) {
			r.Observe = func(_ ca.Method, result ca.ProofResult) {
				if result == ca.ProofSuspended {
					suspended.Add(1)
				}
			}
		})
		f.prove(i, developer, "www.example.com")
		f.days(59)
		i.hide()
		f.days(1 + 13)
		f.issue("www.example.com")
		require.Zero(t, suspended.Load())
		f.days(1)
		require.EqualValues(t, 1, suspended.Load())
		d, err := f.Domain(t.Context(), developer, "www.example.com", "")
		require.NoError(t, err)
		require.Equal(t, ca.DomainSuspended, d.State)
		_, err = f.Issue(t.Context(), developer, request("www.example.com"))
		require.Contains(t, refusal(t, err, ca.KindUnproven).Detail, "nothing at www.example.com")
		events, err := f.ListEvents(t.Context(), auditor, ca.EventQuery{Action: ca.ActSuspendDomain})
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, "imca", events[0].Actor)

		require.Equal(t, ca.DomainConflict, f.prove(i, stranger, "www.example.com").State, "a suspended name still is the app's")
		i.show(d, ca.MethodHTTP)
		f.days(1)
		f.issue("www.example.com") // found again by itself
	})
}

// What an ACME client has shown is gone afterwards, and nobody is blamed for that: the proof just ends.
func TestProofOfAnotherDoorEnds(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve)
	n, err := pki.ParseName("www.example.com")
	require.NoError(t, err)
	proof := ca.Proof{App: "demo", Name: n, Method: ca.MethodHTTP, Token: "T", KeyAuthorization: "T.account"}
	i.shown["http-01www.example.comT.account"] = true
	_, err = f.ProveDomain(t.Context(), developer, proof)
	require.NoError(t, err)
	i.shown = map[string]bool{}
	f.days(89)
	f.issue("www.example.com")
	f.days(1)
	_, err = f.Issue(t.Context(), developer, request("www.example.com"))
	refusal(t, err, ca.KindUnproven)
	f.days(3)
	i.shown["http-01www.example.comT.account"] = true
	_, err = f.ProveDomain(t.Context(), developer, proof)
	require.NoError(t, err)
	f.issue("www.example.com")
}

// Two processes share the work: each due claim is looked at once.
func TestTwoProcessesLookOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		var looks atomic.Int32
		f, i := proving(t, url, ca.PolicyProve, func(r *ca.DomainRules) {
			prove := r.Prove
			r.Prove = func(ctx context.Context, m ca.Method, n pki.Name, token, keyAuthorization string) error {
				looks.Add(1)
				return prove(ctx, m, n, token, keyAuthorization)
			}
		})
		for _, name := range []string{"a.example.com", "b.example.com", "c.example.com", "d.example.com"} {
			f.prove(i, developer, name)
		}
		first := f.CA
		f.open()
		f.load(f.store)
		looks.Store(0)
		f.clock.advance(60 * day)
		var both sync.WaitGroup
		for _, c := range []*ca.CA{first, f.CA} {
			both.Go(func() { require.NoError(t, c.RecheckDomains(t.Context())) })
		}
		both.Wait()
		require.EqualValues(t, 4, looks.Load())
	})
}

// A fault of ours takes nothing from anybody.
func TestFaultOfOursSuspendsNobody(t *testing.T) {
	broken := false
	f, i := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) {
		prove := r.Prove
		r.Standing = nil
		r.Prove = func(ctx context.Context, m ca.Method, n pki.Name, token, keyAuthorization string) error {
			if broken {
				return errors.New("no file handles left")
			}
			return prove(ctx, m, n, token, keyAuthorization)
		}
	})
	f.prove(i, developer, "www.example.com")
	broken = true
	f.clock.advance(60 * day)
	for range 25 {
		f.clock.advance(day)
		require.ErrorContains(t, f.RecheckDomains(t.Context()), "no file handles left")
	}
	broken = false
	f.days(1)
	f.issue("www.example.com")
}
