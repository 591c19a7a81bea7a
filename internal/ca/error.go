package ca

import (
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of refusal an Error is. The doors turn it into a status and a problem type by one table (internal/web).
type Kind string

// The kinds of refusal.
const (
	KindMalformed       Kind = "malformed"       // the request cannot be understood
	KindInvalid         Kind = "invalid"         // understood, but a field is out of its bounds
	KindRejectedName    Kind = "rejected-name"   // a name that this CA, or this app's policy, does not certify
	KindUnproven        Kind = "unproven"        // a name that the app could have, if it proved it or an operator approved it
	KindProofReach      Kind = "proof-unreached" // the server where a proof should be cannot be reached
	KindProofDNS        Kind = "proof-dns"       // the DNS gives no answer about a name
	KindProofTLS        Kind = "proof-tls"       // no TLS with the server where a proof should be
	KindProofWrong      Kind = "proof-missing"   // what is there is not the proof
	KindCAA             Kind = "caa"             // the owner of a name forbids it to this CA
	KindBadCSR          Kind = "bad-csr"         // the certificate signing request is unfit
	KindBadKey          Kind = "bad-public-key"  // the public key is weak, blocked, or of a type the profile does not allow
	KindBadReason       Kind = "bad-reason"      // a revocation reason that does not fit
	KindUnauthenticated Kind = "unauthenticated" // nobody, or nobody any more: no, unknown, expired or revoked token
	KindForbidden       Kind = "forbidden"       // known, but this is not theirs to do
	KindNotFound        Kind = "not-found"       // nothing by that name that the caller may see
	KindConflict        Kind = "conflict"        // another state than the act needs
	KindRevoked         Kind = "already-revoked" // revoked before
	KindInProgress      Kind = "in-progress"     // the same request is being worked on
	KindKeyReused       Kind = "idempotency-key" // an Idempotency-Key that came with another request before
	KindRateLimited     Kind = "rate-limited"    // too many; RetryAfter says when
	KindUnavailable     Kind = "unavailable"     // not now: a resting authority, a busy key maker
)

// Error is a refusal that its reader can act on. Whatever else a verb returns is a fault of ours: the doors show it as "internal" and log it.
type Error struct {
	Kind Kind

	// Detail says what is wrong and what to do next, in whole sentences, for the person who asked.
	Detail string

	// Field is the RFC 6901 JSON pointer of the field at fault in the request, such as "/domains/2"; empty when none is.
	Field string

	// Faults are further faults, where a request has several.
	Faults []Fault

	// RetryAfter is how long to wait before asking again; zero says nothing.
	RetryAfter time.Duration

	// Err is the cause, for the log; it may be nil.
	Err error
}

// Fault is one field's fault within an Error.
type Fault struct {
	Field  string
	Detail string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Kind, e.Detail)
	for _, f := range e.Faults {
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Detail)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(kind Kind, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Detail: fmt.Sprintf(format, args...)}
}
