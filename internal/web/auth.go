package web

import (
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// Public makes a handler of one that needs no token.
func (f *Frame) Public(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			f.Problem(w, r, err)
		}
	}
}

// Private makes a handler of one that needs a token, and gets the principal who holds it.
func (f *Frame) Private(h func(w http.ResponseWriter, r *http.Request, p ca.Principal) error) http.HandlerFunc {
	return f.Public(func(w http.ResponseWriter, r *http.Request) error {
		p, err := f.Principal(r)
		if err != nil {
			return err
		}
		Known(w, p)
		return h(w, r, p)
	})
}

// Known tells the request log who sent the request that is answered by w, where a door has found out by itself.
func Known(w http.ResponseWriter, p ca.Principal) {
	if rec, ok := w.(*recorder); ok {
		rec.principal = p
	}
}

// Principal tells who sent a request.
//
// A token that was found good lately is limited on its own account. Any other may be a guess, and when it was one it is charged to the
// address: who has guessed too often is stopped before the database is asked, and who shares the address with a guesser goes on working.
// What is not known yet is not charged, or the many clients of one address would be refused just after a start. How many guesses are under
// way at one moment is bounded by the limit of the address.
func (f *Frame) Principal(r *http.Request) (ca.Principal, error) {
	var (
		now     = f.now()
		secret  = bearer(r)
		hash    = sha256.Sum256([]byte(secret))
		token   = string(hash[:])
		address = f.Address(r)
		network = networkOf(address)
		known   = f.tokens.has(token)
	)
	if known {
		if wait := f.tokens.take(token, now); wait > 0 {
			return ca.Principal{}, rateLimited(wait, "this token")
		}
	} else if wait := f.failures.wait(network, now); wait > 0 {
		return ca.Principal{}, rateLimited(wait, "requests without a valid token from your address")
	}
	p, err := f.identify(r, secret, address)
	var refusal *ca.Error
	switch {
	case errors.As(err, &refusal) && known:
		f.tokens.forget(token)
	case errors.As(err, &refusal):
		f.failures.take(network, now)
	case err == nil && !known:
		f.tokens.take(token, now)
	}
	if err != nil {
		return ca.Principal{}, err
	}
	return p, nil
}

// identify goes by the token, or else by the client certificate of the connection.
func (f *Frame) identify(r *http.Request, secret, address string) (ca.Principal, error) {
	if secret == "" && f.machine != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return f.machine(r.Context(), r.TLS.PeerCertificates, address, RequestID(r.Context()))
	}
	return f.authenticate(r.Context(), secret, address, RequestID(r.Context()))
}

// Stranger serves a request that shows something else than a token, as whoever it is. Like a guess of a token it is charged to the address
// unless it went well.
func (f *Frame) Stranger(r *http.Request, serve func(p ca.Principal) error) error {
	address := f.Address(r)
	network := networkOf(address)
	now := f.now()
	if wait := f.failures.wait(network, now); wait > 0 {
		return rateLimited(wait, "requests without a valid token from your address")
	}
	err := serve(ca.Nobody(address, RequestID(r.Context())))
	if err != nil {
		f.failures.take(network, now)
	}
	return err
}

// bearer is the token of a request, or "" (RFC 6750, Section 2.1; the scheme is case-insensitive by RFC 9110, Section 11.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Address is where a request came from: the connection's other end. Where that is a trusted proxy, it is the last address in
// X-Forwarded-For that is not one: everything before it was written by people whom nobody vouches for.
func (f *Frame) Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	peer = peer.Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !f.trusts(peer) {
			break
		}
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		peer = before.Unmap().WithZone("")
	}
	return peer.String()
}

func (f *Frame) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// Network is what a request is limited by where its address counts: see networkOf.
func (f *Frame) Network(r *http.Request) string { return networkOf(f.Address(r)) }

// networkOf is what an address is limited by: an IPv4 address itself, and the /64 of an IPv6 address, all of which one host has.
func networkOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Is4() {
		return address
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return address
	}
	return network.String()
}
