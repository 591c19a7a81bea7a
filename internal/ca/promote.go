package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Readiness tells how many of the registered endpoints would let the platform in under an authority that stands by, by their last checks.
type Readiness struct {
	Concerned bool // the authority stands by for certificates that endpoints verify; the rest is empty otherwise

	Ready   int
	Unready int
	Unseen  int // not checked since the authority was made
	Untold  int // the last check could not tell, as when the platform is not let in today either

	Examples []Endpoint // some that are unready or unseen
}

// Certain tells whether no endpoint is known to be unready, or was not asked yet.
func (r Readiness) Certain() bool { return r.Unready == 0 && r.Unseen == 0 }

// readinessExamples bounds Readiness.Examples.
const readinessExamples = 20

// Readiness asks the last checks of all registered endpoints about an authority.
func (c *CA) Readiness(ctx context.Context, p Principal, authority string) (Readiness, error) {
	act, err := c.authorize(ctx, c.clock(), p, ActReadEndpoint, target{object: authority})
	if err != nil {
		return Readiness{}, err
	}
	a, err := c.recorded(ctx, authority)
	if err != nil {
		return Readiness{}, c.answer(ctx, act, err)
	}
	return c.readiness(ctx, a)
}

func (c *CA) readiness(ctx context.Context, a Authority) (r Readiness, err error) {
	if r.Concerned = c.calls(a); !r.Concerned {
		return r, nil
	}
	for q := (EndpointQuery{Limit: MaxPage}); ; {
		page, err := c.store.ListEndpoints(ctx, q)
		if err != nil {
			return r, fmt.Errorf("reading the endpoints: %w", err)
		}
		for _, e := range page {
			r.count(e, a)
		}
		if len(page) < q.Limit {
			return r, nil
		}
		q.Beyond = page[len(page)-1].ID
	}
}

func (r *Readiness) count(e Endpoint, a Authority) {
	switch {
	case slices.Contains(e.Ready, a.Name):
		r.Ready++
		return
	case slices.Contains(e.Unready, a.Name):
		r.Unready++
	case e.CheckedAt.Before(a.CreatedAt):
		r.Unseen++
	default:
		r.Untold++
		return
	}
	if len(r.Examples) < readinessExamples {
		r.Examples = append(r.Examples, e)
	}
}

// Promotion is what a Promote has done.
type Promotion struct {
	Moved map[string]string // each profile, to the authority that issued it until now
	Readiness
}

// Promote gives the profiles that an authority stands by for to it. Those that issued them until now stay trusted, go on with their revocation lists, and
// stand by in their turn: promoting them undoes it. Where registered endpoints are unready or unseen it refuses, unless anyway.
func (c *CA) Promote(ctx context.Context, p Principal, authority string, anyway bool) (*Promotion, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActPromote, target{object: authority})
	if err != nil {
		return nil, err
	}
	promotion, err := c.promote(ctx, now, authority, anyway, act)
	if err != nil {
		return nil, c.answer(ctx, act, err)
	}
	_, err = c.FollowAuthorities(ctx)
	return promotion, err
}

func (c *CA) promote(ctx context.Context, now time.Time, authority string, anyway bool, act Act) (*Promotion, error) {
	if _, err := c.FollowAuthorities(ctx); err != nil {
		return nil, err
	}
	recorded, err := c.store.ListAuthorities(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	i := slices.IndexFunc(recorded, func(a Authority) bool { return a.Name == authority })
	if err := c.checkPromotion(recorded, i, authority, now); err != nil {
		return nil, err
	}
	promotion := &Promotion{Moved: make(map[string]string)}
	if promotion.Readiness, err = c.readiness(ctx, recorded[i]); err != nil {
		return nil, err
	}
	if !anyway && !promotion.Certain() {
		return nil, promotion.refusal(authority)
	}
	from, to := moveProfiles(recorded, i, promotion.Moved)
	act.Event.Detail = map[string]string{"unready": strconv.Itoa(promotion.Unready), "unseen": strconv.Itoa(promotion.Unseen)}
	for profile, previous := range promotion.Moved {
		act.Event.Detail[profile] = "from " + previous
	}
	switch err := c.store.ChangeAuthorities(context.WithoutCancel(ctx), from, to, act); {
	case errors.Is(err, ErrChanged):
		return nil, refuse(KindConflict, "", "Somebody else has changed the authorities in this moment: look at them ('imca ca list'), and try again.")
	case err != nil:
		return nil, fmt.Errorf("promoting %s: %w", authority, err)
	}
	return promotion, nil
}

// checkPromotion refuses one that would leave the CA without an authority that can issue.
func (c *CA) checkPromotion(recorded []Authority, i int, name string, now time.Time) error {
	if i < 0 {
		return refuse(KindNotFound, "", "There is no authority %q: 'imca ca list' shows them.", oneLine(name))
	}
	a, by := recorded[i], c.roster().issuer(name)
	switch {
	case !a.RetiredAt.IsZero():
		return refuse(KindConflict, "", "%s is retired: nobody is to trust it. Take that back first ('imca ca retire %[1]s --undo').", name)
	case len(a.StandsBy) == 0 && len(a.Profiles) > 0:
		return refuse(KindConflict, "", "%s stands by for nothing: it issues %s already. Make its successor with 'imca ca add'.", name, strings.Join(a.Profiles, " and "))
	case len(a.StandsBy) == 0:
		return refuse(KindConflict, "", "%s stands by for nothing. Make an authority that does with 'imca ca add'.", name)
	case by == nil || !by.CanSign():
		return refuse(KindUnavailable, "", "The key of %s is not here, so it could issue nothing: bring it first ('imca ca wake %[1]s').", name)
	}
	for _, cert := range append(by.Chain(), by.Certificate()) {
		if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
			return refuse(KindConflict, "", "The certificate of %s is good from %s to %s, not now: make another authority with 'imca ca add'.", cert.Subject,
				cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	if crl := c.CRL(name); crl == nil || !crl.NextUpdate.After(now) {
		return refuse(KindUnavailable, "", "%s has no revocation list that is good now, and servers that check revocation would refuse everyone: start a server, which publishes one, and try again.", name)
	}
	return nil
}

// calls tells whether an authority stands by for certificates with which the platform calls.
func (c *CA) calls(a Authority) bool {
	by := c.roster().issuer(a.Name)
	return by != nil && slices.ContainsFunc(by.StandsBy(), isPlatforms)
}

func (r Readiness) refusal(authority string) error {
	var urls []string
	for _, e := range r.Examples[:min(len(r.Examples), 3)] {
		urls = append(urls, e.URL)
	}
	return refuse(KindConflict, "", "Of %d registered endpoints %d are not ready for %s, and %d were not checked since it was made (%s …): the platform would be locked out of those. "+
		"Have them mended first, or promote it all the same (--yes).", r.Ready+r.Unready+r.Unseen+r.Untold, r.Unready, authority, r.Unseen, strings.Join(urls, ", "))
}

// moveProfiles works out what becomes of all that are concerned, and notes in moved where each profile was.
func moveProfiles(recorded []Authority, promoted int, moved map[string]string) (from, to []Authority) {
	next := recorded[promoted]
	for i, a := range recorded {
		changed := a
		for _, profile := range next.StandsBy {
			if i == promoted || !slices.Contains(a.Profiles, profile) {
				continue
			}
			moved[profile] = a.Name
			changed.Profiles = slices.DeleteFunc(slices.Clone(changed.Profiles), func(p string) bool { return p == profile })
			changed.StandsBy = append(slices.Clone(changed.StandsBy), profile)
		}
		if i == promoted {
			changed.Profiles, changed.StandsBy = slices.Concat(a.Profiles, a.StandsBy), nil
		}
		if i == promoted || len(changed.Profiles) != len(a.Profiles) {
			from, to = append(from, a), append(to, changed)
		}
	}
	return from, to
}

// Retire has an authority trusted no more: it is left out of what is published and handed over for people to trust. What became of its certificates is told
// until they end. One that issues other profiles stays trusted for those, and only stands by no more. It must have no trusted authority below it, and,
// unless anyway, no valid certificate of what it is retired for. undo takes back that it is trusted no more.
func (c *CA) Retire(ctx context.Context, p Principal, authority string, anyway, undo bool) error {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActRetire, target{object: authority, detail: map[string]string{"undo": strconv.FormatBool(undo)}})
	if err != nil {
		return err
	}
	if err := c.retire(ctx, now, authority, anyway, undo, act); err != nil {
		return c.answer(ctx, act, err)
	}
	_, err = c.FollowAuthorities(ctx)
	return err
}

func (c *CA) retire(ctx context.Context, now time.Time, name string, anyway, undo bool, act Act) error {
	all, err := c.store.ListAuthorities(ctx)
	if err != nil {
		return fmt.Errorf("reading the authorities: %w", err)
	}
	i := slices.IndexFunc(all, func(a Authority) bool { return a.Name == name })
	if i < 0 {
		return refuse(KindNotFound, "", "There is no authority %q: 'imca ca list' shows them.", oneLine(name))
	}
	was, is := all[i], all[i]
	switch {
	case undo:
		is.RetiredAt = time.Time{}
		err = checkReturn(was, all)
	case !was.RetiredAt.IsZero():
		return nil // it is so already
	case len(was.Profiles) > 0:
		is.StandsBy = nil
		act.Event.Detail["stands_by"] = strings.Join(was.StandsBy, " ")
		err = c.checkRetirement(ctx, now, was, all, anyway)
	default:
		is.RetiredAt = now
		err = c.checkRetirement(ctx, now, was, all, anyway)
	}
	if err != nil {
		return err
	}
	switch err := c.store.ChangeAuthorities(context.WithoutCancel(ctx), []Authority{was}, []Authority{is}, act); {
	case errors.Is(err, ErrChanged):
		return refuse(KindConflict, "", "Somebody else has changed %s in this moment: look at it ('imca ca list'), and try again.", name)
	case err != nil:
		return fmt.Errorf("retiring %s: %w", name, err)
	}
	return nil
}

func checkReturn(a Authority, all []Authority) error {
	switch {
	case a.RetiredAt.IsZero():
		return refuse(KindConflict, "", "%s is not retired: there is nothing to take back.", a.Name)
	case slices.ContainsFunc(all, func(parent Authority) bool { return parent.Name == a.Parent && !parent.RetiredAt.IsZero() }):
		return refuse(KindConflict, "", "%s above it is retired: take that back first.", a.Parent)
	}
	return nil
}

func (c *CA) checkRetirement(ctx context.Context, now time.Time, a Authority, all []Authority, anyway bool) error {
	profiles := []string{""} // any
	if len(a.Profiles) > 0 {
		if profiles = a.StandsBy; len(profiles) == 0 {
			return refuse(KindConflict, "", "%s issues %s: promote another authority for that first ('imca ca promote').", a.Name, strings.Join(a.Profiles, " and "))
		}
	} else if i := slices.IndexFunc(all, func(below Authority) bool { return below.Parent == a.Name && below.RetiredAt.IsZero() }); i >= 0 {
		return refuse(KindConflict, "", "%s stands below %s: retire that first.", all[i].Name, a.Name)
	}
	if anyway {
		return nil
	}
	for _, profile := range profiles {
		serial, err := c.anyValid(ctx, now, a.Name, profile)
		if err != nil {
			return err
		}
		if !serial.IsZero() {
			return refuse(KindConflict, "", "Certificates of %s are valid still, %s among them: wait until they have been replaced and have ended, or retire it all the same (--force).", a.Name, serial)
		}
	}
	return nil
}

// anyValid is the serial of a valid certificate of an authority and a profile, those that the CA made for itself aside; zero if there is none.
func (c *CA) anyValid(ctx context.Context, now time.Time, authority, profile string) (pki.Serial, error) {
	for q := (CertificateQuery{Authority: authority, Profile: profile, Status: StatusValid, Now: now, Limit: MaxPage}); ; {
		page, err := c.store.ListCertificates(ctx, q)
		if err != nil {
			return pki.Serial{}, fmt.Errorf("looking for certificates of %s: %w", authority, err)
		}
		for _, cert := range page.Items {
			if cert.Profile != issuer.CanaryProfile && cert.Profile != issuer.OCSPProfile {
				return cert.Serial, nil
			}
		}
		if page.Next.IsZero() {
			return pki.Serial{}, nil
		}
		q.Beyond = page.Next
	}
}
