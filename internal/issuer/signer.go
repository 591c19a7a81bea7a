package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	encoding "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// signer is a key of an authority, and how signatures are made with it.
type signer struct {
	key       crypto.Signer    // nil for an authority that rests
	public    crypto.PublicKey // as certified, which the key must fit
	spki      []byte           // DER of the public key
	keyID     []byte           // the key's identifier, computed
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash
	encoded   []byte // DER of the AlgorithmIdentifier
}

// minRSABits is the smallest RSA key of an authority.
const minRSABits = 2048

// newSigner chooses the signature algorithm as crypto/x509 does.
func newSigner(key crypto.Signer, public crypto.PublicKey) (*signer, error) {
	s := &signer{key: key, public: public}
	var id encoding.ObjectIdentifier
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			s.algorithm, s.hash, id = x509.ECDSAWithSHA256, crypto.SHA256, encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
		case elliptic.P384():
			s.algorithm, s.hash, id = x509.ECDSAWithSHA384, crypto.SHA384, encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
		case elliptic.P521():
			s.algorithm, s.hash, id = x509.ECDSAWithSHA512, crypto.SHA512, encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("its RSA key has %d bits: use an authority with at least %d", bits, minRSABits)
		}
		s.algorithm, s.hash, id = x509.SHA256WithRSA, crypto.SHA256, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	case ed25519.PublicKey:
		s.algorithm, s.hash, id = x509.PureEd25519, 0, encoding.ObjectIdentifier{1, 3, 101, 112}
	}
	if s.algorithm == x509.UnknownSignatureAlgorithm {
		return nil, errors.New("its key is of a kind that signs nothing here: use an authority with an ECDSA key (P-256, P-384, P-521), RSA or Ed25519")
	}
	var err error
	if s.spki, err = x509.MarshalPKIXPublicKey(public); err != nil {
		return nil, fmt.Errorf("encoding its public key: %w", err)
	}
	if s.keyID, err = keyIdentifier(s.spki); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if s.algorithm == x509.SHA256WithRSA {
			b.AddASN1NULL() // RFC 4055, Section 5; ECDSA and EdDSA have no parameters
		}
	})
	if s.encoded, err = b.Bytes(); err != nil {
		return nil, fmt.Errorf("encoding its signature algorithm: %w", err)
	}
	return s, nil
}

// sign makes the signature over a message, which may come in parts: a revocation
// list is long, and is neither copied nor held twice for it. No other code uses the
// key.
func (s *signer) sign(parts ...[]byte) (signature []byte, err error) {
	if s.key == nil {
		return nil, errResting
	}
	if _, hashesItself := s.key.(crypto.MessageSigner); hashesItself || s.hash == 0 {
		signature, err = crypto.SignMessage(s.key, rand.Reader, joined(parts), s.hash)
	} else {
		signature, err = s.key.Sign(rand.Reader, s.digest(parts), s.hash)
	}
	if err != nil {
		return nil, fmt.Errorf("using the key: %w", err)
	}
	return signature, nil
}

// verify holds a signature against the certified public key. A module or processor
// that erred shows here, before its signature, which might betray the key, gets out.
func (s *signer) verify(signature []byte, parts ...[]byte) error {
	ok := false
	switch public := s.public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(public, s.digest(parts), signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(public, s.hash, s.digest(parts), signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, joined(parts), signature)
	}
	if !ok {
		return errors.New("the signature does not fit the key")
	}
	return nil
}

// digest is what is signed of a message, unless its algorithm reads it twice
// (Ed25519: RFC 8032, Section 5.1.6).
func (s *signer) digest(parts [][]byte) []byte {
	h := s.hash.New()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// joined is a message as one slice.
func joined(parts [][]byte) []byte {
	if len(parts) == 1 {
		return parts[0]
	}
	return bytes.Join(parts, nil)
}

// errResting is the answer to everything that needs a key that is not there.
var errResting = errors.New("the key of this authority is not on this server: ask where it is")

// keyIdentifier is method 1 of RFC 7093, Section 2, as crypto/x509 has it: the
// first 160 bits of the SHA-256 over the content of subjectPublicKey.
func keyIdentifier(spki []byte) ([]byte, error) {
	bits, err := keyBits(spki)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(bits)
	return hash[:20], nil
}

// keyBits is the content of subjectPublicKey, without the number of unused bits.
func keyBits(spki []byte) ([]byte, error) {
	input := cryptobyte.String(spki)
	var sequence, bits cryptobyte.String
	if !input.ReadASN1(&sequence, asn1.SEQUENCE) || !sequence.SkipASN1(asn1.SEQUENCE) ||
		!sequence.ReadASN1(&bits, asn1.BIT_STRING) || len(bits) < 2 {
		return nil, errors.New("reading a public key: this is not the DER of one")
	}
	return bits[1:], nil
}
