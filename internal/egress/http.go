package egress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// HTTPOptions says how far one HTTP exchange may go. The zero value is usable.
type HTTPOptions struct {
	// Timeout bounds the whole exchange: names, connections, redirects, body.
	// Default: 20 seconds.
	Timeout time.Duration
	// MaxRedirects is how many redirects are followed; negative: none.
	// Default: 5.
	MaxRedirects int
	// MaxBody is the largest body that can be read; reading on gives a
	// *LimitError. Default: 64 KiB.
	MaxBody int64
	// MaxHeader bounds the header of each answer. Default: 32 KiB.
	MaxHeader int64
	// TLS returns the configuration for an https request, first or redirected.
	// Default: verified against the system's roots.
	TLS func(*url.URL) *tls.Config
}

// HTTPClient returns a client for strangers' URLs. Each request, redirected ones
// included, must be http or https without credentials, and dials anew through the
// Guard; nothing is kept alive, no cookie is kept, no proxy is used, and a body is
// handed over as it came, never decompressed.
func (g *Guard) HTTPClient(o HTTPOptions) *http.Client {
	redirects := orDefault(o.MaxRedirects, 5)
	if o.MaxRedirects < 0 {
		redirects = 0
	}
	return &http.Client{
		Timeout: orDefault(o.Timeout, 20*time.Second),
		Transport: &transport{
			guard:     g,
			tls:       o.TLS,
			maxBody:   orDefault(o.MaxBody, 64<<10),
			maxHeader: orDefault(o.MaxHeader, 32<<10),
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			return checkRedirect(next, via, redirects)
		},
	}
}

// checkRedirect holds what a request of our own could not do wrong; scheme, port
// and address of a redirect are checked where every request is.
func checkRedirect(next *http.Request, via []*http.Request, most int) error {
	from := via[len(via)-1].URL.Redacted()
	for _, earlier := range via {
		if earlier.URL.String() == next.URL.String() {
			return &RefusedError{Address: next.URL.Redacted(),
				Why: fmt.Sprintf("the redirect from %s leads in a circle; answer at that URL itself", from)}
		}
	}
	if len(via) > most {
		return &RefusedError{Address: next.URL.Redacted(),
			Why: fmt.Sprintf("the redirect from %s is one more than the %d that are followed; answer closer to the first URL", from, most)}
	}
	// The Referer would carry the path that was asked for to a third party.
	next.Header.Del("Referer")
	return nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return &RefusedError{Address: u.Redacted(), Why: fmt.Sprintf("only http and https are let out, not %q", u.Scheme)}
	case u.User != nil:
		return &RefusedError{Address: u.Redacted(), Why: "the URL carries a user name; leave it out"}
	case u.Hostname() == "":
		return &RefusedError{Address: u.Redacted(), Why: "the URL names no host"}
	}
	return nil
}

// transport is one dialled connection per request.
type transport struct {
	guard              *Guard
	tls                func(*url.URL) *tls.Config
	maxBody, maxHeader int64
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL); err != nil {
		return nil, err
	}
	one := &http.Transport{
		DialContext:            t.guard.DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true, // a body of a few bytes cannot become gigabytes
		MaxResponseHeaderBytes: t.maxHeader,
		TLSHandshakeTimeout:    t.guard.maxTime,
	}
	if t.tls != nil {
		one.TLSClientConfig = t.tls(r.URL)
	}
	resp, err := one.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: t.maxBody, max: t.maxBody}
	return resp, nil
}

// boundedBody fails when more is read than the limit, so that a body that was cut
// off is never taken for a whole one.
type boundedBody struct {
	io.ReadCloser
	left, max int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		// Only the end may follow.
		n, err := b.ReadCloser.Read(make([]byte, 1))
		if n == 0 {
			return 0, err
		}
		return 0, &LimitError{What: fmt.Sprintf("the body is larger than %d bytes", b.max)}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// IsTimeout tells whether an exchange failed because the other side was too slow.
func IsTimeout(err error) bool {
	var slow interface{ Timeout() bool }
	return errors.As(err, &slow) && slow.Timeout()
}
