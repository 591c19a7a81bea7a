package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of what a request may contain: RFC 5280, Section 4.2 and
// Appendix A; RFC 2985, Section 5.4.
const (
	oidCommonName        = "2.5.4.3"
	oidSubjectKeyID      = "2.5.29.14"
	oidKeyUsage          = "2.5.29.15"
	oidSubjectAltName    = "2.5.29.17"
	oidBasicConstraints  = "2.5.29.19"
	oidNameConstraints   = "2.5.29.30"
	oidPolicies          = "2.5.29.32"
	oidExtendedKeyUsage  = "2.5.29.37"
	oidTLSFeature        = "1.3.6.1.5.5.7.1.24"
	oidExtensionRequest  = "1.2.840.113549.1.9.14"
	oidChallengePassword = "1.2.840.113549.1.9.7"
	oidUnstructuredName  = "1.2.840.113549.1.9.2"
)

// readIgnored puts into words what the request asks for and does not get.
func (c *CSR) readIgnored(request *x509.CertificateRequest) error {
	for _, attribute := range request.Subject.Names {
		if attribute.Type.String() != oidCommonName {
			c.Ignored = append(c.Ignored, "subject "+attributeName(attribute.Type)+"="+quote(fmt.Sprint(attribute.Value)))
		}
	}
	for _, extension := range request.Extensions {
		if extension.Id.String() != oidSubjectAltName {
			c.Ignored = append(c.Ignored, describeExtension(extension))
		}
	}
	attributes, err := attributeTypes(request.RawTBSCertificateRequest)
	if err != nil {
		return err
	}
	for _, attribute := range attributes {
		switch oid := attribute.String(); oid {
		case oidExtensionRequest:
		case oidChallengePassword:
			c.Ignored = append(c.Ignored, "attribute challengePassword") // its value is a secret
		case oidUnstructuredName:
			c.Ignored = append(c.Ignored, "attribute unstructuredName")
		default:
			c.Ignored = append(c.Ignored, "attribute "+oid)
		}
	}
	return nil
}

// attributeName is the usual abbreviation of a subject attribute (RFC 4514,
// Section 3), else its number.
func attributeName(oid encoding.ObjectIdentifier) string {
	switch oid.String() {
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "STREET"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	}
	return oid.String()
}

func describeExtension(extension pkix.Extension) string {
	switch oid := extension.Id.String(); oid {
	case oidExtendedKeyUsage:
		return "extended key usage " + describeUsages(extension.Value)
	case oidBasicConstraints:
		if asksForCA(extension.Value) {
			return "basic constraints CA:TRUE"
		}
		return "basic constraints"
	case oidKeyUsage:
		return "key usage"
	case oidSubjectKeyID:
		return "subject key identifier"
	case oidNameConstraints:
		return "name constraints"
	case oidPolicies:
		return "certificate policies"
	case oidTLSFeature:
		return "TLS feature (must-staple)"
	default:
		return "extension " + oid
	}
}

func asksForCA(value []byte) bool {
	input := cryptobyte.String(value)
	var sequence cryptobyte.String
	var ca bool
	return input.ReadASN1(&sequence, asn1.SEQUENCE) &&
		sequence.PeekASN1Tag(asn1.BOOLEAN) && sequence.ReadASN1Boolean(&ca) && ca
}

func describeUsages(value []byte) string {
	input := cryptobyte.String(value)
	var list cryptobyte.String
	if !input.ReadASN1(&list, asn1.SEQUENCE) {
		return "(unreadable)"
	}
	var usages []string
	for !list.Empty() {
		var oid encoding.ObjectIdentifier
		if !list.ReadASN1ObjectIdentifier(&oid) {
			return "(unreadable)"
		}
		usages = append(usages, usageName(oid.String()))
	}
	return strings.Join(usages, ", ")
}

// usageName is the name of a key purpose of RFC 5280, Section 4.2.1.12, else its
// number.
func usageName(oid string) string {
	switch oid {
	case "2.5.29.37.0":
		return "anyExtendedKeyUsage"
	case "1.3.6.1.5.5.7.3.1":
		return "serverAuth"
	case "1.3.6.1.5.5.7.3.2":
		return "clientAuth"
	case "1.3.6.1.5.5.7.3.3":
		return "codeSigning"
	case "1.3.6.1.5.5.7.3.4":
		return "emailProtection"
	case "1.3.6.1.5.5.7.3.8":
		return "timeStamping"
	case "1.3.6.1.5.5.7.3.9":
		return "OCSPSigning"
	}
	return oid
}

// attributeTypes lists the types of the request's attributes (RFC 2986,
// Section 4.1), of which crypto/x509 keeps only those of a certain shape.
func attributeTypes(tbs []byte) ([]encoding.ObjectIdentifier, error) {
	broken := errors.New("its attributes cannot be read")
	input := cryptobyte.String(tbs)
	var info, list cryptobyte.String
	var present bool
	if !input.ReadASN1(&info, asn1.SEQUENCE) ||
		!info.SkipASN1(asn1.INTEGER) || !info.SkipASN1(asn1.SEQUENCE) || !info.SkipASN1(asn1.SEQUENCE) ||
		!info.ReadOptionalASN1(&list, &present, asn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, broken
	}
	var types []encoding.ObjectIdentifier
	for !list.Empty() {
		var attribute cryptobyte.String
		var oid encoding.ObjectIdentifier
		if !list.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) {
			return nil, broken
		}
		types = append(types, oid)
	}
	return types, nil
}
