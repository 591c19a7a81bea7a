package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// KeyType names a kind of key that a certificate may carry.
type KeyType string

// The key types that are served. P-256 is the one to choose: every client and
// server understands it, and it is the cheapest to use.
const (
	ECDSAP256 KeyType = "ecdsa-p256"
	ECDSAP384 KeyType = "ecdsa-p384"
	RSA2048   KeyType = "rsa-2048"
	RSA3072   KeyType = "rsa-3072"
	RSA4096   KeyType = "rsa-4096"
	Ed25519   KeyType = "ed25519"
)

// KeyTypes lists every key type, the default first.
func KeyTypes() []KeyType {
	return []KeyType{ECDSAP256, ECDSAP384, RSA2048, RSA3072, RSA4096, Ed25519}
}

// ParseKeyType reads a key type by its name, in either case.
func ParseKeyType(text string) (KeyType, error) {
	t := KeyType(strings.ToLower(text))
	if slices.Contains(KeyTypes(), t) {
		return t, nil
	}
	return "", fmt.Errorf("%s is not a key type: give one of %s", quote(text), keyTypeList())
}

func keyTypeList() string {
	var names []string
	for _, t := range KeyTypes() {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// KeyTypeOf is the type of a public key, or an error that says why a key of this
// kind or size is not served. It looks at nothing else: see CheckPublicKey.
func KeyTypeOf(public crypto.PublicKey) (KeyType, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return ECDSAP256, nil
		case elliptic.P384():
			return ECDSAP384, nil
		}
		curve := "of an unknown curve"
		if key.Curve != nil {
			curve = "on " + key.Curve.Params().Name
		}
		return "", fmt.Errorf("an elliptic-curve key %s is not served: make one of %s", curve, keyTypeList())
	case *rsa.PublicKey:
		if key.N == nil {
			return "", fmt.Errorf("an RSA key without a modulus is not a key: make one of %s", keyTypeList())
		}
		switch key.N.BitLen() {
		case 2048:
			return RSA2048, nil
		case 3072:
			return RSA3072, nil
		case 4096:
			return RSA4096, nil
		}
		return "", fmt.Errorf("an RSA key of %d bits is not served: make one of 2048, 3072 or 4096 bits", key.N.BitLen())
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return "", fmt.Errorf("an Ed25519 key of %d octets is not one: it has %d", len(key), ed25519.PublicKeySize)
		}
		return Ed25519, nil
	}
	return "", fmt.Errorf("a key of this kind is not served: make one of %s", keyTypeList())
}

// Generate makes a key of the type from crypto/rand.
func (t KeyType) Generate() (crypto.Signer, error) {
	switch t {
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("making a key: %s is not a key type: give one of %s", quote(string(t)), keyTypeList())
}

// SPKIHash is the SHA-256 of the key's SubjectPublicKeyInfo: the same key has the
// same hash in whatever certificate or request it comes.
func SPKIHash(public crypto.PublicKey) ([32]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return [32]byte{}, fmt.Errorf("hashing a public key: %w", err)
	}
	return sha256.Sum256(der), nil
}
