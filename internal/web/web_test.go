package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// door is a small door in a frame, and what the tests watch of it.
type door struct {
	*web.Frame
	handler http.Handler
	log     *logBuffer
	metrics *web.Metrics

	mu      sync.Mutex
	now     time.Time
	lookups int             // how often a token was looked up
	tokens  map[string]bool // the good ones
}

func newDoor(t *testing.T, cfg web.Config) *door {
	t.Helper()
	d := &door{log: &logBuffer{}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), tokens: map[string]bool{"imca_good": true, "imca_other": true}}
	d.metrics = web.NewMetrics(d.clock)
	cfg.Authenticate, cfg.Now, cfg.Metrics, cfg.Log = d.authenticate, d.clock, d.metrics, slog.New(slog.NewJSONHandler(d.log, nil))
	d.Frame = web.New(cfg)
	r := d.Router()
	r.Get("/open", d.Public(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "open")
		return err
	}))
	r.Get("/mine", d.Private(func(w http.ResponseWriter, _ *http.Request, p ca.Principal) error {
		_, err := fmt.Fprintf(w, "%s from %s", p.Name, p.Address)
		return err
	}))
	r.Post("/body", d.Public(func(w http.ResponseWriter, r *http.Request) error {
		body, err := web.ReadBody(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(w, len(body))
		return err
	}))
	r.Get("/fault", d.Public(func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("looking something up: %w", errors.New("the disk imca_secret is on fire"))
	}))
	r.Get("/panic", d.Public(func(http.ResponseWriter, *http.Request) error { panic("no ground below") }))
	r.Get("/slow", d.Public(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("asking the database: %w", r.Context().Err())
	}))
	d.handler = r
	return d
}

func (d *door) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *door) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func (d *door) authenticate(_ context.Context, secret, address, requestID string) (ca.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookups++
	if !d.tokens[secret] {
		return ca.Principal{}, &ca.Error{Kind: ca.KindUnauthenticated, Detail: "Ask an operator for a token."}
	}
	return ca.Principal{Name: "somebody", Role: ca.RoleDeveloper, Token: "tok_1", Address: address, RequestID: requestID}, nil
}

// get asks the door. header are pairs of name and value; "From" stands for the connection's other end.
func (d *door) do(method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "From" {
			r.RemoteAddr = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

func (d *door) get(target string, header ...string) *httptest.ResponseRecorder {
	return d.do(http.MethodGet, target, nil, header...)
}

// problem reads an answer that must be the problem of a kind.
func problem(t *testing.T, w *httptest.ResponseRecorder, kind ca.Kind) web.Problem {
	t.Helper()
	require.Equal(t, web.ProblemType, w.Header().Get("Content-Type"), w.Body.String())
	var p web.Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, "/problems/"+string(kind), p.Type)
	require.Equal(t, w.Code, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.Equal(t, w.Header().Get("X-Request-Id"), p.RequestID)
	return p
}

// logBuffer is a log that several goroutines write and a test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestProblemsOfHTTP(t *testing.T) {
	d := newDoor(t, web.Config{MaxBody: 100, Timeout: 50 * time.Millisecond})

	problem(t, d.get("/nowhere"), web.KindNoRoute)

	w := d.do(http.MethodDelete, "/open", nil)
	problem(t, w, web.KindMethod)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	require.Equal(t, "POST", d.get("/body").Header().Get("Allow"))

	w = d.do(http.MethodHead, "/open", nil)
	require.Equal(t, http.StatusOK, w.Code)

	require.Equal(t, "100", d.do(http.MethodPost, "/body", strings.NewReader(strings.Repeat("a", 100))).Body.String())
	problem(t, d.do(http.MethodPost, "/body", strings.NewReader(strings.Repeat("a", 101))), web.KindTooLarge)
	// A body of unknown length is counted while it comes in.
	problem(t, d.do(http.MethodPost, "/body", io.MultiReader(strings.NewReader(strings.Repeat("a", 101)))), web.KindTooLarge)

	problem(t, d.get("/mine"), ca.KindUnauthenticated)
	require.Equal(t, `Bearer realm="imca"`, d.get("/mine").Header().Get("WWW-Authenticate"))

	p := problem(t, d.get("/slow"), ca.KindUnavailable)
	require.NotContains(t, p.Detail, "database")

	for _, target := range []string{"/open?a=%00", "/open?a=%ff", "/open%0a", "/open?a=%zz", "/open?a=b%0dc"} {
		problem(t, d.get(target), ca.KindMalformed)
	}
}

func TestFaultsAreToldToTheLogAlone(t *testing.T) {
	for path, cause := range map[string]string{"/fault": "on fire", "/panic": "no ground below"} {
		d := newDoor(t, web.Config{})
		p := problem(t, d.get(path, "X-Request-Id", "from-the-client"), web.KindInternal)
		require.Equal(t, http.StatusInternalServerError, p.Status)
		require.NotContains(t, p.Detail, cause)
		require.Contains(t, p.Detail, "from-the-client")

		faults := 0
		for line := range strings.Lines(d.log.String()) {
			if strings.Contains(line, `"level":"ERROR"`) {
				faults++
				require.Contains(t, line, cause)
				require.Contains(t, line, `"request_id":"from-the-client"`)
			}
		}
		require.Equal(t, 1, faults, d.log.String())
		require.NotContains(t, d.log.String(), "imca_secret")
	}
}

func TestRequestID(t *testing.T) {
	d := newDoor(t, web.Config{})
	require.Equal(t, "trace-0123456789", d.get("/open", "X-Request-Id", "trace-0123456789").Header().Get("X-Request-Id"))
	seen := make(map[string]bool)
	for _, bad := range []string{"", "short", "with space", "quote\"quote", strings.Repeat("a", 65), "imca_AAAAAAAAAAAAAAAA", "-leading-hyphen"} {
		id := d.get("/open", "X-Request-Id", bad).Header().Get("X-Request-Id")
		require.Regexp(t, `^req-[A-Z2-7]{26}$`, id)
		require.False(t, seen[id], "the same ID twice")
		seen[id] = true
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	d := newDoor(t, web.Config{})
	d.get("/mine", "Authorization", "Bearer imca_good")
	d.get("/mine", "Authorization", "Bearer imca_guess")
	d.get("/mine?token=imca_good", "Authorization", "Basic imca_good", "Cookie", "imca_good", "X-Request-Id", "imca_goodgood")
	d.get("/v1/tokens/imca_good")
	d.do("imca_good", "/open", nil, "User-Agent", "imca_good", "X-Forwarded-For", "imca_good")
	d.do(http.MethodPost, "/body", strings.NewReader(`{"private_key":"imca_good"}`))

	log := d.log.String()
	require.NotContains(t, log, "imca_good")
	require.NotContains(t, log, "imca_guess")
	require.Contains(t, log, `"path":"/v1/tokens/imca_…"`)
	require.Contains(t, log, `"token":"tok_1","actor":"somebody"`)
	require.Equal(t, 6, strings.Count(log, `"msg":"request"`))
}

func TestHeaders(t *testing.T) {
	d := newDoor(t, web.Config{})
	for _, target := range []string{"/open", "/nowhere", "/panic"} {
		h := d.get(target).Header()
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"))
	}
}

// TestSlowClients shows that a client that sends a byte now and then is sent away.
func TestSlowClients(t *testing.T) {
	d := newDoor(t, web.Config{})
	server := d.Server(d.handler)
	require.NotZero(t, server.ReadHeaderTimeout)
	require.NotZero(t, server.ReadTimeout)
	require.NotZero(t, server.WriteTimeout)
	require.NotZero(t, server.IdleTimeout)
	server.ReadHeaderTimeout, server.ReadTimeout = 200*time.Millisecond, 400*time.Millisecond // so that the test is quick
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	send := func(text string) string {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		answer, _ := io.ReadAll(conn)
		return string(answer)
	}
	require.Contains(t, send("POST /body HTTP/1.1\r\nHost: imca\r\nContent-Length: 50\r\n\r\nhalf"), "HTTP/1.1 408 ")
	require.NotContains(t, send("POST /body HTTP/1.1\r\nHost: im"), "HTTP/1.1 200")
}

func TestMetrics(t *testing.T) {
	d := newDoor(t, web.Config{})
	d.get("/open")
	d.get("/mine")
	d.get("/some/where/7")
	d.do("BREW", "/open", nil)
	d.metrics.Issuance("server")(ca.ResultIssued)
	d.metrics.Issuance("client")(ca.ResultRefused)
	d.metrics.WatchCertificate("https", func() time.Time { return time.Unix(1_700_000_000, 0) })

	w := httptest.NewRecorder()
	d.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`imca_http_requests_total{method="GET",route="/open",status="200"} 1`,
		`imca_http_requests_total{method="GET",route="/mine",status="401"} 1`,
		`imca_http_requests_total{method="GET",route="none",status="404"} 1`,
		`imca_http_requests_total{method="other",route="none",status="405"} 1`,
		`imca_http_request_duration_seconds_count{method="GET",route="/open"} 1`,
		`imca_issuances_total{profile="server",result="issued"} 1`,
		`imca_issuances_total{profile="client",result="refused"} 1`,
		`imca_issuance_duration_seconds_count{profile="server"} 1`,
		`imca_certificate_not_after_seconds{name="https"} 1.7e+09`,
	} {
		require.Contains(t, w.Body.String(), line+"\n")
	}
}
