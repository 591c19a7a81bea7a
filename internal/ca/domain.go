package ca

import (
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// DomainState is where an app's claim on a name stands.
type DomainState string

// The states.
const (
	DomainPending   DomainState = "pending"           // asked for, and not proven
	DomainAwaiting  DomainState = "awaiting-approval" // an operator has to decide
	DomainValid     DomainState = "valid"             // proven or approved: certificates are issued
	DomainConflict  DomainState = "conflict"          // proven, but another app has the name: somebody has to decide
	DomainSuspended DomainState = "suspended"         // the proof could not be renewed: no certificates until it is proven again
	DomainRejected  DomainState = "rejected"          // an operator, or the app that has the name, said no
)

// DomainStates lists every state.
func DomainStates() []DomainState {
	return []DomainState{DomainPending, DomainAwaiting, DomainValid, DomainConflict, DomainSuspended, DomainRejected}
}

// Domain is an app's claim on a name: what it is to show, what it has shown, and what was decided.
type Domain struct {
	Name pki.Name // a host name or an address, never a wildcard
	App  string

	State DomainState

	// Holds says that the name is this app's: one app at most holds a name. Besides the valid and suspended ones, a pending claim holds
	// its name after a transfer, until it is proven.
	Holds bool

	// Wildcard: before the proof, that "*." before the name is wanted; after it, that it is covered.
	Wildcard bool

	// Method is the way by which the app means to prove the name, Token what it is to show (RFC 8555, Section 8). The token stays the
	// same from the claim to its end, so that the proof may stay in place and be found again.
	Method         Method
	Token          string
	ChallengeUntil time.Time // an unproven claim's challenge is good until then

	// The proof. ProvenBy is empty when there was none. Lasting says that it may still be in place, to be looked at again: it was given
	// for Token, or is a standing record. ExpiresAt is zero for what does not lapse by itself: an operator's approval.
	ProvenBy            Method
	Lasting             bool
	ProvenAt, ExpiresAt time.Time
	CheckedAt           time.Time // the last attempt
	Failure             string    // why it failed; empty when it did not
	FailingSince        time.Time // zero when it did not fail
	DueAt               time.Time // the next attempt without anybody asking; zero: none

	// Flag says why an operator decides although the policy asks for a proof alone.
	Flag string

	// Who decided, when, and why; empty when nobody had to.
	DecidedAt           time.Time
	DecidedBy, Decision string

	CreatedAt time.Time
	CreatedBy string
	Version   int // counts the changes; 0: not recorded yet
}

// Usable tells whether certificates may be issued by this claim at now.
func (d *Domain) Usable(now time.Time) bool {
	return d.State == DomainValid && d.Holds && !d.lapsed(now)
}

// lapsed tells whether the proof has ended.
func (d *Domain) lapsed(now time.Time) bool { return !d.ExpiresAt.IsZero() && !now.Before(d.ExpiresAt) }

// Open tells whether the claim is one of those that an app may have so many of.
func (d *Domain) Open() bool {
	return !d.Holds && d.State != DomainRejected
}

// approved tells whether an operator said yes to it.
func (d *Domain) approved() bool { return !d.DecidedAt.IsZero() && d.State != DomainRejected }

// fullName is the name, with the wildcard that is asked for or covered.
func (d *Domain) fullName() pki.Name {
	if d.Wildcard {
		return below(d.Name)
	}
	return d.Name
}

// Method is a way to come to a name, by its name in ACME and in CAA records.
type Method string

// The methods. Those that no ACME client knows begin with "ca-" (RFC 8657, Section 4).
const (
	MethodHTTP     Method = "http-01"        // RFC 8555, Section 8.3
	MethodDNS      Method = "dns-01"         // RFC 8555, Section 8.4
	MethodTLSALPN  Method = "tls-alpn-01"    // RFC 8737
	MethodStanding Method = "dns-persist-01" // draft-ietf-acme-dns-persist
	MethodApproved Method = "ca-approved"    // an operator's word
)

// ProofMethods lists the methods that show something to the network.
func ProofMethods() []Method { return []Method{MethodHTTP, MethodDNS, MethodTLSALPN, MethodStanding} }

// fits tells whether a method can prove a name; wildcard means what lies below it.
func (m Method) fits(n pki.Name, wildcard bool) bool {
	switch m {
	case MethodHTTP, MethodTLSALPN:
		return !wildcard
	case MethodDNS, MethodStanding:
		return !n.IsIP()
	}
	return false
}

// DomainQuery selects claims, in the order of their names from the top-level domain on, then of their apps. Empty fields select everything.
type DomainQuery struct {
	App    string
	State  DomainState
	Name   pki.Name // claims on exactly this name
	Suffix string   // claims on this name and on those below it

	Limit  int // rows wanted; the store returns no more
	Beyond DomainCursor
}

// DomainCursor is a place in a list of claims: the last one's.
type DomainCursor struct {
	Name pki.Name
	App  string
}
