package doorcheck

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// maxBody is how much of an answer's body is looked at.
const maxBody = 64 << 10

// HTTPAnswer is what came back over HTTP.
type HTTPAnswer struct {
	Status   int    `json:"status"`
	Server   string `json:"server,omitempty"` // its Server header
	Page     string `json:"page,omitempty"`   // the error page that was recognised: "nginx: no client certificate"
	Location string `json:"location,omitempty"`
	Excerpt  string `json:"excerpt,omitempty"` // the begin of the body

	header http.Header
	body   []byte
	digest string    // of the body
	date   time.Time // its Date; zero if it has none
	at     time.Time // when it came
}

// ask sends the request over an established connection, TLS or not, and notes the answer.
func (c *caller) ask(ctx context.Context, conn net.Conn, p *Probe) {
	request := c.request(ctx, p)
	var response *http.Response
	var err error
	if secured, ok := conn.(*tls.Conn); ok && p.Protocol == http2 {
		response, err = askHTTP2(secured, request)
	} else {
		response, err = askHTTP1(conn, request)
	}
	if err != nil {
		c.fail(p, err)
		var malformed *malformedError
		if errors.As(err, &malformed) || errors.Is(err, errTooMuch) {
			p.Failure = NotHTTP
		}
		return
	}
	defer func() { _ = response.Body.Close() }()
	// A body that is cut off is still an answer.
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxBody))
	p.Stage = StageAnswer
	p.Answer = newAnswer(response, body, c.Now())
}

func newAnswer(response *http.Response, body []byte, at time.Time) *HTTPAnswer {
	digest := sha256.Sum256(body)
	a := &HTTPAnswer{
		Status:   response.StatusCode,
		Server:   printable(response.Header.Get("Server"), 100),
		Location: printable(response.Header.Get("Location"), 200),
		Excerpt:  printable(string(body[:min(len(body), 400)]), 160),
		header:   response.Header, body: body, digest: hex.EncodeToString(digest[:]), at: at,
	}
	a.Page = recognisePage(a.Status, body)
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.date = date
	}
	return a
}

// request is what every probe asks for. The query may hold a secret: it is sent over connections alone that have been authenticated. A name that leads
// to somebody else's server must not have the platform ask that for what it likes: with a certificate of ours, servers that do not call themselves by the name
// are asked for "/".
func (c *caller) request(ctx context.Context, p *Probe) *http.Request {
	target := &url.URL{Scheme: "https", Host: c.hostHeader(), Path: c.url.Path, RawPath: c.url.RawPath}
	if c.speaksForUs(p) && !c.named(p) {
		target.Path, target.RawPath = "/", ""
	}
	if p.Verified {
		target.RawQuery = c.url.RawQuery
	}
	request := &http.Request{Method: p.Method, URL: target, Host: c.hostHeader(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"imca-doorcheck"}, "Accept": {"*/*"}}, Close: p.Protocol == http1}
	if p.Forged {
		c.forge(request.Header)
	}
	if p.Method == http.MethodPost && p.Verified {
		request.Header.Set("Content-Type", "application/json")
		request.Body = io.NopCloser(bytes.NewReader(c.body))
		request.ContentLength = int64(len(c.body))
	}
	return request.WithContext(ctx)
}

// speaksForUs reports whether the probe has shown a certificate under our CA.
func (c *caller) speaksForUs(p *Probe) bool {
	return p.Asked && c.identity(p) != nil && p.Certificate != AsStranger && p.Certificate != AsImpostor
}

// named reports whether the served certificate is one for the endpoint's name, whoever signed it.
func (c *caller) named(p *Probe) bool {
	return len(p.served) > 0 && p.served[0].VerifyHostname(c.name.String()) == nil
}

// forge sets the headers in which proxies tell the server behind them whom they have verified. A server that can be reached without the proxy, or
// whose proxy passes such headers on, believes whoever sends them. The certificate in them is no secret: every server that asks for it gets it.
func (c *caller) forge(header http.Header) {
	subject, der := "CN=callback.platform.internal", []byte(nil)
	if c.platform != nil {
		subject, der = c.platform.Subject.String(), c.platform.Raw
	}
	escaped := url.QueryEscape(string(pki.EncodeCertificate(der)))
	for name, value := range map[string]string{
		"X-SSL-Client-Verify": "SUCCESS", "X-Client-Verify": "SUCCESS", "SSL-Client-Verify": "SUCCESS", "X-SSL-Verified": "SUCCESS", "X-SSL-Client-Used": "1",
		"X-SSL-Client-S-DN": subject, "X-SSL-Client-DN": subject, "X-SSL-Client-CN": plainName(commonName(c.platform), "callback.platform.internal"),
		"X-SSL-Client-Cert": escaped, "X-Client-Cert": escaped, "SSL-Client-Cert": escaped,
		"X-Forwarded-Client-Cert": fmt.Sprintf("Subject=%q;Cert=%q", subject, escaped),
		"X-ARR-ClientCert":        base64.StdEncoding.EncodeToString(der),
		"Client-Cert":             ":" + base64.StdEncoding.EncodeToString(der) + ":", // RFC 9440, Section 2.2
	} {
		header.Set(name, value)
	}
}

func commonName(certificate *x509.Certificate) string {
	if certificate == nil {
		return ""
	}
	return certificate.Subject.CommonName
}

// malformedError says that what came is not HTTP.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

func askHTTP1(conn net.Conn, request *http.Request) (*http.Response, error) {
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		return nil, err
	}
	for range 5 {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			alert, _ := alertOf(err)
			if alert == nil && (connectionFailure(err) == WeHungUp || errors.Is(err, io.ErrUnexpectedEOF)) {
				return nil, &malformedError{err}
			}
			return nil, err
		}
		// RFC 9110, Section 15.2: an interim answer is followed by the real one.
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, &malformedError{errors.New("interim answers (1xx) without end")}
}

// askHTTP2 asks over a connection that has agreed on HTTP/2.
func askHTTP2(conn *tls.Conn, request *http.Request) (*http.Response, error) {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		DialTLSContext:     func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Protocols:          &protocols,
		DisableCompression: true, MaxResponseHeaderBytes: maxBody,
	}
	client, err := transport.NewClientConn(request.Context(), "https", net.JoinHostPort(request.URL.Hostname(), "443"))
	if err != nil {
		return nil, lastWord(conn, err)
	}
	response, err := client.RoundTrip(request)
	switch {
	case err == nil:
		return response, nil
	case client.Err() == nil:
		return nil, fmt.Errorf("%w: %w", errStreamEnded, err) // the connection stands: there is no last word to wait for
	}
	return nil, lastWord(conn, err)
}

// errStreamEnded says that the server ended the request alone (RFC 9113, Section 6.4), as it would end a connection of HTTP/1.1.
var errStreamEnded = errors.New("the server ended the stream")

// lastWord is the alert with which the server ended a connection, or err if there was none. The library does not pass it on; the connection
// keeps it.
func lastWord(conn *tls.Conn, err error) error {
	if alert, _ := alertOf(err); alert != nil {
		return err
	}
	if _, last := conn.Read(make([]byte, 1)); last != nil {
		return last
	}
	return err
}

// recognisePage names the error page with which a server refuses a client's certificate, or speaks of the port's protocol; "" for any other.
func recognisePage(status int, body []byte) string {
	text := strings.ToLower(string(body))
	for _, page := range pages {
		if (page.status == 0 || page.status == status) && strings.Contains(text, page.text) {
			return page.name
		}
	}
	return ""
}

// pageMark is a text by which an error page is known.
type pageMark struct {
	name    string
	status  int    // 0: any
	text    string // in lower case
	product Product
	refuses bool // it refuses the client's certificate, or its absence
}

// The names of pages that rules look for.
const (
	pageNoCertificate  = "nginx: no client certificate"
	pageBadCertificate = "nginx: client certificate refused"
)

var pages = []pageMark{
	{name: pageNoCertificate, status: 400, text: "no required ssl certificate was sent", product: Nginx, refuses: true},
	{name: pageBadCertificate, status: 400, text: "the ssl certificate error", product: Nginx, refuses: true},
	{name: "nginx: plain HTTP on the TLS port", status: 400, text: "the plain http request was sent to https port", product: Nginx},
	{name: "Apache: plain HTTP on the TLS port", status: 400, text: "you're speaking plain http to an ssl-enabled server port", product: Apache},
	{name: "Apache: cannot ask for a certificate after the handshake", status: 403, text: "cannot perform post-handshake authentication", product: Apache, refuses: true},
	{name: "Go: plain HTTP on the TLS port", status: 400, text: "client sent an http request to an https server", product: Go},
	{name: "Tomcat: plain HTTP on the TLS port", status: 400, text: "this combination of host and port requires tls", product: Tomcat},
	{name: "IIS: client certificate required", status: 403, text: "403.7", product: IIS, refuses: true},
	{name: "IIS: client certificate not trusted", status: 403, text: "403.16", product: IIS, refuses: true},
	{name: "IIS: client certificate revoked", status: 403, text: "403.13", product: IIS, refuses: true},
	{name: "IIS: client certificate expired", status: 403, text: "403.17", product: IIS, refuses: true},
}

// page returns the mark of a recognised page; nil for none.
func (a *HTTPAnswer) page() *pageMark {
	if a == nil || a.Page == "" {
		return nil
	}
	for i := range pages {
		if pages[i].name == a.Page {
			return &pages[i]
		}
	}
	return nil
}
