package acme

import (
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Status is the state of an account, an order, an authorization or a challenge (RFC 8555, Section 7.1.6).
type Status string

// The states. Not every object has all of them.
const (
	StatusPending     Status = "pending"
	StatusReady       Status = "ready"
	StatusProcessing  Status = "processing"
	StatusValid       Status = "valid"
	StatusInvalid     Status = "invalid"
	StatusDeactivated Status = "deactivated"
	StatusRevoked     Status = "revoked"
	StatusExpired     Status = "expired"
)

// Account is a key pair that acts for an app.
type Account struct {
	ID         string
	App        string
	Binding    string   // the ID of the credential by which it came to the app; empty for an account of the open app
	Key        []byte   // the public key, JWK
	Thumbprint [32]byte // of the key; no two accounts share one
	Contact    []string // URLs
	Status     Status   // valid or deactivated
	CreatedAt  time.Time
	Version    int // counts the changes

	// BindingRevoked tells, when an account is read, that its credential was revoked, which ends the account too.
	BindingRevoked bool
}

// Order is the wish of an account for a certificate.
type Order struct {
	ID       string
	Account  string
	Names    []pki.Name
	Profile  string
	Replaces pki.Serial // the certificate that it renews; zero for none

	// NotBefore and NotAfter are the ends of the certificate's validity as wished; zero leaves them to the CA.
	NotBefore, NotAfter time.Time

	CreatedAt, ExpiresAt time.Time

	// Serial is that of the certificate; zero until it is issued.
	Serial pki.Serial
}

// Authorization is what an account has shown for one name, within an order or by itself.
type Authorization struct {
	ID      string
	Account string
	Order   string // empty for one that was asked for by itself
	Place   int    // of the name in the order
	Name    pki.Name
	Status  Status // pending, valid, invalid or deactivated
	Token   string // of its challenges (RFC 8555, Section 8)

	// The challenge that was taken up, empty before that; and why it failed.
	Method  ca.Method
	Failure Failure

	// AttemptedAt is when a server last began to look at the challenge. It goes on for attemptLife; a server that ended meanwhile leaves it to another.
	AttemptedAt time.Time

	ValidatedAt time.Time // zero: not yet
	CreatedAt   time.Time
	ExpiresAt   time.Time
	Version     int // counts the changes
}

// Failure is why something failed, as its owner is told. It is zero where nothing did.
type Failure struct {
	Kind   ca.Kind
	Detail string
}

// at is the status of an authorization at some moment.
func (a *Authorization) at(now time.Time) Status {
	if (a.Status == StatusPending || a.Status == StatusValid) && !now.Before(a.ExpiresAt) {
		return StatusExpired
	}
	return a.Status
}

// at is the status of an order at some moment (RFC 8555, Section 7.1.6).
func (o *Order) at(now time.Time, authorizations []Authorization) Status {
	if !o.Serial.IsZero() {
		return StatusValid
	}
	if !now.Before(o.ExpiresAt) {
		return StatusInvalid
	}
	status := StatusReady
	for _, a := range authorizations {
		switch a.at(now) {
		case StatusValid:
		case StatusPending:
			status = StatusPending
		default:
			return StatusInvalid
		}
	}
	return status
}
