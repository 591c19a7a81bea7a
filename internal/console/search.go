package console

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// search is what somebody looks for among the certificates: words that are recognised by their shape, and the fields below the box. It is a part
// of the page's address, so that it can be kept, sent and bookmarked.
type search struct {
	Text string // as it was typed

	Status, Profile, App, Authority                    string
	IssuedFrom, IssuedUntil, ExpiresFrom, ExpiresUntil string // days, "2026-03-01"; until includes the day
	Unknown                                            []string
	Serial                                             pki.Serial // zero: none is looked for
	query                                              ca.CertificateQuery
	digest                                             *[32]byte // a fingerprint, or the hash of a key
}

// fields are the names of the search in a form and in an address.
func (s *search) fields() map[string]*string {
	return map[string]*string{
		"q": &s.Text, "status": &s.Status, "profile": &s.Profile, "app": &s.App, "authority": &s.Authority,
		"issued-from": &s.IssuedFrom, "issued-until": &s.IssuedUntil, "expires-from": &s.ExpiresFrom, "expires-until": &s.ExpiresUntil,
	}
}

// Values are the fields that are set, as they stand in an address.
func (s *search) Values() url.Values {
	values := make(url.Values)
	for name, value := range s.fields() {
		if *value != "" {
			values.Set(name, *value)
		}
	}
	return values
}

// Encode is the search as the query of an address.
func (s *search) Encode() string { return s.Values().Encode() }

// Narrowed tells whether anything but words is set.
func (s *search) Narrowed() bool {
	values := s.Values()
	values.Del("q")
	return len(values) > 0
}

// Empty tells whether everything is looked for.
func (s *search) Empty() bool { return len(s.Values()) == 0 }

// readSearch reads a search from a form or an address.
func (v *visit) readSearch(values url.Values) *search {
	s := new(search)
	for name, value := range s.fields() {
		*value = strings.TrimSpace(values.Get(name))
	}
	v.recognise(s)
	return s
}

// recognise makes a query of a search. What it cannot tell the meaning of is Unknown.
func (v *visit) recognise(s *search) {
	s.query = ca.CertificateQuery{Status: ca.Status(s.Status), Profile: s.Profile, App: s.App, Authority: s.Authority}
	if s.Status != "" && !slices.Contains(ca.Statuses(), ca.Status(s.Status)) {
		s.Unknown = append(s.Unknown, s.Status)
		s.query.Status = ""
	}
	for _, bound := range []struct {
		text string
		to   *time.Time
		last bool
	}{
		{s.IssuedFrom, &s.query.IssuedAfter, false}, {s.IssuedUntil, &s.query.IssuedBefore, true},
		{s.ExpiresFrom, &s.query.ExpiresAfter, false}, {s.ExpiresUntil, &s.query.ExpiresBefore, true},
	} {
		if bound.text == "" {
			continue
		}
		from, to, ok := parsePeriod(bound.text)
		if !ok {
			s.Unknown = append(s.Unknown, bound.text)
			continue
		}
		*bound.to = from
		if bound.last {
			*bound.to = to
		}
	}
	for _, word := range strings.Fields(s.Text) {
		if !v.recogniseWord(s, word) {
			s.Unknown = append(s.Unknown, word)
		}
	}
}

// recogniseWord takes a word for what it looks like, or for what it says that it is: "app:shop".
func (v *visit) recogniseWord(s *search, word string) bool {
	if kind, value, said := strings.Cut(word, ":"); said && value != "" {
		if known, ok := v.recogniseSaid(s, strings.ToLower(kind), value); known {
			return ok
		}
	}
	if status, is := v.statusWord(word); is {
		s.query.Status = status
		return true
	}
	if isHex(word, 2*len(pki.Serial{})) {
		serial, err := pki.ParseSerial(word)
		s.Serial = serial
		return err == nil
	}
	if isHex(word, 64) {
		digest, err := ca.ParseFingerprint(word)
		s.digest = &digest
		return err == nil
	}
	if from, to, ok := parsePeriod(word); ok {
		s.query.IssuedAfter, s.query.IssuedBefore = from, to
		return true
	}
	return recogniseName(s, word)
}

// recogniseSaid reads a word that says what it is. known is false for a kind that there is not.
func (v *visit) recogniseSaid(s *search, kind, value string) (known, ok bool) {
	set := func(field *string) (bool, bool) {
		*field = value
		return true, true
	}
	switch kind {
	case "app":
		return set(&s.query.App)
	case "profile":
		return set(&s.query.Profile)
	case "authority", "ca":
		return set(&s.query.Authority)
	case "status", "state":
		status, is := v.statusWord(value)
		s.query.Status = status
		return true, is
	case "name":
		return true, recogniseName(s, value)
	case "serial":
		serial, err := pki.ParseSerial(value)
		s.Serial = serial
		return true, err == nil
	case "fingerprint", "sha256", "key":
		digest, err := ca.ParseFingerprint(value)
		s.digest = &digest
		return true, err == nil
	case "issued":
		from, to, is := v.parseSpan(value, -1)
		s.query.IssuedAfter, s.query.IssuedBefore = from, to
		return true, is
	case "expires":
		from, to, is := v.parseSpan(value, 1)
		s.query.ExpiresAfter, s.query.ExpiresBefore = from, to
		return true, is
	}
	return false, false
}

// statusWord is a state by its name, in any of our languages.
func (v *visit) statusWord(word string) (ca.Status, bool) {
	for _, status := range ca.Statuses() {
		for _, l := range v.languages {
			if strings.EqualFold(word, string(status)) || strings.EqualFold(word, l.word("status", status)) {
				return status, true
			}
		}
	}
	return "", false
}

// recogniseName takes a word for a name: an address, a wildcard, a host name with all below it, or, without a dot, the ID of an app.
func recogniseName(s *search, word string) bool {
	bare := strings.TrimPrefix(word, ".")
	if !strings.ContainsAny(word, ".:") && appLike.MatchString(word) {
		s.query.App = word
		return true
	}
	name, err := pki.ParseName(bare)
	switch {
	case err != nil:
		return false
	case name.IsIP() || name.IsWildcard():
		s.query.Domain = name
	default:
		s.query.Suffix = name.String()
	}
	return true
}

var appLike = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// isHex tells whether a word is so many hexadecimal digits, colons aside.
func isHex(word string, digits int) bool {
	plain := strings.ReplaceAll(word, ":", "")
	return len(plain) == digits && !strings.ContainsFunc(plain, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
}

// parseSpan reads a stretch of time: a period, two of them with ".." between, either of which may be left out, or a number of days, "30d", from now on in
// one direction.
func (v *visit) parseSpan(text string, direction int) (from, to time.Time, ok bool) {
	if count, is := strings.CutSuffix(text, "d"); is {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > 36500 {
			return from, to, false
		}
		if direction < 0 {
			return v.now.AddDate(0, 0, -n), time.Time{}, true
		}
		return v.now, v.now.AddDate(0, 0, n), true
	}
	first, last, two := strings.Cut(text, "..")
	if !two {
		return parsePeriod(text)
	}
	if first != "" {
		if from, _, ok = parsePeriod(first); !ok {
			return from, to, false
		}
	}
	if last != "" {
		if _, to, ok = parsePeriod(last); !ok {
			return from, to, false
		}
	}
	return from, to, first != "" || last != ""
}

// parsePeriod reads a day, a month or a year, in UTC: "2026-03-01", "2026-03", "2026".
func parsePeriod(text string) (from, to time.Time, ok bool) {
	for _, period := range []struct {
		layout              string
		years, months, days int
	}{{time.DateOnly, 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if from, err := time.Parse(period.layout, text); err == nil && from.Year() > 1 {
			return from, from.AddDate(period.years, period.months, period.days), true
		}
	}
	return from, to, false
}

// find is a page of what a search finds.
func (v *visit) find(s *search, limit int, beyond ca.Cursor) (ca.CertificatePage, error) {
	if !s.Serial.IsZero() {
		return v.findSerial(s)
	}
	q := s.query
	q.Limit, q.Beyond = limit, beyond
	if s.digest == nil {
		return v.ca.ListCertificates(v.context(), v.principal, q)
	}
	q.Fingerprint = s.digest
	page, err := v.ca.ListCertificates(v.context(), v.principal, q)
	if err != nil || len(page.Items) > 0 {
		return page, err
	}
	q.Fingerprint, q.SPKIHash = nil, s.digest
	return v.ca.ListCertificates(v.context(), v.principal, q)
}

// findSerial is the one certificate, or none.
func (v *visit) findSerial(s *search) (page ca.CertificatePage, err error) {
	cert, err := v.ca.Certificate(v.context(), v.principal, s.Serial)
	var refusal *ca.Error
	switch {
	case errors.As(err, &refusal) && refusal.Kind == ca.KindNotFound:
		return page, nil
	case err == nil:
		page.Items = []*ca.Certificate{cert}
	}
	return page, err
}
