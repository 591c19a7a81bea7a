package doorcheck

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// Nobody knows these CAs: each exists for one check.
const (
	strangerCA = "Stranger CA of a door check"
	stranger   = "stranger.doorcheck.invalid"
)

// newStranger makes a client certificate under a CA of its own. The names are those of ca and leaf, byte for byte, or the stranger's own where they
// are nil: a server that compares names instead of verifying signatures takes the impostor for the platform.
func newStranger(ca, leaf *x509.Certificate, now time.Time) (*tls.Certificate, error) {
	issuer := &x509.Certificate{
		SerialNumber: randomSerial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		Subject: pkix.Name{CommonName: strangerCA}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if ca != nil {
		// Its key identifier stays its own: with that of ca a server would find ca itself, and the lie at once.
		issuer.RawSubject = ca.RawSubject
	}
	client := &x509.Certificate{
		SerialNumber: randomSerial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		Subject: pkix.Name{CommonName: stranger}, DNSNames: []string{stranger},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if leaf != nil {
		client.RawSubject, client.DNSNames = leaf.RawSubject, leaf.DNSNames
	}
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a stranger's CA: %w", err)
	}
	clientKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a stranger: %w", err)
	}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, issuerKey.Public(), issuerKey)
	if err != nil {
		return nil, fmt.Errorf("making a stranger's CA: %w", err)
	}
	if issuer, err = x509.ParseCertificate(issuerDER); err != nil {
		return nil, fmt.Errorf("making a stranger's CA: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, client, issuer, clientKey.Public(), issuerKey)
	if err != nil {
		return nil, fmt.Errorf("making a stranger: %w", err)
	}
	// The CA is sent too: a server that accepts whatever chain it is given is to have all that it wants.
	return &tls.Certificate{Certificate: [][]byte{der, issuerDER}, PrivateKey: clientKey}, nil
}

func randomSerial() *big.Int {
	octets := make([]byte, 16)
	_, _ = rand.Read(octets) // since Go 1.24 it does not return without its bytes
	octets[0] |= 0x01
	return new(big.Int).SetBytes(octets)
}
