package issuer_test

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// wrongSigner claims one key and signs with another.
type wrongSigner struct {
	crypto.Signer
	real crypto.Signer
}

func (s wrongSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.real.Sign(random, digest, opts)
}

// brokenSigner changes what the key answers.
type brokenSigner struct {
	crypto.Signer
	change func(signature []byte) ([]byte, error)
}

func (s brokenSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	return s.change(signature)
}

// otherDigest signs something else than it was told to.
type otherDigest struct{ crypto.Signer }

func (s otherDigest) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	digest = bytes.Clone(digest)
	digest[0] ^= 1
	return s.Signer.Sign(random, digest, opts)
}

// Whatever a key module or a processor does wrong, no certificate comes of it.
func TestFaultySignersAreFound(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.RSA2048, pki.Ed25519} {
		key := keyOf(t, kind, 1)
		root := newRoot(t, key)
		for name, faulty := range map[string]crypto.Signer{
			"another key":     wrongSigner{key, keyOf(t, kind, 2)},
			"another digest":  otherDigest{key},
			"a flipped bit":   brokenSigner{key, func(s []byte) ([]byte, error) { s[len(s)-1] ^= 1; return s, nil }},
			"nothing":         brokenSigner{key, func([]byte) ([]byte, error) { return nil, nil }},
			"zeros":           brokenSigner{key, func(s []byte) ([]byte, error) { return make([]byte, len(s)), nil }},
			"something added": brokenSigner{key, func(s []byte) ([]byte, error) { return append(s, 0), nil }},
			"an error":        brokenSigner{key, func([]byte) ([]byte, error) { return nil, errors.New("the module is on fire") }},
		} {
			by, err := issuer.New(issuer.Config{Name: "x", Certificate: root, Key: faulty, Profiles: issuer.DefaultProfiles()})
			require.NoError(t, err)
			draft, err := by.Prepare(request(t, "www.example.com"))
			require.NoError(t, err)
			der, err := by.Sign(draft)
			require.Error(t, err, "%s: %s", kind, name)
			require.Nil(t, der)
			if name == "an error" {
				require.ErrorContains(t, err, "on fire")
			}
			_, err = by.Sign(draft)
			require.ErrorContains(t, err, "signed before", "a failed signature has cost the draft too: it may exist")
		}
	}
}

// countingSigner counts its signatures.
type countingSigner struct {
	crypto.Signer
	count *atomic.Int32
}

func (s countingSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.count.Add(1)
	return s.Signer.Sign(random, digest, opts)
}

// A hundred goroutines with one draft, and copies of it: one signature.
func TestADraftPaysOnce(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	count := new(atomic.Int32)
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: countingSigner{key, count}, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	draft, err := by.Prepare(request(t, "www.example.com"))
	require.NoError(t, err)
	require.Zero(t, count.Load(), "preparing uses no key")
	var successes atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			copied := *draft
			if _, err := by.Sign(&copied); err == nil {
				successes.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, successes.Load())
	require.EqualValues(t, 1, count.Load())
}

// Only a draft of this very authority is signed.
func TestForeignDraftsAreRefused(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	count := new(atomic.Int32)
	root := newRoot(t, key)
	open := func(profiles []issuer.Profile) *issuer.Issuer {
		by, err := issuer.New(issuer.Config{Name: "x", Certificate: root, Key: countingSigner{key, count}, Profiles: profiles})
		require.NoError(t, err)
		return by
	}
	by := open(issuer.DefaultProfiles())
	for name, draft := range map[string]*issuer.Draft{"nil": nil, "self-made": {}} {
		_, err := by.Sign(draft)
		require.ErrorContains(t, err, "prepare it here", name)
	}
	// The configuration changed between two steps of an issuance (Let's Encrypt,
	// 2023): an authority that was opened anew with other profiles does not sign
	// what the former one prepared.
	draft, err := by.Prepare(request(t, "www.example.com"))
	require.NoError(t, err)
	stricter := issuer.DefaultProfiles()
	stricter[0].MaxValidity, stricter[0].DefaultValidity = time.Hour, time.Hour
	_, err = open(stricter).Sign(draft)
	require.ErrorContains(t, err, "prepare it here")
	require.Zero(t, count.Load())
	_, err = by.Sign(draft)
	require.NoError(t, err, "where it was prepared, it is good")
}

// Neither what was given to New nor what it hands out is a handle on its rules.
func TestProfilesDoNotChange(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	profiles := issuer.DefaultProfiles()
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: key, Profiles: profiles})
	require.NoError(t, err)
	profiles[0].KeyTypes[0] = pki.Ed25519
	profiles[0].MaxNames = 1
	out := by.Profiles()
	out[0].KeyTypes[0] = pki.Ed25519
	out[0].EKU = issuer.DefaultProfiles()[1].EKU
	one, ok := by.Profile("server")
	require.True(t, ok)
	one.KeyTypes[0] = pki.Ed25519
	require.Equal(t, issuer.DefaultProfiles(), by.Profiles())
	_, ok = by.Profile("both")
	require.False(t, ok)
	issue(t, by, request(t, "www.example.com", "b.example.com"))
}

// The bytes that a draft shows are a copy, and so are the names that went in.
func TestADraftDoesNotChange(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	asked := request(t, "www.example.com", "b.example.com")
	draft, err := by.Prepare(asked)
	require.NoError(t, err)
	want := draft.TBS()
	clear(draft.TBS())
	asked.Names[0] = names(t, "evil.example.com")[0]
	der, err := by.Sign(draft)
	require.NoError(t, err)
	tbs, _, err := pki.SplitCertificate(der)
	require.NoError(t, err)
	require.Equal(t, want, tbs)
	require.Equal(t, asked.Serial, draft.Serial())
	require.Equal(t, asked.NotBefore, draft.NotBefore())
	require.Equal(t, asked.NotAfter, draft.NotAfter())
}
