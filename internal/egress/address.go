package egress

import (
	"fmt"
	"net/netip"
	"slices"
)

// closed lists the ranges that no stranger may send imca to: everything that the
// IANA special-purpose address registries (RFC 6890, as updated by RFC 8190) do
// not call globally reachable, the anycast and tunnel blocks in which no
// developer's server lives, multicast, and the addresses at which clouds hand out
// their machines' credentials. The first match names the reason.
var closed = []struct {
	prefix netip.Prefix
	what   string
}{
	// Metadata services. Most stand inside a range below; they are named
	// because their operators search the logs for them.
	{netip.MustParsePrefix("169.254.169.254/32"), "a cloud metadata service"},
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud metadata service"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud metadata service"}, // Azure's, in public space
	{netip.MustParsePrefix("192.0.0.192/32"), "a cloud metadata service"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a cloud metadata service"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "a cloud metadata service"},

	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified (RFC 1122, Section 3.2.1.3)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private network (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback (RFC 1122, Section 3.2.1.3)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (RFC 3927)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private network (RFC 1918)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols (RFC 6890)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("192.31.196.0/24"), "an AS112 sink (RFC 7535)"},
	{netip.MustParsePrefix("192.52.193.0/24"), "a multicast tunnel relay (RFC 7450)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay (RFC 7526)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private network (RFC 1918)"},
	{netip.MustParsePrefix("192.175.48.0/24"), "an AS112 sink (RFC 7534)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks (RFC 2544)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation (RFC 5737)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast (RFC 5771)"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast (RFC 919)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved (RFC 1112)"},

	{netip.MustParsePrefix("::/128"), "unspecified (RFC 4291)"},
	{netip.MustParsePrefix("::1/128"), "loopback (RFC 4291)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local-use NAT64 (RFC 8215)"},
	{netip.MustParsePrefix("100::/64"), "discard-only (RFC 6666)"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "the dummy prefix (RFC 9780)"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo tunnel (RFC 4380)"},
	{netip.MustParsePrefix("2001:2::/48"), "for benchmarks (RFC 5180)"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols (RFC 2928)"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation (RFC 3849)"},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 tunnel (RFC 3056)"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "an AS112 sink (RFC 7534)"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation (RFC 9637)"},
	{netip.MustParsePrefix("5f00::/16"), "for segment routing (RFC 9602)"},
	{netip.MustParsePrefix("fc00::/7"), "a private network (RFC 4193)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local (RFC 4291)"},
	{netip.MustParsePrefix("fec0::/10"), "site-local (RFC 3879)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast (RFC 4291)"},
}

var (
	// globalUnicast is the only IPv6 space that IANA has given out.
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 is where an IPv6-only machine reaches IPv4 servers (RFC 6052): open
	// as such, and judged by the IPv4 address inside.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")

	nat64Local     = netip.MustParsePrefix("64:ff9b:1::/48")          // RFC 8215
	v4Compatible   = netip.MustParsePrefix("::/96")                   // RFC 4291, Section 2.5.5.1
	v4Translated   = netip.MustParsePrefix("::ffff:0:0:0/96")         // RFC 2765, Section 2.1
	sixToFour      = netip.MustParsePrefix("2002::/16")               // RFC 3056
	teredo         = netip.MustParsePrefix("2001::/32")               // RFC 4380
	isatapPatterns = [][]byte{{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}} // RFC 5214, Section 6.1
)

// judge returns nil if the address may be dialled. Every reading of it must be
// public or in an allowed range.
func (g *Guard) judge(addr netip.Addr) *RefusedError {
	for _, reading := range readings(addr) {
		if g.allows(reading) {
			continue
		}
		what := special(reading)
		if what == "" {
			continue
		}
		why := fmt.Sprintf("%s is %s", reading, what)
		if reading != addr {
			why = fmt.Sprintf("it stands for %s, which is %s", reading, what)
		}
		return &RefusedError{
			Address: addr.String(),
			Why: fmt.Sprintf("%s; use a public address, or let the operator open it with --allow-egress %s",
				why, netip.PrefixFrom(reading, reading.BitLen())),
		}
	}
	return nil
}

func (g *Guard) allows(addr netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special names the range that keeps an address from being dialled; empty: it is
// public. The address has neither a zone nor an IPv4-mapped form.
func special(addr netip.Addr) string {
	for _, c := range closed {
		if c.prefix.Contains(addr) {
			return c.what
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) && !nat64.Contains(addr) {
		return "not global unicast (RFC 4291, Section 2.4)"
	}
	return ""
}

// readings returns the address as the kernel dials it, then the IPv4 addresses
// that a tunnel or a translator on the way would make of it.
func readings(addr netip.Addr) []netip.Addr {
	// Prefix.Contains answers no for every zoned and IPv4-mapped address.
	addr = addr.WithZone("").Unmap()
	all := []netip.Addr{addr}
	if !addr.Is6() {
		return all
	}
	b := addr.As16()
	embedded := func(at int) {
		all = append(all, netip.AddrFrom4([4]byte(b[at:at+4])))
	}
	switch {
	case addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback():
		// Both lie in the IPv4-compatible range and mean themselves.
	case nat64.Contains(addr), nat64Local.Contains(addr), v4Compatible.Contains(addr), v4Translated.Contains(addr):
		embedded(12)
	case sixToFour.Contains(addr):
		embedded(2)
	case teredo.Contains(addr):
		embedded(4) // the server
		// RFC 4380, Section 4: the client's address is stored inverted.
		all = append(all, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if slices.ContainsFunc(isatapPatterns, func(p []byte) bool { return string(b[8:12]) == string(p) }) {
		embedded(12)
	}
	return all
}
