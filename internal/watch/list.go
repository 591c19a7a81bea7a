package watch

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// list is a revocation list as a stranger reads it. Of a million entries it takes 32 MB, where crypto/x509's would take some 400.
type list struct {
	number                 int64
	thisUpdate, nextUpdate time.Time
	entries                []entry // by serial
}

type entry struct {
	at     int64 // Unix time
	serial pki.Serial
	reason uint8
}

// says tells whether an entry tells of this revocation.
func (e entry) says(r ca.Revocation) bool {
	return e.reason == uint8(r.Reason) && e.at == r.At.Truncate(time.Second).Unix()
}

func (l *list) find(serial pki.Serial) (int, bool) {
	return slices.BinarySearchFunc(l.entries, serial, func(e entry, s pki.Serial) int { return bytes.Compare(e.serial[:], s[:]) })
}

var errForm = errors.New("it is no revocation list")

// readList reads the DER of a list (RFC 5280, Section 5.1) and checks that an authority signed it.
func readList(der []byte, by *x509.Certificate) (*list, error) {
	whole := cryptobyte.String(der)
	var outer, tbs, algorithm, issuer, signed cryptobyte.String
	var signature []byte
	if !whole.ReadASN1(&outer, tag.SEQUENCE) || !whole.Empty() || !outer.ReadASN1Element(&signed, tag.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, tag.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&signature) || !outer.Empty() {
		return nil, errForm
	}
	kind, err := algorithmOf(algorithm)
	if err != nil {
		return nil, err
	}
	if err := by.CheckSignature(kind, signed, signature); err != nil {
		return nil, fmt.Errorf("checking its signature: %w", err)
	}
	l := new(list)
	var version int
	var inner cryptobyte.String
	if !signed.ReadASN1(&tbs, tag.SEQUENCE) || !tbs.ReadASN1Integer(&version) || version != 1 || !tbs.ReadASN1Element(&inner, tag.SEQUENCE) ||
		!tbs.ReadASN1Element(&issuer, tag.SEQUENCE) || !readTime(&tbs, &l.thisUpdate) || !readTime(&tbs, &l.nextUpdate) {
		return nil, errForm
	}
	switch {
	case !bytes.Equal(inner, algorithm):
		return nil, errors.New("it names two signature algorithms")
	case !bytes.Equal(issuer, by.RawSubject):
		return nil, errors.New("it names another issuer")
	}
	var entries cryptobyte.String
	if tbs.PeekASN1Tag(tag.SEQUENCE) && !tbs.ReadASN1(&entries, tag.SEQUENCE) {
		return nil, errForm
	}
	if err := l.readEntries(entries); err != nil {
		return nil, err
	}
	return l, l.readExtensions(tbs)
}

// algorithmOf is the signature algorithm of an AlgorithmIdentifier.
func algorithmOf(der cryptobyte.String) (x509.SignatureAlgorithm, error) {
	var fields cryptobyte.String
	var id asn1.ObjectIdentifier
	if !der.ReadASN1(&fields, tag.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&id) {
		return 0, errForm
	}
	kind, known := map[string]x509.SignatureAlgorithm{
		"1.2.840.10045.4.3.2": x509.ECDSAWithSHA256, "1.2.840.10045.4.3.3": x509.ECDSAWithSHA384, "1.2.840.10045.4.3.4": x509.ECDSAWithSHA512,
		"1.2.840.113549.1.1.11": x509.SHA256WithRSA, "1.2.840.113549.1.1.12": x509.SHA384WithRSA, "1.2.840.113549.1.1.13": x509.SHA512WithRSA,
		"1.3.101.112": x509.PureEd25519,
	}[id.String()]
	if !known {
		return 0, fmt.Errorf("its signature algorithm is %v, which servers do not understand", id)
	}
	return kind, nil
}

func readTime(from *cryptobyte.String, to *time.Time) bool {
	if from.PeekASN1Tag(tag.UTCTime) {
		return from.ReadASN1UTCTime(to)
	}
	return from.ReadASN1GeneralizedTime(to)
}

func (l *list) readEntries(from cryptobyte.String) error {
	l.entries = make([]entry, 0, len(from)/40)
	for !from.Empty() {
		var one, serial cryptobyte.String
		var at time.Time
		if !from.ReadASN1(&one, tag.SEQUENCE) || !one.ReadASN1(&serial, tag.INTEGER) || !readTime(&one, &at) {
			return errForm
		}
		e := entry{at: at.Unix()}
		if len(serial) != len(e.serial) || serial[0]&0x80 != 0 {
			return fmt.Errorf("it lists the serial number %x, which was never issued here", []byte(serial))
		}
		copy(e.serial[:], serial)
		if !one.Empty() {
			reason, err := readReason(one)
			if err != nil {
				return err
			}
			e.reason = reason
		}
		l.entries = append(l.entries, e)
	}
	slices.SortFunc(l.entries, func(a, b entry) int { return bytes.Compare(a.serial[:], b.serial[:]) })
	for i := 1; i < len(l.entries); i++ {
		if l.entries[i].serial == l.entries[i-1].serial {
			return fmt.Errorf("it lists %s twice", l.entries[i].serial)
		}
	}
	return nil
}

// readReason reads the extensions of an entry, which are the reason and nothing else.
func readReason(from cryptobyte.String) (uint8, error) {
	var all, extension, value cryptobyte.String
	var id asn1.ObjectIdentifier
	var reason int
	if !from.ReadASN1(&all, tag.SEQUENCE) || !from.Empty() || !all.ReadASN1(&extension, tag.SEQUENCE) || !all.Empty() ||
		!extension.ReadASN1ObjectIdentifier(&id) || !extension.ReadASN1(&value, tag.OCTET_STRING) || !extension.Empty() ||
		!value.ReadASN1Enum(&reason) || !value.Empty() {
		return 0, errors.New("an entry has something else than a reason")
	}
	if !id.Equal(asn1.ObjectIdentifier{2, 5, 29, 21}) || reason < 1 || reason > 10 {
		return 0, fmt.Errorf("an entry has the extension %v, or the reason %d", id, reason)
	}
	return uint8(reason), nil
}

// readExtensions reads the extensions of a list: number and authority key identifier. A critical one, such as IssuingDistributionPoint, makes
// servers refuse everyone.
func (l *list) readExtensions(from cryptobyte.String) error {
	var wrapped, all cryptobyte.String
	if !from.ReadASN1(&wrapped, tag.Tag(0).Constructed().ContextSpecific()) || !from.Empty() || !wrapped.ReadASN1(&all, tag.SEQUENCE) || !wrapped.Empty() {
		return errForm
	}
	keyed := false
	for !all.Empty() {
		var extension, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !all.ReadASN1(&extension, tag.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&id) {
			return errForm
		}
		if extension.PeekASN1Tag(tag.BOOLEAN) {
			return fmt.Errorf("its extension %v is critical, and servers refuse everyone", id)
		}
		if !extension.ReadASN1(&value, tag.OCTET_STRING) || !extension.Empty() {
			return errForm
		}
		switch id.String() {
		case "2.5.29.20":
			if !value.ReadASN1Integer(&l.number) || !value.Empty() || l.number < 1 {
				return errors.New("its number is none")
			}
		case "2.5.29.35":
			keyed = true
		}
	}
	if l.number == 0 || !keyed {
		return errors.New("it has no number, or no authority key identifier")
	}
	return nil
}
