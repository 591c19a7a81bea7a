package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// acmeWorld is a developer's machine with an ACME client, and the server that it asks: names below shop.test are this machine, and proofs by http-01
// and tls-alpn-01 are looked for at ports of it.
type acmeWorld struct {
	*testing.T
	*dev
	home     string // of the client
	webroot  string // what is shown as /.well-known/acme-challenge
	root     string // file of the root
	httpPort int
	tlsPort  int
	dns      *judge.Nameserver
}

func newACMEWorld(t *testing.T, flags ...string) *acmeWorld {
	t.Helper()
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "* A 127.0.0.1"})
	folder := filepath.Join(t.TempDir(), "data")
	w := &acmeWorld{T: t, home: t.TempDir(), webroot: t.TempDir(), httpPort: judge.FreePort(t), tlsPort: judge.FreePort(t), dns: dns}
	w.dev = startDev(t, folder, "sqlite:"+filepath.Join(folder, "imca.db"), append([]string{
		"--domains", "prove", "--resolver", dns.Addr, "--allow-egress", "127.0.0.0/8", "--http01-port", strconv.Itoa(w.httpPort), "--tlsalpn01-port", strconv.Itoa(w.tlsPort),
	}, flags...)...)
	state, err := w.folder.state()
	require.NoError(t, err)
	w.root, err = filepath.Abs(w.folder.path(state.CA))
	require.NoError(t, err)
	return w
}

func (w *acmeWorld) directory() string { return w.url + "/acme/directory" }

// serve shows the webroot at the port of http-01, as the web server of the machine does.
func (w *acmeWorld) serve() {
	w.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.httpPort))
	require.NoError(w.T, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{
		Handler: http.StripPrefix("/.well-known/acme-challenge/", http.FileServer(http.Dir(w.webroot))),
	}}
	server.Start()
	w.Cleanup(server.Close)
}

// run runs a client in its home, with more in its environment.
func (w *acmeWorld) run(environment []string, tool string, args ...string) string {
	w.Helper()
	output, err := w.runErr(environment, tool, args...)
	require.NoError(w.T, err, "%s %s\n%s", tool, strings.Join(args, " "), output)
	return output
}

func (w *acmeWorld) runErr(environment []string, tool string, args ...string) (string, error) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), judge.Path(w.T, tool), args...)
	cmd.Dir = w.home
	cmd.Env = append(append(os.Environ(), "HOME="+w.home), environment...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (w *acmeWorld) path(name string) string { return filepath.Join(w.home, name) }

// requireChain asserts that a file has a leaf for a name first, and the root behind it, and returns the leaf.
func (w *acmeWorld) requireChain(file string, names ...string) *x509.Certificate {
	w.Helper()
	text, err := os.ReadFile(file)
	require.NoError(w.T, err)
	chain, err := pki.ParseCertificates(text)
	require.NoError(w.T, err)
	require.Len(w.T, chain, 2)
	require.ElementsMatch(w.T, names, chain[0].DNSNames)
	require.Equal(w.T, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, chain[0].ExtKeyUsage)
	roots := x509.NewCertPool()
	roots.AddCert(chain[1])
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots})
	require.NoError(w.T, err)
	root, err := os.ReadFile(w.root)
	require.NoError(w.T, err)
	require.Contains(w.T, string(text), strings.TrimSpace(string(root)))
	return chain[0]
}

// requireStatus asserts what the CA says about a certificate.
func (w *acmeWorld) requireStatus(c *x509.Certificate, want string) {
	w.Helper()
	var have given
	require.NoError(w.T, w.ask(operatorToken, "GET", fmt.Sprintf("/v1/certificates/%034x", c.SerialNumber), "", http.StatusOK, &have))
	require.Equal(w.T, want, have.Status)
}

func TestCertbot(t *testing.T) {
	judge.Need(t, "certbot", "knotd")
	w := newACMEWorld(t)
	certbot := func(args ...string) string {
		return w.run([]string{"REQUESTS_CA_BUNDLE=" + w.root}, "certbot", append(args, "--non-interactive", "--config-dir", w.path("etc"),
			"--work-dir", w.path("work"), "--logs-dir", w.path("log"), "--server", w.directory())...)
	}
	certbot("certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", strconv.Itoa(w.httpPort), "--agree-tos", "--email", "ops@shop.test",
		"-d", "www.shop.test", "-d", "api.shop.test")
	live := w.path("etc/live/www.shop.test/fullchain.pem")
	first := w.requireChain(live, "www.shop.test", "api.shop.test")
	certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
	second := w.requireChain(live, "www.shop.test", "api.shop.test")
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	certbot("revoke", "--cert-name", "www.shop.test", "--reason", "superseded", "--no-delete-after-revoke")
	w.requireStatus(first, "valid")
	w.requireStatus(second, "revoked")
	certbot("update_account", "--email", "other@shop.test")
	certbot("unregister")
}

func TestACMETiny(t *testing.T) {
	judge.Need(t, "acme-tiny", "knotd", "openssl")
	w := newACMEWorld(t)
	w.serve()
	w.run(nil, "openssl", "genrsa", "-out", "account.key", "2048")
	// The name stands in the common name alone.
	w.run(nil, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "tls.key", "-subj", "/CN=tiny.shop.test", "-out", "tls.csr")
	for range 2 { // the second time is the renewal
		said := w.run([]string{"SSL_CERT_FILE=" + w.root}, "sh", "-c", fmt.Sprintf(
			"acme-tiny --quiet --disable-check --account-key account.key --csr tls.csr --acme-dir '%s' --directory-url %s > chain.pem", w.webroot, w.directory()))
		require.Empty(t, said)
		w.requireChain(w.path("chain.pem"), "tiny.shop.test")
	}
}

func TestDehydrated(t *testing.T) {
	judge.Need(t, "dehydrated", "knotd", "curl")
	w := newACMEWorld(t)
	w.serve()
	require.NoError(t, os.WriteFile(w.path("config"), []byte(fmt.Sprintf("CA=%s\nWELLKNOWN=%s\nBASEDIR=%s\nDOMAINS_TXT=%s\nCURL_OPTS=\"--cacert %s\"\nKEY_ALGO=prime256v1\nACCOUNT_KEYSIZE=2048\n",
		w.directory(), w.webroot, w.home, w.path("domains.txt"), w.root)), 0o600))
	require.NoError(t, os.WriteFile(w.path("domains.txt"), []byte("www.shop.test api.shop.test\n"), 0o600))
	dehydrated := func(args ...string) {
		w.run(nil, "dehydrated", append([]string{"--config", w.path("config")}, args...)...)
	}
	dehydrated("--register", "--accept-terms")
	dehydrated("--cron")
	first := w.requireChain(w.path("certs/www.shop.test/fullchain.pem"), "www.shop.test", "api.shop.test")
	dehydrated("--cron", "--force")
	second := w.requireChain(w.path("certs/www.shop.test/fullchain.pem"), "www.shop.test", "api.shop.test")
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	dehydrated("--revoke", w.path("certs/www.shop.test/cert.pem"))
	w.requireStatus(second, "revoked")
}
