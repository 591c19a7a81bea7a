package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// bundle has the hand-over zip of a certificate for the developer's names unpacked into a folder of the machine, as its README says.
func (d developer) bundle(folder string, names ...string) {
	d.Helper()
	token, err := filepath.Abs(d.folder.path(demoToken))
	require.NoError(d.T, err)
	policy := func(p string) {
		var app struct{}
		require.NoError(d.T, d.ask(operatorToken, http.MethodPatch, "/v1/apps/demo", `{"policy":"`+p+`"}`, http.StatusOK, &app))
	}
	policy("open") // for this once: the names are not proven
	defer policy("prove")
	d.paste(fmt.Sprintf(`mkdir -p %[1]s
curl -sS --fail-with-body --cacert %[2]s -H "Authorization: Bearer $(cat %[3]s)" -H 'Accept: application/zip' -H 'Content-Type: application/json' \
  -d '{"domains":["%[5]s"]}' -o bundle.zip %[4]s/v1/certificates
unzip -q bundle.zip -d %[1]s`, folder, d.root, token, d.url, strings.Join(names, `","`)))
}

// rewrite replaces texts in a file of the machine; each must be there.
func (d developer) rewrite(file string, pairs ...string) {
	d.Helper()
	file = d.Machine.Path(file)
	text, err := os.ReadFile(file)
	require.NoError(d.T, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(d.T, string(text), pairs[i])
	}
	require.NoError(d.T, os.WriteFile(file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o644))
}

// served is the certificate that the developer's server shows, verified against the CA; nil where it shows none, or another CA's.
func (d developer) served() *x509.Certificate {
	roots := x509.NewCertPool()
	text, err := os.ReadFile(d.root)
	require.NoError(d.T, err)
	roots.AppendCertsFromPEM(text)
	dialer := &net.Dialer{Timeout: time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", fmt.Sprintf("127.0.0.1:%d", d.tlsPort), &tls.Config{ServerName: "www.shop.test", RootCAs: roots})
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

// requireGuarded asserts that the developer's server lets the platform in and nobody else.
func (d developer) requireGuarded() {
	d.Helper()
	pair, err := tls.LoadX509KeyPair(d.folder.path(platformCert), d.folder.path(platformKey))
	require.NoError(d.T, err)
	call := func(certificates ...tls.Certificate) (*http.Response, error) {
		roots := x509.NewCertPool()
		text, err := os.ReadFile(d.root)
		require.NoError(d.T, err)
		roots.AppendCertsFromPEM(text)
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{ServerName: "www.shop.test", RootCAs: roots, Certificates: certificates},
			DisableKeepAlives: true,
		}}
		request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/", d.tlsPort), http.NoBody)
		require.NoError(d.T, err)
		request.Host = "www.shop.test"
		return client.Do(request)
	}
	response, err := call(pair)
	require.NoError(d.T, err)
	require.NoError(d.T, response.Body.Close())
	require.Equal(d.T, http.StatusOK, response.StatusCode)
	if response, err := call(); err == nil {
		require.NoError(d.T, response.Body.Close())
		d.Fatalf("a stranger got %s", response.Status)
	}
}

// awaitServed reloads the developer's server, as its hourly job does, until it serves another certificate than the given one.
func (d developer) awaitServed(server *judge.Process, not *x509.Certificate, reload syscall.Signal) *x509.Certificate {
	d.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if c := d.served(); c != nil && (not == nil || c.SerialNumber.Cmp(not.SerialNumber) != 0) {
			require.Contains(d.T, c.DNSNames, "www.shop.test")
			return c
		}
		if reload != 0 && d.due() {
			require.NoError(d.T, server.Signal(reload))
			time.Sleep(500 * time.Millisecond)
		}
	}
	d.Fatal("no certificate was served within a minute")
	return nil
}

// due tells whether Apache has fetched a certificate that waits for a reload.
func (d developer) due() bool {
	_, err := os.Stat(d.Machine.Path("/etc/apache2/md/staging/www.shop.test/pubcert.pem"))
	return err == nil
}

// TestApacheFetchesItsOwn: Apache with the configuration of the bundle, which lets in the platform alone, fetches its certificate by the lines
// that 'imca app eab --for apache' prints, renews it, and serves the new one after a reload. Clients' certificates are demanded all the while.
func TestApacheFetchesItsOwn(t *testing.T) {
	judge.Long(t)
	for _, method := range []string{"tls-alpn-01", "http-01", "dns-01"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			judge.Need(t, "apache2", "knotd", "knsupdate", "imca", "curl", "unzip")
			d := newDeveloper(t)
			d.bundle("/etc/apache2/conf", "www.shop.test", "api.shop.test")
			d.rewrite("/etc/apache2/conf/apache/www.shop.test.conf", "*:443>", fmt.Sprintf("*:%d>", d.tlsPort),
				`    SSLCertificateFile "${IMCA_DIR}/www.shop.test.crt"`+"\n", "", `    SSLCertificateKeyFile "${IMCA_DIR}/www.shop.test.key"`+"\n", "")
			listen := fmt.Sprintf("Listen 127.0.0.1:%d\n", d.tlsPort)
			if method == "http-01" {
				listen += fmt.Sprintf("Listen 127.0.0.1:%d\n", d.httpPort)
			}
			require.NoError(t, os.WriteFile(d.Machine.Path("/etc/apache2/ports.conf"), []byte(listen), 0o644))
			d.paste("a2dissite --quiet 000-default; echo 'Include conf/apache/www.shop.test.conf' >> /etc/apache2/apache2.conf")
			d.paste(d.lines("apache"))
			extra := "MDCAChallenges " + method
			if method == "dns-01" {
				extra += "\nMDChallengeDns01 " + d.script("hook", `[ "$1" != setup ] || exec `+d.dnsHook()+` add "$2" "$3"`)
			}
			d.paste("echo '" + extra + "' >> /etc/apache2/conf-available/imca-acme.conf")
			// Always due: every certificate is renewed as soon as it is in use.
			d.paste("echo MDRenewWindow 100d >> /etc/apache2/conf-available/imca-acme.conf")
			apache := judge.Start(t, "Apache", d.Command("sh", "-c", ". /etc/apache2/envvars; exec apache2 -D FOREGROUND -e info"),
				judge.Listening(fmt.Sprintf("127.0.0.1:%d", d.tlsPort)))
			first := d.awaitServed(apache, nil, syscall.SIGUSR1)
			d.requireGuarded()
			d.awaitServed(apache, first, syscall.SIGUSR1)
			d.requireGuarded()
		})
	}
}

// TestCaddyFetchesItsOwn: the same with Caddy, which takes a new certificate into use by itself.
func TestCaddyFetchesItsOwn(t *testing.T) {
	judge.Long(t)
	for _, method := range []string{"tls-alpn-01", "http-01"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			judge.Need(t, "caddy", "knotd", "imca", "curl", "unzip")
			d := newDeveloper(t)
			require.NoError(t, os.WriteFile(d.Machine.Path("/etc/caddy/Caddyfile"), fmt.Appendf(nil, `{
	admin off
	http_port %d
	https_port %d
	default_bind 127.0.0.1
	skip_install_trust
}
import caddy/www.shop.test.caddyfile
`, d.httpPort, d.tlsPort), 0o644))
			d.bundle("/etc/caddy", "www.shop.test") // of two names, Caddy 2.6 may register two accounts at once, and mix them up
			d.rewrite("/etc/caddy/caddy/www.shop.test.caddyfile", ":443", fmt.Sprintf(":%d", d.tlsPort),
				"tls {$IMCA_DIR:/etc/caddy}/www.shop.test.crt {$IMCA_DIR:/etc/caddy}/www.shop.test.key {", "tls {\n\t\timport /etc/caddy/imca-acme")
			lines := d.lines("caddy")
			d.paste(lines)
			if method == "http-01" {
				d.rewrite("/etc/caddy/imca-acme", "issuer acme {", "issuer acme {\n\tdisable_tlsalpn_challenge")
			} else {
				d.rewrite("/etc/caddy/imca-acme", "issuer acme {", "issuer acme {\n\tdisable_http_challenge")
			}
			start := func(config string) *judge.Process {
				return judge.Start(t, "Caddy", d.Command("caddy", "run", "--config", config), judge.Listening(fmt.Sprintf("127.0.0.1:%d", d.tlsPort)))
			}
			caddy := start("/etc/caddy/Caddyfile")
			first := d.awaitServed(caddy, nil, 0)
			d.requireGuarded()
			require.NoError(t, caddy.Stop())
			// What a Caddyfile cannot say yet: a certificate is due a minute after it was made.
			d.paste(`caddy adapt --config /etc/caddy/Caddyfile | sed 's/"policies":\[{/&"renewal_window_ratio":0.99999,/' > /etc/caddy/due.json
grep -q renewal_window_ratio /etc/caddy/due.json`)
			d.awaitServed(start("/etc/caddy/due.json"), first, 0)
			d.requireGuarded()
		})
	}
}
