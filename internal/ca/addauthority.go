package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// NewAuthority says what authority to add to a CA.
type NewAuthority struct {
	Name         string      // and its subject's common name, unless it is imported
	Parent       string      // the root that signs its certificate; empty: it is a root itself
	For          []string    // the profiles that it stands by for: one usage alone where it has a parent
	Organization string      // of its subject; may be empty
	KeyType      pki.KeyType // ecdsa-p256 when empty

	// Import is an existing root to add instead of a new one; nil makes one.
	Import *ImportedRoot

	// NewKey makes and keeps the key of an authority, durably, and says where.
	NewKey func(authority string, t pki.KeyType) (key crypto.Signer, ref string, err error)
}

// AddAuthority makes an authority that stands by: it is trusted, published, and tried at developers' doors by canaries, and issues nothing until it is
// promoted. This process uses it from then on, if it follows the records; others follow in a moment.
func (c *CA) AddAuthority(ctx context.Context, p Principal, n NewAuthority) (Authority, error) {
	now := c.clock()
	detail := map[string]string{"for": strings.Join(n.For, " ")}
	if n.Parent != "" {
		detail["parent"] = oneLine(n.Parent)
	}
	act, err := c.authorize(ctx, now, p, ActCreateAuthority, target{object: n.Name, detail: detail})
	if err != nil {
		return Authority{}, err
	}
	added, err := c.addAuthority(ctx, now, n, act)
	if err != nil {
		return Authority{}, c.answer(ctx, act, err)
	}
	if _, err := c.FollowAuthorities(ctx); err != nil {
		return added, err
	}
	return added, nil
}

func (c *CA) addAuthority(ctx context.Context, now time.Time, n NewAuthority, act Act) (Authority, error) {
	recorded, err := c.store.ListAuthorities(ctx)
	if err != nil {
		return Authority{}, fmt.Errorf("reading the authorities: %w", err)
	}
	profiles, err := c.checkNewAuthority(n, recorded)
	if err != nil {
		return Authority{}, err
	}
	added, err := c.makeAuthority(n, profiles, now)
	if err != nil {
		return Authority{}, err
	}
	if err := distinct(added, recorded); err != nil {
		return Authority{}, err
	}
	switch err := c.store.CreateAuthorities(context.WithoutCancel(ctx), []Authority{added}, act); {
	case errors.Is(err, ErrExists):
		return Authority{}, nameTaken(n.Name)
	case err != nil:
		return Authority{}, fmt.Errorf("recording the authority %s: %w", n.Name, err)
	}
	return added, nil
}

func nameTaken(name string) *Error {
	return refuse(KindConflict, "", "There is an authority %s already: choose another name. None is ever used again.", name)
}

// checkNewAuthority refuses what cannot be, before a key is made, and returns the profiles that the authority stands by for.
func (c *CA) checkNewAuthority(n NewAuthority, recorded []Authority) ([]issuer.Profile, error) {
	if err := checkAuthorityName(n.Name); err != nil {
		return nil, err
	}
	for _, a := range recorded {
		if strings.EqualFold(a.Name, n.Name) { // their files lie side by side
			return nil, nameTaken(a.Name)
		}
	}
	if len(n.For) == 0 {
		return nil, refuse(KindInvalid, "", "Say what the authority is to issue one day: client, server, or both.")
	}
	var profiles []issuer.Profile
	for i, name := range n.For {
		by, known := c.roster().byProfile[name]
		if !known {
			return nil, refuse(KindInvalid, "", "No authority here issues the profile %q, so none can stand by for it: use some of %s.", oneLine(name),
				strings.Join(slices.Sorted(maps.Keys(c.roster().byProfile)), ", "))
		}
		if slices.Contains(n.For[:i], name) {
			return nil, refuse(KindInvalid, "", "The profile %s is there twice: leave one out.", name)
		}
		profile, _ := by.Profile(name)
		profiles = append(profiles, profile)
	}
	if n.Parent == "" {
		return profiles, nil
	}
	if n.Import != nil {
		return nil, refuse(KindInvalid, "", "An authority that is brought along is a root: leave the parent out.")
	}
	if slices.ContainsFunc(profiles, func(p issuer.Profile) bool { return p.EKU != profiles[0].EKU }) {
		return nil, refuse(KindInvalid, "", "An authority below a root is bound to one usage: make one for client certificates, and another one for those of servers.")
	}
	return profiles, c.checkParent(n.Parent)
}

func (c *CA) checkParent(name string) error {
	parent := c.roster().issuer(name)
	switch {
	case parent == nil:
		return refuse(KindNotFound, "", "There is no authority %q to be the parent: 'imca ca list' shows them.", oneLine(name))
	case len(parent.Chain()) > 0:
		return refuse(KindInvalid, "", "%s stands below a root itself, and may have none below it: give a root as the parent.", name)
	case parent.Retired():
		return refuse(KindConflict, "", "%s is retired: give another root as the parent.", name)
	case !parent.CanSign():
		return refuse(KindUnavailable, "", "The key of %s is not here, and it has to sign: bring it back first ('imca ca wake %[1]s'), or make a root.", name)
	}
	return nil
}

// makeAuthority makes key and certificate, and sees whether they can do what they are for.
func (c *CA) makeAuthority(n NewAuthority, profiles []issuer.Profile, now time.Time) (made Authority, err error) {
	e := Establishment{Name: n.Name, Organization: n.Organization, KeyType: n.KeyType, Import: n.Import, NewKey: n.NewKey}
	if e.KeyType == "" {
		e.KeyType = pki.ECDSAP256
	}
	var chain []*x509.Certificate
	if n.Parent == "" {
		made, _, err = e.root(n.Name, now)
	} else {
		parent := c.roster().issuer(n.Parent)
		chain = []*x509.Certificate{parent.Certificate()}
		made, err = e.issuing(parent, n.Name, profiles[0].EKU, now)
	}
	if err != nil {
		return Authority{}, err
	}
	cert, err := parseCertificate(made.Certificate)
	if err != nil {
		return Authority{}, err
	}
	cfg := issuer.Config{Name: n.Name, Certificate: cert, Chain: chain, StandsBy: profiles}
	if n.Import != nil {
		cfg.Key = n.Import.Key
	}
	by, err := issuer.New(cfg)
	if err == nil && n.Import != nil {
		err = tryOut(by, now)
	}
	if err != nil {
		return Authority{}, &Error{Kind: KindInvalid, Detail: sentence(err), Err: err}
	}
	made.StandsBy = slices.Clone(n.For)
	return made, nil
}

// tryOut prepares a certificate of each profile that an authority stands by for, and signs none: one that was made elsewhere may have something about it
// that no certificate under it gets past the checks with.
func tryOut(by *issuer.Issuer, now time.Time) error {
	for _, profile := range by.StandsBy() {
		key, err := quickKey(profile).Generate()
		if err != nil {
			return fmt.Errorf("making a key: %w", err)
		}
		_, err = by.PrepareCanary(issuer.CanaryRequest{
			Like: profile.Name, Serial: pki.NewSerial(), Name: canaryName, PublicKey: key.Public(),
			NotBefore: later(now.Add(-canaryBackdate), by.Certificate().NotBefore), NotAfter: earlier(now.Add(canaryLife), by.Certificate().NotAfter),
		})
		if err != nil {
			return fmt.Errorf("%s could issue no certificate of profile %s: %w", by.Name(), profile.Name, err)
		}
	}
	return nil
}

// distinct refuses an authority with the subject or the key of another one: certificates name their issuer by the one, and are told apart by the other.
func distinct(added Authority, recorded []Authority) error {
	cert, err := parseCertificate(added.Certificate)
	if err != nil {
		return err
	}
	for _, a := range recorded {
		other, err := parseCertificate(a.Certificate)
		if err != nil {
			return fmt.Errorf("the authority %s: %w", a.Name, err)
		}
		if bytes.Equal(cert.RawSubject, other.RawSubject) {
			return refuse(KindConflict, "", "The authority %s has the same subject (%s): servers could not tell the two apart. Choose another name.", a.Name, cert.Subject)
		}
		if bytes.Equal(cert.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo) {
			return refuse(KindConflict, "", "The authority %s has the same key: a roll-over is to another one.", a.Name)
		}
	}
	return nil
}
