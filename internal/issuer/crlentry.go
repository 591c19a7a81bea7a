package issuer

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/imca-project/imca/internal/pki"
)

// reasonCode is the extension of an entry, but for its last octet, the reason
// (RFC 5280, Section 5.3.1): never critical.
var reasonCode = []byte{0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01}

// EncodeEntry appends the entry of a revoked certificate to dst: serial number, time
// in whole seconds, and reason. RFC 5280, Section 5.3.1: the reason unspecified is
// said by no reason.
func EncodeEntry(dst []byte, serial pki.Serial, at time.Time, reason pki.Reason) []byte {
	at = at.UTC()
	kind, layout := asn1.UTCTime, "060102150405Z"
	if at.Year() < 1950 || at.Year() >= 2050 {
		kind, layout = asn1.GeneralizedTime, "20060102150405Z"
	}
	size := 2 + len(serial) + 2 + len(layout)
	if reason != pki.Unspecified {
		size += len(reasonCode) + 1
	}
	dst = append(dst, byte(asn1.SEQUENCE), byte(size), byte(asn1.INTEGER), byte(len(serial)))
	dst = append(dst, serial[:]...)
	dst = append(dst, byte(kind), byte(len(layout)))
	dst = at.AppendFormat(dst, layout)
	if reason != pki.Unspecified {
		dst = append(dst, reasonCode...)
		dst = append(dst, byte(reason))
	}
	return dst
}

// EntrySerials calls each for every entry, with its serial number as it is encoded
// there: big-endian, as short as can be.
func EntrySerials(entries []byte, each func(serial []byte)) error {
	for len(entries) > 0 {
		size, serial, ok := firstEntry(entries)
		if !ok {
			return errEntry
		}
		each(serial)
		entries = entries[size:]
	}
	return nil
}

// RemoveEntries is entries without those whose serial number is gone. Where there
// are none of those, it is entries itself; else it is a new slice.
func RemoveEntries(entries []byte, gone func(serial []byte) bool) ([]byte, error) {
	var kept []byte
	removed := false
	for at := 0; at < len(entries); {
		size, serial, ok := firstEntry(entries[at:])
		if !ok {
			return nil, errEntry
		}
		switch {
		case !gone(serial):
			if removed {
				kept = append(kept, entries[at:at+size]...)
			}
		case !removed:
			removed = true
			kept = append(make([]byte, 0, len(entries)-size), entries[:at]...)
		}
		at += size
	}
	if !removed {
		return entries, nil
	}
	return kept, nil
}

var errEntry = errors.New("one of its entries is broken: make the list anew")

// checkEntries looks at every entry, and at all that is not an entry.
func checkEntries(entries []byte) error {
	return EntrySerials(entries, func([]byte) {})
}

// firstEntry reads the first entry: its size, and its serial number.
func firstEntry(entries []byte) (size int, serial []byte, ok bool) {
	entry, size, ok := element(entries, asn1.SEQUENCE)
	if !ok {
		return 0, nil, false
	}
	serial, used, ok := element(entry, asn1.INTEGER)
	if !ok || len(serial) == 0 || len(serial) > 20 || serial[0]&0x80 != 0 || len(serial) > 1 && serial[0] == 0 && serial[1]&0x80 == 0 {
		return 0, nil, false // RFC 5280, Section 4.1.2.2, and X.690, Section 8.3.2
	}
	entry = entry[used:]
	at, used, ok := element(entry, asn1.UTCTime)
	if want := len("060102150405Z"); !ok || len(at) != want {
		at, used, ok = element(entry, asn1.GeneralizedTime)
		if want += 2; !ok || len(at) != want {
			return 0, nil, false
		}
	}
	for _, digit := range at[:len(at)-1] {
		if digit < '0' || digit > '9' {
			return 0, nil, false
		}
	}
	entry = entry[used:]
	if len(entry) > 0 { // extensions
		_, used, ok = element(entry, asn1.SEQUENCE)
	}
	return size, serial, ok && at[len(at)-1] == 'Z' && (len(entry) == 0 || used == len(entry))
}

// element reads the DER value at the beginning of b: its content, and how much of b
// it takes.
func element(b []byte, want asn1.Tag) (content []byte, used int, ok bool) {
	tag, header, size, ok := readHeader(b)
	if !ok || tag != want || int64(len(b)-header) < size {
		return nil, 0, false
	}
	used = header + int(size)
	return b[header:used], used, true
}
