// Package validate proves that an applicant controls a name: http-01 and dns-01
// (RFC 8555), tls-alpn-01 (RFC 8737), IP addresses (RFC 8738), the standing DNS
// record of dns-persist-01 (draft-ietf-acme-dns-persist), and the domain owner's
// say by CAA (RFC 8659, RFC 8657).
//
// Each call is one attempt for one name, asked of the network anew. It returns nil
// for a proof, and otherwise an *Error that says what was seen, where, and what to
// put there. Nothing a stranger's server does changes more than that answer: every
// connection goes through the guarded dialer, and whatever is shown of an answer is
// short and escaped.
//
// It remembers nothing, retries nothing, and decides no policy: how long a proof
// lasts, which method fits which app, and who owns a name are the caller's.
package validate

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
)

// Method names a way to prove control, as ACME and CAA's validationmethods do.
type Method string

const (
	MethodHTTP01     Method = "http-01"
	MethodDNS01      Method = "dns-01"
	MethodTLSALPN01  Method = "tls-alpn-01"
	MethodDNSPersist Method = "dns-persist-01"

	// Names that were not proven but allowed otherwise. RFC 8657, Section 4:
	// what ACME does not know begins with "ca-".
	MethodApproved Method = "ca-approved" // an operator approved the name
	MethodOpen     Method = "ca-open"     // policy asks for no proof
)

// Config is what a Validator needs. The zero value proves names of the public
// Internet, and finds no CAA record to allow it.
type Config struct {
	// Guard is the way out; its ports are replaced by those below. Default: the
	// zero egress.Config.
	Guard *egress.Guard
	// HTTPPort and TLSPort are where challenges are answered, if not on 80 and
	// 443. Redirects may lead to 80 and 443 as well.
	HTTPPort, TLSPort uint16
	// CAIdentities are the domain names by which CAA and standing records call
	// this CA.
	CAIdentities []string
	// ClientCertificate returns the platform's client certificate, shown where a
	// developer's port 443 asks for one. Optional.
	ClientCertificate func() (*tls.Certificate, error)
	// Timeout bounds one attempt. Default: 20 seconds.
	Timeout time.Duration
	// Now is asked when a standing record has an end. Default: time.Now.
	Now func() time.Time
}

// Validator proves control over names. It is safe for concurrent use.
type Validator struct {
	guard             *egress.Guard
	httpPort, tlsPort uint16
	identities        []string
	clientCertificate func() (*tls.Certificate, error)
	timeout           time.Duration
	now               func() time.Time
}

// New checks the configuration and returns its Validator.
func New(c Config) (*Validator, error) {
	v := &Validator{
		guard:             c.Guard,
		httpPort:          c.HTTPPort,
		tlsPort:           c.TLSPort,
		clientCertificate: c.ClientCertificate,
		timeout:           c.Timeout,
		now:               c.Now,
	}
	if v.guard == nil {
		guard, err := egress.New(egress.Config{})
		if err != nil {
			return nil, err
		}
		v.guard = guard
	}
	if v.httpPort == 0 {
		v.httpPort = 80
	}
	if v.tlsPort == 0 {
		v.tlsPort = 443
	}
	v.guard = v.guard.WithPorts(80, 443, v.httpPort, v.tlsPort)
	if v.timeout == 0 {
		v.timeout = 20 * time.Second
	}
	if v.now == nil {
		v.now = time.Now
	}
	for _, identity := range c.CAIdentities {
		normal := strings.ToLower(strings.TrimSuffix(identity, "."))
		if !isIssuerName(normal) {
			return nil, fmt.Errorf("CA identity %q: write a domain name, such as ca.example.com", identity)
		}
		v.identities = append(v.identities, normal)
	}
	return v, nil
}

// HTTP01Path is the path at which an http-01 token is looked for.
func HTTP01Path(token string) string { return "/.well-known/acme-challenge/" + token }

// DNS01Name is where the TXT record of dns-01 stands. A wildcard is proven at the
// name below which it stands.
func DNS01Name(name pki.Name) string { return "_acme-challenge." + name.Base().String() }

// DNS01Value is the text of that record (RFC 8555, Section 8.4).
func DNS01Value(keyAuthorization string) string {
	digest := sha256.Sum256([]byte(keyAuthorization))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// StandingName is where the standing record of a name stands.
func StandingName(name pki.Name) string { return "_validation-persist." + name.Base().String() }

// StandingValue is a standing record that binds a name to an account of the CA that
// CAA knows as issuer; wildcard extends it to everything below the name.
func StandingValue(issuer, account string, wildcard bool) string {
	value := issuer + "; accounturi=" + account
	if wildcard {
		value += "; policy=wildcard"
	}
	return value
}

// HashedAccount is the account URI of dns-persist-01 (draft-ietf-acme-dns-persist-02,
// Section 4.1), which tells nobody else which account a domain uses: prefix is the
// directory's accountHashPrefix, domain the name proven or "*", thumbprint the
// base64url SHA-256 JWK thumbprint of a key of the account.
func HashedAccount(prefix, domain, thumbprint, accountURL string) string {
	digest := sha256.Sum256([]byte(string([]byte{byte(len(domain))}) + domain + thumbprint + accountURL))
	return prefix + "sha-256/" + base64.RawURLEncoding.EncodeToString(digest[:])
}

// isMine tells whether a record's issuer is this CA.
func (v *Validator) isMine(issuer string) bool { return slices.Contains(v.identities, issuer) }

// bound gives an attempt its time.
func (v *Validator) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, v.timeout)
}
