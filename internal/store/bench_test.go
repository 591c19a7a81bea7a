package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/store/storetest"
)

// BenchmarkRecordCommit is the whole of what an issuance costs the store.
func BenchmarkRecordCommit(b *testing.B) {
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			s := open(b, url(b))
			ctx := context.Background()
			for i := range 100 {
				require.NoError(b, s.CreateApp(ctx, ca.App{ID: fmt.Sprintf("app-%d", i), CreatedAt: storetest.Epoch}, storetest.NewAct(storetest.Epoch)))
			}
			var n atomic.Int64
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					now := time.Now().UTC()
					c := storetest.NewCertificate(fmt.Sprintf("app-%d", i%100), now, fmt.Sprintf("www.host%d.example.com", i))
					if err := s.RecordCertificate(ctx, c, storetest.NewAct(now)); err != nil {
						b.Error(err)
					}
					if err := s.CommitSignature(ctx, c.Serial, c.TBS[:72], sha256.Sum256(c.TBS), now); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
		})
	}
}
