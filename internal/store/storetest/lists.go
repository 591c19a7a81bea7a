package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var listTests = map[string]func(*testing.T, *suite){
	"every filter, order and page":            everyList,
	"a suffix is whole labels":                suffixLabels,
	"names of one certificate list it once":   suffixOnce,
	"pages go on where they ended":            pagesGoOn,
	"what expires between two pages":          expiresBetweenPages,
	"a cursor survives its way to the client": cursorTravels,
	"a long list":                              longList,
	"a page is full or the last":               lastPage,
	"a name under another suffix is not there": domainAndSuffix,
}

// everyList compares each filter, each pair of filters and each page size with a plain search over everything.
func everyList(t *testing.T, s *suite) {
	all := s.population()
	now := Epoch.Add(50 * time.Hour)
	fingerprint, key := all[0].Fingerprint, all[1].SPKIHash
	filters := []func(*ca.CertificateQuery){
		func(*ca.CertificateQuery) {},
		func(q *ca.CertificateQuery) { q.App = "alpha" },
		func(q *ca.CertificateQuery) { q.Domain = name("www.example.com") },
		func(q *ca.CertificateQuery) { q.Domain = name("192.0.2.1") },
		func(q *ca.CertificateQuery) { q.Suffix = "example.com" },
		func(q *ca.CertificateQuery) { q.Suffix = "com" },
		func(q *ca.CertificateQuery) { q.Authority = "Old" },
		func(q *ca.CertificateQuery) { q.Profile = "client" },
		func(q *ca.CertificateQuery) { q.Status = ca.StatusPending },
		func(q *ca.CertificateQuery) { q.Status = ca.StatusValid },
		func(q *ca.CertificateQuery) { q.Status = ca.StatusExpired },
		func(q *ca.CertificateQuery) { q.Status = ca.StatusRevoked },
		func(q *ca.CertificateQuery) { q.Fingerprint = &fingerprint },
		func(q *ca.CertificateQuery) { q.SPKIHash = &key },
		func(q *ca.CertificateQuery) { q.ExpiresAfter = Epoch.Add(45 * time.Hour).Truncate(time.Second) },
		func(q *ca.CertificateQuery) { q.ExpiresBefore = Epoch.Add(60 * time.Hour).Truncate(time.Second) },
		func(q *ca.CertificateQuery) { q.IssuedAfter = Epoch.Add(3 * time.Hour) },
		func(q *ca.CertificateQuery) { q.IssuedBefore = Epoch.Add(6 * time.Hour) },
	}
	for i, first := range filters {
		for _, second := range filters[i:] {
			for _, app := range []string{"", "beta"} {
				q := ca.CertificateQuery{App: app, Now: now}
				first(&q)
				second(&q)
				want := search(all, q)
				for _, limit := range []int{1, 3, 200} {
					require.Equal(t, serials(want), serials(s.walk(q, limit)), "limit %d, %+v", limit, q)
				}
				for i, c := range s.walk(q, 200) {
					require.Equal(t, want[i], c)
				}
			}
		}
	}
}

// population is certificates of every state, app, profile and authority, with many equal times among them.
func (s *suite) population() []*ca.Certificate {
	s.Helper()
	names := [][]string{
		{"www.example.com"}, {"example.com", "*.example.com"}, {"a.example.org", "b.example.org", "www.example.com"}, {"192.0.2.1"},
		{"badexample.com", "www.example.com.evil.net"}, {"deep.under.www.example.com", "2001:db8::1"},
	}
	var all []*ca.Certificate
	for i := range 96 {
		app := []string{"alpha", "beta", "alpha", ""}[i%4]
		c := NewCertificate(app, Epoch.Add(time.Duration(i/10)*time.Hour), names[i%len(names)]...)
		c.NotAfter = Epoch.Add(time.Duration(40+(i*7)%5*5) * time.Hour).Truncate(time.Second)
		if i%7 < 2 {
			c.Authority = "Old"
		}
		if i%9 == 1 {
			c.SPKIHash = [32]byte{9}
		}
		if all = append(all, c); i%5 == 4 {
			s.record(c)
		} else {
			s.sign(c)
		}
		if i%6 == 5 {
			s.revoke(ca.Revocation{At: Epoch.Add(time.Duration(i/20) * time.Hour), Reason: pki.Superseded, By: "olga"}, c)
		}
	}
	return all
}

// walk reads a whole list, page by page.
func (s *suite) walk(q ca.CertificateQuery, limit int) []*ca.Certificate {
	s.Helper()
	q.Limit = limit
	var all []*ca.Certificate
	for {
		page, err := s.ListCertificates(s.Context(), q)
		s.must(err)
		require.LessOrEqual(s.T, len(page.Items), limit)
		all = append(all, page.Items...)
		if page.Next.IsZero() {
			return all
		}
		require.Len(s.T, page.Items, limit, "only the last page is short")
		q.Beyond = page.Next
	}
}

// search is what a list must be: all certificates that fit, in the order of CertificateQuery.
func search(all []*ca.Certificate, q ca.CertificateQuery) []*ca.Certificate {
	fits := func(c *ca.Certificate) bool {
		return (q.Domain.IsZero() || slices.Contains(c.Names, q.Domain)) &&
			(q.Suffix == "" || firstUnder(c, q.Suffix) != "") &&
			(q.App == "" || c.App == q.App) && (q.Authority == "" || c.Authority == q.Authority) && (q.Profile == "" || c.Profile == q.Profile) &&
			(q.Status == "" || c.Status(q.Now) == q.Status) &&
			(q.Fingerprint == nil || c.Fingerprint == *q.Fingerprint) && (q.SPKIHash == nil || c.SPKIHash == *q.SPKIHash) &&
			!c.NotAfter.Before(q.ExpiresAfter) && (q.ExpiresBefore.IsZero() || c.NotAfter.Before(q.ExpiresBefore)) &&
			!c.CreatedAt.Before(q.IssuedAfter) && (q.IssuedBefore.IsZero() || c.CreatedAt.Before(q.IssuedBefore))
	}
	found := slices.DeleteFunc(slices.Clone(all), func(c *ca.Certificate) bool { return !fits(c) })
	bySerial := func(a, b *ca.Certificate) int { return bytes.Compare(a.Serial[:], b.Serial[:]) }
	newestFirst := func(a, b *ca.Certificate) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bySerial(b, a)) }
	order := newestFirst
	switch {
	case !q.Domain.IsZero():
	case q.Suffix != "":
		order = func(a, b *ca.Certificate) int {
			return cmp.Or(strings.Compare(firstUnder(a, q.Suffix), firstUnder(b, q.Suffix)), a.CreatedAt.Compare(b.CreatedAt), bySerial(a, b))
		}
	case q.Fingerprint != nil, q.SPKIHash != nil, q.Status == ca.StatusPending:
	case q.Status == ca.StatusRevoked:
		order = func(a, b *ca.Certificate) int {
			return cmp.Or(b.Revocation.At.Compare(a.Revocation.At), bySerial(b, a))
		}
	case (q.Status == ca.StatusValid || q.Status == ca.StatusExpired) && q.ExpiresAfter.IsZero() && q.ExpiresBefore.IsZero() &&
		(!q.IssuedAfter.IsZero() || !q.IssuedBefore.IsZero()):
	case q.Status == ca.StatusExpired:
		order = func(a, b *ca.Certificate) int { return cmp.Or(b.NotAfter.Compare(a.NotAfter), bySerial(b, a)) }
	case q.Status == ca.StatusValid, !q.ExpiresAfter.IsZero(), !q.ExpiresBefore.IsZero():
		order = func(a, b *ca.Certificate) int { return cmp.Or(a.NotAfter.Compare(b.NotAfter), bySerial(a, b)) }
	}
	slices.SortFunc(found, order)
	return found
}

// firstUnder is the first of a certificate's names, reversed, that is a suffix or stands below it; empty for none.
func firstUnder(c *ca.Certificate, suffix string) string {
	first := ""
	for _, n := range c.Names {
		if n.IsIP() || n.String() != suffix && !strings.HasSuffix(n.String(), "."+suffix) {
			continue
		}
		// The dot at the end has a name sort before all that stand below it, and those before its look-alikes.
		if r := n.Reversed() + "."; first == "" || r < first {
			first = r
		}
	}
	return first
}

func serials(cs []*ca.Certificate) []string {
	all := make([]string, len(cs))
	for i, c := range cs {
		all[i] = c.Serial.String()
	}
	return all
}

func name(text string) pki.Name {
	n, err := pki.ParseName(text)
	if err != nil {
		panic(err)
	}
	return n
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("host-%d.%s.example.com", i, strings.Repeat("x", 1+i%60))
	}
	return names
}

func suffixLabels(t *testing.T, s *suite) {
	inside := []string{"example.com", "www.example.com", "*.example.com", "a.b.c.example.com", "0.example.com", "zz.example.com"}
	outside := []string{"badexample.com", "example.com.evil.net", "example.co", "example.org", "example-a.com", "www.example-a.com", "com", "192.0.2.1"}
	var want []string
	for _, n := range inside {
		c := NewCertificate("alpha", Epoch, n)
		s.sign(c)
		want = append(want, c.Serial.String())
	}
	for _, n := range outside {
		s.sign(NewCertificate("alpha", Epoch, n))
	}
	require.ElementsMatch(t, want, serials(s.walk(ca.CertificateQuery{Suffix: "example.com"}, 2)))
	for _, suffix := range []string{"xample.com", "e", "192", "192.0.2.1", "ip:192.0.2.1", "%", "example.com%", "_xample.com", "*", "\x00", "\xff", "' OR 1=1 --"} {
		require.Empty(t, s.walk(ca.CertificateQuery{Suffix: suffix}, 2), "%q", suffix)
	}
}

func suffixOnce(t *testing.T, s *suite) {
	// In the order of reversed names, those of another domain stand between these of example.com, unless the store sees to it.
	mixed := NewCertificate("alpha", Epoch, "www.example.com", "example-a.com", "example.com", "www.example-a.com", "z.example.com", "other.org")
	other := NewCertificate("alpha", Epoch, "www.example-a.com")
	s.sign(mixed, other)
	for _, limit := range []int{1, 2, 10} {
		require.Equal(t, serials([]*ca.Certificate{mixed}), serials(s.walk(ca.CertificateQuery{Suffix: "example.com"}, limit)))
		require.Equal(t, serials([]*ca.Certificate{mixed, other}), serials(s.walk(ca.CertificateQuery{Suffix: "example-a.com"}, limit)))
		require.Equal(t, serials([]*ca.Certificate{mixed, other}), serials(s.walk(ca.CertificateQuery{Suffix: "com"}, limit)))
	}
	many := NewCertificate("beta", Epoch, manyNames(100)...)
	s.sign(many)
	require.Equal(t, serials([]*ca.Certificate{many}), serials(s.walk(ca.CertificateQuery{Suffix: "example.com", App: "beta"}, 1)))
}

// pagesGoOn: what is issued while someone turns pages neither repeats nor hides what was there.
func pagesGoOn(t *testing.T, s *suite) {
	var old []*ca.Certificate
	for i := range 20 {
		old = append(old, NewCertificate("alpha", Epoch.Add(time.Duration(i/4)*time.Second), fmt.Sprintf("h%d.example.com", i)))
	}
	s.sign(old...)
	for name, q := range map[string]ca.CertificateQuery{
		"newest": {}, "app": {App: "alpha"}, "suffix": {Suffix: "example.com"}, "valid": {Status: ca.StatusValid, Now: Epoch},
	} {
		want := search(old, q)
		var seen []string
		for q.Limit = 3; ; {
			page, err := s.ListCertificates(t.Context(), q)
			s.must(err)
			seen = append(seen, serials(page.Items)...)
			s.sign(NewCertificate("alpha", Epoch.Add(2*time.Second), "h1.example.com"), NewCertificate("alpha", Epoch.Add(time.Hour), "zz.example.com"))
			if page.Next.IsZero() {
				break
			}
			q.Beyond = page.Next
		}
		require.True(t, slices.Equal(seen, slices.Compact(slices.Clone(seen))), name)
		var ofOld []string
		for _, serial := range seen {
			if slices.Contains(serials(want), serial) {
				ofOld = append(ofOld, serial)
			}
		}
		require.Equal(t, serials(want), ofOld, name)
	}
}

func expiresBetweenPages(t *testing.T, s *suite) {
	var all []*ca.Certificate
	for i := range 9 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		c.NotAfter = Epoch.Add(time.Duration(i) * time.Hour).Truncate(time.Second)
		all = append(all, c)
	}
	s.sign(all...)
	q := ca.CertificateQuery{Status: ca.StatusValid, Now: Epoch, Limit: 2}
	page, err := s.ListCertificates(t.Context(), q)
	s.must(err)
	require.Equal(t, serials(all[:2]), serials(page.Items), "the last second of a certificate is within its life")

	q.Now, q.Beyond = Epoch.Add(5*time.Hour), page.Next
	page, err = s.ListCertificates(t.Context(), q)
	s.must(err)
	require.Equal(t, serials(all[5:7]), serials(page.Items), "the others are expired by now")
}

func cursorTravels(t *testing.T, s *suite) {
	for i := range 5 {
		s.sign(NewCertificate("alpha", Epoch.Add(time.Duration(i)*time.Microsecond), "www.example.com", "*.example.com"))
	}
	for _, q := range []ca.CertificateQuery{{Limit: 2}, {Limit: 2, Suffix: "example.com"}, {Limit: 2, Status: ca.StatusValid, Now: Epoch}} {
		page, err := s.ListCertificates(t.Context(), q)
		s.must(err)
		q.Beyond, err = ca.ParseCursor(page.Next.String())
		s.must(err)
		require.Equal(t, page.Next, q.Beyond)
		next, err := s.ListCertificates(t.Context(), q)
		s.must(err)
		require.Len(t, next.Items, 2)
		require.Equal(t, serials(s.walk(q, 5))[:2], serials(next.Items))
	}
}

func longList(t *testing.T, s *suite) {
	const n = 2500
	all := make([]*ca.Certificate, n)
	for i := range all {
		all[i] = NewCertificate("alpha", Epoch.Add(time.Duration(i%100)*time.Second), fmt.Sprintf("h%d.example.com", i))
	}
	for _, err := range together(n, func(i int) error { return s.RecordCertificate(t.Context(), all[i], NewAct(Epoch)) }) {
		require.NoError(t, err)
	}
	for _, q := range []ca.CertificateQuery{{}, {App: "alpha"}, {Suffix: "example.com"}, {Status: ca.StatusPending, Now: Epoch}} {
		require.Equal(t, serials(search(all, q)), serials(s.walk(q, 1000)))
	}
}

func lastPage(t *testing.T, s *suite) {
	for range 6 {
		s.sign(NewCertificate("alpha", Epoch, "www.example.com"))
	}
	page, err := s.ListCertificates(t.Context(), ca.CertificateQuery{Limit: 6})
	s.must(err)
	require.Len(t, page.Items, 6)
	require.True(t, page.Next.IsZero(), "there is no more")
	page, err = s.ListCertificates(t.Context(), ca.CertificateQuery{Limit: 5})
	s.must(err)
	require.Len(t, page.Items, 5)
	require.False(t, page.Next.IsZero())
	_, err = s.ListCertificates(t.Context(), ca.CertificateQuery{Suffix: "example.com", Limit: 5, Beyond: ca.Cursor{Name: "com.example.\x00\xff", Serial: pki.Serial{1}}})
	s.must(err)
	page, err = s.ListCertificates(t.Context(), ca.CertificateQuery{Limit: 5, Beyond: ca.Cursor{Time: Epoch.Add(-time.Hour), Serial: pki.Serial{1}}})
	s.must(err)
	require.Empty(t, page.Items)
	require.True(t, page.Next.IsZero())
}

func domainAndSuffix(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com", "www.example.org")
	s.sign(c)
	require.Len(t, s.walk(ca.CertificateQuery{Domain: name("www.example.com"), Suffix: "example.com"}, 5), 1)
	require.Empty(t, s.walk(ca.CertificateQuery{Domain: name("www.example.com"), Suffix: "net"}, 5))
}
