package doorcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/imca-project/imca/internal/egress"
)

// Alert is a TLS alert that the server sent (RFC 8446, Section 6).
type Alert struct {
	Code uint8  `json:"code"`
	Name string `json:"name"`
}

// The alerts that rules look for, by their numbers.
const (
	alertHandshakeFailure       = 40
	alertBadCertificate         = 42
	alertUnsupportedCertificate = 43
	alertCertificateRevoked     = 44
	alertCertificateExpired     = 45
	alertCertificateUnknown     = 46
	alertUnknownCA              = 48
	alertAccessDenied           = 49
	alertDecryptError           = 51
	alertProtocolVersion        = 70
	alertInsufficientSecurity   = 71
	alertInternalError          = 80
	alertNoRenegotiation        = 100
	alertUnrecognizedName       = 112
	alertCertificateRequired    = 116
	alertNoApplicationProtocol  = 120
)

// alertNames are the names of RFC 8446, Section 6, and, for 41 and 60, of its forerunners.
var alertNames = map[uint8]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 41: "no_certificate",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
	47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
	100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
	115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}

// alertOf finds the alert in an error of crypto/tls, and whether we sent it.
func alertOf(err error) (alert *Alert, ours bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" && op.Op != "local error" {
		return nil, false
	}
	// crypto/tls keeps the type of its alerts to itself; the text is that of AlertError.
	for code := range 256 {
		if op.Err.Error() == tls.AlertError(code).Error() {
			name := alertNames[uint8(code)]
			if name == "" {
				name = "unknown"
			}
			return &Alert{Code: uint8(code), Name: name}, op.Op == "local error"
		}
	}
	return nil, false
}

// alerted reports whether the server sent one of these alerts.
func (p *Probe) alerted(codes ...uint8) bool {
	if p == nil || p.Alert == nil {
		return false
	}
	for _, code := range codes {
		if p.Alert.Code == code {
			return true
		}
	}
	return false
}

func dialFailure(err error) Failure {
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &refused):
		return DialGuarded
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoRoute
	}
	return DialFailed
}

// connectionFailure tells how a connection that stood came to its end.
func connectionFailure(err error) Failure {
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	case errors.Is(err, errStreamEnded) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return ResetByServer
	case isClosed(err):
		return ClosedByServer
	}
	return WeHungUp
}

func errorText(err error) string { return printable(err.Error(), 300) }

// printable makes a stranger's text fit for reports and terminals: valid UTF-8, no control or format characters, at most limit runes.
func printable(text string, limit int) string {
	var b strings.Builder
	count := 0
	for _, r := range text {
		if count == limit {
			b.WriteString("…")
			break
		}
		count++
		switch {
		case unicode.IsSpace(r):
			b.WriteRune(' ')
		case !unicode.IsPrint(r): // invalid UTF-8 comes as U+FFFD, which is printable
			b.WriteRune('·')
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}
