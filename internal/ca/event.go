package ca

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Outcome is how an act ended, as far as its event can tell.
type Outcome string

// The outcomes.
const (
	OutcomeDone    Outcome = "done"    // committed together with the act
	OutcomeRefused Outcome = "refused" // the caller was not allowed, or asked for what the CA does not do
)

// Event is one line of the audit log. It is committed in the transaction of the act that it tells of, and never changed.
type Event struct {
	ID      uuid.UUID // version 7 (RFC 9562, Section 5.7), made from At: in the order of time
	At      time.Time
	Action  Action
	Outcome Outcome

	// Actor, Role, Token, Address and RequestID are the principal's.
	Actor     string
	Role      Role
	Token     string
	Address   string
	RequestID string

	// App is the app whose object it is; empty for the platform's own.
	App string

	// Object is what was acted upon: a serial, the ID of an app or a token, the name of an authority.
	Object string

	// Detail is what else is worth knowing, in a few words per key; never a secret.
	Detail map[string]string
}

// EventQuery selects events, newest first. Empty fields select everything.
type EventQuery struct {
	App, Actor, Object string
	Action             Action
	Outcome            Outcome
	After, Before      time.Time // At ≥ After, At < Before; the order of IDs is that of time, see FirstEventID

	Limit  int       // rows wanted; the store returns no more
	Beyond uuid.UUID // only events older than this one; zero: from the newest
}

// newEventID returns a version 7 UUID for an event at t: its microsecond (RFC 9562, Section 6.2, method 3), then 62 random bits.
func newEventID(t time.Time) uuid.UUID {
	id := FirstEventID(t)
	rand.Read(id[8:])
	id[8] = id[8]&0x3f | 0x80
	return id
}

// FirstEventID is the smallest ID that an event at t, in microseconds, can have: what bounds a range of time in the order of IDs.
func FirstEventID(t time.Time) uuid.UUID {
	var id uuid.UUID
	micros := t.UnixMicro()
	binary.BigEndian.PutUint64(id[:8], uint64(micros/1000)<<16|0x7000|uint64(micros%1000)*4096/1000)
	id[8] = 0x80
	return id
}

// Act is what goes with every change into the store: the event, and the caller's claim to have asked once. They are committed with the
// change, or nothing is.
type Act struct {
	Event Event
	Claim *Claim
}

// Claim makes a creating request idempotent: the first use of a key records what it made, a second finds that instead of making another.
// Claims are the caller's own, and are forgotten after ClaimLife.
type Claim struct {
	Scope   string   // whose key it is: "token:…"
	Key     string   // the Idempotency-Key as it came, 1–255 characters
	Request [32]byte // SHA-256 over what was asked, so that a key used for something else is noticed
	Object  string   // what was made: a serial, an app's or a token's ID
	At      time.Time
}

// ClaimLife is how long a claim is remembered.
const ClaimLife = 24 * time.Hour
