package issuer_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/issuer"
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

// BenchmarkCRL measures the signing of a list with so many entries, and its
// yardsticks in the same minute: the SHA-256 over its bytes (H) and a P-256
// signature (S).
func BenchmarkCRL(b *testing.B) {
	key := keyOf(b, pki.ECDSAP256, 1).(*ecdsa.PrivateKey)
	by := direct(b, key)
	for _, size := range []int{10_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			entries := encoded(someRevoked(mathrand.New(mathrand.NewPCG(1, 2)), size), 5000)
			var yardstick, sign []time.Duration
			number := int64(0)
			for b.Loop() {
				begin := time.Now()
				h := sha256.New()
				for _, part := range entries {
					h.Write(part)
				}
				_, err := ecdsa.SignASN1(rand.Reader, key, h.Sum(nil))
				yardstick = append(yardstick, time.Since(begin))
				require.NoError(b, err)

				number++
				begin = time.Now()
				signed, err := by.SignCRL(issuer.CRL{Number: number, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Entries: entries})
				sign = append(sign, time.Since(begin))
				require.NoError(b, err)
				b.SetBytes(signed.Size())
			}
			b.ReportMetric(median(yardstick)/1e6, "H+S-ms")
			b.ReportMetric(median(sign)/1e6, "sign-ms")
			b.ReportMetric(median(sign)/median(yardstick), "(H+S)/op")
		})
	}
}

// BenchmarkOCSP measures a response from the request's bytes to the signed answer,
// in P-256 signatures (S).
func BenchmarkOCSP(b *testing.B) {
	key := keyOf(b, pki.ECDSAP256, 1).(*ecdsa.PrivateKey)
	by := direct(b, key)
	responder, _ := responderOf(b, by, pki.ECDSAP256)
	asked, err := ocsp.CreateRequest(issue(b, by, request(b, "www.example.com")), by.Certificate(), nil)
	require.NoError(b, err)
	hash := sha256.Sum256([]byte("yardstick"))
	var yardstick, answer []time.Duration
	for b.Loop() {
		begin := time.Now()
		_, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
		yardstick = append(yardstick, time.Since(begin))
		require.NoError(b, err)

		begin = time.Now()
		parsed, err := issuer.ParseOCSPRequest(asked)
		require.NoError(b, err)
		_, err = responder.Sign(issuer.OCSPResponse{
			Answers:    []issuer.OCSPAnswer{{ID: parsed.CertIDs[0], ThisUpdate: start, NextUpdate: start.Add(time.Hour)}},
			ProducedAt: start,
		})
		answer = append(answer, time.Since(begin))
		require.NoError(b, err)
	}
	b.ReportMetric(median(yardstick)/1000, "S-µs")
	b.ReportMetric(median(answer)/median(yardstick), "S/op")
}
