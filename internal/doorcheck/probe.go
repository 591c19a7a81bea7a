package doorcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Role is the part that a probe's client certificate plays.
type Role string

// The roles.
const (
	AsPlatform     Role = "platform"
	AsNobody       Role = "none"      // no certificate
	AsStranger     Role = "stranger"  // of a CA made for this check
	AsImpostor     Role = "impostor"  // the same, and it bears the names of our CA and of the platform
	AsDeveloper    Role = "developer" // another developer's, from our CA
	AsExpired      Role = "expired"
	AsRevoked      Role = "revoked"
	AsIntermediate Role = "intermediate"
	AsNextRoot     Role = "next_root"
)

// SNI is the server name that a probe sends.
type SNI string

// The server names.
const (
	RightName SNI = "right"
	NoName    SNI = "absent"
	OtherName SNI = "other"
)

// plainVersion is the "TLS version" of the probe that speaks HTTP without TLS: many servers answer it with their name and the time, even those
// that refuse every certificate.
const plainVersion = "none"

// otherName is a name that no server has (RFC 2606, Section 2).
const otherName = "doorcheck.invalid"

// The protocols, as ALPN names them.
const (
	http1 = "http/1.1"
	http2 = "h2"
)

// Stage is how far a probe came.
type Stage string

// The stages, in their order.
const (
	StageDial      Stage = "dial"      // no connection
	StageHello     Stage = "hello"     // connected; no certificate was served
	StageHandshake Stage = "handshake" // a certificate was served; the handshake did not end
	StageRequest   Stage = "request"   // the request was sent; no answer came
	StageAnswer    Stage = "answer"    // an HTTP answer came
)

// Failure is why a probe came no further.
type Failure string

// The failures.
const (
	NoFailure      Failure = ""
	DialFailed     Failure = "unreachable"
	DialGuarded    Failure = "guarded"  // our own guard does not dial there
	NoRoute        Failure = "no_route" // this machine has no way to the address, such as no IPv6
	TimedOut       Failure = "timeout"
	ResetByServer  Failure = "reset"
	ClosedByServer Failure = "closed"
	AlertCame      Failure = "alert"      // the server ended it with a TLS alert
	PlainHTTP      Failure = "plain_http" // HTTP came where TLS was due
	NotTLS         Failure = "not_tls"
	NotHTTP        Failure = "not_http"      // TLS went well, then something else than HTTP came
	BadKey         Failure = "bad_key"       // the server cannot prove the key of the certificate that it served
	WeHungUp       Failure = "we_hung_up"    // we could not go on with what the server sent
	AsksAgain      Failure = "renegotiation" // the server asked for a second handshake, in TLS 1.2, which no client of ours grants
	NotOffered     Failure = "not_offered"   // the server does not speak the protocol that was asked for
)

// Probe is one attempt: what was varied, and what became of it.
type Probe struct {
	Name        string `json:"name"`
	Certificate Role   `json:"certificate"`
	Authority   string `json:"authority,omitempty"` // that stands by, and whose certificate it is
	Address     string `json:"address"`
	SNI         SNI    `json:"sni"`
	Version     string `json:"version"` // "1.0" … "1.3": that one alone; "": 1.2 and 1.3; "none": no TLS at all
	Protocol    string `json:"protocol"`
	Method      string `json:"method"`
	// Forged tells that the request pretended to come from a proxy which has verified the platform's certificate.
	Forged bool `json:"forged_headers,omitempty"`

	Outcome Outcome `json:"outcome"`
	Stage   Stage   `json:"stage"`
	Failure Failure `json:"failure,omitempty"`
	Alert   *Alert  `json:"alert,omitempty"`
	Error   string  `json:"error,omitempty"`

	Asked      bool   `json:"asked"` // a CertificateRequest came in the handshake
	Negotiated string `json:"negotiated_version,omitempty"`
	Cipher     string `json:"cipher,omitempty"`
	Verified   bool   `json:"verified"` // the served certificate chains to our roots, for the name, today

	Answer *HTTPAnswer `json:"answer,omitempty"`

	ConnectMS   int64 `json:"connect_ms"`
	HandshakeMS int64 `json:"handshake_ms"`
	AnswerMS    int64 `json:"answer_ms"`

	address netip.Addr
	minTLS  uint16
	maxTLS  uint16
	again   bool // the same call once more
	standby *Standby
	served  []*x509.Certificate
	caNames [][]byte
}

// totalMS is how long the whole probe took.
func (p *Probe) totalMS() int64 { return p.ConnectMS + p.HandshakeMS + p.AnswerMS }

// sameWay reports whether two probes differ in nothing but their certificates.
func (p *Probe) sameWay(q *Probe) bool {
	return p.address == q.address && p.SNI == q.SNI && p.Version == q.Version && p.Protocol == q.Protocol && p.Method == q.Method && p.Forged == q.Forged
}

// caller makes probes of one endpoint.
type caller struct {
	Config
	endpoint
	identities map[Role]*tls.Certificate
	platform   *x509.Certificate // the leaf of the platform's canary; nil without one
	body       []byte            // of a callback; nil: none is posted
	protocol   string            // what the ordinary probe speaks
}

// call makes one probe and fills in what became of it.
func (c *caller) call(ctx context.Context, p *Probe) {
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout)
	defer cancel()

	start := c.Now()
	p.Stage = StageDial
	raw, err := c.Dial(ctx, "tcp", net.JoinHostPort(p.address.String(), c.portText()))
	p.ConnectMS = c.since(start)
	if err != nil {
		p.Failure, p.Error = dialFailure(err), errorText(err)
		return
	}
	conn := &bounded{Conn: raw, left: maxBytes}
	// The deadline covers what does not look at the context.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = raw.Close() }()

	p.Stage = StageHello
	start = c.Now()
	if p.Version == plainVersion {
		c.ask(ctx, conn, p)
		p.AnswerMS = c.since(start)
		return
	}
	secured := tls.Client(conn, c.tlsConfig(p))
	err = secured.HandshakeContext(ctx)
	p.HandshakeMS = c.since(start)
	state := secured.ConnectionState()
	p.Negotiated = versionName(state.Version)
	if err != nil {
		c.fail(p, err)
		return
	}
	p.Cipher = tls.CipherSuiteName(state.CipherSuite)
	if p.Protocol == http2 && state.NegotiatedProtocol != http2 {
		p.Stage, p.Failure = StageRequest, NotOffered
		return
	}
	// In TLS 1.3 the server judges our certificate after we have finished: its alert comes with the first read (RFC 8446, Section 4.4.2.4), so
	// that only a request tells.
	p.Stage = StageRequest
	start = c.Now()
	c.ask(ctx, secured, p)
	p.AnswerMS = c.since(start)
}

func (c *caller) since(start time.Time) int64 { return c.Now().Sub(start).Milliseconds() }

// tlsConfig accepts whatever is served, in order to see it; what is served is verified apart, and nothing secret is sent before that.
func (c *caller) tlsConfig(p *Probe) *tls.Config {
	config := &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         p.minTLS,
		MaxVersion:         p.maxTLS,
		NextProtos:         []string{p.Protocol},
		ServerName:         c.serverName(p.SNI),
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			p.Asked = true
			p.caNames = request.AcceptableCAs
			if identity := c.identity(p); identity != nil {
				return identity, nil // whatever CAs the server names: that it refuses this one is what we want to see
			}
			return &tls.Certificate{}, nil
		},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			p.Stage = StageHandshake
			for _, der := range raw {
				certificate, err := x509.ParseCertificate(der)
				if err != nil {
					return err
				}
				p.served = append(p.served, certificate)
			}
			p.Verified = c.verify(p.served) == nil
			return nil
		},
	}
	if p.Version != "" {
		config.CipherSuites = everySuite() // to hear from old servers, which know only what no client offers today
	}
	return config
}

func (c *caller) serverName(sni SNI) string {
	switch {
	case sni == OtherName:
		return otherName
	case sni == NoName || c.name.IsIP(): // RFC 6066, Section 3: addresses are not sent
		return ""
	}
	return c.name.String()
}

// fail notes why a probe ended.
func (c *caller) fail(p *Probe, err error) {
	var header tls.RecordHeaderError
	p.Error = errorText(err)
	if alert, ours := alertOf(err); alert != nil {
		switch {
		case !ours:
			p.Failure, p.Alert = AlertCame, alert
		case alert.Code == alertNoRenegotiation:
			p.Failure = AsksAgain
		default:
			p.Failure = WeHungUp
		}
		return
	}
	switch {
	case errors.As(err, &header) && p.Stage == StageHello:
		p.Failure = NotTLS
		if strings.HasPrefix(string(header.RecordHeader[:]), "HTTP/") {
			p.Failure = PlainHTTP
		}
	case strings.Contains(p.Error, "invalid signature by the server certificate"):
		p.Failure = BadKey
	default:
		p.Failure = connectionFailure(err)
	}
}

// everySuite lists all suites of TLS 1.2 and before.
func everySuite() []uint16 {
	var ids []uint16
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, suite.ID)
	}
	return ids
}

func versionName(version uint16) string {
	if version == 0 {
		return ""
	}
	return strings.TrimPrefix(tls.VersionName(version), "TLS ")
}

// maxBytes is what one probe may receive.
const maxBytes = 512 << 10

// errTooMuch ends a connection that sends without end.
var errTooMuch = errors.New("the server sent more than a probe reads")

// bounded ends a connection after a number of received bytes, and hears a server out: one that refuses may close before it has read our request,
// and that writing then fails must not keep us from reading its last word, the alert.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(buffer []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(buffer[:min(len(buffer), b.left)])
	b.left -= n
	return n, err
}

func (b *bounded) Write(data []byte) (int, error) {
	_, _ = b.Conn.Write(data)
	return len(data), nil
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
