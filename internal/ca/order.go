package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// order is a request that has been read and found to be in order: what is to be issued.
type order struct {
	by       *issuer.Issuer
	profile  issuer.Profile
	app      *App
	names    []pki.Name
	pointers []string // where in the request each name stands
	account  string
	csr      *pki.CSR
	keyType  pki.KeyType
	validity time.Duration // as wished; zero: the profile's default
	replaces pki.Serial
}

// isPlatforms tells whether a profile is for the platform's own certificates, with which it calls the developers: those that no developer may have.
func isPlatforms(p issuer.Profile) bool { return p.EKU == x509.ExtKeyUsageClientAuth }

// order reads a request against its profile, its app and the policies.
func (c *CA) order(ctx context.Context, now time.Time, req IssueRequest) (*order, error) {
	o := &order{replaces: req.Replaces, account: req.Account}
	var known bool
	if o.by, known = c.byProfile[req.Profile]; !known {
		return nil, refuse(KindInvalid, "/profile", "No authority here issues the profile %q: use one of %s.", req.Profile,
			strings.Join(slices.Sorted(maps.Keys(c.byProfile)), ", "))
	}
	o.profile, _ = o.by.Profile(req.Profile)
	if !o.by.CanSign() {
		return nil, refuse(KindUnavailable, "", "The key of the authority %s is not on this server: ask the operator for certificates of profile %s.",
			o.by.Name(), o.profile.Name)
	}
	if err := c.orderApp(ctx, o, req); err != nil {
		return nil, err
	}
	if err := c.orderKey(ctx, o, req); err != nil {
		return nil, err
	}
	if err := c.orderNames(o, req); err != nil {
		return nil, err
	}
	if err := o.readValidity(req); err != nil {
		return nil, err
	}
	return o, c.checkControl(ctx, now, o)
}

func (c *CA) orderApp(ctx context.Context, o *order, req IssueRequest) error {
	if isPlatforms(o.profile) {
		if req.App != "" {
			return refuse(KindInvalid, "/app", "Certificates of profile %s are the platform's own: leave \"app\" out.", o.profile.Name)
		}
		return nil
	}
	app, err := c.appOf(ctx, req.App)
	o.app = app
	return err
}

// orderKey settles the key: the one of a CSR, or the type of one to make.
func (c *CA) orderKey(ctx context.Context, o *order, req IssueRequest) error {
	if len(req.CSR) > 0 {
		if req.KeyType != "" {
			return refuse(KindInvalid, "/key_type", "A CSR brings its own key: leave \"key_type\" out, or leave the CSR out to have a key made.")
		}
		csr, err := pki.ParseCSR(req.CSR)
		if err != nil {
			return &Error{Kind: KindBadCSR, Field: "/csr", Detail: sentence(err), Err: err}
		}
		if o.keyType, err = pki.KeyTypeOf(csr.PublicKey); err != nil {
			return &Error{Kind: KindBadKey, Field: "/csr", Detail: sentence(err), Err: err}
		}
		hash, err := pki.SPKIHash(csr.PublicKey)
		if err != nil {
			return fmt.Errorf("hashing the public key: %w", err)
		}
		if own, is := c.ownKeys[hash]; is {
			return refuse(KindBadKey, "/csr", "This is the key of the authority %s itself: make a key of your own.", own)
		}
		if err := c.keyAllowed(ctx, hash); err != nil {
			return err
		}
		o.csr = csr
	} else if req.KeyType == "" {
		o.keyType = o.profile.KeyTypes[0]
	} else {
		var err error
		if o.keyType, err = pki.ParseKeyType(req.KeyType); err != nil {
			return &Error{Kind: KindInvalid, Field: "/key_type", Detail: sentence(err), Err: err}
		}
	}
	if !slices.Contains(o.profile.KeyTypes, o.keyType) {
		field := "/key_type"
		if o.csr != nil {
			field = "/csr"
		}
		return refuse(KindBadKey, field, "Profile %s does not take %s keys: use one of %s.", o.profile.Name, o.keyType, joined(o.profile.KeyTypes))
	}
	return nil
}

// orderNames settles the names. Those of a CSR count only if the request names none itself, and may not go beyond those that it names.
func (c *CA) orderNames(o *order, req IssueRequest) (err error) {
	inputs, pointer := req.Domains, func(i int) string { return "/domains/" + strconv.Itoa(i) }
	if len(inputs) == 0 && o.csr != nil {
		pointer = func(int) string { return "/csr" }
		for _, n := range o.csr.Names {
			inputs = append(inputs, n.String())
		}
	}
	if len(inputs) == 0 {
		return refuse(KindInvalid, "/domains", "Say which names the certificate is for: \"domains\": [\"www.example.com\"].")
	}
	if o.names, o.pointers, err = c.parseNames(inputs, pointer, o.profile, o.app); err != nil || o.csr == nil {
		return err
	}
	for _, n := range o.csr.Names {
		if !slices.Contains(o.names, n) {
			return refuse(KindBadCSR, "/csr", "The CSR names %s, which \"domains\" does not: make both agree, or leave \"domains\" out to take the CSR's.", n)
		}
	}
	return nil
}

func (o *order) readValidity(req IssueRequest) error {
	const day = 24 * time.Hour
	if req.ValidityDays == nil {
		return nil
	}
	if days, most := *req.ValidityDays, int(o.profile.MaxValidity/day); days < 1 || days > most {
		return refuse(KindInvalid, "/validity_days", "%d days are out of bounds: profile %s gives 1 to %d.", days, o.profile.Name, most)
	}
	o.validity = time.Duration(*req.ValidityDays) * day
	return nil
}

// backdate makes a certificate valid a little before it is made, for machines whose clocks are slow.
const backdate = 5 * time.Minute

// window is the validity: whole seconds, and the last one included (RFC 5280, Section 4.1.2.5), so that it lasts just as long as was
// asked. It never reaches beyond the issuer's: a default is shortened, while a wish is left for the issuer to refuse.
func (o *order) window(now time.Time) (notBefore, notAfter time.Time) {
	notBefore = now.Add(-backdate).Truncate(time.Second)
	if o.validity > 0 {
		notAfter = notBefore.Add(o.validity - time.Second)
	} else {
		notAfter = notBefore.Add(o.profile.DefaultValidity - time.Second)
		notAfter = earlier(notAfter, o.by.Certificate().NotAfter)
	}
	if own := o.by.Certificate().NotBefore; notBefore.Before(own) {
		notBefore = own
	}
	return notBefore, notAfter
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// usageOf is the extended key usage of a profile by its name in RFC 5280, Section 4.2.1.12.
func usageOf(p issuer.Profile) Usage {
	if isPlatforms(p) {
		return UsageClientAuth
	}
	return UsageServerAuth
}

// refusedByIssuer tells a refusal of the issuer, which the caller can mend, from a fault.
func refusedByIssuer(err error) error {
	var refused *issuer.RefusedError
	if !errors.As(err, &refused) {
		return fmt.Errorf("preparing the certificate: %w", err)
	}
	e := &Error{Kind: KindInvalid, Detail: sentence(refused), Err: err}
	field, _, _ := strings.Cut(refused.Field, "[")
	switch field {
	case "Names", "CommonName":
		e.Kind, e.Field = KindRejectedName, "/domains"
	case "PublicKey":
		e.Kind, e.Field = KindBadKey, "/csr"
	case "NotBefore", "NotAfter":
		e.Field = "/validity_days"
	}
	return e
}
