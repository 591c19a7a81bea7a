// Package egress is the one way out: every connection that imca opens to an
// address which a stranger chose goes through a Guard, and every name that
// decides about a stranger's certificate is looked up by it.
//
// It holds to four things. The address is judged at the moment it is dialled, in
// the socket's own hook, so a name that resolves to something public first and to
// loopback later gains nothing; an IPv4 address in an IPv6 disguise is judged as
// what it is. Only listed ports are dialled. Every connection ends after a fixed
// time and a fixed number of bytes, and no proxy of the environment, no
// /etc/hosts and no search domain has a say. A DNS answer counts only as far as
// it answers the question that was asked.
//
// The resolver itself is the operator's choice and is not judged: it usually
// stands on loopback or in a private network. DNSSEC is the resolver's business
// too: what it finds forged comes back as a failure, never as an absence.
//
// It knows nothing of certificates, and nothing of what the caller proves.
package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Config says what a Guard lets out. The zero value is ready for production:
// public addresses, ports 80 and 443, the system's resolvers.
type Config struct {
	// Allow opens ranges that are refused otherwise, such as 127.0.0.0/8 for
	// tests or 10.0.0.0/8 where the platform and its developers share a private
	// network. IPv4 ranges are written as IPv4.
	Allow []netip.Prefix

	// Ports that may be dialled. Default: 80 and 443.
	Ports []uint16

	// Resolver is the DNS server to ask, as ADDRESS or ADDRESS:PORT. Default:
	// the servers of /etc/resolv.conf, read again for every question.
	Resolver string

	// DNSTimeout bounds one question to one server. Default: 2 seconds.
	DNSTimeout time.Duration
	// DNSTries is how often each server is asked before a lookup fails.
	// Default: 3.
	DNSTries int

	// ConnectTimeout bounds the connection to one address; a name with several
	// addresses gets that much for each, up to four. Default: 5 seconds.
	ConnectTimeout time.Duration
	// MaxTime is the life of one connection. Default: 30 seconds.
	MaxTime time.Duration
	// MaxBytes is what one connection may receive. Default: 1 MiB.
	MaxBytes int64
}

// Guard dials and resolves. It is safe for concurrent use.
type Guard struct {
	allow          []netip.Prefix
	ports          []uint16
	servers        func() ([]string, error)
	dnsTimeout     time.Duration
	dnsTries       int
	connectTimeout time.Duration
	maxTime        time.Duration
	maxBytes       int64
}

// New checks the configuration and returns its Guard.
func New(c Config) (*Guard, error) {
	g := &Guard{
		ports:          slices.Clone(c.Ports),
		servers:        systemServers,
		dnsTimeout:     orDefault(c.DNSTimeout, 2*time.Second),
		dnsTries:       orDefault(c.DNSTries, 3),
		connectTimeout: orDefault(c.ConnectTimeout, 5*time.Second),
		maxTime:        orDefault(c.MaxTime, 30*time.Second),
		maxBytes:       orDefault(c.MaxBytes, 1<<20),
	}
	if len(g.ports) == 0 {
		g.ports = []uint16{80, 443}
	}
	for _, p := range c.Allow {
		switch {
		case !p.IsValid():
			return nil, fmt.Errorf("allowed range %q: not a range; write it like 10.0.0.0/8 or fd00::/8", p)
		case p.Addr().Is4In6():
			// Such a range would open nothing: IPv4 is judged as IPv4.
			return nil, fmt.Errorf("allowed range %s: write the IPv4 range itself, like 10.0.0.0/8", p)
		}
		g.allow = append(g.allow, p.Masked())
	}
	if c.Resolver != "" {
		server, err := parseServer(c.Resolver)
		if err != nil {
			return nil, err
		}
		g.servers = func() ([]string, error) { return []string{server}, nil }
	}
	return g, nil
}

// WithPorts returns a Guard that dials these ports instead, and is the same
// otherwise.
func (g *Guard) WithPorts(ports ...uint16) *Guard {
	derived := *g
	derived.ports = slices.Clone(ports)
	return &derived
}

// RefusedError says that a connection was not attempted because of where it
// would have led.
type RefusedError struct {
	Address string // the address and port, or the URL, that was refused
	Why     string // the reason, and what opens it
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("connection to %s refused: %s", e.Address, e.Why)
}

// LimitError says that the other side sent more, or took longer, than it may.
type LimitError struct {
	What string // "the answer's body is larger than 4096 bytes"
}

func (e *LimitError) Error() string { return e.What }

func orDefault[T int | int64 | time.Duration](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}
