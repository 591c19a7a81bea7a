package issuer

import (
	"fmt"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/rfc" // the lints register themselves
)

// linter runs the lints of zlint that apply to a private authority: those of
// RFC 5280 and of the RFCs beside it, 3279 (algorithms), 5480 (ECC keys), 5891
// (IDNA), 8813 (key usage of ECC keys). The rules of browsers and of public
// authorities (CA/Browser Forum, Mozilla, Apple, Chrome, certificate transparency)
// are not for us. None of the chosen lints is left out.
type linter struct {
	lints  []*lint.CertificateLint
	config lint.Configuration
}

// newLinter chooses the lints, which takes a thousand times as long as running one.
func newLinter() (*linter, error) {
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{
		IncludeSources: lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813},
	})
	if err != nil {
		return nil, fmt.Errorf("choosing the lints: %w", err)
	}
	return &linter{lints: registry.CertificateLints().Lints(), config: registry.GetConfiguration()}, nil
}

// check refuses a certificate to which any lint objects, be it with a notice. The
// error names the lints.
func (l *linter) check(der []byte) error {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("reading the prepared certificate for the lints: %w", err)
	}
	var objections []string
	for _, rule := range l.lints {
		if result := rule.Execute(certificate, l.config); result.Status >= lint.Notice {
			objections = append(objections, strings.TrimSpace(fmt.Sprintf("%s (%s: %s) %s", rule.Name, rule.Citation, rule.Description, result.Details)))
		}
	}
	if objections == nil {
		return nil
	}
	return refuse("", "the certificate would break a rule of X.509: ask for other names or another key, or show this to the operator: %s",
		strings.Join(objections, "; "))
}

// Lint holds a certificate against the lints that every one must pass before it is signed. The error names those that object.
func (i *Issuer) Lint(der []byte) error { return i.linter.check(der) }
