package ca

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Status is the state of a certificate at some moment.
type Status string

// The states. A revoked certificate stays revoked when it expires.
const (
	StatusPending Status = "pending" // recorded, but no signature is committed
	StatusValid   Status = "valid"
	StatusExpired Status = "expired"
	StatusRevoked Status = "revoked"
)

// Statuses lists every state.
func Statuses() []Status { return []Status{StatusPending, StatusValid, StatusExpired, StatusRevoked} }

// Usage is the one extended key usage of a leaf, by its name in RFC 5280, Section 4.2.1.12.
type Usage string

// The usages. A certificate has one of them, never both.
const (
	UsageServerAuth  Usage = "serverAuth"
	UsageClientAuth  Usage = "clientAuth"
	UsageOCSPSigning Usage = "OCSPSigning" // of the CA's own responders
)

// Certificate is one issuance: what was recorded before signing, and, once committed, its signature and revocation.
type Certificate struct {
	Serial    pki.Serial
	Authority string // who signs it
	Profile   string
	Usage     Usage
	App       string // whose it is; empty for the platform's own, and only for those: a developer's is for UsageServerAuth alone

	// RequestedBy is the name of the principal who asked.
	RequestedBy string

	Names    []pki.Name // as in the certificate, the first one is the subject's common name where it fits
	KeyType  pki.KeyType
	SPKIHash [32]byte // SHA-256 over the SubjectPublicKeyInfo

	NotBefore, NotAfter time.Time // inclusive on both ends, whole seconds
	CreatedAt           time.Time

	// Replaces is the certificate that this one renews; zero for none.
	Replaces pki.Serial

	// TBS is the DER of the to-be-signed certificate, as committed before the key was used.
	TBS []byte

	// Signature and Fingerprint (SHA-256 over the certificate's DER) are empty while the certificate is pending.
	Signature   []byte
	Fingerprint [32]byte

	// Revocation is nil for a certificate that is not revoked.
	Revocation *Revocation
}

// Revocation is the end of a certificate before its time.
type Revocation struct {
	At     time.Time
	Reason pki.Reason
	By     string // the principal's name
}

// Status is the state at now. Validity includes its last second (RFC 5280, Section 4.1.2.5).
func (c *Certificate) Status(now time.Time) Status {
	switch {
	case c.Revocation != nil:
		return StatusRevoked
	case len(c.Signature) == 0:
		return StatusPending
	case now.Truncate(time.Second).After(c.NotAfter):
		return StatusExpired
	default:
		return StatusValid
	}
}

// DER is the signed certificate, or nil while it is pending.
func (c *Certificate) DER() ([]byte, error) {
	if len(c.Signature) == 0 {
		return nil, nil
	}
	return pki.AssembleCertificate(c.TBS, c.Signature)
}

// CertificateQuery selects certificates. Empty fields select everything. The order is what an index can give, by the first of these that is set:
//
//   - Domain: newest first.
//   - Suffix: by name, read from its end ("com.example.www"), then oldest first; a certificate stands once, at the first of its names that fits.
//   - Fingerprint, SPKIHash: newest first.
//   - Status: pending, newest first; revoked, latest revocation first; valid, soonest expiry first; expired, latest expiry first. The last two are newest
//     first when IssuedAfter or IssuedBefore says more than ExpiresAfter and ExpiresBefore, which are not set then.
//   - ExpiresAfter, ExpiresBefore: soonest expiry first.
//
// Otherwise newest first.
type CertificateQuery struct {
	Domain      pki.Name // certificates that carry exactly this name
	Suffix      string   // certificates with a host name that is, or ends in "." and, this, in normal form: "example.com"
	App         string
	Authority   string
	Profile     string
	Status      Status
	Fingerprint *[32]byte
	SPKIHash    *[32]byte

	ExpiresAfter, ExpiresBefore time.Time // NotAfter ≥ ExpiresAfter, NotAfter < ExpiresBefore
	IssuedAfter, IssuedBefore   time.Time // CreatedAt ≥ IssuedAfter, CreatedAt < IssuedBefore

	Now    time.Time // what Status is judged at; required with Status
	Limit  int       // rows wanted; the store returns no more
	Beyond Cursor    // only rows beyond this one in the order; empty: from the first
}

// Cursor is a place in a list: the sort key of a row, in the order of the query that found it. Stores make cursors; others pass them on.
type Cursor struct {
	Name   string // the reversed name, in lists by name
	Time   time.Time
	Serial pki.Serial
}

// IsZero tells whether the cursor is the beginning of a list.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String is the cursor as a client sees it: opaque, URL-safe.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	text := strings.Join([]string{c.Name, c.Time.UTC().Format(time.RFC3339Nano), c.Serial.String()}, " ")
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	bad := refuse(KindInvalid, "cursor", "This cursor is not one of ours: take it unchanged from \"next\" of the page before, or leave it out to start from the first page.")
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Cursor{}, bad
	}
	parts := strings.Split(string(text), " ")
	if len(parts) != 3 {
		return Cursor{}, bad
	}
	// What we made is ASCII; databases would choke on other things.
	if strings.ContainsFunc(parts[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Cursor{}, bad
	}
	at, err := time.Parse(time.RFC3339Nano, parts[1])
	if err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return Cursor{}, bad
	}
	serial, err := pki.ParseSerial(parts[2])
	if err != nil {
		return Cursor{}, bad
	}
	return Cursor{Name: parts[0], Time: at.UTC(), Serial: serial}, nil
}

// CertificatePage is one page of a list. Next is zero when there is no more.
type CertificatePage struct {
	Items []*Certificate
	Next  Cursor
}

// ParseFingerprint reads a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed.
func ParseFingerprint(s string) ([32]byte, error) {
	var f [32]byte
	raw, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(raw) != len(f) {
		return f, refuse(KindInvalid, "fingerprint_sha256", "A fingerprint is the SHA-256 of the certificate's DER: 64 hexadecimal digits.")
	}
	return [32]byte(raw), nil
}
