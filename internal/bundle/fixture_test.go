package bundle_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/pki"
)

const platform = "callback.platform.internal"

// authority is a CA of a test: it signs whatever it is asked to, forgeries too.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	parent      *authority
}

// The real servers and curl ask the real clock.
var (
	before = time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	after  = before.Add(48 * time.Hour)
)

// newAuthority makes a root, or a CA below parent with an extended key usage.
func newAuthority(t testing.TB, name string, parent *authority, usage ...x509.ExtKeyUsage) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{key: key, parent: parent}
	a.certificate = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: usage,
	}, key.Public(), parent)
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, public crypto.PublicKey, parent *authority) *x509.Certificate {
	t.Helper()
	template.SerialNumber = pki.NewSerial().Int()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = before, after
	}
	above, key := template, a.key
	if parent != nil {
		above, key = parent.certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, public, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

// leaf has a signed, key and chain included.
func (a *authority) leaf(t testing.TB, kind pki.KeyType, template x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := kind.Generate()
	require.NoError(t, err)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	certificate := a.sign(t, &template, key.Public(), a)
	chain := [][]byte{certificate.Raw}
	for above := a; above.parent != nil; above = above.parent {
		chain = append(chain, above.certificate.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: certificate}
}

// crl is the authority's revocation list in DER.
func (a *authority) crl(t testing.TB, revoked ...*big.Int) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: before, NextUpdate: after}
	for _, serial := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: before})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	require.NoError(t, err)
	return der
}

// root is what others trust of a.
func (a *authority) root() bundle.Authority {
	for a.parent != nil {
		a = a.parent
	}
	return bundle.Authority{Name: a.certificate.Subject.CommonName, Certificates: pki.EncodeCertificate(a.certificate.Raw)}
}

// hierarchy is who signs what.
type hierarchy struct {
	client *authority // the platform's certificates
	server *authority // the developers'
}

// The three shapes in which a CA comes ready-made.
var hierarchies = map[string]func(testing.TB) hierarchy{
	"direct": func(t testing.TB) hierarchy {
		root := newAuthority(t, "TencentQQAuthCA", nil)
		return hierarchy{client: root, server: root}
	},
	"issuing": func(t testing.TB) hierarchy {
		root := newAuthority(t, "TencentQQAuthCA", nil)
		return hierarchy{client: root, server: newAuthority(t, "TencentQQAuthCA-Issuing", root, x509.ExtKeyUsageServerAuth)}
	},
	"separate": func(t testing.TB) hierarchy {
		return hierarchy{client: newAuthority(t, "TencentQQAuthCA", nil), server: newAuthority(t, "TencentQQAuthCA-Server", nil)}
	},
}

// input is a certificate for the names, ready to be handed out.
func (h hierarchy) input(t testing.TB, kind pki.KeyType, names ...string) bundle.Input {
	t.Helper()
	leaf := h.server.leaf(t, kind, serverTemplate(t, names...))
	key, err := pki.EncodeKey(leaf.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	in := bundle.Input{
		Certificate: pki.EncodeCertificate(leaf.Certificate[0]),
		Key:         key,
		Root:        h.server.root(),
		ClientCA:    h.client.root(),
		ClientName:  name(t, platform),
	}
	for _, above := range leaf.Certificate[1:] {
		in.Chain = append(in.Chain, pki.EncodeCertificate(above)...)
	}
	return in
}

func serverTemplate(t testing.TB, texts ...string) x509.Certificate {
	t.Helper()
	template := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, text := range texts {
		if n := name(t, text); n.IsIP() {
			template.IPAddresses = append(template.IPAddresses, net.IP(n.Addr().AsSlice()))
		} else {
			template.DNSNames = append(template.DNSNames, n.String())
		}
	}
	if len(template.DNSNames) > 0 && len(template.DNSNames[0]) <= 64 {
		template.Subject.CommonName = template.DNSNames[0]
	}
	return template
}

func clientTemplate(subject pkix.Name, usage ...x509.ExtKeyUsage) x509.Certificate {
	return x509.Certificate{Subject: subject, ExtKeyUsage: usage}
}

func name(t testing.TB, text string) pki.Name {
	t.Helper()
	n, err := pki.ParseName(text)
	require.NoError(t, err)
	return n
}
