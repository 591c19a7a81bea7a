package web

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
)

// around is what happens around every request: ID, headers, limits, a deadline, and at the end a line in the log and the metrics.
func (f *Frame) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := f.now()
		id := requestID(r)
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestIDKey{}, id), f.timeout)
		defer cancel()
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		setHeaders(rec.Header(), id)

		defer f.record(rec, r, start)
		defer f.recoverPanic(rec, r)
		if err := f.admit(rec, r, start); err != nil {
			f.Problem(rec, r, err)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// admit refuses what need not even be routed, and bounds the body of the rest.
func (f *Frame) admit(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if wait := f.addresses.take(networkOf(f.Address(r)), now); wait > 0 {
		return rateLimited(wait, "your address")
	}
	// Neither a database nor a log line takes such characters, and no name, number or path of ours has them.
	query, err := unescapedQuery(r)
	if err != nil || !isText(r.URL.Path) || !isText(query) {
		return Refuse(ca.KindMalformed, "The URL has control characters, bytes that are not UTF-8, or a broken %%-escape: take them out.")
	}
	if r.ContentLength > f.maxBody {
		return tooLarge(f.maxBody)
	}
	r.Body = http.MaxBytesReader(w, r.Body, f.maxBody)
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// setHeaders sets what belongs to every answer. Doors that serve what may be kept, or pages, override it.
//
// There is no Strict-Transport-Security: CA certificates, CRL and OCSP are served by plain HTTP, under the same host name.
func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

func (f *Frame) recoverPanic(rec *recorder, r *http.Request) {
	switch fault := recover(); fault {
	case nil:
	case http.ErrAbortHandler:
		panic(fault) // the way of net/http to drop a connection
	default:
		f.log.ErrorContext(r.Context(), "a request panicked", "panic", fault, "stack", string(debug.Stack()),
			"method", Redact(r.Method), "path", Redact(r.URL.Path), "request_id", RequestID(r.Context()))
		if rec.status == 0 {
			f.Problem(rec, r, Refuse(KindInternal, "This is a fault of the server, not of the request: give the operator the request ID %s.", RequestID(r.Context())))
		}
	}
}

// record writes the line of the request log, and counts. The path is told without whatever looks like a token; the query, the headers and
// the body are not told at all.
func (f *Frame) record(rec *recorder, r *http.Request, start time.Time) {
	took := f.now().Sub(start)
	route := ""
	if c := chi.RouteContext(r.Context()); c != nil {
		route = c.RoutePattern()
	}
	if rec.status == 0 {
		rec.status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	f.metrics.request(r.Method, route, rec.status, took)

	level := slog.LevelInfo
	if route == "/healthz" || route == "/readyz" {
		level = slog.LevelDebug // asked every few seconds, for ever
	}
	f.log.Log(r.Context(), level, "request",
		"request_id", RequestID(r.Context()), "method", Redact(r.Method), "path", Redact(r.URL.Path), "route", route, "status", rec.status,
		"bytes", rec.bytes, "ms", float64(took.Microseconds())/1000, "address", f.Address(r),
		"token", rec.principal.Token, "actor", rec.principal.Name)
}

// recorder remembers what was answered, and to whom.
type recorder struct {
	http.ResponseWriter
	status    int
	bytes     int64
	principal ca.Principal
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type requestIDKey struct{}

// RequestID is the ID of a request that came through a frame.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

var saneID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$`)

// requestID is what the client or a proxy called the request, if that can stand in a log and is no token by mistake, or else a new ID.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneID.MatchString(id) && Redact(id) == id {
		return id
	}
	return "req-" + rand.Text()
}

var tokenText = regexp.MustCompile(`imca_[A-Za-z0-9_-]+`)

// Redact takes tokens out of a text that is meant for a log.
func Redact(s string) string { return tokenText.ReplaceAllString(s, "imca_…") }

// methodsAt lists the methods that the route of a request does have, for the header Allow.
func methodsAt(r *http.Request) string {
	c := chi.RouteContext(r.Context())
	path := c.RoutePath
	if path == "" {
		path = r.URL.Path
	}
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if c.Routes.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
			if m == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return strings.Join(methods, ", ")
}
