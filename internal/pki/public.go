package pki

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// CheckPublic refuses, with a *NameError, a name that means different things to
// different people, so that a certificate for it proves nothing: names of private
// networks, a whole public suffix such as co.uk, a wildcard over one, and
// addresses that are not global unicast. Names and addresses set aside for
// documentation (.example, .test, 192.0.2.0/24, 2001:db8::/32 and their kin)
// belong to nobody and pass.
func CheckPublic(n Name) error {
	why := ""
	if n.IsIP() {
		why = checkGlobal(n.addr)
	} else {
		why = checkPublicDNS(n)
	}
	if why != "" {
		return &NameError{Input: n.text, Why: why}
	}
	return nil
}

// internalSuffixes are the names below which everyone may name what he likes, or
// that are no names of the DNS at all.
func internalSuffixes() []string {
	return []string{
		"alt",                  // RFC 9476
		"arpa",                 // RFC 3172; home.arpa: RFC 8375
		"internal",             // set aside by ICANN, 2024
		"invalid",              // RFC 6761
		"local",                // RFC 6762
		"localhost",            // RFC 6761
		"onion",                // RFC 7686
		"corp", "home", "mail", // never delegated: ICANN, 2018
		"intranet", "lan", "localdomain", "private", // RFC 6762, Appendix G
	}
}

func checkPublicDNS(n Name) string {
	base := n.Base().text
	last := base[strings.LastIndexByte(base, '.')+1:]
	for _, internal := range internalSuffixes() {
		if last == internal {
			return "is a name of a private network, where anyone may use it: give the name by which the Internet knows the server"
		}
	}
	if !strings.Contains(base, ".") {
		if n.IsWildcard() {
			return "covers a whole top-level domain: give a name below one, such as *.example.com"
		}
		return "is a single label: give the full name, such as www.example.com"
	}
	suffix, icann := publicsuffix.PublicSuffix(base)
	if suffix != base {
		return ""
	}
	if n.IsWildcard() {
		return "covers names of many owners (" + base + " is a public suffix): give a name or wildcard below one of yours"
	}
	// The suffixes of the list's private part, such as github.io, are also hosts
	// of their owners; those of registries are not.
	if icann {
		return "is a public suffix, below which others register their names: give your own name, such as www.example." + base
	}
	return ""
}

func checkGlobal(addr netip.Addr) string {
	const mend = ": give the public address or, better, a name of the server"
	switch {
	case addr.IsUnspecified():
		return "is the unspecified address" + mend
	case addr.IsLoopback():
		return "is a loopback address" + mend
	case addr.IsPrivate():
		return "is an address of a private network" + mend
	case addr.IsLinkLocalUnicast():
		return "is a link-local address" + mend
	case addr.IsMulticast():
		return "is a multicast address" + mend
	}
	for _, special := range specialRanges() {
		if special.Contains(addr) {
			return "is in " + special.String() + ", which is not routed on the Internet" + mend
		}
	}
	if addr.Is6() && !netip.MustParsePrefix("2000::/3").Contains(addr) {
		return "is not a global unicast address" + mend
	}
	return ""
}

// specialRanges are the ranges of the IANA special-purpose registries (RFC 6890)
// that are not globally reachable and that netip does not know by itself.
func specialRanges() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),      // RFC 791: this network
		netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598: shared by carriers
		netip.MustParsePrefix("192.0.0.0/24"),   // RFC 6890: protocol assignments
		netip.MustParsePrefix("192.88.99.0/24"), // RFC 7526: 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),  // RFC 2544: benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112: reserved, and broadcast
		netip.MustParsePrefix("2001::/23"),      // RFC 2928: protocol assignments
		netip.MustParsePrefix("2002::/16"),      // RFC 7526: 6to4
	}
}
