package ca_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// BenchmarkRevokeBySearch counts and revokes 100,000 certificates, and tells the longest step: as long as others may wait for it on SQLite.
func BenchmarkRevokeBySearch(b *testing.B) {
	for name, fresh := range databases {
		b.Run(name, func(b *testing.B) {
			f := newFixtureOn(b, fresh(b), ca.HierarchyDirect)
			const n = 100_000
			for b.Loop() {
				b.StopTimer()
				suffix := fmt.Sprintf("run%d.example.com", b.N)
				f.record(n, suffix)
				search := ca.RevocationSearch{Suffix: suffix}
				b.StartTimer()

				began := time.Now()
				step := f.count(operator, search, pki.KeyCompromise)
				require.Equal(b, n, step.Matched)
				b.ReportMetric(time.Since(began).Seconds(), "s/count")
				var longest time.Duration
				for next, confirm := "", step.Confirm; ; next = step.Next {
					before := time.Now()
					var err error
					step, err = f.RevokeFound(b.Context(), operator, search, pki.KeyCompromise, confirm, next)
					require.NoError(b, err)
					longest = max(longest, time.Since(before))
					if step.Next == "" {
						break
					}
				}
				b.ReportMetric(longest.Seconds()*1000, "ms/longest-step")
				b.ReportMetric(n/time.Since(began).Seconds(), "certificates/s")
			}
		})
	}
}

// record records and signs n certificates under a suffix, without a CA's work.
func (f *fixture) record(n int, suffix string) {
	f.t.Helper()
	var workers sync.WaitGroup
	for w := range 64 {
		workers.Go(func() {
			for i := w; i < n; i += 64 {
				c := storetest.NewCertificate("demo", start, fmt.Sprintf("h%d.%s", i, suffix))
				if err := f.store.RecordCertificate(f.t.Context(), c, storetest.NewAct(start)); err != nil {
					f.t.Error(err)
					return
				}
				storetest.Sign(c)
				if err := f.store.CommitSignature(f.t.Context(), c.Serial, c.Signature, c.Fingerprint, start); err != nil {
					f.t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}
