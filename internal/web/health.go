package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// Live answers that the process runs. It asks nobody, so a balancer that goes by it does not restart a process because its database is away.
func (f *Frame) Live(w http.ResponseWriter, _ *http.Request) error { return ok(w) }

// Ready answers whether requests can be served: the database answers and an authority is loaded. What is wrong goes to the log. Beside it
// stands what was found by the latest look at the revocation status that is served: faults there do not make a server unready, for if they
// did, a balancer would take all of them away, and what they still serve well.
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
		answer := readiness{Status: "ok"}
		for _, report := range c.RevocationReports() {
			answer.Revocation = append(answer.Revocation, revocationState{
				Authority: report.Authority, LookedAt: report.At, CRLNumber: report.Number, CRLNextUpdate: report.NextUpdate, CRLEntries: report.Entries,
				Faults: append([]string{}, report.Faults...),
			})
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(answer)
	}
}

// readiness is the answer of Ready.
type readiness struct {
	Status     string            `json:"status"`
	Revocation []revocationState `json:"revocation,omitempty"`
}

type revocationState struct {
	Authority     string    `json:"authority"`
	LookedAt      time.Time `json:"looked_at"`
	CRLNumber     int64     `json:"crl_number,omitempty"`
	CRLNextUpdate time.Time `json:"crl_next_update,omitzero"`
	CRLEntries    int       `json:"crl_entries"`
	Faults        []string  `json:"faults"`
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
