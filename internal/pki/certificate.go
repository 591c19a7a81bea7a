package pki

import (
	"bytes"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// AssembleCertificate joins a to-be-signed certificate and the signature over it.
// The outer algorithm is the one that the TBS names itself, as RFC 5280,
// Section 4.1.1.2, demands. Neither part is checked beyond that.
func AssembleCertificate(tbs, signature []byte) ([]byte, error) {
	algorithm, err := signatureAlgorithm(tbs)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+len(signature)+64))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// SplitCertificate takes a certificate apart into the to-be-signed part, header
// included, and the signature. AssembleCertificate makes the same octets of them.
func SplitCertificate(der []byte) (tbs, signature []byte, err error) {
	input := cryptobyte.String(der)
	var outer, body, algorithm cryptobyte.String
	var bits cryptobyte.String
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !input.Empty() ||
		!outer.ReadASN1Element(&body, asn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1(&bits, asn1.BIT_STRING) || !outer.Empty() ||
		len(bits) == 0 || bits[0] != 0 {
		return nil, nil, errors.New("splitting a certificate: this is not the DER of one")
	}
	inner, err := signatureAlgorithm(body)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(inner, algorithm) {
		return nil, nil, errors.New("splitting a certificate: its two signature algorithms differ")
	}
	return body, bits[1:], nil
}

// signatureAlgorithm is the element signature of a TBSCertificate (RFC 5280,
// Section 4.1): the third, or the second where the version is left out.
func signatureAlgorithm(tbs []byte) ([]byte, error) {
	input := cryptobyte.String(tbs)
	var body, algorithm cryptobyte.String
	if !input.ReadASN1(&body, asn1.SEQUENCE) || !input.Empty() ||
		!body.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) ||
		!body.SkipASN1(asn1.INTEGER) ||
		!body.ReadASN1Element(&algorithm, asn1.SEQUENCE) {
		return nil, errors.New("reading a to-be-signed certificate: this is not the DER of one")
	}
	return algorithm, nil
}
