package issuer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/imca-project/imca/internal/pki"
)

// The names of the profiles that every authority knows. Their extended key usage
// is fixed, whatever a configuration says.
const (
	ServerProfile = "server"
	ClientProfile = "client"
)

// The bounds of a profile. Of RFC 5280, Appendix A.1, are the 64 characters of a
// name in the subject.
const (
	maxLife          = 10 * 366 * 24 * time.Hour
	maxNamesBound    = 1000
	maxSubjectLength = 64
)

// Profile says what certificates an authority signs under one name.
type Profile struct {
	Name string           // how requests call it: lower-case letters, digits, hyphens
	EKU  x509.ExtKeyUsage // ExtKeyUsageServerAuth or ExtKeyUsageClientAuth, and nothing beside it

	KeyTypes        []pki.KeyType // what keys may be certified, the default first
	DefaultValidity time.Duration // for callers; Prepare has no defaults
	MaxValidity     time.Duration // both ends included
	MaxNames        int
	Wildcards       bool // whether *.example.com may be certified
	IPNames         bool // whether IP addresses may be certified

	// Fixed parts of the subject beside the common name; empty ones are left out.
	Organization       string
	OrganizationalUnit string
	Country            string // two upper-case letters, ISO 3166
}

// DefaultProfiles are "server", for the servers of developers, and "client", for
// the platform that calls them. Ed25519 is in neither, because not every TLS
// library of the servers can do it; a configuration may add it.
func DefaultProfiles() []Profile {
	const day = 24 * time.Hour
	return []Profile{
		{
			Name:            ServerProfile,
			EKU:             x509.ExtKeyUsageServerAuth,
			KeyTypes:        []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.RSA3072, pki.RSA4096},
			DefaultValidity: 90 * day,
			MaxValidity:     397 * day,
			MaxNames:        100,
			Wildcards:       true,
			IPNames:         true,
		},
		{
			Name:            ClientProfile,
			EKU:             x509.ExtKeyUsageClientAuth,
			KeyTypes:        []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.RSA3072, pki.RSA4096},
			DefaultValidity: 7 * day,
			MaxValidity:     90 * day,
			MaxNames:        10,
		},
	}
}

// Validate reports every fault of the profile.
func (p Profile) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("profile %q: "+format, append([]any{p.Name}, args...)...))
	}
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(p.Name) {
		fault("its name: give 1 to 32 lower-case letters, digits and hyphens")
	}
	if p.Name == CanaryProfile {
		fault("its name stands for the certificates of the door check: choose another")
	}
	if p.EKU != x509.ExtKeyUsageServerAuth && p.EKU != x509.ExtKeyUsageClientAuth {
		fault("its extended key usage: give serverAuth or clientAuth")
	} else if fixed, known := fixedUsage(p.Name); known && p.EKU != fixed {
		fault("its extended key usage is %s and stays so: use a profile with another name", usageName(fixed))
	}
	if len(p.KeyTypes) == 0 {
		fault("its key types: give at least one")
	}
	for i, kind := range p.KeyTypes {
		if !slices.Contains(pki.KeyTypes(), kind) {
			fault("its key types: %q is none: give some of %v", string(kind), pki.KeyTypes())
		}
		if slices.Contains(p.KeyTypes[:i], kind) {
			fault("its key types: %s is there twice: leave one out", kind)
		}
	}
	if p.MaxValidity < time.Minute || p.MaxValidity > maxLife {
		fault("its longest validity: give from a minute to ten years")
	}
	if p.DefaultValidity < time.Minute || p.DefaultValidity > p.MaxValidity {
		fault("its default validity: give from a minute to its longest, %v", p.MaxValidity)
	}
	if p.MaxNames < 1 || p.MaxNames > maxNamesBound {
		fault("its greatest number of names: give from 1 to %d", maxNamesBound)
	}
	if why := checkSubjectText(p.Organization); why != "" {
		fault("its organization: %s", why)
	}
	if why := checkSubjectText(p.OrganizationalUnit); why != "" {
		fault("its organizational unit: %s", why)
	}
	if p.Country != "" && !regexp.MustCompile(`^[A-Z]{2}$`).MatchString(p.Country) {
		fault("its country: give two capital letters, such as CN")
	}
	return errors.Join(faults...)
}

// fixedUsage is the usage that goes with one of the well-known names.
func fixedUsage(name string) (x509.ExtKeyUsage, bool) {
	switch name {
	case ServerProfile:
		return x509.ExtKeyUsageServerAuth, true
	case ClientProfile:
		return x509.ExtKeyUsageClientAuth, true
	case OCSPProfile:
		return x509.ExtKeyUsageOCSPSigning, true
	}
	return 0, false
}

func usageName(usage x509.ExtKeyUsage) string {
	switch usage {
	case x509.ExtKeyUsageServerAuth:
		return "serverAuth"
	case x509.ExtKeyUsageClientAuth:
		return "clientAuth"
	case x509.ExtKeyUsageOCSPSigning:
		return "OCSPSigning"
	}
	return fmt.Sprintf("extended key usage %d", usage)
}

// checkSubjectText says what is wrong with a text that is to stand in a subject.
func checkSubjectText(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "give it in UTF-8"
	case utf8.RuneCountInString(text) > maxSubjectLength:
		return fmt.Sprintf("give at most %d characters", maxSubjectLength)
	case text != "" && (unicode.IsSpace([]rune(text)[0]) || unicode.IsSpace([]rune(text)[len([]rune(text))-1])):
		return "leave out the spaces around it"
	}
	for _, r := range text {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return "leave out control characters"
		}
	}
	return ""
}

// clone makes p independent of the caller's slices.
func (p Profile) clone() Profile {
	p.KeyTypes = slices.Clone(p.KeyTypes)
	return p
}
