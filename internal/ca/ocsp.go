package ca

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

const (
	// ocspLife is how long an OCSP response is good for those who keep it. It is short, because a response that was taken before a
	// revocation can be shown by an attacker until then; and long enough for a night.
	ocspLife = 12 * time.Hour

	// ocspRenew is the age at which a response that is kept here is signed anew.
	ocspRenew = time.Hour

	// responderLife is how long the certificate of a responder lasts. Its key stays in memory, so each start makes another.
	responderLife = 7 * 24 * time.Hour

	// maxResponses bounds the signed responses that are kept for one authority, some 15 MB of them.
	maxResponses = 8192
)

// OCSPResponse is the answer to an OCSP request.
type OCSPResponse struct {
	DER []byte

	// ThisUpdate and NextUpdate are from when to when the answer is good. They are zero for an answer that nobody may keep: an error, or
	// one that carries the request's nonce.
	ThisUpdate, NextUpdate time.Time
	ProducedAt             time.Time // when it was signed
}

// responder answers OCSP requests for an authority.
type responder struct {
	by     *issuer.Issuer
	cas    map[string]bool // serial numbers of the CA certificates that the authority has signed
	known  standings
	signed responses

	mu      sync.Mutex // held by who makes a certificate for it
	current *issuer.Responder
	made    time.Time
}

func newResponder(by *issuer.Issuer, all []*issuer.Issuer) *responder {
	r := &responder{by: by, cas: make(map[string]bool)}
	for _, i := range all {
		signer := i.Certificate() // a root's own
		if chain := i.Chain(); len(chain) > 0 {
			signer = chain[0]
		}
		if signer.Equal(by.Certificate()) {
			r.cas[i.Certificate().SerialNumber.String()] = true
		}
	}
	return r
}

// responses are those that were signed lately, by the CertID of the request.
type responses struct {
	mu   sync.Mutex
	kept halves[string, keptResponse]
}

// keptResponse is a signed response, and what it says.
type keptResponse struct {
	OCSPResponse
	says   answer
	signed time.Time
}

// answer is what there is to say of a certificate; two that are equal say the same.
type answer struct {
	status issuer.OCSPStatus
	at     time.Time
	reason pki.Reason
}

// OCSP answers an OCSP request (RFC 6960) about certificates of an authority. A revocation shows in the next answer of the process that made
// it, and of every other one a few hundred milliseconds later (standings). It fails with KindNotFound for an authority that is not there;
// whatever else goes wrong is an answer, too.
func (c *CA) OCSP(ctx context.Context, authority string, request []byte) (OCSPResponse, error) {
	now := c.now()
	r, known := c.roster().responders[authority]
	if !known {
		return OCSPResponse{}, refuse(KindNotFound, "", "There is no authority %s here: ask at the address that stands in the certificate.", oneLine(authority))
	}
	parsed, err := issuer.ParseOCSPRequest(request)
	if err != nil {
		return ocspError(issuer.OCSPMalformed), nil
	}
	for _, id := range parsed.CertIDs {
		if !r.by.Names(id) {
			return ocspError(issuer.OCSPUnauthorized), nil
		}
	}
	if !r.by.CanSign() {
		return ocspError(issuer.OCSPUnauthorized), nil
	}
	response, err := c.ocsp(ctx, r, parsed, now)
	if err != nil {
		c.log.ErrorContext(ctx, "answering an OCSP request", "authority", authority, "error", err)
		return ocspError(issuer.OCSPTryLater), nil
	}
	return response, nil
}

func ocspError(e issuer.OCSPError) OCSPResponse { return OCSPResponse{DER: e.Encode()} }

func (c *CA) ocsp(ctx context.Context, r *responder, request *issuer.OCSPRequest, at time.Time) (OCSPResponse, error) {
	now := inMicros(at)
	says := make([]answer, len(request.CertIDs))
	for i, id := range request.CertIDs {
		var err error
		if says[i], err = c.standing(ctx, r, id.Serial, at); err != nil {
			return OCSPResponse{}, err
		}
	}
	keep := len(says) == 1 && request.Nonce == nil
	if keep {
		if kept, found := r.signed.find(request.CertIDs[0], says[0], now); found {
			return kept, nil
		}
	}
	by, err := c.responder(ctx, r, now)
	if err != nil {
		return OCSPResponse{}, err
	}
	response := OCSPResponse{ProducedAt: now}
	toSign := issuer.OCSPResponse{ProducedAt: now, Nonce: request.Nonce}
	for i, id := range request.CertIDs {
		one := says[i].about(id, now, by)
		toSign.Answers = append(toSign.Answers, one)
		response.ThisUpdate, response.NextUpdate = one.ThisUpdate, one.NextUpdate
	}
	if response.DER, err = by.Sign(toSign); err != nil {
		return OCSPResponse{}, err
	}
	if !keep {
		return OCSPResponse{DER: response.DER}, nil
	}
	r.signed.keep(request.CertIDs[0], keptResponse{OCSPResponse: response, says: says[0], signed: now})
	return response, nil
}

// standing is what there is to say of a serial number. A pending certificate counts by its row: its signature may exist.
func (c *CA) standing(ctx context.Context, r *responder, encoded []byte, now time.Time) (answer, error) {
	unknown := answer{status: issuer.OCSPUnknown}
	number := new(big.Int).SetBytes(encoded)
	if encoded[0]&0x80 != 0 { // negative
		return unknown, nil
	}
	if r.cas[number.String()] {
		return answer{status: issuer.OCSPGood}, nil
	}
	serial, ours := pki.SerialFromInt(number)
	if !ours {
		return unknown, nil
	}
	known, found, period := r.known.find(serial, now)
	if found {
		return known, nil
	}
	standing, err := c.store.Standing(ctx, serial)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && standing.Authority != r.by.Name():
		return unknown, nil // and not kept: it may be issued in the next moment
	case err != nil:
		return unknown, fmt.Errorf("asking for the state of %s: %w", serial, err)
	}
	says := answer{status: issuer.OCSPGood}
	if revocation := standing.Revocation; revocation != nil {
		says = answer{status: issuer.OCSPRevoked, at: revocation.At.Truncate(time.Second), reason: revocation.Reason}
	}
	r.known.keep(serial, says, period)
	return says, nil
}

// about is what is signed of an answer. It begins a little before now, for those whose clocks are slow, but not before the revocation that
// it tells of.
func (a answer) about(id issuer.CertID, now time.Time, by *issuer.Responder) issuer.OCSPAnswer {
	one := issuer.OCSPAnswer{ID: id, Status: a.status, RevokedAt: a.at, Reason: a.reason}
	one.ThisUpdate = now.Add(-backdate).Truncate(time.Second)
	if a.status == issuer.OCSPRevoked && a.at.After(one.ThisUpdate) {
		one.ThisUpdate = a.at
	}
	one.NextUpdate = earlier(now.Add(ocspLife).Truncate(time.Second), by.NotAfter())
	return one
}

// find is a response that was signed before, and that says the same.
func (r *responses) find(id issuer.CertID, says answer, now time.Time) (OCSPResponse, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, found := r.kept.find(string(id.Raw), maxResponses)
	if age := now.Sub(kept.signed); !found || kept.says != says || age < 0 || age >= ocspRenew {
		return OCSPResponse{}, false
	}
	return kept.OCSPResponse, true
}

func (r *responses) keep(id issuer.CertID, response keptResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.put(string(id.Raw), response, maxResponses)
}

// responder is the key and certificate to answer with. It is made when somebody asks for the first time, and anew when two thirds of its
// life are over; should that fail, the old one serves while it can.
func (c *CA) responder(ctx context.Context, r *responder, now time.Time) (*issuer.Responder, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && now.Before(r.made.Add(responderLife*2/3)) && !now.Before(r.made.Add(-backdate)) {
		return r.current, nil
	}
	fresh, err := c.certifyResponder(ctx, r.by, now)
	if err == nil {
		r.current, r.made = fresh, now
		return fresh, nil
	}
	if r.current != nil && now.Before(r.current.NotAfter().Add(-ocspRenew)) {
		c.log.ErrorContext(ctx, "renewing the OCSP responder; the one before still serves", "authority", r.by.Name(), "not_after", r.current.NotAfter(), "error", err)
		return r.current, nil
	}
	return nil, err
}

// certifyResponder makes a key and has it certified, in the same steps as every certificate: recorded, signed, proven, committed.
func (c *CA) certifyResponder(ctx context.Context, by *issuer.Issuer, now time.Time) (*issuer.Responder, error) {
	act, err := c.authorize(ctx, now, itself(), ActIssueResponder, target{object: by.Name()})
	if err != nil {
		return nil, err
	}
	key, err := pki.ECDSAP256.Generate()
	if err != nil {
		return nil, fmt.Errorf("making the key of an OCSP responder: %w", err)
	}
	notBefore := later(now.Add(-backdate).Truncate(time.Second), by.Certificate().NotBefore)
	draft, err := by.PrepareResponder(issuer.ResponderRequest{
		Serial: pki.NewSerial(), PublicKey: key.Public(), NotBefore: notBefore,
		NotAfter: earlier(notBefore.Add(responderLife-time.Second), by.Certificate().NotAfter),
	})
	if err != nil {
		return nil, err
	}
	hash, err := pki.SPKIHash(key.Public())
	if err != nil {
		return nil, fmt.Errorf("hashing the public key: %w", err)
	}
	record := &Certificate{
		Serial: draft.Serial(), Authority: by.Name(), Profile: issuer.OCSPProfile, Usage: UsageOCSPSigning, RequestedBy: itself().Name, KeyType: pki.ECDSAP256,
		SPKIHash: hash, NotBefore: draft.NotBefore(), NotAfter: draft.NotAfter(), CreatedAt: now, TBS: draft.TBS(),
	}
	act.Event.Object = record.Serial.String()
	act.Event.Detail = map[string]string{"authority": by.Name()}
	if err := c.carryOut(context.WithoutCancel(ctx), by, draft, record, act); err != nil {
		return nil, err
	}
	der, err := record.DER()
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", record.Serial, err)
	}
	return by.NewResponder(key, der)
}
