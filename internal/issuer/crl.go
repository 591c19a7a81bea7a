package issuer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	encoding "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of RFC 5280, Sections 5.2 and 5.3.
var (
	oidCRLNumber    = encoding.ObjectIdentifier{2, 5, 29, 20}
	oidDeltaCRL     = encoding.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingPoint = encoding.ObjectIdentifier{2, 5, 29, 28}
)

// CRL is a certificate revocation list: version 2, full, for all that its issuer
// signs and therefore without IssuingDistributionPoint, which servers on OpenSSL
// take for a reason to refuse everyone.
//
// It is kept in parts. Its DER is Head, then all Entries, then Tail; with a million
// entries nothing is gained by one slice of 50 MB, and much is lost where one entry
// is added to it.
type CRL struct {
	Number                 int64 // greater than 0
	ThisUpdate, NextUpdate time.Time

	// Entries are encoded entries, one after the other (EncodeEntry), in any number
	// of parts. A CRL does not order them.
	Entries [][]byte

	// Head and Tail are what SignCRL and OpenCRL put around the entries.
	Head, Tail []byte
}

// parts are the whole list.
func (c *CRL) parts() [][]byte {
	parts := make([][]byte, 0, len(c.Entries)+2)
	parts = append(parts, c.Head)
	parts = append(parts, c.Entries...)
	return append(parts, c.Tail)
}

// Size is the length of the DER.
func (c *CRL) Size() int64 { return int64(len(c.Head)) + length(c.Entries) + int64(len(c.Tail)) }

// WriteTo writes the DER.
func (c *CRL) WriteTo(w io.Writer) (n int64, err error) {
	for _, part := range c.parts() {
		written, err := w.Write(part)
		if n += int64(written); err != nil {
			return n, err
		}
	}
	return n, nil
}

func length(parts [][]byte) (n int64) {
	for _, part := range parts {
		n += int64(len(part))
	}
	return n
}

// SignCRL signs a list with number, times and entries as given: this is the one
// place. The answer shares the entries, which may not change any more.
//
// It costs three passes over the entries, which are looked at, hashed, and hashed
// again to prove the signature; nothing is copied.
func (i *Issuer) SignCRL(c CRL) (*CRL, error) {
	signed, err := i.signCRL(c)
	if err != nil {
		return nil, fmt.Errorf("signing revocation list %d of %s: %w", c.Number, i.name, err)
	}
	return signed, nil
}

func (i *Issuer) signCRL(c CRL) (*CRL, error) {
	if !i.CanSign() {
		return nil, errResting
	}
	c.ThisUpdate, c.NextUpdate = c.ThisUpdate.UTC().Truncate(time.Second), c.NextUpdate.UTC().Truncate(time.Second)
	switch {
	case c.Number < 1:
		return nil, errors.New("its number is not greater than 0")
	case !c.NextUpdate.After(c.ThisUpdate):
		return nil, errors.New("its next update is not after this one")
	case length(c.Entries) > math.MaxInt32:
		return nil, errors.New("it is longer than 2 GiB")
	}
	before, after, err := i.aroundEntries(c)
	if err != nil {
		return nil, err
	}
	outer, inner := len(before), length(c.Entries)+int64(len(after))
	tbs := appendHeader(nil, asn1.SEQUENCE, int64(outer)+inner)
	tbs = append(tbs, before...)

	message := append(append([][]byte{tbs}, c.Entries...), after)
	signature, err := i.sign(message...)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(after)
	b.AddBytes(i.encoded)
	b.AddASN1BitString(signature)
	if c.Tail, err = b.Bytes(); err != nil {
		return nil, fmt.Errorf("encoding the signature: %w", err)
	}
	c.Head = appendHeader(nil, asn1.SEQUENCE, int64(len(tbs))+length(c.Entries)+int64(len(c.Tail)))
	c.Head = append(c.Head, tbs...)
	if err := i.verifyCRL(&c); err != nil {
		return nil, fmt.Errorf("proving the signature: %w", err)
	}
	return &c, nil
}

// aroundEntries encodes what stands in the TBSCertList before the entries and after
// them (RFC 5280, Section 5.1), as crypto/x509 would.
func (i *Issuer) aroundEntries(c CRL) (before, after []byte, err error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1Int64(1) // v2
	b.AddBytes(i.encoded)
	b.AddBytes(i.certificate.RawSubject)
	addTime(b, c.ThisUpdate)
	addTime(b, c.NextUpdate)
	if before, err = b.Bytes(); err != nil {
		return nil, nil, fmt.Errorf("encoding its beginning: %w", err)
	}
	// RFC 5280, Section 5.1.2.6: no revoked certificates, no list of them.
	if size := length(c.Entries); size > 0 {
		before = appendHeader(before, asn1.SEQUENCE, size)
	}
	b = cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addExtension(b, oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addTagged(b, 0, i.authorityID) })
			})
			addExtension(b, oidCRLNumber, false, func(b *cryptobyte.Builder) { b.AddASN1Int64(c.Number) })
		})
	})
	if after, err = b.Bytes(); err != nil {
		return nil, nil, fmt.Errorf("encoding its extensions: %w", err)
	}
	return before, after, nil
}

// VerifyCRL checks that the authority signed the list, that the list says what its
// fields say, and that it is one that every server understands: full, with number
// and authority key identifier.
func (i *Issuer) VerifyCRL(c *CRL) error {
	if err := i.verifyCRL(c); err != nil {
		return fmt.Errorf("verifying revocation list %d of %s: %w", c.Number, i.name, err)
	}
	return nil
}

func (i *Issuer) verifyCRL(c *CRL) error {
	frame, err := readFrame(c.Head, length(c.Entries), c.Tail)
	if err != nil {
		return err
	}
	switch {
	case !bytes.Equal(frame.algorithm, i.encoded) || !bytes.Equal(frame.outerAlgorithm, i.encoded):
		return errors.New("its signature algorithm is not that of the authority's key: sign it with that key, and the hash that goes with it")
	case !bytes.Equal(frame.issuer, i.certificate.RawSubject):
		return errors.New("it names another issuer")
	case !frame.thisUpdate.Equal(c.ThisUpdate) || !frame.nextUpdate.Equal(c.NextUpdate):
		return fmt.Errorf("its times are %v and %v, not %v and %v", frame.thisUpdate, frame.nextUpdate, c.ThisUpdate, c.NextUpdate)
	case frame.number != c.Number:
		return fmt.Errorf("its number is %d", frame.number)
	case !bytes.Equal(frame.authorityKey, i.authorityID):
		return errors.New("its authority key identifier is not the authority's")
	}
	for _, part := range c.Entries {
		if err := checkEntries(part); err != nil {
			return err
		}
	}
	message := append(append([][]byte{c.Head[frame.tbsBegin:]}, c.Entries...), c.Tail[:frame.tbsEnd])
	if err := i.verify(frame.signature, message...); err != nil {
		return fmt.Errorf("%w: the list was changed, or another key has signed it", err)
	}
	return nil
}

// appendHeader appends the tag and the length of a DER value.
func appendHeader(dst []byte, tag asn1.Tag, size int64) []byte {
	dst = append(dst, byte(tag))
	switch {
	case size < 1<<7:
		return append(dst, byte(size))
	case size < 1<<8:
		return append(dst, 0x81, byte(size))
	case size < 1<<16:
		return append(dst, 0x82, byte(size>>8), byte(size))
	case size < 1<<24:
		return append(dst, 0x83, byte(size>>16), byte(size>>8), byte(size))
	}
	return append(dst, 0x84, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

// readHeader reads the tag and the length of a DER value, whose content may go
// beyond b.
func readHeader(b []byte) (tag asn1.Tag, header int, size int64, ok bool) {
	if len(b) < 2 {
		return 0, 0, 0, false
	}
	tag, header, size = asn1.Tag(b[0]), 2, int64(b[1])
	if size < 1<<7 {
		return tag, header, size, true
	}
	octets := int(size & 0x7f)
	if octets < 1 || octets > 4 || len(b) < 2+octets {
		return 0, 0, 0, false
	}
	size = 0
	for _, octet := range b[2 : 2+octets] {
		size = size<<8 | int64(octet)
	}
	header += octets
	// X.690, Section 10.1: the shortest form.
	return tag, header, size, len(appendHeader(nil, tag, size)) == header
}
