// Package web is what all HTTP doors share: the frame that each of them hangs in.
//
// It turns a token into a principal (Private), a refusal into a problem document by one table (Problem, docs/problems.md), limits how
// often, how much and how long anybody may ask, and writes the request log and the metrics.
//
// It holds to these promises: what is limited is limited before it costs a look-up in the database; a fault of ours is told to nobody but
// the log, once, under the request's ID; no token, body or key is ever logged; the caller's address is the connection's, whatever the
// headers claim, unless the connection comes from a proxy that the configuration trusts.
//
// It knows no route and makes no decision that internal/ca makes.
package web

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/imca-project/imca/internal/ca"
)

// Config is what a Frame is made of. Authenticate is required; the zero value of the rest works.
type Config struct {
	// Authenticate turns a token as it was sent, which is empty where none was, into the principal who holds it: CA.Authenticate.
	Authenticate func(ctx context.Context, secret, address, requestID string) (ca.Principal, error)

	// Machine turns the client certificates of a connection, where no token was sent, into the principal whose machine it is:
	// CA.AuthenticateMachine. nil: they count for nothing.
	Machine func(ctx context.Context, chain []*x509.Certificate, address, requestID string) (ca.Principal, error)

	// TrustedProxies are the proxies whose X-Forwarded-For is believed. From anybody else the header is ignored.
	TrustedProxies []netip.Prefix

	// Limits bound how often somebody may ask.
	Limits Limits

	// MaxBody is the largest body of a request, in bytes. Zero means 1 MiB.
	MaxBody int64

	// Timeout is how long a request may take, waiting for the database included. Zero means 30 s.
	Timeout time.Duration

	// Metrics count the requests; nil means some that nobody reads.
	Metrics *Metrics

	// Now tells the time; nil means time.Now.
	Now func() time.Time

	// Log gets the request log, and the faults that no caller is told; nil means slog.Default.
	Log *slog.Logger
}

// Frame is what a door hangs in. Its methods are safe for concurrent use, and all doors of a process share one, so that a limit counts the
// requests to all of them.
type Frame struct {
	authenticate func(ctx context.Context, secret, address, requestID string) (ca.Principal, error)
	machine      func(ctx context.Context, chain []*x509.Certificate, address, requestID string) (ca.Principal, error)
	proxies      []netip.Prefix
	maxBody      int64
	timeout      time.Duration
	metrics      *Metrics
	now          func() time.Time
	log          *slog.Logger

	addresses *limiter // every request, by address
	failures  *limiter // failed authentications, by address
	tokens    *limiter // requests with a token that was found good, by its hash
}

// New returns a frame.
func New(cfg Config) *Frame {
	f := &Frame{
		authenticate: cfg.Authenticate,
		machine:      cfg.Machine,
		proxies:      cfg.TrustedProxies,
		maxBody:      cmp.Or(cfg.MaxBody, 1<<20),
		timeout:      cmp.Or(cfg.Timeout, 30*time.Second),
		metrics:      cfg.Metrics,
		now:          cfg.Now,
		log:          cmp.Or(cfg.Log, slog.Default()),
		addresses:    newLimiter(cfg.Limits.Address.or(defaultLimits.Address), 0),
		failures:     newLimiter(cfg.Limits.Failures.or(defaultLimits.Failures), 0),
		tokens:       newLimiter(cfg.Limits.Token.or(defaultLimits.Token), tokenMemory),
	}
	if f.now == nil {
		f.now = time.Now
	}
	if f.metrics == nil {
		f.metrics = NewMetrics(nil)
	}
	return f
}

// Now is the time by the frame's clock.
func (f *Frame) Now() time.Time { return f.now() }

// Router returns a router inside the frame, for a door to put its routes on. Unknown paths and methods are answered with problems, and
// HEAD is served wherever GET is.
func (f *Frame) Router() *chi.Mux {
	r := chi.NewRouter()
	r.Use(f.around, middleware.GetHead)
	r.NotFound(f.Public(func(_ http.ResponseWriter, r *http.Request) error {
		return Refuse(KindNoRoute, "Nothing is served at %s: /docs shows every route.", Redact(r.URL.Path))
	}))
	r.MethodNotAllowed(f.Public(func(w http.ResponseWriter, r *http.Request) error {
		allowed := methodsAt(r)
		w.Header().Set("Allow", allowed)
		return Refuse(KindMethod, "%s is not possible here: use one of %s.", r.Method, allowed)
	}))
	return r
}

// Server returns a server for a handler, with limits for clients that send or read slowly. Its owner sets Addr and TLSConfig.
func (f *Frame) Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second, // a whole body of MaxBody, at 50 kB/s
		WriteTimeout:      2 * f.timeout,    // the work, and as long again to take the answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelDebug), // broken handshakes and the like: not ours to mend
	}
}
