package api

import (
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

func (d *door) addDomain(c *call) error {
	var req DomainRequest
	if err := c.body(&req); err != nil {
		return err
	}
	claim, added, err := d.ca.AddDomain(c.r.Context(), c.principal, ca.NewDomain{App: req.App, Domain: req.Domain, Method: req.Method})
	if err != nil {
		return err
	}
	shown, err := d.wholeDomain(c, claim)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = c.created("/v1/domains/"+claim.Name.String(), false)
	}
	return c.answer(status, shown)
}

func (d *door) listDomains(c *call) error {
	q := ca.DomainQuery{
		App: c.query.text("app"), State: oneOf(&c.query, "state", ca.DomainStates()), Suffix: c.query.text("suffix"),
		Limit: c.query.limit(), Beyond: parse(&c.query, "cursor", domainCursor),
	}
	if err := c.query.err(); err != nil {
		return err
	}
	claims, err := d.ca.ListDomains(c.r.Context(), c.principal, q)
	if err != nil {
		return err
	}
	show := func(claim ca.Domain) Domain { return d.showDomain(claim) }
	return c.answer(http.StatusOK, pageOf(claims, q.Limit, show, func(claim ca.Domain) string { return claim.Name.String() + "," + claim.App }))
}

// domainCursor reads the cursor of a list of domains: the last one's name and app.
func domainCursor(s string) (at ca.DomainCursor, err error) {
	name, app, found := strings.Cut(s, ",")
	if at.Name, err = pki.ParseName(name); err != nil || !found || !appIDs.MatchString(app) {
		return at, foreignCursor()
	}
	at.App = app
	return at, nil
}

func (d *door) readDomain(c *call) error {
	name, err := c.domain()
	if err != nil {
		return err
	}
	claim, err := d.ca.Domain(c.r.Context(), c.principal, name, c.query.text("app"))
	return d.answerDomain(c, claim, err)
}

func (d *door) removeDomain(c *call) error {
	name, err := c.domain()
	if err != nil {
		return err
	}
	if err := d.ca.RemoveDomain(c.r.Context(), c.principal, name, c.query.text("app")); err != nil {
		return err
	}
	return c.write(http.StatusNoContent, nil)
}

func (d *door) verifyDomain(c *call) error {
	var req VerifyRequest
	name, err := c.about(&req, false)
	if err != nil {
		return err
	}
	claim, err := d.ca.VerifyDomain(c.r.Context(), c.principal, name, req.App, ca.Method(req.Method))
	return d.answerDomain(c, claim, err)
}

func (d *door) approveDomain(c *call) error {
	var req ApproveRequest
	name, err := c.about(&req, false)
	if err != nil {
		return err
	}
	claim, err := d.ca.ApproveDomain(c.r.Context(), c.principal, ca.Decision{Name: name, App: req.App, Reason: req.Reason, Wildcard: req.Wildcard})
	return d.answerDomain(c, claim, err)
}

func (d *door) rejectDomain(c *call) error {
	var req RejectRequest
	name, err := c.about(&req, true)
	if err != nil {
		return err
	}
	claim, err := d.ca.RejectDomain(c.r.Context(), c.principal, ca.Decision{Name: name, App: req.App, Reason: req.Reason})
	return d.answerDomain(c, claim, err)
}

func (d *door) transferDomain(c *call) error {
	var req TransferRequest
	name, err := c.about(&req, true)
	if err != nil {
		return err
	}
	claim, err := d.ca.TransferDomain(c.r.Context(), c.principal, name, req.To)
	return d.answerDomain(c, claim, err)
}

func (d *door) resolveDomain(c *call) error {
	var req TransferRequest
	name, err := c.about(&req, true)
	if err != nil {
		return err
	}
	claim, err := d.ca.ResolveDomain(c.r.Context(), c.principal, name, req.To)
	return d.answerDomain(c, claim, err)
}

func (d *door) revokeOthers(c *call) error {
	name, err := c.domain()
	if err != nil {
		return err
	}
	revoked, err := d.ca.RevokeOthers(c.r.Context(), c.principal, name)
	if err != nil {
		return err
	}
	page := Page[CertificateSummary]{Items: make([]CertificateSummary, len(revoked))}
	for i, cert := range revoked {
		page.Items[i] = summary(cert, d.frame.Now())
	}
	return c.answer(http.StatusOK, page)
}

// domain is the name in the path. What cannot be one is not asked for.
func (c *call) domain() (string, error) {
	name, err := pki.ParseName(c.path("name"))
	if err != nil {
		return "", web.Refuse(ca.KindNotFound, "%s", sentence(err))
	}
	return name.Base().String(), nil
}

// about is the name in the path, with the body.
func (c *call) about(body any, required bool) (string, error) {
	name, err := c.domain()
	if err != nil {
		return "", err
	}
	return name, c.read(body, required)
}

func (d *door) answerDomain(c *call, claim ca.Domain, err error) error {
	if err != nil {
		return err
	}
	shown, err := d.wholeDomain(c, claim)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, shown)
}

// wholeDomain is a claim with what is left to do about it, and who else wants the name.
func (d *door) wholeDomain(c *call, claim ca.Domain) (Domain, error) {
	shown := d.showDomain(claim)
	for _, way := range d.ca.Challenges(claim) {
		shown.Challenges = append(shown.Challenges, Challenge{
			Method: string(way.Method), Token: way.Token, KeyAuthorization: way.KeyAuthorization, URL: way.URL,
			RecordName: way.RecordName, RecordValue: way.RecordValue, Instructions: way.Instructions,
		})
	}
	var err error
	if shown.ContestedBy, err = d.ca.Rivals(c.r.Context(), claim); err != nil {
		return Domain{}, err
	}
	others, err := d.ca.Others(c.r.Context(), claim, d.frame.Now())
	if err != nil {
		return Domain{}, err
	}
	for _, cert := range others {
		shown.OthersCertificates = append(shown.OthersCertificates, cert.Serial.String())
	}
	return shown, nil
}

func (d *door) showDomain(claim ca.Domain) Domain {
	return Domain{
		Domain: claim.Name.String(), App: claim.App, State: string(claim.State), Wildcard: claim.Wildcard, Method: string(claim.Method),
		ProvenBy: string(claim.ProvenBy), ProvenAt: moment(claim.ProvenAt), ExpiresAt: moment(claim.ExpiresAt), CheckedAt: moment(claim.CheckedAt),
		Failure: claim.Failure, FailingSince: moment(claim.FailingSince), Flag: claim.Flag,
		DecidedAt: moment(claim.DecidedAt), DecidedBy: claim.DecidedBy, Decision: claim.Decision,
		CreatedAt: claim.CreatedAt, CreatedBy: claim.CreatedBy, NextStep: d.ca.NextStep(claim, d.frame.Now()),
	}
}
