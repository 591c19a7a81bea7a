package doorcheck

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

// The names of the world that the tests check doors in.
const (
	caName       = "TencentQQAuthCA"
	host         = "www.example.com"
	platformName = "callback.platform.internal"
)

// party is a certificate with its key and with those above it.
type party struct {
	certificate *x509.Certificate
	key         crypto.Signer
	above       []*x509.Certificate // its issuer first, without the root
}

// identity is a party as a TLS client or server shows it.
func (p party) identity() *tls.Certificate {
	shown := &tls.Certificate{PrivateKey: p.key, Certificate: [][]byte{p.certificate.Raw}}
	for _, certificate := range p.above {
		shown.Certificate = append(shown.Certificate, certificate.Raw)
	}
	return shown
}

// pem is what a server's certificate file holds.
func (p party) pem() []byte {
	text := pki.EncodeCertificate(p.certificate.Raw)
	for _, certificate := range p.above {
		text = append(text, pki.EncodeCertificate(certificate.Raw)...)
	}
	return text
}

// world is a platform with its CAs and certificates, and a folder with the files of a developer.
type world struct {
	dir string // what was handed to the developer, and what was done wrong with it
	now time.Time

	root, issuing, nextRoot, twin                         party // twin: another CA with the root's name
	platform, developer, expired, revoked, behind, next   party // clients
	server, older, lapsed, otherName, chained, selfSigned party // servers
}

// newWorld makes all certificates, and the folder.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := newParties(t)
	dir, err := os.MkdirTemp("", "doorcheck-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) // servers that root starts have workers of other users
	w.dir = dir
	w.writeFiles(t)
	return w
}

// newParties is a world without a folder.
func newParties(t testing.TB) *world {
	t.Helper()
	w := &world{now: time.Now()}
	w.root = w.ca(t, caName, party{})
	w.issuing = w.ca(t, caName+"-Issuing", w.root)
	w.nextRoot = w.ca(t, caName+"-G2", party{})
	w.twin = w.ca(t, caName, party{})

	day := 24 * time.Hour
	w.platform = w.client(t, w.root, nil)
	w.developer = w.server0(t, w.root, func(c *x509.Certificate) { rename(c, "other.example.net") })
	w.expired = w.client(t, w.root, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = w.now.Add(-9*day), w.now.Add(-2*day) })
	w.revoked = w.client(t, w.root, nil)
	w.behind = w.client(t, w.issuing, nil)
	w.next = w.client(t, w.nextRoot, nil)

	w.server = w.server0(t, w.root, nil)
	w.older = w.server0(t, w.root, func(c *x509.Certificate) { c.NotBefore = w.now.Add(-60 * day) })
	w.lapsed = w.server0(t, w.root, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = w.now.Add(-91*day), w.now.Add(-day) })
	w.otherName = w.server0(t, w.root, func(c *x509.Certificate) { rename(c, "shop.example.com") })
	w.chained = w.server0(t, w.issuing, nil)
	w.selfSigned = w.server0(t, party{}, nil)
	return w
}

func rename(c *x509.Certificate, name string) {
	c.Subject.CommonName, c.DNSNames = name, []string{name}
}

func (w *world) ca(t testing.TB, name string, parent party) party {
	return w.make(t, parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: w.now.Add(-100 * 24 * time.Hour), NotAfter: w.now.Add(3650 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil)
}

func (w *world) client(t testing.TB, parent party, change func(*x509.Certificate)) party {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: platformName}, DNSNames: []string{platformName},
		NotBefore: w.now.Add(-5 * time.Minute), NotAfter: w.now.Add(7 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	return w.make(t, parent, c, nil)
}

func (w *world) server0(t testing.TB, parent party, change func(*x509.Certificate)) party {
	return w.serverWith(t, parent, nil, change)
}

func (w *world) serverWith(t testing.TB, parent party, key crypto.Signer, change func(*x509.Certificate)) party {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: w.now.Add(-5 * time.Minute), NotAfter: w.now.Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	return w.make(t, parent, c, key)
}

// make signs a certificate; without a parent it signs itself.
func (w *world) make(t testing.TB, parent party, template *x509.Certificate, key crypto.Signer) party {
	t.Helper()
	var err error
	if key == nil {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	serial := pki.NewSerial()
	template.SerialNumber = serial.Int()
	made := party{key: key}
	above, signer := template, key
	if parent.certificate != nil {
		above, signer = parent.certificate, parent.key
		if parent.certificate.Issuer.String() != parent.certificate.Subject.String() {
			made.above = append([]*x509.Certificate{parent.certificate}, parent.above...)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	require.NoError(t, err)
	made.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return made
}

// writeFiles fills the folder: the bundle as it is handed over, under the names that the mends use, and the wrong files beside it.
func (w *world) writeFiles(t testing.TB) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(w.dir, "htdocs"), 0o755))
	w.write(t, "htdocs/callback", []byte("{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"\"}\n"))

	w.writeServer(t, host, w.server)
	w.write(t, caName+".crt", w.root.pem())
	w.write(t, caName+".crl", w.crl(t, w.root, w.now.Add(-time.Hour), w.now.Add(7*24*time.Hour), false))

	w.writeServer(t, "older", w.older)
	w.writeServer(t, "lapsed", w.lapsed)
	w.writeServer(t, "shop", w.otherName)
	w.writeServer(t, "chained", w.chained)
	w.writeServer(t, "unchained", party{certificate: w.chained.certificate, key: w.chained.key})
	w.writeServer(t, "selfsigned", w.selfSigned)
	w.write(t, "issuing.crt", w.issuing.pem())
	w.write(t, "twin.crt", w.twin.pem())
	w.write(t, "next.crt", w.nextRoot.pem())
	w.write(t, caName+"-G2.crt", w.nextRoot.pem())
	w.write(t, "both.crt", slices.Concat(w.root.pem(), w.nextRoot.pem()))
	w.write(t, "expired.crl", w.crl(t, w.root, w.now.Add(-8*24*time.Hour), w.now.Add(-24*time.Hour), false))
	w.write(t, "idp.crl", w.crl(t, w.root, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), true))
	w.write(t, "other.crl", w.crl(t, w.nextRoot, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), false))
	w.write(t, "both.crl", slices.Concat(w.crl(t, w.root, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), false),
		w.crl(t, w.issuing, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), false)))
	w.write(t, "roots.crl", slices.Concat(w.crl(t, w.root, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), false),
		w.crl(t, w.nextRoot, w.now.Add(-time.Hour), w.now.Add(24*time.Hour), false)))
	public := w.publicCAs(t)
	w.write(t, "public.crt", public)
	w.write(t, "public-and-ours.crt", slices.Concat(public, w.root.pem()))

	w.write(t, "by-name.list", []byte(w.dir+"/shop.pem\n"+w.dir+"/www.example.com.pem [ca-file "+w.dir+"/TencentQQAuthCA.crt verify required] www.example.com\n"))

	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	w.writeServer(t, "short", w.serverWith(t, w.root, short, nil))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	w.writeServer(t, "rsa", w.serverWith(t, w.root, rsaKey, nil))
	w.writeServer(t, "sha1", w.server0(t, w.root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }))
	w.writeServer(t, "cnonly", w.server0(t, w.root, func(c *x509.Certificate) { c.DNSNames = nil }))
	w.writeServer(t, "soon", w.server0(t, w.root, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = w.now.Add(-80*24*time.Hour), w.now.Add(3*24*time.Hour)
	}))
	w.writeServer(t, "reversed", party{certificate: w.chained.certificate, key: w.chained.key, above: []*x509.Certificate{w.root.certificate, w.issuing.certificate}})
	w.writeServer(t, "clientonly", w.server0(t, w.root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
}

// publicCAs is a bundle as a system has one: many CAs, none of them ours.
func (w *world) publicCAs(t testing.TB) []byte {
	var bundle []byte
	for i := range 60 {
		bundle = append(bundle, w.ca(t, "Public Root CA "+string(rune('A'+i%26))+string(rune('A'+i/26)), party{}).pem()...)
	}
	return bundle
}

func (w *world) writeServer(t testing.TB, name string, p party) {
	t.Helper()
	key, err := pki.EncodeKey(p.key)
	require.NoError(t, err)
	w.write(t, name+".crt", p.pem())
	w.write(t, name+".key", key)
	w.write(t, name+".pem", slices.Concat(p.pem(), key))
}

func (w *world) write(t testing.TB, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), data, 0o644))
}

// crl lists the revoked client.
func (w *world) crl(t testing.TB, by party, from, until time.Time, critical bool) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: from, NextUpdate: until,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: w.revoked.certificate.SerialNumber, RevocationTime: from}},
	}
	if critical {
		// RFC 5280, Section 5.2.5: onlyContainsUserCerts.
		list.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0x03, 0x81, 0x01, 0xff}}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, by.certificate, by.key)
	require.NoError(t, err)
	return encodePEM("X509 CRL", der)
}

// config is what a check of this world stands on.
func (w *world) config() Config {
	roots := x509.NewCertPool()
	roots.AddCert(w.root.certificate)
	return Config{
		Dial:          (&net.Dialer{}).DialContext,
		Resolve:       loopback,
		Roots:         roots,
		Intermediates: []*x509.Certificate{w.issuing.certificate},
		ClientCAs:     []*x509.Certificate{w.root.certificate},
		Issued:        w.issuedNewest(w.server.certificate),
		Budget:        time.Minute, // a busy machine is no finding
		ProbeTimeout:  20 * time.Second,
		Timeout:       time.Minute,
		Canaries:      Canaries{Platform: w.platform.identity(), Developer: w.developer.identity(), Expired: w.expired.identity()},
	}
}
