package doorcheck

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzAnswer has a server say anything. Property: the probe ends either with an answer, bounded and printable, or with a failure that has a name.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nServer: Apache\r\nDate: Mon, 23 Nov 2026 22:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<center>No required SSL certificate was sent</center>",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nx", "SSH-2.0\r\n", "", "\x15\x03\x01\x00\x02\x02\x46", "HTTP/1.1 \x1b[2J\r\n",
	} {
		f.Add([]byte(text))
	}
	target, err := parseTarget("https://www.example.com/callback")
	require.NoError(f, err)
	c := &caller{Config: Config{}.withDefaults(), endpoint: target, protocol: http1}
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, _ = far.Write(said)
			_ = far.Close()
		}()
		p := &Probe{Stage: StageRequest, Protocol: http1, Method: http.MethodGet}
		c.ask(t.Context(), near, p)
		_ = near.Close()
		if p.Answer == nil {
			require.NotEqual(t, NoFailure, p.Failure)
			require.NotEmpty(t, p.result())
		} else {
			require.Equal(t, StageAnswer, p.Stage)
			require.LessOrEqual(t, len(p.Answer.body), maxBody)
			require.LessOrEqual(t, utf8.RuneCountInString(p.Answer.Excerpt), 161)
			requirePrintable(t, p.Answer.Server+p.Answer.Excerpt+p.Answer.Location)
		}
		requirePrintable(t, p.Error)
	})
}

// FuzzPrintable. Property: valid UTF-8, printable, one line, within its limit, and nothing is changed in a text that was so already.
func FuzzPrintable(f *testing.F) {
	f.Add("Apache/2.4.62 (Debian)", 100)
	f.Add("\x1b[31m\r\n\u202e\xff", 5)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(1, limit%1000)
		shown := printable(text, limit)
		require.True(t, utf8.ValidString(shown))
		require.LessOrEqual(t, utf8.RuneCountInString(shown), limit+1)
		for _, r := range shown {
			require.True(t, unicode.IsPrint(r), "%U", r)
		}
		require.Equal(t, shown, printable(shown, limit+1))
	})
}

// FuzzDistinguishedName. Property: one printable line, whatever a server lists as a CA.
func FuzzDistinguishedName(f *testing.F) {
	f.Add([]byte{0x30, 0x00})
	f.Add([]byte("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02CA"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		requirePrintable(t, distinguishedName(raw))
		require.NotContains(t, distinguishedName(raw), "\n")
	})
}

// FuzzExamine has a server show any certificates. Property: the chain is taken apart without a panic, verifies only if a client would accept it, and
// everything said of it is printable.
func FuzzExamine(f *testing.F) {
	w := newParties(f)
	for _, p := range []party{w.server, w.chained, w.lapsed, w.selfSigned} {
		f.Add(p.certificate.Raw, w.issuing.certificate.Raw)
	}
	target, err := parseTarget("https://www.example.com/callback")
	require.NoError(f, err)
	c := &caller{Config: w.config().withDefaults(), endpoint: target, protocol: http1}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var served []*x509.Certificate
		for _, der := range [][]byte{first, second} {
			if certificate, err := x509.ParseCertificate(der); err == nil {
				served = append(served, certificate)
			}
		}
		s := c.examine(served)
		if s == nil {
			require.Empty(t, served)
			return
		}
		require.Equal(t, c.verify(served) == nil, s.Verifies)
		require.Equal(t, s.Verifies, s.chainFault == chainFault{} && s.nameFault == "", "a chain that does not verify has a fault with a name")
		for _, certificate := range s.Certificates {
			requirePrintable(t, certificate.Subject+certificate.Issuer+strings.Join(certificate.Names, " "))
		}
		requirePrintable(t, s.Error+strings.Join(s.Missing, ""))
	})
}

func TestErrorsHaveKinds(t *testing.T) {
	require.Equal(t, WeHungUp, connectionFailure(errors.New("tls: something odd")))
	require.Equal(t, ClosedByServer, connectionFailure(io.ErrUnexpectedEOF))
}
