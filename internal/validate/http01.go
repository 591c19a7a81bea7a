package validate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
)

// maxHTTP01Body is many times the longest key authorization.
const maxHTTP01Body = 4 << 10

// HTTP01 proves control over a name or an IP address by a file that its web server
// shows at HTTP01Path(token) (RFC 8555, Section 8.3). Redirects are followed, to
// https too, whose certificate does not count: the file is the proof.
//
// The platform's client certificate is shown only when the redirect leads to the
// same path of the same name. Elsewhere it would let an applicant make imca ask
// another developer's backend, in the platform's name, whatever he likes.
func (v *Validator) HTTP01(ctx context.Context, name pki.Name, token, keyAuthorization string) error {
	if name.IsWildcard() {
		return &Error{Kind: KindMalformed, Name: name, Method: MethodHTTP01,
			Detail: fmt.Sprintf("%s is a wildcard, which http-01 cannot prove; use dns-01", name)}
	}
	target := v.http01URL(name, token)
	ctx, cancel := v.bound(ctx)
	defer cancel()

	var peer string // the address that gave the last answer
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { peer = hostOf(c.Conn.RemoteAddr()) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodGet, target.String(), nil)
	if err != nil {
		return failure(ctx, name, MethodHTTP01, "asking for "+target.String(), err, "check the name")
	}
	request.Header.Set("User-Agent", "imca (domain control check)")
	client := v.guard.HTTPClient(egress.HTTPOptions{
		Timeout: v.timeout,
		MaxBody: maxHTTP01Body,
		TLS:     func(u *url.URL) *tls.Config { return v.redirectedTLS(name, token, u) },
	})

	mend := fmt.Sprintf("let port %d of %s answer requests from outside, or use another method", v.httpPort, name)
	response, err := client.Do(request)
	if err != nil {
		return failure(ctx, name, MethodHTTP01, "fetching "+target.String(), err, mend)
	}
	defer response.Body.Close()
	from := fmt.Sprintf("%s (%s)", target, peer)
	if last := response.Request.URL.String(); last != target.String() {
		from = fmt.Sprintf("%s (%s), redirected from %s", shownTo(200, last), peer, target)
	}
	content := "put the file there with exactly this content: " + keyAuthorization
	body, err := io.ReadAll(response.Body)
	if limit := (*egress.LimitError)(nil); err != nil && !errors.As(err, &limit) {
		return failure(ctx, name, MethodHTTP01, "reading the answer of "+from, err, mend)
	}
	wrong := func(what string) error {
		return &Error{Kind: KindUnauthorized, Name: name, Method: MethodHTTP01, Err: err, Detail: fmt.Sprintf(
			"got %s from %s: body starts %s; %s", what, from, shown(string(body)), content)}
	}
	switch {
	case response.StatusCode != http.StatusOK:
		return wrong(strconv.Itoa(response.StatusCode))
	case err != nil:
		return wrong("more than " + strconv.Itoa(maxHTTP01Body) + " bytes")
	case strings.TrimRight(string(body), " \t\r\n") != keyAuthorization: // RFC 8555, Section 8.3: white space at the end is ignored
		return wrong("another text")
	}
	return nil
}

func (v *Validator) http01URL(name pki.Name, token string) *url.URL {
	host := name.String()
	if name.Addr().Is6() {
		host = "[" + host + "]"
	}
	if v.httpPort != 80 {
		host += ":" + strconv.Itoa(int(v.httpPort))
	}
	return &url.URL{Scheme: "http", Host: host, Path: HTTP01Path(token)}
}

// redirectedTLS is the TLS configuration for the https URL of a redirect.
func (v *Validator) redirectedTLS(name pki.Name, token string, u *url.URL) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true}
	if u.Hostname() == name.String() && u.Path == HTTP01Path(token) && u.RawQuery == "" {
		config.GetClientCertificate = v.presentCertificate
	}
	return config
}

// presentCertificate answers a server's demand for a client certificate. Without
// one of our own it presents none, and the server decides.
func (v *Validator) presentCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if v.clientCertificate == nil {
		return &tls.Certificate{}, nil
	}
	certificate, err := v.clientCertificate()
	if err != nil {
		return nil, &clientCertificateError{err}
	}
	return certificate, nil
}

func hostOf(addr net.Addr) string {
	if at, err := netip.ParseAddrPort(addr.String()); err == nil {
		return at.Addr().Unmap().String()
	}
	return addr.String()
}
