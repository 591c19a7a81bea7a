package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/store/storetest"
)

// BenchmarkRecordCommit is the whole work of the store for an issuance: record and signature, asked for by 32 callers. "R" counts how many plain rows
// of the same certificate, in groups too, are inserted in the time of one issuance, measured in the same minute.
func BenchmarkRecordCommit(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") },
		"postgres": judge.Postgres,
	} {
		b.Run(name, func(b *testing.B) {
			s := openBench(b, url(b))
			row := plainRow(b, s, 10_000)
			b.ResetTimer()
			callers(b.N, func(i int) error {
				now := storetest.Epoch.Add(time.Duration(i) * time.Millisecond)
				c := storetest.NewCertificate(fmt.Sprintf("app-%d", i%100), now, fmt.Sprintf("www.host%d.example.com", i))
				if err := s.RecordCertificate(b.Context(), c, storetest.NewAct(now)); err != nil {
					return err
				}
				return s.CommitSignature(b.Context(), c.Serial, c.TBS[:71], sha256.Sum256(c.TBS), now)
			}, b)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(row), "R")
		})
	}
}

// BenchmarkTokenByHash is what every request asks first.
func BenchmarkTokenByHash(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") },
		"postgres": judge.Postgres,
	} {
		b.Run(name, func(b *testing.B) {
			s := openBench(b, url(b))
			tokens := make([]ca.Token, 100)
			for i := range tokens {
				tokens[i] = storetest.NewToken(fmt.Sprintf("tok_%d", i), "")
				require.NoError(b, s.CreateToken(b.Context(), tokens[i], storetest.NewAct(storetest.Epoch)))
			}
			b.ResetTimer()
			callers(b.N, func(i int) error {
				_, err := s.TokenByHash(b.Context(), tokens[i%len(tokens)].Hash)
				return err
			}, b)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func openBench(b *testing.B, url string) *Store {
	require.NoError(b, Migrate(b.Context(), url))
	s, err := Open(b.Context(), Config{URL: url})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// callers makes n calls from 32 goroutines.
func callers(n int, call func(i int) error, t testing.TB) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := call(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// plainRow measures the time of one row of certificates, without any index but the key's, inserted in groups.
func plainRow(b *testing.B, s *Store, n int) time.Duration {
	ctx := context.Background()
	for _, statement := range []string{`CREATE TABLE yardstick AS SELECT * FROM certificates`, `CREATE UNIQUE INDEX yardstick_serial ON yardstick (serial)`} {
		_, err := s.db.exec(ctx, statement)
		require.NoError(b, err)
	}
	plain := table{"yardstick", groupTables[inCertificates].columns}
	rows := newGroup(s.db.committers(), func(round []*call[*write, struct{}]) {
		err := s.db.transact(ctx, func(tx statements) error {
			if _, postgres := s.db.(*postgres); postgres {
				columns := make([]any, len(plain.columns))
				for j := range columns {
					var column []any
					for _, c := range round {
						column = append(column, c.question.rows[inCertificates][0][j])
					}
					columns[j] = column
				}
				_, err := tx.exec(ctx, plain.insertArrays(1), columns...)
				return err
			}
			insert, err := tx.(liteTx).PrepareContext(ctx, plain.insert())
			for _, c := range round {
				if err == nil {
					_, err = insert.ExecContext(ctx, c.question.rows[inCertificates][0]...)
				}
			}
			return err
		})
		for _, c := range round {
			c.err = err
		}
	})
	begin := time.Now()
	callers(n, func(i int) error {
		c := storetest.NewCertificate("app-1", storetest.Epoch, "www.example.com")
		w := new(write)
		w.rows[inCertificates] = [][]any{certificateRecord(c)}
		_, err := rows.do(ctx, w)
		return err
	}, b)
	rows.close()
	return time.Since(begin) / time.Duration(n)
}
