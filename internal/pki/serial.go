package pki

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// SerialSize is the length of a serial number in octets.
const SerialSize = 17

// Serial is the serial number of a certificate: a first octet between 0x01 and
// 0x7f, then 16 random ones. It is therefore positive without a padding octet,
// always equally long, and within the 20 octets of RFC 5280, Section 4.1.2.2.
// The zero value is no serial.
type Serial [SerialSize]byte

// NewSerial draws a serial number from crypto/rand.
func NewSerial() Serial {
	var s Serial
	for {
		// Since Go 1.24 crypto/rand.Read does not return without its bytes.
		_, _ = rand.Read(s[:])
		s[0] &= 0x7f
		// Drawing again, rather than replacing a zero, keeps the other 127
		// values equally likely.
		if s[0] != 0 {
			return s
		}
	}
}

// ParseSerial reads a serial number as 34 hexadecimal digits, in either case,
// with or without a colon after each octet (as openssl prints it).
func ParseSerial(text string) (Serial, error) {
	var s Serial
	digits := text
	if len(text) == 3*SerialSize-1 {
		for i := 2; i < len(text); i += 3 {
			if text[i] != ':' {
				return Serial{}, serialError(text)
			}
		}
		digits = strings.ReplaceAll(text, ":", "")
	}
	if len(digits) != 2*SerialSize {
		return Serial{}, serialError(text)
	}
	if _, err := hex.Decode(s[:], []byte(digits)); err != nil || !s.valid() {
		return Serial{}, serialError(text)
	}
	return s, nil
}

func serialError(text string) error {
	return fmt.Errorf("%s is not a serial number of this authority: give its %d hexadecimal digits, such as 4f…, as `openssl x509 -serial` prints them",
		quote(text), 2*SerialSize)
}

// SerialFromInt is the Serial with the value of i. It reports false when i has
// another shape than our serials: a certificate of another authority.
func SerialFromInt(i *big.Int) (Serial, bool) {
	var s Serial
	if i == nil || i.Sign() <= 0 || i.BitLen() > 8*SerialSize {
		return Serial{}, false
	}
	i.FillBytes(s[:])
	if !s.valid() {
		return Serial{}, false
	}
	return s, true
}

func (s Serial) valid() bool { return s[0] >= 0x01 && s[0] <= 0x7f }

// String is the serial in 34 lower-case hexadecimal digits.
func (s Serial) String() string { return hex.EncodeToString(s[:]) }

// Int is the serial as crypto/x509 wants it.
func (s Serial) Int() *big.Int { return new(big.Int).SetBytes(s[:]) }

// IsZero reports whether s is the zero value, which is no serial.
func (s Serial) IsZero() bool { return s == Serial{} }

// MarshalText is String; the zero value becomes the empty text.
func (s Serial) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// UnmarshalText is ParseSerial; the empty text becomes the zero value.
func (s *Serial) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Serial{}
		return nil
	}
	parsed, err := ParseSerial(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
