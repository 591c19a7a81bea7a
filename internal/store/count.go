package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// CountCertificates implements ca.Store.
func (s *Store) CountCertificates(ctx context.Context, what ca.Occurrence, bounds []time.Time) ([]int, error) {
	if len(bounds) < 2 {
		return nil, nil
	}
	statement, args, err := countStatement(what, bounds)
	if err != nil {
		return nil, err
	}
	counts := make([]int, len(bounds)-1)
	err = s.db.list(ctx, func(r row) error {
		var i, n int
		err := r.Scan(&i, &n)
		counts[i] = n
		return err
	}, statement, args...)
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// countStatement counts each stretch by itself, all in one statement: each is one range of an index that begins with the time and tells all that is
// asked. To group by the day would take another expression in each database.
func countStatement(what ca.Occurrence, bounds []time.Time) (statement string, args []any, err error) {
	from, found := map[ca.Occurrence]string{
		ca.WasIssued:  "certificates WHERE created_at",
		ca.WillEnd:    "signatures WHERE live AND not_after",
		ca.WasRevoked: "revocations WHERE revoked_at",
	}[what]
	if !found {
		return "", nil, fmt.Errorf("there is no count of %q", what)
	}
	column := from[strings.LastIndex(from, " ")+1:]
	parts := make([]string, len(bounds)-1)
	for i := range parts {
		parts[i] = fmt.Sprintf("SELECT %d, count(*) FROM %s >= $%d AND %s < $%d", i, from, i+1, column, i+2)
	}
	for _, b := range bounds {
		args = append(args, micros(b))
	}
	return strings.Join(parts, " UNION ALL "), args, nil
}
