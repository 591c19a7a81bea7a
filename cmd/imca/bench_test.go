package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// BenchmarkIssue measures issuance as its users see it: over HTTPS, by keep-alive clients, with everything on that production has on, against
// a server in a process of its own, on both databases. Machines differ and are noisy, so each run measures its own yardsticks too, and what
// counts is the ratio to them:
//
//	S  the processor time of one P-256 signature
//	E  one HTTPS request that is answered with what it sent, through chi, by 32 clients
//	R  one row of a realistic size, inserted with 99 others in one durable transaction
//	C  one durable transaction with one such row
//
// CPU/S is the processor time of server and database for one certificate, in S; p50/S the time that a client waits for one. MB is the server's
// resident memory.
func BenchmarkIssue(b *testing.B) {
	b.Run("E", benchmarkEcho)
	for _, database := range []string{"postgres", "sqlite"} {
		b.Run(database, func(b *testing.B) {
			url := "sqlite:" + filepath.Join(b.TempDir(), "imca.db")
			if database == "postgres" {
				url = judge.Postgres(b)
			}
			y := newYardstick(b, url)
			b.Run("R", func(b *testing.B) { y.insert(b, 100) })
			b.Run("C", func(b *testing.B) { y.insert(b, 1) })
			site := serve(b, url)
			b.Run("rest", func(b *testing.B) {
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(memory(b, site.server.PID())>>20), "MB")
			})
			for _, c := range []struct {
				name    string
				clients int
				csr     bool
			}{{"domain/clients=32", 32, false}, {"domain/clients=1", 1, false}, {"csr/clients=32", 32, true}} {
				b.Run(c.name, func(b *testing.B) { site.issue(b, c.clients, c.csr) })
			}
		})
	}
}

// signature is the processor time of one P-256 signature on this machine, as busy as it is now: the median of some rounds.
func signature(b *testing.B) time.Duration {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	rounds, digest := make([]time.Duration, 21), make([]byte, 32)
	for i := range rounds {
		const signatures = 100
		start := ownCPU(b)
		for range signatures {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest)
			require.NoError(b, err)
		}
		rounds[i] = (ownCPU(b) - start) / signatures
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2]
}

// yardstick is a table in a database of the kind that is measured.
type yardstick struct {
	postgres *pgx.Conn
	sqlite   *sql.DB
}

func newYardstick(b *testing.B, url string) *yardstick {
	const table = "CREATE TABLE yardstick (id %s PRIMARY KEY, name TEXT NOT NULL, content %s NOT NULL)"
	y := new(yardstick)
	if strings.HasPrefix(url, "sqlite:") {
		var err error
		y.sqlite, err = sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "yardstick.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		require.NoError(b, err)
		y.sqlite.SetMaxOpenConns(1)
		_, err = y.sqlite.Exec(fmt.Sprintf(table, "BLOB", "BLOB"))
		require.NoError(b, err)
		b.Cleanup(func() { _ = y.sqlite.Close() })
		return y
	}
	var err error
	y.postgres, err = pgx.Connect(b.Context(), judge.Postgres(b))
	require.NoError(b, err)
	b.Cleanup(func() { _ = y.postgres.Close(context.Background()) })
	_, err = y.postgres.Exec(b.Context(), fmt.Sprintf(table, "BYTEA", "BYTEA"))
	require.NoError(b, err)
	return y
}

// insert makes durable transactions of so many rows.
func (y *yardstick) insert(b *testing.B, rows int) {
	content := make([]byte, 600)
	for b.Loop() {
		ids := make([][]byte, rows)
		for i := range ids {
			ids[i] = make([]byte, 17)
			_, _ = rand.Read(ids[i])
		}
		if y.postgres != nil {
			_, err := y.postgres.Exec(b.Context(), "INSERT INTO yardstick SELECT id, 'www.example.com', $2 FROM unnest($1::bytea[]) AS id", ids, content)
			require.NoError(b, err)
			continue
		}
		tx, err := y.sqlite.Begin()
		require.NoError(b, err)
		for _, id := range ids {
			_, err = tx.Exec("INSERT INTO yardstick VALUES ($1, 'www.example.com', $2)", id, content)
			require.NoError(b, err)
		}
		require.NoError(b, tx.Commit())
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

func benchmarkEcho(b *testing.B) {
	address := judge.FreeAddr(b)
	ca := filepath.Join(b.TempDir(), "echo.crt")
	judge.Start(b, "echo", exec.Command(judge.Path(b, "imca-echo"), address, ca), judge.Listening(address))
	client := trusting(b, ca)
	body := strings.Repeat("x", 200)
	r := measure(b, 32, func(int) error {
		response, err := client.Post("https://"+address+"/echo", "text/plain", strings.NewReader(body))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	})
	b.ReportMetric(r.perSecond, "requests/s")
	b.ReportMetric(0, "ns/op")
}

// site is a server under measurement.
type site struct {
	server   *judge.Process
	database int // the first process of the database; 0 where it is in the server
	url      string
	token    string
	admin    string
	flags    []string // with which imca's commands are the administrator's
	client   *http.Client
	csrs     []string
	issued   atomic.Int64
}

// serve starts a production server on a database, with more settings for its block "domains".
func serve(b *testing.B, url string, domains ...string) *site {
	folder := b.TempDir()
	https, plain := judge.FreeAddr(b), judge.FreeAddr(b)
	config := filepath.Join(folder, "imca.yaml")
	require.NoError(b, os.WriteFile(filepath.Join(folder, "passphrase"), []byte("correct horse"), 0o600))
	require.NoError(b, os.WriteFile(config, fmt.Appendf(nil, `
database: %q
listen: {https: %q, http: %q, ops: "off"}
ca: {passphrase: "file:passphrase"}
limits: {token_per_second: 1000000, token_burst: 1000000, address_per_second: 1000000, address_burst: 1000000}
domains: {certificates_per_week: 0, certificates_per_name_week: 0%s}
`, url, https, plain, strings.Join(domains, "")), 0o600))
	imca := func(args ...string) string { return judge.Run(b, "imca", args...) }
	imca("init", "--config", config)
	admin := filepath.Join(folder, "admin.token")
	imca("token", "create", "--config", config, "--role", "admin", "--name", "bench", "--out", admin)
	s := &site{url: "https://" + https}
	s.server = judge.Start(b, "imca serve", exec.Command(judge.Path(b, "imca"), "serve", "--config", config), func() error {
		_, err := judge.RunErr(b, "imca", "health", "--url", "http://"+plain)
		return err
	})
	ca := filepath.Join(folder, "ca.crt")
	imca("ca", "fetch", "TencentQQAuthCA", "--url", "http://"+plain, "--out", ca)
	s.flags = []string{"--url", s.url, "--ca", ca, "--token-file", admin}
	imca(append([]string{"app", "create", "bench", "--policy", "open"}, s.flags...)...)
	token := filepath.Join(folder, "bench.token")
	imca(append([]string{"token", "create", "--app", "bench", "--name", "bench", "--out", token}, s.flags...)...)
	for file, into := range map[string]*string{token: &s.token, admin: &s.admin} {
		text, err := os.ReadFile(file)
		require.NoError(b, err)
		*into = strings.TrimSpace(string(text))
	}
	s.client = trusting(b, ca)
	if strings.HasPrefix(url, "postgres") {
		s.database = postmaster(b, url)
	}
	for range 32 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(b, err)
		der, err := x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key)
		require.NoError(b, err)
		s.csrs = append(s.csrs, string(pki.EncodeRequest(der)))
	}
	return s
}

func (s *site) issue(b *testing.B, clients int, csr bool) {
	s.measure(b, clients, func(client int) error {
		body := map[string]string{"domain": fmt.Sprintf("c%d.example.com", s.issued.Add(1))}
		if csr {
			body["csr"] = s.csrs[client]
		}
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		_, err = s.call(http.MethodPost, "/v1/certificates", "application/json", text)
		return err
	})
}

// measure has clients do what each makes one certificate.
func (s *site) measure(b *testing.B, clients int, do func(client int) error) {
	before := signature(b)
	server, database := cpu(b, s.server.PID()), s.databaseCPU(b)
	r := measure(b, clients, do)
	server, database = cpu(b, s.server.PID())-server, s.databaseCPU(b)-database
	signature := (before + signature(b)) / 2
	each := func(d time.Duration) float64 { return float64(d) / float64(b.N) / float64(signature) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.perSecond, "certificates/s")
	b.ReportMetric(each(server+database), "CPU/S")
	b.ReportMetric(each(database), "database-CPU/S")
	b.ReportMetric(r.quantile(0.50).Seconds()*1000, "p50-ms")
	b.ReportMetric(r.quantile(0.99).Seconds()*1000, "p99-ms")
	b.ReportMetric(float64(r.quantile(0.50))/float64(signature), "p50/S")
	b.ReportMetric(float64(memory(b, s.server.PID())>>20), "MB")
	b.ReportMetric(float64(signature)/1000, "S-µs")
}

// call sends a request as the app's developer, and returns the answer to what was done.
func (s *site) call(method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", contentType)
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return answer, errors.Join(err, response.Body.Close())
}

// databaseCPU is the processor time that the database's processes have taken.
func (s *site) databaseCPU(b *testing.B) time.Duration {
	if s.database == 0 {
		return 0
	}
	return familyCPU(b, s.database)
}

// result is what a measurement found.
type result struct {
	perSecond float64
	sorted    []time.Duration
}

func (r result) quantile(q float64) time.Duration {
	return r.sorted[min(int(q*float64(len(r.sorted))), len(r.sorted)-1)]
}

// measure has clients do something b.N times together.
func measure(b *testing.B, clients int, do func(client int) error) result {
	var (
		running sync.WaitGroup
		left    atomic.Int64
		times   = make([][]time.Duration, clients)
		faults  = make([]error, clients)
	)
	left.Store(int64(b.N))
	b.ResetTimer()
	for client := range clients {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := do(client); err != nil {
					faults[client] = err
					return
				}
				times[client] = append(times[client], time.Since(start))
			}
		})
	}
	running.Wait()
	b.StopTimer()
	require.NoError(b, errors.Join(faults...))
	sorted := slices.Concat(times...)
	slices.Sort(sorted)
	return result{perSecond: float64(b.N) / b.Elapsed().Seconds(), sorted: sorted}
}
