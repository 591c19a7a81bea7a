package status_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// clients ask at the same time, each on a connection of its own.
const clients = 8

// BenchmarkOCSP measures answers per second, with the client in the same process, against its yardsticks in the same minute: E, an echo through
// chi over the same plain HTTP, and S, one P-256 signature.
func BenchmarkOCSP(b *testing.B) {
	w := newWorld(b, ca.HierarchyDirect)
	leaf := w.issue(b)
	go w.ca.KeepRevocation(b.Context()) // as servers do
	authority := w.authority(b, leaf).Certificate()
	known, err := ocsp.CreateRequest(leaf, authority, &ocsp.RequestOptions{Hash: crypto.SHA256})
	require.NoError(b, err)

	router := chi.NewRouter()
	router.Get("/*", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 500)) })
	echo := httptest.NewServer(router)
	b.Cleanup(echo.Close)
	path := "/ocsp/TencentQQAuthCA/" + url.PathEscape(base64.StdEncoding.EncodeToString(known))

	var perSecond float64 // E
	b.Run("E", func(b *testing.B) {
		perSecond = measure(b, func(*http.Client) (*http.Request, error) { return http.NewRequest(http.MethodGet, echo.URL+path, nil) })
	})
	b.Run("known", func(b *testing.B) {
		rate := measure(b, func(*http.Client) (*http.Request, error) { return http.NewRequest(http.MethodGet, w.url+path, nil) })
		b.ReportMetric(rate/perSecond, "E")
	})
	b.Run("fresh", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(b, err)
		const signatures = 1000
		digest := sha256.Sum256(known)
		begin := time.Now()
		for range signatures {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			require.NoError(b, err)
		}
		s := time.Since(begin) / signatures
		rate := measure(b, func(*http.Client) (*http.Request, error) {
			// A serial that nobody has asked for, so that no answer is kept.
			question, err := (&ocsp.Request{HashAlgorithm: crypto.SHA1, IssuerNameHash: hashOf(authority.RawSubject), IssuerKeyHash: keyHash(b, authority.RawSubjectPublicKeyInfo), SerialNumber: pki.NewSerial().Int()}).Marshal()
			if err != nil {
				return nil, err
			}
			r, err := http.NewRequest(http.MethodPost, w.url+"/ocsp/TencentQQAuthCA", bytes.NewReader(question))
			if err == nil {
				r.Header.Set("Content-Type", "application/ocsp-request")
			}
			return r, err
		})
		b.ReportMetric(float64(time.Second)/rate/float64(s), "S-wall")
		b.ReportMetric(rate/perSecond, "E")
	})
}

// measure asks b.N times and is the rate per second; answers other than 200 fail.
func measure(b *testing.B, request func(*http.Client) (*http.Request, error)) float64 {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	b.SetParallelism(clients / 2)
	begin := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := request(client)
			if err != nil {
				b.Error(err)
				return
			}
			answer, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusOK {
				b.Errorf("%s: %v", answer.Status, err)
				return
			}
		}
	})
	rate := float64(b.N) / time.Since(begin).Seconds()
	b.ReportMetric(rate, "requests/s")
	return rate
}

// hashOf and keyHash are the SHA-1 of the issuer's name and of its key, of a CertID (RFC 6960, Section 4.1.1).
func hashOf(name []byte) []byte {
	h := crypto.SHA1.New()
	h.Write(name)
	return h.Sum(nil)
}

func keyHash(b *testing.B, spki []byte) []byte {
	b.Helper()
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(spki, &info)
	require.NoError(b, err)
	return hashOf(info.Key.RightAlign())
}
