package store

import (
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// source is what a list of certificates is read from: a table with an index in the order of the list, led by the columns of the filter that
// chose it. The tables are c certificates, n certificate_names, p pending, s signatures, r revocations; each source joins all of c, s and r.
type source struct {
	tables string
	order  []string                        // the sort key; nil: there is one row at most
	down   bool                            // greatest first
	at     func(*ca.Certificate) time.Time // the time in the sort key

	// Columns of the index, or else of c, that hold what other filters ask for.
	app, created, expiry string
}

// The sources. That of created is good for all filters by equality on c that have an index ending in (created_at, serial).
var (
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
	byFingerprint = source{
		tables: `signatures s JOIN certificates c ON c.serial = s.serial LEFT JOIN revocations r ON r.serial = s.serial`,
		at:     createdAt,
		app:    "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byLiveExpiry = source{
		tables: byFingerprint.tables,
		order:  []string{"s.not_after", "s.serial"}, at: notAfter,
		app: "s.app", created: "c.created_at", expiry: "s.not_after",
	}
	byRevocation = source{
		tables: `revocations r JOIN certificates c ON c.serial = r.serial LEFT JOIN signatures s ON s.serial = r.serial`,
		order:  []string{"r.revoked_at", "r.serial"}, down: true, at: revokedAt,
		app: "r.app", created: "c.created_at", expiry: "r.not_after",
	}
	byPending = source{
		tables: `pending p JOIN certificates c ON c.serial = p.serial LEFT JOIN signatures s ON s.serial = p.serial LEFT JOIN revocations r ON r.serial = p.serial`,
		order:  []string{"p.created_at", "p.serial"}, down: true, at: createdAt,
		app: "c.app", created: "p.created_at", expiry: "c.not_after",
	}
	byDomain = source{
		tables: `certificate_names n JOIN certificates c ON c.serial = n.serial LEFT JOIN signatures s ON s.serial = n.serial LEFT JOIN revocations r ON r.serial = n.serial`,
		order:  []string{"n.created_at", "n.serial"}, down: true, at: createdAt,
		app: "n.app", created: "n.created_at", expiry: "c.not_after",
	}
	bySuffix = source{
		tables: byDomain.tables,
		order:  []string{"n.reversed", "n.created_at", "n.serial"}, at: createdAt,
		app: "n.app", created: "n.created_at", expiry: "c.not_after",
	}
)

func createdAt(c *ca.Certificate) time.Time { return c.CreatedAt }
func notAfter(c *ca.Certificate) time.Time  { return c.NotAfter }
func revokedAt(c *ca.Certificate) time.Time { return c.Revocation.At }

// plan chooses the source for a query, the most telling filter first, and the conditions on its rows. The text holds only what was asked for:
// a condition such as "$1 = ” OR app = $1" would keep the planners from the index.
func plan(q ca.CertificateQuery) (source, *conditions) {
	w := new(conditions)
	second := q.Now.UTC().Truncate(time.Second) // validity includes its last second
	var from source
	switch {
	case q.Fingerprint != nil:
		from = byFingerprint
		w.add("s.fingerprint = ?", q.Fingerprint[:])
	case q.SPKIHash != nil:
		from = byCreation
		w.add("c.spki_hash = ?", q.SPKIHash[:])
	case !q.Domain.IsZero():
		from = byDomain
		w.add("n.reversed = ?", searchKey(q.Domain))
	case q.Suffix != "":
		from = bySuffix
		low := suffixKey(q.Suffix)
		// "/" follows "." in ASCII. A certificate is listed once, at its first name in the range: the one before is not in it.
		w.add("n.reversed >= ? AND n.reversed < ? AND n.previous < ?", low, strings.TrimSuffix(low, ".")+"/", low)
	case q.Status == ca.StatusPending:
		from = byPending
	case q.Status == ca.StatusRevoked:
		from = byRevocation
	case q.Status == ca.StatusValid:
		from = byLiveExpiry
	case q.Status == ca.StatusExpired:
		from = byLiveExpiry
		from.down = true
	case !q.ExpiresAfter.IsZero() || !q.ExpiresBefore.IsZero():
		from = byExpiry
	default:
		from = byCreation
	}
	switch q.Status {
	case ca.StatusPending:
		w.add("s.serial IS NULL AND r.serial IS NULL")
	case ca.StatusRevoked:
		w.add("r.serial IS NOT NULL")
	case ca.StatusValid:
		w.add("s.live AND "+from.expiry+" >= ?", second)
	case ca.StatusExpired:
		w.add("s.live AND "+from.expiry+" < ?", second)
	}
	w.equal(from.app, text(q.App))
	w.equal("c.profile", text(q.Profile))
	w.equal("c.authority", text(q.Authority))
	w.span(from.expiry, q.ExpiresAfter, q.ExpiresBefore)
	w.span(from.created, q.IssuedAfter, q.IssuedBefore)
	return from, w
}

// beyond is the condition for the rows after a cursor.
func (f source) beyond(w *conditions, c ca.Cursor) {
	if c.IsZero() {
		return
	}
	sign, key := " > ", []any{micros(c.Time), c.Serial[:]}
	if f.down {
		sign = " < "
	}
	marks := "(?, ?)"
	if len(f.order) == 3 {
		marks, key = "(?, ?, ?)", append([]any{c.Name}, key...)
	}
	w.add("("+strings.Join(f.order, ", ")+")"+sign+marks, key...)
}

// orderBy is the order as the statement says it.
func (f source) orderBy() string {
	if f.order == nil {
		return ""
	}
	columns := slices.Clone(f.order)
	if f.down {
		for i := range columns {
			columns[i] += " DESC"
		}
	}
	return " ORDER BY " + strings.Join(columns, ", ")
}

// suffixKey is what the search keys under a suffix begin with.
func suffixKey(suffix string) string {
	labels := strings.Split(text(suffix), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}
