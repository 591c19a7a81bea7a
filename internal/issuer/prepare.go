package issuer

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Request asks for a certificate under one of the authority's profiles. Everything
// but CommonName is required.
type Request struct {
	Profile             string
	Serial              pki.Serial
	Names               []pki.Name // each once; the common name is the first that is a DNS name of at most 64 characters
	CommonName          string     // one of the names, to be the common name instead
	PublicKey           crypto.PublicKey
	NotBefore, NotAfter time.Time // the first and the last second; fractions are cut off
}

// RefusedError says why a request is not granted. It is the request's fault, and
// its detail says how to mend it.
type RefusedError struct {
	Field  string // of Request, such as "PublicKey" or "Names[3]"; empty if none can be named
	Detail string
}

func (e *RefusedError) Error() string { return e.Detail }

func refuse(field, format string, args ...any) error {
	return &RefusedError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// Prepare builds the certificate that the request asks for, and checks it. A
// request that cannot be granted is a *RefusedError.
func (i *Issuer) Prepare(request Request) (*Draft, error) {
	profile, known := i.Profile(request.Profile)
	if !known {
		return nil, refuse("Profile", "the authority %s does not issue the profile %q: give one that it issues", i.name, request.Profile)
	}
	return i.prepare(request, profile)
}

// prepare is Prepare under a profile that is given.
func (i *Issuer) prepare(request Request, profile Profile) (*Draft, error) {
	if !i.CanSign() {
		return nil, fmt.Errorf("preparing a certificate of %s: %w", i.name, errResting)
	}
	request.NotBefore = request.NotBefore.UTC().Truncate(time.Second)
	request.NotAfter = request.NotAfter.UTC().Truncate(time.Second)
	if err := i.checkRequest(request, profile); err != nil {
		return nil, err
	}
	t, err := i.leaf(request, profile)
	if err != nil {
		return nil, fmt.Errorf("preparing a certificate of %s: %w", i.name, err)
	}
	draft, err := i.draft(t, i.linter, func(parsed *x509.Certificate) error {
		return i.checkPrepared(parsed, request, profile)
	})
	if err != nil {
		return nil, fmt.Errorf("preparing a certificate of %s: %w", i.name, err)
	}
	return draft, nil
}

// Sign signs a draft of this authority, once, and returns the certificate in DER.
// An error means that the certificate may not be handed out; whether a signature
// exists is then unknown.
func (i *Issuer) Sign(draft *Draft) (der []byte, err error) {
	der, err = i.signDraft(draft)
	if err != nil {
		return nil, fmt.Errorf("signing with the authority %s: %w", i.name, err)
	}
	return der, nil
}

// checkRequest holds a request against the profile and the authority's life.
func (i *Issuer) checkRequest(request Request, profile Profile) error {
	if _, ok := pki.SerialFromInt(request.Serial.Int()); !ok {
		return fmt.Errorf("preparing a certificate of %s: the serial number %s is not in form: draw one with pki.NewSerial", i.name, request.Serial)
	}
	if err := checkNames(request, profile); err != nil {
		return err
	}
	if err := i.checkKey(request.PublicKey, profile); err != nil {
		return err
	}
	if request.NotAfter.Before(request.NotBefore) {
		return refuse("NotAfter", "the validity ends before it begins: give a time after %s", request.NotBefore.Format(time.DateTime))
	}
	// RFC 5280, Section 4.1.2.5: both ends belong to the validity.
	if request.NotAfter.Sub(request.NotBefore) > profile.MaxValidity-time.Second {
		return refuse("NotAfter", "profile %s is valid for at most %s: ask for less", profile.Name, days(profile.MaxValidity))
	}
	if err := checkWithin(request.NotBefore, request.NotAfter, i.certificate); err != nil {
		return refuse("NotAfter", "%v", err)
	}
	return nil
}

func checkNames(request Request, profile Profile) error {
	if len(request.Names) == 0 {
		return refuse("Names", "there is no name: give the name or address of the server")
	}
	if len(request.Names) > profile.MaxNames {
		return refuse("Names", "%d names are too many: profile %s has at most %d in a certificate", len(request.Names), profile.Name, profile.MaxNames)
	}
	seen := make(map[pki.Name]bool, len(request.Names))
	common := request.CommonName == ""
	for n, name := range request.Names {
		field := "Names[" + strconv.Itoa(n) + "]"
		switch {
		case name.IsZero():
			return refuse(field, "this name is empty: leave it out")
		case seen[name]:
			return refuse(field, "the name %s is there twice: leave one out", name)
		case name.IsWildcard() && !profile.Wildcards:
			return refuse(field, "profile %s has no wildcards: give the names for which %s would stand", profile.Name, name)
		case name.IsIP() && !profile.IPNames:
			return refuse(field, "profile %s has no IP addresses: give a DNS name in place of %s", profile.Name, name)
		}
		seen[name] = true
		common = common || name.String() == request.CommonName
	}
	if !common {
		return refuse("CommonName", "the common name %q is none of the names: give one of them, or none", request.CommonName)
	}
	if len(request.CommonName) > maxSubjectLength {
		return refuse("CommonName", "the common name has %d characters: give one of at most %d, or none", len(request.CommonName), maxSubjectLength)
	}
	return nil
}

func (i *Issuer) checkKey(public crypto.PublicKey, profile Profile) error {
	kind, err := pki.KeyTypeOf(public)
	if err != nil {
		return refuse("PublicKey", "%v", err)
	}
	if !slices.Contains(profile.KeyTypes, kind) {
		return refuse("PublicKey", "profile %s has no keys of type %s: give one of %v", profile.Name, kind, profile.KeyTypes)
	}
	if err := pki.CheckPublicKey(public); err != nil {
		return refuse("PublicKey", "%v", err)
	}
	for _, ca := range append([]*x509.Certificate{i.certificate}, i.chain...) {
		if samePublicKey(public, ca.PublicKey) {
			return refuse("PublicKey", "this is the key of the authority %q itself: make a key of your own", ca.Subject.CommonName)
		}
	}
	return nil
}

// checkWithin says whether a validity stays within that of the issuer.
func checkWithin(notBefore, notAfter time.Time, issuer *x509.Certificate) error {
	if notAfter.After(issuer.NotAfter) {
		return fmt.Errorf("the validity would outlast its issuer's, which ends on %s: ask for less", issuer.NotAfter.UTC().Format(time.DateTime))
	}
	if notBefore.Before(issuer.NotBefore) {
		return fmt.Errorf("the validity would begin before its issuer's, on %s: ask for a later begin", issuer.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	}
	return d.String()
}

// leaf is the template of what the request asks for.
func (i *Issuer) leaf(request Request, profile Profile) (*template, error) {
	subject, err := encodeName(leafSubject(request, profile))
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
	return &template{
		serial:       request.Serial,
		algorithm:    i.encoded,
		issuer:       i.certificate.RawSubject,
		subject:      subject,
		notBefore:    request.NotBefore,
		notAfter:     request.NotAfter,
		spki:         spki,
		keyUsage:     leafKeyUsage(request.PublicKey, profile.EKU),
		usage:        usageOID(profile.EKU),
		subjectKeyID: keyID,
		authorityKey: i.authorityID,
		names:        request.Names,
		urls:         i.urls,
	}, nil
}

// leafSubject is the profile's fixed subject with the common name, if a name fits.
func leafSubject(request Request, profile Profile) pkix.Name {
	subject := pkix.Name{CommonName: request.CommonName}
	for _, name := range request.Names {
		if subject.CommonName == "" && !name.IsIP() && len(name.String()) <= maxSubjectLength {
			subject.CommonName = name.String()
		}
	}
	if profile.Country != "" {
		subject.Country = []string{profile.Country}
	}
	if profile.Organization != "" {
		subject.Organization = []string{profile.Organization}
	}
	if profile.OrganizationalUnit != "" {
		subject.OrganizationalUnit = []string{profile.OrganizationalUnit}
	}
	return subject
}

// leafKeyUsage is what TLS needs of a key: signatures, and of the RSA key of a
// server also the transport of keys, for TLS 1.2 without forward secrecy. With
// clientAuth RFC 5280, Section 4.2.1.12, has no keyEncipherment.
func leafKeyUsage(public crypto.PublicKey, usage x509.ExtKeyUsage) x509.KeyUsage {
	if _, isRSA := public.(*rsa.PublicKey); isRSA && usage == x509.ExtKeyUsageServerAuth {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

// usageOID is the object identifier of one of the two usages.
func usageOID(usage x509.ExtKeyUsage) encoding.ObjectIdentifier {
	if usage == x509.ExtKeyUsageClientAuth {
		return oidClientAuth
	}
	return oidServerAuth
}
