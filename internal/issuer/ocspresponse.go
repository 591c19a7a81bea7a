package issuer

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/imca-project/imca/internal/pki"
)

// OCSPError is an answer without a status, and without a signature (RFC 6960,
// Section 4.2.1).
type OCSPError byte

// The errors.
const (
	OCSPMalformed    OCSPError = 1 // the request cannot be read
	OCSPTryLater     OCSPError = 3 // not now
	OCSPUnauthorized OCSPError = 6 // about certificates of which nothing may be said here
)

// Encode is the DER of the OCSPResponse.
func (e OCSPError) Encode() []byte { return []byte{0x30, 3, 0x0a, 1, byte(e)} }

// OCSPStatus is what a response says of a certificate.
type OCSPStatus byte

// The statuses, by their tags in CertStatus.
const (
	OCSPGood    OCSPStatus = 0
	OCSPRevoked OCSPStatus = 1
	OCSPUnknown OCSPStatus = 2 // no such certificate was issued
)

// OCSPAnswer is a SingleResponse (RFC 6960, Section 4.2.1).
type OCSPAnswer struct {
	ID     CertID // as it was asked
	Status OCSPStatus

	RevokedAt time.Time // of a revoked certificate
	Reason    pki.Reason

	ThisUpdate, NextUpdate time.Time // from when to when the status is known to be right
}

// OCSPResponse is what is to be signed.
type OCSPResponse struct {
	Answers    []OCSPAnswer
	ProducedAt time.Time
	Nonce      []byte // the request's; nil for none
}

// Sign signs a response: this is the one place. The answer is the DER of the whole
// OCSPResponse, with the responder's certificate.
//
// The signature is not verified again here, which would cost twice as much as to
// make it: the key is not the authority's, lasts days, and a wrong signature is
// refused by whoever asked.
func (r *Responder) Sign(response OCSPResponse) ([]byte, error) {
	if len(response.Answers) == 0 {
		return nil, errors.New("signing an OCSP response: it has no answer")
	}
	for _, answer := range response.Answers {
		switch {
		case !r.issuer.Names(answer.ID):
			return nil, fmt.Errorf("signing an OCSP response: it is about a certificate that %s did not issue", r.issuer.name)
		case answer.NextUpdate.After(r.certificate.NotAfter):
			return nil, errors.New("signing an OCSP response: it would outlast the responder's certificate: renew that")
		case answer.Status > OCSPUnknown || !answer.NextUpdate.After(answer.ThisUpdate):
			return nil, errors.New("signing an OCSP response: its status or its times make no sense")
		}
	}
	data, err := r.responseData(response)
	if err != nil {
		return nil, fmt.Errorf("encoding an OCSP response: %w", err)
	}
	signature, err := r.sign(data)
	if err != nil {
		return nil, fmt.Errorf("signing an OCSP response: %w", err)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(data)+len(r.certificate.Raw)+256))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidOCSPBasic)
				b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { r.addBasic(b, data, signature) })
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding an OCSP response: %w", err)
	}
	return der, nil
}

// addBasic writes the BasicOCSPResponse.
func (r *Responder) addBasic(b *cryptobyte.Builder, data, signature []byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(data)
		b.AddBytes(r.encoded)
		b.AddASN1BitString(signature)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(r.certificate.Raw) })
		})
	})
}

// responseData encodes what is signed.
func (r *Responder) responseData(response OCSPResponse) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 512))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		// RFC 9919, Section 3.2.1, has the responder named by its key: the SHA-1 of it.
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.keyHash) })
		b.AddASN1GeneralizedTime(response.ProducedAt.UTC())
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, answer := range response.Answers {
				answer.add(b)
			}
		})
		if response.Nonce != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addExtension(b, oidOCSPNonce, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(response.Nonce) })
				})
			})
		}
	})
	return b.Bytes()
}

func (a OCSPAnswer) add(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(a.ID.Raw)
		if a.Status == OCSPRevoked {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1GeneralizedTime(a.RevokedAt.UTC())
				if a.Reason != pki.Unspecified {
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(a.Reason)) })
				}
			})
		} else {
			addTagged(b, uint8(a.Status), nil) // NULL
		}
		b.AddASN1GeneralizedTime(a.ThisUpdate.UTC())
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(a.NextUpdate.UTC()) })
	})
}
