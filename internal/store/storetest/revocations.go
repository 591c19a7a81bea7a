package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

var revocationTests = map[string]func(*testing.T, *suite){
	"what is said of a certificate":                standings,
	"many ask at once":                             manyAsk,
	"a revoked one is told at once":                toldAtOnce,
	"a list comes back":                            listComesBack,
	"a list shares its parts with an earlier one":  listShares,
	"a list follows the one that it was made from": listFollows,
	"a list takes away what it shows":              listShows,
	"a list is of one authority":                   listOfOne,
	"changes wait in their order":                  changesWait,
	"every change waits":                           everyChangeWaits,
	"revoked certificates by their end":            revokedByEnd,
	"usages of responders":                         responderUsage,
	"two publish at once":                          racePublish,
	"no change is lost between two publishers":     raceChanges,
}

func standings(t *testing.T, s *suite) {
	_, err := s.Standing(t.Context(), pki.NewSerial())
	require.ErrorIs(t, err, ca.ErrNotFound)
	c := NewCertificate("alpha", Epoch, "www.example.com")
	c.Authority = "Another"
	s.record(c)
	good := ca.Standing{Authority: "Another"}
	standing := func() ca.Standing {
		t.Helper()
		got, err := s.Standing(t.Context(), c.Serial)
		s.must(err)
		return got
	}
	require.Equal(t, good, standing(), "pending")
	Sign(c)
	s.must(s.CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, Epoch))
	require.Equal(t, good, standing())
	s.revoke(ca.Revocation{At: Epoch.Add(time.Microsecond), Reason: pki.Superseded, By: "olga"}, c)
	want := ca.Standing{Authority: "Another", Revocation: &ca.Revocation{At: Epoch.Add(time.Microsecond), Reason: pki.Superseded, By: "olga"}}
	got := standing()
	require.Equal(t, want, got)
	got.Revocation.Reason = pki.Unspecified
	require.Equal(t, want, standing(), "what was answered is the caller's")
	s.must(s.RaiseRevocation(t.Context(), c.Serial, pki.Superseded, pki.KeyCompromise, NewAct(Epoch)))
	require.Equal(t, pki.KeyCompromise, standing().Revocation.Reason)
}

func manyAsk(t *testing.T, s *suite) {
	certificates := make([]*ca.Certificate, 20)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, "www.example.com")
		certificates[i].Authority = fmt.Sprint("CA ", i)
	}
	s.record(certificates...)
	for _, err := range together(400, func(i int) error {
		c := certificates[i%20]
		if i%7 == 0 {
			_, err := s.Standing(t.Context(), pki.NewSerial())
			if !errors.Is(err, ca.ErrNotFound) {
				return fmt.Errorf("a serial that nobody has: %v", err)
			}
			return nil
		}
		got, err := s.Standing(t.Context(), c.Serial)
		if err == nil && got.Authority != c.Authority {
			return fmt.Errorf("asked for one of %s, told of %s", c.Authority, got.Authority)
		}
		return err
	}) {
		s.must(err)
	}
}

// toldAtOnce: an answer is never older than its question, on any server, however many ask.
func toldAtOnce(t *testing.T, s *suite) {
	stores := s.two()
	asking, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.record(c)
	for i := range 8 {
		crowd.Go(func() {
			for asking.Err() == nil {
				_, _ = stores[i%2].Standing(asking, c.Serial)
			}
		})
	}
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, c)
	for i := range 100 {
		got, err := stores[i%2].Standing(t.Context(), c.Serial)
		s.must(err)
		require.NotNil(t, got.Revocation)
	}
	stop()
	crowd.Wait()
}

// newCRL is a list as it might be, unsigned.
func newCRL(number int64, entries ...string) *ca.CRL {
	c := &ca.CRL{
		CRL:       issuer.CRL{Number: number, ThisUpdate: Epoch.Truncate(time.Second), NextUpdate: Epoch.Truncate(time.Second).Add(time.Hour), Head: random(200), Tail: random(150)},
		Authority: "TencentQQAuthCA", PublishedAt: Epoch, RegularAt: Epoch.Add(-time.Minute), Count: 7,
	}
	for _, part := range entries {
		c.Entries = append(c.Entries, []byte(part))
	}
	return c
}

func (s *suite) publish(c *ca.CRL, previous int64, changed ...int) {
	s.Helper()
	s.must(s.PublishCRL(s.Context(), c, previous, changed, nil, NewAct(Epoch)))
}

func (s *suite) crl(earlier *ca.CRL) *ca.CRL {
	s.Helper()
	c, err := s.CRL(s.Context(), "TencentQQAuthCA", earlier)
	s.must(err)
	return c
}

func listComesBack(t *testing.T, s *suite) {
	_, err := s.CRL(t.Context(), "TencentQQAuthCA", nil)
	require.ErrorIs(t, err, ca.ErrNotFound)
	empty := newCRL(1 << 60)
	s.publish(empty, 0)
	require.Equal(t, empty, s.crl(nil))
	require.True(t, s.crl(nil).ListsFrom.IsZero())

	full := newCRL(1<<60+1, "first", "", string(random(300_000)), "last")
	full.ListsFrom = Epoch.Add(-time.Hour)
	s.publish(full, 1<<60, 0, 1, 2, 3)
	got := s.crl(nil)
	require.Empty(t, got.Entries[1])
	got.Entries[1] = full.Entries[1]
	require.Equal(t, full, got)
}

func listShares(t *testing.T, s *suite) {
	first := newCRL(10, "a", "b", "c")
	s.publish(first, 0, 0, 1, 2)
	earlier := s.crl(nil)
	second := newCRL(20, "a", "B", "c", "d")
	s.publish(second, 10, 1, 3)
	third := newCRL(30, "a", "B", "C", "d")
	s.publish(third, 20, 2)
	require.Equal(t, third, s.crl(nil))
	got := s.crl(earlier)
	require.Equal(t, third, got)
	require.Same(t, &earlier.Entries[0][0], &got.Entries[0][0], "it was not read again")
	require.Equal(t, first.Entries, earlier.Entries, "the earlier one stays as it was")
	require.Equal(t, third, s.crl(got), "nothing has changed since")
}

func listFollows(t *testing.T, s *suite) {
	s.publish(newCRL(10, "a"), 0, 0)
	for _, previous := range []int64{0, 9, 11} {
		s.unchanged(func() {
			err := s.PublishCRL(t.Context(), newCRL(20, "b"), previous, []int{0}, nil, NewAct(Epoch))
			require.ErrorIs(t, err, ca.ErrChanged)
		})
	}
	require.ErrorIs(t, s.PublishCRL(t.Context(), func() *ca.CRL { c := newCRL(20); c.Authority = "Another"; return c }(), 10, nil, nil, NewAct(Epoch)), ca.ErrChanged)
	require.Equal(t, []byte("a"), s.crl(nil).Entries[0])
	act := NewAct(Epoch)
	s.must(s.PublishCRL(t.Context(), newCRL(20, "b"), 10, []int{0}, nil, act))
	require.Equal(t, []byte("b"), s.crl(nil).Entries[0])
	require.Error(t, s.PublishCRL(t.Context(), newCRL(30, "c"), 20, []int{0}, nil, act), "its event cannot be written twice")
	require.EqualValues(t, 20, s.crl(nil).Number)
}

// waiting are the changes that no list shows.
func (s *suite) waiting(authority string) []ca.Unpublished {
	s.Helper()
	all, err := s.ListUnpublished(s.Context(), authority, 1000)
	s.must(err)
	return all
}

// listShows: just the changes that a list was made from go with it; not those of the same certificate that came meanwhile.
func listShows(t *testing.T, s *suite) {
	root := newHierarchy("TencentQQAuthCA")
	s.must(s.CreateAuthorities(t.Context(), root, NewAct(Epoch)))
	state := func(number int64, waiting bool) {
		t.Helper()
		states, err := s.ListCRLStates(t.Context())
		s.must(err)
		require.Equal(t, []ca.CRLState{{Authority: "TencentQQAuthCA", Number: number, Waiting: waiting}, {Authority: "TencentQQAuthCA-Issuing"}}, states)
	}
	state(0, false)
	a, b := NewCertificate("alpha", Epoch, "a.example.com"), NewCertificate("alpha", Epoch, "b.example.com")
	s.sign(a, b)
	state(0, false)
	r := ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}
	s.revoke(r, a, b)
	state(0, true)
	seen := s.waiting("TencentQQAuthCA")
	require.Len(t, seen, 2)
	for _, u := range seen {
		require.Equal(t, &r, u.Revocation)
		require.Equal(t, a.NotAfter, u.NotAfter)
	}
	s.must(s.RaiseRevocation(t.Context(), a.Serial, pki.Superseded, pki.KeyCompromise, NewAct(Epoch.Add(time.Second))))

	s.must(s.PublishCRL(t.Context(), newCRL(10), 0, nil, seen, NewAct(Epoch)))
	state(10, true)
	left := s.waiting("TencentQQAuthCA")
	require.Len(t, left, 1)
	require.Equal(t, a.Serial, left[0].Serial)
	require.Equal(t, pki.KeyCompromise, left[0].Revocation.Reason)
	require.ErrorIs(t, s.PublishCRL(t.Context(), newCRL(20), 9, nil, left, NewAct(Epoch)), ca.ErrChanged)
	state(10, true)
	s.must(s.PublishCRL(t.Context(), newCRL(20), 10, nil, left, NewAct(Epoch)))
	state(20, false)

	s.unchanged(func() {
		require.ErrorIs(t, s.RaiseRevocation(t.Context(), a.Serial, pki.Superseded, pki.KeyCompromise, NewAct(Epoch)), ca.ErrChanged)
		require.ErrorIs(t, s.RevokeCertificate(t.Context(), b.Serial, r, NewAct(Epoch)), ca.ErrChanged)
	})
	state(20, false)
}

func listOfOne(t *testing.T, s *suite) {
	a, b := NewCertificate("alpha", Epoch, "a.example.com"), NewCertificate("alpha", Epoch, "b.example.com")
	b.Authority = "Another"
	s.record(a, b)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, a, b)
	of := s.waiting("Another")
	require.Len(t, of, 1)
	require.Equal(t, b.Serial, of[0].Serial)
	another := newCRL(5, "x")
	another.Authority = "Another"
	s.must(s.PublishCRL(t.Context(), another, 0, []int{0}, append(s.waiting("TencentQQAuthCA"), of...), NewAct(Epoch)))
	require.Empty(t, s.waiting("Another"))
	require.Len(t, s.waiting("TencentQQAuthCA"), 1, "another one's changes are not its to take away")
	_, err := s.CRL(t.Context(), "TencentQQAuthCA", nil)
	require.ErrorIs(t, err, ca.ErrNotFound)
	revoked, err := s.ListRevoked(t.Context(), ca.RevokedQuery{Authority: "Another", Limit: 9})
	s.must(err)
	require.Len(t, revoked, 1)
}

func changesWait(t *testing.T, s *suite) {
	var want []pki.Serial
	for i := range 30 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		s.record(c)
		at := Epoch.Add(time.Duration(i) * time.Second)
		s.must(s.RevokeCertificate(t.Context(), c.Serial, ca.Revocation{At: at, Reason: pki.Superseded, By: "olga"}, NewAct(at)))
		want = append(want, c.Serial)
	}
	for _, limit := range []int{1, 7, 30, 100} {
		got, err := s.ListUnpublished(t.Context(), "TencentQQAuthCA", limit)
		s.must(err)
		require.Len(t, got, min(limit, 30))
		for i, u := range got {
			require.Equal(t, want[i], u.Serial)
		}
	}
}

// everyChangeWaits: whatever way a revocation changes, and what was lifted too.
func everyChangeWaits(t *testing.T, s *suite) {
	a, b := NewCertificate("alpha", Epoch, "a.example.com"), NewCertificate("alpha", Epoch, "b.example.com")
	s.sign(a, b)
	hold := ca.Revocation{At: Epoch, Reason: pki.CertificateHold, By: "olga"}
	next := func(at time.Duration, change func(act ca.Act)) []ca.Unpublished {
		t.Helper()
		before := s.waiting("TencentQQAuthCA")
		change(NewAct(Epoch.Add(at)))
		after := s.waiting("TencentQQAuthCA")
		return after[len(before):]
	}
	many := func(over []pki.Reason, r ca.Revocation) func(ca.Act) {
		return func(act ca.Act) {
			_, err := s.RevokeCertificates(t.Context(), []pki.Serial{a.Serial, b.Serial}, r, over, []ca.Event{NewEvent(r.At, ca.ActRevoke), NewEvent(r.At, ca.ActRevoke)}, act)
			s.must(err)
		}
	}
	got := next(time.Second, many(nil, hold))
	require.Len(t, got, 2)
	require.Equal(t, &hold, got[0].Revocation)
	require.Empty(t, next(2*time.Second, many(nil, hold)), "nothing was changed")

	got = next(3*time.Second, func(act ca.Act) { s.must(s.ReleaseCertificate(t.Context(), a.Serial, act)) })
	require.Len(t, got, 1)
	require.Equal(t, a.Serial, got[0].Serial)
	require.Nil(t, got[0].Revocation, "lifted")

	worse := ca.Revocation{At: Epoch.Add(time.Minute), Reason: pki.KeyCompromise, By: "olga"}
	got = next(4*time.Second, many([]pki.Reason{pki.CertificateHold}, worse))
	require.Len(t, got, 2)
	for _, u := range got {
		require.Equal(t, pki.KeyCompromise, u.Revocation.Reason)
	}
}

func revokedByEnd(t *testing.T, s *suite) {
	var all []ca.Revoked
	for i := range 60 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		c.NotAfter = Epoch.Truncate(time.Second).Add(time.Duration(i/3) * time.Second) // three at a time
		s.record(c)
		r := ca.Revocation{At: Epoch.Add(-time.Duration(i) * time.Hour), Reason: pki.LeafReasons()[i%5], By: "olga"}
		s.revoke(r, c)
		all = append(all, ca.Revoked{Serial: c.Serial, NotAfter: c.NotAfter, Revocation: r})
	}
	after := func(a, b ca.Revoked) bool {
		return a.NotAfter.After(b.NotAfter) || a.NotAfter.Equal(b.NotAfter) && bytes.Compare(a.Serial[:], b.Serial[:]) > 0
	}
	for _, span := range [][2]int{{0, 0}, {0, 20}, {5, 9}, {19, 0}, {7, 7}, {30, 0}} {
		q := ca.RevokedQuery{Authority: "TencentQQAuthCA", From: Epoch.Truncate(time.Second).Add(time.Duration(span[0]) * time.Second), Limit: 4}
		if span[1] > 0 {
			q.To = Epoch.Truncate(time.Second).Add(time.Duration(span[1]) * time.Second)
		}
		var got []ca.Revoked
		for {
			page, err := s.ListRevoked(t.Context(), q)
			s.must(err)
			got = append(got, page...)
			if len(page) < q.Limit {
				break
			}
			q.Beyond = &page[len(page)-1]
		}
		count := 0
		for _, r := range all {
			if !r.NotAfter.Before(q.From) && (q.To.IsZero() || r.NotAfter.Before(q.To)) {
				count++
				require.Contains(t, got, r)
			}
		}
		require.Len(t, got, count)
		for i := 1; i < len(got); i++ {
			require.True(t, after(got[i], got[i-1]))
		}
	}
}

// responderUsage: certificates of OCSP responders are the CA's own, no developer's.
func responderUsage(t *testing.T, s *suite) {
	c := NewCertificate("", Epoch)
	c.Profile, c.Usage = "ocsp", ca.UsageOCSPSigning
	s.sign(c)
	require.Equal(t, c, s.found(c))
	c = NewCertificate("alpha", Epoch)
	c.Profile, c.Usage = "ocsp", ca.UsageOCSPSigning
	s.unchanged(func() { require.Error(t, s.RecordCertificate(t.Context(), c, NewAct(Epoch))) })
}

func racePublish(t *testing.T, s *suite) {
	stores := s.two()
	previous := int64(0)
	for round := range int64(10) {
		winners := 0
		var number int64
		for i, err := range together(8, func(i int) error {
			c := newCRL(100*(round+1)+int64(i), fmt.Sprint("of ", i))
			return stores[i%2].PublishCRL(t.Context(), c, previous, []int{0}, nil, NewAct(Epoch))
		}) {
			if err == nil {
				winners++
				number = 100*(round+1) + int64(i)
				continue
			}
			require.ErrorIs(t, err, ca.ErrChanged)
		}
		require.Equal(t, 1, winners)
		got := s.crl(nil)
		require.Equal(t, number, got.Number)
		require.Equal(t, fmt.Sprint("of ", number%100), string(got.Entries[0]), "the list and its parts are of one")
		previous = number
	}
}

// raceChanges: two publish while certificates are revoked; each change goes into exactly one list.
func raceChanges(t *testing.T, s *suite) {
	stores := s.two()
	const n = 60
	certificates := make([]*ca.Certificate, n)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, "www.example.com")
	}
	s.record(certificates...)
	s.publish(newCRL(1), 0)
	var mu sync.Mutex
	shown := make(map[pki.Serial]int)
	errs := together(n+2, func(i int) error {
		if i < n {
			return stores[i%2].RevokeCertificate(t.Context(), certificates[i].Serial, ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, NewAct(Epoch))
		}
		for range 10_000 {
			mu.Lock()
			done := len(shown) == n
			mu.Unlock()
			if done {
				return nil
			}
			latest, err := stores[i-n].CRL(t.Context(), "TencentQQAuthCA", nil)
			if err != nil {
				return err
			}
			changes, err := stores[i-n].ListUnpublished(t.Context(), "TencentQQAuthCA", 1000)
			if err != nil {
				return err
			}
			switch err := stores[i-n].PublishCRL(t.Context(), newCRL(latest.Number+1), latest.Number, nil, changes, NewAct(Epoch)); {
			case errors.Is(err, ca.ErrChanged):
				continue
			case err != nil:
				return err
			}
			mu.Lock()
			for _, u := range changes {
				shown[u.Serial]++
			}
			mu.Unlock()
		}
		return errors.New("changes were lost")
	})
	for _, err := range errs {
		s.must(err)
	}
	require.Len(t, shown, n)
	for serial, lists := range shown {
		require.Equal(t, 1, lists, serial)
	}
	require.Empty(t, s.waiting("TencentQQAuthCA"))
}
