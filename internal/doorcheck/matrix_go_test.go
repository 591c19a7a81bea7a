package doorcheck

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/judge"
)

// goRow is a server on Go's own TLS, for behaviour that no configuration of a web server has.
type goRow struct {
	row
	tls     func(*tls.Config, *world) // changes the right configuration
	handler http.HandlerFunc          // default: answers 200
	serve   func(net.Conn)            // instead of a server: does what it likes with a connection
	plain   bool                      // HTTP without TLS
}

func (r goRow) start(t *testing.T, w *world, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	if r.serve != nil {
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go r.serve(conn)
			}
		}()
		return
	}
	handler := r.handler
	if handler == nil {
		handler = ok
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: w.goTLS()}
	if r.tls != nil {
		r.tls(server.TLSConfig, w)
	}
	if server.TLSConfig.CipherSuites != nil {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // HTTP/2 wants better suites
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		if r.plain {
			_ = server.Serve(listener)
		} else {
			_ = server.ServeTLS(listener, "", "")
		}
	}()
}

func ok(a http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(a, `{"ActionStatus":"OK"}`) }

// goTLS is the right configuration of a server on Go.
func (w *world) goTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(w.root.certificate)
	return &tls.Config{Certificates: []tls.Certificate{*w.server.identity()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
}

// judged lets the server judge certificates by itself.
func judged(accept func(w *world, leaf *x509.Certificate) bool) func(*tls.Config, *world) {
	return func(c *tls.Config, w *world) {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			leaf, err := x509.ParseCertificate(raw[0])
			if err == nil && !accept(w, leaf) {
				err = errors.New("refused")
			}
			return err
		}
	}
}

func (w *world) verifies(leaf *x509.Certificate, at time.Time, usage x509.ExtKeyUsage) bool {
	pool := x509.NewCertPool()
	pool.AddCert(w.root.certificate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err == nil
}

func clientAuth(kind tls.ClientAuthType) func(*tls.Config, *world) {
	return func(c *tls.Config, _ *world) { c.ClientAuth = kind }
}

// openFor asks nobody for a certificate whose ClientHello is of a certain kind.
func openFor(is func(*tls.ClientHelloInfo) bool) func(*tls.Config, *world) {
	return func(c *tls.Config, _ *world) {
		open := c.Clone()
		open.ClientAuth = tls.NoClientCert
		open.NextProtos = []string{http2, http1}
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if is(hello) {
				return open, nil
			}
			return nil, nil
		}
	}
}

// afterHandshake does something with a connection whose handshake has succeeded.
func afterHandshake(w *world, do func(*tls.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		secured := tls.Server(conn, w.goTLS())
		if secured.Handshake() == nil {
			do(secured)
		}
	}
}

func quick(c *Config, _ *Target, _ *world) { c.ProbeTimeout = time.Second }

func callback(c *Config, target *Target, _ *world) {
	target.Callback = []byte(`{"CallbackCommand":"Door.Check"}`)
}

func onlyPlatform(a http.ResponseWriter, q *http.Request, refuse int) bool {
	if len(q.TLS.VerifiedChains) > 0 {
		return true
	}
	a.WriteHeader(refuse)
	return false
}

func goRows(t *testing.T, w *world) []goRow {
	var counter, tick, cuts atomic.Int64
	wrongKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	early := w.server0(t, w.root, func(c *x509.Certificate) { c.NotBefore = w.now.Add(24 * time.Hour) })
	return []goRow{
		{row: row{name: "as handed out", admits: Yes, refuses: Yes}},
		{row: row{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused"}},
		{row: row{name: "the issuer's name compared by the application", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_issuer_refused"},
			tls: func(c *tls.Config, w *world) { c.ClientCAs.AddCert(w.nextRoot.certificate) },
			handler: func(a http.ResponseWriter, q *http.Request) {
				if q.TLS.PeerCertificates[0].Issuer.CommonName != caName {
					a.WriteHeader(403)
					return
				}
				ok(a, q)
			}},
		{row: row{name: "ready for the next root, and an intermediate", admits: Yes, refuses: Yes, ready: Yes,
			alter: func(c *Config, target *Target, w *world) { withNext(c, target, w); withIntermediate(c, target, w) }},
			tls: func(c *tls.Config, w *world) { c.ClientCAs.AddCert(w.nextRoot.certificate) }},
		{row: row{name: "not asked: answers 200 to everything", admits: Yes, refuses: No, codes: "not_asked"}, tls: clientAuth(tls.NoClientCert)},
		{row: row{name: "requested", admits: Yes, refuses: No, codes: "not_required any_ca"}, tls: clientAuth(tls.RequestClientCert)},
		{row: row{name: "any", admits: Yes, refuses: No, codes: "any_ca"}, tls: clientAuth(tls.RequireAnyClientCert)},
		{row: row{name: "verified if given", admits: Yes, refuses: No, codes: "not_required"}, tls: clientAuth(tls.VerifyClientCertIfGiven)},
		{row: row{name: "verified if given, and the application insists", admits: Yes, refuses: Yes}, tls: clientAuth(tls.VerifyClientCertIfGiven),
			handler: func(a http.ResponseWriter, q *http.Request) {
				if onlyPlatform(a, q, 403) {
					ok(a, q)
				}
			}},
		{row: row{name: "verified if given, and the application says no with 200", admits: Yes, refuses: Unknown}, tls: clientAuth(tls.VerifyClientCertIfGiven),
			handler: func(a http.ResponseWriter, q *http.Request) {
				if onlyPlatform(a, q, 200) {
					ok(a, q)
				}
			}},
		{row: row{name: "answers 200 to everything, never twice the same", admits: Yes, refuses: No, codes: "not_asked"}, tls: clientAuth(tls.NoClientCert),
			handler: func(a http.ResponseWriter, _ *http.Request) { fmt.Fprint(a, tick.Add(1)) }},
		{row: row{name: "purpose not looked at", admits: Yes, refuses: No, codes: "other_developers"},
			tls: judged(func(w *world, leaf *x509.Certificate) bool { return w.verifies(leaf, w.now, x509.ExtKeyUsageAny) })},
		{row: row{name: "time not looked at", admits: Yes, refuses: No, codes: "expired_admitted"},
			tls: judged(func(w *world, leaf *x509.Certificate) bool {
				return w.verifies(leaf, leaf.NotAfter, x509.ExtKeyUsageClientAuth)
			})},
		{row: row{name: "names compared", admits: Yes, refuses: No, codes: "names_only"},
			tls: judged(func(w *world, leaf *x509.Certificate) bool {
				return leaf.Issuer.CommonName == caName && leaf.Subject.CommonName == platformName && time.Now().Before(leaf.NotAfter)
			})},
		{row: row{name: "open without the right server name", admits: Yes, refuses: No, codes: "open_by_name"},
			tls: openFor(func(hello *tls.ClientHelloInfo) bool { return hello.ServerName != host })},
		{row: row{name: "open over TLS 1.2", admits: Yes, refuses: No, codes: "open_by_version"},
			tls: openFor(func(hello *tls.ClientHelloInfo) bool {
				return !slices.Contains(hello.SupportedVersions, tls.VersionTLS13)
			})},
		{row: row{name: "open over HTTP/2", admits: Yes, refuses: No, codes: "open_by_version"},
			tls: openFor(func(hello *tls.ClientHelloInfo) bool { return slices.Contains(hello.SupportedProtos, http2) })},
		{row: row{name: "believes in headers", admits: Yes, refuses: No, codes: "open_by_header"}, tls: clientAuth(tls.VerifyClientCertIfGiven),
			handler: func(a http.ResponseWriter, q *http.Request) {
				if q.Header.Get("X-SSL-Client-Verify") == "SUCCESS" || onlyPlatform(a, q, 403) {
					ok(a, q)
				}
			}},
		{row: row{name: "tires of cutting off", admits: Yes, refuses: No, codes: "open_at_times"}, tls: clientAuth(tls.VerifyClientCertIfGiven),
			handler: func(a http.ResponseWriter, q *http.Request) {
				if len(q.TLS.VerifiedChains) == 0 && cuts.Add(1) <= 5 { // TLS 1.3, TLS 1.2, HTTP/2, another server name, none
					panic(http.ErrAbortHandler)
				}
				ok(a, q)
			}},
		{row: row{name: "open to POST", admits: Yes, refuses: No, codes: "open_by_post", alter: callback}, tls: clientAuth(tls.VerifyClientCertIfGiven),
			handler: func(a http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodPost || onlyPlatform(a, q, 403) {
					ok(a, q)
				}
			}},
		{row: row{name: "HTTP/2 alone", admits: Yes, refuses: Yes}, tls: func(c *tls.Config, _ *world) {
			c.NextProtos = []string{http2}
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { // the server adds HTTP/1.1 to what it is given
				strict := c.Clone()
				strict.GetConfigForClient, strict.NextProtos = nil, []string{http2}
				return strict, nil
			}
		}},
		{row: row{name: "old cipher suites alone", admits: No, refuses: Unknown, codes: "weak_ciphers_only", alter: withoutRecords}, tls: func(c *tls.Config, w *world) {
			identity, err := tls.LoadX509KeyPair(w.dir+"/rsa.crt", w.dir+"/rsa.key")
			if err != nil {
				panic(err)
			}
			c.Certificates, c.MaxVersion, c.CipherSuites = []tls.Certificate{identity}, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}},
		{row: row{name: "key of another certificate", admits: No, refuses: Unknown, codes: "key_mismatch"}, tls: func(c *tls.Config, w *world) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{w.server.certificate.Raw}, PrivateKey: wrongKey}}
		}},
		{row: row{name: "leaf last", admits: No, refuses: Yes, codes: "chain_order name_mismatch", alter: withoutRecords}, tls: func(c *tls.Config, w *world) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{w.issuing.certificate.Raw, w.chained.certificate.Raw}, PrivateKey: w.issuing.key}}
		}},
		{row: row{name: "not valid yet", admits: No, refuses: Yes, codes: "served_early", alter: withoutRecords}, tls: func(c *tls.Config, w *world) {
			c.Certificates = []tls.Certificate{*early.identity()}
		}},
		{row: row{name: "an older CA of the same name", admits: No, refuses: Unknown, codes: "ca_stale"}, tls: func(c *tls.Config, w *world) {
			c.ClientCAs = x509.NewCertPool()
			c.ClientCAs.AddCert(w.twin.certificate)
		}},

		{row: row{name: "hangs after the handshake", admits: No, refuses: Unknown, codes: "no_answer", alter: quick},
			serve: afterHandshake(w, func(*tls.Conn) { time.Sleep(5 * time.Second) })},
		{row: row{name: "hangs before the handshake", admits: No, refuses: Unknown, codes: "no_handshake", alter: quick},
			serve: func(conn net.Conn) {
				time.Sleep(5 * time.Second)
				_ = conn.Close()
			}},
		{row: row{name: "closes at once", admits: No, refuses: Unknown, codes: "no_handshake"}, serve: func(conn net.Conn) { _ = conn.Close() }},
		{row: row{name: "resets after the handshake", admits: No, refuses: Unknown, codes: "cut_off"},
			serve: afterHandshake(w, func(conn *tls.Conn) { _ = conn.NetConn().(*net.TCPConn).SetLinger(0) })},
		{row: row{name: "garbage inside TLS", admits: No, refuses: Unknown, codes: "not_http"},
			serve: afterHandshake(w, func(conn *tls.Conn) { _, _ = io.WriteString(conn, "\x00\x1b[31mBONJOUR\r\n\r\n") })},
		{row: row{name: "a header without end", admits: No, refuses: Unknown, codes: "not_http"},
			serve: afterHandshake(w, func(conn *tls.Conn) {
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for err == nil {
					_, err = io.WriteString(conn, "X-More: and more and more and more and more and more and more and more and more and more\r\n")
				}
			})},
		{row: row{name: "a body without end", admits: Yes, refuses: Yes},
			handler: func(a http.ResponseWriter, _ *http.Request) {
				for err := error(nil); err == nil; {
					_, err = a.Write(make([]byte, 8192))
				}
			}},
		{row: row{name: "SSH on the port", admits: No, refuses: Unknown, codes: "not_tls"},
			serve: func(conn net.Conn) {
				_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2p1\r\n")
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}},
		{row: row{name: "plain HTTP", admits: No, refuses: Unknown, codes: "plain_http"}, plain: true},

		{row: row{name: "blocks after some calls", admits: Yes, refuses: Unknown, codes: "blocked_meanwhile"},
			serve: func(conn net.Conn) {
				if counter.Add(1) > 12 {
					_ = conn.Close()
					return
				}
				afterHandshake(w, func(conn *tls.Conn) {
					_, _ = conn.Read(make([]byte, 1))
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				})(conn)
			}},
		{row: row{name: "slower than a callback may be", admits: Yes, refuses: Yes, codes: "over_budget", alter: func(c *Config, _ *Target, _ *world) { c.Budget = 50 * time.Millisecond }},
			handler: func(a http.ResponseWriter, q *http.Request) {
				time.Sleep(60 * time.Millisecond)
				ok(a, q)
			}},
		{row: row{name: "posts alone", admits: Yes, refuses: Yes, alter: callback},
			handler: func(a http.ResponseWriter, q *http.Request) {
				if q.Method != http.MethodPost {
					a.WriteHeader(http.StatusNotFound)
					return
				}
				ok(a, q)
			}},
		{row: row{name: "callback fails", admits: Yes, refuses: Yes, codes: "callback_failed", alter: callback},
			handler: func(a http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodPost {
					a.WriteHeader(http.StatusInternalServerError)
				}
			}},
		{row: row{name: "misdirected", admits: No, refuses: Unknown, codes: "misdirected"},
			handler: func(a http.ResponseWriter, _ *http.Request) { a.WriteHeader(http.StatusMisdirectedRequest) }},
		{row: row{name: "an address of the network within", admits: Unknown, refuses: Unknown, codes: "not_dialled",
			alter: func(c *Config, _ *Target, _ *world) {
				guard, err := egress.New(egress.Config{})
				if err != nil {
					panic(err)
				}
				c.Dial = guard.DialContext
			}}},
		{row: row{name: "a name that leads nowhere", admits: No, refuses: Unknown, codes: "no_address",
			alter: func(c *Config, _ *Target, _ *world) {
				c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					return nil, &egress.DNSError{Name: "www.example.com", Type: "A and AAAA", Kind: egress.NoName}
				}
			}}},
		{row: row{name: "the platform's certificate has expired", admits: No, refuses: Unknown, codes: "our_certificate_expired",
			alter: func(c *Config, _ *Target, w *world) { c.Canaries.Platform = w.expired.identity() }}},
		{row: row{name: "no certificate of the platform", admits: Unknown, refuses: Unknown,
			alter: func(c *Config, _ *Target, _ *world) { c.Canaries = Canaries{} }}},
		{row: row{name: "no certificate of the platform, and open", admits: Unknown, refuses: No, codes: "not_asked",
			alter: func(c *Config, _ *Target, _ *world) { c.Canaries = Canaries{} }}, tls: clientAuth(tls.NoClientCert)},
	}
}

// TestGo is the matrix for servers on Go's TLS, in this process.
func TestGo(t *testing.T) {
	w := newWorld(t)
	for _, r := range goRows(t, w) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			port := judge.FreePort(t)
			r.start(t, w, addr(port))
			r.expect(t, r.check(t, w, port))
		})
	}
}
