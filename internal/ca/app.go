package ca

import (
	"time"
)

// DomainPolicy says how an app gets at a name.
type DomainPolicy string

// The policies.
const (
	PolicyOpen    DomainPolicy = "open"    // any name that this CA certifies at all
	PolicyProve   DomainPolicy = "prove"   // names that the app has proven to control, and those on its allow-list
	PolicyApprove DomainPolicy = "approve" // names that an operator has approved, and those on its allow-list
	PolicyList    DomainPolicy = "list"    // only names on the app's allow-list
)

// DomainPolicies lists every policy.
func DomainPolicies() []DomainPolicy {
	return []DomainPolicy{PolicyOpen, PolicyProve, PolicyApprove, PolicyList}
}

// asksForProof tells whether names beyond the allow-list come to the app by claims (Domain).
func (p DomainPolicy) asksForProof() bool { return p == PolicyProve || p == PolicyApprove }

// App is a developer's application: the owner of domains and certificates.
type App struct {
	ID   string // 1–64 of a–z, 0–9, "-"; chosen by the operator, never changed
	Name string // for people, up to 200 characters

	Policy DomainPolicy

	// Allowed is the allow-list: an operator's word that needs no proof. "example.com" allows that name alone, "*.example.com" that wildcard, ".example.com" every name
	// below it, wildcards included. Addresses stand for themselves.
	Allowed []string

	// Quotas are the app's own, by their names (QuotaNames), instead of those that every app has; nil: it has none of its own.
	Quotas map[string]int

	// Suspended apps keep what they have and get nothing new.
	Suspended bool

	CreatedAt time.Time

	// Version counts the changes, so that two operators cannot overwrite each other unseen.
	Version int
}

// Token is a credential as it is kept: all but the secret itself.
type Token struct {
	ID           string   // "tok_…", public
	Hash         [32]byte // SHA-256 over the whole token as handed out
	Name         string   // for people and events
	Role         Role
	App          string // the app of a developer's token; empty for the other roles
	Scopes       Scopes // what it is good for, of all that its role may
	CreatedAt    time.Time
	CreatedBy    string
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
	SupersededAt time.Time // ends then, as it was rotated; zero: not rotated
	LastUsed     time.Time // within a minute; zero: never used
}
