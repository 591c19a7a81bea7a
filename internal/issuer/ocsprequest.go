package issuer

import (
	"bytes"
	"crypto"
	"errors"

	encoding "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of RFC 6960 and of the hash algorithms (RFC 8017, Appendix C).
var (
	oidOCSPSigning = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
	oidOCSPBasic   = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidOCSPNonce   = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidOCSPNoCheck = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidSHA1        = encoding.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256      = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// The bounds of a request. RFC 9654, Section 2.1, has those of a nonce; that of the
// certificates keeps one request from costing as much as a thousand.
const (
	maxNonce   = 128
	maxCertIDs = 16
)

// OCSPRequest asks for the status of certificates (RFC 6960, Section 4.1.1).
type OCSPRequest struct {
	CertIDs []CertID // 1 to 16
	Nonce   []byte   // 1 to 128 octets that the answer repeats; nil for none
}

// CertID is a certificate as a request names it.
type CertID struct {
	Raw               []byte      // its DER, which the answer repeats
	Hash              crypto.Hash // of the two below: SHA1 or SHA256; 0 for one that is not known here
	NameHash, KeyHash []byte      // of the issuer's name and public key
	Serial            []byte      // big-endian two's complement, as short as can be
}

// errMalformed is the answer to all that is no request; whoever sent it gets no more
// than the status malformedRequest.
var errMalformed = errors.New("this is not the DER of an OCSP request")

// ParseOCSPRequest reads the DER of a request, which the answer shares. A signature
// on it is not looked at: nobody here needs to be known to ask.
func ParseOCSPRequest(der []byte) (*OCSPRequest, error) {
	rest := cryptobyte.String(der)
	var request, tbs, list cryptobyte.String
	if !rest.ReadASN1(&request, asn1.SEQUENCE) || !rest.Empty() || !request.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!request.SkipOptionalASN1(explicit(0)) || !request.Empty() {
		return nil, errMalformed
	}
	var version cryptobyte.String
	var versioned bool
	if !tbs.ReadOptionalASN1(&version, &versioned, explicit(0)) || versioned && !bytes.Equal(version, []byte{2, 1, 0}) ||
		!tbs.SkipOptionalASN1(explicit(1)) || !tbs.ReadASN1(&list, asn1.SEQUENCE) {
		return nil, errMalformed
	}
	parsed := new(OCSPRequest)
	for !list.Empty() {
		id, ok := readOneRequest(&list)
		if !ok || len(parsed.CertIDs) == maxCertIDs {
			return nil, errMalformed
		}
		parsed.CertIDs = append(parsed.CertIDs, id)
	}
	if len(parsed.CertIDs) == 0 || !readOptionalExtensions(&tbs, explicit(2), parsed.extension) || !tbs.Empty() {
		return nil, errMalformed
	}
	return parsed, nil
}

// explicit is the tag of an EXPLICIT context-specific value.
func explicit(tag uint8) asn1.Tag { return asn1.Tag(tag).Constructed().ContextSpecific() }

func readOneRequest(from *cryptobyte.String) (id CertID, ok bool) {
	var one, raw cryptobyte.String
	if !from.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1Element(&raw, asn1.SEQUENCE) || !readOptionalExtensions(&one, explicit(0), nil) || !one.Empty() {
		return CertID{}, false
	}
	id.Raw = raw
	var fields, algorithm cryptobyte.String
	var hash encoding.ObjectIdentifier
	if !raw.ReadASN1(&fields, asn1.SEQUENCE) || !fields.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&hash) {
		return CertID{}, false
	}
	switch {
	case hash.Equal(oidSHA1):
		id.Hash = crypto.SHA1
	case hash.Equal(oidSHA256):
		id.Hash = crypto.SHA256
	}
	// RFC 5754, Section 2: their parameters are left out or NULL, and both are meant.
	if id.Hash != 0 && !algorithm.Empty() && !bytes.Equal(algorithm, []byte{5, 0}) {
		return CertID{}, false
	}
	ok = fields.ReadASN1((*cryptobyte.String)(&id.NameHash), asn1.OCTET_STRING) && fields.ReadASN1((*cryptobyte.String)(&id.KeyHash), asn1.OCTET_STRING) &&
		fields.ReadASN1((*cryptobyte.String)(&id.Serial), asn1.INTEGER) && fields.Empty() && shortInteger(id.Serial)
	return id, ok
}

// shortInteger tells whether the content of an INTEGER is as short as can be
// (X.690, Section 8.3.2).
func shortInteger(b []byte) bool {
	return len(b) == 1 || len(b) > 1 && (b[0] != 0 || b[1]&0x80 != 0) && (b[0] != 0xff || b[1]&0x80 == 0)
}

// readOptionalExtensions reads Extensions, each of which take accepts, or else must
// not be critical (RFC 6960, Section 4.4).
func readOptionalExtensions(from *cryptobyte.String, tag asn1.Tag, take func(encoding.ObjectIdentifier, cryptobyte.String) (known, ok bool)) bool {
	var outer, list cryptobyte.String
	var there bool
	if !from.ReadOptionalASN1(&outer, &there, tag) {
		return false
	}
	if !there {
		return true
	}
	if !outer.ReadASN1(&list, asn1.SEQUENCE) || !outer.Empty() {
		return false
	}
	for !list.Empty() {
		id, critical, value, ok := readExtension(&list)
		if !ok {
			return false
		}
		known := false
		if take != nil {
			if known, ok = take(id, value); !ok {
				return false
			}
		}
		if critical && !known {
			return false
		}
	}
	return true
}

// extension takes the nonce. RFC 9654, Section 2.1: its length is from 1 to 128
// octets, and everything else is malformed.
func (r *OCSPRequest) extension(id encoding.ObjectIdentifier, value cryptobyte.String) (known, ok bool) {
	if !id.Equal(oidOCSPNonce) {
		return false, true
	}
	ok = r.Nonce == nil && value.ReadASN1((*cryptobyte.String)(&r.Nonce), asn1.OCTET_STRING) && value.Empty() &&
		len(r.Nonce) > 0 && len(r.Nonce) <= maxNonce
	return true, ok
}

// authorityHashes are an authority's name and key as requests have them.
type authorityHashes struct {
	hash      crypto.Hash
	name, key []byte
}

// hashesOf computes them for every hash algorithm that is known here.
func hashesOf(subject, spki []byte) ([]authorityHashes, error) {
	bits, err := keyBits(spki)
	if err != nil {
		return nil, err
	}
	var all []authorityHashes
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		all = append(all, authorityHashes{hash, sum(hash, subject), sum(hash, bits)})
	}
	return all, nil
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// Names tells whether a request asks for a certificate of this authority.
func (i *Issuer) Names(id CertID) bool {
	for _, own := range i.hashes {
		if id.Hash == own.hash && bytes.Equal(id.NameHash, own.name) && bytes.Equal(id.KeyHash, own.key) {
			return true
		}
	}
	return false
}
