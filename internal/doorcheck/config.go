package doorcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Config is what a check stands on. Dial is required; Resolve too where endpoints are names.
type Config struct {
	// Dial opens a TCP connection to "address:port": the guarded dialer's. The address is always one that Resolve gave.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve gives the addresses of a name. Each is probed, up to MaxAddresses.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Roots are what the served certificate must chain to: ours, the public ones, or both. nil: the system's.
	Roots *x509.CertPool
	// Intermediates are issuing CAs that we know. An incomplete chain is finished with them, to name what is missing.
	Intermediates []*x509.Certificate
	// ClientCAs are the CAs under which the platform's certificate stands: what the server must name when it asks for a certificate. The first
	// is the one that developers are given; its common name gives the file in the mends its name.
	ClientCAs []*x509.Certificate
	// FurtherCAs are roots of ours that the server may name beside them: of the platform's certificates before a roll-over, and after one.
	FurtherCAs []*x509.Certificate
	// RootsURL is where all of these are published, one file for servers to fetch; "": it is not known.
	RootsURL string
	// Canaries are the client certificates to try.
	Canaries Canaries
	// Issued says what was issued for a name. nil: a served certificate is not compared with records.
	Issued func(ctx context.Context, name string, served *x509.Certificate) (Record, error)

	// DemandRevocation counts a revoked certificate that is let in as a stranger let in. Otherwise it is a warning, because servers load no
	// revocation list by default, and the platform's certificates live for days.
	DemandRevocation bool

	// Now is the clock: what is expired, and how long things took. Default: time.Now.
	Now func() time.Time
	// ProbeTimeout bounds one probe. Default: 4 s, twice what a callback may take.
	ProbeTimeout time.Duration
	// Timeout bounds the whole check. Default: 25 s.
	Timeout time.Duration
	// Budget is what the platform waits for the answer to a callback. Default: 2 s.
	Budget time.Duration
	// ExpiresSoon is how long before its end a served certificate is warned about. Default: 14 days.
	ExpiresSoon time.Duration
	// Concurrency is how many probes run at one time. Default: 6.
	Concurrency int
	// MaxAddresses is how many addresses of a name are probed. Default: 4.
	MaxAddresses int
}

// Canaries are client certificates with their keys, chains included as a client sends them. What is nil is not tried, and the report says so.
type Canaries struct {
	Platform  *tls.Certificate // the platform's own: must be admitted
	Developer *tls.Certificate // another developer's, of our CA, for serverAuth alone
	Expired   *tls.Certificate // the platform's, expired
	Revoked   *tls.Certificate // the platform's, revoked, on the current revocation list
	RevokedAt time.Time        // since when a list can have it; zero: for long
	Standbys  []Standby        // the platform's, as it will be after a roll-over: is the server ready?
}

// Standby is the platform's certificate under an authority that is to issue it one day: the next root, or an intermediate.
type Standby struct {
	Authority   string
	Certificate *tls.Certificate
	Root        *x509.Certificate // what it stands under
}

// Record is what we know of the certificates for a name.
type Record struct {
	Newest    *x509.Certificate // the newest that we issued for the name and that is valid; nil: none
	Ours      bool              // the served certificate is one of ours
	Revoked   bool              // the served certificate is revoked
	RevokedAt time.Time
}

// Target is the endpoint.
type Target struct {
	// URL is https://HOST[:PORT]/PATH?QUERY. The query is sent over authenticated connections only.
	URL string
	// Callback, if not nil, is posted to the URL as JSON: harmless, in the shape of a callback. It is sent with the platform's certificate and
	// without any, and only over a connection that has been authenticated.
	Callback []byte
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.ProbeTimeout = orDefault(c.ProbeTimeout, 4*time.Second)
	c.Timeout = orDefault(c.Timeout, 25*time.Second)
	c.Budget = orDefault(c.Budget, 2*time.Second)
	c.ExpiresSoon = orDefault(c.ExpiresSoon, 14*24*time.Hour)
	c.Concurrency = orDefault(c.Concurrency, 6)
	c.MaxAddresses = orDefault(c.MaxAddresses, 4)
	return c
}

func orDefault[T int | time.Duration](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}

// endpoint is a Target that has been understood.
type endpoint struct {
	url  *url.URL
	name pki.Name
	port uint16
}

func parseTarget(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("this is not a URL: write it like https://www.example.com/callback: %w", err)
	}
	switch {
	case u.Scheme == "" || u.Host == "":
		return endpoint{}, fmt.Errorf("%q is not a whole URL: write it like https://www.example.com/callback", printable(text, 100))
	case u.Scheme != "https":
		return endpoint{}, fmt.Errorf("the URL begins with %s: a callback's URL begins with https://", printable(u.Scheme, 20))
	case u.User != nil:
		return endpoint{}, errors.New("the URL holds a user or password: leave them out; the client certificate says who calls")
	}
	name, err := pki.ParseName(u.Hostname())
	if err != nil {
		return endpoint{}, fmt.Errorf("the URL's host: %w", err)
	}
	if name.IsWildcard() {
		return endpoint{}, fmt.Errorf("the URL's host is the wildcard %s: give one of the names that it stands for", name)
	}
	port := uint64(443)
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return endpoint{}, fmt.Errorf("the URL's port %s is not a number from 1 to 65535", printable(p, 20))
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Fragment = ""
	return endpoint{url: u, name: name, port: uint16(port)}, nil
}

// display is the URL without its query, which may hold a secret.
func (e endpoint) display() string {
	shown := *e.url
	shown.RawQuery, shown.ForceQuery = "", false
	return shown.String()
}

// hostHeader is the name as an HTTP client sends it.
func (e endpoint) hostHeader() string {
	host := e.name.String()
	if e.port == 443 {
		if e.name.Addr().Is6() {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, e.portText())
}

func (e endpoint) portText() string { return strconv.Itoa(int(e.port)) }
