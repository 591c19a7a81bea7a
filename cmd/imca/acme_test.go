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
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// acmeWorld is a developer's machine with an ACME client, and the server that it asks: names below shop.test are this machine, and proofs by http-01
// are looked for at a port of it.
type acmeWorld struct {
	*testing.T
	*dev
	home     string // of the client
	webroot  string // what is shown as /.well-known/acme-challenge
	root     string // file of the root
	httpPort int
}

func newACMEWorld(t *testing.T, flags ...string) *acmeWorld {
	t.Helper()
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "* A 127.0.0.1"})
	folder := filepath.Join(t.TempDir(), "data")
	w := &acmeWorld{T: t, home: t.TempDir(), webroot: t.TempDir(), httpPort: judge.FreePort(t)}
	w.dev = startDev(t, folder, "sqlite:"+filepath.Join(folder, "imca.db"), append([]string{
		"--domains", "prove", "--resolver", dns.Addr, "--allow-egress", "127.0.0.1", "--http01-port", strconv.Itoa(w.httpPort),
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

// TestBindingPasted registers by the lines that 'imca app eab' prints, where an account must be bound: and nothing is to be had without, nor after
// the credential was revoked.
func TestBindingPasted(t *testing.T) {
	judge.Need(t, "certbot", "knotd", "sh", "imca")
	w := newACMEWorld(t, "--acme-eab", "required")
	w.serve()
	certbot := func(args ...string) (string, error) {
		return w.runErr([]string{"REQUESTS_CA_BUNDLE=" + w.root}, "certbot", append(args, "--non-interactive", "--config-dir", w.path("etc"),
			"--work-dir", w.path("work"), "--logs-dir", w.path("log"), "--server", w.directory())...)
	}
	output, err := certbot("register", "--agree-tos", "--register-unsafely-without-email")
	require.Error(t, err)
	require.Contains(t, output, "--eab-kid", "it goes by the directory")

	token, err := filepath.Abs(w.folder.path(operatorToken))
	require.NoError(t, err)
	lines := strings.Split(w.run(nil, "imca", "app", "eab", "demo", "--name", "web servers", "--for", "certbot", "--url", w.url, "--ca", w.root, "--token-file", token), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "certbot register") })
	require.GreaterOrEqual(t, i, 0, lines)
	register := strings.Fields(lines[i])[1:]
	output, err = certbot(slices.DeleteFunc(register, func(a string) bool { return a == "--server" || a == w.directory() })...)
	require.NoError(t, err, output)

	challenges := filepath.Join(w.webroot, "root")
	require.NoError(t, os.MkdirAll(filepath.Join(challenges, ".well-known"), 0o755))
	require.NoError(t, os.Symlink(w.webroot, filepath.Join(challenges, ".well-known", "acme-challenge")))
	issue := []string{"certonly", "--webroot", "--webroot-path", challenges, "--domain", "www.shop.test", "--force-renewal"}
	output, err = certbot(issue...)
	require.NoError(t, err, output)
	w.requireChain(w.path("etc/live/www.shop.test/fullchain.pem"), "www.shop.test")

	kid := register[slices.Index(register, "--eab-kid")+1]
	w.run(nil, "imca", "token", "revoke", kid, "--url", w.url, "--ca", w.root, "--token-file", token)
	_, err = certbot(issue...)
	require.Error(t, err)
}
