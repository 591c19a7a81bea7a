package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// checkPrepared holds the certificate that was read back against what was asked
// for. It looks at what crypto/x509 has found in the bytes, not at what we meant to
// write there.
func (i *Issuer) checkPrepared(c *x509.Certificate, request Request, profile Profile) error {
	if err := checkLeaf(c, profile.EKU); err != nil {
		return err
	}
	if err := i.checkFrame(c, request.Serial, request.PublicKey, request.NotBefore, request.NotAfter); err != nil {
		return err
	}
	if !slices.Equal(namesOf(c), dnsFirst(request.Names)) {
		return fmt.Errorf("the names are %v, not %v", namesOf(c), request.Names)
	}
	want := leafSubject(request, profile)
	got := c.Subject
	if got.CommonName != want.CommonName || !slices.Equal(got.Country, want.Country) ||
		!slices.Equal(got.Organization, want.Organization) || !slices.Equal(got.OrganizationalUnit, want.OrganizationalUnit) ||
		len(got.Names) != len(want.ToRDNSequence()) {
		return fmt.Errorf("the subject is %q, not %q", got, want)
	}
	return checkURLs(c, i.urls)
}

// checkFrame checks what leaves and authorities have in common.
func (i *Issuer) checkFrame(c *x509.Certificate, serial pki.Serial, public crypto.PublicKey, notBefore, notAfter time.Time) error {
	switch {
	case c.SerialNumber.Cmp(serial.Int()) != 0:
		return fmt.Errorf("the serial number is %x, not %s", c.SerialNumber, serial)
	case !bytes.Equal(c.RawIssuer, i.certificate.RawSubject):
		return fmt.Errorf("the issuer is %q, not %q", c.Issuer, i.certificate.Subject)
	case c.SignatureAlgorithm != i.algorithm:
		return fmt.Errorf("the signature algorithm is %v, not %v", c.SignatureAlgorithm, i.algorithm)
	case !bytes.Equal(c.AuthorityKeyId, i.authorityID):
		return errors.New("the authority key identifier is not the authority's")
	case len(c.SubjectKeyId) == 0:
		return errors.New("the subject key identifier is missing")
	case !samePublicKey(c.PublicKey, public):
		return errors.New("the public key is another")
	case !c.NotBefore.Equal(notBefore) || !c.NotAfter.Equal(notAfter):
		return fmt.Errorf("the validity is %v to %v, not %v to %v", c.NotBefore, c.NotAfter, notBefore, notAfter)
	}
	return checkWithin(c.NotBefore, c.NotAfter, i.certificate)
}

// checkURLs checks that the certificate points where its authority publishes, and
// nowhere else.
func checkURLs(c *x509.Certificate, want urls) error {
	list := func(url string) []string {
		if url == "" {
			return nil
		}
		return []string{url}
	}
	if !slices.Equal(c.CRLDistributionPoints, list(want.crl)) || !slices.Equal(c.OCSPServer, list(want.ocsp)) ||
		!slices.Equal(c.IssuingCertificateURL, list(want.issuer)) {
		return fmt.Errorf("the URLs are %v, %v, %v, not %v", c.CRLDistributionPoints, c.OCSPServer, c.IssuingCertificateURL, want)
	}
	return nil
}

// checkLeaf holds a certificate to the rules for every leaf with that usage, from
// whatever request it came.
func checkLeaf(c *x509.Certificate, usage x509.ExtKeyUsage) error {
	if c.Version != 3 {
		return fmt.Errorf("its version is %d, not 3", c.Version)
	}
	if _, ok := pki.SerialFromInt(c.SerialNumber); !ok {
		return fmt.Errorf("its serial number %x is not one of ours", c.SerialNumber)
	}
	if c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen > 0 || c.MaxPathLenZero {
		return errors.New("it is a CA's, or does not say that it is not")
	}
	if want := leafKeyUsage(c.PublicKey, usage); c.KeyUsage != want {
		return fmt.Errorf("its key usage is %09b, not %09b", c.KeyUsage, want)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != usage || len(c.UnknownExtKeyUsage) > 0 {
		return fmt.Errorf("its extended key usage is not %s alone", usageName(usage))
	}
	if err := pki.CheckPublicKey(c.PublicKey); err != nil {
		return err
	}
	if usage == x509.ExtKeyUsageOCSPSigning {
		if err := checkNameless(c); err != nil {
			return err
		}
	} else if len(c.EmailAddresses)+len(c.URIs) > 0 || len(c.DNSNames)+len(c.IPAddresses) == 0 {
		return errors.New("its names are not DNS names and IP addresses")
	}
	if c.NotAfter.Before(c.NotBefore) || c.NotAfter.Sub(c.NotBefore) > maxLife-time.Second {
		return fmt.Errorf("its validity, %v to %v, is longer than ten years or nothing", c.NotBefore, c.NotAfter)
	}
	return checkExtensions(c)
}

// checkExtensions allows no extension beyond those that are written here, with the
// criticality that they have here. (crypto/x509 refuses one that comes twice.)
func checkExtensions(c *x509.Certificate) error {
	responder := slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning})
	for _, extension := range c.Extensions {
		critical, known := criticality(extension.Id, len(c.Subject.Names) == 0)
		if !known || extension.Id.Equal(oidOCSPNoCheck) && !responder {
			return fmt.Errorf("it has the extension %v", extension.Id)
		}
		if extension.Critical != critical {
			return fmt.Errorf("its extension %v is critical: %t", extension.Id, extension.Critical)
		}
	}
	return nil
}

// criticality is whether an extension that is written here is critical, as
// RFC 5280, Section 4.2, says.
func criticality(id encoding.ObjectIdentifier, emptySubject bool) (critical, known bool) {
	switch {
	case id.Equal(oidKeyUsage), id.Equal(oidBasicConstraints):
		return true, true
	case id.Equal(oidSubjectAltName):
		return emptySubject, true
	case id.Equal(oidExtendedKeyUsage), id.Equal(oidSubjectKeyID), id.Equal(oidAuthorityKeyID),
		id.Equal(oidAuthorityInfo), id.Equal(oidCRLPoints), id.Equal(oidOCSPNoCheck):
		return false, true
	}
	return false, false
}

// namesOf lists the names of a certificate as texts, the DNS names first.
func namesOf(c *x509.Certificate) []string {
	texts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		texts = append(texts, ip.String())
	}
	return texts
}

// dnsFirst lists names in the order in which a certificate has them.
func dnsFirst(names []pki.Name) []string {
	var dns, addresses []string
	for _, name := range names {
		if name.IsIP() {
			addresses = append(addresses, name.String())
		} else {
			dns = append(dns, name.String())
		}
	}
	return append(dns, addresses...)
}

// CheckStored holds a certificate from a database against the rules that no
// certificate of the profile may break, however it got there: one extended key
// usage, that of the profile, no CA, no extension that is not ours, a sound key and
// a bounded life. OCSPProfile is a profile in this. Who signed it is a question for
// Issuer.Verify.
func CheckStored(der []byte, profile string) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("checking a stored certificate: %w", err)
	}
	usage, fixed := fixedUsage(profile)
	if !fixed && len(c.ExtKeyUsage) == 1 {
		usage = c.ExtKeyUsage[0]
	}
	if !fixed && usage != x509.ExtKeyUsageServerAuth && usage != x509.ExtKeyUsageClientAuth {
		return fmt.Errorf("checking a stored certificate: its extended key usage is neither serverAuth nor clientAuth alone")
	}
	if err := checkLeaf(c, usage); err != nil {
		return fmt.Errorf("checking a stored certificate: %w", err)
	}
	if profile == CanaryProfile && c.NotAfter.Sub(c.NotBefore) > maxCanaryLife-time.Second {
		return fmt.Errorf("checking a stored certificate: it is a canary, and valid for longer than %s", maxCanaryLife)
	}
	return nil
}
