package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Decision is what somebody says about a claim.
type Decision struct {
	Name string
	App  string // whose claim; it may be left out where there is but one, or one that holds the name

	Reason   string // for the developer, and for whoever asks later; required with a no
	Wildcard bool   // a yes covers what lies one level below as well
}

// ApproveDomain is an operator's yes. It stands for the proof where there is none, and does not lapse; a claim that was proven, and only
// flagged, keeps its proof.
func (c *CA) ApproveDomain(ctx context.Context, p Principal, said Decision) (Domain, error) {
	return c.decide(ctx, p, ActApproveDomain, said, func(d *Domain, now time.Time) error {
		proven := d.ProvenBy != "" && d.ProvenBy != MethodApproved && !d.lapsed(now)
		if !proven || said.Wildcard && !d.Wildcard {
			d.ProvenBy, d.ProvenAt, d.ExpiresAt, d.Lasting, d.DueAt = MethodApproved, now, time.Time{}, false, time.Time{}
			d.Wildcard = d.Wildcard || said.Wildcard
		} else {
			d.DueAt = c.nextLook(d, now)
		}
		d.State, d.Holds, d.Failure, d.FailingSince = DomainValid, true, "", time.Time{}
		return nil
	})
}

// RejectDomain is an operator's no, to a claim in whatever state: the app loses the name, and the claim stays to tell why.
func (c *CA) RejectDomain(ctx context.Context, p Principal, said Decision) (Domain, error) {
	return c.decide(ctx, p, ActRejectDomain, said, func(d *Domain, _ time.Time) error {
		if said.Reason == "" {
			return refuse(KindInvalid, "/reason", "Say why: the developer sees it, and can then do better.")
		}
		d.reject()
		return nil
	})
}

func (d *Domain) reject() { d.State, d.Holds, d.DueAt = DomainRejected, false, time.Time{} }

func (c *CA) decide(ctx context.Context, p Principal, a Action, said Decision, change func(*Domain, time.Time) error) (Domain, error) {
	for range tries {
		d, act, err := c.claim(ctx, p, a, said.Name, said.App)
		if err != nil {
			return Domain{}, err
		}
		now := act.Event.At
		if err := checkReason(said.Reason); err != nil {
			return Domain{}, c.refused(ctx, act, err)
		}
		if err := change(&d, now); err != nil {
			return Domain{}, c.answer(ctx, act, err)
		}
		d.DecidedAt, d.DecidedBy, d.Decision = now, p.Name, said.Reason
		act.Event.Detail = map[string]string{"reason": said.Reason, "state": string(d.State), "name": d.fullName().String()}
		switch err := c.store.ChangeDomains(context.WithoutCancel(ctx), nil, []Domain{d}, act); {
		case err == nil:
			d.Version++
			return d, nil
		case errors.Is(err, ErrExists):
			return Domain{}, c.refused(ctx, act, refuse(KindConflict, "", "Another app has %s: transfer it ('imca domain transfer %s --to %s', or POST /v1/domains/%s/transfer).", d.Name, d.Name, d.App, d.Name))
		case !errors.Is(err, ErrChanged):
			return Domain{}, fmt.Errorf("recording the decision on %s: %w", d.Name, err)
		}
	}
	return Domain{}, &Error{Kind: KindUnavailable, RetryAfter: time.Second, Detail: "Others are changing this domain at this moment: try again."}
}

// checkReason bounds a reason: it stands in one line of a list.
func checkReason(s string) *Error {
	if len([]rune(s)) > 500 || !printable(s) {
		return refuse(KindInvalid, "/reason", "A reason is one line of at most 500 characters: shorten it.")
	}
	return nil
}

// TransferDomain gives a name to another app, whatever the one that has it thinks. If the other has proven it, it can use it at once; else it
// has the name, and proves it then. The certificates of the loser go on until they are revoked (RevokeOthers).
func (c *CA) TransferDomain(ctx context.Context, p Principal, name, to string) (Domain, error) {
	return c.hand(ctx, p, ActTransferDomain, name, to, func(claims *contest) error {
		if claims.holder == nil {
			return refuse(KindConflict, "", "No app has %s, so there is nothing to transfer: approve a claim on it (imca domain approve).", claims.name)
		}
		return nil
	})
}

// ResolveDomain ends a conflict over a name in favour of one app: the one that has it, which refuses all others, or one of the others, which then
// gets it. Operators may, and the developers of the app that has the name.
func (c *CA) ResolveDomain(ctx context.Context, p Principal, name, to string) (Domain, error) {
	return c.hand(ctx, p, ActResolveDomain, name, to, func(claims *contest) error {
		switch {
		case claims.holder == nil && len(claims.rivals) > 0:
			return refuse(KindConflict, "", "No app has %s any more: the first that verifies it again gets it (imca domain verify %s).", claims.name, claims.name)
		case claims.holder == nil || len(claims.rivals) == 0:
			return refuse(KindConflict, "", "There is no conflict over %s: nothing is left to do.", claims.name)
		case p.Role == RoleDeveloper && claims.holder.App != p.App:
			return refuse(KindForbidden, "", "The app that has %s decides, or an operator: ask one, and say why it is yours now.", claims.name)
		case to != claims.holder.App && own(claims.rivals, to) == nil:
			return refuse(KindInvalid, "/to", "The app %q is no party to the conflict over %s: choose the one that has it or one that has proven it.", to, claims.name)
		}
		return nil
	})
}

// contest is a name with all who want it.
type contest struct {
	name   pki.Name
	holder *Domain
	rivals []Domain // that have proven it as well
	others []Domain
}

func (c *CA) contest(ctx context.Context, n pki.Name) (*contest, error) {
	claims, err := c.store.Domains(ctx, []pki.Name{n})
	if err != nil {
		return nil, fmt.Errorf("reading the claims on %s: %w", n, err)
	}
	all := &contest{name: n}
	for _, d := range claims {
		switch {
		case d.Holds:
			all.holder = &d
		case d.State == DomainConflict:
			all.rivals = append(all.rivals, d)
		default:
			all.others = append(all.others, d)
		}
	}
	return all, nil
}

// hand gives a name to an app, or leaves it to the one that has it and refuses the rivals.
func (c *CA) hand(ctx context.Context, p Principal, a Action, text, to string, check func(*contest) error) (Domain, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, a, target{app: p.App, object: text, detail: map[string]string{"to": to}})
	if err != nil {
		return Domain{}, err
	}
	d, err := c.handOver(ctx, p, act, text, to, check)
	return d, c.answer(ctx, act, err)
}

func (c *CA) handOver(ctx context.Context, p Principal, act Act, text, to string, check func(*contest) error) (Domain, error) {
	now := act.Event.At
	n, err := pki.ParseName(text)
	if err != nil {
		return Domain{}, &Error{Kind: KindNotFound, Detail: sentence(err), Err: err}
	}
	app, err := c.appOf(ctx, to)
	if err != nil {
		return Domain{}, err
	}
	for range tries {
		all, err := c.contest(ctx, n.Base())
		if err != nil {
			return Domain{}, err
		}
		if p.Role == RoleDeveloper && (all.holder == nil || all.holder.App != p.App) && own(all.rivals, p.App) == nil && own(all.others, p.App) == nil {
			return Domain{}, refuse(KindNotFound, "", "The app %s has not asked for %s: look it up in the list (GET /v1/domains, or 'imca domain list').", p.App, n)
		}
		if err := check(all); err != nil {
			return Domain{}, err
		}
		winner, remove, keep := c.outcome(now, p, app, all)
		act.Event.App, act.Event.Object = all.holder.App, all.name.String()
		act.Event.Detail = map[string]string{"from": all.holder.App, "to": to, "state": string(winner.State)}
		switch err := c.store.ChangeDomains(context.WithoutCancel(ctx), remove, keep, act); {
		case err == nil:
			winner.Version++
			return winner, nil
		case !errors.Is(err, ErrChanged) && !errors.Is(err, ErrExists):
			return Domain{}, fmt.Errorf("handing %s over: %w", n, err)
		}
	}
	return Domain{}, busy(n)
}

// outcome is what becomes of the claims on a name when it is given to an app: the winner's, those to remove, and those to keep, the winner's last.
func (c *CA) outcome(now time.Time, p Principal, app *App, all *contest) (winner Domain, remove, keep []Domain) {
	if all.holder.App == app.ID {
		for _, d := range all.rivals {
			d.reject()
			d.DecidedAt, d.DecidedBy, d.Decision = now, p.Name, "it stays with the app that has it"
			keep = append(keep, d)
		}
		winner = *all.holder
		winner.DecidedAt, winner.DecidedBy, winner.Decision = now, p.Name, "it stays with the app that has it"
		return winner, nil, append(keep, winner)
	}
	if d := own(append(all.rivals, all.others...), app.ID); d != nil {
		winner = *d
	} else {
		winner = c.newClaim(now, p, app, all.name, "")
	}
	winner.DecidedAt, winner.DecidedBy, winner.Decision = now, p.Name, "transferred from "+all.holder.App
	winner.Holds = true
	if winner.State == DomainConflict && !winner.lapsed(now) {
		winner.State, winner.DueAt = DomainValid, c.nextLook(&winner, now)
	} else {
		winner.State, winner.Token, winner.ChallengeUntil = DomainPending, newChallengeToken(), now.Add(c.rules.ChallengeLife)
	}
	return winner, []Domain{*all.holder}, []Domain{winner}
}

// Rivals are the apps that have proven a name which another has.
func (c *CA) Rivals(ctx context.Context, d Domain) ([]string, error) {
	all, err := c.contest(ctx, d.Name)
	if err != nil || !d.Holds {
		return nil, err
	}
	var apps []string
	for _, r := range all.rivals {
		apps = append(apps, r.App)
	}
	return apps, nil
}

// Others are the valid certificates for a name, or what its claim covers below it, that belong to other apps than the one that has the name: at
// most MaxPage of them.
func (c *CA) Others(ctx context.Context, d Domain, now time.Time) ([]*Certificate, error) {
	if !d.Usable(now) {
		return nil, nil
	}
	places := []CertificateQuery{{Domain: d.Name}}
	switch wildcard := below(d.Name); {
	case c.rules.ParentCovers && d.Wildcard:
		places = []CertificateQuery{{Suffix: d.Name.String()}}
	case wildcard != d.Name:
		places = append(places, CertificateQuery{Domain: wildcard})
	}
	var foreign []*Certificate
	for _, q := range places {
		q.Status, q.Now, q.Limit = StatusValid, now, MaxPage
		for {
			page, err := c.store.ListCertificates(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("reading the certificates for %s: %w", d.Name, err)
			}
			for _, cert := range page.Items {
				trespasses, err := c.trespasses(ctx, cert, d)
				if err != nil {
					return nil, err
				}
				if trespasses && !slices.ContainsFunc(foreign, func(f *Certificate) bool { return f.Serial == cert.Serial }) {
					foreign = append(foreign, cert)
				}
			}
			if len(foreign) >= MaxPage {
				return foreign[:MaxPage], nil
			}
			if page.Next.IsZero() {
				break
			}
			q.Beyond = page.Next
		}
	}
	return foreign, nil
}

// trespasses tells whether a certificate has a name that a claim of another app decides about.
func (c *CA) trespasses(ctx context.Context, cert *Certificate, d Domain) (bool, error) {
	if cert.App == d.App || cert.App == "" {
		return false, nil
	}
	for _, n := range cert.Names {
		if n.Base() == d.Name {
			return true, nil
		}
		if !c.rules.ParentCovers || !d.Wildcard || !strings.HasSuffix(n.Base().String(), "."+d.Name.String()) {
			continue
		}
		for at := range c.upward(n) {
			all, err := c.contest(ctx, at)
			if err != nil {
				return false, err
			}
			if all.holder != nil {
				if all.holder.App == d.App {
					return true, nil
				}
				break
			}
		}
	}
	return false, nil
}

// RevokeOthers revokes the certificates that Others tells of: what is left of a name's former owner. It may be repeated, and has to be when it
// answers with MaxPage certificates.
func (c *CA) RevokeOthers(ctx context.Context, p Principal, name string) ([]*Certificate, error) {
	d, act, err := c.claim(ctx, p, ActRevokeOthers, name, "")
	if err != nil {
		return nil, err
	}
	if !d.Usable(act.Event.At) {
		return nil, c.refused(ctx, act, refuse(KindConflict, "", "The app %s has not got %s (it is %s): only who has a name revokes others' certificates for it.", d.App, d.Name, d.State))
	}
	foreign, err := c.Others(ctx, d, act.Event.At)
	if err != nil {
		return nil, err
	}
	for _, cert := range foreign {
		// CA/Browser Forum Baseline Requirements, 4.9.1.1: the subscriber has lost the domain.
		one := Act{Event: c.event(act.Event.At, p, ActRevoke, target{app: cert.App, object: cert.Serial.String(), detail: map[string]string{
			"reason": pki.CessationOfOperation.String(), "domain": d.Name.String(), "holder": d.App}})}
		r := Revocation{At: act.Event.At, Reason: pki.CessationOfOperation, By: p.Name}
		switch err := c.store.RevokeCertificate(context.WithoutCancel(ctx), cert.Serial, r, one); {
		case err == nil:
			cert.Revocation = &r
		case !errors.Is(err, ErrChanged): // revoked by somebody else is revoked
			return nil, fmt.Errorf("revoking the certificate %s: %w", cert.Serial, err)
		}
	}
	return foreign, nil
}
