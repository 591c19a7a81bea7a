package validate

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/phrasebook"
	"github.com/imca-project/imca/internal/pki"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// The tests' Internet is 127.0.10.0/24: each address there is another host, and
// the rest of loopback is as forbidden as everywhere.
const internet = "127.0.10.0/24"

const (
	token            = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	keyAuthorization = token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

type setup struct {
	Config
	resolver string
	timeout  time.Duration // of one DNS question
}

// validator makes a Validator for the tests' Internet.
func validator(t testing.TB, s setup) *Validator {
	t.Helper()
	if s.timeout == 0 {
		s.timeout = 10 * time.Second
	}
	guard, err := egress.New(egress.Config{
		Allow:      []netip.Prefix{netip.MustParsePrefix(internet)},
		Resolver:   s.resolver,
		DNSTimeout: s.timeout,
		DNSTries:   2,
		MaxTime:    time.Hour,
	})
	require.NoError(t, err)
	s.Guard = guard
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	v, err := New(s.Config)
	require.NoError(t, err)
	return v
}

func name(t testing.TB, text string) pki.Name {
	t.Helper()
	n, err := pki.ParseName(text)
	require.NoError(t, err)
	return n
}

// listen listens on a host of the tests' Internet.
func listen(t testing.TB, host string, port uint16) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func freePort(t testing.TB) uint16 { return uint16(judge.FreePort(t)) }

// requireError holds an attempt's failure against what the applicant must read.
func requireError(t testing.TB, err error, kind Kind, says ...string) {
	t.Helper()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, kind, failed.Kind, failed.Detail)
	for _, s := range says {
		require.Contains(t, failed.Detail, s)
	}
	for _, r := range failed.Detail {
		require.True(t, r == '…' || r >= ' ' && r <= '~', "%q shows %q", failed.Detail, r)
	}
	require.Less(t, len(failed.Detail), 1200)
	parts := chinese(t).Translate(failed.Detail) // in whose middle a library may have its say
	require.False(t, parts[0].Foreign, "%q cannot be read in Chinese: %q", failed.Detail, parts)
	require.False(t, parts[len(parts)-1].Foreign, "%q cannot be read in Chinese: %q", failed.Detail, parts)
}

// resolverFor serves one name at 127.0.10.1.
func resolverFor(t testing.TB, host string) string {
	return serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		switch {
		case !strings.EqualFold(q.Question[0].Name, dns.Fqdn(host)):
			reply.Rcode = dns.RcodeNameError
		case q.Question[0].Qtype == dns.TypeA:
			reply.Answer = []dns.RR{&dns.A{A: net.IPv4(127, 0, 10, 1),
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}}}
		}
		w.WriteMsg(reply)
	})
}

// serveDNS serves DNS by UDP on 127.0.0.1, as told.
func serveDNS(t testing.TB, serve dns.HandlerFunc) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(judge.FreePort(t))))
	require.NoError(t, err)
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: serve, NotifyStartedFunc: func() { close(started) }}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		server.Shutdown()
		<-ended
	})
	return conn.LocalAddr().String()
}

func TestNewRefusesIdentity(t *testing.T) {
	for _, bad := range []string{"", ".", "ca example", "https://ca.example", "-ca.example"} {
		_, err := New(Config{CAIdentities: []string{bad}})
		require.ErrorContains(t, err, "write a domain name", bad)
	}
	_, err := New(Config{})
	require.NoError(t, err)
}

// chinese is the book by which failures are read in Chinese.
func chinese(t testing.TB) *phrasebook.Book {
	t.Helper()
	book, err := phrasebook.Open("zh-CN")
	require.NoError(t, err)
	return book
}
