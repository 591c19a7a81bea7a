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
	wished   validity      // the same, by its ends
	replaces pki.Serial
}

// quotas are those of the app, or those of everybody where there is none.
func (o *order) quotas(c *CA) Quotas {
	if o.app == nil {
		return c.rules.Quotas
	}
	return c.QuotasOf(o.app)
}

// isPlatforms tells whether a profile is for the platform's own certificates, with which it calls the developers: those that no developer may have.
func isPlatforms(p issuer.Profile) bool { return p.EKU == x509.ExtKeyUsageClientAuth }

// validity is a stretch of time; either end may be zero, for whatever is usual.
type validity struct{ notBefore, notAfter time.Time }

// order reads a request against its profile, its app and the policies.
func (c *CA) order(ctx context.Context, now time.Time, req IssueRequest) (*order, error) {
	o, err := c.orderProfile(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := c.orderKey(ctx, o, req); err != nil {
		return nil, err
	}
	if err := c.orderNames(o, req); err != nil {
		return nil, err
	}
	if err := o.readValidity(now, req); err != nil {
		return nil, err
	}
	return o, c.checkControl(ctx, now, o)
}

// orderProfile begins an order: who would issue it, by which profile, and for which app.
func (c *CA) orderProfile(ctx context.Context, req IssueRequest) (*order, error) {
	o := &order{replaces: req.Replaces, account: req.Account}
	var known bool
	if o.by, known = c.roster().byProfile[req.Profile]; !known {
		return nil, refuse(KindInvalid, "/profile", "No authority here issues the profile %q: use one of %s.", req.Profile,
			strings.Join(slices.Sorted(maps.Keys(c.roster().byProfile)), ", "))
	}
	o.profile, _ = o.by.Profile(req.Profile)
	if !o.by.CanSign() {
		return nil, refuse(KindUnavailable, "", "The key of the authority %s is not on this server: ask the operator for certificates of profile %s.",
			o.by.Name(), o.profile.Name)
	}
	return o, c.orderApp(ctx, o, req)
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
		if own, is := c.roster().ownKeys[hash]; is {
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

func (o *order) readValidity(now time.Time, req IssueRequest) error {
	const day = 24 * time.Hour
	o.wished = validity{req.NotBefore.UTC().Truncate(time.Second), req.NotAfter.UTC().Truncate(time.Second)}
	if req.ValidityDays == nil {
		return o.checkWished(now)
	}
	if o.wished != (validity{}) {
		return refuse(KindInvalid, "/validity_days", "The validity is given by its length or by its ends: leave one of the two out.")
	}
	if days, most := *req.ValidityDays, int(o.profile.MaxValidity/day); days < 1 || days > most {
		return refuse(KindInvalid, "/validity_days", "%d days are out of bounds: profile %s gives 1 to %d.", days, o.profile.Name, most)
	}
	o.validity = time.Duration(*req.ValidityDays) * day
	return nil
}

// earliest is how long ago a certificate may begin whose beginning is wished for. An ACME order that is finalized on its last hour keeps its word.
const earliest = 24 * time.Hour

// checkWished bounds a validity that is wished for by its ends: it lasts no longer than the profile says, reaches no further than it would if it began now,
// and stays within the issuer's own.
func (o *order) checkWished(now time.Time) error {
	const layout = time.RFC3339
	from, to := o.wished.notBefore, o.wished.notAfter
	latest := earlier(now.Add(o.profile.MaxValidity).Truncate(time.Second), o.by.Certificate().NotAfter)
	if !from.IsZero() {
		first := later(now.Add(-earliest), o.by.Certificate().NotBefore)
		if from.Before(first.Truncate(time.Second)) || !from.Before(latest) {
			return refuse(KindInvalid, "/not_before", "A certificate cannot begin at %s: give a time between %s and %s, or none.", from.Format(layout), first.Format(layout), latest.Format(layout))
		}
	}
	if to.IsZero() {
		return nil
	}
	begin, _ := o.window(now)
	longest := earlier(latest, begin.Add(o.profile.MaxValidity-time.Second))
	if !to.After(later(begin, now)) || to.After(longest) {
		return refuse(KindInvalid, "/not_after", "A certificate of profile %s cannot end at %s: give a time after %s, up to %s, or none.", o.profile.Name,
			to.Format(layout), later(begin, now).Format(layout), longest.Format(layout))
	}
	return nil
}

// backdate makes a certificate valid a little before it is made, for machines whose clocks are slow.
const backdate = 5 * time.Minute

// window is the validity: whole seconds, and the last one included (RFC 5280, Section 4.1.2.5), so that it lasts just as long as was
// asked. It never reaches beyond the issuer's: a default is shortened, while a wish is left for the issuer to refuse.
func (o *order) window(now time.Time) (notBefore, notAfter time.Time) {
	notBefore = o.wished.notBefore
	if notBefore.IsZero() {
		notBefore = later(now.Add(-backdate).Truncate(time.Second), o.by.Certificate().NotBefore)
	}
	switch {
	case !o.wished.notAfter.IsZero():
		notAfter = o.wished.notAfter
	case o.validity > 0:
		notAfter = now.Add(-backdate).Truncate(time.Second).Add(o.validity - time.Second)
	default:
		notAfter = notBefore.Add(o.profile.DefaultValidity - time.Second)
		notAfter = earlier(notAfter, earlier(now.Add(o.profile.MaxValidity).Truncate(time.Second), o.by.Certificate().NotAfter))
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
