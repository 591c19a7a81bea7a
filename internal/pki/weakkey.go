package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// CheckPublicKey refuses a key that nobody should trust: of a type that is not
// served, with a point off its curve, with an unusual RSA exponent, or with an RSA
// modulus that is known to be easily factored.
//
// The lists of keys that Debian's broken generator of 2006–2008 could make are
// not consulted: no maintained library carries them.
func CheckPublicKey(public crypto.PublicKey) error {
	if _, err := KeyTypeOf(public); err != nil {
		return err
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		// The conversion refuses the point at infinity and points off the curve.
		if _, err := key.ECDH(); err != nil {
			return errors.New("the public key is not a point on its curve: make a new key")
		}
	case *rsa.PublicKey:
		return checkRSA(key)
	}
	return nil
}

func checkRSA(key *rsa.PublicKey) error {
	if key.E != 65537 {
		return fmt.Errorf("an RSA key with the public exponent %d is not served: make a key with the exponent 65537", key.E)
	}
	var rest big.Int
	roca := true
	for _, prime := range smallPrimes() {
		rest.Mod(key.N, big.NewInt(prime))
		if rest.Sign() == 0 {
			return errors.New("the RSA modulus has a small factor: it is no RSA key, make a new one")
		}
		if roca && prime <= largestROCAPrime && !powerOf65537(rest.Int64(), prime) {
			roca = false
		}
	}
	if roca {
		return errors.New("the RSA key was made by a faulty chip library and can be factored (CVE-2017-15361): make a new key with other hardware or software")
	}
	if primesTooClose(key.N) {
		return errors.New("the two primes of the RSA key lie so close together that it can be factored: make a new key with other software")
	}
	return nil
}

// largestROCAPrime bounds the primes of the ROCA fingerprint.
const largestROCAPrime = 167

// smallPrimes are the primes below 752, the bound of NIST SP 800-89, Section 5.3.3.
func smallPrimes() []int64 {
	const bound = 752
	var composite [bound]bool
	var primes []int64
	for n := 2; n < bound; n++ {
		if composite[n] {
			continue
		}
		primes = append(primes, int64(n))
		for multiple := n * n; multiple < bound; multiple += n {
			composite[multiple] = true
		}
	}
	return primes
}

// powerOf65537 reports whether rest is a power of 65537 modulo prime. Moduli of
// the faulty library (Nemec, Sys, Svenda, Klinec, Matyas: "The Return of
// Coppersmith's Attack", 2017) are, for every small prime; of others one in 2^27.
func powerOf65537(rest, prime int64) bool {
	if prime == 2 {
		return true
	}
	generator := 65537 % prime
	for power := int64(1); ; {
		if power == rest {
			return true
		}
		power = power * generator % prime
		if power == 1 {
			return false
		}
	}
}

// fermatRounds is how many steps of Fermat's method a modulus must withstand.
// Primes drawn at random withstand more than anyone could take.
const fermatRounds = 100

func primesTooClose(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	for range fermatRounds {
		square := new(big.Int).Mul(a, a)
		square.Sub(square, n)
		if square.Sign() >= 0 && maybeSquare(square) {
			root := new(big.Int).Sqrt(square)
			if root.Mul(root, root).Cmp(square) == 0 {
				return true
			}
		}
		a.Add(a, one)
	}
	return false
}

// maybeSquare is false for four of five numbers that are no squares, by their last
// six bits; it saves most of the roots above.
func maybeSquare(n *big.Int) bool {
	var last uint64
	for i := range 6 {
		last |= uint64(n.Bit(i)) << i
	}
	for i := range uint64(64) {
		if i*i%64 == last {
			return true
		}
	}
	return false
}
