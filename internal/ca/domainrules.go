package ca

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// DomainRules say how apps come to names, and lend the CA the eyes that it needs for it: the functions ask the network, and return nil for
// a yes, an *Error for what its reader can mend, and anything else for a fault of ours. The zero value of each field works.
type DomainRules struct {
	// Policy is that of apps that are made without one. Empty means PolicyList, with an empty list.
	Policy DomainPolicy

	// Prove looks once whether an applicant controls a name, or what lies below it where the name is a wildcard, by MethodHTTP, MethodDNS
	// or MethodTLSALPN. nil: this server proves nothing.
	Prove func(ctx context.Context, m Method, n pki.Name, token, keyAuthorization string) error

	// Standing looks for a standing record that binds a name to one of these accounts, by Identity's name. nil: there are none.
	Standing func(ctx context.Context, n pki.Name, accounts []string) (StandingRecord, error)

	// CAA asks the owner of a name whether this CA may issue for it (RFC 8659), to one of these accounts, after a proof by this method
	// (RFC 8657). nil: nobody is asked.
	CAA func(ctx context.Context, n pki.Name, accounts []string, m Method) error

	// Identity is the domain name by which CAA and standing records call this CA. Without it there are no standing records.
	Identity string

	// HTTPPort and TLSPort are where proofs are looked for, if not on 80 and 443: for the instructions.
	HTTPPort, TLSPort uint16

	ProofLife     time.Duration // how long a proof is good. Default: 90 days
	ChallengeLife time.Duration // how long there is to prove a claim. Default: 7 days
	SuspendAfter  time.Duration // how long a proof may fail to be renewed before the name is suspended. Default: 14 days

	// ParentCovers lets a proof by DNS cover every name below, unless another app holds one of those in between.
	ParentCovers bool

	// Brands are words such as "tencent": a name that looks like one of them needs an operator's approval besides its proof.
	Brands []string

	Quotas Quotas

	// Observe, if not nil, is called after each look at a proof, and when a name was suspended: for metrics. It may not block.
	Observe func(m Method, r ProofResult)
}

// StandingRecord is a standing record that was found.
type StandingRecord struct {
	Wildcard bool      // it covers what lies below the name as well
	Until    time.Time // it must not be relied on after; zero: no end
	Account  string    // the one that it names
}

// ProofResult is how a look at a proof ended.
type ProofResult string

// The results.
const (
	ProofGiven     ProofResult = "proven"
	ProofMissing   ProofResult = "failed"
	ProofSuspended ProofResult = "suspended" // it failed for so long that the name was suspended
)

// withDefaults fills in what was left out.
func (r DomainRules) withDefaults() DomainRules {
	const day = 24 * time.Hour
	r.Policy = cmp.Or(r.Policy, PolicyList)
	r.HTTPPort = cmp.Or(r.HTTPPort, 80)
	r.TLSPort = cmp.Or(r.TLSPort, 443)
	r.ProofLife = cmp.Or(r.ProofLife, 90*day)
	r.ChallengeLife = cmp.Or(r.ChallengeLife, 7*day)
	r.SuspendAfter = cmp.Or(r.SuspendAfter, 14*day)
	r.Quotas.OpenClaims = cmp.Or(r.Quotas.OpenClaims, 1000)
	if r.Observe == nil {
		r.Observe = func(Method, ProofResult) {}
	}
	return r
}

// AccountURI is the app as CAA's accounturi and standing records call it; empty where the CA has no Identity. It names no server, so that it outlives each.
func (c *CA) AccountURI(app string) string {
	if c.rules.Identity == "" {
		return ""
	}
	return "https://" + c.rules.Identity + "/apps/" + app
}

// Thumbprint stands in the key authorizations of an app where ACME has the thumbprint of an account's key, and looks like one. It is no
// secret: the token is what an applicant cannot have guessed, and the thumbprint what keeps another app from using it.
func Thumbprint(app string) string {
	digest := sha256.Sum256([]byte("imca app " + app))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// KeyAuthorization is what is shown for a token (RFC 8555, Section 8.1).
func KeyAuthorization(token, thumbprint string) string { return token + "." + thumbprint }
