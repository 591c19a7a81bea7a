package pki_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

// A CA whose serials lost a bit had to revoke more than a million certificates
// (EJBCA, 2019). Here every random bit is set about half of the time, the first
// octet takes each of its values about equally often, and no serial comes twice.
func TestSerialsAreUnbiased(t *testing.T) {
	const draws = 100_000
	var ones [8 * pki.SerialSize]int
	var first [256]int
	seen := make(map[pki.Serial]bool, draws)
	for range draws {
		s := pki.NewSerial()
		require.False(t, seen[s])
		seen[s] = true
		first[s[0]]++
		for bit := range ones {
			ones[bit] += int(s[bit/8]>>(7-bit%8)) & 1
		}
		require.Positive(t, s.Int().Sign())
		require.Less(t, s.Int().BitLen(), 8*pki.SerialSize, "17 octets, no padding octet")
	}
	// Six standard deviations: 6·√(n/4) of a bit, 6·√(n/127) of an octet's value.
	for bit, n := range ones[8:] {
		require.InDelta(t, draws/2, n, 950, "bit %d after the first octet", bit)
	}
	require.Zero(t, ones[0], "the sign bit")
	require.Zero(t, first[0])
	for value := 1; value <= 0x7f; value++ {
		require.InDelta(t, draws/127, first[value], 170, "first octet %d", value)
	}
}

func TestParseSerial(t *testing.T) {
	const text = "0102030405060708090a0b0c0d0e0f1011"
	want := pki.Serial{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
	colons := "01:02:03:04:05:06:07:08:09:0A:0b:0C:0d:0e:0f:10:11"
	for _, form := range []string{text, strings.ToUpper(text), colons} {
		s, err := pki.ParseSerial(form)
		require.NoError(t, err, form)
		require.Equal(t, want, s)
	}
	require.Equal(t, text, want.String())
	for name, bad := range map[string]string{
		"empty":            "",
		"short":            text[2:],
		"long":             text + "00",
		"no hex":           "zz" + text[2:],
		"zero first octet": "00" + text[2:],
		"negative":         "80" + text[2:],
		"misplaced colon":  "010:2" + colons[5:],
		"some colons":      "01:" + text[2:],
		"sign":             "+1" + text[2:],
		"line end":         text[:33] + "\n",
	} {
		_, err := pki.ParseSerial(bad)
		require.ErrorContains(t, err, "34 hexadecimal digits", name)
	}
}

func TestSerialFromInt(t *testing.T) {
	s := pki.NewSerial()
	back, ok := pki.SerialFromInt(s.Int())
	require.True(t, ok)
	require.Equal(t, s, back)
	for _, foreign := range []*big.Int{nil, big.NewInt(0), big.NewInt(-1), big.NewInt(4711),
		new(big.Int).Lsh(big.NewInt(1), 135), new(big.Int).Lsh(big.NewInt(1), 150)} {
		_, ok := pki.SerialFromInt(foreign)
		require.False(t, ok, foreign)
	}
}

func TestSerialText(t *testing.T) {
	s := pki.NewSerial()
	text, err := s.MarshalText()
	require.NoError(t, err)
	var back pki.Serial
	require.NoError(t, back.UnmarshalText(text))
	require.Equal(t, s, back)
	require.Error(t, back.UnmarshalText([]byte("1")))
	require.Equal(t, s, back, "an error leaves it alone")
	require.NoError(t, back.UnmarshalText(nil))
	require.True(t, back.IsZero())
	text, err = back.MarshalText()
	require.NoError(t, err)
	require.Empty(t, text)
}

func FuzzParseSerial(f *testing.F) {
	f.Add("0102030405060708090a0b0c0d0e0f1011")
	f.Add("7F:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11")
	f.Add("00")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pki.ParseSerial(text)
		if err != nil {
			require.True(t, s.IsZero())
			return
		}
		require.Equal(t, strings.ToLower(strings.ReplaceAll(text, ":", "")), s.String())
		again, err := pki.ParseSerial(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
		back, ok := pki.SerialFromInt(s.Int())
		require.True(t, ok)
		require.Equal(t, s, back)
		require.True(t, bytes.Equal(s.Int().Bytes(), s[:]))
	})
}
