package inspect_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/inspect"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

type ca struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (a *ca) sign(t *testing.T, template *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber, template.NotBefore, template.NotAfter = pki.NewSerial().Int(), time.Now().Add(-time.Hour), time.Now().AddDate(0, 2, 0)
	parent, signer := template, key
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func newCA(t *testing.T, name string, above *ca) *ca {
	t.Helper()
	key := newKey(t)
	return &ca{above.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, key), key}
}

func pem(cs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range cs {
		text = append(text, pki.EncodeCertificate(c.Raw)...)
	}
	return text
}

// What imca hands out has nothing to be found in it, in each of the ready-made hierarchies, whether the server runs or not.
func TestNothingIsWrongWithTheBundle(t *testing.T) {
	for _, shape := range []string{"direct", "issuing", "separate"} {
		for _, product := range []inspect.Product{inspect.Apache, inspect.Nginx} {
			t.Run(fmt.Sprintf("%s/%s", product, shape), func(t *testing.T) {
				root := newCA(t, "TencentQQAuthCA", nil)
				signer, serverRoot, chain := root, root, []byte(nil)
				switch shape {
				case "issuing":
					signer = newCA(t, "TencentQQAuthCA-Issuing", root)
					chain = pem(signer.certificate)
				case "separate":
					signer = newCA(t, "TencentQQAuthCA-Server", nil)
					serverRoot = signer
				}
				key := newKey(t)
				leaf := signer.sign(t, &x509.Certificate{
					Subject: pkix.Name{CommonName: "www.example.com"}, DNSNames: []string{"www.example.com", "*.example.com"},
					KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
				}, key)
				encodedKey, err := pki.EncodeKey(key)
				require.NoError(t, err)
				platform, err := pki.ParseName("callback.platform.internal")
				require.NoError(t, err)
				addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(judge.FreePort(t)))
				files, err := bundle.Files(bundle.Input{
					Certificate: pem(leaf), Chain: chain, Key: encodedKey, ClientName: platform, Listen: addr,
					Root:     bundle.Authority{Name: serverRoot.certificate.Subject.CommonName, Certificates: pem(serverRoot.certificate)},
					ClientCA: bundle.Authority{Name: "TencentQQAuthCA", Certificates: pem(root.certificate)},
					CRLURLs:  []string{"http://ca.example.com/crl/TencentQQAuthCA.crl"},
				}, string(product))
				require.NoError(t, err)

				dir := t.TempDir()
				conf := filepath.Join(dir, "conf")
				if product == inspect.Nginx {
					conf = dir
				}
				for _, file := range files {
					path := filepath.Join(conf, filepath.FromSlash(file.Name))
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
					require.NoError(t, os.WriteFile(path, file.Content, file.Mode))
				}
				site := judge.Site{Dir: dir, Addrs: []string{addr.String()}, Modules: []string{"proxy", "proxy_http"}}
				if product == inspect.Apache {
					site.Config = fmt.Sprintf("Listen %s\nInclude conf/apache/www.example.com.conf\n", addr)
					judge.Apache(t, site)
				} else {
					site.Config = "include nginx/www.example.com.conf;\n"
					judge.Nginx(t, site)
				}
				roots := x509.NewCertPool()
				roots.AddCert(serverRoot.certificate)
				var dialer net.Dialer
				report, err := inspect.Inspect(t.Context(), inspect.Config{
					Server: product, Path: dir, ClientCAs: []*x509.Certificate{root.certificate}, Roots: roots, Dial: dialer.DialContext,
				})
				require.NoError(t, err)
				require.Empty(t, report.Findings, inspect.Render(report, inspect.Style{}))
				require.Equal(t, inspect.Healthy, report.Summary)
				require.Len(t, report.Sites, 1)
				require.Equal(t, "www.example.com", report.Sites[0].Names[0])
				require.Equal(t, report.Sites[0].Serial, report.Sites[0].Served)
				require.True(t, bytes.Contains([]byte(report.Sites[0].File), []byte("www.example.com.conf")))
			})
		}
	}
}
