package console_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/store/storetest"
)

// BenchmarkPages is the time of an answer, over 10,000 certificates or as many as IMCA_BENCH_ROWS says: lists are read from indexes, so it should not
// depend on their number. PostgreSQL plans by statistics, which a database that was filled a moment ago has not: lists of a state are slower there than in
// one that has been running for a minute.
func BenchmarkPages(b *testing.B) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": sqlite, "postgres": judge.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, database(b))
			populate(b, w)
			p := w.as(ca.RoleOperator)
			for _, path := range []string{
				"/console", "/console/certificates", "/console/certificates?q=h77.shop7.example.com", "/console/certificates?q=shop7.example.com",
				"/console/certificates?q=demo+valid", "/console/certificates?q=valid+2026-03-01", "/console/certificates?q=expires:365d", "/console/events",
			} {
				b.Run(path, func(b *testing.B) {
					p.page(path)
					for b.Loop() {
						p.page(path)
					}
				})
			}
		})
	}
}

// populate records and signs certificates of many hours.
func populate(b *testing.B, w *world) {
	rows := 10_000
	if text := os.Getenv("IMCA_BENCH_ROWS"); text != "" {
		var err error
		rows, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := int(next.Add(1)); i <= rows; i = int(next.Add(1)) {
				c := storetest.NewCertificate("demo", start.Add(time.Duration(i)*time.Second), fmt.Sprintf("h%d.shop%d.example.com", i, i%1000))
				err := w.store.RecordCertificate(b.Context(), c, storetest.NewAct(c.CreatedAt))
				if err == nil {
					storetest.Sign(c)
					err = w.store.CommitSignature(b.Context(), c.Serial, c.Signature, c.Fingerprint, c.CreatedAt)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
