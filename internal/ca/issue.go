package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// IssueRequest asks for a certificate.
type IssueRequest struct {
	// App is whose certificate it is. A developer may leave it out; an operator names it for profile server, and leaves it out for client.
	App string

	// Profile is "server" when empty.
	Profile string

	// Domains are the names, 1 to the profile's most; with a CSR they may be left out, and are then the CSR's.
	Domains []string

	// KeyType is the key that the CA shall make, the profile's first type when empty. It may not come with a CSR.
	KeyType string

	// CSR brings the developer's own key: PEM or DER, only its public key and names count.
	CSR []byte

	// ValidityDays is how long it shall last, in days of 24 hours; nil means the profile's default.
	ValidityDays *int

	// NotBefore and NotAfter are the first and the last second of its validity, instead of ValidityDays; zero leaves it to the CA. Fractions are cut off.
	NotBefore, NotAfter time.Time `json:",omitzero"`

	// IdempotencyKey makes a repetition of this request find the first one's certificate; empty for none.
	IdempotencyKey string

	// Account is the URI of an ACME account that asks, by which CAA records may call the applicant; empty for none.
	Account string

	// Replaces is the certificate that this one renews; zero for none. Whoever asks has seen to it that it is the app's.
	Replaces pki.Serial
}

// Issued is the answer to an IssueRequest.
type Issued struct {
	Certificate *Certificate

	// PrivateKey is the PKCS#8 PEM of a key that the CA made. This is the only time that it is to be had.
	PrivateKey []byte

	// Replayed says that an earlier request with the same idempotency key made this certificate.
	Replayed bool
}

// Issue issues a certificate. This is the only way to one, whatever door the request came by:
//
//	authorize → prepare → record → sign → prove → commit → deliver
//
// Nothing is signed that is not recorded, and nothing delivered that is not committed. If it stops in between, the certificate is
// pending: it is listed, and can be revoked. A client that goes away does not stop what has been recorded.
func (c *CA) Issue(ctx context.Context, p Principal, req IssueRequest) (issued *Issued, err error) {
	now := c.clock()
	if p.Role == RoleDeveloper && req.App == "" {
		req.App = p.App
	}
	req.Profile = cmp.Or(req.Profile, "server")
	action, observed := ActIssueServer, "unknown"
	if by, known := c.roster().byProfile[req.Profile]; known {
		observed = req.Profile
		if profile, _ := by.Profile(req.Profile); isPlatforms(profile) {
			action = ActIssueClient
		}
	}
	ended := c.observe(observed)
	defer func() { ended(resultOf(issued, err)) }()
	act, err := c.authorize(ctx, now, p, action, target{app: req.App, detail: req.summary()})
	if err != nil {
		return nil, err
	}
	issued, err = c.issue(ctx, now, p, req, act)
	return issued, c.answer(ctx, act, err)
}

// Result is how a request for a certificate ended.
type Result string

// The results.
const (
	ResultIssued   Result = "issued"
	ResultReplayed Result = "replayed" // found by its idempotency key
	ResultRefused  Result = "refused"
	ResultFailed   Result = "failed" // a fault of ours
)

func resultOf(issued *Issued, err error) Result {
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
		return ResultRefused
	case err != nil:
		return ResultFailed
	case issued.Replayed:
		return ResultReplayed
	}
	return ResultIssued
}

func (c *CA) issue(ctx context.Context, now time.Time, p Principal, req IssueRequest, act Act) (*Issued, error) {
	o, err := c.order(ctx, now, req)
	if err != nil {
		return nil, err
	}
	asked, key := req, req.IdempotencyKey
	asked.IdempotencyKey = ""
	claim, err := claimFor(p, key, asked, now)
	if err != nil {
		return nil, err
	}
	signer, public, err := c.keyFor(ctx, o)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter := o.window(now)
	draft, err := o.by.Prepare(issuer.Request{
		Profile: o.profile.Name, Serial: pki.NewSerial(), Names: o.names, PublicKey: public, NotBefore: notBefore, NotAfter: notAfter,
	})
	if err != nil {
		return nil, refusedByIssuer(err)
	}
	record, err := o.record(draft, p, now, public)
	if err != nil {
		return nil, err
	}
	act.Event.App, act.Event.Object = record.App, record.Serial.String()
	act.Event.Detail = record.summary(o.csr)
	if claim != nil {
		claim.Object = record.Serial.String()
		act.Claim = claim
	}

	quotas := o.quotas(c).forCertificate(record.App, record.Names)
	if err := c.take(ctx, now, quotas); err != nil {
		return nil, err
	}

	// From here on the request is carried through, even if nobody waits for it any more.
	ctx = context.WithoutCancel(ctx)
	var claimed *ClaimedError
	switch err := c.carryOut(ctx, o.by, draft, record, act); {
	case errors.As(err, &claimed):
		c.giveBack(ctx, quotas)
		return c.replay(ctx, claimed.Earlier, *claim)
	case errors.Is(err, ErrChanged):
		return nil, refuse(KindConflict, "", "The certificate %s was revoked while it was being issued: ask again, or ask who revoked it.", record.Serial)
	case err != nil:
		return nil, err
	}
	issued := &Issued{Certificate: record}
	if signer != nil {
		if issued.PrivateKey, err = pki.EncodeKey(signer); err != nil {
			return nil, fmt.Errorf("encoding the key of %s: %w", record.Serial, err)
		}
	}
	return issued, nil
}

// carryOut takes a draft from the record to the commit, and the record with it: no certificate comes about in another way. ErrChanged: it
// was revoked meanwhile.
func (c *CA) carryOut(ctx context.Context, by *issuer.Issuer, draft *issuer.Draft, record *Certificate, act Act) error {
	if err := c.store.RecordCertificate(ctx, record, act); err != nil {
		return fmt.Errorf("recording the certificate %s: %w", record.Serial, err)
	}
	der, err := by.Sign(draft)
	if err != nil {
		return fmt.Errorf("signing the certificate %s: %w", record.Serial, err)
	}
	if err := c.commit(ctx, record, der, record.CreatedAt); err != nil {
		return fmt.Errorf("committing the certificate %s: %w", record.Serial, err)
	}
	return nil
}

// keyFor is the public key to certify, and the key pair when it is ours to make.
func (c *CA) keyFor(ctx context.Context, o *order) (crypto.Signer, crypto.PublicKey, error) {
	if o.csr != nil {
		return nil, o.csr.PublicKey, nil
	}
	if strings.HasPrefix(string(o.keyType), "rsa-") {
		select {
		case c.keyMakers <- struct{}{}:
			defer func() { <-c.keyMakers }()
		case <-ctx.Done():
			return nil, nil, &Error{Kind: KindUnavailable, Field: "/key_type", RetryAfter: 10 * time.Second, Err: ctx.Err(),
				Detail: "Too many RSA keys are being made at this moment: ask again, ask for an ecdsa-p256 key, or send a CSR."}
		}
	}
	key, err := o.keyType.Generate()
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	return key, key.Public(), nil
}

// record is what is committed before the signature.
func (o *order) record(d *issuer.Draft, p Principal, now time.Time, public crypto.PublicKey) (*Certificate, error) {
	hash, err := pki.SPKIHash(public)
	if err != nil {
		return nil, fmt.Errorf("hashing the public key: %w", err)
	}
	cert := &Certificate{
		Serial: d.Serial(), Authority: o.by.Name(), Profile: o.profile.Name, Usage: usageOf(o.profile), RequestedBy: p.Name, Names: o.names, KeyType: o.keyType,
		SPKIHash: hash, NotBefore: d.NotBefore(), NotAfter: d.NotAfter(), CreatedAt: now, Replaces: o.replaces, TBS: d.TBS(),
	}
	if o.app != nil {
		cert.App = o.app.ID
	}
	return cert, nil
}

// commit proves once more that what was signed is what was recorded, and commits the signature.
func (c *CA) commit(ctx context.Context, record *Certificate, der []byte, now time.Time) error {
	tbs, signature, err := pki.SplitCertificate(der)
	if err != nil {
		return err
	}
	if string(tbs) != string(record.TBS) {
		return errors.New("what was signed is not what was recorded")
	}
	fingerprint := sha256.Sum256(der)
	if err := c.store.CommitSignature(ctx, record.Serial, signature, fingerprint, now); err != nil {
		return err
	}
	record.Signature, record.Fingerprint = signature, fingerprint
	return nil
}

// StrandedError is the cause of a refusal to repeat a request that has stopped half-way.
type StrandedError struct {
	Serial pki.Serial // of the pending certificate
}

func (e *StrandedError) Error() string { return "the certificate " + e.Serial.String() + " is pending" }

// replay answers a repeated request with what the first one made.
func (c *CA) replay(ctx context.Context, earlier, claim Claim) (*Issued, error) {
	if earlier.Request != claim.Request {
		return nil, keyReused()
	}
	serial, err := pki.ParseSerial(earlier.Object)
	if err != nil {
		return nil, fmt.Errorf("reading the claim on %s: %w", earlier.Object, err)
	}
	cert, err := c.store.Certificate(ctx, serial)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", serial, err)
	}
	if len(cert.Signature) == 0 && cert.Revocation == nil {
		if claim.At.Sub(cert.CreatedAt) >= pendingGrace {
			stranded := refuse(KindConflict, "", "The first request with this Idempotency-Key stopped half-way, and left the certificate %s pending: revoke it, and ask again with a new key.", serial)
			stranded.Err = &StrandedError{serial}
			return nil, stranded
		}
		return nil, &Error{Kind: KindInProgress, RetryAfter: time.Second,
			Detail: "The first request with this Idempotency-Key is being worked on: repeat it in a second."}
	}
	return &Issued{Certificate: cert, Replayed: true}, nil
}

// claimFor is the claim of a request with an idempotency key on what was asked, or nil if it has no key.
func claimFor(p Principal, key string, asked any, now time.Time) (*Claim, error) {
	if key == "" {
		return nil, nil
	}
	if len(key) > 255 {
		return nil, refuse(KindInvalid, "", "The Idempotency-Key has %d characters: use at most 255, such as a UUID.", len(key))
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("hashing the request: %w", err)
	}
	return &Claim{Scope: "token:" + p.Token, Key: key, Request: sha256.Sum256(text), At: now}, nil
}

func keyReused() *Error {
	return refuse(KindKeyReused, "", "This Idempotency-Key came with another request before: use a new key for a new request.")
}
