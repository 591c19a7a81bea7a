package validate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/pki"
	"github.com/miekg/dns"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// alpnProtocol is RFC 8737, Section 6.2.
const alpnProtocol = "acme-tls/1"

// TLSALPN01 proves control over a name or an IP address by the certificate that its
// server shows to acme-tls/1 (RFC 8737, RFC 8738), on the TLS port alone and even
// where that port demands a client certificate.
func (v *Validator) TLSALPN01(ctx context.Context, name pki.Name, keyAuthorization string) error {
	if name.IsWildcard() {
		return &Error{Kind: KindMalformed, Name: name, Method: MethodTLSALPN01,
			Detail: fmt.Sprintf("%s is a wildcard, which tls-alpn-01 cannot prove; use dns-01", name)}
	}
	address := net.JoinHostPort(name.String(), strconv.Itoa(int(v.tlsPort)))
	state, peer, err := v.alpnHandshake(ctx, name, address)
	if err != nil {
		return failure(ctx, name, MethodTLSALPN01, "asking "+address+" for "+alpnProtocol, err,
			fmt.Sprintf("let port %d of %s answer %s from outside, or use another method", v.tlsPort, name, alpnProtocol))
	}
	if why := checkALPN(state, name, keyAuthorization); why != "" {
		return &Error{Kind: KindUnauthorized, Name: name, Method: MethodTLSALPN01, Detail: fmt.Sprintf(
			"%s (%s) %s; let the ACME client answer %s there", address, peer, why, alpnProtocol)}
	}
	return nil
}

// handshakeError marks what went wrong after the connection stood.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }

func (e *handshakeError) Unwrap() error { return e.err }

func (v *Validator) alpnHandshake(ctx context.Context, name pki.Name, address string) (state tls.ConnectionState, peer string, err error) {
	ctx, cancel := v.bound(ctx)
	defer cancel()
	raw, err := v.guard.DialContext(ctx, "tcp", address)
	if err != nil {
		return state, "", err
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{
		ServerName: serverName(name),
		NextProtos: []string{alpnProtocol},
		// RFC 8737, Section 3: TLS 1.2 or higher.
		MinVersion: tls.VersionTLS12,
		// The certificate is self-signed by design; checkALPN judges it.
		InsecureSkipVerify: true,
		// No request follows, so showing the platform's certificate opens nothing.
		GetClientCertificate: v.presentCertificate,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return state, "", &handshakeError{err}
	}
	return conn.ConnectionState(), hostOf(raw.RemoteAddr()), nil
}

// serverName is the name in the handshake: RFC 8738, Section 6, gives an address
// the name of its reverse mapping.
func serverName(name pki.Name) string {
	if !name.IsIP() {
		return name.String()
	}
	reverse, _ := dns.ReverseAddr(name.String()) // fails only for what is no address
	return strings.TrimSuffix(reverse, ".")
}

// checkALPN returns what is wrong with the server's answer, or nothing (RFC 8737,
// Section 3).
func checkALPN(state tls.ConnectionState, name pki.Name, keyAuthorization string) string {
	if state.NegotiatedProtocol != alpnProtocol {
		return "does not speak " + alpnProtocol
	}
	certificate := state.PeerCertificates[0]
	if !bytes.Equal(certificate.RawIssuer, certificate.RawSubject) ||
		certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) != nil {
		return "shows a certificate that is not self-signed, so not one made for this challenge"
	}
	if !soleAltName(certificate, name) {
		return fmt.Sprintf("shows a certificate whose subject alternative name is not %s alone", name)
	}
	return checkIdentifier(certificate, keyAuthorization)
}

// checkIdentifier looks for the critical acmeIdentifier extension with the digest of
// the key authorization, and for no second one.
func checkIdentifier(certificate *x509.Certificate, keyAuthorization string) string {
	// RFC 8737, Section 6.1: id-pe-acmeIdentifier.
	identifier := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(identifier) {
			continue
		}
		if !extension.Critical {
			return "shows a certificate whose acmeIdentifier extension is not critical"
		}
		var digest cryptobyte.String
		value := cryptobyte.String(extension.Value)
		if !value.ReadASN1(&digest, cbasn1.OCTET_STRING) || !value.Empty() {
			return "shows a certificate whose acmeIdentifier extension is not one OCTET STRING"
		}
		if want := sha256.Sum256([]byte(keyAuthorization)); !bytes.Equal(digest, want[:]) {
			return "shows a certificate for another challenge: the digest in its acmeIdentifier extension is not of " + keyAuthorization
		}
		return ""
	}
	return "shows a certificate without an acmeIdentifier extension"
}

// soleAltName tells whether the certificate's subject alternative name is exactly
// this name, and no entry of any type besides it.
func soleAltName(certificate *x509.Certificate, name pki.Name) bool {
	subjectAltName := asn1.ObjectIdentifier{2, 5, 29, 17}
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(subjectAltName) {
			continue
		}
		var entries, entry cryptobyte.String
		var tag cbasn1.Tag
		value := cryptobyte.String(extension.Value)
		if !value.ReadASN1(&entries, cbasn1.SEQUENCE) || !value.Empty() ||
			!entries.ReadAnyASN1(&entry, &tag) || !entries.Empty() {
			return false
		}
		if name.IsIP() {
			return tag == cbasn1.Tag(7).ContextSpecific() && bytes.Equal(entry, name.Addr().AsSlice())
		}
		return tag == cbasn1.Tag(2).ContextSpecific() && strings.EqualFold(string(entry), name.String())
	}
	return false
}
