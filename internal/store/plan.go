package store

import (
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// source is what a list of certificates is read from: a table with an index in the order of the list. The tables are c certificates,
// n certificate_names, p pending, s signatures, r revocations; each source joins all of c, s and r, by CROSS JOIN where SQLite shall keep to the
// order that is written.
type source struct {
	tables string
	joined string                          // the conditions of the cross joins
	order  []string                        // nil for one row
	down   bool                            // the greatest first
	leads  []string                        // columns that other indexes of the table have before the same order
	at     func(*ca.Certificate) time.Time // the time in the order
	status ca.Status                       // that of all rows; empty: they have any

	// The columns to hold other filters against: the source's own where it has them.
	app, created, expiry string
}

var (
	byCreation = source{
		tables: `certificates c LEFT JOIN signatures s ON s.serial = c.serial LEFT JOIN revocations r ON r.serial = c.serial`,
		order:  []string{"c.created_at", "c.serial"}, down: true, leads: []string{"c.app", "c.profile", "c.authority"}, at: createdAt,
		app: "c.app", created: "c.created_at", expiry: "c.not_after",
	}
	byExpiry = source{
		tables: byCreation.tables,
		order:  []string{"c.not_after", "c.serial"}, leads: []string{"c.app"}, at: notAfter,
		app: "c.app", created: "c.created_at", expiry: "c.not_after",
	}
	byLiveExpiry = source{
		tables: `signatures s CROSS JOIN certificates c LEFT JOIN revocations r ON r.serial = s.serial`,
		joined: `c.serial = s.serial`,
		order:  []string{"s.not_after", "s.serial"}, leads: []string{"s.app"}, at: notAfter,
		app: "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byFingerprint = source{
		tables: byLiveExpiry.tables,
		joined: `c.serial = s.serial`,
		at:     createdAt,
		app:    "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byRevocation = source{
		tables: `revocations r CROSS JOIN certificates c LEFT JOIN signatures s ON s.serial = r.serial`,
		joined: `c.serial = r.serial`,
		order:  []string{"r.revoked_at", "r.serial"}, down: true, leads: []string{"r.app"}, at: revokedAt, status: ca.StatusRevoked,
		app: "r.app", created: "c.created_at", expiry: "r.not_after",
	}
	byPending = source{ // short, so that it needs no index by app
		tables: `pending p CROSS JOIN certificates c LEFT JOIN signatures s ON s.serial = p.serial LEFT JOIN revocations r ON r.serial = p.serial`,
		joined: `c.serial = p.serial`,
		order:  []string{"p.created_at", "p.serial"}, down: true, at: createdAt, status: ca.StatusPending,
		app: "c.app", created: "p.created_at", expiry: "c.not_after",
	}
	byDomain = source{
		tables: `certificate_names n CROSS JOIN certificates c LEFT JOIN signatures s ON s.serial = n.serial LEFT JOIN revocations r ON r.serial = n.serial`,
		joined: `c.serial = n.serial`,
		order:  []string{"n.created_at", "n.serial"}, down: true, at: createdAt,
		app: "n.app", created: "n.created_at", expiry: "c.not_after",
	}
	bySuffix = source{
		tables: byDomain.tables,
		joined: byDomain.joined,
		order:  []string{"n.reversed", "n.created_at", "n.serial"}, leads: []string{"n.app"}, at: createdAt,
		app: "n.app", created: "n.created_at", expiry: "c.not_after",
	}
)

func createdAt(c *ca.Certificate) time.Time { return c.CreatedAt }
func notAfter(c *ca.Certificate) time.Time  { return c.NotAfter }
func revokedAt(c *ca.Certificate) time.Time { return c.Revocation.At }

// choose is the source for a query: that of its most telling filter.
func choose(q ca.CertificateQuery) source {
	switch {
	case !q.Domain.IsZero():
		return byDomain
	case q.Suffix != "":
		return bySuffix
	case q.Fingerprint != nil:
		return byFingerprint
	case q.SPKIHash != nil:
		return byCreation
	case q.Status == ca.StatusPending:
		return byPending
	case q.Status == ca.StatusRevoked:
		return byRevocation
	case (q.Status == ca.StatusValid || q.Status == ca.StatusExpired) && byIssue(q):
		return byCreation
	case q.Status == ca.StatusValid:
		return byLiveExpiry
	case q.Status == ca.StatusExpired:
		latestFirst := byLiveExpiry
		latestFirst.down = true
		return latestFirst
	case !q.ExpiresAfter.IsZero() || !q.ExpiresBefore.IsZero():
		return byExpiry
	}
	return byCreation
}

// byIssue tells whether the time of issue says more than that of the end. Most certificates of a time are in the same of the two states, so it finds
// them at once, where the order of their ends would lead through all that were issued at other times.
func byIssue(q ca.CertificateQuery) bool {
	return (!q.IssuedAfter.IsZero() || !q.IssuedBefore.IsZero()) && q.ExpiresAfter.IsZero() && q.ExpiresBefore.IsZero()
}

// listStatement is the statement for a page and one row more, which tells whether there is another page. The last column is the cursor's name.
func listStatement(db database, q ca.CertificateQuery) (from source, statement string, args []any) {
	from = choose(q)
	where := new(conditions)
	where.add(from.joined)
	r := from.filter(where, q)
	created, expiry := span{q.IssuedAfter, q.IssuedBefore}, span{q.ExpiresAfter, q.ExpiresBefore}
	second := q.Now.Truncate(time.Second) // validity includes its last second
	switch q.Status {
	case from.status:
	case ca.StatusPending:
		where.add("s.serial IS NULL AND r.serial IS NULL")
	case ca.StatusRevoked:
		where.add("r.serial IS NOT NULL")
	case ca.StatusValid:
		where.add("s.live")
		expiry = expiry.and(span{from: second})
	case ca.StatusExpired:
		where.add("s.live")
		expiry = expiry.and(span{to: second})
	}
	name := "''"
	switch {
	case from.order == nil:
	case from.order[0] == from.created:
		r.times(&created, q.Beyond)
	case from.order[0] == from.expiry:
		r.times(&expiry, q.Beyond)
	case len(from.order) == 3:
		name = from.order[0]
		r.under(suffixKey(q.Suffix), q.Beyond)
	default:
		r.times(new(span), q.Beyond)
	}
	where.span(from.created, created)
	where.span(from.expiry, expiry)
	r.bound(where, db)
	return from, "SELECT " + certificateColumns + ", " + name + " FROM " + from.tables + where.where() + r.orderBy() +
		" LIMIT " + where.value(q.Limit+1), where.args
}

// filter adds the filters by equality. Those on columns of many values are plain conditions: each value is rare, so the planners take its index
// anyway. Of the others the first that an index of the source begins with leads the reading.
func (f source) filter(where *conditions, q ca.CertificateQuery) reading {
	r := reading{order: f.order, down: f.down}
	if q.Fingerprint != nil {
		where.add("s.fingerprint = ?", q.Fingerprint[:])
	}
	if q.SPKIHash != nil {
		where.add("c.spki_hash = ?", q.SPKIHash[:])
	}
	if !q.Domain.IsZero() {
		where.add("n.reversed = ?", searchKey(q.Domain))
	} else if q.Suffix != "" {
		where.add("n.previous < ?", suffixKey(q.Suffix)) // a certificate's first name in the range only
	}
	for _, e := range []struct{ column, value string }{{f.app, q.App}, {"c.profile", q.Profile}, {"c.authority", q.Authority}} {
		switch {
		case e.value == "":
		case r.lead == "" && q.SPKIHash == nil && slices.Contains(f.leads, e.column):
			r.lead, r.common = e.column, text(e.value)
		case e.column == "n.app": // of a domain: there is an index with both
			where.add("n.app = ?", text(e.value))
		default:
			where.other(e.column, e.value)
		}
	}
	return r
}

// times bounds a reading in the order of time, and takes the span over.
func (r *reading) times(s *span, beyond ca.Cursor) {
	r.from, r.to = microsOrNull(s.from), microsOrNull(s.to)
	inside := !beyond.Time.Before(s.from)
	if r.down {
		inside = s.to.IsZero() || beyond.Time.Before(s.to)
	}
	if !beyond.IsZero() && inside {
		r.beyond = []any{micros(beyond.Time), beyond.Serial[:]}
	}
	*s = span{}
}

// under bounds a reading in the order of names to those that begin with a key.
func (r *reading) under(key string, beyond ca.Cursor) {
	r.from, r.to = key, strings.TrimSuffix(key, ".")+"/" // which follows "." in ASCII
	if beyond.Name >= key {
		r.beyond = []any{text(beyond.Name), micros(beyond.Time), beyond.Serial[:]}
	}
}

// suffixKey is what the search keys of the names under a suffix, and of the suffix itself, begin with.
func suffixKey(suffix string) string {
	labels := strings.Split(text(suffix), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}
