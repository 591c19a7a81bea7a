package ca_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// TestProofIsAwaited: however often it was looked for, one event tells of it.
func TestProofIsAwaited(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve)
		d := f.add(developer, "www.example.com", "")
		var looks []ca.Method
		events := f.events(func() {
			got, err := f.AwaitProof(t.Context(), developer, ca.Awaited{
				Name: "www.example.com", Methods: []ca.Method{ca.MethodHTTP, ca.MethodDNS}, Pause: time.Millisecond,
				Seen: func(m ca.Method, _ time.Time, why *ca.Error) {
					require.Equal(t, ca.KindProofWrong, why.Kind)
					if looks = append(looks, m); len(looks) == 4 {
						i.show(d, ca.MethodDNS)
					}
				},
			})
			require.NoError(t, err)
			require.Equal(t, ca.DomainValid, got.State)
			require.Equal(t, ca.MethodDNS, got.ProvenBy)
			require.True(t, got.Lasting, "it is looked at again")
		})
		require.Equal(t, []ca.Method{ca.MethodHTTP, ca.MethodDNS, ca.MethodHTTP, ca.MethodDNS, ca.MethodHTTP}, looks)
		require.Len(t, events, 1)
		require.Equal(t, ca.ActVerifyDomain, events[0].Action)
		require.Equal(t, ca.OutcomeDone, events[0].Outcome)
		_, err := f.Issue(t.Context(), developer, request("www.example.com"))
		require.NoError(t, err)
	})
}

// TestProofIsAwaitedInVain: what was missing by the first way stays with the claim, in one event.
func TestProofIsAwaitedInVain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _ := proving(t, url, ca.PolicyProve)
		f.add(developer, "www.example.com", "")
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		events := f.events(func() {
			_, err := f.AwaitProof(ctx, developer, ca.Awaited{
				Name: "www.example.com", Methods: []ca.Method{ca.MethodHTTP, ca.MethodDNS}, Pause: time.Millisecond,
				Seen: func(ca.Method, time.Time, *ca.Error) {
					if looks++; looks == 4 {
						cancel()
					}
				},
			})
			refusal(t, err, ca.KindProofWrong)
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
		require.Equal(t, "http-01", events[0].Detail["method"])
		d, err := f.Domain(t.Context(), developer, "www.example.com", "")
		require.NoError(t, err)
		require.Contains(t, d.Failure, "there is nothing at www.example.com")
		require.Equal(t, ca.DomainPending, d.State)

		require.Empty(t, f.events(func() {
			_, err := f.AwaitProof(ctx, developer, ca.Awaited{Name: "www.example.com", Methods: []ca.Method{ca.MethodHTTP}})
			require.ErrorIs(t, err, context.Canceled, "nothing was looked at")
		}))
	})
}

// TestProofIsAwaitedNoLonger than it takes another to settle it, or than the quota lasts.
func TestProofIsAwaitedNoLonger(t *testing.T) {
	f, i := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) { r.Quotas.ProofsPerHour = 3 })
	await := func(name string, seen func()) (ca.Domain, error) {
		return f.AwaitProof(t.Context(), developer, ca.Awaited{
			Name: name, Methods: []ca.Method{ca.MethodHTTP}, Pause: time.Millisecond, Seen: func(ca.Method, time.Time, *ca.Error) { seen() },
		})
	}
	d := f.add(developer, "www.example.com", "")
	got, err := await("www.example.com", func() {
		i.show(d, ca.MethodDNS) // and somebody has it looked at by the other method
		_, err := f.VerifyDomain(t.Context(), developer, "www.example.com", "", ca.MethodDNS)
		require.NoError(t, err)
	})
	require.NoError(t, err)
	require.Equal(t, ca.MethodDNS, got.ProvenBy)

	f.add(developer, "api.example.com", "")
	require.Len(t, f.events(func() {
		_, err = await("api.example.com", func() {})
		refusal(t, err, ca.KindRateLimited)
	}), 1)
	_, err = await("none.example.com", func() {})
	refusal(t, err, ca.KindNotFound)
	_, err = f.AwaitProof(t.Context(), ca.Principal{Name: "o", Role: ca.RoleDeveloper, App: "other"}, ca.Awaited{Name: "api.example.com", App: "demo", Methods: []ca.Method{ca.MethodHTTP}})
	refusal(t, err, ca.KindNotFound)
}

// TestAwaitedClaimBeginsAnew: what was awaited for a claim that was given up is nothing to the next one, whose values it must not change.
func TestAwaitedClaimBeginsAnew(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _ := proving(t, url, ca.PolicyProve)
		f.add(developer, "www.example.com", "")
		ctx, cancel := context.WithCancel(t.Context())
		var next ca.Domain
		_, err := f.AwaitProof(ctx, developer, ca.Awaited{
			Name: "www.example.com", Methods: []ca.Method{ca.MethodHTTP}, Pause: time.Millisecond,
			Seen: func(ca.Method, time.Time, *ca.Error) {
				require.NoError(t, f.RemoveDomain(t.Context(), developer, "www.example.com", ""))
				next = f.add(developer, "www.example.com", "")
				cancel()
			},
		})
		refusal(t, err, ca.KindProofWrong)
		d, err := f.Domain(t.Context(), developer, "www.example.com", "")
		require.NoError(t, err)
		require.Equal(t, next.Token, d.Token)
		require.Empty(t, d.Failure)
	})
}

// TestLookedAtClaimBeginsAnew is the same for one look, which takes its time too.
func TestLookedAtClaimBeginsAnew(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		var during func()
		f, _ := proving(t, url, ca.PolicyProve, func(r *ca.DomainRules) {
			look := r.Prove
			r.Prove = func(ctx context.Context, m ca.Method, n pki.Name, token, keyAuthorization string) error {
				during()
				return look(ctx, m, n, token, keyAuthorization)
			}
		})
		f.add(developer, "www.example.com", "")
		var next ca.Domain
		during = func() {
			require.NoError(t, f.RemoveDomain(t.Context(), developer, "www.example.com", ""))
			next = f.add(developer, "www.example.com", "")
		}
		_, err := f.VerifyDomain(t.Context(), developer, "www.example.com", "", ca.MethodHTTP)
		refusal(t, err, ca.KindProofWrong)
		d, err := f.Domain(t.Context(), developer, "www.example.com", "")
		require.NoError(t, err)
		require.Equal(t, next.Token, d.Token)
		require.Empty(t, d.Failure)
		require.True(t, d.CheckedAt.IsZero())

		during = func() { require.NoError(t, f.RemoveDomain(t.Context(), developer, "www.example.com", "")) }
		_, err = f.VerifyDomain(t.Context(), developer, "www.example.com", "", ca.MethodHTTP)
		refusal(t, err, ca.KindProofWrong)
	})
}
