package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/acme/jws"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

const problemTypes = "urn:ietf:params:acme:error:"

// problem is an error as ACME shows it (RFC 8555, Section 6.7).
type problem struct {
	Type        string       `json:"type"`
	Detail      string       `json:"detail"`
	Status      int          `json:"status,omitempty"`
	Subproblems []subproblem `json:"subproblems,omitempty"`
	RequestID   string       `json:"request_id,omitempty"`
	Algorithms  []string     `json:"algorithms,omitempty"` // RFC 8555, Section 6.2: with badSignatureAlgorithm
}

// subproblem is one identifier's fault (RFC 8555, Section 6.7.1).
type subproblem struct {
	Type       string     `json:"type"`
	Detail     string     `json:"detail"`
	Identifier identifier `json:"identifier"`
}

// identifiersError is a refusal whose faults point at the identifiers of an order, as "/domains/2".
type identifiersError struct {
	refusal *ca.Error
	given   []identifier
	kinds   []ca.Kind // of each fault; nil: they are the refusal's
}

func (e *identifiersError) Error() string { return e.refusal.Error() }
func (e *identifiersError) Unwrap() error { return e.refusal }

// aboutIdentifiers says which identifiers the faults of a refusal mean. Other errors stay as they are.
func aboutIdentifiers(err error, given []identifier) error {
	var refusal *ca.Error
	if !errors.As(err, &refusal) {
		return err
	}
	return &identifiersError{refusal: refusal, given: given}
}

// subproblems are the faults that mean one identifier each.
func (e *identifiersError) subproblems(faults []web.Fault) (list []subproblem) {
	for n, fault := range faults {
		i, err := strconv.Atoi(strings.TrimPrefix(fault.Pointer, "/domains/"))
		if err != nil || i < 0 || i >= len(e.given) {
			continue
		}
		kind := e.refusal.Kind
		if e.kinds != nil {
			kind = e.kinds[n]
		}
		entry, _ := web.EntryOf(kind)
		list = append(list, subproblem{Type: problemTypes + entry.ACME, Detail: fault.Detail, Identifier: e.given[i]})
	}
	return list
}

// statuses are those that RFC 8555 fixes where docs/problems.md has another one.
var statuses = map[ca.Kind]int{
	ca.KindRevoked:      http.StatusBadRequest, // Section 7.6
	ca.KindRejectedName: http.StatusForbidden,  // Section 7.4.1
	ca.KindBadCSR:       http.StatusBadRequest,
	ca.KindBadKey:       http.StatusBadRequest,
	ca.KindBadReason:    http.StatusBadRequest,
	ca.KindInvalid:      http.StatusBadRequest,
}

// problem answers with the problem that an error is.
func (d *door) problem(w http.ResponseWriter, r *http.Request, err error) {
	explained := d.Frame.Explain(r, understood(err))
	p := problem{Type: problemTypes + explained.Entry.ACME, Detail: explained.Detail, Status: explained.Status, RequestID: explained.RequestID}
	if status, fixed := statuses[explained.Entry.Kind]; fixed {
		p.Status = status
	}
	var about *identifiersError
	if errors.As(err, &about) {
		p.Subproblems = about.subproblems(explained.Errors)
	}
	if explained.Entry.Kind == web.KindBadAlgorithm {
		p.Algorithms = jws.Algorithms()
	}
	body, fault := json.Marshal(p)
	if fault != nil {
		panic(fmt.Sprintf("encoding a problem: %v", fault)) // a struct of texts
	}
	h := w.Header()
	if explained.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(explained.RetryAfter.Seconds()))))
	}
	h.Set("Content-Type", web.ProblemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// understood makes a refusal of what is wrong with a signed request.
func understood(err error) error {
	var fault *jws.Error
	if !errors.As(err, &fault) {
		return err
	}
	kind := ca.KindMalformed
	switch fault.Fault {
	case jws.BadAlgorithm:
		kind = web.KindBadAlgorithm
	case jws.BadKey:
		kind = ca.KindBadKey
	}
	return web.Refuse(kind, "%s", fault.Detail)
}

// show is a failure that was kept, as ACME shows it.
func (f Failure) show() *problem {
	if f.Kind == "" {
		return nil
	}
	if entry, known := web.EntryOf(f.Kind); known {
		return &problem{Type: problemTypes + entry.ACME, Detail: f.Detail, Status: entry.Status}
	}
	return &problem{Type: problemTypes + "serverInternal", Detail: f.Detail}
}
