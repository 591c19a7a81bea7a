package main

import (
	"bytes"
	"crypto/md5"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// BenchmarkRevocation measures what relying parties get, from two servers in processes of their own on one PostgreSQL, with few and with many
// certificates revoked. Beside what BenchmarkIssue explains:
//
//	visible  from the answer to a revocation until it is on the list that each server serves, and in the OCSP response of each
//	known    OCSP about 1,000 certificates again and again, by HTTPS, and its yardstick E
//	fresh    the same with a nonce, so that every response is signed: CPU/S is the processor time of server and database for one, in S
//	list     the whole list, by plain HTTP
func BenchmarkRevocation(b *testing.B) {
	for _, revoked := range []int{10_000, 1_000_000} {
		b.Run(strconv.Itoa(revoked), func(b *testing.B) {
			database, folder := judge.Postgres(b), b.TempDir()
			servers := []*dev{startDev(b, folder, database), startDev(b, folder, database)}
			seed(b, database, revoked)
			for _, d := range servers {
				require.Eventually(b, func() bool { return d.listSize(b) > int64(revoked)*50 }, 3*time.Minute, time.Second)
			}
			execute(b, database, `VACUUM ANALYZE`) // which comes by itself within a minute
			b.Run("visible", func(b *testing.B) { visible(b, servers) })
			b.Run("E", benchmarkEcho)
			b.Run("known", func(b *testing.B) { answers(b, servers[0], database, revoked, false) })
			b.Run("fresh", func(b *testing.B) { answers(b, servers[0], database, revoked, true) })
			b.Run("list", func(b *testing.B) { download(b, servers[0]) })
		})
	}
}

func execute(b *testing.B, database string, statements ...string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), database)
	require.NoError(b, err)
	defer func() { _ = conn.Close(b.Context()) }()
	for _, statement := range statements {
		_, err := conn.Exec(b.Context(), statement)
		require.NoError(b, err, statement)
	}
}

// seed puts revoked certificates into a database; the serial number of each is made of its place (seeded).
func seed(b *testing.B, database string, n int) {
	execute(b, database,
		fmt.Sprintf(`CREATE TABLE seed AS SELECT decode('40' || md5(i::text), 'hex') AS serial, now() AS at, now() + interval '90 days' AS until FROM generate_series(1, %d) i ORDER BY serial`, n),
		`INSERT INTO certificates (serial, authority, profile, usage, app, requested_by, names, key_type, spki_hash, not_before, not_after, created_at, tbs)
			SELECT serial, 'TencentQQAuthCA', 'server', 'serverAuth', 'demo', 'bench', 'www.example.com', 'ecdsa-p256', serial, at, until, at, serial FROM seed`,
		`INSERT INTO revocations (serial, authority, app, revoked_at, reason, revoked_by, not_after)
			SELECT serial, 'TencentQQAuthCA', 'demo', at, 4, 'bench', until FROM seed`,
		`INSERT INTO unpublished (authority, id, serial) SELECT 'TencentQQAuthCA', serial, serial FROM seed`,
		`DROP TABLE seed`)
}

func seeded(i int) *big.Int {
	hash := md5.Sum([]byte(strconv.Itoa(i)))
	return new(big.Int).SetBytes(append([]byte{0x40}, hash[:]...))
}

// listSize is the length of the list that a server serves.
func (d *dev) listSize(b *testing.B) int64 {
	b.Helper()
	response, err := d.client.Head(d.url + "/crl/TencentQQAuthCA.crl")
	require.NoError(b, err)
	require.NoError(b, response.Body.Close())
	return response.ContentLength
}

// lists tells whether the list of a server names a serial; tag is that of the list that it was asked last.
func (d *dev) lists(b *testing.B, serial []byte, tag *string) bool {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, d.url+"/crl/TencentQQAuthCA.crl", nil)
	require.NoError(b, err)
	request.Header.Set("If-None-Match", *tag)
	response, err := d.client.Do(request)
	require.NoError(b, err)
	defer func() { require.NoError(b, response.Body.Close()) }()
	if response.StatusCode == http.StatusNotModified {
		return false
	}
	*tag = response.Header.Get("ETag")
	der, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	return bytes.Contains(der, serial)
}

func visible(b *testing.B, servers []*dev) {
	var lists, responses []time.Duration
	tags := make([]string, len(servers))
	for i, d := range servers {
		d.lists(b, []byte("nothing"), &tags[i])
	}
	for b.Loop() {
		var g given
		require.NoError(b, servers[0].ask(demoToken, "POST", "/v1/certificates", `{"domain":"www.example.com"}`, http.StatusCreated, &g))
		for _, d := range servers {
			require.Equal(b, ocsp.Good, d.status(b, g))
		}
		serial, err := pki.ParseSerial(g.Serial)
		require.NoError(b, err)
		require.NoError(b, servers[0].ask(demoToken, "POST", "/v1/certificates/"+g.Serial+"/revoke", `{"reason":"superseded"}`, http.StatusOK, new(given)))
		begin := time.Now()
		for _, d := range servers {
			for d.status(b, g) != ocsp.Revoked {
				time.Sleep(5 * time.Millisecond)
			}
		}
		responses = append(responses, time.Since(begin))
		for i, d := range servers {
			for !d.lists(b, serial[:], &tags[i]) {
				time.Sleep(5 * time.Millisecond)
			}
		}
		lists = append(lists, time.Since(begin))
	}
	slices.Sort(lists)
	slices.Sort(responses)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(lists[len(lists)/2])/1e6, "list-p50-ms")
	b.ReportMetric(float64(lists[len(lists)-1])/1e6, "list-max-ms")
	b.ReportMetric(float64(responses[len(responses)-1])/1e6, "OCSP-max-ms")
}

// answers measures OCSP, by 32 clients.
func answers(b *testing.B, d *dev, database string, revoked int, nonce bool) {
	state, err := d.folder.state()
	require.NoError(b, err)
	root := d.root(b, state.CA)
	questions := make([][]byte, 1000)
	for i := range questions {
		questions[i], err = ocsp.CreateRequest(&x509.Certificate{SerialNumber: seeded(1 + i*(revoked/len(questions)))}, root, nil)
		require.NoError(b, err)
		if nonce {
			questions[i] = withNonce(b, questions[i])
		}
	}
	ask := func(question []byte) error {
		response, err := d.client.Post(d.url+"/ocsp/TencentQQAuthCA", "application/ocsp-request", bytes.NewReader(question))
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err == nil && len(answer) < 100 {
			err = fmt.Errorf("no answer: %x", answer)
		}
		return errors.Join(err, response.Body.Close())
	}
	for _, question := range questions {
		require.NoError(b, ask(question))
	}
	parent := postmaster(b, database)
	s := signature(b)
	before := cpu(b, d.PID()) + familyCPU(b, parent)
	next := make([]int, 32)
	r := measure(b, 32, func(client int) error {
		next[client]++
		return ask(questions[(client*31+next[client])%len(questions)])
	})
	used := cpu(b, d.PID()) + familyCPU(b, parent) - before
	s = (s + signature(b)) / 2
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.perSecond, "requests/s")
	b.ReportMetric(float64(used)/float64(b.N)/float64(s), "CPU/S")
	b.ReportMetric(r.quantile(0.99).Seconds()*1000, "p99-ms")
	b.ReportMetric(float64(memory(b, d.PID())>>20), "MB")
}

// withNonce adds a nonce to a request.
func withNonce(b *testing.B, der []byte) []byte {
	b.Helper()
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	var request struct {
		TBS struct {
			List       []asn1.RawValue
			Extensions []extension `asn1:"explicit,tag:2,optional"`
		}
	}
	_, err := asn1.Unmarshal(der, &request)
	require.NoError(b, err)
	request.TBS.Extensions = []extension{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, append([]byte{4, 32}, make([]byte, 32)...)}}
	der, err = asn1.Marshal(request)
	require.NoError(b, err)
	return der
}

func download(b *testing.B, d *dev) {
	state, err := d.folder.state()
	require.NoError(b, err)
	for b.Loop() {
		response, err := http.Get(state.BaseURL + "/crl/TencentQQAuthCA.crl")
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, response.Body)
		require.NoError(b, err)
		require.NoError(b, response.Body.Close())
		require.Equal(b, response.ContentLength, n)
		b.SetBytes(n)
	}
	b.ReportMetric(float64(memory(b, d.PID())>>20), "MB")
}
