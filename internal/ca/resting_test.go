package ca_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// made is a list of the root as some tool would make it where the key is.
func (f *fixture) made(number int64, revoked []ca.Revoked, change func(*x509.RevocationList)) []byte {
	f.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: f.clock.Now().Add(-time.Minute), NextUpdate: f.clock.Now().Add(30 * 24 * time.Hour)}
	for _, r := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.Serial.Int(), RevocationTime: r.At, ReasonCode: int(r.Reason),
		})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, f.authority(rootName).Certificate(), f.keys["memory:"+rootName])
	require.NoError(f.t, err)
	return der
}

// rest takes the key of the root away.
func (f *fixture) rest() {
	f.t.Helper()
	require.NoError(f.t, f.MoveKey(f.t.Context(), admin, rootName, ""))
	f.load(f.store)
	require.False(f.t, f.authority(rootName).CanSign())
}

func TestRestingAuthorityTakesLists(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		var serials []pki.Serial
		for range 4 {
			serials = append(serials, f.issue("www.example.com").Certificate.Serial)
		}
		_, err := f.Revoke(t.Context(), developer, serials[0], pki.KeyCompromise)
		require.NoError(t, err)
		f.publish()
		_, err = f.RequestCRL(t.Context(), operator, rootName)
		refusal(t, err, ca.KindConflict)
		f.rest()
		_, err = f.Revoke(t.Context(), developer, serials[1], pki.Superseded)
		require.NoError(t, err)
		f.clock.advance(3 * time.Hour)
		f.publish()
		require.Equal(t, 1, f.CRL(rootName).Count, "nobody signs; the last list is served")

		request, err := f.RequestCRL(t.Context(), operator, rootName)
		require.NoError(t, err)
		require.Equal(t, f.CRL(rootName).Number, request.Number)
		require.Len(t, request.Revoked, 2)
		_, err = f.Revoke(t.Context(), developer, serials[2], pki.Superseded)
		require.NoError(t, err)

		other := *f
		other.open()
		other.load(other.store)
		list := f.made(request.Number+1, request.Revoked, nil)
		imported, err := f.ImportCRL(t.Context(), operator, rootName, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
		require.NoError(t, err)
		require.Equal(t, 2, imported.Count)
		require.Equal(t, 1, imported.Waiting)
		for _, server := range []*fixture{f, &other} {
			server.publish()
			require.Equal(t, list, bytesOf(t, server.CRL(rootName)), "byte for byte, on every server")
		}
		// The one that waits is on the next.
		request, err = f.RequestCRL(t.Context(), operator, rootName)
		require.NoError(t, err)
		require.Len(t, request.Revoked, 3)
		imported, err = f.ImportCRL(t.Context(), operator, rootName, f.made(request.Number+1, request.Revoked, nil))
		require.NoError(t, err)
		require.Zero(t, imported.Waiting)

		// And the key comes back: the CA goes on from there.
		require.NoError(t, f.MoveKey(t.Context(), admin, rootName, "memory:"+rootName))
		f.load(f.store)
		f.clock.advance(2 * time.Hour)
		f.publish()
		require.Greater(t, f.CRL(rootName).Number, imported.Number)
		f.requireCRL(rootName)
		require.Len(t, f.reasons(rootName), 3)
		_, err = f.ImportCRL(t.Context(), operator, rootName, f.made(imported.Number+10, nil, nil))
		refusal(t, err, ca.KindConflict)
	})
}

func TestImportIsRefused(t *testing.T) {
	f := newFixture(t)
	good, bad := f.issue("www.example.com").Certificate.Serial, f.issue("www.example.com").Certificate.Serial
	_, err := f.Revoke(t.Context(), developer, bad, pki.KeyCompromise)
	require.NoError(t, err)
	f.publish()
	f.rest()
	f.publish()
	request, err := f.RequestCRL(t.Context(), operator, rootName)
	require.NoError(t, err)
	number := request.Number + 1
	for name, test := range map[string]struct {
		list []byte
		want string
	}{
		"nothing":              {nil, "not the DER"},
		"a certificate":        {pki.EncodeCertificate(f.authority(rootName).Certificate().Raw), `a PEM "CERTIFICATE"`},
		"the same number":      {f.made(request.Number, request.Revoked, nil), "higher number"},
		"a lower number":       {f.made(1, request.Revoked, nil), "higher number"},
		"lapsed":               {f.made(number, request.Revoked, func(l *x509.RevocationList) { l.NextUpdate = f.clock.Now() }), "lapsed at"},
		"from the future":      {f.made(number, request.Revoked, func(l *x509.RevocationList) { l.ThisUpdate = f.clock.Now().Add(time.Second) }), "in the future"},
		"it forgets one":       {f.made(number, nil, nil), "leaves out 1 certificates"},
		"one that is not":      {f.made(number, append(request.Revoked, ca.Revoked{Serial: good, Revocation: ca.Revocation{At: start}}), nil), "is not revoked"},
		"for a part only":      {f.made(number, request.Revoked, func(l *x509.RevocationList) { l.ExtraExtensions = criticalExtension(2, 5, 29, 28) }), "full one"},
		"critical":             {f.made(number, request.Revoked, func(l *x509.RevocationList) { l.ExtraExtensions = criticalExtension(1, 2, 3) }), "critical"},
		"cut":                  {f.made(number, request.Revoked, nil)[:200], "not the DER"},
		"a changed octet":      {changed(f.made(number, request.Revoked, nil)), ""},
		"of another authority": {foreignList(t, number), ""},
		"something behind it":  {append(f.made(number, request.Revoked, nil), 0), "not the DER"},
	} {
		events := f.events(func() {
			_, err := f.ImportCRL(t.Context(), operator, rootName, test.list)
			require.Contains(t, refusal(t, err, ca.KindInvalid).Detail, test.want, name)
		})
		require.Len(t, events, 1, name)
		require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
	}
	_, err = f.ImportCRL(t.Context(), operator, "Nobody", nil)
	refusal(t, err, ca.KindNotFound)
	for _, p := range []ca.Principal{developer, auditor, ca.Nobody("", "")} {
		_, err = f.ImportCRL(t.Context(), p, rootName, nil)
		require.Error(t, err)
		_, err = f.RequestCRL(t.Context(), p, rootName)
		require.Error(t, err)
	}
	require.Error(t, f.MoveKey(t.Context(), operator, rootName, "file:x"), "operators move no keys")
	refusal(t, f.MoveKey(t.Context(), admin, "Nobody", ""), ca.KindNotFound)
	_, err = f.ImportCRL(t.Context(), operator, rootName, f.made(number, request.Revoked, nil))
	require.NoError(t, err)
}

func changed(der []byte) []byte {
	der = bytes.Clone(der)
	der[len(der)/2] ^= 1
	return der
}

// foreignList is a list of an authority of the same name.
func foreignList(t *testing.T, number int64) []byte {
	t.Helper()
	return newFixture(t).made(number, nil, nil)
}

func criticalExtension(id ...int) []pkix.Extension {
	return []pkix.Extension{{Id: id, Critical: true, Value: []byte{5, 0}}}
}
