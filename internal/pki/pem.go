package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The types of PEM blocks (RFC 7468) that are read or written here.
const (
	pemCertificate  = "CERTIFICATE"
	pemRequest      = "CERTIFICATE REQUEST"
	pemRequestOld   = "NEW CERTIFICATE REQUEST"
	pemPrivateKey   = "PRIVATE KEY"
	pemEncryptedKey = "ENCRYPTED PRIVATE KEY"
)

// EncodeCertificate is the certificate in PEM, with a newline at its end.
func EncodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})
}

// EncodeRequest is the certificate signing request in PEM, with a newline at its end.
func EncodeRequest(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: der})
}

// EncodeKey is the private key in PEM, PKCS#8 and not encrypted, with a newline at
// its end.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

// ParseCertificates reads one or more certificates in PEM, in their order. Text
// around the blocks is passed over; blocks of another type are an error.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for block, rest := nextBlock(data); block != nil; block, rest = nextBlock(rest) {
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("this is %s where certificates are wanted: give only blocks that begin with -----BEGIN CERTIFICATE-----", describeBlock(block.Type))
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is broken: give the file as its issuer made it: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, certificate)
	}
	if certificates == nil {
		return nil, errors.New("no certificate in PEM found: it begins with -----BEGIN CERTIFICATE-----; `openssl x509 -inform der -in FILE` makes PEM of DER")
	}
	return certificates, nil
}

// ParseKey reads one unencrypted private key in PEM: PKCS#8, PKCS#1 or SEC 1. The
// block EC PARAMETERS, which openssl writes before some keys, is passed over.
func ParseKey(data []byte) (crypto.Signer, error) {
	block, rest := nextBlock(data)
	for block != nil && block.Type == "EC PARAMETERS" {
		block, rest = nextBlock(rest)
	}
	if block == nil {
		return nil, errors.New("no private key in PEM found: it begins with -----BEGIN PRIVATE KEY-----")
	}
	if next, _ := nextBlock(rest); next != nil {
		return nil, errors.New("more than one PEM block: give a file with the private key alone")
	}
	if block.Type == pemEncryptedKey || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted: give its passphrase, or decrypt it with `openssl pkey`")
	}
	var key any
	var err error
	switch block.Type {
	case pemPrivateKey:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("this is %s where a private key is wanted: give the file that begins with -----BEGIN PRIVATE KEY-----", describeBlock(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("the private key is broken: give the file as it was made: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key cannot sign: make one of %s", keyTypeList())
	}
	return signer, nil
}

// nextBlock is pem.Decode that passes over the byte order mark which some editors
// put before the first block.
func nextBlock(data []byte) (block *pem.Block, rest []byte) {
	return pem.Decode(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
}

// describeBlock names a PEM block in words.
func describeBlock(blockType string) string {
	switch {
	case blockType == pemCertificate || blockType == "TRUSTED CERTIFICATE" || blockType == "X509 CERTIFICATE":
		return "a certificate"
	case blockType == pemRequest || blockType == pemRequestOld:
		return "a certificate signing request"
	case strings.HasSuffix(blockType, "PRIVATE KEY"):
		return "a private key"
	case strings.HasSuffix(blockType, "PUBLIC KEY"):
		return "a public key"
	case blockType == "X509 CRL":
		return "a certificate revocation list"
	case blockType == "PKCS7":
		return "a PKCS#7 file"
	}
	return "a PEM block " + quote(blockType)
}

// looksLikePEM reports whether data was meant to be PEM.
func looksLikePEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN")) }
