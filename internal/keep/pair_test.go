package keep_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/keep"
	"github.com/imca-project/imca/internal/pki"
)

// keptPair is a pair whose certificates a test issues.
type keptPair struct {
	keep.Pair
	t       *testing.T
	root    authority
	now     time.Time
	issued  int
	reloads int
	away    error // the server is
	revoked bool
	usage   x509.ExtKeyUsage
}

func newKeptPair(t *testing.T) *keptPair {
	k := &keptPair{t: t, root: newAuthority(t, "Root"), now: start, usage: x509.ExtKeyUsageClientAuth}
	name, err := pki.ParseName("callback.platform.internal")
	require.NoError(t, err)
	k.Pair = keep.Pair{
		Folder: t.TempDir(), Name: name, Issue: k.issue,
		Revoked: func(context.Context, pki.Serial) (bool, error) { return k.revoked, k.away },
		Reload:  func(context.Context) error { k.reloads++; return nil },
		Now:     func() time.Time { return k.now },
	}
	return k
}

func (k *keptPair) issue(_ context.Context, csr []byte) ([]byte, error) {
	if k.away != nil {
		return nil, k.away
	}
	k.issued++
	parsed, err := pki.ParseCSR(csr)
	require.NoError(k.t, err)
	serial := pki.NewSerial()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial.Int(), Subject: pkix.Name{CommonName: parsed.Names[0].String()}, DNSNames: []string{parsed.Names[0].String()},
		NotBefore: k.now.Add(-time.Minute), NotAfter: k.now.Add(7 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{k.usage},
	}, k.root.Certificate, parsed.PublicKey, k.root.key)
	require.NoError(k.t, err)
	return pki.EncodeCertificate(der), nil
}

// pair loads the files as a program does, and demands that they belong together.
func (k *keptPair) pair() *x509.Certificate {
	k.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(k.Folder, "callback.platform.internal.crt"), filepath.Join(k.Folder, "callback.platform.internal.key"))
	require.NoError(k.t, err)
	return pair.Leaf
}

func (k *keptPair) refresh() keep.PairReport {
	k.t.Helper()
	report, err := k.Refresh(k.t.Context())
	require.NoError(k.t, err)
	require.Equal(k.t, report.NotAfter, k.pair().NotAfter)
	return report
}

func TestPairIsKept(t *testing.T) {
	k := newKeptPair(t)
	const day = 24 * time.Hour
	report := k.refresh()
	require.True(t, report.Changed)
	require.True(t, report.Reloaded)
	first := k.pair()
	info, err := os.Stat(filepath.Join(k.Folder, "callback.platform.internal.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.WithinRange(t, report.RenewAt, start.Add(4*day), start.Add(7*day*2/3))

	for range 3 { // it stays until it is due
		report = k.refresh()
		require.False(t, report.Changed)
		k.now = report.RenewAt.Add(-time.Second)
	}
	k.now = report.RenewAt
	require.True(t, k.refresh().Changed)
	second := k.pair()
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	require.NotEqual(t, first.PublicKey, second.PublicKey, "a new key")
	require.True(t, first.NotAfter.After(k.now.Add(2*day)), "both serve for a while")
	require.Equal(t, 2, k.reloads)

	k.revoked = true
	require.True(t, k.refresh().Changed, "one that was revoked does not serve")
	k.revoked = false
	entries, err := filepath.Glob(filepath.Join(k.Folder, "v-*"))
	require.NoError(t, err)
	require.Len(t, entries, 2, "this one and the one before")
}

func TestPairSurvivesItsServer(t *testing.T) {
	k := newKeptPair(t)
	k.away = errors.New("the server is away")
	report, err := k.Refresh(t.Context())
	require.ErrorContains(t, err, "the server is away")
	require.NotEmpty(t, report.Alarm)
	require.NoDirExists(t, filepath.Join(k.Folder, "current"))
	k.away = nil
	due := k.refresh().RenewAt

	k.away = errors.New("the server is away")
	report = k.refresh()
	require.Len(t, report.Faults, 1)
	require.Empty(t, report.Alarm)
	k.now = due.Add(time.Hour)
	report = k.refresh()
	require.Len(t, report.Faults, 1)
	require.False(t, report.Changed)
	require.Empty(t, report.Alarm, "there is time")
	k.now = start.Add(6*24*time.Hour + time.Hour)
	require.Contains(t, k.refresh().Alarm, "cannot be renewed")
	k.now = start.Add(8 * 24 * time.Hour)
	_, err = k.Refresh(t.Context())
	require.Error(t, err, "it has ended")
	k.away = nil
	require.True(t, k.refresh().Changed)
	require.Equal(t, 2, k.issued)
}

// What does not fit is not installed, and what somebody has spoilt is made anew.
func TestPairFits(t *testing.T) {
	k := newKeptPair(t)
	k.refresh()
	before := k.pair()
	k.usage, k.revoked = x509.ExtKeyUsageServerAuth, true
	report := k.refresh()
	require.Len(t, report.Faults, 1)
	require.ErrorContains(t, report.Faults[0], "not one for clients")
	require.Equal(t, before, k.pair())

	k.usage, k.revoked = x509.ExtKeyUsageClientAuth, false
	other, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	text, err := pki.EncodeKey(other)
	require.NoError(t, err)
	for _, spoilt := range [][]byte{text, nil, []byte("x")} {
		require.NoError(t, os.WriteFile(filepath.Join(k.Folder, "callback.platform.internal.key"), spoilt, 0o600))
		require.True(t, k.refresh().Changed)
	}
	foreign := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.root.Raw})
	k.Issue = func(context.Context, []byte) ([]byte, error) { return foreign, nil }
	k.revoked = true
	require.ErrorContains(t, k.refresh().Faults[0], "not of the key")
}

// Whoever reads while certificates change never sees a certificate with the key of another, if they open "current" once, as a program that
// resolves the folder does.
func TestPairChangesAtOnce(t *testing.T) {
	k := newKeptPair(t)
	k.refresh()
	k.revoked = true
	stop := make(chan struct{})
	wrong := make(chan error, 1)
	go func() {
		defer close(wrong)
		for {
			select {
			case <-stop:
				return
			default:
			}
			folder, err := filepath.EvalSymlinks(filepath.Join(k.Folder, "current"))
			if err == nil {
				_, err = tls.LoadX509KeyPair(filepath.Join(folder, "callback.platform.internal.crt"), filepath.Join(folder, "callback.platform.internal.key"))
			}
			if err != nil && !os.IsNotExist(err) { // a folder of two changes ago may be gone
				wrong <- err
				return
			}
		}
	}()
	for range 30 {
		k.refresh()
	}
	close(stop)
	require.NoError(t, <-wrong)
}
