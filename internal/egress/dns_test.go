package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/judge"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// TestRealNameserver asks Knot, which has everything that a zone may hold.
func TestRealNameserver(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 15) // 240 octets
	zone := `
www        A     192.0.2.1
www        A     192.0.2.2
www        AAAA  2001:db8::1
six        AAAA  2001:db8::6
alias      CNAME www
far        CNAME www.other.test.
nowhere    CNAME nothing.other.test.
ring1      CNAME ring2
ring2      CNAME ring1
*.wild     TXT   "from a wildcard"
text       TXT   "one"
text       TXT   "two " "parts"
text       TXT   "quote \" backslash \\ octet \200"
big        TXT   ` + strings.Repeat(`"`+big+`" `, 18) + `
dname      DNAME other.test.
caa        CAA   0 issue "ca.example; a=b"
caa        CAA   128 ISSUEWILD ";"
mail       MX    10 www
`
	for i := range 10 {
		zone += fmt.Sprintf("chain%d CNAME chain%d\n", i, i+1)
	}
	zone += `chain10 TXT "the end"`
	server := judge.Knot(t, map[string]string{
		"example.test": zone,
		"other.test":   "www A 192.0.2.9\nwww TXT \"other\"\n",
	})
	g := guard(t, Config{Resolver: server.Addr, DNSTimeout: 10 * time.Second})
	ctx := t.Context()

	for name, want := range map[string][]string{
		"www.example.test":       {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"WWW.Example.TEST.":      {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"six.example.test":       {"2001:db8::6"},
		"alias.example.test":     {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"far.example.test":       {"192.0.2.9"},
		"www.dname.example.test": {"192.0.2.9"},
		"192.0.2.77":             {"192.0.2.77"},
		"2001:db8::77":           {"2001:db8::77"},
	} {
		addrs, err := g.Resolve(ctx, name)
		require.NoError(t, err, name)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		require.ElementsMatch(t, want, got, name)
	}
	for name, kind := range map[string]DNSKind{
		"missing.example.test": NoName,
		"nowhere.example.test": NoName,
		"mail.example.test":    NoData,
		"ring1.example.test":   EndlessWay,
		"www.elsewhere.test":   Failed, // Knot refuses what it does not serve
		"":                     BadName,
		"a..b":                 BadName,
		strings.Repeat("a", 64) + ".example.test": BadName,
	} {
		_, err := g.Resolve(ctx, name)
		var dnsErr *DNSError
		require.ErrorAs(t, err, &dnsErr, name)
		require.Equal(t, kind, dnsErr.Kind, "%s: %v", name, err)
		require.Equal(t, kind == NoName || kind == NoData, dnsErr.Absent())
	}

	texts, at, err := g.LookupTXT(ctx, "text.example.test")
	require.NoError(t, err)
	require.Equal(t, "text.example.test", at)
	require.ElementsMatch(t, []string{"one", "two parts", "quote \" backslash \\ octet \xc8"}, texts)

	texts, at, err = g.LookupTXT(ctx, "far.example.test")
	require.NoError(t, err)
	require.Equal(t, "www.other.test", at)
	require.Equal(t, []string{"other"}, texts)

	texts, _, err = g.LookupTXT(ctx, "anything.wild.example.test")
	require.NoError(t, err)
	require.Equal(t, []string{"from a wildcard"}, texts)

	texts, _, err = g.LookupTXT(ctx, "big.example.test") // truncated by UDP, whole by TCP
	require.NoError(t, err)
	require.Equal(t, []string{strings.Repeat(big, 18)}, texts)
	require.Greater(t, len(texts[0]), 4096)

	_, _, err = g.LookupTXT(ctx, "chain2.example.test")
	require.NoError(t, err)
	_, _, err = g.LookupTXT(ctx, "chain1.example.test")
	require.ErrorContains(t, err, string(EndlessWay))

	records, err := g.LookupCAA(ctx, "caa.example.test")
	require.NoError(t, err)
	require.ElementsMatch(t, []CAA{
		{Critical: false, Tag: "issue", Value: "ca.example; a=b"},
		{Critical: true, Tag: "ISSUEWILD", Value: ";"},
	}, records)

	server.Replace(t, "other.test", "www TXT \"replaced\"\n")
	texts, _, err = g.LookupTXT(ctx, "www.other.test")
	require.NoError(t, err)
	require.Equal(t, []string{"replaced"}, texts)
}

// TestLyingNameserver asks servers that do what no server should.
func TestLyingNameserver(t *testing.T) {
	answer := func(q *dns.Msg, records ...string) *dns.Msg {
		reply := new(dns.Msg).SetReply(q)
		for _, r := range records {
			rr, err := dns.NewRR(r)
			require.NoError(t, err)
			reply.Answer = append(reply.Answer, rr)
		}
		return reply
	}
	truth := func(q *dns.Msg) *dns.Msg { return answer(q, q.Question[0].Name+` 1 TXT "truth"`) }
	lie := func(q *dns.Msg) *dns.Msg { return answer(q, q.Question[0].Name+` 1 TXT "lie"`) }

	for name, test := range map[string]struct {
		serve func(w dns.ResponseWriter, q *dns.Msg)
		want  string  // the record, or
		kind  DNSKind // the failure
	}{
		"forged datagrams before the true one": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			for _, spoil := range []func(m *dns.Msg){
				func(m *dns.Msg) { m.Id++ },
				func(m *dns.Msg) { m.Question[0].Name = "other.example.test." },
				func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA },
				func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
				func(m *dns.Msg) { m.Question = nil },
				func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
				func(m *dns.Msg) { m.Response = false },
				func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus },
			} {
				m := lie(q)
				m.Question = append([]dns.Question(nil), m.Question...)
				spoil(m)
				w.WriteMsg(m)
			}
			w.Write([]byte{1, 2, 3})
			w.Write(make([]byte, 40))
			w.WriteMsg(truth(q))
		}, want: "truth"},
		"another id": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := lie(q)
			m.Id ^= 1
			w.WriteMsg(m)
		}, kind: BadAnswer},
		"another question": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := lie(q)
			m.Question[0].Name = "other.example.test."
			w.WriteMsg(m)
		}, kind: BadAnswer},
		"silence": {serve: func(dns.ResponseWriter, *dns.Msg) {}, kind: NoAnswer},
		"case lost by UDP: asked again by TCP": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := lie(q)
			if isTCP(w) {
				m = truth(q)
			}
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
			w.WriteMsg(m)
		}, want: "truth"},
		"case lost and nothing by TCP": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			if isTCP(w) {
				w.Close()
				return
			}
			m := lie(q)
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
			w.WriteMsg(m)
		}, kind: BadAnswer},
		"truncated by UDP, whole by TCP": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := truth(q)
			if !isTCP(w) {
				m.Truncated, m.Answer = true, nil
			}
			w.WriteMsg(m)
		}, want: "truth"},
		"another question by TCP": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := lie(q)
			m.Truncated = true
			if isTCP(w) {
				m.Question[0].Name = "other.example.test."
			}
			w.WriteMsg(m)
		}, kind: BadAnswer},
		"records of other names": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(answer(q, `other.example.test. 1 TXT "lie"`, `www.example.test. 1 A 192.0.2.1`))
		}, kind: NoData},
		"a CNAME of another name": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(answer(q, `other.example.test. 1 CNAME liar.test.`, `liar.test. 1 TXT "lie"`))
		}, kind: NoData},
		"records in the wrong section": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			m := lie(q)
			m.Extra, m.Answer = m.Answer, nil
			w.WriteMsg(m)
		}, kind: NoData},
		"a record of another class": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(answer(q, q.Question[0].Name+` 1 CH TXT "lie"`))
		}, kind: NoData},
		"CNAME to itself": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(answer(q, q.Question[0].Name+" 1 CNAME "+q.Question[0].Name))
		}, kind: EndlessWay},
		"CNAMEs for ever": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(answer(q, q.Question[0].Name+" 1 CNAME x"+q.Question[0].Name))
		}, kind: EndlessWay},
		"SERVFAIL": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		}, kind: Failed},
		"REFUSED": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
		}, kind: Failed},
		"NXDOMAIN": {serve: func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		}, kind: NoName},
		"nothing": {serve: func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(answer(q)) }, kind: NoData},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 10 * time.Second
			if test.kind == NoAnswer || test.kind == BadAnswer {
				timeout = 200 * time.Millisecond // what is waited for never comes
			}
			g := guard(t, Config{Resolver: hostile(t, test.serve), DNSTimeout: timeout, DNSTries: 2})
			texts, _, err := g.LookupTXT(t.Context(), "www.example.test")
			if test.kind == "" {
				require.NoError(t, err)
				require.Equal(t, []string{test.want}, texts)
				return
			}
			var dnsErr *DNSError
			require.ErrorAs(t, err, &dnsErr)
			require.Equal(t, test.kind, dnsErr.Kind, err.Error())
			require.Empty(t, texts)
		})
	}
}

func TestAsking(t *testing.T) {
	t.Run("a failed server is asked again", func(t *testing.T) {
		var asked atomic.Int32
		g := guard(t, Config{DNSTimeout: 10 * time.Second, Resolver: hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			if asked.Add(1) == 3 {
				reply = new(dns.Msg).SetRcode(q, dns.RcodeNameError)
			}
			w.WriteMsg(reply)
		})})
		_, _, err := g.LookupTXT(t.Context(), "www.example.test")
		require.ErrorContains(t, err, string(NoName))
	})
	t.Run("the next server is asked", func(t *testing.T) {
		dead := judge.FreeAddr(t)
		alive := hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		})
		g := guard(t, Config{DNSTimeout: 10 * time.Second})
		g.servers = func() ([]string, error) { return []string{dead, alive}, nil }
		_, _, err := g.LookupTXT(t.Context(), "www.example.test")
		require.ErrorContains(t, err, string(NoName))
	})
	t.Run("a cancelled context ends it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := guard(t, Config{DNSTimeout: time.Hour, Resolver: hostile(t, func(dns.ResponseWriter, *dns.Msg) { cancel() })})
		_, _, err := g.LookupTXT(ctx, "www.example.test")
		require.ErrorContains(t, err, string(NoAnswer))
	})
	t.Run("what is asked", func(t *testing.T) {
		seen := make(chan *dns.Msg, 20)
		g := guard(t, Config{DNSTimeout: 10 * time.Second, Resolver: hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
			seen <- q
			w.WriteMsg(new(dns.Msg).SetReply(q))
		})})
		name := "a-rather-long-name-with-many-letters.example.test."
		spellings := map[string]bool{}
		for range 10 {
			_, _, err := g.LookupTXT(t.Context(), name)
			require.ErrorContains(t, err, string(NoData))
			q := <-seen
			require.True(t, q.RecursionDesired)
			require.Equal(t, uint16(1232), q.IsEdns0().UDPSize())
			require.Equal(t, name, strings.ToLower(q.Question[0].Name))
			spellings[q.Question[0].Name] = true
		}
		require.Len(t, spellings, 10) // of 2^43
	})
	t.Run("half an answer is enough", func(t *testing.T) {
		g := guard(t, Config{DNSTimeout: 10 * time.Second, Resolver: hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			if q.Question[0].Qtype == dns.TypeA {
				reply = addressReply(q, "192.0.2.1")
			}
			w.WriteMsg(reply)
		})})
		addrs, err := g.Resolve(t.Context(), "www.example.test")
		require.NoError(t, err)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, addrs)
	})
	t.Run("a failure is not an absence", func(t *testing.T) {
		g := guard(t, Config{DNSTimeout: 10 * time.Second, Resolver: hostile(t, func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg).SetReply(q)
			if q.Question[0].Qtype == dns.TypeAAAA {
				reply = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			w.WriteMsg(reply)
		})})
		_, err := g.Resolve(t.Context(), "www.example.test")
		require.ErrorContains(t, err, string(Failed))
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte(`plain`))
	f.Add([]byte("quote \" backslash \\ octet \xc8 \x00"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		octets = octets[:min(len(octets), 255)]
		// What goes over the wire comes back as the same octets.
		wire := append([]byte("\x00\x01\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00"),
			byte((len(octets)+1)>>8), byte(len(octets)+1), byte(len(octets)))
		var m dns.Msg
		require.NoError(t, m.Unpack(append(wire, octets...)))
		require.Equal(t, string(octets), unescape(strings.Join(m.Answer[0].(*dns.TXT).Txt, "")))
	})
}

// hostile serves DNS by UDP and TCP on one port of 127.0.0.1, as told.
func hostile(t testing.TB, serve func(w dns.ResponseWriter, q *dns.Msg)) string {
	t.Helper()
	port := judge.FreePort(t)
	tcp, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	require.NoError(t, err)
	for _, server := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		started := make(chan struct{})
		server.Handler = dns.HandlerFunc(serve)
		server.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			server.Shutdown()
			<-ended
		})
	}
	return tcp.Addr().String()
}

func isTCP(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }

func addressReply(q *dns.Msg, addrs ...string) *dns.Msg {
	reply := new(dns.Msg).SetReply(q)
	for _, text := range addrs {
		addr := netip.MustParseAddr(text)
		header := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Rrtype: q.Question[0].Qtype}
		switch {
		case addr.Is4() && header.Rrtype == dns.TypeA:
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: addr.AsSlice()})
		case addr.Is6() && header.Rrtype == dns.TypeAAAA:
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	return reply
}
