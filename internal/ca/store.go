package ca

import (
	"context"
	"errors"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Store keeps the records of the CA.
//
// Every method is one atomic change, its event included: it happened whole when the method returns nil, and not at all, or whole, when it
// returns an error (a connection may break between the commit and the answer; every verb is written for both). Races are decided by
// constraints and compare-and-swap, so that any number of processes may share one database.
//
// Times go in as UTC in microseconds and come out so. No method asks a clock. What a caller gives or gets is theirs: nothing is shared.
//
// Errors that callers act upon are ErrNotFound, ErrExists, ErrChanged and ErrFull (by errors.Is), and *ClaimedError (by errors.As); all others are faults.
type Store interface {
	Certificates
	Revocations
	Apps
	Domains
	Tokens
	Sessions
	Authorities
	Events
	Checks
	Endpoints
	Webhooks
	AppRoots
	Replacements

	// Ping tells whether the database answers.
	Ping(ctx context.Context) error
}

// Certificates keeps the issuances. A record is never changed: signature and revocation are records of their own beside it.
type Certificates interface {
	// RecordCertificate commits a certificate that is about to be signed; it is pending from then on. ErrExists: the serial is taken.
	// *ClaimedError: the act's claim was made before.
	RecordCertificate(ctx context.Context, c *Certificate, act Act) error

	// CommitSignature commits the signature of a pending certificate, which is then valid. ErrChanged: it is pending no more (it was
	// revoked, or committed before), and nothing was changed.
	CommitSignature(ctx context.Context, serial pki.Serial, signature []byte, fingerprint [32]byte, at time.Time) error

	// Certificate is the one with this serial, in any state. ErrNotFound: there is none.
	Certificate(ctx context.Context, serial pki.Serial) (*Certificate, error)

	// ListCertificates is a page of those that the query selects, in the order that CertificateQuery tells.
	ListCertificates(ctx context.Context, q CertificateQuery) (CertificatePage, error)

	// CountCertificates counts what happened between each two neighbours of bounds, which rise: from the one on, and before the other. It reads as many
	// rows of an index as it counts.
	CountCertificates(ctx context.Context, what Occurrence, bounds []time.Time) ([]int, error)

	// RevokeCertificate records the revocation of a certificate that is not revoked, pending ones included, and removes it from the pending.
	// It is unpublished from then on. ErrChanged: it is revoked already. ErrNotFound: there is no such certificate.
	RevokeCertificate(ctx context.Context, serial pki.Serial, r Revocation, act Act) error

	// RaiseRevocation changes the reason of a revocation from one to another, and makes it unpublished. ErrChanged: its reason is not from.
	RaiseRevocation(ctx context.Context, serial pki.Serial, from, to pki.Reason, act Act) error

	// FindCertificates are those of the serials that there are, in no order.
	FindCertificates(ctx context.Context, serials []pki.Serial) ([]*Certificate, error)

	// RevokeCertificates does for many, in one change, what RevokeCertificate does for those that are not revoked, and RaiseRevocation for those
	// whose reason is one of over; the others, and what is not there, stay as they are. events has one for each of the serials, in their order: those of
	// the changed ones are committed, and the act's own if there are any. It returns the changed ones, in no order.
	RevokeCertificates(ctx context.Context, serials []pki.Serial, r Revocation, over []pki.Reason, events []Event, act Act) ([]pki.Serial, error)

	// ReleaseCertificate takes away a revocation with the reason certificateHold, and makes that unpublished; the certificate is then as it was before.
	// ErrChanged: it is not on hold.
	ReleaseCertificate(ctx context.Context, serial pki.Serial, act Act) error

	// KeyBlocked tells whether a public key, by the SHA-256 of its SubjectPublicKeyInfo, is that of a certificate that was ever revoked for
	// keyCompromise: both are one change. Its answer is never older than the call, so the key is refused everywhere at once.
	KeyBlocked(ctx context.Context, spki [32]byte) (bool, error)
}

// Revocations keeps what relying parties are told: the latest list of each authority, and which changes of revocations it does not show yet.
// A change is unpublished from its own commit until that of the list which shows it, and a list takes away just those that it was made from:
// whatever is committed meanwhile stays for the next.
type Revocations interface {
	// Standing is whose a certificate is and whether it is revoked. ErrNotFound: there is no such certificate. Its answer is never older
	// than the call, so a revocation is told at once, everywhere.
	Standing(ctx context.Context, serial pki.Serial) (Standing, error)

	// ListRevoked is in the order of NotAfter, then of serials.
	ListRevoked(ctx context.Context, q RevokedQuery) ([]Revoked, error)

	// ListUnpublished are changes that the list of an authority does not show, the oldest first, and each with its revocation as it is now.
	ListUnpublished(ctx context.Context, authority string, limit int) ([]Unpublished, error)

	// ListCRLStates tells of each authority how its list stands.
	ListCRLStates(ctx context.Context) ([]CRLState, error)

	// CRL is the latest list of an authority. earlier, if not nil, is one that was its latest once: parts that are still the same are
	// taken from there. ErrNotFound: it has none.
	CRL(ctx context.Context, authority string, earlier *CRL) (*CRL, error)

	// PublishCRL replaces the list with the number previous (0: there is none) by another: changed are the places in its Entries that
	// differ, shown the changes that it shows. ErrChanged: the latest has another number; nothing was changed.
	PublishCRL(ctx context.Context, c *CRL, previous int64, changed []int, shown []Unpublished, act Act) error
}

// Replacements keeps which certificates are to be replaced.
type Replacements interface {
	// PlanReplacements sets by when certificates are to be replaced, or that they are not where by is zero; what is not there is left out.
	PlanReplacements(ctx context.Context, serials []pki.Serial, by time.Time, act Act) error
	// Replacement is without its Certificate. ErrNotFound: none is planned.
	Replacement(ctx context.Context, serial pki.Serial) (Replacement, error)
	ListReplacements(ctx context.Context, q ReplacementQuery) ([]Replacement, error)
	// ForgetReplacements removes those of certificates that ended before a time.
	ForgetReplacements(ctx context.Context, before time.Time) error
}

// Apps keeps the developers' applications.
type Apps interface {
	// CreateApp: ErrExists when the ID is taken. *ClaimedError: the act's claim was made before.
	CreateApp(ctx context.Context, a App, act Act) error
	// App: ErrNotFound when there is none. Its answer is never older than the call.
	App(ctx context.Context, id string) (App, error)
	// ListApps is in the order of IDs, from the first one greater than after.
	ListApps(ctx context.Context, after string, limit int) ([]App, error)
	// ChangeApp replaces name, policy, names and suspension of an app whose Version is still the given one, and counts it up. ErrChanged: it is not.
	ChangeApp(ctx context.Context, a App, act Act) error
}

// Domains keeps the apps' claims on names, and how much of their quotas they have used.
type Domains interface {
	// CreateDomain commits a new claim. ErrExists: the app has one on this name. ErrFull: it has that many open claims (Domain.Open).
	CreateDomain(ctx context.Context, d Domain, most int, act Act) error
	// Domain is an app's claim on a name. ErrNotFound: it has none.
	Domain(ctx context.Context, app string, n pki.Name) (Domain, error)
	// Domains are all claims on all of these names, in no order. Its answer is never older than the call.
	Domains(ctx context.Context, names []pki.Name) ([]Domain, error)
	ListDomains(ctx context.Context, q DomainQuery) ([]Domain, error)
	// ChangeDomains removes and replaces claims whose Version is still the given one, and counts those that it keeps up; one of Version 0 is
	// new. ErrChanged: one of them is not. ErrExists: one shall hold a name that another app holds. Then nothing was changed.
	ChangeDomains(ctx context.Context, remove, keep []Domain, act Act) error
	// DueDomains are claims whose DueAt has come, the longest overdue first.
	DueDomains(ctx context.Context, now time.Time, limit int) ([]Domain, error)
	// LeaseDomain puts off the DueAt of a claim, as a process does that is about to look at it. ErrChanged: another was faster. It is no
	// change of the claim, and has no event.
	LeaseDomain(ctx context.Context, d Domain, until time.Time) error

	// TakeQuota counts one against each of the quotas, or, if one of them is full, none: full is its place, wait how long until it is not. wait is
	// zero when all were counted.
	TakeQuota(ctx context.Context, quotas []Quota, now time.Time) (full int, wait time.Duration, err error)
	// GiveBackQuota undoes a TakeQuota.
	GiveBackQuota(ctx context.Context, quotas []Quota) error
	// ForgetQuotas removes what has come to rest before a time.
	ForgetQuotas(ctx context.Context, before time.Time) error
}

// Tokens keeps the credentials, by the SHA-256 of what was handed out.
type Tokens interface {
	// CreateToken: *ClaimedError when the act's claim was made before. ErrNotFound: there is no such app.
	CreateToken(ctx context.Context, t Token, act Act) error
	// TokenByHash finds a token in any state. Its answer is never older than the call, so a revocation bites everywhere at once.
	TokenByHash(ctx context.Context, hash [32]byte) (Token, error)
	// TouchToken remembers that a token was used; an earlier time than the one kept changes nothing.
	TouchToken(ctx context.Context, id string, at time.Time) error
	// ListTokens is in the order of IDs, those of one app, or of none when app is empty.
	ListTokens(ctx context.Context, app, after string, limit int) ([]Token, error)
	// Token: ErrNotFound when there is none.
	Token(ctx context.Context, id string) (Token, error)
	// RotateToken commits a successor, and has a token that is valid at now be superseded at a time, or when it was to be before. ErrChanged: it is
	// not valid.
	RotateToken(ctx context.Context, id string, now, end time.Time, successor Token, act Act) error
	// RevokeToken: ErrChanged when it is revoked already, ErrNotFound when there is none.
	RevokeToken(ctx context.Context, id string, at time.Time, act Act) error
}

// Sessions keeps who is signed in to the web pages, and the links that sign somebody in, by the SHA-256 of what was handed out.
type Sessions interface {
	CreateSession(ctx context.Context, s Session, act Act) error
	// BeginSession makes a session of the link with a hash: it gets the Hash and the times of s. ErrChanged: there is no such link, or not any more.
	BeginSession(ctx context.Context, link [32]byte, s Session, act Act) error
	// SessionByHash finds a session or a link. Its answer is never older than the call, so what has ended has ended everywhere. ErrNotFound: there is none.
	SessionByHash(ctx context.Context, hash [32]byte) (Session, error)
	// TouchSession remembers that a session was used; an earlier time than the one kept changes nothing.
	TouchSession(ctx context.Context, id string, at time.Time) error
	// EndSession removes a session. ErrNotFound: there is none.
	EndSession(ctx context.Context, id string, act Act) error
	// EndSessions removes all sessions and links that stand on a token, and counts them.
	EndSessions(ctx context.Context, token string, act Act) (int, error)
	// ForgetSessions removes sessions and links that end at or before a time, or were last used at or before idle.
	ForgetSessions(ctx context.Context, end, idle time.Time) error
}

// Authorities keeps the certificates of the CA itself and where their keys are.
type Authorities interface {
	// CreateAuthorities commits a whole hierarchy, parents first. ErrExists: one of the names is taken; nothing was changed.
	CreateAuthorities(ctx context.Context, as []Authority, act Act) error
	// ChangeKeyRef replaces where the key of an authority is. ErrChanged: it is not at from, or there is no such authority.
	ChangeKeyRef(ctx context.Context, name, from, to string, act Act) error
	// ChangeAuthorities replaces what authorities issue and stand by for, and whether they are retired: of each in from by what the one at its place in
	// to says. ErrChanged: one of them is not as from says, and nothing was changed.
	ChangeAuthorities(ctx context.Context, from, to []Authority, act Act) error
	// ListAuthorities is in the order of creation, parents first.
	ListAuthorities(ctx context.Context) ([]Authority, error)
}

// Events keeps the audit log.
type Events interface {
	// RecordEvent commits an event that stands alone: a refusal.
	RecordEvent(ctx context.Context, e Event) error
	// ListEvents is newest first.
	ListEvents(ctx context.Context, q EventQuery) ([]Event, error)
	// ForgetClaims removes the claims made before a time.
	ForgetClaims(ctx context.Context, before time.Time) error
}

// What a Store answers when the change cannot be made as asked.
var (
	ErrNotFound = errors.New("no such record")
	ErrExists   = errors.New("the record exists")
	ErrChanged  = errors.New("the record is in another state")
	ErrFull     = errors.New("there are as many records as there may be")
)

// ClaimedError says that an act's claim was made before, and by what.
type ClaimedError struct{ Earlier Claim }

func (e *ClaimedError) Error() string {
	return "the idempotency key was used before, for " + e.Earlier.Object
}
