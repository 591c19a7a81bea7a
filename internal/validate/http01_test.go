package validate

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/judge"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func TestHTTP01(t *testing.T) {
	judge.Need(t, "knotd")
	port := freePort(t)
	site := func(host string) string {
		return fmt.Sprintf("http://%s.example.test:%d%s", host, port, HTTP01Path(token))
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	for range 16 {
		_, err := zip.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, zip.Close())

	redirects := map[string]string{
		"redirected":   site("good"),
		"to-loopback":  fmt.Sprintf("http://127.0.0.1:%d/", port),
		"to-mapped":    "http://[::ffff:169.254.169.254]/",
		"to-private":   fmt.Sprintf("http://private.example.test:%d/", port),
		"to-file":      "file:///etc/passwd",
		"to-itself":    site("to-itself"),
		"to-ssh":       "http://good.example.test:22/",
		"to-wrong":     site("wrong"),
		"to-long":      site("wrong") + "?" + strings.Repeat("x", 500),
		"to-control":   "http://good.example.test/%0a%1b[31m",
		"to-elsewhere": fmt.Sprintf("http://unknown.example.test:%d/", port),
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ".")
		if host == "127" || host == "good" {
			if r.URL.Path == HTTP01Path(token) && r.Host != "" {
				fmt.Fprint(w, keyAuthorization)
			}
			return
		}
		if to, ok := redirects[host]; ok {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		switch host {
		case "newline":
			fmt.Fprint(w, keyAuthorization+" \r\n\t\n")
		case "missing":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<html>\n<h1>\x1b[31m404 nicht gefunden ü\x00</h1>"+strings.Repeat("long ", 200))
		case "forbidden":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, keyAuthorization) // the right text with the wrong status
		case "wrong":
			fmt.Fprint(w, "hello")
		case "longer":
			fmt.Fprint(w, keyAuthorization+"x")
		case "before":
			fmt.Fprint(w, " "+keyAuthorization)
		case "empty":
		case "drip":
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		case "silent":
			<-r.Context().Done()
		case "flood":
			for block := bytes.Repeat([]byte(keyAuthorization+"\n"), 1000); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		case "header":
			w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
			fmt.Fprint(w, keyAuthorization)
		case "hangup":
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
		case "nonsense":
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			conn.Close()
		}
	}
	server := &http.Server{Handler: http.HandlerFunc(serve)}
	go server.Serve(listen(t, "127.0.10.1", port))
	t.Cleanup(func() { server.Close() })

	resolver := judge.Knot(t, map[string]string{"example.test": `
*        A      127.0.10.1
dead     A      127.0.10.99
private  A      10.0.0.1
loopback A      127.0.0.1
mail     MX     10 good
unknown  CNAME  nothing.dead
`})
	v := validator(t, setup{resolver: resolver.Addr, Config: Config{HTTPPort: port}})
	slow := validator(t, setup{resolver: resolver.Addr, Config: Config{HTTPPort: port, Timeout: 200 * time.Millisecond}})

	for _, proven := range []string{"good.example.test", "newline.example.test", "redirected.example.test", "127.0.10.1"} {
		require.NoError(t, v.HTTP01(t.Context(), name(t, proven), token, keyAuthorization), proven)
	}
	for _, test := range []struct {
		host string
		kind Kind
		says []string
	}{
		{"missing", KindUnauthorized, []string{"got 404 from " + site("missing") + " (127.0.10.1): body starts ",
			`"<html>\n<h1>\x1b[31m404 nicht gefunden \u00fc\x00</h1>`, "put the file there with exactly this content: " + keyAuthorization}},
		{"forbidden", KindUnauthorized, []string{"got 403"}},
		{"wrong", KindUnauthorized, []string{`got another text from`, `body starts "hello"`}},
		{"longer", KindUnauthorized, []string{"got another text"}},
		{"before", KindUnauthorized, []string{"got another text"}},
		{"empty", KindUnauthorized, []string{`body starts ""`}},
		{"flood", KindUnauthorized, []string{"got more than 4096 bytes"}},
		{"gzip", KindUnauthorized, []string{"got more than 4096 bytes"}},
		{"header", KindConnection, []string{"headers exceeded"}},
		{"hangup", KindConnection, []string{"EOF", "let port"}},
		{"nonsense", KindConnection, []string{"malformed HTTP"}},
		{"dead", KindConnection, []string{"127.0.10.99", "connection refused", "let port " + strconv.Itoa(int(port)) + " of dead.example.test answer"}},
		{"private", KindConnection, []string{"10.0.0.1 is a private network (RFC 1918)", "--allow-egress"}},
		{"loopback", KindConnection, []string{"127.0.0.1 is loopback"}},
		{"mail", KindDNS, []string{"no such record", "publish an A or AAAA record"}},
		{"unknown", KindDNS, []string{"NXDOMAIN"}},
		{"to-loopback", KindConnection, []string{"127.0.0.1 is loopback"}},
		{"to-mapped", KindConnection, []string{"cloud metadata"}},
		{"to-private", KindConnection, []string{"10.0.0.1 is a private network"}},
		{"to-file", KindConnection, []string{`only http and https`}},
		{"to-itself", KindConnection, []string{"leads in a circle"}},
		{"to-ssh", KindConnection, []string{"port 22 is not open; use port 80 or 443 or "}},
		{"to-wrong", KindUnauthorized, []string{`got another text from "` + site("wrong") + `" (127.0.10.1), redirected from ` + site("to-wrong")}},
		{"to-long", KindUnauthorized, []string{"redirected from " + site("to-long")}},
		{"to-control", KindConnection, []string{"connection refused"}},
		{"to-elsewhere", KindDNS, []string{"NXDOMAIN"}},
	} {
		err := v.HTTP01(t.Context(), name(t, test.host+".example.test"), token, keyAuthorization)
		requireError(t, err, test.kind, test.says...)
	}
	for _, host := range []string{"drip", "silent"} {
		err := slow.HTTP01(t.Context(), name(t, host+".example.test"), token, keyAuthorization)
		requireError(t, err, KindConnection, "let port")
	}

	t.Run("one proof is not another", func(t *testing.T) {
		good := name(t, "good.example.test")
		requireError(t, v.HTTP01(t.Context(), good, token+"x", keyAuthorization), KindUnauthorized)
		requireError(t, v.HTTP01(t.Context(), good, token, keyAuthorization+"x"), KindUnauthorized)
		requireError(t, v.HTTP01(t.Context(), name(t, "*.example.test"), token, keyAuthorization), KindMalformed, "use dns-01")
	})
	t.Run("an interruption says nothing about the applicant", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		requireError(t, v.HTTP01(ctx, name(t, "good.example.test"), token, keyAuthorization), KindInternal, "try again")
	})
}

// TestHTTP01Rebinding has a name that leads to the applicant's server at first and,
// when the redirect asks again, to loopback.
func TestHTTP01Rebinding(t *testing.T) {
	port := freePort(t)
	var reached atomic.Bool
	inner := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) })}
	go inner.Serve(listen(t, "127.0.0.1", port))
	t.Cleanup(func() { inner.Close() })
	outer := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again", http.StatusFound)
	})}
	go outer.Serve(listen(t, "127.0.10.1", port))
	t.Cleanup(func() { outer.Close() })

	var asked atomic.Int32
	resolver := serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			addr := net.IPv4(127, 0, 0, 1)
			if asked.Add(1) == 1 {
				addr = net.IPv4(127, 0, 10, 1)
			}
			reply.Answer = []dns.RR{&dns.A{A: addr,
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}}}
		}
		w.WriteMsg(reply)
	})
	v := validator(t, setup{resolver: resolver, Config: Config{HTTPPort: port}})
	err := v.HTTP01(t.Context(), name(t, "rebinding.example.test"), token, keyAuthorization)
	requireError(t, err, KindConnection, "127.0.0.1 is loopback")
	require.EqualValues(t, 2, asked.Load())
	require.False(t, reached.Load())
}

// TestHTTP01ThroughApache has Debian's Apache as the developer runs it: port 80
// redirects to 443, and 443 lets in only who shows the platform's certificate.
func TestHTTP01ThroughApache(t *testing.T) {
	judge.Need(t, "apache2", "knotd")
	port, tlsPort := freePort(t), freePort(t)
	dir := t.TempDir()
	server := selfSigned(t, template{dnsNames: []string{"www.example.test"}})
	platform := selfSigned(t, template{commonName: "callback.platform.internal", ca: true})
	docs := filepath.Join(dir, "docs", ".well-known", "acme-challenge")
	require.NoError(t, os.MkdirAll(docs, 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(docs, token), []byte(keyAuthorization+"\n"), 0o644))
	writePEM(t, dir, "server", server)
	writePEM(t, dir, "platform", platform)
	judge.Apache(t, judge.Site{
		Addrs: []string{fmt.Sprintf("127.0.10.1:%d", port), fmt.Sprintf("127.0.10.1:%d", tlsPort)},
		Config: fmt.Sprintf(`
Listen 127.0.10.1:%[1]d
Listen 127.0.10.1:%[2]d https
DocumentRoot "%[3]s/docs"
<Directory "%[3]s/docs">
    Require all granted
</Directory>
<VirtualHost *:%[1]d>
    ServerName www.example.test
    Redirect permanent / https://www.example.test:%[2]d/
</VirtualHost>
<VirtualHost *:%[2]d>
    ServerName www.example.test
    SSLEngine on
    SSLCertificateFile "%[3]s/server.crt"
    SSLCertificateKeyFile "%[3]s/server.key"
    SSLCACertificateFile "%[3]s/platform.crt"
    SSLVerifyClient require
</VirtualHost>
`, port, tlsPort, dir)})
	resolver := judge.Knot(t, map[string]string{"example.test": "www A 127.0.10.1"})
	www := name(t, "www.example.test")
	attempt := func(certificate func() (*tls.Certificate, error)) error {
		v := validator(t, setup{resolver: resolver.Addr, Config: Config{HTTPPort: port, TLSPort: tlsPort, ClientCertificate: certificate}})
		return v.HTTP01(t.Context(), www, token, keyAuthorization)
	}
	require.NoError(t, attempt(func() (*tls.Certificate, error) { return &platform, nil }))
	requireError(t, attempt(nil), KindTLS, "certificate required")
	requireError(t, attempt(func() (*tls.Certificate, error) { return nil, errors.New("key not loaded") }),
		KindInternal, "key not loaded", "try again later")
}

// TestHTTP01KeepsThePlatformsCertificate has redirects that would make imca ask
// somebody else's backend in the platform's name.
func TestHTTP01KeepsThePlatformsCertificate(t *testing.T) {
	port, tlsPort := freePort(t), freePort(t)
	platform := selfSigned(t, template{commonName: "callback.platform.internal"})
	own := HTTP01Path(token)
	var location atomic.Value
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, location.Load().(string), http.StatusFound)
	})}
	go plain.Serve(listen(t, "127.0.10.1", port))
	t.Cleanup(func() { plain.Close() })

	shown := make(chan bool, 1)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- len(r.TLS.PeerCertificates) > 0
		fmt.Fprint(w, keyAuthorization)
	}))
	backend.Listener.Close()
	backend.Listener = listen(t, "127.0.10.1", tlsPort)
	backend.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	backend.StartTLS()
	t.Cleanup(backend.Close)

	resolver := judge.Knot(t, map[string]string{"example.test": "* A 127.0.10.1"})
	v := validator(t, setup{resolver: resolver.Addr, Config: Config{HTTPPort: port, TLSPort: tlsPort,
		ClientCertificate: func() (*tls.Certificate, error) { return &platform, nil }}})
	for _, test := range []struct {
		host, path string
		shows      bool
	}{
		{"www.example.test", own, true},
		{"www.example.test", own + "?CallbackCommand=delete", false},
		{"www.example.test", "/callback", false},
		{"www.example.test", own + "/../../../callback", false},
		{"www.example.test", own + "x", false},
		{"victim.example.test", own, false},
		{"127.0.10.1", own, false},
	} {
		location.Store(fmt.Sprintf("https://%s:%d%s", test.host, tlsPort, test.path))
		require.NoError(t, v.HTTP01(t.Context(), name(t, "www.example.test"), token, keyAuthorization))
		require.Equal(t, test.shows, <-shown, test.host+test.path)
	}
}
