package store

import (
	"strconv"
	"strings"
	"time"
)

// reading is how a list is read from its index: what all its rows share, where it begins, where it ends, and the order between.
type reading struct {
	lead   string // a column before those of the order, with one value in all rows; empty for none
	common any    // the value
	order  []string
	down   bool // the greatest first

	from, to any   // the first column of the order is ≥ from and < to; nil: no bound
	beyond   []any // the row to begin after; nil: the first
}

// bound adds the conditions. Of the two bounds on the side where a list begins, a cursor is the nearer one and implies the other, which is left out:
// SQLite looks up one of them, and would read its way from there to the other.
func (r *reading) bound(where *conditions, db database) {
	if r.lead != "" {
		where.add(db.same(r.lead, "?"), r.common)
	}
	if r.from != nil && (r.beyond == nil || r.down) {
		where.add(r.order[0]+" >= ?", r.from)
	}
	if r.to != nil && (r.beyond == nil || !r.down) {
		where.add(r.order[0]+" < ?", r.to)
	}
	if r.beyond != nil {
		sign := ") > ("
		if r.down {
			sign = ") < ("
		}
		where.add("("+strings.Join(r.order, ", ")+sign+"?"+strings.Repeat(", ?", len(r.order)-1)+")", r.beyond...)
	}
}

// orderBy is the clause. It names the lead too: see database.same.
func (r *reading) orderBy() string {
	columns := r.order
	if r.lead != "" {
		columns = append([]string{r.lead}, columns...)
	}
	if columns == nil {
		return ""
	}
	way := ""
	if r.down {
		way = " DESC"
	}
	return " ORDER BY " + strings.Join(columns, way+", ") + way
}

// conditions are what a list asks of its rows, joined by AND, with their arguments.
type conditions struct {
	texts []string
	args  []any
}

// value adds an argument and is its place in the text.
func (c *conditions) value(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

// add adds a condition, in which each "?" stands for one of the values; an empty one is none.
func (c *conditions) add(text string, values ...any) {
	if text == "" {
		return
	}
	for _, v := range values {
		text = strings.Replace(text, "?", c.value(v), 1)
	}
	c.texts = append(c.texts, text)
}

// other adds a filter by equality, unless it is empty, for which the planners shall not leave the index of the list. CASE keeps SQLite from it;
// PostgreSQL, which has statistics to decide by, sees through it.
func (c *conditions) other(column, value string) {
	if value != "" {
		c.add("CASE WHEN TRUE THEN "+column+" END = ?", text(value))
	}
}

// span is a stretch of time from its first moment to before its last; a zero time is no bound.
type span struct{ from, to time.Time }

// and is what two spans have in common.
func (s span) and(o span) span {
	if o.from.After(s.from) {
		s.from = o.from
	}
	if s.to.IsZero() || !o.to.IsZero() && o.to.Before(s.to) {
		s.to = o.to
	}
	return s
}

// span adds the bounds of a column.
func (c *conditions) span(column string, s span) {
	if !s.from.IsZero() {
		c.add(column+" >= ?", micros(s.from))
	}
	if !s.to.IsZero() {
		c.add(column+" < ?", micros(s.to))
	}
}

func (c *conditions) where() string {
	if c.texts == nil {
		return ""
	}
	return " WHERE " + strings.Join(c.texts, " AND ")
}
