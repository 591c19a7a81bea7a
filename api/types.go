package api

import (
	"strings"
	"time"
)

// The wire types, as openapi.yaml describes them. Of a request, the tag max bounds the characters of each text, and most the items of a list.

// IssueRequest asks for a certificate.
type IssueRequest struct {
	Domain         string   `json:"domain,omitempty" max:"1024"` // the one name; Domains for several
	Domains        []string `json:"domains,omitempty" max:"1024" most:"2000"`
	Profile        string   `json:"profile,omitempty" max:"64"`  // "server" when empty
	KeyType        string   `json:"key_type,omitempty" max:"64"` // the profile's first when empty; not with CSR
	ValidityDays   *int     `json:"validity_days,omitempty"`     // the profile's default when nil
	CSR            string   `json:"csr,omitempty" max:"65536"`   // PEM
	App            string   `json:"app,omitempty" max:"64"`
	PKCS12Password string   `json:"pkcs12_password,omitempty" max:"256"` // for PKCS12, and only then

	IdempotencyKey string `json:"-"` // sent as a header
}

// RenewRequest asks for a successor of a certificate; its fields are as in IssueRequest.
type RenewRequest struct {
	KeyType        string `json:"key_type,omitempty" max:"64"` // the old one's type when empty
	ValidityDays   *int   `json:"validity_days,omitempty"`
	CSR            string `json:"csr,omitempty" max:"65536"`
	PKCS12Password string `json:"pkcs12_password,omitempty" max:"256"`

	IdempotencyKey string `json:"-"`
}

// RevokeRequest ends a certificate.
type RevokeRequest struct {
	Reason string `json:"reason,omitempty" max:"64"`   // of RFC 5280, Section 5.3.1; "unspecified" when empty, keyCompromise with Proof
	Proof  string `json:"proof,omitempty" max:"16384"` // of holding the key, see pki.ParseProof; then no token is needed
}

// RevocationRequest revokes what a search finds, or counts it. The filters are those of the list of certificates; or there are serials.
type RevocationRequest struct {
	Suffix       string   `json:"suffix,omitempty" max:"1024"`
	App          string   `json:"app,omitempty" max:"64"`
	SPKISHA256   string   `json:"spki_sha256,omitempty" max:"95"`
	Authority    string   `json:"authority,omitempty" max:"200"`
	Profile      string   `json:"profile,omitempty" max:"64"`
	IssuedAfter  string   `json:"issued_after,omitempty" max:"64"` // a time or a date
	IssuedBefore string   `json:"issued_before,omitempty" max:"64"`
	Serials      []string `json:"serials,omitempty" max:"64" most:"500"`

	Reason  string `json:"reason,omitempty" max:"64"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Confirm string `json:"confirm,omitempty" max:"4096"` // of the last answer of the dry run
	Cursor  string `json:"cursor,omitempty" max:"4096"`  // Next of the answer before
}

// Revocations is how far a RevocationRequest has come.
type Revocations struct {
	Matched       int                  `json:"matched"`           // certificates found so far
	RevokedBefore int                  `json:"revoked_before"`    // of those, revoked already when they were found
	Revoked       int                  `json:"revoked"`           // by this request
	First         []CertificateSummary `json:"first,omitempty"`   // of a dry run's first answer: the first ones found
	Missing       []string             `json:"missing,omitempty"` // serials that there are not
	Next          string               `json:"next,omitempty"`    // the cursor to go on with; empty at the end
	Confirm       string               `json:"confirm,omitempty"` // at the end of a dry run
}

// ReplacementRequest says which certificates clients shall renew before a time: at least one filter, or serials, as in a RevocationRequest.
type ReplacementRequest struct {
	Suffix       string   `json:"suffix,omitempty" max:"1024"`
	App          string   `json:"app,omitempty" max:"64"`
	SPKISHA256   string   `json:"spki_sha256,omitempty" max:"95"`
	Authority    string   `json:"authority,omitempty" max:"200"`
	Profile      string   `json:"profile,omitempty" max:"64"`
	IssuedAfter  string   `json:"issued_after,omitempty" max:"64"`
	IssuedBefore string   `json:"issued_before,omitempty" max:"64"`
	Serials      []string `json:"serials,omitempty" max:"64" most:"500"`

	ReplaceBy string `json:"replace_by,omitempty" max:"64"` // a time or a date; empty takes the wish back
	Cursor    string `json:"cursor,omitempty" max:"4096"`   // Next of the answer before
}

// Replacements is what one step of a ReplacementRequest has done.
type Replacements struct {
	Planned int      `json:"planned"`           // valid certificates that this step has found
	Missing []string `json:"missing,omitempty"` // serials that there are not
	Next    string   `json:"next,omitempty"`    // the cursor to go on with; empty at the end
}

// Replacement is a certificate that is to be replaced.
type Replacement struct {
	ReplaceBy   time.Time          `json:"replace_by"`
	PlannedAt   time.Time          `json:"planned_at"`
	Certificate CertificateSummary `json:"certificate"`
}

// CertificateSummary is a certificate in a list.
type CertificateSummary struct {
	Serial            string     `json:"serial"`        // 34 lower-case hexadecimal digits
	Status            string     `json:"status"`        // "pending", "valid", "expired", "revoked"
	Profile           string     `json:"profile"`       //
	App               string     `json:"app,omitempty"` // empty for the platform's own
	Domains           []string   `json:"domains"`
	NotBefore         time.Time  `json:"not_before"` // inclusive, whole seconds
	NotAfter          time.Time  `json:"not_after"`  // inclusive, whole seconds
	KeyType           string     `json:"key_type"`
	FingerprintSHA256 string     `json:"fingerprint_sha256,omitempty"` // over the DER, lower-case hexadecimal; empty while pending
	Issuer            string     `json:"issuer"`                       // the authority's name
	RevokedAt         *time.Time `json:"revoked_at,omitempty"`
	RevocationReason  string     `json:"revocation_reason,omitempty"`
	Replaces          string     `json:"replaces,omitempty"` // the serial of the one that it renews
	CreatedAt         time.Time  `json:"created_at"`
	RequestedBy       string     `json:"requested_by"`
}

// Certificate is a certificate in full.
type Certificate struct {
	CertificateSummary
	Certificate   string `json:"certificate"`           // PEM; empty while pending
	Chain         string `json:"chain"`                 // PEM of the issuers up to the root, which is left out
	CACertificate string `json:"ca_certificate"`        // PEM of the root
	PrivateKey    string `json:"private_key,omitempty"` // PKCS#8 PEM, in the answer that created it
}

// AppRequest makes an app.
type AppRequest struct {
	ID      string   `json:"id,omitempty" max:"64"`    // made up when empty
	Name    string   `json:"name,omitempty" max:"200"` // the ID when empty
	Policy  string   `json:"policy,omitempty" max:"64"`
	Allowed []string `json:"allowed,omitempty" max:"1024" most:"2000"`

	IdempotencyKey string `json:"-"`
}

// AppChange changes an app; nil fields stay as they are.
type AppChange struct {
	Name      *string   `json:"name,omitempty" max:"200"`
	Policy    *string   `json:"policy,omitempty" max:"64"`
	Allowed   *[]string `json:"allowed,omitempty" max:"1024" most:"2000"`
	Suspended *bool     `json:"suspended,omitempty"`

	// Quotas are all that the app shall have of its own, by their names.
	Quotas *map[string]int `json:"quotas,omitempty" most:"100"`
}

// App is a developer's application.
type App struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Policy    string    `json:"policy"`  // "open", "list"
	Allowed   []string  `json:"allowed"` // never nil
	Suspended bool      `json:"suspended"`
	CreatedAt time.Time `json:"created_at"`

	// Quotas are the app's own, by their names, instead of those that every app has; never nil.
	Quotas map[string]int `json:"quotas"`
}

// DomainRequest asks for a name.
type DomainRequest struct {
	Domain string `json:"domain" max:"1024"`         // "www.example.com", "*.example.com", an address
	App    string `json:"app,omitempty" max:"64"`    // the developer's own when empty
	Method string `json:"method,omitempty" max:"64"` // "http-01", or "dns-01" for a wildcard, when empty
}

// VerifyRequest asks to look for the proof of a name.
type VerifyRequest struct {
	App    string `json:"app,omitempty" max:"64"`
	Method string `json:"method,omitempty" max:"64"` // the domain's when empty
}

// ApproveRequest is an operator's yes to a domain.
type ApproveRequest struct {
	App      string `json:"app,omitempty" max:"64"` // whose, where several apps want the name
	Reason   string `json:"reason,omitempty" max:"500"`
	Wildcard bool   `json:"wildcard,omitempty"` // what lies one level below as well
}

// RejectRequest is an operator's no to a domain.
type RejectRequest struct {
	App    string `json:"app,omitempty" max:"64"`
	Reason string `json:"reason" max:"500"` // the developer sees it
}

// TransferRequest gives a name to an app.
type TransferRequest struct {
	To string `json:"to" max:"64"`
}

// Domain is an app's claim on a name.
type Domain struct {
	Domain       string     `json:"domain"`
	App          string     `json:"app"`
	State        string     `json:"state"`    // "pending", "awaiting-approval", "valid", "conflict", "suspended", "rejected"
	Wildcard     bool       `json:"wildcard"` // wanted, or, of a valid one, covered
	Method       string     `json:"method"`
	ProvenBy     string     `json:"proven_by,omitempty"`
	ProvenAt     *time.Time `json:"proven_at,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"` // of the proof; nil: it does not lapse by itself
	CheckedAt    *time.Time `json:"checked_at,omitempty"`
	Failure      string     `json:"failure,omitempty"` // of the last check
	FailingSince *time.Time `json:"failing_since,omitempty"`
	Flag         string     `json:"flag,omitempty"` // why an operator decides although a proof would be enough
	DecidedAt    *time.Time `json:"decided_at,omitempty"`
	DecidedBy    string     `json:"decided_by,omitempty"`
	Decision     string     `json:"decision,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	CreatedBy    string     `json:"created_by"`
	NextStep     string     `json:"next_step"` // for a person

	// Not in lists.
	Challenges         []Challenge `json:"challenges,omitempty"`          // the ways to prove it, the chosen one first
	ContestedBy        []string    `json:"contested_by,omitempty"`        // the apps that have proven the name as well
	OthersCertificates []string    `json:"others_certificates,omitempty"` // serials of valid certificates for the name that other apps have
}

// Challenge is a way to prove a name.
type Challenge struct {
	Method           string `json:"method"`
	Token            string `json:"token,omitempty"`
	KeyAuthorization string `json:"key_authorization,omitempty"`
	URL              string `json:"url,omitempty"`          // http-01: what shows the key authorization
	RecordName       string `json:"record_name,omitempty"`  // DNS: of a TXT record
	RecordValue      string `json:"record_value,omitempty"` //
	Instructions     string `json:"instructions"`           // lines, for a person
}

// AppTokenRequest makes a developer's token.
type AppTokenRequest struct {
	Name          string   `json:"name" max:"100"`
	Scopes        []string `json:"scopes,omitempty" max:"64" most:"100"` // actions that it is good for; all of a developer's when empty
	ExpiresInDays *int     `json:"expires_in_days,omitempty"`            // 1 to 3650; nil: it does not end

	IdempotencyKey string `json:"-"`
}

// RotateRequest makes a successor of a token.
type RotateRequest struct {
	OverlapHours *int `json:"overlap_hours,omitempty"` // until the old one ends; 24 when nil, 720 at most
}

// EABRequest makes a credential for ACME accounts.
type EABRequest struct {
	Name          string   `json:"name" max:"100"`
	ExpiresInDays *int     `json:"expires_in_days,omitempty"`              // 1 to 3650; nil: it does not end
	Domains       []string `json:"domains,omitempty" max:"255" most:"100"` // those for which Lines are; www.example.com when empty
}

// EAB is a credential for ACME accounts, as it is shown once.
type EAB struct {
	KeyID     string     `json:"key_id"`
	HMACKey   string     `json:"hmac_key"` // base64url without padding
	App       string     `json:"app"`
	Name      string     `json:"name"`
	Directory string     `json:"directory"` // the URL where ACME clients begin
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	// Lines are what to paste into a shell of root, by the name of the client: "certbot".
	Lines map[string]string `json:"lines"`
}

// TokenRequest makes a token that acts for no single app.
type TokenRequest struct {
	Name          string   `json:"name" max:"100"`
	Role          string   `json:"role" max:"64"`                        // "auditor", "operator", "admin"
	Scopes        []string `json:"scopes,omitempty" max:"64" most:"100"` // actions that it is good for; all of the role's when empty
	ExpiresInDays *int     `json:"expires_in_days,omitempty"`

	IdempotencyKey string `json:"-"`
}

// Token is a credential.
type Token struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Role         string     `json:"role"`
	App          string     `json:"app,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	CreatedBy    string     `json:"created_by"`
	Scopes       []string   `json:"scopes,omitempty"` // actions that it is good for; all of the role's when empty
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
	SupersededAt *time.Time `json:"superseded_at,omitempty"` // it was rotated, and ends then
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`  // exact to a minute
	Secret       string     `json:"token,omitempty"`         // in the answer that created it
}

// Event is a line of the audit log.
type Event struct {
	ID        string            `json:"id"` // UUID, in the order of time
	At        time.Time         `json:"at"`
	Action    string            `json:"action"`
	Outcome   string            `json:"outcome"` // "done", "refused"
	Actor     string            `json:"actor"`
	Role      string            `json:"role,omitempty"`
	Token     string            `json:"token,omitempty"` // the ID
	Address   string            `json:"address,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	App       string            `json:"app,omitempty"`
	Object    string            `json:"object,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// Profile is a kind of certificate.
type Profile struct {
	Name                string   `json:"name"`
	Authority           string   `json:"authority"`
	Usage               string   `json:"usage"` // "serverAuth", "clientAuth"
	KeyTypes            []string `json:"key_types"`
	DefaultValidityDays float64  `json:"default_validity_days"`
	MaxValidityDays     float64  `json:"max_validity_days"`
	MaxNames            int      `json:"max_names"`
	Wildcards           bool     `json:"wildcards"`
	IPNames             bool     `json:"ip_names"`
	Ready               bool     `json:"ready"` // the authority's key is on the server
}

// Authority is a certificate authority.
type Authority struct {
	Name              string     `json:"name"`
	Parent            string     `json:"parent,omitempty"` // empty for a root
	Subject           string     `json:"subject"`
	Profiles          []string   `json:"profiles"`
	StandsBy          []string   `json:"stands_by"`   // what it is to issue when it is promoted
	Certificate       string     `json:"certificate"` // PEM
	FingerprintSHA256 string     `json:"fingerprint_sha256"`
	KeyType           string     `json:"key_type"`
	NotBefore         time.Time  `json:"not_before"`
	NotAfter          time.Time  `json:"not_after"`
	Ready             bool       `json:"ready"` // its key is on the server
	CreatedAt         time.Time  `json:"created_at"`
	RetiredAt         *time.Time `json:"retired_at,omitempty"` // since when nobody is to trust it
}

// Principal is who a token stands for.
type Principal struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	App     string `json:"app,omitempty"`
	TokenID string `json:"token_id"`
}

// SignInLink signs whoever opens it in to the web pages, once.
type SignInLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// SignOutRequest says who is to be signed out of the web pages: a token's ID, or "oidc:" and a subject.
type SignOutRequest struct {
	TokenID string `json:"token_id" min:"1" max:"500"`
}

// SignedOut tells how many sessions and links have ended.
type SignedOut struct {
	Ended int `json:"ended"`
}

// ProblemKind explains a problem type.
type ProblemKind struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Mend   string `json:"mend"`
	ACME   string `json:"acme"`
}

// Page is a part of a list. Next is the cursor of the following one, or empty.
type Page[T any] struct {
	Items []T    `json:"items"` // never nil
	Next  string `json:"next,omitempty"`
}

// Problem is a refusal as the client got it (RFC 9457). Go by Type; Detail is for people.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	RequestID string  `json:"request_id"`
	Errors    []Fault `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // zero where the server said nothing
}

// Fault is one field of the body (Pointer, RFC 6901) or of the query (Parameter) that a Problem is about.
type Fault struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

// Error tells the detail, and each field at fault if there are several.
func (p *Problem) Error() string {
	if len(p.Errors) < 2 {
		return p.Detail
	}
	var lines []string
	for _, f := range p.Errors {
		lines = append(lines, f.Pointer+f.Parameter+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

// Kind is the last part of the type, such as "rejected-name".
func (p *Problem) Kind() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }
