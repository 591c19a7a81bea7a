package pki_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

func TestKeyTypes(t *testing.T) {
	for _, kind := range pki.KeyTypes() {
		t.Run(string(kind), func(t *testing.T) {
			parsed, err := pki.ParseKeyType(string(kind))
			require.NoError(t, err)
			require.Equal(t, kind, parsed)
			if kind == pki.RSA4096 && testing.Short() {
				t.Skip("an RSA-4096 key takes seconds")
			}
			key, err := kind.Generate()
			require.NoError(t, err)
			got, err := pki.KeyTypeOf(key.Public())
			require.NoError(t, err)
			require.Equal(t, kind, got)
			require.NoError(t, pki.CheckPublicKey(key.Public()))
		})
	}
	_, err := pki.ParseKeyType("dsa")
	require.ErrorContains(t, err, "ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096, ed25519")
	_, err = pki.KeyType("dsa").Generate()
	require.ErrorContains(t, err, "ecdsa-p256")
}

func TestWeakKeysAreRefused(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	//lint:ignore SA1019 the other ways to make a key refuse such a point themselves
	offCurve := ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	odd := new(big.Int).SetBit(big.NewInt(1), 2047, 1)
	for name, c := range map[string]struct {
		public any
		why    string
	}{
		"P-224":              {p224.Public(), "P-224"},
		"P-521":              {p521.Public(), "P-521"},
		"no curve":           {&ecdsa.PublicKey{}, "unknown curve"},
		"off the curve":      {&offCurve, "not a point"},
		"RSA-1024":           {&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}, "1024 bits"},
		"RSA-2047":           {&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2046, 1), E: 65537}, "2047 bits"},
		"RSA-16384":          {&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}, "16384 bits"},
		"RSA without N":      {&rsa.PublicKey{E: 65537}, "modulus"},
		"exponent 3":         {&rsa.PublicKey{N: good.N, E: 3}, "exponent 3"},
		"even modulus":       {&rsa.PublicKey{N: new(big.Int).SetBit(odd, 0, 0), E: 65537}, "small factor"},
		"modulus 3·k":        {&rsa.PublicKey{N: multipleOf(751, 2048), E: 65537}, "small factor"},
		"ROCA":               {&rsa.PublicKey{N: rocaModulus(), E: 65537}, "CVE-2017-15361"},
		"close primes":       {&rsa.PublicKey{N: closePrimes(t), E: 65537}, "close together"},
		"short Ed25519":      {ed25519.PublicKey{1}, "octets"},
		"X25519":             {x25519.PublicKey(), "not served"},
		"nothing":            {nil, "not served"},
		"a private RSA key!": {good, "not served"},
	} {
		require.ErrorContains(t, pki.CheckPublicKey(c.public), c.why, name)
	}
}

// multipleOf is a number of that many bits that the prime divides.
func multipleOf(prime int64, bits int) *big.Int {
	n := new(big.Int).SetBit(new(big.Int), bits-1, 1)
	n.Add(n, big.NewInt(prime))
	return n.Sub(n, new(big.Int).Mod(n, big.NewInt(prime)))
}

// rocaModulus is a number of 2048 bits that is a power of 65537 modulo each of the
// primes to 167 and has no small factor, as the faulty library's moduli are.
func rocaModulus() *big.Int {
	product := big.NewInt(1)
	var further []int64
	for p := int64(3); p < 752; p += 2 {
		switch {
		case !big.NewInt(p).ProbablyPrime(0):
		case p <= 167:
			product.Mul(product, big.NewInt(p))
		default:
			further = append(further, p)
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(123456789), product)
	high := new(big.Int).SetBit(new(big.Int), 2047, 1)
	n.Add(n, high.Mul(product, high.Div(high, product)))
	for {
		n.Add(n, product)
		fits := n.Bit(0) == 1 && n.BitLen() == 2048
		for _, p := range further {
			fits = fits && new(big.Int).Mod(n, big.NewInt(p)).Sign() != 0
		}
		if fits {
			return n
		}
	}
}

func closePrimes(t *testing.T) *big.Int {
	p, err := rand.Prime(rand.Reader, 1024)
	require.NoError(t, err)
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(10) {
		q.Add(q, big.NewInt(2))
	}
	return q.Mul(p, q)
}

func TestSPKIHash(t *testing.T) {
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	hash, err := pki.SPKIHash(key.Public())
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(der), hash)
	_, err = pki.SPKIHash(nil)
	require.Error(t, err)
}

func BenchmarkCheckPublicKeyRSA2048(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	for b.Loop() {
		if err := pki.CheckPublicKey(key.Public()); err != nil {
			b.Fatal(err)
		}
	}
}
