package issuer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/asn1"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/imca-project/imca/internal/pki"
)

// Object identifiers of RFC 5280, Section 4.2.
var (
	oidKeyUsage         = encoding.ObjectIdentifier{2, 5, 29, 15}
	oidExtendedKeyUsage = encoding.ObjectIdentifier{2, 5, 29, 37}
	oidServerAuth       = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth       = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	oidBasicConstraints = encoding.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectKeyID     = encoding.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKeyID   = encoding.ObjectIdentifier{2, 5, 29, 35}
	oidAuthorityInfo    = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
	oidOCSP             = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1}
	oidCAIssuers        = encoding.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 2}
	oidSubjectAltName   = encoding.ObjectIdentifier{2, 5, 29, 17}
	oidCRLPoints        = encoding.ObjectIdentifier{2, 5, 29, 31}
)

// noPathLength says that a CA certificate sets no bound on the chain below it.
const noPathLength = -1

// template is a certificate before it is encoded. The encoding has the bytes that
// crypto/x509 would make, at a tenth of the cost.
type template struct {
	serial              pki.Serial
	algorithm           []byte // DER of the AlgorithmIdentifier
	issuer, subject     []byte // DER of the Names
	notBefore, notAfter time.Time
	spki                []byte // DER of the SubjectPublicKeyInfo

	keyUsage     x509.KeyUsage
	usage        encoding.ObjectIdentifier // the one extended key usage; none if empty
	isCA         bool
	pathLength   int // of a CA only
	subjectKeyID []byte
	authorityKey []byte
	names        []pki.Name
	urls         urls
	noCheck      bool // id-pkix-ocsp-nocheck
}

// urls are where a certificate says that its issuer is to be found; the zero value
// says nothing.
type urls struct{ crl, issuer, ocsp string }

// encode is the DER of the TBSCertificate (RFC 5280, Section 4.1).
func (t *template) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 1024))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2) // v3
		})
		// A Serial has no leading zero and no sign bit, so its octets are the
		// content of the INTEGER.
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(t.serial[:]) })
		b.AddBytes(t.algorithm)
		b.AddBytes(t.issuer)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.notBefore)
			addTime(b, t.notAfter)
		})
		b.AddBytes(t.subject)
		b.AddBytes(t.spki)
		b.AddASN1(asn1.Tag(3).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, t.addExtensions)
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding a certificate: %w", err)
	}
	return der, nil
}

// addTime writes a time as UTCTime through 2049 and as GeneralizedTime after
// (RFC 5280, Section 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC()
	if t.Year() >= 1950 && t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

// addExtensions writes the extensions in the order of crypto/x509.
func (t *template) addExtensions(b *cryptobyte.Builder) {
	addExtension(b, oidKeyUsage, true, func(b *cryptobyte.Builder) { addKeyUsage(b, t.keyUsage) })
	if len(t.usage) > 0 {
		addExtension(b, oidExtendedKeyUsage, false, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(t.usage) })
		})
	}
	addExtension(b, oidBasicConstraints, true, t.addBasicConstraints)
	addExtension(b, oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(t.subjectKeyID) })
	addExtension(b, oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addTagged(b, 0, t.authorityKey) })
	})
	if t.urls.ocsp != "" || t.urls.issuer != "" {
		addExtension(b, oidAuthorityInfo, false, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAccess(b, oidOCSP, t.urls.ocsp)
				addAccess(b, oidCAIssuers, t.urls.issuer)
			})
		})
	}
	if len(t.names) > 0 {
		// RFC 5280, Section 4.2.1.6: critical if the subject is empty.
		addExtension(b, oidSubjectAltName, len(t.subject) == 2, t.addNames)
	}
	if t.urls.crl != "" {
		addExtension(b, oidCRLPoints, false, t.addCRLPoint)
	}
	if t.noCheck {
		addExtension(b, oidOCSPNoCheck, false, func(b *cryptobyte.Builder) { b.AddASN1NULL() })
	}
}

func addExtension(b *cryptobyte.Builder, id encoding.ObjectIdentifier, critical bool, value cryptobyte.BuilderContinuation) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if critical { // DER leaves the default, FALSE, out
			b.AddASN1Boolean(true)
		}
		b.AddASN1(asn1.OCTET_STRING, value)
	})
}

// addTagged writes an IMPLICIT context-specific primitive.
func addTagged(b *cryptobyte.Builder, tag uint8, value []byte) {
	b.AddASN1(asn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// addKeyUsage writes a named bit list (RFC 5280, Section 4.2.1.3), bit 0 foremost,
// zeros at its end left out. Bit 8, decipherOnly, is never set here.
func addKeyUsage(b *cryptobyte.Builder, usage x509.KeyUsage) {
	octet := bits.Reverse8(uint8(usage))
	b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(uint8(bits.TrailingZeros8(octet)))
		b.AddUint8(octet)
	})
}

func (t *template) addBasicConstraints(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if !t.isCA {
			return
		}
		b.AddASN1Boolean(true)
		if t.pathLength != noPathLength {
			b.AddASN1Int64(int64(t.pathLength))
		}
	})
}

func addAccess(b *cryptobyte.Builder, method encoding.ObjectIdentifier, url string) {
	if url == "" {
		return
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(method)
		addTagged(b, 6, []byte(url))
	})
}

// addNames writes the DNS names, then the addresses, each in the order given.
func (t *template) addNames(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range t.names {
			if !name.IsIP() {
				addTagged(b, 2, []byte(name.String()))
			}
		}
		for _, name := range t.names {
			if name.IsIP() {
				addTagged(b, 7, name.Addr().AsSlice())
			}
		}
	})
}

// addCRLPoint writes one distribution point with a full name. There is no
// IssuingDistributionPoint to match: the CRL of an authority is full.
func (t *template) addCRLPoint(b *cryptobyte.Builder) {
	constructed := asn1.Tag(0).Constructed().ContextSpecific()
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(constructed, func(b *cryptobyte.Builder) {
				b.AddASN1(constructed, func(b *cryptobyte.Builder) { addTagged(b, 6, []byte(t.urls.crl)) })
			})
		})
	})
}

// encodeName is the DER of a subject.
func encodeName(name pkix.Name) ([]byte, error) {
	der, err := encoding.Marshal(name.ToRDNSequence())
	if err != nil {
		return nil, fmt.Errorf("encoding a subject: %w", err)
	}
	return der, nil
}
