package egress

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// The tests' Internet is 127.0.0.2/32: what stands there is public, everything
// else on loopback is not.
var internet = netip.MustParsePrefix("127.0.0.2/32")

func TestDialJudgesWhatIsDialled(t *testing.T) {
	public := listen(t, "127.0.0.2:0")
	port := public.Addr().(*net.TCPAddr).Port
	go accept(public)
	private := listen(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	var reached atomic.Bool
	go func() {
		if conn, err := private.Accept(); err == nil {
			reached.Store(true)
			conn.Close()
		}
	}()

	var asked atomic.Int32
	resolver := hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
		addr := "127.0.0.1"
		switch strings.ToLower(q.Question[0].Name) {
		case "public.test.":
			addr = "127.0.0.2"
		case "rebinding.test.": // public at first, then loopback
			if q.Question[0].Qtype == dns.TypeA && asked.Add(1) == 1 {
				addr = "127.0.0.2"
			}
		case "both.test.":
			w.WriteMsg(addressReply(q, "::1", "127.0.0.1", "127.0.0.2"))
			return
		case "disguised.test.":
			w.WriteMsg(addressReply(q, "64:ff9b::7f00:1"))
			return
		case "hidden.test.":
			addr = "::ffff:127.0.0.1"
		case "many.test.":
			w.WriteMsg(addressReply(q, "127.1.0.1", "127.1.0.2", "127.1.0.3", "127.1.0.4", "127.0.0.2"))
			return
		}
		w.WriteMsg(addressReply(q, addr))
	})
	g := guard(t, Config{Allow: []netip.Prefix{internet}, Ports: []uint16{uint16(port)},
		Resolver: resolver, DNSTimeout: 10 * time.Second})
	dial := func(host string) error {
		conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			require.Equal(t, "127.0.0.2", conn.RemoteAddr().(*net.TCPAddr).IP.String())
			conn.Close()
		}
		return err
	}

	for _, host := range []string{"public.test", "rebinding.test", "both.test", "127.0.0.2", "::ffff:127.0.0.2"} {
		require.NoError(t, dial(host), host)
	}
	for _, host := range []string{
		"rebinding.test", "private.test", "localhost", "disguised.test", "hidden.test", "many.test",
		"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254",
		"127.1", "2130706433", "0x7f000001", "017700000001", // names to us, and the DNS says loopback
	} {
		err := dial(host)
		if dnsErr := (*DNSError)(nil); errors.As(err, &dnsErr) {
			require.Equal(t, NoData, dnsErr.Kind, host) // an AAAA record cannot hold IPv4
			continue
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, host)
		require.Contains(t, err.Error(), "--allow-egress", host)
	}
	require.False(t, reached.Load())

	for _, test := range []struct{ network, address, says string }{
		{"udp", "public.test:80", "only TCP"},
		{"unix", "/run/imca.sock", "only TCP"},
		{"tcp", "public.test:22", "port 22 is not open; use port " + strconv.Itoa(port)},
		{"tcp", "public.test:http", "not a number"},
		{"tcp", "public.test", "write host:port"},
		{"tcp6", net.JoinHostPort("public.test", strconv.Itoa(port)), "no address for tcp6"},
		{"tcp4", net.JoinHostPort("disguised.test", strconv.Itoa(port)), "no address for tcp4"},
	} {
		_, err := g.DialContext(t.Context(), test.network, test.address)
		require.ErrorContains(t, err, test.says)
	}
	_, err := g.WithPorts(22).DialContext(t.Context(), "tcp", net.JoinHostPort("public.test", strconv.Itoa(port)))
	require.ErrorContains(t, err, "use port 22")
	_, err = guard(t, Config{}).DialContext(t.Context(), "tcp", "127.0.0.1:8080")
	require.ErrorContains(t, err, "use port 80 or 443")
}

func TestConnectionIsBounded(t *testing.T) {
	flood := listen(t, "127.0.0.2:0")
	go func() {
		for {
			conn, err := flood.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for block := make([]byte, 64<<10); ; {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}()
		}
	}()
	silent := listen(t, "127.0.0.2:0")
	go accept(silent)

	config := Config{Allow: []netip.Prefix{internet}, MaxBytes: 100_000, MaxTime: time.Hour, Ports: []uint16{portOf(flood), portOf(silent)}}
	conn, err := guard(t, config).DialContext(t.Context(), "tcp", flood.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	n, err := io.Copy(io.Discard, conn)
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
	require.EqualValues(t, 100_000, n)

	config.MaxTime = 50 * time.Millisecond
	for name, set := range map[string]func(net.Conn) error{
		"no deadline":  func(net.Conn) error { return nil },
		"taken away":   func(c net.Conn) error { return c.SetDeadline(time.Time{}) },
		"moved":        func(c net.Conn) error { return c.SetReadDeadline(time.Now().Add(time.Hour)) },
		"writing only": func(c net.Conn) error { return c.SetWriteDeadline(time.Now().Add(time.Hour)) },
	} {
		conn, err := guard(t, config).DialContext(t.Context(), "tcp", silent.Addr().String())
		require.NoError(t, err)
		require.NoError(t, set(conn))
		_, err = conn.Read(make([]byte, 1))
		require.True(t, IsTimeout(err), "%s: %v", name, err)
		conn.Close()
	}
}

func TestHTTPClient(t *testing.T) {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err := zip.Write(make([]byte, 10<<20))
	require.NoError(t, err)
	require.NoError(t, zip.Close())

	var port string
	requests := make(chan *http.Request, 100)
	server := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		to := func(location string) {
			w.Header().Set("Location", strings.ReplaceAll(location, "PORT", port))
			w.WriteHeader(http.StatusFound)
		}
		switch {
		case r.URL.Path == "/to":
			to(r.URL.Query().Get("url"))
		case r.URL.Path == "/self":
			to("/self")
		case strings.HasPrefix(r.URL.Path, "/hops/"):
			n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/hops/"))
			if n > 0 {
				to(fmt.Sprintf("/hops/%d", n-1))
			}
		case r.URL.Path == "/endless":
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			to(fmt.Sprintf("/endless?n=%d", n+1))
		case r.URL.Path == "/drip":
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		case r.URL.Path == "/flood":
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		case r.URL.Path == "/exact":
			fmt.Fprint(w, strings.Repeat("x", 1000))
		case r.URL.Path == "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped.Bytes())
		case r.URL.Path == "/header":
			w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
		}
		fmt.Fprint(w, "here")
	})
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	g := guard(t, Config{Allow: []netip.Prefix{internet}, Ports: []uint16{portOf(server.Listener)}, MaxTime: time.Hour, MaxBytes: 4 << 20})
	get := func(path string, o HTTPOptions) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		resp, err := g.HTTPClient(o).Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	redirect := func(target string) string { return "/to?url=" + url.QueryEscape(target) }

	t.Run("bounds", func(t *testing.T) {
		body, err := get("/hops/5", HTTPOptions{})
		require.NoError(t, err)
		require.Equal(t, "here", body)
		_, err = get("/hops/6", HTTPOptions{})
		require.ErrorContains(t, err, "one more than the 5 that are followed")
		_, err = get("/endless", HTTPOptions{})
		require.ErrorContains(t, err, "one more than the 5")
		_, err = get("/hops/1", HTTPOptions{MaxRedirects: -1})
		require.ErrorContains(t, err, "one more than the 0")
		_, err = get("/drip", HTTPOptions{Timeout: 100 * time.Millisecond})
		require.True(t, IsTimeout(err), err)

		body, err = get("/exact", HTTPOptions{MaxBody: 1004})
		require.NoError(t, err)
		require.Len(t, body, 1004)
		var limit *LimitError
		body, err = get("/exact", HTTPOptions{MaxBody: 1003})
		require.ErrorAs(t, err, &limit)
		require.Len(t, body, 1003)
		_, err = get("/flood", HTTPOptions{})
		require.ErrorAs(t, err, &limit)
		_, err = get("/flood", HTTPOptions{MaxBody: 1 << 30})
		require.ErrorAs(t, err, &limit)
		require.ErrorContains(t, err, "sent more than 4194304 bytes")
		_, err = get("/header", HTTPOptions{})
		require.ErrorContains(t, err, "headers exceeded 32768 bytes")

		body, err = get("/gzip", HTTPOptions{})
		require.NoError(t, err)
		require.Equal(t, zipped.String()+"here", body)
	})

	t.Run("redirects", func(t *testing.T) {
		for target, says := range map[string]string{
			"http://127.0.0.1:PORT/":                  "127.0.0.1 is loopback",
			"http://127.0.0.3:PORT/":                  "127.0.0.3 is loopback",
			"http://[::1]:PORT/":                      "::1 is loopback",
			"http://[::ffff:169.254.169.254]:PORT/":   "169.254.169.254 is a cloud metadata service",
			"http://[::ffff:169.254.169.254]/":        "port 80 is not open",
			"http://0.0.0.0:PORT/":                    "unspecified",
			"http://127.0.0.2:22/":                    "port 22 is not open",
			"http://127.0.0.2/":                       "port 80 is not open",
			"https://127.0.0.2/":                      "port 443 is not open",
			"file:///etc/passwd":                      `only http and https are let out, not "file"`,
			"gopher://127.0.0.2:PORT/":                `only http and https are let out, not "gopher"`,
			"http://admin:secret@127.0.0.2:PORT/":     "carries a user name",
			"http:///nowhere":                         "no host",
			"/to?url=" + url.QueryEscape("/to?url=/"): "",
		} {
			_, err := get(redirect(target), HTTPOptions{})
			if says == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, says, target)
			require.NotContains(t, err.Error(), "secret")
		}
		_, err := get("/self", HTTPOptions{})
		require.ErrorContains(t, err, "leads in a circle")
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
	})

	t.Run("what is sent", func(t *testing.T) {
		for len(requests) > 0 {
			<-requests
		}
		_, err := get(redirect("/"), HTTPOptions{})
		require.NoError(t, err)
		first, second := <-requests, <-requests
		require.Empty(t, first.Header.Get("Accept-Encoding"))
		require.Empty(t, second.Header.Get("Referer"))
		require.NotEqual(t, first.RemoteAddr, second.RemoteAddr, "each request dials anew")
	})

	t.Run("no proxy of the environment", func(t *testing.T) {
		proxy := listen(t, "127.0.0.2:0")
		go func() {
			if conn, err := proxy.Accept(); err == nil {
				conn.Close()
				t.Error("the proxy was used")
			}
		}()
		resolver := hostile(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(addressReply(q, "127.0.0.2")) })
		named := guard(t, Config{Allow: []netip.Prefix{internet}, Ports: []uint16{portOf(server.Listener), portOf(proxy)},
			Resolver: resolver, DNSTimeout: 10 * time.Second})
		for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
			t.Setenv(name, "http://"+proxy.Addr().String())
		}
		resp, err := named.HTTPClient(HTTPOptions{}).Get("http://www.example.test:" + port + "/")
		require.NoError(t, err)
		resp.Body.Close()
	})

	t.Run("TLS by URL", func(t *testing.T) {
		secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
		secure.Listener.Close()
		secure.Listener = listen(t, "127.0.0.2:0")
		secure.StartTLS()
		defer secure.Close()
		g := g.WithPorts(portOf(secure.Listener))
		_, err := g.HTTPClient(HTTPOptions{}).Get(secure.URL)
		var untrusted *tls.CertificateVerificationError
		require.ErrorAs(t, err, &untrusted)
		var path string
		resp, err := g.HTTPClient(HTTPOptions{TLS: func(u *url.URL) *tls.Config {
			path = u.Path
			return &tls.Config{InsecureSkipVerify: true}
		}}).Get(secure.URL + "/x")
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, "/x", path)
	})
}

func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
	}
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

func serveHTTP(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listen(t, "127.0.0.2:0")
	server.Start()
	t.Cleanup(server.Close)
	return server
}
