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

// dnsHook is a script of the client's home that shows a text at _acme-challenge below a name, by DNS UPDATE, and no more: add|del NAME TEXT.
func (w *acmeWorld) dnsHook() string {
	w.Helper()
	_, port, err := net.SplitHostPort(w.dns.Addr)
	require.NoError(w.T, err)
	return w.script("dns", `printf 'server 127.0.0.1 `+port+`\nzone shop.test.\n%s _acme-challenge.%s. 1 TXT "%s"\nsend\n' "$1" "$2" "$3" | knsupdate`)
}

// script writes a script into the client's home.
func (w *acmeWorld) script(name, text string) string {
	w.Helper()
	require.NoError(w.T, os.WriteFile(w.path(name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return w.path(name)
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
