package watch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority is a CA as crypto/x509 makes one.
func authority(t testing.TB, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte("key"),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte("key")}, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key
}

func made(t testing.TB, change func(*x509.RevocationList), by *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	for i, reason := range append(pki.LeafReasons(), pki.CACompromise) {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: pki.NewSerial().Int(), RevocationTime: now.AddDate(5*i, 0, 0), ReasonCode: int(reason),
		})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, by, key)
	require.NoError(t, err)
	return der
}

// What another implementation makes is read as it was meant; what servers would stumble over is told.
func TestReadList(t *testing.T) {
	by, key := authority(t, "CA")
	for name, test := range map[string]struct {
		change func(*x509.RevocationList)
		want   string
	}{
		"as it should be": {nil, ""},
		"empty":           {func(l *x509.RevocationList) { l.RevokedCertificateEntries = nil }, ""},
		"IDP": {func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}
		}, "2.5.29.28 is critical"},
		"harmless": {func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: []byte{5, 0}}}
		}, ""},
		"foreign serial": {func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].SerialNumber = big.NewInt(4711) }, "never issued here"},
		"twice": {func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].SerialNumber = l.RevokedCertificateEntries[3].SerialNumber
		}, "twice"},
		"another extension of an entry": {func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 24}, Value: []byte{10, 1, 1}}}
		}, "2.5.29.24"},
	} {
		der := made(t, test.change, by, key)
		l, err := readList(der, by)
		if test.want != "" {
			require.ErrorContains(t, err, test.want, name)
			continue
		}
		require.NoError(t, err, name)
		requireSame(t, der, l)
	}
	good := made(t, nil, by, key)
	other, otherKey := authority(t, "CA")
	_, err := readList(good, other)
	require.ErrorContains(t, err, "signature", "another key")
	stranger, _ := authority(t, "Stranger")
	stranger.PublicKey = by.PublicKey
	_, err = readList(good, stranger)
	require.ErrorContains(t, err, "another issuer")
	_, err = readList(made(t, nil, other, otherKey), by)
	require.Error(t, err)
	for size := range good {
		_, err := readList(good[:size], by)
		require.Error(t, err)
	}
	_, err = readList(append(good, 0), by)
	require.Error(t, err)
}

// requireSame holds what was read against what crypto/x509 reads.
func requireSame(t testing.TB, der []byte, l *list) {
	t.Helper()
	parsed, err := x509.ParseRevocationList(der)
	require.NoError(t, err)
	require.Zero(t, parsed.Number.Cmp(big.NewInt(l.number)))
	require.True(t, parsed.ThisUpdate.Equal(l.thisUpdate))
	require.True(t, parsed.NextUpdate.Equal(l.nextUpdate))
	require.Len(t, l.entries, len(parsed.RevokedCertificateEntries))
	for _, entry := range parsed.RevokedCertificateEntries {
		serial, ok := pki.SerialFromInt(entry.SerialNumber)
		require.True(t, ok)
		i, found := l.find(serial)
		require.True(t, found)
		require.Equal(t, entry.RevocationTime.Unix(), l.entries[i].at)
		require.EqualValues(t, entry.ReasonCode, l.entries[i].reason)
	}
}

// What is taken for a list of an authority is one for crypto/x509, too.
func FuzzReadList(f *testing.F) {
	by, key := authority(f, "CA")
	f.Add(made(f, nil, by, key))
	f.Add(made(f, func(l *x509.RevocationList) { l.RevokedCertificateEntries = nil }, by, key))
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := readList(der, by)
		if err != nil {
			return
		}
		requireSame(t, der, l)
		parsed, err := x509.ParseRevocationList(der)
		require.NoError(t, err)
		require.NoError(t, parsed.CheckSignatureFrom(by))
	})
}
