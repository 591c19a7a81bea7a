package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Hierarchy is the shape of a CA.
type Hierarchy string

// The shapes that come ready-made.
const (
	// HierarchyDirect: one root signs everything itself. A server with Apache's default SSLVerifyDepth 1 takes its client certificates.
	HierarchyDirect Hierarchy = "direct"

	// HierarchyIssuing: the root signs client certificates and one issuing CA, which may sign nothing but server certificates.
	HierarchyIssuing Hierarchy = "issuing"

	// HierarchySeparate: two roots, so that nothing that is made for developers can ever pass for the platform.
	HierarchySeparate Hierarchy = "separate"
)

// Hierarchies lists every shape.
func Hierarchies() []Hierarchy {
	return []Hierarchy{HierarchyDirect, HierarchyIssuing, HierarchySeparate}
}

// Lives of a CA's own certificates.
const (
	rootLife    = 20 * 365 * 24 * time.Hour
	issuingLife = 10 * 365 * 24 * time.Hour
)

// Establishment says what CA to make.
type Establishment struct {
	Hierarchy    Hierarchy   // HierarchyDirect when empty
	Name         string      // of the root, and its subject's common name: "TencentQQAuthCA" when empty
	Organization string      // of every CA certificate's subject; may be empty
	KeyType      pki.KeyType // of the CA's keys: ecdsa-p256 when empty

	// Import is an existing root to use instead of a new one; nil makes one.
	Import *ImportedRoot

	// NewKey makes and keeps the key of an authority, durably, and says where.
	NewKey func(authority string, t pki.KeyType) (key crypto.Signer, ref string, err error)
}

// ImportedRoot is a root that exists already.
type ImportedRoot struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	KeyRef      string // where the key is kept
}

// DefaultName is the name of the root unless configured.
const DefaultName = "TencentQQAuthCA"

// Establish makes the authorities of a CA and records them, once: where there is one, it changes nothing and refuses (KindConflict).
func Establish(ctx context.Context, store Store, p Principal, e Establishment, now time.Time) ([]Authority, error) {
	now = now.UTC().Truncate(time.Microsecond)
	c := &CA{store: store}
	act, err := c.authorize(ctx, now, p, ActCreateAuthority, target{object: e.Name})
	if err != nil {
		return nil, err
	}
	existing, err := store.ListAuthorities(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	if len(existing) > 0 {
		return nil, c.refused(ctx, act, established(existing))
	}
	authorities, err := e.make(now)
	if err != nil {
		return nil, c.answer(ctx, act, err)
	}
	act.Event.Object = authorities[0].Name
	act.Event.Detail = map[string]string{"hierarchy": string(e.Hierarchy)}
	switch err := store.CreateAuthorities(context.WithoutCancel(ctx), authorities, act); {
	case errors.Is(err, ErrExists):
		return nil, c.refused(ctx, act, established(authorities))
	case err != nil:
		return nil, fmt.Errorf("recording the authorities: %w", err)
	}
	return authorities, nil
}

func established(as []Authority) *Error {
	return refuse(KindConflict, "", "This database has a CA already (%s), and it stays as it is: use another database to make another.", as[0].Name)
}

func (e *Establishment) make(now time.Time) ([]Authority, error) {
	if e.Hierarchy == "" {
		e.Hierarchy = HierarchyDirect
	}
	if e.Name == "" {
		e.Name = DefaultName
	}
	if e.KeyType == "" {
		e.KeyType = pki.ECDSAP256
	}
	if !slices.Contains(Hierarchies(), e.Hierarchy) {
		return nil, refuse(KindInvalid, "", "There is no hierarchy %q: use one of %s.", e.Hierarchy, joined(Hierarchies()))
	}
	if err := checkAuthorityName(e.Name); err != nil {
		return nil, err
	}
	root, rootIssuer, err := e.root(e.Name, now)
	if err != nil {
		return nil, err
	}
	switch root.Profiles = []string{"client"}; e.Hierarchy {
	case HierarchyIssuing:
		issuing, err := e.issuing(rootIssuer, e.Name+"-Issuing", x509.ExtKeyUsageServerAuth, now)
		issuing.Profiles = []string{"server"}
		return []Authority{root, issuing}, err
	case HierarchySeparate:
		second := *e
		second.Import = nil
		server, _, err := second.root(e.Name+"-Server", now)
		server.Profiles = []string{"server"}
		return []Authority{root, server}, err
	default: // HierarchyDirect
		root.Profiles = []string{"server", "client"}
		return []Authority{root}, nil
	}
}

// root makes or takes a self-signed authority.
func (e *Establishment) root(name string, now time.Time) (Authority, *issuer.Issuer, error) {
	var (
		cert *x509.Certificate
		key  crypto.Signer
		ref  string
		err  error
	)
	if e.Import != nil {
		cert, key, ref = e.Import.Certificate, e.Import.Key, e.Import.KeyRef
		if _, err := issuer.CheckRoot(cert, key, now); err != nil {
			return Authority{}, nil, &Error{Kind: KindInvalid, Detail: sentence(err), Err: err}
		}
	} else {
		if key, ref, err = e.NewKey(name, e.KeyType); err != nil {
			return Authority{}, nil, err
		}
		cert, err = issuer.NewRoot(issuer.RootRequest{
			Serial: pki.NewSerial(), CommonName: name, Organization: e.Organization, Key: key,
			NotBefore: now.Add(-backdate).Truncate(time.Second), NotAfter: now.Add(rootLife).Truncate(time.Second),
		})
		if err != nil {
			return Authority{}, nil, fmt.Errorf("making the root %s: %w", name, err)
		}
	}
	by, err := issuer.New(issuer.Config{Name: name, Certificate: cert, Key: key})
	if err != nil {
		return Authority{}, nil, fmt.Errorf("using the root %s: %w", name, err)
	}
	return Authority{Name: name, Certificate: cert.Raw, KeyRef: ref, CreatedAt: now}, by, nil
}

// issuing makes an authority below a root that may sign nothing but leaves of one usage.
func (e *Establishment) issuing(parent *issuer.Issuer, name string, usage x509.ExtKeyUsage, now time.Time) (Authority, error) {
	key, ref, err := e.NewKey(name, e.KeyType)
	if err != nil {
		return Authority{}, err
	}
	cert, err := parent.NewIntermediate(issuer.IntermediateRequest{
		Serial: pki.NewSerial(), CommonName: name, Organization: e.Organization, PublicKey: key.Public(), EKU: usage,
		NotBefore: now.Add(-backdate).Truncate(time.Second),
		NotAfter:  earlier(now.Add(issuingLife).Truncate(time.Second), parent.Certificate().NotAfter),
	})
	if err != nil {
		return Authority{}, fmt.Errorf("making the issuing CA %s: %w", name, err)
	}
	return Authority{Name: name, Parent: parent.Name(), Certificate: cert.Raw, KeyRef: ref, CreatedAt: now}, nil
}

// checkAuthorityName refuses a name that cannot stand in a path and a file name.
func checkAuthorityName(name string) error {
	if !authorityName(name) {
		return refuse(KindInvalid, "", "The name %q cannot stand in the path of a URL or a file name: use 1 to 64 letters, digits, \"-\", \"_\" and \".\".", oneLine(name))
	}
	return nil
}

func authorityName(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// Load builds the issuers of recorded authorities. keys opens a key by its reference; an authority without a reference rests: it is
// served and checked, but cannot sign.
func Load(authorities []Authority, profiles []issuer.Profile, baseURL string, keys func(ref string) (crypto.Signer, error)) ([]*issuer.Issuer, error) {
	var issuers []*issuer.Issuer
	byName := make(map[string]*issuer.Issuer)
	for _, a := range authorities {
		cfg := issuer.Config{Name: a.Name, BaseURL: baseURL, Retired: !a.RetiredAt.IsZero()}
		var err error
		if cfg.Certificate, err = x509.ParseCertificate(a.Certificate); err != nil {
			return nil, fmt.Errorf("authority %s: reading its certificate: %w", a.Name, err)
		}
		if a.Parent != "" {
			parent, known := byName[a.Parent]
			if !known {
				return nil, fmt.Errorf("authority %s: its parent %s is not recorded before it", a.Name, a.Parent)
			}
			cfg.Chain = append([]*x509.Certificate{parent.Certificate()}, parent.Chain()...)
		}
		if a.KeyRef != "" {
			if cfg.Key, err = keys(a.KeyRef); err != nil {
				return nil, fmt.Errorf("authority %s: %w", a.Name, err)
			}
		}
		for _, p := range profiles {
			if slices.Contains(a.Profiles, p.Name) {
				cfg.Profiles = append(cfg.Profiles, p)
			}
			if slices.Contains(a.StandsBy, p.Name) {
				cfg.StandsBy = append(cfg.StandsBy, p)
			}
		}
		i, err := issuer.New(cfg)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", a.Name, err)
		}
		byName[a.Name] = i
		issuers = append(issuers, i)
	}
	return issuers, nil
}
