package api

import (
	"net/http"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// planReplacements has ACME clients renew what a search finds.
func (d *door) planReplacements(c *call) error {
	var req ReplacementRequest
	if err := c.body(&req); err != nil {
		return err
	}
	wanted := RevocationRequest{
		Suffix: req.Suffix, App: req.App, SPKISHA256: req.SPKISHA256, Authority: req.Authority, Profile: req.Profile,
		IssuedAfter: req.IssuedAfter, IssuedBefore: req.IssuedBefore, Serials: req.Serials,
	}
	search, err := wanted.search()
	if err != nil {
		return err
	}
	var by time.Time
	if req.ReplaceBy != "" {
		if by, err = parseTime(req.ReplaceBy); err != nil {
			return &ca.Error{Kind: ca.KindInvalid, Field: "/replace_by", Detail: sentence(err), Err: err}
		}
	}
	step, err := d.ca.PlanReplacements(c.r.Context(), c.principal, search, by, req.Cursor)
	if err != nil {
		return err
	}
	answer := Replacements{Planned: step.Planned, Next: step.Next}
	for _, serial := range step.Missing {
		answer.Missing = append(answer.Missing, serial.String())
	}
	return c.answer(http.StatusOK, answer)
}

func (d *door) listReplacements(c *call) error {
	q := ca.ReplacementQuery{App: c.query.text("app"), Limit: c.query.limit(), Beyond: parse(&c.query, "cursor", ca.ParseCursor)}
	if err := c.query.err(); err != nil {
		return err
	}
	list, next, err := d.ca.ListReplacements(c.r.Context(), c.principal, q)
	if err != nil {
		return err
	}
	page := Page[Replacement]{Items: []Replacement{}, Next: next.String()}
	now := d.frame.Now()
	for _, r := range list {
		page.Items = append(page.Items, Replacement{ReplaceBy: r.By, PlannedAt: r.PlannedAt, Certificate: summary(r.Certificate, now)})
	}
	return c.answer(http.StatusOK, page)
}
