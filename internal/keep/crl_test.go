package keep_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/keep"
	"github.com/imca-project/imca/internal/pki"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority is a CA that makes whatever list it is told to. Its key follows from its name, so that every process of a fuzz test has the same.
type authority struct {
	*x509.Certificate
	key crypto.Signer
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	return authorityWith(t, name, name)
}

// authorityWith is one whose key follows from another text.
func authorityWith(t testing.TB, name, text string) authority {
	t.Helper()
	seed := sha256.Sum256([]byte(text))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{cert, key}
}

// list is a list of a week, in DER.
func (a authority) list(t testing.TB, number int64, from time.Time, extensions ...pkix.Extension) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: from, NextUpdate: from.Add(7 * 24 * time.Hour), ExtraExtensions: extensions,
	}, a.Certificate, a.key)
	require.NoError(t, err)
	return der
}

// kept is a file that is kept from what a test serves.
type kept struct {
	keep.CRLFile
	t       *testing.T
	serve   map[string]func(have bool) ([]byte, error) // by the name of the authority
	now     time.Time
	reloads int
	failing error // of the reload
}

func newKept(t *testing.T, authorities ...authority) *kept {
	k := &kept{t: t, now: start, serve: make(map[string]func(bool) ([]byte, error))}
	k.CRLFile = keep.CRLFile{
		Path: filepath.Join(t.TempDir(), "all.crl"),
		Now:  func() time.Time { return k.now },
		Reload: func(context.Context) error {
			if k.failing == nil {
				k.reloads++
			}
			return k.failing
		},
	}
	for _, a := range authorities {
		name := a.Subject.CommonName
		k.Sources = append(k.Sources, keep.CRLSource{Name: name, Issuer: a.Certificate, Fetch: func(_ context.Context, have bool) ([]byte, error) {
			return k.serve[name](have)
		}})
	}
	return k
}

func (k *kept) gives(a authority, der []byte) {
	k.serve[a.Subject.CommonName] = func(bool) ([]byte, error) { return der, nil }
}

func (k *kept) fails(a authority, err error) {
	k.serve[a.Subject.CommonName] = func(bool) ([]byte, error) { return nil, err }
}

// content is what is in the file.
func (k *kept) content() []byte {
	k.t.Helper()
	text, err := os.ReadFile(k.Path)
	require.NoError(k.t, err)
	return text
}

func (k *kept) refresh() keep.CRLReport {
	k.t.Helper()
	report, err := k.Refresh(k.t.Context())
	require.NoError(k.t, err)
	return report
}

func pemOf(lists ...[]byte) (text []byte) {
	for _, der := range lists {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return text
}

func TestCRLIsKept(t *testing.T) {
	root := newAuthority(t, "Root")
	k := newKept(t, root)
	first, second := root.list(t, 1, start.Add(-time.Minute)), root.list(t, 2, start.Add(time.Hour))
	k.gives(root, first)
	report := k.refresh()
	require.Equal(t, keep.CRLReport{Changed: true, Reloaded: true, NextUpdate: start.Add(7*24*time.Hour - time.Minute)}, report)
	require.Equal(t, pemOf(first), k.content())

	require.False(t, k.refresh().Changed)
	require.Equal(t, 1, k.reloads, "only when it has changed")
	k.serve["Root"] = func(have bool) ([]byte, error) { require.True(t, have); return nil, keep.ErrUnchanged }
	require.Equal(t, keep.CRLReport{NextUpdate: report.NextUpdate}, k.refresh())

	require.NoError(t, os.Chmod(k.Path, 0o640))
	k.now = start.Add(2 * time.Hour)
	k.gives(root, pemOf(second))
	require.True(t, k.refresh().Changed)
	require.Equal(t, pemOf(second), k.content())
	require.Equal(t, 2, k.reloads)
	info, err := os.Stat(k.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode(), "the mode stays")
	entries, err := os.ReadDir(filepath.Dir(k.Path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left")
}

// Nothing worse is ever installed, whatever is fetched; and it is told.
func TestWorseCRLIsRefused(t *testing.T) {
	root, twin, other := newAuthority(t, "Root"), authorityWith(t, "Root", "its twin"), newAuthority(t, "Other")
	there := root.list(t, 10, start.Add(-time.Hour))
	better := root.list(t, 11, start.Add(-time.Minute))
	flipped := bytes.Clone(better)
	flipped[len(flipped)-1] ^= 1
	for name, test := range map[string]struct {
		give []byte
		want string
	}{
		"a lower number":          {root.list(t, 9, start.Add(-time.Minute)), "lower than 10"},
		"the same number":         {root.list(t, 10, start.Add(-time.Minute)), "is another"},
		"lapsed":                  {root.list(t, 11, start.Add(-8*24*time.Hour)), "has lapsed"},
		"from the future":         {root.list(t, 11, start.Add(time.Hour)), "clock of this machine"},
		"truncated":               {better[:len(better)-20], "no whole"},
		"truncated at its half":   {better[:len(better)/2], "no whole"},
		"of another authority":    {other.list(t, 11, start.Add(-time.Minute)), "not of"},
		"of one of the same name": {twin.list(t, 11, start.Add(-time.Minute)), "not signed by"},
		"a broken signature":      {flipped, "not signed by"},
		"a delta list":            {root.list(t, 11, start.Add(-time.Minute), extension(t, asn1.ObjectIdentifier{2, 5, 29, 27})), "good certificates too"},
		"for a part only":         {root.list(t, 11, start.Add(-time.Minute), extension(t, asn1.ObjectIdentifier{2, 5, 29, 28})), "good certificates too"},
		"an error page":           {[]byte("<html>"), "no whole"},
		"nothing":                 {nil, "no whole"},
		"two at once":             {pemOf(better, better), "alone"},
		"a certificate":           {pki.EncodeCertificate(root.Raw), "not one revocation list"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, root)
			k.gives(root, there)
			k.refresh()
			k.gives(root, test.give)
			report := k.refresh()
			require.False(t, report.Changed)
			require.Len(t, report.Faults, 1)
			require.ErrorContains(t, report.Faults[0], test.want)
			require.Equal(t, pemOf(there), k.content())
			require.Equal(t, 1, k.reloads)
			k.gives(root, better)
			require.True(t, k.refresh().Changed, "and it goes on")
		})
	}
}

func extension(t *testing.T, id asn1.ObjectIdentifier) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(1)
	require.NoError(t, err)
	return pkix.Extension{Id: id, Critical: true, Value: value}
}

func TestSeveralCRLs(t *testing.T) {
	root, issuing := newAuthority(t, "Root"), newAuthority(t, "Issuing")
	k := newKept(t, root, issuing)
	a1, a2, b1, b2 := root.list(t, 1, start), root.list(t, 2, start), issuing.list(t, 1, start), issuing.list(t, 2, start)
	k.gives(root, a1)
	k.fails(issuing, errors.New("the network is away"))
	report, err := k.Refresh(t.Context())
	require.ErrorContains(t, err, "no revocation list of Issuing yet: the network is away")
	require.NotEmpty(t, report.Alarm)
	require.NoFileExists(t, k.Path, "a file without one of them refuses everyone")

	k.gives(issuing, b1)
	k.refresh()
	require.Equal(t, pemOf(a1, b1), k.content())
	k.gives(root, a2)
	k.fails(issuing, errors.New("the network is away"))
	report = k.refresh()
	require.True(t, report.Changed)
	require.Len(t, report.Faults, 1)
	require.Equal(t, pemOf(a2, b1), k.content())
	k.gives(issuing, b2)
	k.fails(root, errors.New("the network is away"))
	k.refresh()
	require.Equal(t, pemOf(a2, b2), k.content())
	k.DER = true
	_, err = k.Refresh(t.Context())
	require.ErrorContains(t, err, "keep several as PEM")
}

func TestDER(t *testing.T) {
	root := newAuthority(t, "Root")
	k := newKept(t, root)
	k.DER = true
	first := root.list(t, 1, start)
	k.gives(root, pemOf(first))
	k.refresh()
	require.Equal(t, first, k.content())
	k.gives(root, root.list(t, 0, start))
	require.Len(t, k.refresh().Faults, 1, "what is there is known")
}

// A file that somebody has spoilt is made good again.
func TestSpoiltFileIsReplaced(t *testing.T) {
	root := newAuthority(t, "Root")
	k := newKept(t, root)
	first := root.list(t, 5, start)
	k.gives(root, first)
	k.refresh()
	for _, spoilt := range [][]byte{nil, []byte("x"), k.content()[:100]} {
		require.NoError(t, os.WriteFile(k.Path, spoilt, 0o644))
		k.serve["Root"] = func(have bool) ([]byte, error) { require.False(t, have); return first, nil }
		require.True(t, k.refresh().Reloaded)
		require.Equal(t, pemOf(first), k.content())
	}
}

func TestReloadIsTriedAgain(t *testing.T) {
	root := newAuthority(t, "Root")
	k := newKept(t, root)
	k.gives(root, root.list(t, 1, start))
	k.failing = errors.New("the configuration has a fault")
	report, err := k.Refresh(t.Context())
	require.ErrorContains(t, err, "tried again: the configuration has a fault")
	require.True(t, report.Changed)
	k.failing = nil
	report = k.refresh()
	require.False(t, report.Changed)
	require.True(t, report.Reloaded, "also by another process, later")
	require.False(t, k.refresh().Reloaded)
	require.Equal(t, 1, k.reloads)
}

func TestAlarmIsEarly(t *testing.T) {
	root := newAuthority(t, "Root")
	k := newKept(t, root)
	const day = 24 * time.Hour
	k.gives(root, root.list(t, 1, start))
	require.Empty(t, k.refresh().Alarm)
	k.fails(root, errors.New("the network is away"))
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{3 * day, ""}, {4 * day, "lapses at 2026-03-08T12:00:00Z"}, {8 * day, "has lapsed"}} {
		k.now = start.Add(step.after)
		report := k.refresh()
		require.Len(t, report.Faults, 1)
		if step.want == "" {
			require.Empty(t, report.Alarm)
		} else {
			require.Contains(t, report.Alarm, step.want)
		}
	}
	k.now = start.Add(3 * day)
	k.AlarmBefore = 5 * day
	require.Contains(t, k.refresh().Alarm, "lapses")
	k.gives(root, root.list(t, 2, k.now))
	require.Empty(t, k.refresh().Alarm)
}

// FuzzFetched: whatever is fetched, a good file stays good.
func FuzzFetched(f *testing.F) {
	root := newAuthority(f, "Root")
	there := root.list(f, 10, start)
	f.Add(there)
	f.Add(root.list(f, 11, start))
	f.Add(pemOf(root.list(f, 11, start)))
	f.Fuzz(func(t *testing.T, data []byte) {
		k := newKept(t, root)
		k.gives(root, there)
		k.refresh()
		k.gives(root, data)
		k.refresh()
		block, rest := pem.Decode(k.content())
		require.Empty(t, rest)
		list, err := x509.ParseRevocationList(block.Bytes)
		require.NoError(t, err)
		require.NoError(t, list.CheckSignatureFrom(root.Certificate))
		require.GreaterOrEqual(t, list.Number.Int64(), int64(10))
	})
}
