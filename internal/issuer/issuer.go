package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Config is an authority. Name and Certificate are required.
type Config struct {
	Name        string              // stands in URLs and file names
	Certificate *x509.Certificate   // of the authority
	Chain       []*x509.Certificate // its parent and so on, up to and with the root; empty for a root
	Key         crypto.Signer       // nil for an authority that rests: it can do all but sign
	Profiles    []Profile           // what it issues; may be empty, as of a root above an issuing CA
	StandsBy    []Profile           // what it is to issue when its time has come: until then it signs canaries of these, and nothing else
	Retired     bool                // nobody is to trust it any more; what became of its certificates is told as before
	BaseURL     string              // where CRL, OCSP and CA certificate are published, http://…; "" leaves them out of certificates
}

// Issuer is an authority that is ready to work. It never changes, and may be used
// by any number of goroutines.
type Issuer struct {
	*signer
	name        string
	certificate *x509.Certificate
	chain       []*x509.Certificate
	profiles    []Profile
	standsBy    []Profile
	retired     bool
	urls        urls
	authorityID []byte // for the authority key identifiers of what it signs
	hashes      []authorityHashes
	linter      *linter
}

// New checks that the certificate is one of an authority, that the key is its key,
// that the chain leads to a root, and that each profile is sound and within what
// the certificate allows. It asks no clock: see CheckRoot for what else a root that
// is brought along must have.
func New(config Config) (*Issuer, error) {
	if config.Certificate == nil || config.Name == "" {
		return nil, errors.New("opening an authority: it has no name or no certificate: give both")
	}
	i, err := newIssuer(config)
	if err != nil {
		return nil, fmt.Errorf("opening the authority %s: %w", config.Name, err)
	}
	return i, nil
}

func newIssuer(config Config) (*Issuer, error) {
	own := config.Certificate
	if err := checkAuthority(own); err != nil {
		return nil, err
	}
	if config.Key != nil && !samePublicKey(config.Key.Public(), own.PublicKey) {
		return nil, errors.New("its key is not the key of its certificate: give the two that belong together")
	}
	if err := checkChain(own, config.Chain); err != nil {
		return nil, err
	}
	s, err := newSigner(config.Key, own.PublicKey)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		signer: s, name: config.Name, certificate: own, chain: slices.Clone(config.Chain), authorityID: own.SubjectKeyId, retired: config.Retired,
	}
	if i.retired && len(config.Profiles) > 0 {
		return nil, errors.New("it is retired and issues a profile: give that to another authority")
	}
	if len(i.authorityID) == 0 {
		// Verifiers compare the two identifiers only if both are there; strict
		// ones insist on the one in the leaf.
		i.authorityID = s.keyID
	}
	if i.hashes, err = hashesOf(own.RawSubject, s.spki); err != nil {
		return nil, err
	}
	for _, profile := range config.Profiles {
		if err := i.checkProfile(profile); err != nil {
			return nil, err
		}
		i.profiles = append(i.profiles, profile.clone())
	}
	for _, profile := range config.StandsBy {
		if err := i.checkProfile(profile); err != nil {
			return nil, err
		}
		i.standsBy = append(i.standsBy, profile.clone())
	}
	if i.urls, err = publishedAt(config.BaseURL, config.Name); err != nil {
		return nil, err
	}
	if i.linter, err = newLinter(); err != nil {
		return nil, err
	}
	return i, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// checkProfile says what keeps the authority from issuing one more profile.
func (i *Issuer) checkProfile(profile Profile) error {
	if err := profile.Validate(); err != nil {
		return err
	}
	_, known := i.Profile(profile.Name)
	if _, waits := i.Standby(profile.Name); known || waits {
		return fmt.Errorf("profile %q is there twice: leave one out", profile.Name)
	}
	for _, ca := range append([]*x509.Certificate{i.certificate}, i.chain...) {
		if !allowsUsage(ca, profile.EKU) {
			return fmt.Errorf("profile %q: the certificate %q does not allow %s below it: give the profile to another authority",
				profile.Name, ca.Subject, usageName(profile.EKU))
		}
	}
	return nil
}

// allowsUsage reports whether a CA certificate lets those below it have the usage.
// Every TLS library takes an extended key usage in a CA certificate as a constraint.
func allowsUsage(ca *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(ca.ExtKeyUsage)+len(ca.UnknownExtKeyUsage) == 0 ||
		slices.Contains(ca.ExtKeyUsage, usage) || slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// publishedAt builds the URLs of an authority below the base.
func publishedAt(base, name string) (urls, error) {
	if base == "" {
		return urls{}, nil
	}
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return urls{}, fmt.Errorf("its base URL %q: give one such as http://ca.example.com", base)
	}
	if parsed.Scheme != "http" {
		// RFC 5280, Section 8: with https, whoever fetches the CRL would first
		// have to check a certificate, for which he needs the CRL.
		return urls{}, fmt.Errorf("its base URL %q: give one with http://, because certificates point there for CRL and OCSP, which are signed themselves", base)
	}
	base, name = strings.TrimRight(parsed.String(), "/"), url.PathEscape(name)
	for _, r := range base {
		if r <= ' ' || r >= 0x7f {
			return urls{}, fmt.Errorf("its base URL %q: write it in ASCII", base)
		}
	}
	return urls{crl: base + "/crl/" + name + ".crl", issuer: base + "/ca/" + name + ".der", ocsp: base + "/ocsp/" + name}, nil
}

// Name is the authority's name.
func (i *Issuer) Name() string { return i.name }

// Certificate is the authority's own certificate. It may not be changed.
func (i *Issuer) Certificate() *x509.Certificate { return i.certificate }

// Chain is the authority's parent and so on, up to and with the root; empty for a
// root.
func (i *Issuer) Chain() []*x509.Certificate { return slices.Clone(i.chain) }

// Root is the root above the authority, or the authority itself.
func (i *Issuer) Root() *x509.Certificate {
	if len(i.chain) == 0 {
		return i.certificate
	}
	return i.chain[len(i.chain)-1]
}

// Profile is the profile of that name, if the authority issues it.
func (i *Issuer) Profile(name string) (Profile, bool) { return named(i.profiles, name) }

// Profiles lists what the authority issues.
func (i *Issuer) Profiles() []Profile { return clones(i.profiles) }

// Standby is the profile of that name, if the authority stands by for it.
func (i *Issuer) Standby(name string) (Profile, bool) { return named(i.standsBy, name) }

// StandsBy lists what the authority is to issue when its time has come.
func (i *Issuer) StandsBy() []Profile { return clones(i.standsBy) }

// Retired tells whether nobody is to trust the authority any more.
func (i *Issuer) Retired() bool { return i.retired }

func named(profiles []Profile, name string) (Profile, bool) {
	for _, profile := range profiles {
		if profile.Name == name {
			return profile.clone(), true
		}
	}
	return Profile{}, false
}

func clones(profiles []Profile) []Profile {
	list := make([]Profile, len(profiles))
	for n, profile := range profiles {
		list[n] = profile.clone()
	}
	return list
}

// CRLURL is where the authority's revocation list is, as its certificates say it; empty without a base URL.
func (i *Issuer) CRLURL() string { return i.urls.crl }

// CanSign reports whether the key is there.
func (i *Issuer) CanSign() bool { return i.key != nil }

// Verify checks that the authority signed the certificate, and that its validity
// is within the authority's own.
func (i *Issuer) Verify(der []byte) error {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("reading a certificate: %w", err)
	}
	if !bytes.Equal(certificate.RawIssuer, i.certificate.RawSubject) {
		return fmt.Errorf("verifying a certificate: it names %q as its issuer, not %q", certificate.Issuer, i.certificate.Subject)
	}
	if err := checkWithin(certificate.NotBefore, certificate.NotAfter, i.certificate); err != nil {
		return fmt.Errorf("verifying a certificate: %w", err)
	}
	if err := certificate.CheckSignatureFrom(i.certificate); err != nil {
		return fmt.Errorf("verifying a certificate: %w", err)
	}
	return nil
}
