package status_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// relyingServers are the servers that developers have, each with a site that admits whom the CA and its lists admit. The format takes
// address and folder.
var relyingServers = map[string]struct {
	site  string
	start func(t *testing.T, addr, site string) (reload func())
}{
	"Apache": {
		site: `Listen %[1]s https
<VirtualHost *>
SSLEngine on
SSLCertificateFile %[2]s/site.crt
SSLCertificateKeyFile %[2]s/site.key
SSLCACertificateFile %[2]s/root.crt
SSLVerifyClient require
SSLVerifyDepth 2
SSLCARevocationFile %[2]s/lists.pem
SSLCARevocationCheck chain
DocumentRoot %[2]s/htdocs
<Directory %[2]s/htdocs>
Require all granted
</Directory>
</VirtualHost>
`,
		start: func(t *testing.T, addr, site string) func() {
			server := judge.Apache(t, judge.Site{Config: site, Addrs: []string{addr}})
			return func() { server.Reload(t) }
		},
	},
	"nginx": {
		site: `server {
listen %[1]s ssl;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate %[2]s/site.crt;
ssl_certificate_key %[2]s/site.key;
ssl_client_certificate %[2]s/root.crt;
ssl_crl %[2]s/lists.pem;
ssl_verify_client on;
ssl_verify_depth 2;
root %[2]s/htdocs;
}`,
		start: func(t *testing.T, addr, site string) func() {
			server := judge.Nginx(t, judge.Site{Config: site, Addrs: []string{addr}})
			return func() { server.Reload(t) }
		},
	},
	"HAProxy": {
		site: `global
maxconn 100
defaults
mode http
timeout connect 2s
timeout client 5s
timeout server 5s
frontend door
bind %[1]s ssl crt %[2]s/site.pem ca-file %[2]s/root.crt crl-file %[2]s/lists.pem verify required
http-request return status 200 content-type text/plain string admitted
`,
		start: func(t *testing.T, addr, site string) func() {
			file := filepath.Join(t.TempDir(), "haproxy.cfg")
			require.NoError(t, os.WriteFile(file, []byte(site), 0o600))
			start := func() *judge.Process {
				return judge.Start(t, "HAProxy", exec.Command(judge.Path(t, "haproxy"), "-db", "-f", file), judge.Listening(addr))
			}
			server := start()
			return func() {
				require.Error(t, server.Stop()) // by a signal
				server = start()
			}
		},
	},
}

// A revoked caller is refused after the reload and not before; the others are admitted always: by each server, in each hierarchy.
func TestRealServersCheckTheLists(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		for name, server := range relyingServers {
			t.Run(string(hierarchy)+" "+name, func(t *testing.T) {
				w := newWorld(t, hierarchy)
				folder := w.developer(t)
				addr := judge.FreeAddr(t)
				good, bad := w.platform(t), w.platform(t)
				w.fetchLists(t, folder)
				reload := server.start(t, addr, fmt.Sprintf(server.site, addr, folder))
				for _, caller := range []tls.Certificate{good, bad} {
					require.True(t, w.admitted(t, addr, caller))
				}
				w.revoke(t, bad.Leaf, pki.KeyCompromise)
				w.fetchLists(t, folder)
				require.True(t, w.admitted(t, addr, bad), "servers read lists when they start")
				reload()
				require.False(t, w.admitted(t, addr, bad))
				require.True(t, w.admitted(t, addr, good))
			})
		}
	}
}

// developer is a folder with what a developer's server has: its certificate and key, and the root of the platform's certificates.
func (w *world) developer(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, readable := range []string{filepath.Dir(folder), folder} {
		require.NoError(t, os.Chmod(readable, 0o711)) // for workers of another user
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder, "htdocs"), 0o755))
	issued, err := w.ca.Issue(t.Context(), operator, ca.IssueRequest{App: "demo", Domains: []string{"www.example.com"}})
	require.NoError(t, err)
	chain := w.chain(t, issued.Certificate)
	for file, content := range map[string][]byte{
		"site.crt": chain, "site.key": issued.PrivateKey, "site.pem": append(chain, issued.PrivateKey...), "htdocs/index.html": []byte("admitted"),
		"root.crt": pki.EncodeCertificate(w.ca.Issuers()[0].Root().Raw),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), content, 0o644))
	}
	return folder
}

// chain is a certificate and those between it and its root, PEM.
func (w *world) chain(t *testing.T, c *ca.Certificate) []byte {
	t.Helper()
	der, err := c.DER()
	require.NoError(t, err)
	text := pki.EncodeCertificate(der)
	for _, i := range w.ca.Issuers() {
		if i.Name() == c.Authority && len(i.Chain()) > 0 {
			text = append(text, pki.EncodeCertificate(i.Certificate().Raw)...)
		}
	}
	return text
}

// platform is a certificate with which the platform calls.
func (w *world) platform(t *testing.T) tls.Certificate {
	t.Helper()
	issued, err := w.ca.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(w.chain(t, issued.Certificate), issued.PrivateKey)
	require.NoError(t, err)
	return pair
}

// fetchLists does what a developer does: fetch the lists of all authorities, and put them into a file as PEM.
func (w *world) fetchLists(t *testing.T, folder string) {
	t.Helper()
	w.publishSoon(t)
	var lists []byte
	for _, i := range w.ca.Issuers() {
		answer, body := w.ask(t, "GET", "/crl/"+i.Name()+".crl", nil)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		lists = append(lists, judge.RunInput(t, []byte(body), "openssl", "crl", "-inform", "DER")...)
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "lists.pem"), lists, 0o644))
}

// admitted tells whether a server lets a caller in, by TLS 1.3 and 1.2 alike.
func (w *world) admitted(t *testing.T, addr string, caller tls.Certificate) bool {
	t.Helper()
	roots := x509.NewCertPool()
	for _, i := range w.ca.Issuers() {
		roots.AddCert(i.Root())
	}
	answers := make(map[bool]bool)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "www.example.com", Certificates: []tls.Certificate{caller}, MinVersion: version, MaxVersion: version,
		}}}
		answer, err := client.Get("https://" + addr + "/index.html")
		if err == nil {
			require.NoError(t, answer.Body.Close())
			answers[answer.StatusCode == http.StatusOK] = true
			continue
		}
		var broken *net.OpError
		require.ErrorAs(t, err, &broken, "%v", err)
		answers[false] = true
	}
	require.Len(t, answers, 1, "the versions of TLS differ")
	return answers[true]
}
