package validate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
)

// Kind sorts what went wrong, in the words of RFC 8555, Section 6.7.
type Kind string

const (
	KindConnection   Kind = "connection"     // the server could not be reached
	KindDNS          Kind = "dns"            // a DNS question found no answer
	KindTLS          Kind = "tls"            // no TLS with the server
	KindUnauthorized Kind = "unauthorized"   // the server or the DNS says something else
	KindCAA          Kind = "caa"            // CAA forbids this CA to issue
	KindMalformed    Kind = "malformed"      // this method cannot prove this name, or the record is not well-formed
	KindInternal     Kind = "serverInternal" // a fault of our own; says nothing about the applicant
)

// Error is an attempt that proved nothing.
type Error struct {
	Kind   Kind
	Name   pki.Name
	Method Method // empty for CAA
	Detail string // what was seen and what to do, for the applicant
	Err    error  // the cause, if it was an error; may be nil
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// failure makes the *Error of an attempt that an error ended: what was being done
// ("fetching URL"), the error, and what to do ("let port 80 answer").
func failure(ctx context.Context, name pki.Name, method Method, doing string, err error, mend string) *Error {
	cause := err
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		cause = inner.Err // doing says the URL already
	}
	e := &Error{Kind: kindOf(err), Name: name, Method: method, Err: err, Detail: fmt.Sprintf("%s: %v; %s", doing, cause, mend)}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind, e.Detail = KindInternal, doing+": interrupted; try again"
	case e.Kind == KindInternal:
		e.Detail = fmt.Sprintf("%s: %v; try again later", doing, cause)
	}
	return e
}

func kindOf(err error) Kind {
	var (
		ownFault *clientCertificateError
		dnsErr   *egress.DNSError
		record   tls.RecordHeaderError
		limit    *egress.LimitError
		shake    *handshakeError
	)
	switch {
	case errors.As(err, &ownFault):
		return KindInternal
	case errors.As(err, &dnsErr):
		return KindDNS
	case egress.IsTimeout(err):
		return KindConnection
	case errors.As(err, &limit):
		return KindUnauthorized
	case errors.As(err, &record), errors.As(err, &shake), isAlert(err):
		return KindTLS
	}
	return KindConnection
}

// isAlert tells whether either side ended TLS with an alert; crypto/tls marks that
// by the operation alone.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// clientCertificateError is the platform's own certificate missing.
type clientCertificateError struct{ err error }

func (e *clientCertificateError) Error() string {
	return "loading the platform's client certificate: " + e.err.Error()
}

func (e *clientCertificateError) Unwrap() error { return e.err }

// shown is a stranger's text as an applicant may see it: quoted, without control
// characters, and short.
func shown(text string) string { return shownTo(80, text) }

func shownTo(most int, text string) string {
	if len(text) <= most {
		return strconv.QuoteToASCII(text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(text[:cut]) + "…"
}
