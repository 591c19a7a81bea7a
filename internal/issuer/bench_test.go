package issuer_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

// BenchmarkIssue measures one certificate, from the request to the proven
// signature, lints included, and its yardstick in the same minute: one P-256
// signature. S/op says how many of those a certificate costs; medians, because
// machines are noisy.
func BenchmarkIssue(b *testing.B) {
	key := keyOf(b, pki.ECDSAP256, 1).(*ecdsa.PrivateKey)
	by := direct(b, key)
	asked := request(b, "www.example.com")
	hash := sha256.Sum256([]byte("yardstick"))
	var yardstick, prepare, sign []time.Duration
	for b.Loop() {
		begin := time.Now()
		_, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
		yardstick = append(yardstick, time.Since(begin))
		require.NoError(b, err)

		asked.Serial = pki.NewSerial()
		begin = time.Now()
		draft, err := by.Prepare(asked)
		prepare = append(prepare, time.Since(begin))
		require.NoError(b, err)

		begin = time.Now()
		_, err = by.Sign(draft)
		sign = append(sign, time.Since(begin))
		require.NoError(b, err)
	}
	s := median(yardstick)
	b.ReportMetric(s/1000, "S-µs")
	b.ReportMetric(median(prepare)/s, "prepare-S/op")
	b.ReportMetric(median(sign)/s, "sign-S/op")
	b.ReportMetric((median(prepare)+median(sign))/s, "S/op")
}

func median(durations []time.Duration) float64 {
	slices.Sort(durations)
	return float64(durations[len(durations)/2])
}
