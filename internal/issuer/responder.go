package issuer

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// OCSPProfile is the name under which the certificates of OCSP responders are
// recorded. It is no Profile: nobody can ask for one, the authority makes them for
// itself.
const OCSPProfile = "ocsp"

// maxResponderLife bounds the life of a responder's certificate: it is one that
// nobody checks for revocation.
const maxResponderLife = 31 * 24 * time.Hour

// ResponderRequest asks for the certificate of a responder. Everything is required.
type ResponderRequest struct {
	Serial              pki.Serial
	PublicKey           crypto.PublicKey
	NotBefore, NotAfter time.Time // the first and the last second
}

// PrepareResponder builds the certificate of an OCSP responder, and checks it as
// Prepare does. It has no names but that of its authority, the usage OCSPSigning
// alone, and says that itself is not to be checked (RFC 6960, Section 4.2.2.2.1).
func (i *Issuer) PrepareResponder(request ResponderRequest) (*Draft, error) {
	draft, err := i.prepareResponder(request)
	if err != nil {
		return nil, fmt.Errorf("preparing the certificate of an OCSP responder of %s: %w", i.name, err)
	}
	return draft, nil
}

func (i *Issuer) prepareResponder(request ResponderRequest) (*Draft, error) {
	if !i.CanSign() {
		return nil, errResting
	}
	if samePublicKey(request.PublicKey, i.public) {
		return nil, errors.New("its key is the authority's own: make one for it")
	}
	subject, err := encodeName(pkix.Name{CommonName: i.responderName()})
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(request.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	keyID, err := keyIdentifier(spki)
	if err != nil {
		return nil, err
	}
	t := &template{
		serial:       request.Serial,
		algorithm:    i.encoded,
		issuer:       i.certificate.RawSubject,
		subject:      subject,
		notBefore:    request.NotBefore.UTC().Truncate(time.Second),
		notAfter:     request.NotAfter.UTC().Truncate(time.Second),
		spki:         spki,
		keyUsage:     x509.KeyUsageDigitalSignature,
		usage:        oidOCSPSigning,
		subjectKeyID: keyID,
		authorityKey: i.authorityID,
		noCheck:      true,
	}
	return i.draft(t, i.linter, func(parsed *x509.Certificate) error {
		if err := i.checkResponder(parsed); err != nil {
			return err
		}
		return i.checkFrame(parsed, t.serial, request.PublicKey, t.notBefore, t.notAfter)
	})
}

// checkResponder checks what all certificates of responders have in common.
func (i *Issuer) checkResponder(c *x509.Certificate) error {
	if err := checkLeaf(c, x509.ExtKeyUsageOCSPSigning); err != nil {
		return err
	}
	if want := i.responderName(); c.Subject.CommonName != want || len(c.Subject.Names) != 1 {
		return fmt.Errorf("the subject is %q, not %q", c.Subject, want)
	}
	return checkURLs(c, urls{})
}

// checkNameless checks what only a responder's certificate has, beside its usage:
// no names, so that it can be no server's, a short life, and the word that it is not
// to be checked itself.
func checkNameless(c *x509.Certificate) error {
	if len(c.EmailAddresses)+len(c.URIs)+len(c.DNSNames)+len(c.IPAddresses) > 0 {
		return errors.New("it has alternative names")
	}
	if c.NotAfter.Sub(c.NotBefore) > maxResponderLife-time.Second {
		return fmt.Errorf("its validity, %v to %v, is longer than %s", c.NotBefore, c.NotAfter, days(maxResponderLife))
	}
	if !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidOCSPNoCheck) }) {
		return errors.New("it has no id-pkix-ocsp-nocheck")
	}
	return nil
}

// responderName is the subject of the authority's responders.
func (i *Issuer) responderName() string {
	const prefix = "OCSP responder of "
	return prefix + i.name[:min(len(i.name), maxSubjectLength-len(prefix))]
}

// Responder answers for an authority, with a key of its own that the authority has
// certified for it. It never changes, and may be used by any number of goroutines.
type Responder struct {
	*signer
	issuer      *Issuer
	certificate *x509.Certificate
	keyHash     []byte // SHA-1 of the public key, its name in responses
}

// NewResponder makes a responder of a key and its certificate, and holds them
// against the authority.
func (i *Issuer) NewResponder(key crypto.Signer, der []byte) (*Responder, error) {
	r, err := i.newResponder(key, der)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP responder of %s: %w", i.name, err)
	}
	return r, nil
}

func (i *Issuer) newResponder(key crypto.Signer, der []byte) (*Responder, error) {
	if err := i.Verify(der); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := i.checkResponder(certificate); err != nil {
		return nil, err
	}
	if !samePublicKey(key.Public(), certificate.PublicKey) {
		return nil, errors.New("the key is not that of its certificate")
	}
	s, err := newSigner(key, key.Public())
	if err != nil {
		return nil, err
	}
	// A key that does not work shows here, not when somebody asks.
	trial := []byte("a responder's first signature")
	signature, err := s.sign(trial)
	if err != nil {
		return nil, err
	}
	if err := s.verify(signature, trial); err != nil {
		return nil, err
	}
	bits, err := keyBits(s.spki)
	if err != nil {
		return nil, err
	}
	return &Responder{signer: s, issuer: i, certificate: certificate, keyHash: sum(crypto.SHA1, bits)}, nil
}

// NotAfter is the last second of the responder's certificate.
func (r *Responder) NotAfter() time.Time { return r.certificate.NotAfter }
