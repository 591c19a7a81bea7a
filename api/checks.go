package api

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// The waits for the end of a check: what a request gets without a wish, and the most that it can wish for.
const (
	checkWait     = 15 * time.Second
	mostCheckWait = 25 * time.Second
)

// runCheck answers with the check when it has ended, which takes a second or two for a server that answers; or, when the client would rather not
// wait or it takes too long, as it stands.
func (d *door) runCheck(c *call) error {
	var req CheckRequest
	if err := c.body(&req); err != nil {
		return err
	}
	wait := c.preferredWait()
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	k, replayed, err := d.ca.RunCheck(c.r.Context(), c.principal, ca.NewCheck{
		App: req.App, URL: req.URL, Address: req.Address, Callback: req.Callback, IdempotencyKey: key,
	})
	if err != nil {
		return err
	}
	if wait > 0 && k.State == ca.CheckRunning {
		// Whoever may not read checks gets the answer without waiting for it.
		if ended, err := d.ca.AwaitCheck(c.r.Context(), c.principal, k.ID, wait); err == nil {
			k = ended
		}
	}
	c.w.Header().Set("Location", "/v1/checks/"+k.ID)
	status := http.StatusCreated
	switch {
	case k.State == ca.CheckRunning:
		c.w.Header().Set("Retry-After", "1")
		status = http.StatusAccepted
	case replayed:
		c.w.Header().Set("Idempotent-Replayed", "true")
		status = http.StatusOK
	}
	return c.answer(status, showCheck(k))
}

// preferredWait is how long the client would wait (RFC 7240, Sections 4.1 and 4.3). A preference that is not understood is ignored, as Section 2 has it.
func (c *call) preferredWait() time.Duration {
	for _, preference := range strings.Split(strings.Join(c.r.Header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		switch {
		case strings.EqualFold(name, "respond-async"):
			return 0
		case strings.EqualFold(strings.TrimSpace(name), "wait"):
			if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && seconds >= 0 {
				return min(time.Duration(min(seconds, 1000))*time.Second, mostCheckWait)
			}
		}
	}
	return checkWait
}

var checkIDs = regexp.MustCompile(`^chk_[0-9a-f]{32}$`)

func (d *door) readCheck(c *call) error {
	id := c.path("id")
	if !checkIDs.MatchString(id) {
		return web.Refuse(ca.KindNotFound, "No check can have this ID: look it up in the list (GET /v1/checks).")
	}
	k, err := d.ca.Check(c.r.Context(), c.principal, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, showCheck(k))
}

func (d *door) listChecks(c *call) error {
	q := ca.CheckQuery{
		App: c.query.text("app"), URL: c.query.text("endpoint"), State: oneOf(&c.query, "state", ca.CheckStates()),
		Limit: c.query.limit(), Beyond: parse(&c.query, "cursor", checkCursor),
	}
	if err := c.query.err(); err != nil {
		return err
	}
	checks, err := d.ca.ListChecks(c.r.Context(), c.principal, q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageOf(checks, q.Limit, showCheck, func(k ca.Check) string { return k.ID }))
}

// checkCursor reads the cursor of a list of checks: the last one's ID.
func checkCursor(s string) (string, error) {
	if !checkIDs.MatchString(s) {
		return "", foreignCursor()
	}
	return s, nil
}

func showCheck(k ca.Check) Check {
	shown := Check{
		ID: k.ID, App: k.App, URL: k.URL, Callback: k.Callback, State: string(k.State), Cause: string(k.Cause), AskedBy: k.AskedBy,
		CreatedAt: k.CreatedAt, FinishedAt: moment(k.FinishedAt), Summary: k.Facts.Summary, Failure: k.Failure, Since: k.Since, Report: k.Report,
		Findings: make([]CheckFinding, len(k.Facts.Findings)), Changes: make([]CheckChange, len(k.Changes)),
	}
	if k.Address.IsValid() {
		shown.Address = k.Address.String()
	}
	for i, f := range k.Facts.Findings {
		shown.Findings[i] = CheckFinding(f)
	}
	for i, change := range k.Changes {
		shown.Changes[i] = CheckChange(change)
	}
	return shown
}
