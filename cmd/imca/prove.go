package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/validate"
)

// ProofConfig says how apps come to names, and how proofs are looked for.
type ProofConfig struct {
	Rules   ca.DomainRules // without its functions, which the server makes
	Egress  egress.Config  // the way out; its ports follow from Rules
	Timeout time.Duration  // of one look; zero means 20 s

	// ClientCertificate is the platform's, shown where a developer's port asks for it. nil: the server issues itself one.
	ClientCertificate func() (*tls.Certificate, error)
}

// rules gives the CA the eyes that it needs.
func (p ProofConfig) rules(observe func(ca.Method, ca.ProofResult), now func() time.Time) (ca.DomainRules, error) {
	rules := p.Rules
	guard, err := egress.New(p.Egress)
	if err != nil {
		return rules, fmt.Errorf("making the way out: %w", err)
	}
	cfg := validate.Config{
		Guard: guard, HTTPPort: rules.HTTPPort, TLSPort: rules.TLSPort, ClientCertificate: p.ClientCertificate, Timeout: p.Timeout, Now: now,
	}
	if rules.Identity != "" {
		cfg.CAIdentities = []string{rules.Identity}
	}
	v, err := validate.New(cfg)
	if err != nil {
		return rules, err
	}
	rules.Prove = func(ctx context.Context, m ca.Method, n pki.Name, token, keyAuthorization string) error {
		switch m {
		case ca.MethodHTTP:
			return asRefusal(v.HTTP01(ctx, n, token, keyAuthorization))
		case ca.MethodDNS:
			return asRefusal(v.DNS01(ctx, n, keyAuthorization))
		case ca.MethodTLSALPN:
			return asRefusal(v.TLSALPN01(ctx, n, keyAuthorization))
		}
		return fmt.Errorf("looking for a proof by %s: nobody knows how", m)
	}
	rules.Standing = func(ctx context.Context, n pki.Name, accounts []string) (ca.StandingRecord, error) {
		found, err := v.Standing(ctx, n, accounts)
		return ca.StandingRecord{Wildcard: found.Wildcard, Until: found.Until, Account: found.Account}, asRefusal(err)
	}
	rules.CAA = func(ctx context.Context, n pki.Name, accounts []string, m ca.Method) error {
		return asRefusal(v.CAA(ctx, n, accounts, validate.Method(m)))
	}
	rules.Observe = observe
	return rules, nil
}

// asRefusal makes of what a validator saw what the CA tells.
func asRefusal(err error) error {
	var seen *validate.Error
	if !errors.As(err, &seen) {
		return err
	}
	kinds := map[validate.Kind]ca.Kind{
		validate.KindConnection: ca.KindProofReach, validate.KindDNS: ca.KindProofDNS, validate.KindTLS: ca.KindProofTLS,
		validate.KindUnauthorized: ca.KindProofWrong, validate.KindCAA: ca.KindCAA, validate.KindMalformed: ca.KindProofWrong,
	}
	kind, known := kinds[seen.Kind]
	if !known { // a fault of ours says nothing about the applicant
		return err
	}
	detail := seen.Detail
	if detail != "" && detail[len(detail)-1] != '.' {
		detail += "."
	}
	return &ca.Error{Kind: kind, Detail: detail, Err: seen}
}
