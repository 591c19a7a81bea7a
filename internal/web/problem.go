package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// The kinds of refusal that HTTP itself gives rise to, beside those of internal/ca.
const (
	KindNoRoute       ca.Kind = "no-such-route"
	KindMethod        ca.Kind = "method-not-allowed"
	KindNotAcceptable ca.Kind = "not-acceptable"
	KindSlow          ca.Kind = "too-slow"
	KindTooLarge      ca.Kind = "body-too-large"
	KindMediaType     ca.Kind = "unsupported-media-type"
	KindInternal      ca.Kind = "internal"
)

// The kinds of refusal that ACME gives rise to (RFC 8555, Section 6.7).
const (
	KindBadNonce        ca.Kind = "bad-nonce"
	KindBadAlgorithm    ca.Kind = "bad-signature-algorithm"
	KindNoAccount       ca.Kind = "no-such-account"
	KindAccountEnded    ca.Kind = "account-ended"
	KindBindingRequired ca.Kind = "binding-required"
	KindTerms           ca.Kind = "terms-not-agreed"
	KindBadContact      ca.Kind = "bad-contact"
	KindContactScheme   ca.Kind = "unsupported-contact"
	KindIdentifierType  ca.Kind = "unsupported-identifier"
	KindBadProfile      ca.Kind = "no-such-profile"
	KindOrderNotReady   ca.Kind = "order-not-ready"
	KindReplaced        ca.Kind = "already-replaced"
)

// ACMEKinds are the kinds that only ACME answers with.
func ACMEKinds() []ca.Kind {
	return []ca.Kind{
		KindBadNonce, KindBadAlgorithm, KindNoAccount, KindAccountEnded, KindBindingRequired, KindTerms, KindBadContact, KindContactScheme,
		KindIdentifierType, KindBadProfile, KindOrderNotReady, KindReplaced,
	}
}

// Entry is what the doors make of one kind of refusal.
type Entry struct {
	Kind   ca.Kind
	Status int    // of the answer
	Title  string // the same for every problem of the kind
	ACME   string // the error type in the urn:ietf:params:acme:error: namespace (RFC 8555, Section 6.7)
	Mend   string // what the reader of such a problem does
}

// Type is the problem type: the path, on the same server, of a page about it (RFC 9457, Section 3.1.1).
func (e Entry) Type() string { return "/problems/" + string(e.Kind) }

// Table is the one table of problems, in the order of the documentation.
func Table() []Entry {
	return []Entry{
		{ca.KindMalformed, 400, "The request cannot be understood", "malformed",
			"Compare the request with /openapi.yaml; `errors` points at the place."},
		{KindBadNonce, 400, "The nonce cannot be used", "badNonce",
			"ACME only: repeat the request with the nonce in the header `Replay-Nonce` of this answer."},
		{KindBadAlgorithm, 400, "The signature is of a kind that is not taken", "badSignatureAlgorithm",
			"ACME only: sign with one of the `algorithms`."},
		{KindNoAccount, 400, "There is no such ACME account", "accountDoesNotExist",
			"Register the client's key with this server."},
		{KindBadContact, 400, "A contact is no mail address", "invalidContact",
			"Write `mailto:NAME@DOMAIN`, one address for each."},
		{KindContactScheme, 400, "A contact of another kind", "unsupportedContact",
			"Write `mailto:NAME@DOMAIN`: nothing else is taken."},
		{KindIdentifierType, 400, "An identifier of another type", "unsupportedIdentifier",
			"Use the types `dns` and `ip`."},
		{KindBadProfile, 400, "There is no such profile", "invalidProfile",
			"Use one of those in the directory, or none."},
		{KindAccountEnded, 401, "The ACME account has ended", "unauthorized",
			"Register again, with a new key and, where it was revoked, a new credential."},
		{KindBindingRequired, 403, "An external account binding is needed", "externalAccountRequired",
			"Ask an operator for a credential (`imca app eab`), and give it to the client."},
		{KindTerms, 403, "The terms were not agreed to", "userActionRequired",
			"Read the terms that the directory names, and have the client agree to them."},
		{KindOrderNotReady, 403, "The order cannot be finalized", "orderNotReady",
			"Wait for its authorizations, or begin a new order."},
		{KindReplaced, 409, "The certificate was replaced before", "alreadyReplaced",
			"Order without `replaces`."},
		{ca.KindUnauthenticated, 401, "No valid token", "unauthorized",
			"Send `Authorization: Bearer imca_…`. An expired or revoked token is replaced by an operator."},
		{ca.KindForbidden, 403, "Not yours to do", "unauthorized",
			"Ask with a token of a role that may, or ask an operator. `GET /v1/whoami` tells whose token it is."},
		{ca.KindNotFound, 404, "There is no such thing", "malformed",
			"Look the number or name up in the list. What belongs to another app is answered in the same way."},
		{KindNoRoute, 404, "There is no such route", "malformed",
			"Compare the path with /docs."},
		{KindMethod, 405, "The method does not fit the route", "malformed",
			"Use one of the methods in the header `Allow`."},
		{KindNotAcceptable, 406, "No such representation", "malformed",
			"Ask for one of the media types that `detail` lists, or leave the header `Accept` out."},
		{KindSlow, 408, "The request took too long to arrive", "malformed",
			"Send the request again, in one go."},
		{ca.KindConflict, 409, "The state does not allow it", "malformed",
			"`detail` tells the state; read the object again before the next try."},
		{ca.KindRevoked, 409, "Revoked already", "alreadyRevoked",
			"Nothing is left to do, unless the key leaked: the reason keyCompromise may still be added."},
		{ca.KindInProgress, 409, "The same request is being worked on", "serverInternal",
			"Repeat the request, with the same `Idempotency-Key`, after the seconds in `Retry-After`."},
		{KindTooLarge, 413, "The body is too large", "malformed",
			"Split the request. No request that is in order comes near the limit."},
		{KindMediaType, 415, "The body is of another media type", "malformed",
			"Send JSON with the header `Content-Type: application/json` (curl: `--json`)."},
		{ca.KindInvalid, 422, "A field is out of its bounds", "malformed",
			"`errors` names each field and its bounds."},
		{ca.KindRejectedName, 422, "A name that is not certified here", "rejectedIdentifier",
			"`errors` names each name at fault. A name that the app may not have yet is allowed by an operator."},
		{ca.KindUnproven, 403, "A name that is not proven to be yours", "unauthorized",
			"`errors` says of each name how to prove it; then repeat the request."},
		{ca.KindCAA, 403, "The name's owner allows no certificate from here", "caa",
			"Publish the CAA record that `detail` shows, or ask whoever runs the name's DNS."},
		{ca.KindProofReach, 422, "The server of the proof cannot be reached", "connection",
			"Let the server answer from outside as `detail` says, then verify again."},
		{ca.KindProofDNS, 422, "The DNS does not answer about the name", "dns",
			"Mend the name's DNS as `detail` says, then verify again."},
		{ca.KindProofTLS, 422, "No TLS with the server of the proof", "tls",
			"Mend the server as `detail` says, then verify again, or use another method."},
		{ca.KindProofWrong, 422, "The proof is not there", "unauthorized",
			"Put what `detail` shows to the place that it names, then verify again."},
		{ca.KindBadCSR, 422, "The CSR is unfit", "badCSR",
			"Make a new CSR as `detail` says, or leave it out and have the key made."},
		{ca.KindBadKey, 422, "The public key is unfit", "badPublicKey",
			"Make a new key of a type that `GET /v1/profiles` lists."},
		{ca.KindBadReason, 422, "The revocation reason does not fit", "badRevocationReason",
			"Use one of the reasons that `detail` lists."},
		{ca.KindKeyReused, 422, "The Idempotency-Key belongs to another request", "malformed",
			"Use a new key for a new request; repeat the earlier request unchanged to find its result."},
		{ca.KindRateLimited, 429, "Too many requests", "rateLimited",
			"Wait for the seconds in `Retry-After`."},
		{KindInternal, 500, "A fault of the server", "serverInternal",
			"Repeat the request with the same `Idempotency-Key`. If it stays, give the `request_id` to the operator, whose log has the cause."},
		{ca.KindUnavailable, 503, "Not at this moment", "serverInternal",
			"Repeat the request after the seconds in `Retry-After`, or ask the operator."},
	}
}

// EntryOf finds a kind in the table.
func EntryOf(kind ca.Kind) (Entry, bool) {
	table := Table()
	i := slices.IndexFunc(table, func(e Entry) bool { return e.Kind == kind })
	if i < 0 {
		return Entry{}, false
	}
	return table[i], true
}

// ProblemType is the media type of a problem document (RFC 9457, Section 3).
const ProblemType = "application/problem+json"

// Problem is a problem document (RFC 9457). It is what a refusal looks like on the wire, not an error.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"` // what is wrong, and what to do
	RequestID string  `json:"request_id"`
	Errors    []Fault `json:"errors,omitempty"`

	// RetryAfter is how long to wait before asking again, sent as a header in whole seconds; zero says nothing.
	RetryAfter time.Duration `json:"-"`

	// Entry is the line of the table that the problem was made by.
	Entry Entry `json:"-"`
}

// Fault is one field at fault: in the body, by its JSON pointer (RFC 6901), or in the query, by its name.
type Fault struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

// Refuse is a refusal of the door itself.
func Refuse(kind ca.Kind, format string, args ...any) *ca.Error {
	return &ca.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Explain makes a problem of an error. What is no refusal is a fault: it is logged here, and only here, and shown as "internal".
func (f *Frame) Explain(r *http.Request, err error) Problem {
	refusal := f.refusal(r, err)
	entry, known := EntryOf(refusal.Kind)
	if !known {
		f.log.ErrorContext(r.Context(), "a kind of refusal is not in the table of problems", "kind", refusal.Kind, "request_id", RequestID(r.Context()))
		entry, _ = EntryOf(KindInternal)
	}
	p := Problem{
		Type: entry.Type(), Title: entry.Title, Status: entry.Status, Detail: refusal.Detail, RequestID: RequestID(r.Context()),
		RetryAfter: refusal.RetryAfter, Entry: entry,
	}
	for _, fault := range refusal.Faults {
		p.Errors = append(p.Errors, newFault(fault.Field, fault.Detail))
	}
	if len(p.Errors) == 0 && refusal.Field != "" {
		p.Errors = []Fault{newFault(refusal.Field, refusal.Detail)}
	}
	return p
}

func newFault(field, detail string) Fault {
	if strings.HasPrefix(field, "/") {
		return Fault{Pointer: field, Detail: detail}
	}
	return Fault{Parameter: field, Detail: detail}
}

// refusal finds the refusal in an error, or makes one of a fault.
func (f *Frame) refusal(r *http.Request, err error) *ca.Error {
	var refusal *ca.Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, context.DeadlineExceeded):
		f.log.WarnContext(r.Context(), "a request took too long", "error", err.Error(), "request_id", RequestID(r.Context()))
		refusal = Refuse(ca.KindUnavailable, "The server is too busy to answer in time: repeat the request in a few seconds, with the same Idempotency-Key if it creates something.")
		refusal.RetryAfter = 5 * time.Second
		return refusal
	case r.Context().Err() != nil:
		// Nobody waits for this answer any more, so it is no fault of ours.
		return Refuse(ca.KindUnavailable, "The request was given up: repeat it.")
	}
	f.log.ErrorContext(r.Context(), "a request failed", "error", Redact(err.Error()), "method", Redact(r.Method), "path", Redact(r.URL.Path),
		"request_id", RequestID(r.Context()))
	return Refuse(KindInternal, "This is a fault of the server, not of the request: repeat it, and if it stays, give the operator the request ID %s.",
		RequestID(r.Context()))
}

// Problem answers a request with the problem that an error is.
func (f *Frame) Problem(w http.ResponseWriter, r *http.Request, err error) {
	f.Explain(r, err).write(w)
}

func (p Problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encoding a problem: %v", err)) // a struct of texts
	}
	h := w.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="imca"`) // RFC 6750, Section 3.
	}
	h.Set("Content-Type", ProblemType)
	h.Set("Cache-Control", "no-store")
	for _, name := range []string{"ETag", "Location", "Content-Disposition", "Content-Length", "Repr-Digest"} {
		h.Del(name) // they would tell of another body
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}
