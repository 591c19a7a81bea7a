package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

func TestCertbot(t *testing.T) {
	judge.Long(t)
	t.Parallel() // clients sleep more than they work
	judge.Need(t, "certbot", "knotd", "knsupdate")
	w := newACMEWorld(t, "--acme-eab", "required")
	kid, mac := w.credential()
	certbot := func(args ...string) {
		w.Helper()
		w.run([]string{"REQUESTS_CA_BUNDLE=" + w.root}, "certbot", append(args, "--non-interactive", "--config-dir", w.path("etc"),
			"--work-dir", w.path("work"), "--logs-dir", w.path("log"), "--server", w.directory())...)
	}
	certbot("register", "--agree-tos", "--email", "ops@shop.test", "--eab-kid", kid, "--eab-hmac-key", mac)

	certbot("certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", strconv.Itoa(w.httpPort), "-d", "www.shop.test", "-d", "api.shop.test")
	live := w.path("etc/live/www.shop.test/fullchain.pem")
	first := w.requireChain(live, "www.shop.test", "api.shop.test")
	certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
	second := w.requireChain(live, "www.shop.test", "api.shop.test")
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	certbot("revoke", "--cert-name", "www.shop.test", "--reason", "superseded", "--no-delete-after-revoke")
	w.requireStatus(first, "valid")
	w.requireStatus(second, "revoked")

	dns := w.dnsHook()
	certbot("certonly", "--manual", "--preferred-challenges", "dns", "--key-type", "rsa", "-d", "shop.test", "-d", "*.shop.test",
		"--manual-auth-hook", dns+` add "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"`, "--manual-cleanup-hook", dns+` del "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"`)
	wild := w.requireChain(w.path("etc/live/shop.test/fullchain.pem"), "shop.test", "*.shop.test")
	certbot("revoke", "--cert-path", w.path("etc/live/shop.test/cert.pem"), "--key-path", w.path("etc/live/shop.test/privkey.pem"), "--no-delete-after-revoke")
	w.requireStatus(wild, "revoked")

	certbot("update_account", "--email", "other@shop.test")
	certbot("unregister")
}

func TestLego(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "lego", "knotd")
	for _, kind := range []string{"ec256", "rsa2048"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newACMEWorld(t, "--acme-eab", "required")
			kid, mac := w.credential()
			lego := func(args ...string) {
				w.Helper()
				w.run([]string{"LEGO_CA_CERTIFICATES=" + w.root, "RFC2136_NAMESERVER=" + w.dns.Addr, "RFC2136_PROPAGATION_TIMEOUT=5", "RFC2136_POLLING_INTERVAL=1", "RFC2136_SEQUENCE_INTERVAL=1"},
					"lego", append([]string{
						"--path", w.path("lego"), "--server", w.directory(), "--accept-tos", "--email", "ops@shop.test", "--eab", "--kid", kid, "--hmac", mac, "--key-type", kind,
						"--dns.resolvers", w.dns.Addr, "--dns.disable-cp",
					}, args...)...)
			}
			chain := func(name string) string { return w.path("lego/certificates/" + name + ".crt") }
			web := []string{"--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", w.httpPort), "--domains", "www.shop.test", "--domains", "api.shop.test"}
			lego(append(web, "run")...)
			first := w.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
			lego(append(web, "renew", "--days", "365", "--no-random-sleep")...)
			second := w.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
			require.NotEqual(t, first.SerialNumber, second.SerialNumber)

			lego("--tls", "--tls.port", fmt.Sprintf("127.0.0.1:%d", w.tlsPort), "--domains", "tls.shop.test", "run")
			w.requireChain(chain("tls.shop.test"), "tls.shop.test")
			lego("--dns", "rfc2136", "--domains", "*.wild.shop.test", "--domains", "wild.shop.test", "run")
			w.requireChain(chain("_.wild.shop.test"), "*.wild.shop.test", "wild.shop.test")

			lego("--domains", "www.shop.test", "revoke", "--reason", "4", "--keep")
			w.requireStatus(second, "revoked")
			w.requireStatus(first, "valid")
		})
	}
}

// acme-tiny knows no credentials: it is for servers that need none.
func TestACMETiny(t *testing.T) {
	t.Parallel() // clients sleep more than they work
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
	judge.Long(t)
	t.Parallel() // clients sleep more than they work
	judge.Need(t, "dehydrated", "knotd", "knsupdate", "curl")
	w := newACMEWorld(t, "--acme-eab", "required")
	w.serve()
	kid, mac := w.credential()
	require.NoError(t, os.WriteFile(w.path("config"), fmt.Appendf(nil, `CA=%s
WELLKNOWN=%s
BASEDIR=%s
CURL_OPTS="--cacert %s"
ACCOUNT_KEYSIZE=2048
EAB_KID=%s
EAB_HMAC_KEY=%s
HOOK=%s
`, w.directory(), w.webroot, w.home, w.root, kid, mac, w.script("hook", `case $1 in
deploy_challenge) [ "$CHALLENGETYPE" != dns-01 ] || exec `+w.dnsHook()+` add "$2" "$4" ;;
clean_challenge) [ "$CHALLENGETYPE" != dns-01 ] || exec `+w.dnsHook()+` del "$2" "$4" ;;
esac`)), 0o600))
	dehydrated := func(args ...string) {
		w.Helper()
		w.run(nil, "dehydrated", append([]string{"--config", w.path("config")}, args...)...)
	}
	chain := func(name string) string { return w.path("certs/" + name + "/fullchain.pem") }
	dehydrated("--register", "--accept-terms")

	web := []string{"--cron", "--algo", "prime256v1", "--domain", "www.shop.test", "--domain", "api.shop.test"}
	dehydrated(web...)
	first := w.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
	dehydrated(append(web, "--force")...)
	second := w.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	dehydrated("--revoke", w.path("certs/www.shop.test/cert.pem"))
	w.requireStatus(first, "valid")
	w.requireStatus(second, "revoked")

	dehydrated("--cron", "--challenge", "dns-01", "--domain", "*.wild.shop.test", "--domain", "wild.shop.test", "--alias", "wild")
	w.requireChain(chain("wild"), "*.wild.shop.test", "wild.shop.test")

	// It leaves it to others to show what it has made for tls-alpn-01.
	w.handshake(fmt.Sprintf("127.0.0.1:%d", w.tlsPort), func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(w.path("alpn-certs/"+filepath.Base(hello.ServerName)+".crt.pem"), w.path("alpn-certs/"+filepath.Base(hello.ServerName)+".key.pem"))
		return &pair, err
	})
	dehydrated("--cron", "--challenge", "tls-alpn-01", "--domain", "tls.shop.test")
	w.requireChain(chain("tls.shop.test"), "tls.shop.test")
}

// TestUACME has uacme trust the CA by the system's store, which is the only one that it knows, on a machine of its own.
func TestUACME(t *testing.T) {
	judge.Need(t, "uacme", "ualpn", "knotd", "knsupdate")
	for _, kind := range []string{"EC", "RSA"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDeveloper(t)
			d.show()
			kid, mac := d.credential()
			d.paste("cp " + d.root + " /usr/local/share/ca-certificates/imca.crt; update-ca-certificates")
			// uacme hands every challenge to the hook until it takes one.
			hook := d.script("hook", `dir=/var/www/html/.well-known/acme-challenge; mkdir -p $dir
[ "$2" = "$METHOD" ] || exit 1
case $2-$1 in
http-01-begin) printf %s "$5" > $dir/$4 ;;
dns-01-begin) exec `+d.dnsHook()+` add "$3" "$5" ;;
dns-01-*) exec `+d.dnsHook()+` del "$3" "$5" ;;
tls-alpn-01-*) exec /usr/share/uacme/ualpn.sh "$@" ;;
esac`)
			uacme := func(method string, args ...string) {
				d.Helper()
				line := "METHOD=" + method + ` exec uacme --confdir /etc/uacme --acme-url ` + d.directory() + ` --type ` + kind + ` --eab ` + kid + ":" + mac + ` --yes --hook ` + hook + ` "$@"`
				output, err := d.Command("sh", append([]string{"-ec", line, "sh"}, args...)...).CombinedOutput()
				require.NoError(d.T, err, string(output))
			}
			judge.Start(t, "ualpn", d.Command("ualpn", "--bind", fmt.Sprintf("127.0.0.1@%d", d.tlsPort), "--connect", "127.0.0.1@1", "--sock", "/run/ualpn.sock", "-v"),
				judge.Listening(fmt.Sprintf("127.0.0.1:%d", d.tlsPort)))
			chain := func(name string) string { return d.Machine.Path("/etc/uacme/" + name + "/cert.pem") }

			uacme("", "new", "ops@shop.test")
			uacme("http-01", "issue", "www.shop.test", "api.shop.test")
			first := d.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
			uacme("http-01", "--force", "issue", "www.shop.test", "api.shop.test")
			second := d.requireChain(chain("www.shop.test"), "www.shop.test", "api.shop.test")
			require.NotEqual(t, first.SerialNumber, second.SerialNumber)
			uacme("", "revoke", "/etc/uacme/www.shop.test/cert.pem")
			d.requireStatus(first, "valid")
			d.requireStatus(second, "revoked")

			uacme("dns-01", "issue", "shop.test", "*.shop.test")
			wild := d.requireChain(chain("shop.test"), "shop.test", "*.shop.test")
			uacme("", "revoke", "/etc/uacme/shop.test/cert.pem", "/etc/uacme/private/shop.test/key.pem")
			d.requireStatus(wild, "revoked")
			uacme("tls-alpn-01", "issue", "tls.shop.test")
			d.requireChain(chain("tls.shop.test"), "tls.shop.test")
			uacme("http-01", "issue", "127.0.0.1")
			require.FileExists(t, chain("127.0.0.1"))
			uacme("", "newkey")
			uacme("", "deactivate")
		})
	}
}
