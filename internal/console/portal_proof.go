package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// fileLines are the lines for a shell that put a challenge by http-01 into a file. Its values are letters, digits, "-", "_" and ".".
func fileLines(c ca.Challenge) string {
	const folder = "/var/www/html/.well-known/acme-challenge"
	return "mkdir -p " + folder + "\nprintf %s '" + c.KeyAuthorization + "' > " + folder + "/" + c.Token
}

// Waits tells whether the name can come to the app while this page is open: by a look of ours, by anybody else's, or by an operator.
func (p proofPage) Waits() bool { return !p.Usable && p.State != ca.DomainRejected }

// Watching tells whether we look for the proof by ourselves.
func (p proofPage) Watching() bool { return p.Vigil != nil && !p.Vigil.Over }

// Nudge is where the page asks us to do so; empty where we do, have done so in vain, or would find nothing.
func (p proofPage) Nudge() string {
	if p.Vigil != nil || !p.MayProve || !p.provable() {
		return ""
	}
	return p.Path() + "/watch"
}

// provable tells whether it is the proof that is missing.
func (p proofPage) provable() bool {
	switch p.State {
	case ca.DomainConflict, ca.DomainRejected:
		return false
	case ca.DomainAwaiting:
		return p.ProvenBy == "" && len(p.Challenges) > 0
	}
	return !p.Usable && !p.Ended && len(p.Challenges) > 0
}

// lookOn adds to a page what is known of the looks for the proof.
func (v *visit) lookOn(p *proofPage) {
	p.MayProve, p.MayRemove = v.may(ca.ActVerifyDomain), v.may(ca.ActRemoveDomain) && p.State != ca.DomainRejected
	p.Ended = p.State == ca.DomainPending && !v.now.Before(p.ChallengeUntil)
	if !p.provable() {
		return
	}
	one, found := v.vigils.watch(claim{p.App, p.Name.String()})
	if !found {
		return
	}
	p.Vigil = &one
	switch last := one.last(); {
	case !one.Asked || one.Refused != "":
		p.Failure, p.CheckedAt = one.Refused, time.Time{} // what was seen stands with each way
	case last.At.After(p.CheckedAt):
		p.Failure, p.CheckedAt = last.Missing, last.At
	}
}

// last is the latest look.
func (one vigil) last() (last lookedAt) {
	for _, l := range one.Looks {
		if l.At.After(last.At) {
			last = l
		}
	}
	return last
}

// Seen is the last look by a way that takes turns with others.
func (p proofPage) Seen(m ca.Method) lookedAt {
	if p.Vigil == nil || p.Vigil.Asked {
		return lookedAt{}
	}
	return p.Vigil.Looks[m]
}

// goOnLooking has a proof looked for that a button has just asked for in vain.
func (v *visit) goOnLooking(d ca.Domain, m ca.Method, why ca.Kind) {
	missing := []ca.Kind{ca.KindProofReach, ca.KindProofDNS, ca.KindProofTLS, ca.KindProofWrong}
	if slices.Contains(missing, why) {
		v.vigils.begin(v.principal, claim{d.App, d.Name.String()}, []ca.Method{m}, true)
	}
}

// watchProof has the proof looked for by each of its ways, as long as the page is open that asks for it.
func watchProof(v *visit) error {
	d, err := v.ca.Domain(v.context(), v.principal, v.param("name"), v.param("app"))
	if err != nil {
		return err
	}
	if !v.may(ca.ActVerifyDomain) {
		return v.notYours(ca.ActVerifyDomain)
	}
	if p := v.proofPage(d); p.Nudge() != "" {
		var methods []ca.Method
		for _, c := range p.Challenges {
			if c.Method != ca.MethodTLSALPN { // which ACME clients show for a moment
				methods = append(methods, c.Method)
			}
		}
		v.vigils.begin(v.principal, claim{d.App, d.Name.String()}, methods, false)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// proveAgain gets new values to show, when the time for the old ones is over.
func proveAgain(v *visit) error {
	d, err := v.ca.Domain(v.context(), v.principal, v.param("name"), v.param("app"))
	if err != nil {
		return err
	}
	p := v.proofPage(d)
	if _, _, err := v.ca.AddDomain(v.context(), v.principal, ca.NewDomain{App: d.App, Domain: p.Full}); err != nil {
		return err
	}
	v.vigils.forget(claim{d.App, d.Name.String()})
	return v.redirect(p.Path() + p.Onward)
}

// removeName gives a name up. Certificates for it stay as they are.
func removeName(v *visit) error {
	app, name := v.param("app"), v.param("name")
	if err := v.ca.RemoveDomain(v.context(), v.principal, name, app); err != nil {
		return err
	}
	v.vigils.forget(claim{app, name})
	return v.redirect(done(portalPath(app), "name-removed"))
}
