package ca

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Replacement is an operator's wish that a certificate be replaced before it would be: because it shall be revoked, or its authority retired. Clients that ask
// for renewal information (RFC 9773) are sent in time, and one by one.
type Replacement struct {
	By        time.Time // when it should be done
	PlannedAt time.Time

	Certificate *Certificate // in lists
}

// ReplacementStep is what one step of planning has done. Steps are repeated with Next until it is empty.
type ReplacementStep struct {
	Planned int          // certificates of this step
	Missing []pki.Serial // of Serials: those that there are not
	Next    string
}

// PlanReplacements has every certificate that a search finds replaced by a time, or takes the wish back where it is zero. It changes no certificate, may be
// repeated, and its last word counts. next is empty, or Next of the step before.
func (c *CA) PlanReplacements(ctx context.Context, p Principal, s RevocationSearch, by time.Time, next string) (*ReplacementStep, error) {
	run := &revocationRun{RevocationSearch: s, by: p, reason: pki.Superseded}
	detail := run.summary()
	delete(detail, "reason")
	if detail["replace_by"] = "never"; !by.IsZero() {
		detail["replace_by"] = by.UTC().Format(time.RFC3339)
	}
	act, err := c.authorize(ctx, c.clock(), p, ActPlanReplacement, target{app: s.App, detail: detail})
	if err != nil {
		return nil, err
	}
	step, err := c.planReplacements(ctx, run, act, by, next)
	return step, c.answer(ctx, act, err)
}

func (c *CA) planReplacements(ctx context.Context, run *revocationRun, act Act, by time.Time, next string) (*ReplacementStep, error) {
	now := act.Event.At
	run.Suffix = strings.TrimPrefix(run.Suffix, ".")
	if err := run.check(run.by); err != nil {
		return nil, err
	}
	if err := run.identify([]string{"replace", by.UTC().String()}); err != nil {
		return nil, err
	}
	if !by.IsZero() && !by.After(now) {
		return nil, refuse(KindInvalid, "/replace_by", "%s has passed: give a time to come, such as %s.", by.UTC().Format(time.RFC3339), now.AddDate(0, 0, 7).Format(time.DateOnly))
	}
	at := place{Search: run.hash, Until: now.Add(time.Microsecond)}
	if next != "" {
		var err error
		if at, err = readPlace(next, "/cursor", run.hash); err != nil {
			return nil, err
		}
	}
	found, missing, beyond, err := c.found(ctx, run, at, MaxPage)
	if err != nil {
		return nil, err
	}
	var serials []pki.Serial
	for _, cert := range found {
		if cert.Status(now) == StatusValid {
			serials = append(serials, cert.Serial)
		}
	}
	step := &ReplacementStep{Planned: len(serials), Missing: missing}
	if at.Beyond = beyond; beyond != "" {
		step.Next = at.String()
	}
	if len(serials) == 0 {
		return step, nil
	}
	act.Event.Detail["certificates"] = strconv.Itoa(len(serials))
	if err := c.store.PlanReplacements(context.WithoutCancel(ctx), serials, by, act); err != nil {
		return nil, fmt.Errorf("planning the replacement of %d certificates: %w", len(serials), err)
	}
	return step, nil
}

// ReplacementQuery selects planned replacements of certificates that are valid: the most urgent first.
type ReplacementQuery struct {
	App    string
	Now    time.Time
	Limit  int
	Beyond Cursor
}

// ListReplacements is a page of what is to be replaced, and where the next one begins.
func (c *CA) ListReplacements(ctx context.Context, p Principal, q ReplacementQuery) (list []Replacement, next Cursor, err error) {
	if p.Role == RoleDeveloper && q.App == "" {
		q.App = p.App
	}
	q.Now = c.clock()
	if _, err := c.authorize(ctx, q.Now, p, ActReadCertificate, target{app: q.App}); err != nil {
		return nil, next, err
	}
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, next, err
	}
	wanted := q.Limit
	q.Limit++
	if list, err = c.store.ListReplacements(ctx, q); err != nil {
		return nil, next, fmt.Errorf("listing replacements: %w", err)
	}
	if len(list) > wanted {
		list = list[:wanted]
		last := list[wanted-1]
		next = Cursor{Time: last.By, Serial: last.Certificate.Serial}
	}
	return list, next, nil
}

// RenewalWindow is when a certificate is best renewed: in the last third of its life, each at another moment of the first tenth of that, so that
// those made together are not renewed together; before the time that an operator has set; at once, if it was revoked, if its key is in other hands, or if
// another authority issues such certificates now.
func (c *CA) RenewalWindow(ctx context.Context, serial pki.Serial) (start, end time.Time, err error) {
	cert, err := c.store.Certificate(ctx, serial)
	switch {
	case errors.Is(err, ErrNotFound):
		return start, end, refuse(KindNotFound, "", "There is no certificate with the serial %s.", serial)
	case err != nil:
		return start, end, fmt.Errorf("reading the certificate %s: %w", serial, err)
	case cert.Revocation != nil:
		start, end = atOnce(cert.Revocation.At)
		return start, end, nil
	}
	blocked, err := c.store.KeyBlocked(ctx, cert.SPKIHash)
	if err != nil {
		return start, end, fmt.Errorf("asking whether the key is blocked: %w", err)
	}
	if by, known := c.roster().byProfile[cert.Profile]; blocked || known && by.Name() != cert.Authority {
		start, end = atOnce(cert.CreatedAt)
		return start, end, nil
	}
	start, end = usualWindow(cert)
	planned, err := c.store.Replacement(ctx, serial)
	switch {
	case errors.Is(err, ErrNotFound):
		return start, end, nil
	case err != nil:
		return start, end, fmt.Errorf("reading the replacement of %s: %w", serial, err)
	}
	if planned.By.Before(end) {
		start, end = earlier(start, planned.PlannedAt).Truncate(time.Second), planned.By.Truncate(time.Second)
	}
	return start, end, nil
}

// atOnce is a window that is over, which has clients renew at once (RFC 9773, Section 4.2).
func atOnce(at time.Time) (start, end time.Time) {
	end = at.Truncate(time.Second)
	return end.Add(-time.Hour), end
}

func usualWindow(cert *Certificate) (start, end time.Time) {
	third := cert.NotAfter.Sub(cert.NotBefore) / 3
	spread := time.Duration(binary.BigEndian.Uint16(cert.Serial[1:])) * (third / 10) / (1 << 16)
	start = cert.NotAfter.Add(-third).Add(spread).Truncate(time.Second)
	return start, start.Add(third / 20).Truncate(time.Second)
}
