package inspect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// served is what a site's address shows.
type served struct {
	address string
	err     error // nobody answers, or not with TLS
	leaf    *x509.Certificate
	asked   bool
	issuers [][]byte // the CAs that the server lists, in DER
}

// socketLimit bounds one look.
const socketLimit = 5 * time.Second

// lookAt connects to a site as its caller would, on this machine. Nothing is sent behind the handshake.
func (i *inspection) lookAt(ctx context.Context, s *site, a address) served {
	host := a.host
	if host == "" {
		host = "127.0.0.1"
	}
	v := served{address: net.JoinHostPort(host, a.port)}
	ctx, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	conn, err := i.Dial(ctx, "tcp", v.address)
	if err != nil {
		v.err = err
		return v
	}
	defer func() { _ = conn.Close() }()
	client := tls.Client(conn, &tls.Config{
		ServerName: s.sni(), InsecureSkipVerify: true, // what is shown is compared with a file, and nothing is sent
		MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			v.leaf = state.PeerCertificates[0]
			return nil
		},
		GetClientCertificate: func(asks *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			v.asked, v.issuers = true, asks.AcceptableCAs
			return &tls.Certificate{}, nil
		},
	})
	if err := client.HandshakeContext(ctx); err != nil && v.leaf == nil {
		v.err = err
	}
	return v
}

// sni is the name by which the site is asked for; "" if it has none but addresses and patterns.
func (s *site) sni() string {
	for _, name := range s.names {
		if hostname(name) && net.ParseIP(name) == nil {
			return name
		}
	}
	return ""
}
