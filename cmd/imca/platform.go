package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// platformLife is how long the certificate lasts with which a server itself calls developers' servers. Its key stays in memory.
const platformLife = 1 // days

// platformCertificate is the platform's client certificate in the hands of this server, which shows it where it looks for a proof and a developer's port
// asks for one. It is issued like every other when it is needed first, and again when it is worn or was revoked.
type platformCertificate struct {
	authority *ca.CA // set once, before anybody asks
	name      pki.Name
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	serial  pki.Serial
}

// platformTime bounds the issuance, which somebody's handshake waits for.
const platformTime = 5 * time.Second

// certificate is the certificate. Where there can be none, as the key that issues it rests elsewhere, it is empty: then the server that asks decides.
func (p *platformCertificate) certificate() (*tls.Certificate, error) {
	if p.name.IsZero() {
		return new(tls.Certificate), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), platformTime)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && !worn(p.current.Leaf.NotBefore, p.current.Leaf.NotAfter, p.now()) {
		recorded, err := p.authority.Certificate(ctx, itself(), p.serial)
		if err != nil || recorded.Revocation == nil {
			return p.current, err
		}
	}
	days := platformLife
	issued, err := p.authority.Issue(ctx, itself(), ca.IssueRequest{Profile: issuer.ClientProfile, Domains: []string{p.name.String()}, ValidityDays: &days})
	if isKind(err, ca.KindUnavailable) {
		p.log.WarnContext(ctx, "looking for a proof without the platform's client certificate: no key here issues one", "error", err)
		return new(tls.Certificate), nil
	}
	if err != nil {
		return nil, fmt.Errorf("issuing the server's own client certificate: %w", err)
	}
	chain, err := chainOf(p.authority, issued.Certificate)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, issued.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("using the server's own client certificate: %w", err)
	}
	p.current, p.serial = &pair, issued.Certificate.Serial
	p.log.InfoContext(ctx, "issued the server's own client certificate", "serial", p.serial, "not_after", issued.Certificate.NotAfter)
	return p.current, nil
}
