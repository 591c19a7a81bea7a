package web

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// Live answers that the process runs. It asks nobody, so a balancer that goes by it does not restart a process because its database is away.
func (f *Frame) Live(w http.ResponseWriter, _ *http.Request) error { return ok(w) }

// Ready answers whether requests can be served: the database answers and an authority is loaded. What is wrong goes to the log.
func (f *Frame) Ready(c *ca.CA) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		if err := c.Ready(ctx); err != nil {
			f.log.WarnContext(r.Context(), "not ready", "error", err.Error(), "request_id", RequestID(r.Context()))
			refusal := Refuse(ca.KindUnavailable, "The database does not answer, or no authority is loaded: the server's log tells which.")
			refusal.RetryAfter, refusal.Err = 5*time.Second, err
			return refusal
		}
		return ok(w)
	}
}

func ok(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, `{"status":"ok"}`+"\n")
	return err
}

// Ops is the handler for the operators' own listener: metrics, and the health of the process.
func (f *Frame) Ops(c *ca.CA) http.Handler {
	r := f.Router()
	r.Get("/healthz", f.Public(f.Live))
	r.Get("/readyz", f.Public(f.Ready(c)))
	r.Method(http.MethodGet, "/metrics", f.metrics.Handler())
	return r
}
