package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/store/storetest"
)

// BenchmarkSweep has an operator revoke 100,000 certificates by a search while others go on: two clients each that issue, that read a certificate,
// and that ask for its status by OCSP, fifty times a second each. It tells how much longer they wait during the sweep than before: the ratios of
// the medians and of the 99th percentiles, and the latter in milliseconds.
func BenchmarkSweep(b *testing.B) {
	for _, database := range []string{"postgres", "sqlite"} {
		b.Run(database, func(b *testing.B) {
			url := "sqlite:" + filepath.Join(b.TempDir(), "imca.db")
			if database == "postgres" {
				url = judge.Postgres(b)
			}
			site := serve(b, url)
			others := site.others(b)
			for run := 0; b.Loop(); run++ {
				const n = 100_000
				suffix := fmt.Sprintf("sweep%d.example.com", run)
				recordMany(b, url, n, suffix)
				before := waits(b, others, func() { time.Sleep(5 * time.Second) })
				var took time.Duration
				during := waits(b, others, func() {
					begin := time.Now()
					sweep := []string{"revoke", "--suffix", suffix, "--reason", "cessationOfOperation", "--yes"}
					require.Contains(b, judge.Run(b, "imca", append(sweep, site.flags...)...), fmt.Sprintf("Revoked %d certificates", n))
					took = time.Since(begin)
				})
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(n/took.Seconds(), "revoked/s")
				for kind := range others {
					was, is := before[kind], during[kind]
					b.ReportMetric(float64(is.quantile(0.50))/float64(was.quantile(0.50)), kind+"-p50")
					b.ReportMetric(float64(is.quantile(0.99))/float64(was.quantile(0.99)), kind+"-p99")
					b.ReportMetric(is.quantile(0.99).Seconds()*1000, kind+"-p99-ms")
				}
			}
		})
	}
}

// recordMany records and signs certificates for hosts under a suffix, without a CA's work.
func recordMany(b *testing.B, url string, n int, suffix string) {
	b.Helper()
	s, err := store.Open(b.Context(), store.Config{URL: url})
	require.NoError(b, err)
	defer func() { _ = s.Close() }()
	now := time.Now().UTC().Truncate(time.Microsecond)
	const workers = 64
	var running sync.WaitGroup
	faults := make([]error, workers)
	for w := range workers {
		running.Go(func() {
			for i := w; i < n && faults[w] == nil; i += workers {
				c := storetest.NewCertificate("bench", now, fmt.Sprintf("h%d.%s", i, suffix))
				storetest.Sign(c)
				faults[w] = errors.Join(
					s.RecordCertificate(b.Context(), c, storetest.NewAct(now)),
					s.CommitSignature(b.Context(), c.Serial, c.Signature, c.Fingerprint, now))
			}
		})
	}
	running.Wait()
	require.NoError(b, errors.Join(faults...))
}

// others are what else goes on at a site, by name.
func (s *site) others(b *testing.B) map[string]func() error {
	b.Helper()
	text, err := s.call(http.MethodPost, "/v1/certificates", "application/json", []byte(`{"domain":"others.example.com"}`))
	require.NoError(b, err)
	var g struct {
		given
		CACertificate string `json:"ca_certificate"`
	}
	require.NoError(b, json.Unmarshal(text, &g))
	chain, err := pki.ParseCertificates([]byte(g.Certificate + g.CACertificate))
	require.NoError(b, err)
	question, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	require.NoError(b, err)
	return map[string]func() error{
		"issue": func() error {
			body := fmt.Appendf(nil, `{"domain":"c%d.example.com"}`, s.issued.Add(1))
			_, err := s.call(http.MethodPost, "/v1/certificates", "application/json", body)
			return err
		},
		"read": func() error {
			_, err := s.call(http.MethodGet, "/v1/certificates/"+g.Serial, "", nil)
			return err
		},
		"OCSP": func() error {
			answer, err := s.call(http.MethodPost, "/ocsp/TencentQQAuthCA", "application/ocsp-request", question)
			if err == nil {
				_, err = ocsp.ParseResponseForCert(answer, chain[0], chain[1])
			}
			return err
		},
	}
}

// waits is how long each of the others waited while something was done.
func waits(b *testing.B, others map[string]func() error, do func()) map[string]result {
	b.Helper()
	const clients, pause = 2, 20 * time.Millisecond
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		fault   error
		found   = make(map[string]result)
		end     = make(chan struct{})
	)
	for kind, ask := range others {
		for range clients {
			running.Go(func() {
				tick := time.NewTicker(pause)
				defer tick.Stop()
				for {
					select {
					case <-end:
						return
					case <-tick.C:
					}
					begin := time.Now()
					err := ask()
					mu.Lock()
					fault = errors.Join(fault, err)
					found[kind] = result{sorted: append(found[kind].sorted, time.Since(begin))}
					mu.Unlock()
				}
			})
		}
	}
	do()
	close(end)
	running.Wait()
	require.NoError(b, fault)
	for _, r := range found {
		slices.Sort(r.sorted)
	}
	return found
}
