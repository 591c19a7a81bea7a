package ca

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Severity is how much a Finding matters.
type Severity string

// The severities.
const (
	SeverityNote  Severity = "note"  // worth knowing
	SeverityFault Severity = "fault" // something that is not as it should be, and the mend is due
)

// Finding is something that Examine found.
type Finding struct {
	Severity Severity
	Subject  string // what it is about: a serial, the name of an authority
	Detail   string // what is wrong, and what to do
}

// Life left of an authority at which Examine begins to speak of it.
const authorityWarning = 365 * 24 * time.Hour

// Examine holds everything that is recorded against the rules: authorities that end or cannot sign, issuances that stopped half-way, and
// every stored certificate against its record, its profile and its signature. progress, if not nil, is called now and then with the
// number of certificates looked at so far. It changes nothing.
func (c *CA) Examine(ctx context.Context, p Principal, progress func(certificates int)) ([]Finding, error) {
	now := c.clock()
	if _, err := c.authorize(ctx, now, p, ActExamine, target{}); err != nil {
		return nil, err
	}
	findings := c.examineAuthorities(now)
	seen := 0
	for q := (CertificateQuery{Limit: MaxPage}); ; {
		page, err := c.store.ListCertificates(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates: %w", err)
		}
		for _, cert := range page.Items {
			findings = append(findings, c.examineCertificate(cert, now)...)
		}
		if seen += len(page.Items); progress != nil {
			progress(seen)
		}
		if page.Next.IsZero() {
			return findings, nil
		}
		q.Beyond = page.Next
	}
}

// ExamineCertificate holds one certificate against the rules, as Examine does, and against the lints that it had to pass before it was signed. A
// developer may ask about those of the own app.
func (c *CA) ExamineCertificate(ctx context.Context, p Principal, serial pki.Serial) ([]Finding, error) {
	cert, act, err := c.certificate(ctx, p, ActReadCertificate, serial)
	if err != nil {
		return nil, err
	}
	if findings := c.examineCertificate(cert, act.Event.At); len(findings) > 0 || len(cert.Signature) == 0 {
		return findings, nil
	}
	der, err := cert.DER()
	if err != nil {
		return nil, fmt.Errorf("assembling the certificate %s: %w", serial, err)
	}
	for _, i := range c.roster().issuers {
		if i.Name() != cert.Authority {
			continue
		}
		if err := i.Lint(der); err != nil {
			return []Finding{{SeverityFault, serial.String(), sentence(err)}}, nil
		}
	}
	return nil, nil
}

func (c *CA) examineAuthorities(now time.Time) []Finding {
	if len(c.roster().issuers) == 0 {
		return []Finding{{SeverityFault, "authorities", "No authority is recorded: run 'imca init'."}}
	}
	var findings []Finding
	for _, i := range c.roster().issuers {
		switch left := i.Certificate().NotAfter.Sub(now); {
		case i.Retired(): // nobody relies on it
		case left < 0:
			findings = append(findings, Finding{SeverityFault, i.Name(), "The authority's certificate has expired: nothing that it signed is accepted any more. Roll over to another authority ('imca ca add')."})
		case left < authorityWarning:
			findings = append(findings, Finding{SeverityFault, i.Name(), fmt.Sprintf("The authority's certificate ends in %d days: plan the roll-over to another authority ('imca ca add').", left/(24*time.Hour))})
		}
		if !i.CanSign() {
			findings = append(findings, Finding{SeverityNote, i.Name(), "The authority rests: its key is not on this server, so it signs nothing here."})
		}
	}
	return findings
}

// pendingGrace is how long an issuance may be under way before Examine calls it stopped.
const pendingGrace = time.Minute

func (c *CA) examineCertificate(cert *Certificate, now time.Time) []Finding {
	fault := func(format string, args ...any) []Finding {
		return []Finding{{SeverityFault, cert.Serial.String(), fmt.Sprintf(format, args...)}}
	}
	if len(cert.Signature) == 0 {
		if cert.Revocation != nil || now.Sub(cert.CreatedAt) < pendingGrace {
			return nil
		}
		return fault("Pending since %s: its issuance (%s) stopped between the record and the commit, so a signature may exist that nobody holds. Revoke it: imca revoke %s --reason superseded",
			cert.CreatedAt.Format(time.DateTime), joined(cert.Names), cert.Serial)
	}
	der, err := cert.DER()
	if err != nil {
		return fault("The stored certificate cannot be read (%v): restore the database from a backup, and find out who changed it.", err)
	}
	if sha256.Sum256(der) != cert.Fingerprint {
		return fault("The stored certificate does not have the recorded fingerprint: restore the database from a backup, and find out who changed it.")
	}
	if err := issuer.CheckStored(der, cert.Profile); err != nil {
		return fault("The certificate breaks the rules of its profile (%v): revoke it, and find out how it came about.", err)
	}
	for _, i := range c.roster().issuers {
		if i.Name() == cert.Authority {
			if err := i.Verify(der); err != nil {
				return fault("The certificate was not signed by %s (%v): find out who changed the database.", cert.Authority, err)
			}
			return nil
		}
	}
	return fault("Its authority %s is not recorded: restore the database from a backup.", cert.Authority)
}
