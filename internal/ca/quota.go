package ca

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Quotas bound what an app may have and do. Zero means no bound, but for OpenClaims, where it means 1000.
//
// They are kept in the database, unlike the limits of internal/web: a quota is a promise about the whole installation (so many
// certificates for this name in a week), it must survive a restart, and what it bounds costs a transaction anyway. Each is counted by the
// generic cell rate algorithm in one number a scope, which a single statement judges and changes: so many at once, then one whenever a
// share of the time has passed.
type Quotas struct {
	CertificatesPerWeek     int // of an app
	CertificatesPerNameWeek int // of an app, for each name
	OpenClaims              int // domains of an app that are neither proven nor rejected
	ProofsPerHour           int // looks at proofs that an app may ask for
	ChecksPerHour           int // checks of endpoints that an app may ask for
}

// Quota is one bound: Most within Per.
type Quota struct {
	Scope string // what is counted
	Most  int
	Per   time.Duration
	What  string // is counted, for the refusal: "certificates of the app shop"
}

const week = 7 * 24 * time.Hour

// Quotas are those that every app has.
func (c *CA) Quotas() Quotas { return c.rules.Quotas }

// QuotasOf are those that an app has: its own where it has some, and what every app has.
func (c *CA) QuotasOf(a *App) Quotas {
	q := c.rules.Quotas
	for name, most := range a.Quotas {
		if field, known := q.named()[name]; known {
			*field = most
		}
	}
	return q
}

// named are the quotas by the names that they have in the settings.
func (q *Quotas) named() map[string]*int {
	return map[string]*int{
		"certificates_per_week": &q.CertificatesPerWeek, "certificates_per_name_week": &q.CertificatesPerNameWeek, "open_claims": &q.OpenClaims,
		"proofs_per_hour": &q.ProofsPerHour, "checks_per_hour": &q.ChecksPerHour,
	}
}

// ByName are the quotas by the names that they have in the settings; 0 is for no bound.
func (q Quotas) ByName() map[string]int {
	all := make(map[string]int)
	for name, most := range q.named() {
		all[name] = *most
	}
	return all
}

// QuotaNames are the names of the quotas that an app can have of its own.
func QuotaNames() []string { return slices.Sorted(maps.Keys(new(Quotas).named())) }

// maxQuota bounds what can be given to an app.
const maxQuota = 1_000_000_000

// checkQuotas refuses quotas of an app that there are not.
func checkQuotas(own map[string]int) error {
	var faults []Fault
	for _, name := range slices.Sorted(maps.Keys(own)) {
		least := 0
		if name == "open_claims" {
			least = 1
		}
		switch most := own[name]; {
		case !slices.Contains(QuotaNames(), name):
			faults = append(faults, Fault{Field: "/quotas", Detail: fmt.Sprintf("There is no quota %q: use some of %s.", oneLine(name), joined(QuotaNames()))})
		case most < least || most > maxQuota:
			faults = append(faults, Fault{Field: "/quotas/" + name, Detail: fmt.Sprintf("A quota %s of %d is out of bounds: give a number from %d to %d; 0 is for no bound.", name, most, least, maxQuota)})
		}
	}
	if len(faults) > 0 {
		return &Error{Kind: KindInvalid, Field: faults[0].Field, Detail: faults[0].Detail, Faults: faults}
	}
	return nil
}

// forCertificate are the quotas that an issuance takes from.
func (q Quotas) forCertificate(app string, names []pki.Name) []Quota {
	var quotas []Quota
	if q.CertificatesPerWeek > 0 {
		quotas = append(quotas, Quota{"certificates " + app, q.CertificatesPerWeek, week, "certificates of the app " + app})
	}
	if q.CertificatesPerNameWeek > 0 {
		for _, n := range names {
			quotas = append(quotas, Quota{"certificates " + app + " " + n.String(), q.CertificatesPerNameWeek, week, "certificates for " + n.String()})
		}
	}
	return quotas
}

func (q Quotas) forProof(app string) []Quota {
	if q.ProofsPerHour == 0 {
		return nil
	}
	return []Quota{{"proofs " + app, q.ProofsPerHour, time.Hour, "attempts of the app " + app + " to prove a name"}}
}

// quotasForCheck are those of the app that asks for a check; an operator has none.
func (c *CA) quotasForCheck(ctx context.Context, id string) ([]Quota, error) {
	if id == "" {
		return nil, nil
	}
	app, err := c.appOf(ctx, id)
	if err != nil {
		return nil, err
	}
	most := c.QuotasOf(app).ChecksPerHour
	if most == 0 {
		return nil, nil
	}
	return []Quota{{"checks " + id, most, time.Hour, "checks of the app " + id}}, nil
}

// TakeQuotas counts one against each of the quotas of a door, or refuses and counts none. Those that bound nothing (Most is 0) are left out.
func (c *CA) TakeQuotas(ctx context.Context, quotas ...Quota) error {
	return c.take(ctx, c.clock(), bounding(quotas))
}

// GiveBackQuotas undoes TakeQuotas for what was not used after all.
func (c *CA) GiveBackQuotas(ctx context.Context, quotas ...Quota) {
	c.giveBack(context.WithoutCancel(ctx), bounding(quotas))
}

func bounding(quotas []Quota) []Quota {
	return slices.DeleteFunc(slices.Clone(quotas), func(q Quota) bool { return q.Most <= 0 })
}

// take counts one against each of the quotas, or refuses and counts none.
func (c *CA) take(ctx context.Context, now time.Time, quotas []Quota) error {
	if len(quotas) == 0 {
		return nil
	}
	full, wait, err := c.store.TakeQuota(ctx, quotas, now)
	if err != nil {
		return fmt.Errorf("counting against the quotas: %w", err)
	}
	if wait == 0 {
		return nil
	}
	e := refuse(KindRateLimited, "", "%d %s in %s are the most: the next is possible in %s; ask an operator if you need more.",
		quotas[full].Most, quotas[full].What, inWords(quotas[full].Per), wait.Round(time.Second))
	e.RetryAfter = wait
	return e
}

// giveBack undoes take for what was not used after all. Should it fail, the quota is a little smaller for a while.
func (c *CA) giveBack(ctx context.Context, quotas []Quota) {
	if len(quotas) == 0 {
		return
	}
	if err := c.store.GiveBackQuota(ctx, quotas); err != nil {
		c.log.WarnContext(ctx, "giving back to a quota", "error", err)
	}
}

func inWords(d time.Duration) string {
	if d == week {
		return "a week"
	}
	return "an hour"
}
