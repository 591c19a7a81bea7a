package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/watch"
)

// The bounds of a look at what is served: a list of two million entries comes through.
const (
	lookTime = time.Minute
	lookSize = 128 << 20
)

// fetch asks a public door, as watch.Config has it.
type fetch func(ctx context.Context, path string, body []byte) ([]byte, error)

// watcher looks at the revocation status that a public door serves.
func watcher(authority *ca.CA, records watch.Records, fetch fetch, now func() time.Time, log *slog.Logger) *watch.Watcher {
	authorities := func() (list []watch.Authority) {
		for _, i := range authority.Issuers() {
			a := watch.Authority{Name: i.Name(), Certificate: i.Certificate()}
			if i.CanSign() {
				a.Interval = authority.CRLInterval()
			}
			list = append(list, a)
		}
		return list
	}
	return watch.New(watch.Config{Records: records, Authorities: authorities, Fetch: fetch, Report: authority.NoteRevocation, Now: now, Log: log})
}

// fetchFrom asks the public door at base, http://ADDRESS:PORT or https://ADDRESS:PORT.
func fetchFrom(base string) (fetch, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("the address %s: %w", u.Host, err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the address %s: %w", u.Host, err)
	}
	address = address.Unmap().WithZone("")
	guard, err := egress.New(egress.Config{
		Allow: []netip.Prefix{netip.PrefixFrom(address, address.BitLen())}, Ports: []uint16{uint16(port)}, MaxTime: lookTime, MaxBytes: lookSize,
	})
	if err != nil {
		return nil, err
	}
	client := guard.HTTPClient(egress.HTTPOptions{Timeout: lookTime, MaxRedirects: -1, MaxBody: lookSize, TLS: func(*url.URL) *tls.Config {
		// What is read is signed, and its signature is what counts.
		return &tls.Config{InsecureSkipVerify: true}
	}})
	return func(ctx context.Context, path string, body []byte) ([]byte, error) {
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body != nil {
			request.Header.Set("Content-Type", "application/ocsp-request")
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		answer, err := io.ReadAll(response.Body)
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("the server answers %s: %.200s", response.Status, answer)
		}
		return answer, nil
	}, nil
}

// servedAt is where this machine reaches a listener, HOST:PORT: one on every address is reached at loopback.
func servedAt(listener string) (string, error) {
	host, port, err := net.SplitHostPort(listener)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(host); host == "" || host == "localhost" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// watch looks at what this server serves, until ctx ends.
func (s *Server) watch(ctx context.Context) {
	base, listener := "http://", s.Address("http")
	if listener == "" {
		base, listener = "https://", s.Address("https")
	}
	address, err := servedAt(listener)
	if err == nil {
		var from fetch
		if from, err = fetchFrom(base + address); err == nil {
			watcher(s.ca, s.store, from, s.cfg.Now, s.cfg.Log).Watch(ctx)
			return
		}
	}
	s.cfg.Log.Error("the revocation status that is served is not watched", "error", err)
}

// lookAt is one look at what the server of a database serves, for 'imca doctor'; or why there was none, which may be on purpose.
func lookAt(ctx context.Context, authority *ca.CA, o *opened) (reports []ca.RevocationReport, why string, err error) {
	if o.public == config.Off {
		return nil, "the plain listener is off", nil
	}
	address, err := servedAt(o.public)
	if err != nil {
		return nil, "", err
	}
	from, err := fetchFrom("http://" + address)
	if err != nil {
		return nil, "", err
	}
	if _, err := from(ctx, "/healthz", nil); err != nil {
		return nil, "no server answers at " + address, nil
	}
	reports = watcher(authority, o.store, from, time.Now, slog.New(slog.DiscardHandler)).Look(ctx)
	return reports, "", ctx.Err()
}
