package doorcheck

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Served is what the server shows of itself.
type Served struct {
	Certificates []ServedCertificate `json:"certificates"` // in the order in which they came
	Verifies     bool                `json:"verifies"`     // a client of the platform would accept it
	Error        string              `json:"error,omitempty"`
	// Missing are the subjects of the certificates that the server would have to send too.
	Missing []string `json:"missing,omitempty"`

	leaf       *x509.Certificate
	chainFault chainFault
	nameFault  string // why the name does not fit; "": it does
	nameOnlyCN bool   // the name stands in the common name alone
	order      string // what is wrong with the order; "": nothing
	record     *Record
}

// ServedCertificate is one certificate of the chain.
type ServedCertificate struct {
	Subject           string    `json:"subject"`
	Issuer            string    `json:"issuer"`
	Names             []string  `json:"names,omitempty"`
	Serial            string    `json:"serial"`
	NotBefore         time.Time `json:"not_before"`
	NotAfter          time.Time `json:"not_after"`
	Key               string    `json:"key"`
	Signature         string    `json:"signature"`
	FingerprintSHA256 string    `json:"fingerprint_sha256"`
}

// chainFault is why a chain does not verify, each cause on its own.
type chainFault struct {
	expired     bool
	notYet      bool
	incomplete  bool // it verifies with certificates that we know and that were not sent
	unknown     bool // it leads to no root of ours
	usage       bool // the leaf is not for servers
	weakSigning bool // signed with SHA-1 or worse
	other       string
}

// verify is what a client of the platform would say to this chain.
func (c *caller) verify(served []*x509.Certificate) error {
	if len(served) == 0 {
		return errors.New("no certificate")
	}
	if err := served[0].VerifyHostname(c.name.String()); err != nil {
		return err
	}
	return c.verifyChain(served, served[1:], c.Now())
}

func (c *caller) verifyChain(served, intermediates []*x509.Certificate, at time.Time) error {
	pool := x509.NewCertPool()
	for _, certificate := range intermediates {
		pool.AddCert(certificate)
	}
	_, err := served[0].Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: pool, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

// examine takes the served chain apart: every fault on its own, because one hides the others from a client.
func (c *caller) examine(served []*x509.Certificate) *Served {
	if len(served) == 0 {
		return nil
	}
	leaf, now := served[0], c.Now()
	s := &Served{leaf: leaf, Verifies: true}
	for _, certificate := range served[:min(len(served), 10)] {
		s.Certificates = append(s.Certificates, describe(certificate))
	}
	if err := c.verify(served); err != nil {
		s.Verifies, s.Error = false, errorText(err)
	}
	if err := leaf.VerifyHostname(c.name.String()); err != nil {
		s.nameFault = errorText(err)
		s.nameOnlyCN = len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && strings.EqualFold(leaf.Subject.CommonName, c.name.String())
	}
	f := &s.chainFault
	f.expired, f.notYet = now.After(leaf.NotAfter), now.Before(leaf.NotBefore)
	at := now
	if f.expired || f.notYet {
		at = leaf.NotAfter.Add(-time.Second) // so that the other faults are seen too
	}
	err := c.verifyChain(served, served[1:], at)
	if err != nil && c.verifyChain(served, slices.Concat(served[1:], c.Intermediates), at) == nil {
		f.incomplete = true
		s.Missing = c.missing(served)
	} else if err != nil {
		f.classify(err)
		if f.unknown {
			s.Missing = []string{printable(served[len(served)-1].Issuer.String(), 200)}
		}
	}
	s.order = orderFault(served)
	return s
}

// classify sorts an error of x509.Verify.
func (f *chainFault) classify(err error) {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var insecure x509.InsecureAlgorithmError
	switch {
	case strings.Contains(err.Error(), "insecure algorithm") || errors.As(err, &insecure):
		f.weakSigning = true
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		f.usage = true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.expired = true // a CA of the chain
	case errors.As(err, &unknown):
		f.unknown = true
	default:
		f.other = errorText(err)
	}
}

// missing names the known intermediates that the chain lacks.
func (c *caller) missing(served []*x509.Certificate) []string {
	var names []string
	for at, steps := served[0], 0; at != nil && steps < 8 && !bytes.Equal(at.RawIssuer, at.RawSubject); steps++ {
		if next := issuerAmong(at, served); next != nil {
			at = next
			continue
		}
		next := issuerAmong(at, c.Intermediates)
		if next != nil {
			names = append(names, printable(next.Subject.String(), 200))
		}
		at = next
	}
	return names
}

func issuerAmong(certificate *x509.Certificate, candidates []*x509.Certificate) *x509.Certificate {
	for _, candidate := range candidates {
		if candidate != certificate && bytes.Equal(candidate.RawSubject, certificate.RawIssuer) && certificate.CheckSignatureFrom(candidate) == nil {
			return candidate
		}
	}
	return nil
}

// orderFault says what is wrong with the order of the certificates. RFC 8446, Section 4.4.2: each should certify the one before it.
func orderFault(served []*x509.Certificate) string {
	if len(served) > 1 && served[0].IsCA && !served[len(served)-1].IsCA {
		return "the CA's certificate comes first, the server's own last"
	}
	for i := range len(served) - 1 {
		child, parent := served[i], served[i+1]
		if bytes.Equal(child.Raw, parent.Raw) {
			return fmt.Sprintf("certificate %d is sent twice", i+1)
		}
		if !bytes.Equal(child.RawIssuer, parent.RawSubject) {
			if issuerAmong(child, served) != nil {
				return fmt.Sprintf("certificate %d (%s) is not certified by the one after it, but by another one", i+1, printable(child.Subject.String(), 80))
			}
			return fmt.Sprintf("certificate %d (%s) has nothing to do with the one before it", i+2, printable(parent.Subject.String(), 80))
		}
	}
	return ""
}

func describe(certificate *x509.Certificate) ServedCertificate {
	d := ServedCertificate{
		Subject: printable(certificate.Subject.String(), 200), Issuer: printable(certificate.Issuer.String(), 200),
		Serial:    serialText(certificate),
		NotBefore: certificate.NotBefore.UTC(), NotAfter: certificate.NotAfter.UTC(),
		Key: keyText(certificate), Signature: certificate.SignatureAlgorithm.String(), FingerprintSHA256: fingerprint(certificate),
	}
	for _, name := range certificate.DNSNames[:min(len(certificate.DNSNames), 20)] {
		d.Names = append(d.Names, printable(name, 253))
	}
	for _, address := range certificate.IPAddresses[:min(len(certificate.IPAddresses), 20)] {
		d.Names = append(d.Names, address.String())
	}
	return d
}

// serialText is the serial as the rest of imca writes it, or in plain hexadecimal for another CA's.
func serialText(certificate *x509.Certificate) string {
	if serial, ok := pki.SerialFromInt(certificate.SerialNumber); ok {
		return serial.String()
	}
	return certificate.SerialNumber.Text(16)
}

func keyText(certificate *x509.Certificate) string {
	if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok {
		return fmt.Sprintf("rsa-%d", key.N.BitLen())
	}
	if kind, err := pki.KeyTypeOf(certificate.PublicKey); err == nil {
		return string(kind)
	}
	return certificate.PublicKeyAlgorithm.String()
}

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}
