package egress

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// ednsSize is the largest UDP answer that crosses the Internet unfragmented
	// (DNS Flag Day 2020).
	ednsSize = 1232
	// udpBuffer takes what a server sends in spite of that.
	udpBuffer = 4096
)

// ask puts one question to the servers in turn until one answers it: with
// records, or with "no such name". A server that fails, or is silent, passes the
// question on to the next; after the last it starts over, dnsTries times in all.
func (g *Guard) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	fault := func(kind DNSKind, detail string) *DNSError {
		return &DNSError{Name: strings.TrimSuffix(name, "."), Type: dns.TypeToString[qtype], Kind: kind, Detail: detail}
	}
	servers, err := g.servers()
	if err != nil {
		return nil, fault(Failed, err.Error())
	}
	last := fault(NoAnswer, "no server is configured")
	for range g.dnsTries {
		for _, server := range servers {
			reply, err := g.askServer(ctx, server, name, qtype)
			var misfit *misfitError
			switch {
			case errors.As(err, &misfit):
				last = fault(BadAnswer, err.Error())
			case err != nil:
				last = fault(NoAnswer, err.Error())
			case reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError:
				return reply, nil
			default:
				last = fault(Failed, fmt.Sprintf("%s: %s", server, rcodeText(reply.Rcode)))
			}
			if ctx.Err() != nil {
				return nil, last
			}
		}
	}
	return nil, last
}

// misfitError says that what came back does not answer the question.
type misfitError struct{ what string }

func (e *misfitError) Error() string { return e.what }

// askServer asks by UDP with the letters of the name in random case (0x20), which
// the answer must repeat: 16 bits of id, the source port, and a bit for every
// letter stand between a forger and the cache of nobody.
//
// A truncated answer is asked for again by TCP, and so is one whose case differs:
// there a stranger off the path cannot answer, and case need not match. A server
// that mangles the case is thus served at the price of a second question; one
// that mangles it and speaks no TCP is not served.
func (g *Guard) askServer(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, g.dnsTimeout)
	defer cancel()
	query := new(dns.Msg).SetQuestion(randomCase(name), qtype)
	query.SetEdns0(ednsSize, false)
	reply, sameCase, err := exchange(ctx, "udp", server, query)
	if err != nil {
		return nil, err
	}
	if sameCase && !reply.Truncated {
		return reply, nil
	}
	query.Id = dns.Id()
	reply, _, err = exchange(ctx, "tcp", server, query)
	return reply, err
}

// exchange sends a query and waits for its answer until the context ends. On UDP
// whatever does not answer the query is passed over, so that a stray or forged
// datagram ends nothing; on TCP it is an error.
func exchange(ctx context.Context, network, server string, query *dns.Msg) (reply *dns.Msg, sameCase bool, err error) {
	// The operator's own server: the one connection that is not judged.
	raw, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, false, err
	}
	defer raw.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, false, err
		}
	}
	// A deadline is not the only way for a context to end.
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()

	conn := &dns.Conn{Conn: raw, UDPSize: udpBuffer}
	if err := conn.WriteMsg(query); err != nil {
		return nil, false, err
	}
	var misfit *misfitError
	for {
		reply, err := conn.ReadMsg()
		if netErr := net.Error(nil); errors.As(err, &netErr) {
			if misfit != nil {
				return nil, false, fmt.Errorf("%s, by %s: %w", server, network, misfit)
			}
			return nil, false, err
		}
		fits, same := answers(reply, err, query)
		if fits == nil {
			return reply, same, nil
		}
		if network == "tcp" {
			return nil, false, fmt.Errorf("%s, by %s: %w", server, network, fits)
		}
		misfit = fits
	}
}

// answers tells whether a message is the answer to a query (RFC 5452, Section
// 9.1), and whether it repeats the case of the name.
func answers(reply *dns.Msg, err error, query *dns.Msg) (misfit *misfitError, sameCase bool) {
	if err != nil {
		return &misfitError{"unreadable: " + err.Error()}, false
	}
	asked := query.Question[0]
	switch {
	case !reply.Response || reply.Opcode != dns.OpcodeQuery:
		return &misfitError{"not an answer"}, false
	case reply.Id != query.Id:
		return &misfitError{"an answer with another id"}, false
	case len(reply.Question) != 1:
		return &misfitError{fmt.Sprintf("an answer to %d questions", len(reply.Question))}, false
	}
	got := reply.Question[0]
	if got.Qtype != asked.Qtype || got.Qclass != asked.Qclass || !strings.EqualFold(got.Name, asked.Name) {
		return &misfitError{"an answer to another question"}, false
	}
	return nil, got.Name == asked.Name
}

// randomCase gives every letter of a name a random case.
func randomCase(name string) string {
	bits := make([]byte, len(name))
	rand.Read(bits) // never fails since Go 1.24
	mixed := []byte(name)
	for i, c := range mixed {
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			mixed[i] = c ^ bits[i]&0x20
		}
	}
	return string(mixed)
}

func rcodeText(rcode int) string {
	text, known := dns.RcodeToString[rcode]
	if !known {
		text = fmt.Sprintf("response code %d", rcode)
	}
	switch rcode {
	case dns.RcodeServerFailure:
		text += "; a name server of this zone is down, or its DNSSEC signatures do not verify"
	case dns.RcodeRefused:
		text += "; the resolver does not serve this name"
	}
	return text
}

// systemServers reads the system's resolvers; where there is no file, that is
// this machine's own, as for the C library.
func systemServers() ([]string, error) {
	const path = "/etc/resolv.conf"
	config, err := dns.ClientConfigFromFile(path)
	if err != nil || len(config.Servers) == 0 {
		return []string{"127.0.0.1:53"}, nil
	}
	servers := make([]string, len(config.Servers))
	for i, s := range config.Servers {
		servers[i] = net.JoinHostPort(s, config.Port)
	}
	return servers, nil
}

// parseServer reads ADDRESS or ADDRESS:PORT. A host name would need a resolver.
func parseServer(s string) (string, error) {
	if at, err := netip.ParseAddrPort(s); err == nil && at.Port() != 0 {
		return at.String(), nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), nil
	}
	return "", fmt.Errorf("resolver %q: write its address, and the port if it is not 53: 192.0.2.53 or [2001:db8::53]:5353", s)
}
