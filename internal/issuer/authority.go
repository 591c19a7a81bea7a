package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// checkAuthority says what keeps a certificate from being one of an authority that
// signs certificates and CRLs.
func checkAuthority(ca *x509.Certificate) error {
	switch {
	case ca.Version != 3 || !ca.BasicConstraintsValid || !ca.IsCA:
		// RFC 5280, Section 4.2.1.9.
		return errors.New("its certificate is not a CA's (basic constraints CA:TRUE is missing): give the certificate of a CA")
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("its certificate may not sign certificates (key usage keyCertSign is missing): give another CA's")
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errors.New("its certificate may not sign revocation lists (key usage cRLSign is missing), and servers would refuse them: give another CA's")
	case len(ca.Subject.Names) == 0:
		// RFC 5280, Section 4.1.2.6.
		return errors.New("its certificate has no subject, by which a leaf would name its issuer: give another CA's")
	case len(ca.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("its certificate has the critical extension %v, which is not understood here: give another CA's", ca.UnhandledCriticalExtensions[0])
	case constrainsNames(ca):
		return errors.New("its certificate has name constraints, which are not evaluated here: give another CA's")
	case !ca.NotAfter.After(ca.NotBefore):
		return errors.New("its certificate ends before it begins: give another CA's")
	}
	return nil
}

func constrainsNames(ca *x509.Certificate) bool {
	return ca.PermittedDNSDomains != nil || ca.ExcludedDNSDomains != nil ||
		ca.PermittedIPRanges != nil || ca.ExcludedIPRanges != nil ||
		ca.PermittedEmailAddresses != nil || ca.ExcludedEmailAddresses != nil ||
		ca.PermittedURIDomains != nil || ca.ExcludedURIDomains != nil
}

// checkChain follows the chain from an authority to its root.
func checkChain(own *x509.Certificate, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		if !selfIssued(own) {
			return fmt.Errorf("its certificate was issued by %q: give the chain from there up to the root", own.Issuer)
		}
		return nil
	}
	below := own
	for depth, parent := range chain {
		if err := checkAuthority(parent); err != nil {
			return fmt.Errorf("in its chain, of %q: %w", parent.Subject, err)
		}
		if !bytes.Equal(below.RawIssuer, parent.RawSubject) {
			return fmt.Errorf("its chain is broken: %q was issued by %q, but %q follows: give the chain in order", below.Subject, below.Issuer, parent.Subject)
		}
		if err := below.CheckSignatureFrom(parent); err != nil {
			return fmt.Errorf("its chain is broken: %q did not sign %q: give the chain that belongs to it: %w", parent.Subject, below.Subject, err)
		}
		// RFC 5280, Section 4.2.1.9: how many CAs may stand between parent and leaf.
		if bound, set := pathLength(parent); set && depth+1 > bound {
			return fmt.Errorf("its chain is too long: %q allows %d authorities below it", parent.Subject, bound)
		}
		below = parent
	}
	if !selfIssued(below) {
		return fmt.Errorf("its chain ends at %q: give it up to and with the root", below.Subject)
	}
	return nil
}

func selfIssued(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, certificate.RawSubject)
}

// pathLength is the bound that a CA certificate sets, if it sets one.
func pathLength(ca *x509.Certificate) (bound int, set bool) {
	return ca.MaxPathLen, ca.MaxPathLen > 0 || ca.MaxPathLenZero
}

// CheckRoot says whether an existing root can serve as an authority at the time
// now: it is a CA, signed by itself with the key that is given, valid, and of a key
// that is strong enough. What is unusual and harmless comes back as notes, in
// sentences.
func CheckRoot(root *x509.Certificate, key crypto.Signer, now time.Time) (notes []string, err error) {
	if key == nil {
		return nil, fmt.Errorf("the root %q: it has no key: give its private key too", root.Subject)
	}
	if _, err := newIssuer(Config{Certificate: root, Key: key}); err != nil {
		return nil, fmt.Errorf("the root %q: %w", root.Subject, err)
	}
	if now.After(root.NotAfter) {
		return nil, fmt.Errorf("the root expired on %s: make a new one", root.NotAfter.Format(time.DateOnly))
	}
	if now.Before(root.NotBefore) {
		return nil, fmt.Errorf("the root is not valid before %s: wait, or set the clock right", root.NotBefore.Format(time.DateTime))
	}
	err = root.CheckSignature(root.SignatureAlgorithm, root.RawTBSCertificate, root.Signature)
	if err != nil && !errors.As(err, new(x509.InsecureAlgorithmError)) {
		return nil, fmt.Errorf("the root's signature over itself is wrong: give the file as it was made: %w", err)
	}
	switch root.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		notes = append(notes, fmt.Sprintf("The root's signature over itself uses %v. Nobody relies on that signature, and new ones use SHA-256 or better.", root.SignatureAlgorithm))
	}
	if left := root.NotAfter.Sub(now); left < 365*24*time.Hour {
		notes = append(notes, fmt.Sprintf("The root expires on %s, and no certificate outlives it: plan its successor.", root.NotAfter.Format(time.DateOnly)))
	}
	if root.KeyUsage == 0 {
		notes = append(notes, "The root has no key usage extension; strict verifiers may refuse it.")
	}
	if len(root.SubjectKeyId) == 0 {
		notes = append(notes, "The root has no subject key identifier; strict verifiers may refuse it.")
	}
	return notes, nil
}
