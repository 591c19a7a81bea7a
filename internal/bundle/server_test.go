package bundle_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

func TestOnlyThePlatformEnters(t *testing.T) {
	for _, server := range bundle.Servers() {
		for shape, build := range hierarchies {
			t.Run(server+"/"+shape, func(t *testing.T) {
				h := build(t)
				s := open(t, h.input(t, pki.ECDSAP256, "www.example.com", "example.com"), server)
				callers := h.callers(t)
				s.judge(t, "www.example.com", callers...)
				s.check(t, h, pick(t, callers, "the platform", "another developer", "the platform, expired"))
			})
		}
	}
}

// check has the door check look at the site from outside.
func (s *site) check(t *testing.T, h hierarchy, canaries []caller) {
	t.Helper()
	client, server := h.client.certificate, x509.NewCertPool()
	require.True(t, server.AppendCertsFromPEM(h.server.root().Certificates))
	report, err := doorcheck.Check(t.Context(), doorcheck.Config{
		Dial: new(net.Dialer).DialContext,
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{s.addr.Addr()}, nil
		},
		Roots: server, ClientCAs: []*x509.Certificate{client},
		Canaries:    doorcheck.Canaries{Platform: canaries[0].certificate, Developer: canaries[1].certificate, Expired: canaries[2].certificate},
		ExpiresSoon: time.Hour,
	}, doorcheck.Target{URL: fmt.Sprintf("https://www.example.com:%d/callback", s.addr.Port())})
	require.NoError(t, err)
	shown := doorcheck.Render(report, doorcheck.Style{Verbose: true})
	require.Equal(t, doorcheck.Yes, report.AdmitsPlatform.Answer, shown)
	require.Equal(t, doorcheck.Yes, report.RefusesStrangers.Answer, shown)
	require.Equal(t, doorcheck.Healthy, report.Summary, shown)
}

func TestNobodyPassesForThePlatform(t *testing.T) {
	judge.Long(t)
	for _, server := range bundle.Servers() {
		t.Run(server, func(t *testing.T) {
			h := hierarchies["direct"](t)
			s := open(t, h.input(t, pki.ECDSAP256, "www.example.com"), server)
			impostors := h.impostors(t)
			if server == "caddy" { // as README.txt says
				impostors = slices.DeleteFunc(impostors, func(c caller) bool { return c.name == "second name" || c.name == "two at once" })
			}
			s.judge(t, "www.example.com", impostors...)
		})
	}
}

func TestEveryKindOfCertificate(t *testing.T) {
	judge.Long(t)
	for _, test := range []struct {
		name  string
		kind  pki.KeyType
		names []string
		call  []string
	}{
		{"RSA", pki.RSA2048, []string{"www.example.com"}, []string{"www.example.com"}},
		{"P-384", pki.ECDSAP384, []string{"www.example.com"}, []string{"www.example.com"}},
		{"wildcard", pki.ECDSAP256, []string{"*.example.com"}, []string{"www.example.com", "im.example.com"}},
		{"wildcard and its base", pki.ECDSAP256, []string{"*.example.com", "example.com"}, []string{"im.example.com", "example.com"}},
		{"international", pki.ECDSAP256, []string{"münchen.example"}, []string{"xn--mnchen-3ya.example"}},
		{"IPv4", pki.ECDSAP256, []string{"127.0.0.1"}, []string{"127.0.0.1"}},
		{"IPv6", pki.ECDSAP256, []string{"::1"}, []string{"::1"}},
		{"a name and an address", pki.ECDSAP256, []string{"127.0.0.1", "www.example.com"}, []string{"127.0.0.1", "www.example.com"}},
		{"long names", pki.ECDSAP256, longNames(100), []string{longNames(1)[0], longNames(100)[99], "im." + longNames(1)[1][2:]}},
	} {
		for _, server := range bundle.Servers() {
			if neighbours[server] == "" && !slices.Contains(ofAnyServer, test.name) {
				continue // it asks nobody for a name
			}
			t.Run(test.name+"/"+server, func(t *testing.T) {
				h := hierarchies["issuing"](t)
				in := h.input(t, test.kind, test.names...)
				if test.name == "IPv6" {
					in.Listen = netip.AddrPortFrom(netip.IPv6Loopback(), uint16(judge.FreePort(t)))
				}
				s := unpack(t, in, server)
				if neighbours[server] != "" && !slices.ContainsFunc(test.names, func(text string) bool { return name(t, text).IsIP() }) {
					s.settle(t, h, server) // our names must be told from others, but with an address the site has to be the first
				}
				s.start(t, server)
				callers := pick(t, h.callers(t), "nobody", "the platform", "another developer, clientAuth")
				for _, host := range test.call {
					if server == "caddy" && name(t, host).IsIP() { // as README.txt says
						callers = pick(t, h.callers(t), "nobody", "another developer, clientAuth")
					}
					s.judge(t, host, callers...)
				}
			})
		}
	}
}

// ofAnyServer are the kinds of certificates that make a difference even to a server which is there for one site alone.
var ofAnyServer = []string{"RSA", "IPv6"}

// longNames are as long as names and labels can be.
func longNames(count int) []string {
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("n%02d%s.%s.%s.%s", i, strings.Repeat("a", 60), strings.Repeat("b", 63), strings.Repeat("c", 63), strings.Repeat("d", 61)))
	}
	return append(names, "*."+names[0][64:])
}

// Who enters by the door of another site of the same server must not get into ours, and the other way round.
func TestNeighboursAreNoWayIn(t *testing.T) {
	for server := range neighbours {
		t.Run(server, func(t *testing.T) {
			h := hierarchies["direct"](t)
			s := unpack(t, h.input(t, pki.ECDSAP256, "www.example.com"), server)
			s.settle(t, h, server)
			s.start(t, server)
			for _, version := range versions {
				status, err := s.call(t, version, "other.example", "other.example", nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusNoContent, status, "the neighbour is not at home")
				for _, c := range pick(t, h.callers(t), "nobody", "another developer, clientAuth", "the platform") {
					status, err = s.call(t, version, "other.example", "www.example.com", c.certificate)
					requireRefusal(t, status, err)
				}
			}
		})
	}
}

// The application stands behind the door, not beside it.
func TestApplication(t *testing.T) {
	tryOut := map[string][]string{
		"apache":  {"        ErrorDocument 200 \"The platform is let in.\"\n        Redirect 200 \"/\"\n        #ProxyPass", "        ProxyPass"},
		"nginx":   {"        default_type text/plain;\n        return 200 \"The platform is let in.\\n\";\n        #proxy_pass", "        proxy_pass"},
		"haproxy": {"    http-request return status 200 content-type text/plain string \"The platform is let in.\"\n", ""},
		"caddy":   {"        respond \"The platform is let in.\"\n        #reverse_proxy", "        reverse_proxy"},
	}
	for server := range tryOut {
		t.Run(server, func(t *testing.T) {
			var asked atomic.Int32
			application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && r.URL.String() == "/callback?SdkAppid=1" {
					asked.Add(1)
				}
			}))
			defer application.Close()
			h := hierarchies["direct"](t)
			s := unpack(t, h.input(t, pki.ECDSAP256, "www.example.com"), server)
			s.edit(t, server, tryOut[server]...)
			s.edit(t, server, "127.0.0.1:8080", application.Listener.Addr().String())
			s.start(t, server)

			callers := h.callers(t)
			s.judge(t, "www.example.com", pick(t, callers, "the platform")...)
			require.EqualValues(t, len(versions), asked.Load())
			s.judge(t, "www.example.com", slices.DeleteFunc(callers, func(c caller) bool { return c.enters })...)
			require.EqualValues(t, len(versions), asked.Load())
		})
	}
}

// Old TLS stays out, even where the rest of the server would still speak it.
func TestOldTLS(t *testing.T) {
	lenient := map[string]string{
		"apache": "SSLProtocol all\nSSLCipherSuite DEFAULT@SECLEVEL=0\n",
		"nginx":  "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;\nssl_ciphers DEFAULT@SECLEVEL=0;\n",
	}
	ours := map[string]string{
		"apache": "    SSLProtocol -all +TLSv1.2 +TLSv1.3\n",
		"nginx":  "    ssl_protocols TLSv1.2 TLSv1.3;\n",
	}
	for server := range lenient {
		t.Run(server, func(t *testing.T) {
			h := hierarchies["direct"](t)
			s := unpack(t, h.input(t, pki.ECDSAP256, "www.example.com"), server)
			s.before = lenient[server]
			s.start(t, server)
			caller := pick(t, h.callers(t), "the platform")[0]
			for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				_, err := s.call(t, version, "www.example.com", "www.example.com", caller.certificate)
				require.ErrorContains(t, err, "protocol version not supported")
			}
			s.edit(t, server, ours[server], "")
			s.reload(t)
			status, err := s.call(t, tls.VersionTLS11, "www.example.com", "www.example.com", caller.certificate)
			require.NoError(t, err, "nothing was shown: this server would not have spoken it anyway")
			require.Equal(t, http.StatusOK, status)
		})
	}
}
