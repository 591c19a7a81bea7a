package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// iterations is OWASP's recommendation for PBKDF2 with HMAC-SHA-256, about a
// quarter of a second.
const iterations = 600_000

// maxIterations bounds what a file that we did not write may make us compute.
const maxIterations = 20_000_000

const (
	saltSize = 16
	keySize  = 32
)

// Object identifiers of RFC 8018, Appendix C, and of the ciphers (NIST).
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo, RFC 5958, Section 3.
type encryptedKey struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params pbes2Params
	}
	Data []byte
}

// pbes2Params is RFC 8018, Appendix A.4.
type pbes2Params struct {
	Derivation struct {
		ID     asn1.ObjectIdentifier
		Params asn1.RawValue
	}
	Cipher struct {
		ID asn1.ObjectIdentifier
		IV asn1.RawValue
	}
}

// pbkdf2Params is RFC 8018, Appendix A.2.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

var (
	errPassphrase = errors.New("the passphrase does not fit the key, or the file is damaged: give the passphrase that the key was written with")
	errFormat     = errors.New("its encryption is not one that is read here: rewrite it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`")
)

// encrypt wraps a PKCS#8 key in PBES2: PBKDF2 with HMAC-SHA-256, AES-256-CBC.
func encrypt(plain, passphrase []byte) ([]byte, error) {
	var random [saltSize + aes.BlockSize]byte
	_, _ = rand.Read(random[:]) // never returns an error since Go 1.24
	salt, iv := random[:saltSize], random[saltSize:]
	derived, err := pbkdf2.Key(sha256.New, string(passphrase), salt, iterations, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving from the passphrase: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	data := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)

	var out encryptedKey
	out.Data = data
	out.Algorithm.ID = oidPBES2
	out.Algorithm.Params.Cipher.ID = oidAES256CBC
	out.Algorithm.Params.Cipher.IV = asn1.RawValue{Tag: asn1.TagOctetString, Bytes: iv}
	params, err := asn1.Marshal(pbkdf2Params{
		Salt: salt, Iterations: iterations,
		PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the encrypted key: %w", err)
	}
	out.Algorithm.Params.Derivation.ID = oidPBKDF2
	out.Algorithm.Params.Derivation.Params = asn1.RawValue{FullBytes: params}
	der, err := asn1.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding the encrypted key: %w", err)
	}
	return der, nil
}

// decrypt unwraps what encrypt made, and what other tools make with PBKDF2 and AES
// in CBC mode.
func decrypt(der, passphrase []byte) ([]byte, error) {
	var in encryptedKey
	if rest, err := asn1.Unmarshal(der, &in); err != nil || len(rest) > 0 || !in.Algorithm.ID.Equal(oidPBES2) {
		return nil, errFormat
	}
	size, iv := cipherParams(in.Algorithm.Params)
	if size == 0 || len(in.Data) == 0 || len(in.Data)%aes.BlockSize != 0 {
		return nil, errFormat
	}
	derived, err := derive(in.Algorithm.Params, passphrase, size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	data := make([]byte, len(in.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, in.Data)
	padding := int(data[len(data)-1])
	if padding == 0 || padding > aes.BlockSize ||
		!bytes.HasSuffix(data, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errPassphrase
	}
	return data[:len(data)-padding], nil
}

// cipherParams is the size of the cipher's key in octets and its first block; the
// size is 0 for a cipher that is not known.
func cipherParams(params pbes2Params) (size int, iv []byte) {
	value := params.Cipher.IV
	if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagOctetString || len(value.Bytes) != aes.BlockSize {
		return 0, nil
	}
	switch id := params.Cipher.ID; {
	case id.Equal(oidAES128CBC):
		size = 16
	case id.Equal(oidAES192CBC):
		size = 24
	case id.Equal(oidAES256CBC):
		size = 32
	}
	return size, value.Bytes
}

func derive(params pbes2Params, passphrase []byte, size int) ([]byte, error) {
	var in pbkdf2Params
	rest, err := asn1.Unmarshal(params.Derivation.Params.FullBytes, &in)
	if err != nil || len(rest) > 0 || !params.Derivation.ID.Equal(oidPBKDF2) ||
		in.Iterations < 1 || in.Iterations > maxIterations || (in.KeyLength != 0 && in.KeyLength != size) {
		return nil, errFormat
	}
	var hashed func() hash.Hash
	switch prf := in.PRF.Algorithm; {
	case len(prf) == 0 || prf.Equal(oidHMACSHA1): // the default of RFC 8018
		hashed = sha1.New
	case prf.Equal(oidHMACSHA256):
		hashed = sha256.New
	case prf.Equal(oidHMACSHA384):
		hashed = sha512.New384
	case prf.Equal(oidHMACSHA512):
		hashed = sha512.New
	default:
		return nil, errFormat
	}
	derived, err := pbkdf2.Key(hashed, string(passphrase), in.Salt, in.Iterations, size)
	if err != nil {
		return nil, fmt.Errorf("deriving from the passphrase: %w", err)
	}
	return derived, nil
}
