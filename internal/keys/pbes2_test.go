package keys

import (
	"bytes"
	"encoding/asn1"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that we did not write may not make us panic or compute without end, and
// what opens has been encrypted with the passphrase.
func FuzzDecrypt(f *testing.F) {
	secret := []byte("secret")
	good, err := encrypt([]byte("a private key"), secret)
	require.NoError(f, err)
	var cheap encryptedKey
	_, err = asn1.Unmarshal(good, &cheap)
	require.NoError(f, err)
	for _, params := range []pbkdf2Params{
		{Salt: []byte{1}, Iterations: 1},
		{Salt: []byte{1}, Iterations: 2, KeyLength: 32},
		{Salt: nil, Iterations: 0},
		{Salt: []byte{1}, Iterations: 1 << 40},
	} {
		cheap.Algorithm.Params.Derivation.Params.FullBytes, err = asn1.Marshal(params)
		require.NoError(f, err)
		der, err := asn1.Marshal(cheap)
		require.NoError(f, err)
		f.Add(der)
		f.Add(der[:len(der)-1])
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var in encryptedKey
		var params pbkdf2Params
		if _, err := asn1.Unmarshal(der, &in); err == nil {
			_, err := asn1.Unmarshal(in.Algorithm.Params.Derivation.Params.FullBytes, &params)
			if err == nil && params.Iterations > 1000 && params.Iterations <= maxIterations {
				t.Skip("allowed, but slow")
			}
		}
		plain, err := decrypt(der, secret)
		if err != nil {
			require.Nil(t, plain)
			return
		}
		require.Less(t, len(plain), len(in.Data))
		require.LessOrEqual(t, len(in.Data)-len(plain), 16)
	})
}

func TestEncryptNeverRepeats(t *testing.T) {
	a, err := encrypt([]byte("a private key"), []byte("secret"))
	require.NoError(t, err)
	b, err := encrypt([]byte("a private key"), []byte("secret"))
	require.NoError(t, err)
	require.NotEqual(t, a, b)
	require.False(t, bytes.Contains(a, []byte("a private key")))
	plain, err := decrypt(a, []byte("secret"))
	require.NoError(t, err)
	require.Equal(t, "a private key", string(plain))
}

func TestEveryLengthComesBack(t *testing.T) {
	for length := 15; length <= 17; length++ {
		plain := bytes.Repeat([]byte{7}, length)
		der, err := encrypt(plain, []byte("secret"))
		require.NoError(t, err)
		back, err := decrypt(der, []byte("secret"))
		require.NoError(t, err)
		require.Equal(t, plain, back)
	}
}
