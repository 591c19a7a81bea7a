package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
)

// settings is a configuration whose texts have been read: what the packages below take.
type settings struct {
	config.Config
	path string // of the configuration file

	profiles   []issuer.Profile
	names      ca.NamePolicy
	ownNames   []pki.Name
	clientName pki.Name
	proxies    []netip.Prefix
	proof      ProofConfig
	crls       ca.CRLSchedule
	keyType    pki.KeyType
	logLevel   slog.Level
}

// loadSettings reads a configuration file and reports all its faults at once.
func loadSettings(path string) (*settings, error) {
	cfg, err := config.Load(path)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		return nil, usageError{err}
	}
	s := &settings{Config: cfg, path: path}
	s.read(&faults)
	return s, s.faulty(faults)
}

// faulty is a list of faults as the error of a command; nil when there are none.
func (s *settings) faulty(faults config.Faults) error {
	if len(faults) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s is not in order:\n%w", s.path, faults)}
}

// read turns texts into what they mean. What config has found wrong already is not said twice.
func (s *settings) read(faults *config.Faults) {
	s.profiles = []issuer.Profile{
		profile(issuer.ServerProfile, x509.ExtKeyUsageServerAuth, s.Profiles.Server),
		profile(issuer.ClientProfile, x509.ExtKeyUsageClientAuth, s.Profiles.Client),
	}
	if len(*faults) == 0 {
		for _, p := range s.profiles {
			for _, err := range split(p.Validate()) {
				faults.Add("profiles."+p.Name, "%v.", err)
			}
		}
	}
	var err error
	if s.keyType, err = pki.ParseKeyType(s.CA.KeyType); err != nil {
		faults.Add("ca.key_type", "%v.", err)
	}
	s.names.Deny = parseNames(faults, "policy.deny_names", s.Policy.DenyNames)
	for _, suffix := range parseNames(faults, "policy.allow_internal", s.Policy.AllowInternal) {
		s.names.AllowInternal = append(s.names.AllowInternal, suffix.String())
	}
	s.names.AllowAddresses = parseRanges(s.Policy.AllowAddresses)
	s.proxies = parseRanges(s.TrustedProxies)
	if s.clientName, err = pki.ParseName(s.ClientName); err != nil {
		faults.Add("client_name", "%v.", err)
	} else if s.clientName.IsIP() || s.clientName.IsWildcard() {
		faults.Add("client_name", "Developers' servers compare it as a whole: give a host name, such as callback.platform.example.com.")
	}
	s.ownNames = parseNames(faults, "tls.names", s.TLS.Names)
	if len(s.TLS.Names) == 0 && s.TLS.Certificate == "" {
		s.ownNames = s.defaultNames()
	}
	s.crls, err = ca.CRLSchedule{
		Interval: time.Duration(s.CRL.IntervalMinutes) * time.Minute, Lifetime: time.Duration(s.CRL.LifetimeHours) * time.Hour,
	}.Validate()
	if err != nil {
		faults.Add("crl", "%v.", err)
	}
	s.readDomains(faults)
	_ = s.logLevel.UnmarshalText([]byte(s.LogLevel)) // config has checked it
}

// readDomains turns the settings for proofs into what the server takes.
func (s *settings) readDomains(faults *config.Faults) {
	const day = 24 * time.Hour
	d := s.Domains
	s.proof = ProofConfig{
		Rules: ca.DomainRules{
			Policy: ca.DomainPolicy(d.Policy), Identity: d.CAAIdentity, ProofLife: time.Duration(d.ProofDays) * day,
			SuspendAfter: time.Duration(d.SuspendDays) * day, ParentCovers: d.ParentCovers, Brands: d.Brands,
			Quotas: ca.Quotas{
				CertificatesPerWeek: *d.CertificatesPerWeek, CertificatesPerNameWeek: *d.CertificatesPerNameWeek,
				OpenClaims: d.OpenClaims, ProofsPerHour: d.ProofsPerHour, ChecksPerHour: d.ChecksPerHour,
			},
		},
		Egress:  egress.Config{Allow: parseRanges(d.Allow), Resolver: d.Resolver},
		Timeout: time.Duration(d.TimeoutSeconds) * time.Second,
	}
	host := d.CAAIdentity
	if u, err := url.Parse(s.PublicURL); err == nil && host == "" {
		host = u.Hostname()
	}
	if host == "" {
		return
	}
	switch name, err := pki.ParseName(host); {
	case d.CAAIdentity != "" && (err != nil || name.IsIP() || name.IsWildcard()):
		faults.Add("domains.caa_identity", "%q is no domain name: give one of yours, such as ca.example.com.", d.CAAIdentity)
	case err == nil && !name.IsIP() && strings.Contains(name.String(), "."):
		s.proof.Rules.Identity = name.String()
	}
}

// defaultNames are the names of the server's own certificate where none are configured.
func (s *settings) defaultNames() []pki.Name {
	if u, err := url.Parse(s.PublicURL); err == nil && u.Hostname() != "" {
		if name, err := pki.ParseName(u.Hostname()); err == nil {
			return []pki.Name{name}
		}
	}
	return localNames()
}

// localNames are the names of this machine for itself.
func localNames() []pki.Name {
	var names []pki.Name
	for _, text := range []string{"localhost", "127.0.0.1", "::1"} {
		name, err := pki.ParseName(text)
		if err != nil {
			panic("the names of loopback are names: " + err.Error())
		}
		names = append(names, name)
	}
	return names
}

func profile(name string, usage x509.ExtKeyUsage, from config.Profile) issuer.Profile {
	const day = 24 * time.Hour
	p := issuer.Profile{
		Name: name, EKU: usage,
		DefaultValidity: time.Duration(from.DefaultDays) * day, MaxValidity: time.Duration(from.MaxDays) * day,
		MaxNames: from.MaxNames, Wildcards: *from.Wildcards, IPNames: *from.IPNames,
		Organization: from.Organization, OrganizationalUnit: from.OrganizationalUnit, Country: from.Country,
	}
	for _, kind := range from.KeyTypes {
		p.KeyTypes = append(p.KeyTypes, pki.KeyType(kind))
	}
	return p
}

// split is what errors.Join joined.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func parseNames(faults *config.Faults, path string, texts []string) []pki.Name {
	var names []pki.Name
	for i, text := range texts {
		name, err := pki.ParseName(text)
		if err != nil {
			faults.Add(fmt.Sprintf("%s[%d]", path, i), "%v.", err)
			continue
		}
		names = append(names, name)
	}
	return names
}

// parseRanges reads what config has checked.
func parseRanges(texts []string) []netip.Prefix {
	var ranges []netip.Prefix
	for _, text := range texts {
		if r, err := config.ParseRange(text); err == nil {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// databaseURL is the URL of the database with its password.
func (s *settings) databaseURL() (string, error) {
	if s.DatabasePassword == "" {
		return s.Database, nil
	}
	password, err := keys.Passphrase(s.DatabasePassword)
	if err != nil {
		return "", usageError{fmt.Errorf("%s: database_password: %w", s.path, err)}
	}
	u, err := url.Parse(s.Database)
	if err != nil {
		return "", fmt.Errorf("reading the URL of the database: %w", err)
	}
	u.User = url.UserPassword(u.User.Username(), string(password))
	return u.String(), nil
}

// open is what would let others in: secrets that everyone on the machine can read, or that are not there.
func (s *settings) open() config.Faults {
	var faults config.Faults
	if u, err := url.Parse(s.Database); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		if _, inline := u.User.Password(); inline {
			if err := openToOthers(s.path); err != nil {
				faults.Add("database", "The password stands in it, and %v. Better: database_password: file:PATH.", err)
			}
		}
	}
	if _, err := keys.Passphrase(s.CA.Passphrase); err != nil {
		faults.Add("ca.passphrase", "%v.", err)
	}
	if s.DatabasePassword != "" {
		if _, err := keys.Passphrase(s.DatabasePassword); err != nil {
			faults.Add("database_password", "%v.", err)
		}
	}
	if s.OIDC.ClientSecret != "" {
		if _, err := keys.Passphrase(s.OIDC.ClientSecret); err != nil {
			faults.Add("oidc.client_secret", "%v.", err)
		}
	}
	if s.TLS.Key != "" {
		if err := openToOthers(s.TLS.Key); err != nil {
			faults.Add("tls.key", "%v.", err)
		}
	}
	return faults
}
