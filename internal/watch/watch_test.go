package watch_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/status"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/watch"
	"github.com/imca-project/imca/internal/web"
)

const name = "TencentQQAuthCA"

var operator = ca.Principal{Name: "olga", Role: ca.RoleOperator}

// world is a CA, its public door, and a watcher before it.
type world struct {
	t       *testing.T
	ca      *ca.CA
	url     string
	now     time.Time
	door    http.Handler
	spoil   func(path string, question, answer []byte) ([]byte, error) // what happens to answers on their way
	watcher *watch.Watcher
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: filepath.Join(t.TempDir(), "imca.db"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	require.NoError(t, store.Migrate(t.Context(), "sqlite:"+w.url))
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + w.url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	var keys = make(map[string]crypto.Signer)
	authorities, err := ca.Establish(t.Context(), s, ca.Principal{Name: "root", Role: ca.RoleAdmin}, ca.Establishment{
		NewKey: func(authority string, kind pki.KeyType) (crypto.Signer, string, error) {
			key, err := kind.Generate()
			keys[authority] = key
			return key, authority, err
		},
	}, w.now)
	require.NoError(t, err)
	issuers, err := ca.Load(authorities, issuer.DefaultProfiles(), "http://ca.example", func(ref string) (crypto.Signer, error) { return keys[ref], nil })
	require.NoError(t, err)
	w.ca, err = ca.New(ca.Config{Store: s, Issuers: issuers, Now: clock})
	require.NoError(t, err)
	_, _, err = w.ca.CreateApp(t.Context(), operator, ca.NewApp{ID: "demo", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	w.door = status.New(status.Config{CA: w.ca, Now: clock, Frame: web.New(web.Config{
		Authenticate: w.ca.Authenticate, Limits: web.Limits{Address: web.Rate{PerSecond: -1}}, Now: clock, Log: slog.New(slog.DiscardHandler),
	})})
	w.watcher = watch.New(watch.Config{
		Records: s, Fetch: w.fetch, Settle: time.Millisecond, Now: clock, Report: w.ca.NoteRevocation, Log: slog.New(slog.DiscardHandler),
		Authorities: func() []watch.Authority {
			return []watch.Authority{{Name: name, Certificate: issuers[0].Certificate(), Interval: time.Hour}}
		},
	})
	return w
}

func (w *world) fetch(ctx context.Context, path string, body []byte) ([]byte, error) {
	method := "GET"
	if body != nil {
		method = "POST"
	}
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(body)))
	if answer.Code != http.StatusOK {
		return nil, errors.New(answer.Body.String())
	}
	if w.spoil != nil {
		return w.spoil(path, body, answer.Body.Bytes())
	}
	return answer.Body.Bytes(), nil
}

func (w *world) issue() *ca.Certificate {
	w.t.Helper()
	issued, err := w.ca.Issue(w.t.Context(), operator, ca.IssueRequest{App: "demo", Domains: []string{"www.example.com"}})
	require.NoError(w.t, err)
	return issued.Certificate
}

func (w *world) revoke(c *ca.Certificate, reason pki.Reason) {
	w.t.Helper()
	_, err := w.ca.Revoke(w.t.Context(), operator, c.Serial, reason)
	require.NoError(w.t, err)
}

func (w *world) publish() {
	w.t.Helper()
	w.now = w.now.Add(2 * time.Second)
	require.NoError(w.t, w.ca.PublishCRLs(w.t.Context()))
}

// exec changes the database behind everybody's back.
func (w *world) exec(statement string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.url)
	require.NoError(w.t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(w.t.Context(), statement)
	require.NoError(w.t, err)
}

// look is one look, and what it found.
func (w *world) look() ca.RevocationReport {
	w.t.Helper()
	reports := w.watcher.Look(w.t.Context())
	require.Len(w.t, reports, 1)
	require.Equal(w.t, name, reports[0].Authority)
	return reports[0]
}

func (w *world) requireFault(want string) {
	w.t.Helper()
	require.Contains(w.t, strings.Join(w.look().Faults, "\n"), want)
}

func TestAllIsWell(t *testing.T) {
	w := newWorld(t)
	w.publish()
	require.Empty(t, w.look().Faults, "an empty list")
	day := 1
	for i := range 20 {
		issued, err := w.ca.Issue(t.Context(), operator, ca.IssueRequest{App: "demo", Domains: []string{"www.example.com"}, ValidityDays: &day})
		require.NoError(t, err)
		if i%2 == 0 {
			w.revoke(issued.Certificate, pki.LeafReasons()[i%5])
		}
	}
	w.publish()
	report := w.look()
	require.Empty(t, report.Faults)
	require.Equal(t, 10, report.Entries)
	require.Equal(t, w.ca.CRL(name).Number, report.Number)
	require.Equal(t, w.ca.CRL(name).NextUpdate, report.NextUpdate)
	// Over the end of the certificates: listed, listed still though ended, not listed any more.
	entries := make(map[int]bool)
	for range 60 {
		w.now = w.now.Add(30 * time.Minute)
		w.publish()
		report := w.look()
		require.Empty(t, report.Faults)
		entries[report.Entries] = true
	}
	require.Equal(t, map[int]bool{10: true, 0: true}, entries)
}

func TestDifferencesAreFound(t *testing.T) {
	for fault, test := range map[string]struct {
		spoil string
		want  string
	}{
		"a revocation that nobody publishes":    {`DELETE FROM unpublished`, "1 certificates are revoked and not on the list"},
		"a reason that changed":                 {`UPDATE revocations SET reason = 5`, "are on the list with another reason or time"},
		"a time that changed":                   {`UPDATE revocations SET revoked_at = revoked_at - 1000000000`, "are on the list with another reason or time"},
		"a certificate that is revoked no more": {`DELETE FROM revocations`, "are on the list and not revoked"},
		"a certificate that is there no more":   {`PRAGMA foreign_keys = OFF; DELETE FROM revocations; DELETE FROM signatures; DELETE FROM certificates`, "are on the list and not revoked"},
	} {
		t.Run(fault, func(t *testing.T) {
			w := newWorld(t)
			for range 3 {
				w.revoke(w.issue(), pki.Superseded)
			}
			w.publish()
			require.Empty(t, w.look().Faults)
			w.revoke(w.issue(), pki.Superseded)
			if !strings.Contains(test.spoil, "unpublished") {
				w.publish()
			}
			w.exec(test.spoil)
			w.publish()
			w.requireFault(test.want)
		})
	}
}

// What is being published in this moment is no fault.
func TestWhatIsOnItsWayIsNoFault(t *testing.T) {
	w := newWorld(t)
	w.publish()
	held := w.issue()
	w.revoke(held, pki.CertificateHold)
	w.publish()
	w.revoke(w.issue(), pki.Superseded)
	_, err := w.ca.Release(t.Context(), operator, held.Serial)
	require.NoError(t, err)
	lists := 0
	w.spoil = func(path string, _, answer []byte) ([]byte, error) {
		if strings.HasPrefix(path, "/crl/") {
			if lists++; lists == 1 {
				w.publish() // behind this answer
			}
		}
		return answer, nil
	}
	require.Empty(t, w.look().Faults)
	require.Equal(t, 2, lists)
}

func TestStaleStatusIsFound(t *testing.T) {
	w := newWorld(t)
	w.requireFault("has no revocation list yet")
	w.publish()
	old, err := w.fetch(t.Context(), "/crl/"+name+".crl", nil)
	require.NoError(t, err)
	require.Empty(t, w.look().Faults)
	w.publish()
	w.now = w.now.Add(61 * time.Minute)
	require.Empty(t, w.look().Faults, "a little late")
	w.now = w.now.Add(15 * time.Minute)
	w.requireFault("overdue")
	w.now = w.now.Add(7 * 24 * time.Hour)
	w.requireFault("lapsed at")
	w.publish()
	require.Empty(t, w.look().Faults)
	w.now = w.now.Add(-time.Hour)
	w.requireFault("from the future")
	w.now = w.now.Add(time.Hour)

	w.spoil = func(path string, _, answer []byte) ([]byte, error) {
		if strings.HasPrefix(path, "/crl/") {
			return old, nil
		}
		return answer, nil
	}
	w.now = w.now.Add(-7 * 24 * time.Hour)
	w.requireFault("was served before")
	for what, answer := range map[string][]byte{"nothing": nil, "a page": []byte("<html>"), "half of it": old[:len(old)/2]} {
		old = answer
		require.Len(t, w.look().Faults, 1, what)
		w.requireFault("is no revocation list")
	}
	w.spoil = func(string, []byte, []byte) ([]byte, error) { return nil, errors.New("connection refused") }
	w.requireFault("fetching it: connection refused")
	w.requireFault("OCSP cannot be looked at: asking: connection refused")
}

// A responder, or a cache before it, that goes on saying good, or nothing.
func TestStaleOCSPIsFound(t *testing.T) {
	w := newWorld(t)
	c := w.issue()
	question, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: c.Serial.Int()}, w.ca.Issuers()[0].Certificate(), nil)
	require.NoError(t, err)
	good, err := w.fetch(t.Context(), "/ocsp/"+name, question)
	require.NoError(t, err)
	w.revoke(c, pki.CertificateHold)
	w.publish()
	require.Empty(t, w.look().Faults)
	w.spoil = func(_ string, question, answer []byte) ([]byte, error) {
		if bytes.Contains(question, c.Serial[:]) {
			return good, nil
		}
		return answer, nil
	}
	w.requireFault("is good, and it is revoked")
	w.now = w.now.Add(13 * time.Hour)
	w.publish()
	w.requireFault("the response is good from")

	w.spoil = nil
	_, err = w.ca.Release(t.Context(), operator, c.Serial)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(w.look().Faults), "OCSP", "released a moment ago: the list has it still, OCSP has not")
	w.spoil = func(_ string, question, answer []byte) ([]byte, error) {
		if question != nil {
			return issuer.OCSPTryLater.Encode(), nil
		}
		return answer, nil
	}
	w.requireFault("OCSP cannot be looked at: reading the response: ocsp: error from server: try later")
}

// An authority whose key is elsewhere: its list need not be young, and nobody answers for it.
func TestRestingAuthority(t *testing.T) {
	w := newWorld(t)
	w.publish()
	records, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + w.url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = records.Close() })
	asked := ""
	w.watcher = watch.New(watch.Config{
		Records: records, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Fetch: func(ctx context.Context, path string, body []byte) ([]byte, error) {
			asked += path
			return w.fetch(ctx, path, body)
		},
		Authorities: func() []watch.Authority {
			return []watch.Authority{{Name: name, Certificate: w.ca.Issuers()[0].Certificate()}}
		},
	})
	w.now = w.now.Add(5 * 24 * time.Hour)
	require.Empty(t, w.look().Faults)
	w.now = w.now.Add(12 * time.Hour)
	w.requireFault("imca crl import")
	require.NotContains(t, asked, "ocsp")
}

// The loop looks once a minute, tells what it found, and logs what has changed.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu      sync.Mutex
			log     bytes.Buffer
			reports int
			answer  error
		)
		w := watch.New(watch.Config{
			Fetch: func(context.Context, string, []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				return nil, answer
			},
			Report: func(found []ca.RevocationReport) {
				mu.Lock()
				defer mu.Unlock()
				reports++
				require.Len(t, found[0].Faults, 1)
			},
			Log:         slog.New(slog.NewTextHandler(io.MultiWriter(&log), nil)),
			Authorities: func() []watch.Authority { return []watch.Authority{{Name: name, Certificate: &x509.Certificate{}}} },
		})
		ctx, stop := context.WithCancel(t.Context())
		answer = fmt.Errorf("connection refused")
		var loop sync.WaitGroup
		loop.Go(func() { w.Watch(ctx) })
		time.Sleep(10*time.Minute + 10*time.Second)
		mu.Lock()
		require.Equal(t, 11, reports)
		answer = fmt.Errorf("connection reset")
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		stop()
		loop.Wait()
		require.Equal(t, 2, strings.Count(log.String(), "level=ERROR"), "told once, until it changes")
	})
}
