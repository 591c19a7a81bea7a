package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// row is one row of an answer.
type row interface {
	Scan(dest ...any) error
}

// statements run alone in a database, or together in one of its transactions.
type statements interface {
	// exec runs a change and says how many rows it touched.
	exec(ctx context.Context, text string, args ...any) (int64, error)

	// query asks, and calls each for every row of the answer.
	query(ctx context.Context, each func(row) error, text string, args ...any) error
}

// database is what the store needs of PostgreSQL and SQLite. Statements are prepared once and kept, but for those of list.
type database interface {
	statements

	// list is query with a plan made for these very arguments. A plan that is kept must fit all arguments, and is then often one that reads and sorts
	// a whole range to find the first page of it.
	list(ctx context.Context, each func(row) error, text string, args ...any) error

	// same is a condition that a column has one value in all rows of a list, which is ordered by that column first.
	//
	// PostgreSQL drops a column that equals one value from the order, and is then free to read an app's newest rows from the index of all rows, leaving out
	// those of other apps: that looks cheaper as long as the app has something new, and reads everything if it has not. ANY it takes for many values.
	same(column, value string) string

	// find is query for each of the keys: the text ends in the column that they are looked up in.
	find(ctx context.Context, each func(row) error, text string, keys []any) error

	// among is a condition that holds for a column, whose name it follows, that has one of the keys; they are the argument at that place.
	among(place int, keys [][]byte) (text string, arg any)

	// insert adds rows to a table, in a transaction.
	insert(ctx context.Context, tx statements, t table, rows [][]any) error

	// transact runs a transaction: it is committed when do returns nil, else rolled back, even if ctx has ended.
	transact(ctx context.Context, do func(tx statements) error) error

	// commit makes all the writes of a group in one transaction, and tells each signing and spending whether it was done.
	commit(ctx context.Context, writes []*write) error

	// forget removes changes of an authority from the unpublished, in a transaction.
	forget(ctx context.Context, tx statements, authority string, changes []ca.Unpublished) error

	// committers is how many commits at once serve a group best.
	committers() int

	// badRow tells an error that one row has caused and that the others do not share; lostRace one that may not come again.
	badRow(err error) bool
	lostRace(err error) bool

	close()
}

// one reads the only row of an answer. ca.ErrNotFound: it has none.
func one(ctx context.Context, s statements, text string, args []any, dest ...any) error {
	found := false
	err := s.query(ctx, func(r row) error {
		found = true
		return r.Scan(dest...)
	}, text, args...)
	if err == nil && !found {
		return ca.ErrNotFound
	}
	return err
}

// instant reads a time: PostgreSQL has a type for it, SQLite counts the microseconds since 1970. NULL is the zero time.
type instant struct{ to *time.Time }

// Scan implements sql.Scanner, which both drivers know.
func (i instant) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*i.to = time.Time{}
	case time.Time:
		*i.to = v.UTC()
	case int64:
		*i.to = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", value)
	}
	return nil
}

// octets reads a value of fixed length.
type octets []byte

// Scan implements sql.Scanner.
func (o octets) Scan(value any) error {
	v, ok := value.([]byte)
	if !ok && value != nil || ok && len(v) != len(o) {
		return fmt.Errorf("%d octets are stored where %d belong", len(v), len(o))
	}
	copy(o, v)
	return nil
}

// orNull is the value to store of what may be missing.
func orNull[T comparable](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v
}

// micros is a time as it is stored.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// microsOrNull is micros of a time that may be missing.
func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// words reads a list that is stored with spaces between; an empty one is nil.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Fields(s)
}

// text makes a string from outside storable: PostgreSQL takes neither broken UTF-8 nor NUL.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
