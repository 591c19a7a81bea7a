package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ProofSubject is the common name of a proof of possession: "revoke " and the
// serial of the certificate whose revocation it asks for.
func ProofSubject(serial Serial) string { return "revoke " + serial.String() }

// ParseProof reads a proof that somebody holds a private key and wants a
// certificate to be revoked, and returns the public key. The proof is a certificate
// signing request whose subject is the common name ProofSubject and nothing else;
// its signature is the proof:
//
//	openssl req -new -key www.example.com.key -subj "/CN=revoke SERIAL"
//
// It is taken as PEM, or as the base64 of its DER. Nobody asks for a certificate with
// such a name, so a request that is lying around proves nothing here; and a proof
// that is seen by others can only do once more what it has done.
func ParseProof(text string, serial Serial) (crypto.PublicKey, error) {
	const maxProof = 16 << 10
	if len(text) > maxProof {
		return nil, fmt.Errorf("the proof is larger than %d KiB: %s", maxProof>>10, proofAdvice(serial))
	}
	data := []byte(text)
	if !looksLikePEM(data) {
		var err error
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err != nil {
			return nil, fmt.Errorf("the proof is neither PEM nor base64: %s", proofAdvice(serial))
		}
	}
	der, err := requestDER(data)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("the proof cannot be read: %s: %w", proofAdvice(serial), err)
	}
	if !namesOnly(request, ProofSubject(serial)) {
		return nil, errors.New("the proof does not say what it is for: " + proofAdvice(serial))
	}
	// The key comes before the signature: an RSA key of absurd size would take
	// its time to verify. No certificate has a key of another type.
	if _, err := KeyTypeOf(request.PublicKey); err != nil {
		return nil, fmt.Errorf("the key of the proof: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the signature of the proof is wrong: %s: %w", proofAdvice(serial), err)
	}
	return request.PublicKey, nil
}

// namesOnly tells whether the subject of a request is one common name, this one in
// any case, and the request has no names beside it.
func namesOnly(request *x509.CertificateRequest, name string) bool {
	if len(request.Subject.Names) != 1 || request.Subject.Names[0].Type.String() != oidCommonName {
		return false
	}
	if len(request.DNSNames)+len(request.IPAddresses)+len(request.EmailAddresses)+len(request.URIs) > 0 {
		return false
	}
	return strings.EqualFold(request.Subject.CommonName, name)
}

func proofAdvice(serial Serial) string {
	return fmt.Sprintf("make it by `openssl req -new -key KEY -subj \"/CN=%s\"` with the key of the certificate", ProofSubject(serial))
}
