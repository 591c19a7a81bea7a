package doorcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

func TestTargetsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ url, says string }{
		{"", "is not a whole URL: write it like https://www.example.com/callback"},
		{"www.example.com", "is not a whole URL"},
		{"http://www.example.com/", "begins with https://"},
		{"https://user:secret@www.example.com/", "leave them out"},
		{"https://*.example.com/", "give one of the names that it stands for"},
		{"https://www.example.com:0/", "not a number from 1 to 65535"},
		{"https://www.example.com:70000/", "not a number from 1 to 65535"},
		{"https://www_example.com/", "underscore"},
		{"https://exa mple.com/", "not a URL"},
	} {
		_, err := Check(t.Context(), w.config(), Target{URL: test.url})
		require.ErrorContains(t, err, test.says, test.url)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := Check(t.Context(), Config{}, Target{URL: "https://www.example.com/"})
	require.ErrorContains(t, err, "no Dial function")
	_, err = Check(t.Context(), Config{Dial: w.config().Dial}, Target{URL: "https://www.example.com/"})
	require.ErrorContains(t, err, "no Resolve function")
}

// TestHealthyInTime checks the published configuration with every canary that there is, within the time that a callback may take.
func TestHealthyInTime(t *testing.T) {
	w := newWorld(t)
	port := judge.FreePort(t)
	s := softwares[Apache]
	s.start(t, w, fill(s.apply(s.base, []string{"SSLCARevocationFile {dir}/TencentQQAuthCA.crl", "SSLCARevocationCheck leaf", "SSLVerifyDepth 2"}), w, port), port)
	config, target := w.config(), Target{URL: urlAt(port), Callback: []byte("{}")}
	withRevoked(&config, &target, w)
	withIntermediate(&config, &target, w)
	config.Budget, config.ProbeTimeout, config.Timeout = 0, 0, 0
	var found *Report
	// Other tests share the machine: what it can do once, it can do.
	quickest := time.Hour
	for try := 0; try < 10 && quickest >= 2*time.Second; try++ {
		start := time.Now()
		var err error
		found, err = Check(t.Context(), config, target)
		require.NoError(t, err)
		quickest = min(quickest, time.Since(start))
	}
	require.Less(t, quickest, 2*time.Second)
	require.Equal(t, 0, found.ExitCode(), Render(found, Style{Verbose: true}))
	require.Equal(t, Yes, found.RefusesRevoked.Answer)
	require.Positive(t, found.Timings.TotalMS)
}

// seen is what a server was told.
type seen struct {
	mu       sync.Mutex
	requests []string
	bodies   []string
}

func (s *seen) ServeHTTP(a http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, q.RequestURI)
	s.bodies = append(s.bodies, string(body))
}

// TestNoSecretBeforeAuthentication: the query and the callback's body go to those alone who have shown the right certificate.
func TestNoSecretBeforeAuthentication(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name    string
		shown   party
		trusted bool
	}{
		{"the right certificate", w.server, true},
		{"another CA's certificate", w.selfSigned, false},
		{"a certificate for another name", w.otherName, false},
		{"an expired certificate", w.lapsed, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &seen{}
			port := judge.FreePort(t)
			goRow{handler: server.ServeHTTP, tls: func(c *tls.Config, _ *world) {
				c.ClientAuth, c.Certificates = tls.NoClientCert, []tls.Certificate{*test.shown.identity()}
			}}.start(t, w, addr(port))
			report, err := Check(t.Context(), w.config(), Target{URL: fmt.Sprintf("https://%s:%d/hook?token=secret-query", host, port), Callback: []byte("secret-body")})
			require.NoError(t, err)

			server.mu.Lock()
			defer server.mu.Unlock()
			require.NotEmpty(t, server.requests)
			require.Equal(t, test.trusted, slices.Contains(server.requests, "/hook?token=secret-query"), server.requests)
			require.Equal(t, test.trusted, slices.Contains(server.bodies, "secret-body"))
			text, err := json.Marshal(report)
			require.NoError(t, err)
			require.NotContains(t, string(text), "secret", "a report is shown to more people than the URL")
		})
	}
	t.Run("HTTP without TLS", func(t *testing.T) {
		server := &seen{}
		port := judge.FreePort(t)
		goRow{handler: server.ServeHTTP, plain: true}.start(t, w, addr(port))
		_, err := Check(t.Context(), w.config(), Target{URL: fmt.Sprintf("https://%s:%d/hook?token=secret-query", host, port), Callback: []byte("secret-body")})
		require.NoError(t, err)
		server.mu.Lock()
		defer server.mu.Unlock()
		require.Equal(t, []string{"/hook"}, server.requests)
		require.Equal(t, []string{""}, server.bodies)
	})
}

func TestAddresses(t *testing.T) {
	w := newWorld(t)
	judge.NeedIPv6(t)
	healthy := goRow{}
	for _, test := range []struct {
		name           string
		six            *goRow // nil: nobody listens
		admits, refuse Answer
		codes          string
	}{
		{"alike", &healthy, Yes, Yes, ""},
		{"IPv6 open", &goRow{tls: clientAuth(tls.NoClientCert)}, Yes, No, "addresses_differ open_by_address"},
		{"IPv6 refuses the platform", &goRow{tls: func(c *tls.Config, w *world) {
			c.ClientCAs = x509.NewCertPool()
			c.ClientCAs.AddCert(w.nextRoot.certificate)
		}}, No, Unknown, "addresses_differ"},
		{"IPv6 with another certificate", &goRow{tls: func(c *tls.Config, w *world) { c.Certificates = []tls.Certificate{*w.older.identity()} }}, Yes, Yes, "addresses_differ"},
		{"IPv6 with a wrong certificate", &goRow{tls: func(c *tls.Config, w *world) { c.Certificates = []tls.Certificate{*w.otherName.identity()} }}, No, Yes, "addresses_differ"},
		{"IPv6 down", nil, Yes, Yes, "address_down"},
	} {
		t.Run(test.name, func(t *testing.T) {
			port := judge.FreePort(t)
			healthy.start(t, w, addr(port))
			if test.six != nil {
				test.six.start(t, w, fmt.Sprintf("[::1]:%d", port))
			}
			row{admits: test.admits, refuses: test.refuse, codes: test.codes}.expect(t, row{alter: func(c *Config, _ *Target, _ *world) {
				c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}, nil
				}
			}}.check(t, w, port))
		})
	}
	t.Run("more than are probed", func(t *testing.T) {
		port := judge.FreePort(t)
		healthy.start(t, w, addr(port))
		found := row{alter: func(c *Config, _ *Target, _ *world) {
			c.MaxAddresses = 1
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}, nil
			}
		}}.check(t, w, port)
		require.Equal(t, Healthy, found.Summary)
		require.Contains(t, found.Untold, "what 2 further addresses of the name do")
	})
	t.Run("an address for a name", func(t *testing.T) {
		port := judge.FreePort(t)
		byAddress := w.server0(t, w.root, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)} })
		goRow{tls: func(c *tls.Config, _ *world) { c.Certificates = []tls.Certificate{*byAddress.identity()} }}.start(t, w, addr(port))
		config := w.config()
		config.Resolve, config.Issued = nil, nil
		found, err := Check(t.Context(), config, Target{URL: "https://" + addr(port)})
		require.NoError(t, err)
		require.Equal(t, Healthy, found.Summary, Render(found, Style{Verbose: true}))
	})
}

// TestPassthrough has HAProxy hand TLS through to a server whose key is not that of its certificate, as no web server starts with.
func TestPassthrough(t *testing.T) {
	w := newWorld(t)
	behind, port := judge.FreePort(t), judge.FreePort(t)
	goRow{tls: func(c *tls.Config, _ *world) {
		c.Certificates = []tls.Certificate{{Certificate: [][]byte{w.server.certificate.Raw}, PrivateKey: w.older.key}}
	}}.start(t, w, addr(behind))
	conf := fmt.Sprintf("global\nmaxconn 100\ndefaults\nmode tcp\ntimeout connect 2s\ntimeout client 5s\ntimeout server 5s\nlisten door\nbind %s\nserver behind %s\n", addr(port), addr(behind))
	softwares[HAProxy].start(t, w, conf, port)
	r := row{admits: No, refuses: Unknown, codes: "key_mismatch"}
	r.expect(t, r.check(t, w, port))
}

// TestBounds: a server that takes its time takes no more than the check has.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	port := judge.FreePort(t)
	goRow{serve: afterHandshake(w, func(*tls.Conn) { time.Sleep(30 * time.Second) })}.start(t, w, addr(port))
	config := w.config()
	config.Timeout = 300 * time.Millisecond
	start := time.Now()
	found, err := Check(t.Context(), config, Target{URL: urlAt(port)})
	require.NoError(t, err)
	require.Less(t, time.Since(start), 15*time.Second)
	require.Equal(t, LockedOut, found.Summary)
	require.NotEmpty(t, found.Untold)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err = Check(ctx, w.config(), Target{URL: urlAt(port)})
	require.NoError(t, err)
	require.NotEqual(t, Yes, found.RefusesStrangers.Answer)
	require.NotEqual(t, Healthy, found.Summary)
}

// TestConcurrency counts the connections that a check has open at one time.
func TestConcurrency(t *testing.T) {
	w := newWorld(t)
	port := judge.FreePort(t)
	goRow{}.start(t, w, addr(port))
	var mu sync.Mutex
	var now, most int
	config := w.config()
	dial := config.Dial
	config.Concurrency = 3
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		mu.Lock()
		defer mu.Unlock()
		now++
		most = max(most, now)
		return &counted{Conn: conn, closed: func() {
			mu.Lock()
			defer mu.Unlock()
			now--
		}}, err
	}
	found, err := Check(t.Context(), config, Target{URL: urlAt(port)})
	require.NoError(t, err)
	require.Equal(t, Healthy, found.Summary)
	require.LessOrEqual(t, most, 3)
	require.Zero(t, now, "connections are left open")
}

type counted struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (c *counted) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// TestReportInJSON: the names are in snake_case, nothing is null that is a list, and whoever has the JSON can show the report.
func TestReportInJSON(t *testing.T) {
	w := newWorld(t)
	port := judge.FreePort(t)
	goRow{tls: clientAuth(tls.RequestClientCert)}.start(t, w, addr(port))
	for _, url := range []string{urlAt(port), "https://www.example.com:1/"} {
		found, err := Check(t.Context(), w.config(), Target{URL: url})
		require.NoError(t, err)
		text, err := json.Marshal(found)
		require.NoError(t, err)
		var tree any
		require.NoError(t, json.Unmarshal(text, &tree))
		walk(t, "", tree)
		var again Report
		require.NoError(t, json.Unmarshal(text, &again))
		require.Equal(t, Render(found, Style{Verbose: true}), Render(&again, Style{Verbose: true}))
	}
}

func walk(t *testing.T, path string, tree any) {
	t.Helper()
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			require.Regexp(t, snakeCase, name, path)
			walk(t, path+"/"+name, value)
		}
	case []any:
		for _, value := range tree {
			walk(t, path, value)
		}
	case nil:
		t.Errorf("%s is null", path)
	}
}

// TestMendsKnowNoSmuggling: what stands in a certificate's names does not reach a line of configuration.
func TestMendsKnowNoSmuggling(t *testing.T) {
	w := newWorld(t)
	evil := w.ca(t, "Evil\nSSLVerifyClient none\n\"; ssl_verify_client off; # ${jndi}", party{})
	port := judge.FreePort(t)
	goRow{tls: clientAuth(tls.NoClientCert)}.start(t, w, addr(port))
	config := w.config()
	config.ClientCAs = []*x509.Certificate{evil.certificate}
	found, err := Check(t.Context(), config, Target{URL: urlAt(port)})
	require.NoError(t, err)
	require.NotEmpty(t, found.Findings)
	for _, finding := range found.Findings {
		for _, mend := range finding.Mends {
			for _, line := range mend.Lines {
				require.NotRegexp(t, `\n|\$\{|Evil[^ ]*["; ]+ssl|Evil .*none`, line)
			}
		}
	}
}

// TestNothingIsAskedOfOthersForUs: an endpoint's name may lead to somebody else's server, which lets the platform in. It is not asked for a path that whoever
// owns the name has chosen, by anybody with a certificate of ours.
func TestNothingIsAskedOfOthersForUs(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name  string
		shown party
		asked bool
	}{{"their own", w.server, true}, {"expired", w.lapsed, true}, {"for another name", w.otherName, false}} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			asked := map[string]bool{}
			port := judge.FreePort(t)
			ours := x509.NewCertPool()
			ours.AddCert(w.root.certificate)
			goRow{handler: func(_ http.ResponseWriter, r *http.Request) {
				if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
					mu.Lock()
					defer mu.Unlock()
					asked[r.URL.Path] = true
				}
			}, tls: func(c *tls.Config, _ *world) {
				c.ClientAuth, c.ClientCAs, c.Certificates = tls.VerifyClientCertIfGiven, ours, []tls.Certificate{*test.shown.identity()}
			}}.start(t, w, addr(port))
			_, err := Check(t.Context(), w.config(), Target{URL: fmt.Sprintf("https://%s:%d/delete", host, port), Callback: []byte("{}")})
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			require.NotEmpty(t, asked)
			require.Equal(t, test.asked, asked["/delete"])
			require.Equal(t, !test.asked, asked["/"])
		})
	}
}
