package issuer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// revoked is one revocation of a test.
type revoked struct {
	serial pki.Serial
	at     time.Time
	reason pki.Reason
}

// someRevoked are n revocations, the reasons and centuries mixed.
func someRevoked(random *mathrand.Rand, n int) []revoked {
	reasons := append(pki.LeafReasons(), pki.CACompromise, pki.AACompromise)
	list := make([]revoked, n)
	for i := range list {
		list[i] = revoked{pki.NewSerial(), start.Add(-time.Duration(random.Int64N(int64(3 * year)))), reasons[random.IntN(len(reasons))]}
		if random.IntN(10) == 0 {
			list[i].at = list[i].at.AddDate(30, 0, 0)
		}
	}
	return list
}

// encoded are the entries of revocations, in parts of no more than size each.
func encoded(list []revoked, size int) (parts [][]byte) {
	for chunk := range slices.Chunk(list, size) {
		var part []byte
		for _, r := range chunk {
			part = issuer.EncodeEntry(part, r.serial, r.at, r.reason)
		}
		parts = append(parts, part)
	}
	return parts
}

// der is a list in one piece.
func der(t testing.TB, c *issuer.CRL) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	require.Equal(t, c.Size(), n)
	return b.Bytes()
}

// byCryptoX509 is the same list as crypto/x509 makes it.
func byCryptoX509(t testing.TB, by *issuer.Issuer, key crypto.Signer, c issuer.CRL, list []revoked) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(c.Number), ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate}
	for _, r := range list {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.serial.Int(), RevocationTime: r.at, ReasonCode: int(r.reason)})
	}
	made, err := x509.CreateRevocationList(rand.Reader, template, by.Certificate(), key)
	require.NoError(t, err)
	return made
}

// requireSameTBS holds two lists to be the same but for their signatures.
func requireSameTBS(t testing.TB, want, got []byte) {
	t.Helper()
	parse := func(der []byte) *x509.RevocationList {
		parsed, err := x509.ParseRevocationList(der)
		require.NoError(t, err)
		return parsed
	}
	require.Equal(t, parse(want).RawTBSRevocationList, parse(got).RawTBSRevocationList)
	require.Equal(t, parse(want).SignatureAlgorithm, parse(got).SignatureAlgorithm)
}

// The list has the bytes of crypto/x509's, but for the signature: for every size at
// which the encoding of a length changes, every kind of key, however it is parted.
func TestCRLEqualsCryptoX509(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(3, 4))
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
		key := keyOf(t, kind, 1)
		by := direct(t, key)
		for _, size := range []int{0, 1, 2, 3, 5, 6, 7, 100, 1300, 1400, 20_000} {
			if size > 100 && kind != pki.ECDSAP256 {
				continue
			}
			list := someRevoked(random, size)
			asked := issuer.CRL{
				Number: 1 + random.Int64N(1<<62), ThisUpdate: start, NextUpdate: start.Add(7 * 24 * time.Hour), Entries: encoded(list, 1+random.IntN(1000)),
			}
			signed, err := by.SignCRL(asked)
			require.NoError(t, err)
			got := der(t, signed)
			requireSameTBS(t, byCryptoX509(t, by, key, asked, list), got)
			parsed, err := x509.ParseRevocationList(got)
			require.NoError(t, err)
			require.NoError(t, parsed.CheckSignatureFrom(by.Certificate()))
			require.NoError(t, by.VerifyCRL(signed))

			opened, err := issuer.OpenCRL(got)
			require.NoError(t, err)
			require.NoError(t, by.VerifyCRL(opened))
			require.Equal(t, got, der(t, opened))
			require.Equal(t, signed.Number, opened.Number)
			require.Equal(t, signed.Head, opened.Head)
			require.Equal(t, bytes.Join(signed.Entries, nil), bytes.Join(opened.Entries, nil))
		}
	}
}

// Around 2050 the form of the times changes (RFC 5280, Section 5.1.2.4).
func TestCRLAroundTheYear2050(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	change := time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	root, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "x", Key: key, NotBefore: change.Add(-year), NotAfter: change.Add(year),
	})
	require.NoError(t, err)
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: root, Key: key})
	require.NoError(t, err)
	list := []revoked{{pki.NewSerial(), change.Add(-time.Second), pki.KeyCompromise}, {pki.NewSerial(), change, pki.Unspecified}}
	asked := issuer.CRL{Number: 1, ThisUpdate: change.Add(-time.Second), NextUpdate: change, Entries: encoded(list, 1)}
	signed, err := by.SignCRL(asked)
	require.NoError(t, err)
	requireSameTBS(t, byCryptoX509(t, by, key, asked, list), der(t, signed))
}

// Every entry has the reason that it was given, and openssl reads it so.
func TestCRLReasons(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	var list []revoked
	for _, reason := range pki.LeafReasons() {
		list = append(list, revoked{pki.NewSerial(), start, reason})
	}
	signed, err := by.SignCRL(issuer.CRL{Number: 7, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Entries: encoded(list, 3)})
	require.NoError(t, err)
	parsed, err := x509.ParseRevocationList(der(t, signed))
	require.NoError(t, err)
	for i, r := range list {
		entry := parsed.RevokedCertificateEntries[i]
		require.Equal(t, int(r.reason), entry.ReasonCode)
		require.Equal(t, r.reason == pki.Unspecified, len(entry.Extensions) == 0, "unspecified is said by no reason")
		require.Equal(t, r.at, entry.RevocationTime)
	}
	file := filepath.Join(t.TempDir(), "list.crl")
	require.NoError(t, os.WriteFile(file, der(t, signed), 0o600))
	text := judge.Run(t, "openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-text", "-CAfile", writePEM(t, "root.pem", by.Certificate()))
	for _, want := range []string{"verify OK", "Version 2 (0x1)", "X509v3 CRL Number: \n                7", "X509v3 Authority Key Identifier", "Key Compromise",
		"Superseded", "Cessation Of Operation", "Affiliation Changed", "Privilege Withdrawn"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "Issuing Distribution Point")
	require.NotContains(t, text, "critical")
	require.NotContains(t, text, "Unspecified")
}

// openssl verifies with the list as with any other: a revoked leaf is refused, a good
// one is not, strictly, up the whole chain.
func TestCRLVerifiesWithOpenSSL(t *testing.T) {
	root, below := issuing(t, keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2))
	good, bad := issue(t, below, request(t, "good.example.com")), issue(t, below, request(t, "bad.example.com"))
	serial, ok := pki.SerialFromInt(bad.SerialNumber)
	require.True(t, ok)
	var lists []byte
	for by, list := range map[*issuer.Issuer][]revoked{root: nil, below: {{serial, start, pki.KeyCompromise}}} {
		signed, err := by.SignCRL(issuer.CRL{Number: 1, ThisUpdate: start.Add(-time.Minute), NextUpdate: start.Add(time.Hour), Entries: encoded(list, 1)})
		require.NoError(t, err)
		lists = append(lists, judge.RunInput(t, der(t, signed), "openssl", "crl", "-inform", "DER")...)
	}
	crls := filepath.Join(t.TempDir(), "crls.pem")
	require.NoError(t, os.WriteFile(crls, lists, 0o600))
	verify := func(leaf *x509.Certificate) (string, error) {
		return judge.RunErr(t, "openssl", "verify", "-x509_strict", "-crl_check_all", "-attime", strconv.FormatInt(start.Unix(), 10),
			"-CAfile", writePEM(t, "root.pem", root.Certificate()), "-untrusted", writePEM(t, "between.pem", below.Certificate()),
			"-CRLfile", crls, writePEM(t, "leaf.pem", leaf))
	}
	_, err := verify(good)
	require.NoError(t, err)
	text, err := verify(bad)
	require.Error(t, err)
	require.Contains(t, text, "certificate revoked")
}

// What makes no sense is not signed.
func TestCRLIsRefused(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	by := direct(t, key)
	sound := func() issuer.CRL {
		return issuer.CRL{Number: 1, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Entries: encoded(someRevoked(mathrand.New(mathrand.NewPCG(1, 1)), 9), 3)}
	}
	_, err := by.SignCRL(sound())
	require.NoError(t, err)
	for name, change := range map[string]func(*issuer.CRL){
		"no number":          func(c *issuer.CRL) { c.Number = 0 },
		"negative number":    func(c *issuer.CRL) { c.Number = -1 },
		"ends as it begins":  func(c *issuer.CRL) { c.NextUpdate = c.ThisUpdate.Add(time.Second - 1) },
		"ends before":        func(c *issuer.CRL) { c.NextUpdate = c.ThisUpdate.Add(-time.Hour) },
		"cut entry":          func(c *issuer.CRL) { c.Entries[1] = c.Entries[1][:len(c.Entries[1])-1] },
		"broken entry":       func(c *issuer.CRL) { c.Entries[2][3]++ },
		"something between":  func(c *issuer.CRL) { c.Entries[0] = append(c.Entries[0], 5, 0) },
		"an empty entry":     func(c *issuer.CRL) { c.Entries[0] = append(c.Entries[0], 0x30, 0) },
		"negative serial":    func(c *issuer.CRL) { c.Entries[0][4] |= 0x80 },
		"letters for a time": func(c *issuer.CRL) { c.Entries[0][25] = 'x' },
	} {
		list := sound()
		change(&list)
		_, err := by.SignCRL(list)
		require.ErrorContains(t, err, "signing revocation list", name)
	}
	resting, err := issuer.New(issuer.Config{Name: "x", Certificate: by.Certificate()})
	require.NoError(t, err)
	_, err = resting.SignCRL(sound())
	require.ErrorContains(t, err, "not on this server")
}

// A faulty key makes no list.
func TestFaultySignersMakeNoCRL(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.RSA2048, pki.Ed25519} {
		key := keyOf(t, kind, 1)
		for name, faulty := range map[string]crypto.Signer{
			"another key":    wrongSigner{key, keyOf(t, kind, 2)},
			"another digest": otherDigest{key},
			"a flipped bit":  brokenSigner{key, func(s []byte) ([]byte, error) { s[len(s)-1] ^= 1; return s, nil }},
			"nothing":        brokenSigner{key, func([]byte) ([]byte, error) { return nil, nil }},
		} {
			by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: faulty})
			require.NoError(t, err)
			_, err = by.SignCRL(issuer.CRL{Number: 1, ThisUpdate: start, NextUpdate: start.Add(time.Hour)})
			require.ErrorContains(t, err, "proving the signature", "%s: %s", kind, name)
		}
	}
}

// Whatever is changed in a list, wherever, it does not verify; nor does one of
// another authority, even of the same name.
func TestChangedCRLDoesNotVerify(t *testing.T) {
	by, other := direct(t, keyOf(t, pki.ECDSAP256, 1)), direct(t, keyOf(t, pki.ECDSAP256, 2))
	list := someRevoked(mathrand.New(mathrand.NewPCG(5, 6)), 3)
	signed, err := by.SignCRL(issuer.CRL{Number: 300, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Entries: encoded(list, 2)})
	require.NoError(t, err)
	require.ErrorContains(t, other.VerifyCRL(signed), "authority key identifier")
	whole := der(t, signed)
	for at := range whole {
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		opened, err := issuer.OpenCRL(changed)
		if err == nil {
			err = by.VerifyCRL(opened)
		}
		require.Error(t, err, "octet %d", at)
	}
	for size := range whole {
		_, err := issuer.OpenCRL(whole[:size])
		require.Error(t, err, "cut to %d", size)
	}
	_, err = issuer.OpenCRL(append(bytes.Clone(whole), 0))
	require.Error(t, err)
	renumbered := *signed
	renumbered.Number++
	require.ErrorContains(t, by.VerifyCRL(&renumbered), "its number is 300")
	later := *signed
	later.NextUpdate = later.NextUpdate.Add(time.Hour)
	require.ErrorContains(t, by.VerifyCRL(&later), "its times are")
	fewer := *signed
	fewer.Entries = fewer.Entries[:1]
	require.Error(t, by.VerifyCRL(&fewer))
}

// Lists that servers would stumble over are not taken, whoever signed them.
func TestForeignCRLs(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	by := direct(t, key)
	for name, test := range map[string]struct {
		change func(*x509.RevocationList)
		want   string
	}{
		"as it should be": {func(*x509.RevocationList) {}, ""},
		"IDP":             {func(l *x509.RevocationList) { l.ExtraExtensions = extension(true, 2, 5, 29, 28) }, "full one"},
		"IDP, uncritical": {func(l *x509.RevocationList) { l.ExtraExtensions = extension(false, 2, 5, 29, 28) }, "full one"},
		"delta":           {func(l *x509.RevocationList) { l.ExtraExtensions = extension(true, 2, 5, 29, 27) }, "full one"},
		"critical":        {func(l *x509.RevocationList) { l.ExtraExtensions = extension(true, 1, 2, 3) }, "critical extension 1.2.3"},
		"harmless":        {func(l *x509.RevocationList) { l.ExtraExtensions = extension(false, 1, 2, 3) }, ""},
		"huge number":     {func(l *x509.RevocationList) { l.Number = new(big.Int).Lsh(big.NewInt(1), 63) }, "2^63-1"},
		"number 0":        {func(l *x509.RevocationList) { l.Number = big.NewInt(0) }, "2^63-1"},
	} {
		template := &x509.RevocationList{Number: big.NewInt(9), ThisUpdate: start, NextUpdate: start.Add(time.Hour)}
		test.change(template)
		made, err := x509.CreateRevocationList(rand.Reader, template, by.Certificate(), key)
		require.NoError(t, err)
		opened, err := issuer.OpenCRL(made)
		if err == nil {
			err = by.VerifyCRL(opened)
		}
		if test.want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, test.want, name)
		}
	}
}

func extension(critical bool, id ...int) []pkix.Extension {
	return []pkix.Extension{{Id: id, Critical: critical, Value: []byte{5, 0}}}
}

func TestRemoveEntries(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(7, 8))
	for range 200 {
		list := someRevoked(random, random.IntN(20))
		entries := bytes.Join(encoded(list, 1000), nil)
		gone := make(map[pki.Serial]bool)
		var kept []revoked
		for _, r := range list {
			if random.IntN(3) == 0 {
				gone[r.serial] = true
			} else {
				kept = append(kept, r)
			}
		}
		before := bytes.Clone(entries)
		got, err := issuer.RemoveEntries(entries, func(serial []byte) bool { return gone[pki.Serial(serial)] })
		require.NoError(t, err)
		require.Equal(t, before, entries, "what was given is not changed: others may be reading it")
		require.True(t, bytes.Equal(bytes.Join(encoded(kept, 1000), nil), got))
		var serials []pki.Serial
		require.NoError(t, issuer.EntrySerials(got, func(serial []byte) { serials = append(serials, pki.Serial(serial)) }))
		require.Len(t, serials, len(kept))
		for i, serial := range serials {
			require.Equal(t, kept[i].serial, serial)
		}
	}
	_, err := issuer.RemoveEntries([]byte{0x30}, func([]byte) bool { return true })
	require.Error(t, err)
}

// What opens is what crypto/x509 reads, and comes back byte for byte.
func FuzzOpenCRL(f *testing.F) {
	key := keyOf(f, pki.ECDSAP256, 1)
	by := direct(f, key)
	for _, size := range []int{0, 1, 9} {
		signed, err := by.SignCRL(issuer.CRL{Number: 5, ThisUpdate: start, NextUpdate: start.Add(time.Hour), Entries: encoded(someRevoked(mathrand.New(mathrand.NewPCG(1, 2)), size), 4)})
		require.NoError(f, err)
		f.Add(der(f, signed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := issuer.OpenCRL(data)
		if err != nil {
			return
		}
		require.Equal(t, data, der(t, opened))
		verified := by.VerifyCRL(opened) == nil
		parsed, err := x509.ParseRevocationList(data)
		if err != nil {
			require.False(t, verified)
			return
		}
		require.Zero(t, parsed.Number.Cmp(big.NewInt(opened.Number)))
		require.True(t, parsed.ThisUpdate.Equal(opened.ThisUpdate))
		var serials [][]byte
		for _, part := range opened.Entries {
			require.NoError(t, issuer.EntrySerials(part, func(serial []byte) { serials = append(serials, serial) }))
		}
		require.Len(t, serials, len(parsed.RevokedCertificateEntries))
		for i, entry := range parsed.RevokedCertificateEntries {
			require.Zero(t, entry.SerialNumber.Cmp(new(big.Int).SetBytes(serials[i])))
		}
		if verified {
			require.NoError(t, parsed.CheckSignatureFrom(by.Certificate()))
		}
	})
}

// Whatever is revoked, whenever, for whatever reason: the list is crypto/x509's.
func FuzzSignCRL(f *testing.F) {
	key := keyOf(f, pki.ECDSAP256, 1)
	by := direct(f, key)
	f.Add(int64(1), int64(0), uint64(0), uint16(0), uint8(1))
	f.Add(int64(127), int64(86400*365*60), uint64(7), uint16(30), uint8(4))
	f.Fuzz(func(t *testing.T, number, seconds int64, seed uint64, size uint16, part uint8) {
		asked := issuer.CRL{Number: number, ThisUpdate: time.Unix(seconds, 0)}
		if year := asked.ThisUpdate.UTC().Year(); number < 1 || year < 1950 || year > 9998 {
			return
		}
		asked.NextUpdate = asked.ThisUpdate.Add(time.Hour)
		list := someRevoked(mathrand.New(mathrand.NewPCG(seed, 0)), int(size)%500)
		asked.Entries = encoded(list, 1+int(part))
		signed, err := by.SignCRL(asked)
		require.NoError(t, err)
		requireSameTBS(t, byCryptoX509(t, by, key, asked, list), der(t, signed))
	})
}
