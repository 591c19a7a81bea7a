package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// query reads the parameters of a query, and collects what is wrong with them.
type query struct {
	values map[string]string
	faults faults
}

// readQuery takes a query apart. Every parameter must be known, and given once.
func readQuery(raw string, known []string) (query, error) {
	q := query{values: make(map[string]string)}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, web.Refuse(ca.KindMalformed, "The query of the URL cannot be read (%v): separate parameters by \"&\" and escape special characters.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given := values[name]
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			q.faults.add(ca.KindInvalid, clip(name), "There is no parameter %q: this route takes none.", clip(name))
		case !slices.Contains(known, name):
			q.faults.add(ca.KindInvalid, clip(name), "There is no parameter %q: use some of %s.", clip(name), strings.Join(known, ", "))
		case len(given) > 1:
			q.faults.add(ca.KindInvalid, name, "The parameter %s is there %d times: give it once.", name, len(given))
		case given[0] == "":
			q.faults.add(ca.KindInvalid, name, "The parameter %s is empty: give it a value, or leave it out.", name)
		default:
			q.values[name] = given[0]
		}
	}
	return q, q.faults.err()
}

// parse reads a parameter, if it is there.
func parse[T any](q *query, name string, read func(string) (T, error)) (value T) {
	text, given := q.values[name]
	if !given {
		return value
	}
	value, err := read(text)
	if err != nil {
		q.faults.add(ca.KindInvalid, name, "%s", sentence(err))
	}
	return value
}

func (q *query) text(name string) string { return q.values[name] }

// oneOf reads a parameter that has few values.
func oneOf[T ~string](q *query, name string, all []T) T {
	return parse(q, name, func(s string) (T, error) {
		if !slices.Contains(all, T(s)) {
			return "", web.Refuse(ca.KindInvalid, "There is no %s %q: use one of %s.", name, clip(s), joined(all))
		}
		return T(s), nil
	})
}

// time reads a time, or a date, which means its first moment.
func (q *query) time(name string) time.Time { return parse(q, name, parseTime) }

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		// Beyond these years the texts of times no longer sort.
		if t, err := time.Parse(layout, s); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, web.Refuse(ca.KindInvalid, "%q is no time: write it like 2026-12-31T08:00:00Z (\"+\" as %%2B), or 2026-12-31.", clip(s))
}

// limit reads the length of a page; 0 where the default is wanted.
func (q *query) limit() int {
	return parse(q, "limit", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > ca.MaxPage {
			return 0, web.Refuse(ca.KindInvalid, "A page has 1 to %d items: give such a number.", ca.MaxPage)
		}
		return n, nil
	})
}

func (q *query) err() error { return q.faults.err() }
