package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// seedRevoked puts many revoked certificates into a database, none of them published.
func seedRevoked(t testing.TB, url string, n int) {
	t.Helper()
	rows := fmt.Sprintf(`SELECT decode('40' || md5(i::text), 'hex') AS serial, now() AS at FROM generate_series(1, %d) i`, n)
	later, stamp := "at + interval '90 days'", `at`
	if strings.HasPrefix(url, "sqlite:") {
		rows = fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT unhex('40' || hex(randomblob(16))) AS serial, 1772366400000000 AS at FROM n`, n)
		later = `at + 90 * 86400 * 1000000`
	} else {
		rows = strings.Replace(rows, "now()", "'2026-03-01 12:00:00+00'::timestamptz", 1)
	}
	hash := `serial`
	behindTheStore(t, url,
		`CREATE TABLE seed AS `+rows+` ORDER BY serial`, // as the indexes have them, which is many times as fast
		`INSERT INTO certificates (serial, authority, profile, usage, app, requested_by, names, key_type, spki_hash, not_before, not_after, created_at, tbs)
			SELECT serial, '`+rootName+`', 'server', 'serverAuth', 'demo', 'bench', 'www.example.com', 'ecdsa-p256', `+hash+`, `+stamp+`, `+later+`, `+stamp+`, serial FROM seed`,
		`INSERT INTO revocations (serial, authority, app, revoked_at, reason, revoked_by, not_after)
			SELECT serial, '`+rootName+`', 'demo', at, 4, 'bench', `+later+` FROM seed`,
		`INSERT INTO unpublished (authority, id, serial) SELECT '`+rootName+`', serial, serial FROM seed`,
		`DROP TABLE seed`)
}

// BenchmarkPublish measures the list that follows one more revocation, from the look at the database to the commit, and its yardstick in the same
// minute: the SHA-256 over the bytes of the list and one P-256 signature (H+S). MB is how much more memory the process has at the worst moment than
// before, when it held the list and served it.
func BenchmarkPublish(b *testing.B) {
	for name, fresh := range databases {
		for _, size := range []int{10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				f := newFixtureOn(b, fresh(b), ca.HierarchyDirect)
				spare := make([]pki.Serial, 64)
				for i := range spare {
					spare[i] = f.issue("www.example.com").Certificate.Serial
				}
				seedRevoked(b, f.url, size)
				begin := time.Now()
				f.publish()
				first := time.Since(begin)
				if name == "postgres" {
					behindTheStore(b, f.url, `VACUUM ANALYZE`) // which comes by itself within a minute
				}
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				require.NoError(b, err)
				der := bytesOf(b, f.CRL(rootName))
				debug.FreeOSMemory()
				rest := resident(b, "VmRSS")
				require.NoError(b, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // VmHWM begins anew
				var yardstick, publish []time.Duration
				revoked := 0
				for b.Loop() {
					if revoked < len(spare) {
						_, err := f.Revoke(b.Context(), developer, spare[revoked], pki.Superseded)
						require.NoError(b, err)
						revoked++
					} else {
						_, err := f.Revoke(b.Context(), developer, f.issue("www.example.com").Certificate.Serial, pki.Superseded)
						require.NoError(b, err)
					}
					f.clock.advance(2 * time.Second)
					begin := time.Now()
					hash := sha256.Sum256(der)
					_, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
					yardstick = append(yardstick, time.Since(begin))
					require.NoError(b, err)

					before := f.CRL(rootName).Number
					begin = time.Now()
					f.publish()
					publish = append(publish, time.Since(begin))
					require.Greater(b, f.CRL(rootName).Number, before)
				}
				slices.Sort(yardstick)
				slices.Sort(publish)
				hs, p := yardstick[len(yardstick)/2], publish[len(publish)/2]
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(first)/1e6, "first-ms")
				b.ReportMetric(float64(hs)/1e6, "H+S-ms")
				b.ReportMetric(float64(p)/1e6, "publish-ms")
				b.ReportMetric(float64(p)/float64(hs), "(H+S)")
				b.ReportMetric(float64(resident(b, "VmHWM")-rest)/(1<<20), "MB")
			})
		}
	}
}

// resident is the resident memory of this process, or the most that it was, in bytes.
func resident(t testing.TB, field string) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	match := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(t, match)
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	require.NoError(t, err)
	return kilobytes << 10
}
