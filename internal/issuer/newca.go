package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// RootRequest asks for a new root, signed by itself. Everything but Organization is
// required.
type RootRequest struct {
	Serial              pki.Serial
	CommonName          string
	Organization        string
	Key                 crypto.Signer
	NotBefore, NotAfter time.Time // the first and the last second
}

// NewRoot makes a root that may sign leaves and other authorities. It passes the
// same checks and lints as a leaf, and is signed at the same place.
func NewRoot(request RootRequest) (*x509.Certificate, error) {
	certificate, err := newRoot(request)
	if err != nil {
		return nil, fmt.Errorf("making the root %q: %w", request.CommonName, err)
	}
	return certificate, nil
}

func newRoot(request RootRequest) (*x509.Certificate, error) {
	if request.Key == nil {
		return nil, errors.New("it has no key: give one")
	}
	s, err := newSigner(request.Key, request.Key.Public())
	if err != nil {
		return nil, err
	}
	t, err := authorityTemplate(request.Serial, request.CommonName, request.Organization, s.public, request.NotBefore, request.NotAfter)
	if err != nil {
		return nil, err
	}
	t.algorithm = s.encoded
	t.issuer = t.subject
	// RFC 5280, Section 4.2.1.1, lets a root do without; some strict verifiers do not.
	t.authorityKey = t.subjectKeyID
	t.pathLength = noPathLength
	return s.newAuthority(t)
}

// IntermediateRequest asks for an issuing authority below another one. Everything
// but Organization is required.
type IntermediateRequest struct {
	Serial              pki.Serial
	CommonName          string
	Organization        string
	PublicKey           crypto.PublicKey
	EKU                 x509.ExtKeyUsage // of the leaves that it may sign: serverAuth or clientAuth
	NotBefore, NotAfter time.Time        // the first and the last second
}

// NewIntermediate makes an authority below this one, which may sign leaves of one
// usage and no further authorities.
func (i *Issuer) NewIntermediate(request IntermediateRequest) (*x509.Certificate, error) {
	certificate, err := i.newIntermediate(request)
	if err != nil {
		return nil, fmt.Errorf("making the authority %q below %s: %w", request.CommonName, i.name, err)
	}
	return certificate, nil
}

func (i *Issuer) newIntermediate(request IntermediateRequest) (*x509.Certificate, error) {
	if request.EKU != x509.ExtKeyUsageServerAuth && request.EKU != x509.ExtKeyUsageClientAuth {
		return nil, errors.New("its extended key usage: give serverAuth or clientAuth")
	}
	if !allowsUsage(i.certificate, request.EKU) {
		return nil, fmt.Errorf("%q does not allow %s below it: give another parent", i.certificate.Subject, usageName(request.EKU))
	}
	if bound, set := pathLength(i.certificate); set && bound < 1 {
		return nil, fmt.Errorf("%q allows no authority below it: give another parent", i.certificate.Subject)
	}
	if samePublicKey(request.PublicKey, i.public) {
		return nil, errors.New("its key is that of its parent: make a key for it")
	}
	t, err := authorityTemplate(request.Serial, request.CommonName, request.Organization, request.PublicKey, request.NotBefore, request.NotAfter)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(t.subject, i.certificate.RawSubject) {
		return nil, errors.New("it would have the name of its parent: give another common name")
	}
	if err := checkWithin(t.notBefore, t.notAfter, i.certificate); err != nil {
		return nil, err
	}
	t.algorithm = i.encoded
	t.issuer = i.certificate.RawSubject
	t.authorityKey = i.authorityID
	t.usage = usageOID(request.EKU)
	t.urls = i.urls
	return i.newAuthority(t)
}

// authorityTemplate is what every authority's certificate has. Its path length is
// 0: leaves only.
func authorityTemplate(serial pki.Serial, commonName, organization string, public crypto.PublicKey, notBefore, notAfter time.Time) (*template, error) {
	if _, ok := pki.SerialFromInt(serial.Int()); !ok {
		return nil, errors.New("its serial number is not in form: draw one with pki.NewSerial")
	}
	if commonName == "" {
		return nil, errors.New("its common name is empty: give one")
	}
	for _, text := range []string{commonName, organization} {
		if why := checkSubjectText(text); why != "" {
			return nil, fmt.Errorf("its subject: %s", why)
		}
	}
	if err := pki.CheckPublicKey(public); err != nil {
		return nil, err
	}
	if !notAfter.After(notBefore) {
		return nil, errors.New("its validity ends before it begins: give a later end")
	}
	name := pkix.Name{CommonName: commonName}
	if organization != "" {
		name.Organization = []string{organization}
	}
	subject, err := encodeName(name)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding its public key: %w", err)
	}
	keyID, err := keyIdentifier(spki)
	if err != nil {
		return nil, err
	}
	return &template{
		serial: serial, subject: subject, spki: spki, subjectKeyID: keyID,
		notBefore: notBefore.UTC().Truncate(time.Second), notAfter: notAfter.UTC().Truncate(time.Second),
		keyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, isCA: true,
	}, nil
}

// newAuthority takes the template of an authority through draft and signature.
func (s *signer) newAuthority(t *template) (*x509.Certificate, error) {
	lints, err := newLinter()
	if err != nil {
		return nil, err
	}
	draft, err := s.draft(t, lints, func(parsed *x509.Certificate) error { return s.checkNewAuthority(parsed, t) })
	if err != nil {
		return nil, err
	}
	der, err := s.signDraft(draft)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the new certificate: %w", err)
	}
	return certificate, nil
}

// checkNewAuthority holds the certificate that was read back against the template.
func (s *signer) checkNewAuthority(c *x509.Certificate, t *template) error {
	if err := checkAuthority(c); err != nil {
		return err
	}
	bound, set := pathLength(c)
	switch {
	case c.SerialNumber.Cmp(t.serial.Int()) != 0:
		return fmt.Errorf("the serial number is %x, not %s", c.SerialNumber, t.serial)
	case !bytes.Equal(c.RawIssuer, t.issuer) || !bytes.Equal(c.RawSubject, t.subject):
		return fmt.Errorf("the names are %q and %q", c.Issuer, c.Subject)
	case !bytes.Equal(c.RawSubjectPublicKeyInfo, t.spki):
		return errors.New("the public key is another")
	case c.SignatureAlgorithm != s.algorithm:
		return fmt.Errorf("the signature algorithm is %v, not %v", c.SignatureAlgorithm, s.algorithm)
	case c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		return fmt.Errorf("the key usage is %09b", c.KeyUsage)
	case set != (t.pathLength != noPathLength) || set && bound != t.pathLength:
		return fmt.Errorf("the path length is %d", bound)
	case !slices.Equal(c.ExtKeyUsage, usages(t)) || len(c.UnknownExtKeyUsage) > 0:
		return fmt.Errorf("the extended key usage is %v", c.ExtKeyUsage)
	case len(namesOf(c))+len(c.EmailAddresses)+len(c.URIs) > 0:
		return errors.New("it has alternative names")
	case !bytes.Equal(c.SubjectKeyId, t.subjectKeyID) || !bytes.Equal(c.AuthorityKeyId, t.authorityKey):
		return errors.New("the key identifiers are others")
	case !c.NotBefore.Equal(t.notBefore) || !c.NotAfter.Equal(t.notAfter):
		return fmt.Errorf("the validity is %v to %v", c.NotBefore, c.NotAfter)
	}
	if err := checkURLs(c, t.urls); err != nil {
		return err
	}
	return checkExtensions(c)
}

// usages is the extended key usage of a template as crypto/x509 reads it.
func usages(t *template) []x509.ExtKeyUsage {
	switch {
	case t.usage.Equal(oidServerAuth):
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case t.usage.Equal(oidClientAuth):
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return nil
}
