package egress

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// maxAliases bounds how many CNAMEs lead from a name to its records.
const maxAliases = 8

// CAA is a Certification Authority Authorization record (RFC 8659, Section 4.1).
type CAA struct {
	Critical bool
	Tag      string // as published: compare without regard to case
	Value    string
}

// Resolve returns the addresses of a host, IPv6 first, unjudged; an address in
// text is its own answer. It fails with *DNSError only if there is no address at
// all.
func (g *Guard) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	var six, four []dns.RR
	var sixErr, fourErr error
	var both sync.WaitGroup
	both.Go(func() { six, _, sixErr = g.lookup(ctx, host, dns.TypeAAAA) })
	both.Go(func() { four, _, fourErr = g.lookup(ctx, host, dns.TypeA) })
	both.Wait()

	var addrs []netip.Addr
	for _, rr := range append(six, four...) {
		switch rr := rr.(type) {
		case *dns.AAAA:
			if addr, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok {
				addrs = append(addrs, addr)
			}
		case *dns.A:
			if addr, ok := netip.AddrFromSlice(rr.A.To4()); ok {
				addrs = append(addrs, addr)
			}
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, addressError(host, fourErr, sixErr)
}

// addressError joins the failures of both families: one that failed says more
// than one that found nothing.
func addressError(host string, four, six error) error {
	var dnsErr *DNSError
	if errors.As(four, &dnsErr) && !dnsErr.Absent() {
		return four
	}
	if errors.As(six, &dnsErr) && !dnsErr.Absent() {
		return six
	}
	if errors.As(four, &dnsErr) && dnsErr.Kind == NoName {
		return four
	}
	return &DNSError{Name: host, Type: "A and AAAA", Kind: NoData, Detail: "publish an A or AAAA record for it"}
}

// LookupTXT returns the TXT records of a name, each with its strings joined, and
// the name at which they stand after CNAMEs. Absence is a *DNSError too.
func (g *Guard) LookupTXT(ctx context.Context, name string) (texts []string, at string, err error) {
	rrs, at, err := g.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, "", err
	}
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, unescape(strings.Join(txt.Txt, "")))
		}
	}
	return texts, at, nil
}

// LookupCAA returns the CAA records of exactly this name (CNAMEs followed), not of
// its parents. Absence is a *DNSError too.
func (g *Guard) LookupCAA(ctx context.Context, name string) ([]CAA, error) {
	rrs, _, err := g.lookup(ctx, name, dns.TypeCAA)
	if err != nil {
		return nil, err
	}
	var records []CAA
	for _, rr := range rrs {
		if caa, ok := rr.(*dns.CAA); ok {
			// RFC 8659, Section 4.1: bit 0 is the most significant.
			records = append(records, CAA{Critical: caa.Flag&0x80 != 0, Tag: unescape(caa.Tag), Value: caa.Value})
		}
	}
	return records, nil
}

// lookup asks for the records of one type at a name. CNAMEs are followed from the
// name asked for, link by link; records that no link leads to are not looked at.
// Where an answer ends in a CNAME, its target is asked for anew.
func (g *Guard) lookup(ctx context.Context, name string, qtype uint16) (records []dns.RR, at string, err error) {
	fault := func(kind DNSKind) *DNSError {
		return &DNSError{Name: strings.TrimSuffix(name, "."), Type: dns.TypeToString[qtype], Kind: kind}
	}
	if _, ok := dns.IsDomainName(name); !ok || strings.Trim(name, ".") == "" {
		return nil, "", fault(BadName)
	}
	name = dns.CanonicalName(name)
	for left := maxAliases; ; {
		reply, err := g.ask(ctx, name, qtype)
		if err != nil {
			return nil, "", err
		}
		asked := name
		for {
			if records := owned(reply, name, qtype); len(records) > 0 {
				return records, strings.TrimSuffix(name, "."), nil
			}
			alias := owned(reply, name, dns.TypeCNAME)
			if len(alias) == 0 {
				break
			}
			if left--; left < 0 {
				return nil, "", fault(EndlessWay)
			}
			name = dns.CanonicalName(alias[0].(*dns.CNAME).Target)
		}
		// RFC 6604, Section 3: the response code speaks of the last name.
		if reply.Rcode == dns.RcodeNameError {
			return nil, "", fault(NoName)
		}
		if name == asked {
			return nil, "", fault(NoData)
		}
	}
}

// owned returns the answers of one type at one name.
func owned(reply *dns.Msg, name string, rrtype uint16) []dns.RR {
	var found []dns.RR
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Rrtype == rrtype && h.Class == dns.ClassINET && dns.CanonicalName(h.Name) == name {
			found = append(found, rr)
		}
	}
	return found
}

// unescape turns the library's presentation form (RFC 1035, Section 5.1: \" \\
// \DDD) into the octets that were sent.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	octets := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			octets = append(octets, s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			octets = append(octets, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			octets = append(octets, s[i+1])
			i++
		}
	}
	return string(octets)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
