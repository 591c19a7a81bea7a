package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/oidc"
	"github.com/imca-project/imca/internal/pki"
)

// newVerifier makes what asks an identity provider who somebody is; nil where none is configured.
func newVerifier(o config.OIDC, now func() time.Time) (*oidc.Verifier, error) {
	if o.Issuer == "" {
		return nil, nil
	}
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reading oidc.issuer: %w", err)
	}
	port := uint64(443)
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return nil, fmt.Errorf("reading oidc.issuer: %w", err)
		}
	}
	guard, err := egress.New(egress.Config{Allow: parseRanges(o.Allow), Ports: []uint16{uint16(port)}})
	if err != nil {
		return nil, fmt.Errorf("making the way to the identity provider: %w", err)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		if trust.RootCAs, _, err = readPool(o.CA); err != nil {
			return nil, fmt.Errorf("reading oidc.ca: %w", err)
		}
	}
	v, err := oidc.New(oidc.Config{
		Issuer: o.Issuer, Audience: o.Audience, RoleClaim: o.RoleClaim,
		Roles:  map[ca.Role][]string{ca.RoleAdmin: o.Admins, ca.RoleOperator: o.Operators, ca.RoleAuditor: o.Auditors},
		Client: guard.HTTPClient(egress.HTTPOptions{Timeout: 10 * time.Second, MaxBody: 1 << 20, TLS: func(*url.URL) *tls.Config { return trust.Clone() }}),
		Now:    now,
	})
	if err != nil {
		return nil, fmt.Errorf("reading oidc: %w", err)
	}
	return v, nil
}

// identifier tells who somebody is by the word of the configured provider, and has people sign in there; nil where there is none.
func (s *Server) identifier() (func(ctx context.Context, token string) (ca.Identity, error), error) {
	verifier, err := newVerifier(s.cfg.OIDC, s.cfg.Now)
	if err != nil || verifier == nil {
		return nil, err
	}
	if ref := s.cfg.OIDC.ClientSecret; ref != "" {
		secret, err := keys.Passphrase(ref)
		if err != nil {
			return nil, fmt.Errorf("reading oidc.client_secret: %w", err)
		}
		s.provider = verifier.Provider(string(secret))
	}
	return verifier.Identify, nil
}

// readPool reads a file of CA certificates.
func readPool(path string) (*x509.CertPool, []*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool, certificates, nil
}
