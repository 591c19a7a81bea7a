package store

import (
	"context"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// ListCertificates implements ca.Store.
func (s *Store) ListCertificates(ctx context.Context, q ca.CertificateQuery) (ca.CertificatePage, error) {
	var page ca.CertificatePage
	if !q.Domain.IsZero() && q.Suffix != "" && !strings.HasPrefix(searchKey(q.Domain), suffixKey(q.Suffix)) {
		return page, nil
	}
	from, text, args := listStatement(s.db, q)
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
