package issuer

import (
	"errors"
	"fmt"
	"time"

	encoding "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// OpenCRL takes the DER of a revocation list apart, which the answer then shares.
// It refuses what is no such list, or one that is not understood everywhere; who
// signed it is a question for Issuer.VerifyCRL.
func OpenCRL(der []byte) (*CRL, error) {
	c, err := openCRL(der)
	if err != nil {
		return nil, fmt.Errorf("reading a revocation list: %w", err)
	}
	return c, nil
}

func openCRL(der []byte) (*CRL, error) {
	rest := cryptobyte.String(der)
	var list, tbs, entries cryptobyte.String
	if !rest.ReadASN1(&list, asn1.SEQUENCE) || !rest.Empty() || !list.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, errNoCRL
	}
	// Version, algorithm, issuer, this update, next update, which the frame reads.
	for range 5 {
		if tbs.PeekASN1Tag(asn1.Tag(0).Constructed().ContextSpecific()) || !tbs.ReadAnyASN1Element(new(cryptobyte.String), new(asn1.Tag)) {
			return nil, errNoCRL
		}
	}
	after := len(tbs) + len(list) // counted from the end
	if tbs.PeekASN1Tag(asn1.SEQUENCE) {
		if !tbs.ReadASN1(&entries, asn1.SEQUENCE) || entries.Empty() {
			return nil, errNoCRL
		}
		after = len(tbs) + len(list)
	}
	c := &CRL{Tail: der[len(der)-after:]}
	c.Head = der[:len(der)-after-len(entries)]
	if len(entries) > 0 {
		c.Entries = [][]byte{entries}
		if err := checkEntries(entries); err != nil {
			return nil, err
		}
	}
	frame, err := readFrame(c.Head, int64(len(entries)), c.Tail)
	if err != nil {
		return nil, err
	}
	c.Number, c.ThisUpdate, c.NextUpdate = frame.number, frame.thisUpdate, frame.nextUpdate
	return c, nil
}

var errNoCRL = errors.New("this is not the DER of one: give the file as it was made; PEM becomes DER by 'openssl crl -outform DER'")

// frame is what stands around the entries of a list.
type frame struct {
	tbsBegin, tbsEnd       int // of the TBSCertList: the former in the head, the latter in the tail
	algorithm              []byte
	issuer                 []byte
	thisUpdate, nextUpdate time.Time
	number                 int64
	authorityKey           []byte
	outerAlgorithm         []byte
	signature              []byte
}

// readFrame reads head and tail of a list (RFC 5280, Section 5.1) whose entries
// have that length.
func readFrame(head []byte, entries int64, tail []byte) (*frame, error) {
	f := new(frame)
	tag, outer, size, ok := readHeader(head)
	if !ok || tag != asn1.SEQUENCE || int64(outer)+size != int64(len(head))+entries+int64(len(tail)) {
		return nil, errNoCRL
	}
	tag, inner, size, ok := readHeader(head[outer:])
	end := int64(outer+inner) + size - int64(len(head)) - entries // of the TBSCertList, in the tail
	if !ok || tag != asn1.SEQUENCE || end < 0 || end > int64(len(tail)) {
		return nil, errNoCRL
	}
	f.tbsBegin, f.tbsEnd = outer, int(end)
	if err := f.readHead(head[outer+inner:], entries); err != nil {
		return nil, err
	}
	if err := f.readExtensions(tail[:end]); err != nil {
		return nil, err
	}
	rest := cryptobyte.String(tail[end:])
	if !rest.ReadASN1Element((*cryptobyte.String)(&f.outerAlgorithm), asn1.SEQUENCE) || !rest.ReadASN1BitStringAsBytes(&f.signature) || !rest.Empty() {
		return nil, errNoCRL
	}
	return f, nil
}

func (f *frame) readHead(head []byte, entries int64) error {
	rest := cryptobyte.String(head)
	var version int64
	if !rest.ReadASN1Integer(&version) || version != 1 {
		return errors.New("it is not of version 2: make it with extensions")
	}
	if !rest.ReadASN1Element((*cryptobyte.String)(&f.algorithm), asn1.SEQUENCE) || !rest.ReadASN1Element((*cryptobyte.String)(&f.issuer), asn1.SEQUENCE) ||
		!readTime(&rest, &f.thisUpdate) {
		return errNoCRL
	}
	if !readTime(&rest, &f.nextUpdate) {
		return errors.New("it does not say when the next one comes (nextUpdate): make it with an end")
	}
	if entries == 0 && rest.Empty() {
		return nil
	}
	tag, header, size, ok := readHeader(rest)
	if !ok || tag != asn1.SEQUENCE || header != len(rest) || size != entries || entries == 0 {
		return errNoCRL
	}
	return nil
}

// readExtensions reads the extensions of a list. RFC 5280, Section 5.2: it has
// number and authority key identifier; and it must not be one of the kinds that are
// critical, for those are not what a server takes for the revocations of a CA.
func (f *frame) readExtensions(der []byte) error {
	rest := cryptobyte.String(der)
	var extensions cryptobyte.String
	if !rest.ReadASN1(&extensions, asn1.Tag(0).Constructed().ContextSpecific()) || !rest.Empty() ||
		!extensions.ReadASN1(&rest, asn1.SEQUENCE) || !extensions.Empty() {
		return errors.New("it has no extensions: make it with CRL number and authority key identifier")
	}
	for !rest.Empty() {
		id, critical, value, ok := readExtension(&rest)
		switch {
		case !ok:
			return errNoCRL
		case id.Equal(oidIssuingPoint) || id.Equal(oidDeltaCRL):
			return errors.New("it is for a part of the certificates only (issuing distribution point, or delta), and servers would refuse everyone: make a full one")
		case critical:
			return fmt.Errorf("it has the critical extension %v, which servers do not understand: make it without", id)
		case id.Equal(oidCRLNumber):
			if !value.ReadASN1Integer(&f.number) || !value.Empty() || f.number < 1 {
				return errors.New("its number is not one from 1 to 2^63-1: give it such a number")
			}
		case id.Equal(oidAuthorityKeyID):
			var key cryptobyte.String
			if !value.ReadASN1(&key, asn1.SEQUENCE) || !value.Empty() || !key.ReadASN1((*cryptobyte.String)(&f.authorityKey), asn1.Tag(0).ContextSpecific()) {
				return errors.New("its authority key identifier has no key identifier: make it with one (openssl: authorityKeyIdentifier=keyid:always)")
			}
		}
	}
	if f.number == 0 {
		return errors.New("it has no number (cRLNumber): make it with one")
	}
	if f.authorityKey == nil {
		return errors.New("it has no authority key identifier: make it with one (openssl: authorityKeyIdentifier=keyid:always)")
	}
	return nil
}

// readExtension reads an Extension (RFC 5280, Section 4.1).
func readExtension(from *cryptobyte.String) (id encoding.ObjectIdentifier, critical bool, value cryptobyte.String, ok bool) {
	var extension cryptobyte.String
	ok = from.ReadASN1(&extension, asn1.SEQUENCE) && extension.ReadASN1ObjectIdentifier(&id)
	if ok && extension.PeekASN1Tag(asn1.BOOLEAN) {
		ok = extension.ReadASN1Boolean(&critical)
	}
	ok = ok && extension.ReadASN1(&value, asn1.OCTET_STRING) && extension.Empty()
	return id, critical, value, ok
}

// readTime reads a Time (RFC 5280, Section 5.1.2.4).
func readTime(from *cryptobyte.String, to *time.Time) bool {
	if from.PeekASN1Tag(asn1.UTCTime) {
		return from.ReadASN1UTCTime(to)
	}
	return from.ReadASN1GeneralizedTime(to)
}
