package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxDials bounds how many addresses of one name are tried.
const maxDials = 4

// DialContext connects to "host:port" by TCP; network is "tcp", "tcp4" or
// "tcp6". A name is resolved by the Guard, its IPv6 and IPv4 addresses are tried
// in turn, and the first that answers is taken. The connection ends by itself
// after the configured time and bytes.
//
// Errors: *RefusedError for an address or port that is not open, *DNSError for
// the name, *net.OpError for the rest; several addresses give all of their
// errors, each reachable by errors.As.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, &RefusedError{Address: address, Why: fmt.Sprintf("only TCP is let out, not %q", network)}
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling %q: %w; write host:port", address, err)
	}
	port, err := g.checkPort(address, portText)
	if err != nil {
		return nil, err
	}
	addrs, err := g.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed dialErrors
	for _, addr := range inTurn(addrs, network) {
		conn, err := g.dialAddr(ctx, netip.AddrPortFrom(addr, port))
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 0 {
		return nil, &DNSError{Name: host, Type: "A and AAAA", Kind: NoData,
			Detail: "it has no address for " + network}
	}
	return nil, failed
}

func (g *Guard) checkPort(address, text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("dialling %q: the port is not a number from 1 to 65535", address)
	}
	if !slices.Contains(g.ports, uint16(port)) {
		var open []string
		for _, p := range g.ports {
			open = append(open, strconv.Itoa(int(p)))
		}
		return 0, &RefusedError{Address: address,
			Why: fmt.Sprintf("port %d is not open; use port %s", port, strings.Join(open, " or "))}
	}
	return uint16(port), nil
}

func (g *Guard) dialAddr(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout: g.connectTimeout,
		// The one check that counts: the kernel is about to connect to exactly
		// this address.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			dialled, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("judging %q: %w", address, err)
			}
			if refused := g.judge(dialled.Addr()); refused != nil {
				refused.Address = address
				return refused
			}
			return nil
		},
	}
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, "tcp", target.String())
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return nil, refused // without net's wrapping, which says the address twice
	}
	if err != nil {
		return nil, err
	}
	bounded := &boundedConn{Conn: conn, end: time.Now().Add(g.maxTime), left: g.maxBytes, max: g.maxBytes}
	if err := conn.SetDeadline(bounded.end); err != nil {
		conn.Close()
		return nil, err
	}
	return bounded, nil
}

// inTurn returns the addresses to try: IPv6 and IPv4 by turns, so that one
// broken family costs one timeout.
func inTurn(addrs []netip.Addr, network string) []netip.Addr {
	var six, four, all []netip.Addr
	for _, addr := range addrs {
		if addr.Unmap().Is4() {
			four = append(four, addr)
		} else {
			six = append(six, addr)
		}
	}
	if network == "tcp4" {
		six = nil
	}
	if network == "tcp6" {
		four = nil
	}
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			all = append(all, six[i])
		}
		if i < len(four) {
			all = append(all, four[i])
		}
	}
	return all[:min(len(all), maxDials)]
}

// dialErrors holds what each address of a name answered.
type dialErrors []error

func (e dialErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e dialErrors) Unwrap() []error { return e }

// boundedConn ends a connection after a time and a number of received bytes,
// whatever deadlines its user sets.
type boundedConn struct {
	net.Conn
	end       time.Time
	left, max int64
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, &LimitError{What: fmt.Sprintf("%s sent more than %d bytes", c.RemoteAddr(), c.max)}
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (c *boundedConn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(c.clamp(t)) }
func (c *boundedConn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(c.clamp(t)) }
func (c *boundedConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.clamp(t)) }

// clamp moves a deadline to the end of the connection's life; the zero time
// means "no deadline" to net.Conn.
func (c *boundedConn) clamp(t time.Time) time.Time {
	if t.IsZero() || t.After(c.end) {
		return c.end
	}
	return t
}
