package inspect

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

const platformName = "callback.platform.internal"

// The real servers ask the real clock.
var begin = time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes a root, or a CA below parent.
func newAuthority(t testing.TB, name string, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{key: key}
	if parent == nil {
		parent = a
	}
	a.certificate = parent.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: begin, NotAfter: begin.AddDate(10, 0, 0),
	}, key.Public())
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = pki.NewSerial().Int()
	above := a.certificate
	if above == nil {
		above = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, public, a.key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

// leaf is a server's certificate for names, changed by alter, with its key.
func (a *authority) leaf(t testing.TB, alter func(*x509.Certificate), names ...string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: begin, NotAfter: begin.AddDate(0, 0, 90),
	}
	if alter != nil {
		alter(template)
	}
	return a.sign(t, template, key.Public()), key
}

func (a *authority) list(t testing.TB, until time.Time, extensions ...pkix.Extension) []byte {
	t.Helper()
	return a.listFrom(t, begin, until, extensions...)
}

func (a *authority) listFrom(t testing.TB, from, until time.Time, extensions ...pkix.Extension) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: from, NextUpdate: until, ExtraExtensions: extensions,
	}, a.certificate, a.key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func encode(cs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range cs {
		text = append(text, pki.EncodeCertificate(c.Raw)...)
	}
	return text
}

// world is a folder with every file that a configuration of the matrix names, and who made them.
type world struct {
	dir        string
	root, next *authority
	platform   tls.Certificate
	reference  Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), root: newAuthority(t, "TencentQQAuthCA", nil), next: newAuthority(t, "TencentQQAuthCA 2", nil)}
	issuing, stranger := newAuthority(t, "TencentQQAuthCA-Issuing", w.root), newAuthority(t, "Somebody's CA", nil)
	w.write(t, "TencentQQAuthCA.crt", encode(w.root.certificate))
	w.write(t, "next.crt", encode(w.next.certificate))
	w.write(t, "both.crt", encode(w.root.certificate, w.next.certificate))
	w.write(t, "twin.crt", encode(newAuthority(t, "TencentQQAuthCA", nil).certificate))
	w.write(t, "issuing.crt", encode(issuing.certificate))
	w.write(t, "stranger.crt", encode(stranger.certificate))
	w.write(t, "ours-and-stranger.crt", encode(w.root.certificate, stranger.certificate))
	w.write(t, "empty.crt", nil)
	w.write(t, "der.crt", w.root.certificate.Raw)
	lapsed := &authority{key: w.root.key}
	w.write(t, "lapsedca.crt", encode(lapsed.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "An old CA"}, IsCA: true, BasicConstraintsValid: true, NotBefore: begin, NotAfter: begin.Add(time.Hour),
	}, w.root.key.Public())))
	var public []*x509.Certificate
	for range aBundle {
		public = append(public, newAuthority(t, "A Public CA", nil).certificate)
	}
	w.write(t, "public.crt", encode(public...))

	name := "www.example.com"
	w.own(t, name, w.root, nil, name)
	judge.Run(t, "openssl", "pkey", "-in", filepath.Join(w.dir, name+".key"), "-aes256", "-passout", "pass:secret", "-out", filepath.Join(w.dir, "encrypted.key"))
	w.own(t, "older", w.root, nil, name)
	w.own(t, "lapsed", w.root, func(c *x509.Certificate) { c.NotAfter = begin.Add(time.Hour) }, name)
	w.own(t, "soon", w.root, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = begin.AddDate(0, 0, -80), begin.AddDate(0, 0, 10) }, name)
	w.own(t, "early", w.root, func(c *x509.Certificate) { c.NotBefore = begin.AddDate(0, 0, 10) }, name)
	w.own(t, "shop", w.root, nil, "shop.example.com")
	w.own(t, "cnonly", w.root, func(c *x509.Certificate) { c.DNSNames = nil }, name)
	w.own(t, "clientonly", w.root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, name)
	w.own(t, "unknown", stranger, nil, name)
	chained, key := issuing.leaf(t, nil, name)
	w.write(t, "chained.crt", encode(chained, issuing.certificate))
	w.write(t, "unchained.crt", encode(chained))
	w.write(t, "reversed.crt", encode(chained, w.root.certificate, issuing.certificate))
	w.write(t, "rootfirst.crt", encode(issuing.certificate, chained))
	w.key(t, "chained.key", key)
	w.own(t, "selfsigned", newAuthority(t, name, nil), func(c *x509.Certificate) {}, name)
	self := &authority{key: key}
	self.certificate = self.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0)}, key.Public())
	w.write(t, "selfsigned.crt", encode(self.certificate))
	w.key(t, "selfsigned.key", key)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	c, _ := w.root.leaf(t, nil, name)
	w.write(t, "short.crt", encode(w.root.sign(t, &x509.Certificate{Subject: c.Subject, DNSNames: c.DNSNames, NotBefore: begin, NotAfter: c.NotAfter}, short.Public())))
	w.key(t, "short.key", short)

	w.write(t, "TencentQQAuthCA.crl", w.root.list(t, begin.AddDate(0, 0, 7)))
	w.write(t, "tomorrow.crl", w.root.listFrom(t, begin.AddDate(0, 0, 2), begin.AddDate(0, 0, 7)))
	w.write(t, "lapsed.crl", w.root.list(t, begin.Add(time.Hour)))
	w.write(t, "soon.crl", w.root.list(t, begin.Add(30*time.Hour)))
	w.write(t, "other.crl", stranger.list(t, begin.AddDate(0, 0, 7)))
	only, err := asn1.Marshal(struct {
		Users bool `asn1:"tag:1"`
	}{true})
	require.NoError(t, err)
	w.write(t, "idp.crl", w.root.list(t, begin.AddDate(0, 0, 7), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: only}))

	client, clientKey := w.root.leaf(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, platformName)
	w.platform = tls.Certificate{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey}
	roots := x509.NewCertPool()
	roots.AddCert(w.root.certificate)
	var dialer net.Dialer
	w.reference = Config{ClientCAs: []*x509.Certificate{w.root.certificate}, Roots: roots, Dial: dialer.DialContext, Run: runs}
	return w
}

// own writes a certificate and its key.
func (w *world) own(t testing.TB, file string, by *authority, alter func(*x509.Certificate), names ...string) {
	t.Helper()
	c, key := by.leaf(t, alter, names...)
	w.write(t, file+".crt", encode(c))
	w.key(t, file+".key", key)
}

func (w *world) write(t testing.TB, file string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, file), text, 0o644))
}

func (w *world) key(t testing.TB, file string, key crypto.Signer) {
	t.Helper()
	text, err := pki.EncodeKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, file), text, 0o600))
}

// runs runs a server's own program.
func runs(ctx context.Context, c Command) (string, error) {
	cmd := exec.CommandContext(ctx, c.Program, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// apply carries out edits that one inspection has said, as an administrator would: from the last line to the first.
func apply(t testing.TB, text string, mends ...Mend) string {
	t.Helper()
	mends = slices.Clone(mends)
	slices.SortStableFunc(mends, func(a, b Mend) int { return b.Line - a.Line })
	lines := strings.Split(text, "\n")
	for _, m := range mends {
		require.GreaterOrEqual(t, m.Line, 1)
		require.LessOrEqual(t, m.Line-1+m.Drop, len(lines))
		lines = slices.Replace(lines, m.Line-1, m.Line-1+m.Drop, m.Lines...)
	}
	return strings.Join(lines, "\n")
}

// codes are the codes of a report's findings in their order, each once; notes are left out.
func codes(r *Report) string {
	var list []string
	for _, f := range r.Findings {
		if f.Severity != Note && !slices.Contains(list, f.Code) {
			list = append(list, f.Code)
		}
	}
	return strings.Join(list, " ")
}
