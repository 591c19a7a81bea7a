package store

import (
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// source is what a list of certificates is read from: a table with an index in the order of the list, led by the columns of the filter that
// chose it. The tables are c certificates, n certificate_names, p pending, s signatures, r revocations; each source joins all of c, s and r, by
// CROSS JOIN where SQLite shall keep to the order that is written.
type source struct {
	tables string
	joined string // the conditions of the cross joins
	order  []string
	down   bool                            // the greatest first
	at     func(*ca.Certificate) time.Time // the time in the order
	status ca.Status                       // that all of its rows have; empty: they have any

	// The columns to hold other filters against: the source's own where it has them.
	app, created, expiry string
}

var (
	// byCreation is good for each filter by equality on c with an index that ends in (created_at, serial).
	byCreation = source{
		tables: `certificates c LEFT JOIN signatures s ON s.serial = c.serial LEFT JOIN revocations r ON r.serial = c.serial`,
		order:  []string{"c.created_at", "c.serial"}, down: true, at: createdAt,
		app: "c.app", created: "c.created_at", expiry: "c.not_after",
	}
	byExpiry = source{
		tables: byCreation.tables,
		order:  []string{"c.not_after", "c.serial"}, at: notAfter,
		app: "c.app", created: "c.created_at", expiry: "c.not_after",
	}
	byLiveExpiry = source{
		tables: `signatures s CROSS JOIN certificates c LEFT JOIN revocations r ON r.serial = s.serial`,
		joined: `c.serial = s.serial`,
		order:  []string{"s.not_after", "s.serial"}, at: notAfter,
		app: "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byFingerprint = source{
		tables: byLiveExpiry.tables,
		joined: `c.serial = s.serial`,
		order:  []string{"s.fingerprint"}, at: createdAt, // of one row
		app: "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byRevocation = source{
		tables: `revocations r CROSS JOIN certificates c LEFT JOIN signatures s ON s.serial = r.serial`,
		joined: `c.serial = r.serial`,
		order:  []string{"r.revoked_at", "r.serial"}, down: true, at: revokedAt, status: ca.StatusRevoked,
		app: "r.app", created: "c.created_at", expiry: "r.not_after",
	}
	byPending = source{
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
		order:  []string{"n.reversed", "n.created_at", "n.serial"}, at: createdAt,
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

// listStatement is the statement for a page and one row more, which tells whether there is another page. The last column is the cursor's name.
// The text has only the conditions that were asked for: one like "$1 = ” OR app = $1" would keep the planners from the index.
func listStatement(q ca.CertificateQuery) (from source, statement string, args []any) {
	from = choose(q)
	where := new(conditions)
	where.add(from.joined)
	name := "''"
	switch {
	case !q.Domain.IsZero():
		where.add("n.reversed = ?", searchKey(q.Domain))
	case q.Suffix != "":
		name = "n.reversed"
		low := suffixKey(q.Suffix)
		where.add("n.reversed < ?", strings.TrimSuffix(low, ".")+"/") // the next after "." in ASCII
		where.add("n.previous < ?", low)                              // the first name in the range only
		if q.Beyond.Name < low {
			where.add("n.reversed >= ?", low)
			q.Beyond = ca.Cursor{}
		}
	}
	if q.Fingerprint != nil {
		where.add("s.fingerprint = ?", q.Fingerprint[:])
	}
	if q.SPKIHash != nil {
		where.add("c.spki_hash = ?", q.SPKIHash[:])
	}
	where.equal(from.app, q.App)
	where.equal("c.profile", q.Profile)
	where.equal("c.authority", q.Authority)

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
	from.page(where, created, expiry, q.Beyond)
	return from, "SELECT " + certificateColumns + ", " + name + " FROM " + from.tables + where.where() + from.orderBy() +
		" LIMIT " + where.value(q.Limit+1), where.args
}

// page adds the spans of time and the place to begin.
func (f source) page(where *conditions, created, expiry span, beyond ca.Cursor) {
	switch f.order[0] {
	case f.created:
		created, beyond = f.nearer(created, beyond)
	case f.expiry:
		expiry, beyond = f.nearer(expiry, beyond)
	}
	where.span(f.created, created)
	where.span(f.expiry, expiry)
	if beyond.IsZero() || len(f.order) == 1 {
		return
	}
	sign, marks, key := ">", "(?, ?)", []any{micros(beyond.Time), beyond.Serial[:]}
	if f.down {
		sign = "<"
	}
	if len(f.order) == 3 {
		marks, key = "(?, ?, ?)", append([]any{text(beyond.Name)}, key...)
	}
	where.add("("+strings.Join(f.order, ", ")+") "+sign+" "+marks, key...)
}

// nearer drops one of two bounds on the same side of a list: the cursor, or the end of the span of time from which the list begins. The one
// that lies further on implies the other; but of two, SQLite would look up either one in the index and read its way from there.
func (f source) nearer(s span, beyond ca.Cursor) (span, ca.Cursor) {
	switch {
	case beyond.IsZero():
	case f.down && (s.to.IsZero() || beyond.Time.Before(s.to)):
		s.to = time.Time{}
	case !f.down && !beyond.Time.Before(s.from):
		s.from = time.Time{}
	default:
		beyond = ca.Cursor{}
	}
	return s, beyond
}

func (f source) orderBy() string {
	columns := slices.Clone(f.order)
	if f.down {
		for i := range columns {
			columns[i] += " DESC"
		}
	}
	return " ORDER BY " + strings.Join(columns, ", ")
}

// suffixKey is what the search keys of the names under a suffix, and of the suffix itself, begin with.
func suffixKey(suffix string) string {
	labels := strings.Split(text(suffix), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}
