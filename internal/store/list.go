package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// ListCertificates implements ca.Store.
func (s *Store) ListCertificates(ctx context.Context, q ca.CertificateQuery) (ca.CertificatePage, error) {
	var page ca.CertificatePage
	if !q.Domain.IsZero() && q.Suffix != "" && !strings.HasPrefix(searchKey(q.Domain), suffixKey(q.Suffix)) {
		return page, nil
	}
	from, text, args := listStatement(q)
	var last ca.Cursor
	err := s.db.list(ctx, func(r row) error {
		if len(page.Items) == q.Limit { // one row more than asked for: there is a next page
			page.Next = last
			return nil
		}
		found := new(certificateRow)
		var key string
		if err := r.Scan(append(found.columns(), &key)...); err != nil {
			return err
		}
		c := found.certificate()
		page.Items = append(page.Items, c)
		last = ca.Cursor{Name: key, Time: from.at(c), Serial: c.Serial}
		return nil
	}, text, args...)
	if err != nil {
		return ca.CertificatePage{}, err
	}
	return page, nil
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

// equal adds a condition unless the value is empty.
func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", text(value))
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
