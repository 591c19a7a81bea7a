package ca_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

const rootName = "TencentQQAuthCA"

// publish has the lists published that are due.
func (f *fixture) publish() {
	f.t.Helper()
	require.NoError(f.t, f.PublishCRLs(f.t.Context()))
}

// parsed is the served list of an authority as a stranger reads it: with crypto/x509, signature checked, good at this moment.
func (f *fixture) parsed(authority string) *x509.RevocationList {
	f.t.Helper()
	crl := f.CRL(authority)
	require.NotNil(f.t, crl)
	var b bytes.Buffer
	_, err := crl.WriteTo(&b)
	require.NoError(f.t, err)
	list, err := x509.ParseRevocationList(b.Bytes())
	require.NoError(f.t, err)
	for _, i := range f.Issuers() {
		if i.Name() == authority {
			require.NoError(f.t, list.CheckSignatureFrom(i.Certificate()))
		}
	}
	now := f.clock.Now()
	require.False(f.t, list.ThisUpdate.After(now), "a list from the future refuses everyone")
	require.True(f.t, list.NextUpdate.After(now), "a list that has lapsed refuses everyone")
	require.Len(f.t, list.RevokedCertificateEntries, crl.Count)
	return list
}

// reasons are the entries of the served list.
func (f *fixture) reasons(authority string) map[pki.Serial]pki.Reason {
	f.t.Helper()
	reasons := make(map[pki.Serial]pki.Reason)
	for _, entry := range f.parsed(authority).RevokedCertificateEntries {
		serial, ok := pki.SerialFromInt(entry.SerialNumber)
		require.True(f.t, ok)
		require.NotContains(f.t, reasons, serial, "listed twice")
		reasons[serial] = pki.Reason(entry.ReasonCode)
	}
	return reasons
}

// requireCRL holds the served list of an authority to the database: the same set, the same reasons and times.
func (f *fixture) requireCRL(authority string) {
	f.t.Helper()
	want := make(map[pki.Serial]pki.Reason)
	revoked, err := f.store.ListRevoked(f.t.Context(), ca.RevokedQuery{Authority: authority, From: f.CRL(authority).ListsFrom, Limit: 1_000_000})
	require.NoError(f.t, err)
	times := make(map[pki.Serial]time.Time)
	for _, r := range revoked {
		want[r.Serial] = r.Reason
		times[r.Serial] = r.At.Truncate(time.Second)
	}
	require.Equal(f.t, want, f.reasons(authority))
	for _, entry := range f.parsed(authority).RevokedCertificateEntries {
		serial, _ := pki.SerialFromInt(entry.SerialNumber)
		require.Equal(f.t, times[serial], entry.RevocationTime)
	}
}

func TestRevocationIsPublished(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyIssuing)
		issuing := rootName + "-Issuing"
		f.publish()
		require.Empty(t, f.reasons(rootName))
		require.Empty(t, f.reasons(issuing), "an empty list is published too")
		require.Nil(t, f.parsed(issuing).RevokedCertificateEntries)

		want := make(map[pki.Serial]pki.Reason)
		for _, reason := range pki.LeafReasons() {
			f.clock.advance(time.Second)
			serial := f.issue("www.example.com").Certificate.Serial
			_, err := f.Revoke(t.Context(), operator, serial, reason)
			require.NoError(t, err)
			want[serial] = reason
		}
		first := f.CRL(issuing)
		require.Empty(t, first.Entries)
		f.publish()
		require.Equal(t, want, f.reasons(issuing), "each reason as it was given")
		f.requireCRL(issuing)
		require.Empty(t, f.reasons(rootName), "each authority has its own")
		require.Greater(t, f.CRL(issuing).Number, first.Number)
		for _, entry := range f.parsed(issuing).RevokedCertificateEntries {
			require.Equal(t, entry.ReasonCode == 0, len(entry.Extensions) == 0, "unspecified is said by no reason")
		}

		platform, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
		require.NoError(t, err)
		_, err = f.Revoke(t.Context(), operator, platform.Certificate.Serial, pki.KeyCompromise)
		require.NoError(t, err)
		f.clock.advance(2 * time.Second)
		f.publish()
		require.Equal(t, map[pki.Serial]pki.Reason{platform.Certificate.Serial: pki.KeyCompromise}, f.reasons(rootName))
	})
}

// The reason is raised on a list that names the certificate already.
func TestRaisedReasonIsPublished(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		serials := make([]pki.Serial, 5)
		for i := range serials {
			serials[i] = f.issue("www.example.com").Certificate.Serial
			_, err := f.Revoke(t.Context(), developer, serials[i], pki.Superseded)
			require.NoError(t, err)
		}
		f.publish()
		f.clock.advance(10 * time.Second)
		_, err := f.Revoke(t.Context(), developer, serials[2], pki.KeyCompromise)
		require.NoError(t, err)
		f.publish()
		require.Equal(t, pki.KeyCompromise, f.reasons(rootName)[serials[2]])
		f.requireCRL(rootName)

		// Revoked and raised between two lists: one entry.
		serial := f.issue("www.example.com").Certificate.Serial
		for _, reason := range []pki.Reason{pki.Unspecified, pki.KeyCompromise} {
			_, err := f.Revoke(t.Context(), developer, serial, reason)
			require.NoError(t, err)
		}
		f.clock.advance(10 * time.Second)
		f.publish()
		require.Equal(t, pki.KeyCompromise, f.reasons(rootName)[serial])
		f.requireCRL(rootName)
	})
}

// A certificate on hold is listed, one that is released is not, and one that was both between two lists is as it was left.
func TestHoldIsPublished(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		serial := f.issue("www.example.com").Certificate.Serial
		hold := func() {
			t.Helper()
			_, err := f.Revoke(t.Context(), operator, serial, pki.CertificateHold)
			require.NoError(t, err)
		}
		release := func() {
			t.Helper()
			_, err := f.Release(t.Context(), operator, serial)
			require.NoError(t, err)
		}
		for i, test := range []struct {
			do     []func()
			listed bool
		}{
			{[]func(){hold}, true},
			{[]func(){release}, false},
			{[]func(){hold, release}, false},
			{[]func(){hold, release, hold}, true},
			{[]func(){release, hold}, true},
			{[]func(){release}, false},
		} {
			for _, do := range test.do {
				f.clock.advance(time.Second)
				do()
			}
			f.clock.advance(2 * time.Second)
			f.publish()
			_, listed := f.reasons(rootName)[serial]
			require.Equal(t, test.listed, listed, "step %d", i)
			f.requireCRL(rootName)
			require.Equal(t, listed, f.asked(serial) == ocsp.Revoked)
		}
	})
}

// Many at once are on one list, all of them.
func TestSearchIsPublished(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		for range 30 {
			f.issue("www.example.com")
		}
		kept := f.issue("www.example.org").Certificate.Serial
		f.publish()
		search := ca.RevocationSearch{Suffix: "example.com"}
		counted, err := f.CountRevocations(t.Context(), operator, search, pki.Superseded, "")
		require.NoError(t, err)
		_, err = f.RevokeFound(t.Context(), operator, search, pki.Superseded, counted.Confirm, "")
		require.NoError(t, err)
		f.clock.advance(2 * time.Second)
		f.publish()
		require.Len(t, f.reasons(rootName), 30)
		require.NotContains(t, f.reasons(rootName), kept)
		f.requireCRL(rootName)
	})
}

// What stopped between the record and the commit may exist; revoked, it is listed.
func TestPendingIsPublished(t *testing.T) {
	f := newFixture(t)
	sabotage(t, f.url)
	_, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
	require.Error(t, err)
	serial := f.all(ca.StatusPending)[0].Serial
	_, err = f.Revoke(t.Context(), developer, serial, pki.Superseded)
	require.NoError(t, err)
	f.publish()
	require.Equal(t, map[pki.Serial]pki.Reason{serial: pki.Superseded}, f.reasons(rootName))
}

// A burst is a few lists, not one for each revocation; nothing to tell is none at all.
func TestBurstIsOneList(t *testing.T) {
	f := newFixture(t)
	f.publish()
	f.clock.advance(time.Minute)
	published := func(do func()) int {
		t.Helper()
		lists := 0
		for _, e := range f.events(do) {
			if e.Action == ca.ActPublishCRL {
				lists++
			}
		}
		return lists
	}
	require.Zero(t, published(f.publish))
	require.Equal(t, 1, published(func() {
		for range 50 {
			serial := f.issue("www.example.com").Certificate.Serial
			_, err := f.Revoke(t.Context(), developer, serial, pki.Superseded)
			require.NoError(t, err)
		}
		f.publish()
	}))
	// In the second after a list there is no other one.
	_, err := f.Revoke(t.Context(), developer, f.issue("www.example.com").Certificate.Serial, pki.Superseded)
	require.NoError(t, err)
	for range 4 {
		require.Zero(t, published(f.publish))
		f.clock.advance(200 * time.Millisecond)
	}
	f.clock.advance(200 * time.Millisecond)
	require.Equal(t, 1, published(f.publish))
	f.requireCRL(rootName)
	require.Len(t, f.reasons(rootName), 51)
}

// The program itself acts, and nobody else may.
func TestPublishingLeavesEvents(t *testing.T) {
	f := newFixture(t)
	events := f.events(f.publish)
	require.Len(t, events, 1)
	require.Equal(t, ca.ActPublishCRL, events[0].Action)
	require.Equal(t, rootName, events[0].Object)
	require.Equal(t, "0", events[0].Detail["entries"])
	for _, role := range ca.Roles() {
		require.False(t, role.May(ca.ActPublishCRL))
		require.False(t, role.May(ca.ActIssueResponder))
		require.NotEqual(t, events[0].Role, role)
	}
	_, _, err := f.CreateToken(t.Context(), admin, ca.NewToken{Name: "x", Role: events[0].Role})
	refusal(t, err, ca.KindInvalid)
}

// An authority that revokes nothing publishes all the same, for a year: at no moment is the list old, and its number only rises.
func TestIdleYear(t *testing.T) {
	f := newFixture(t)
	f.schedule = ca.CRLSchedule{Interval: 6 * time.Hour, Lifetime: 5 * 24 * time.Hour}
	f.load(f.store)
	number, lists := int64(0), 0
	for range 365 * 24 / 3 {
		f.publish()
		crl := f.CRL(rootName)
		require.GreaterOrEqual(t, crl.Number, number)
		if crl.Number > number {
			number = crl.Number
			lists++
			require.Empty(t, f.parsed(rootName).RevokedCertificateEntries)
		}
		require.GreaterOrEqual(t, crl.NextUpdate.Sub(f.clock.Now()), 5*24*time.Hour-6*time.Hour-time.Second)
		f.clock.advance(3 * time.Hour)
	}
	require.Equal(t, 365*4, lists)
}

// The loop itself, over three periods of the default schedule, and a revocation in the middle of it: on the list within two seconds.
func TestKeepRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixtureAt(t, databases["sqlite"](t), ca.HierarchyDirect, nil, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { f.KeepRevocation(ctx) })
		time.Sleep(time.Second)
		begin := f.CRL(rootName)
		require.NotNil(t, begin)
		for range 3 {
			time.Sleep(time.Hour)
			next := f.CRL(rootName)
			require.Greater(t, next.Number, begin.Number)
			require.LessOrEqual(t, time.Since(next.PublishedAt), time.Hour+time.Second)
			begin = next
		}
		serial := f.issue("www.example.com").Certificate.Serial
		_, err := f.Revoke(t.Context(), developer, serial, pki.Superseded)
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, f.CRL(rootName).Count)
		stop()
		loop.Wait()
	})
}

// Whenever a certificate is revoked, whenever it ends, and however irregular the lists come: it is on every list from its revocation until
// one on schedule that began after its end, and not for ever.
func TestEntriesStayUntilAfterTheEnd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	f := newFixture(t)
	f.schedule = ca.CRLSchedule{Interval: 12 * time.Hour, Lifetime: 7 * 24 * time.Hour}
	f.load(f.store)
	type revoked struct {
		end         time.Time
		regularSeen int // lists on schedule since the end
		gone        bool
	}
	all := make(map[pki.Serial]*revoked)
	dropped := 0
	regular := time.Time{}
	for range 400 {
		f.clock.advance(time.Duration(random.IntN(4*3600)) * time.Second)
		if random.IntN(3) == 0 {
			days := 1 + random.IntN(5)
			issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}, ValidityDays: &days})
			require.NoError(t, err)
			_, err = f.Revoke(t.Context(), developer, issued.Certificate.Serial, pki.Superseded)
			require.NoError(t, err)
			all[issued.Certificate.Serial] = &revoked{end: issued.Certificate.NotAfter}
		}
		f.publish()
		crl, listed := f.CRL(rootName), f.reasons(rootName)
		isRegular := !crl.RegularAt.Equal(regular)
		regular = crl.RegularAt
		for serial, r := range all {
			_, here := listed[serial]
			switch {
			case r.gone:
				require.False(t, here)
			case !here:
				require.GreaterOrEqual(t, r.regularSeen, 1, "it left before a list on schedule had shown it after its end")
				r.gone = true
				dropped++
			case isRegular && crl.ThisUpdate.After(r.end):
				r.regularSeen++
				require.LessOrEqual(t, r.regularSeen, 1, "it stays for ever")
			}
		}
		f.requireCRL(rootName)
	}
	require.Greater(t, dropped, 50)
}

// Two servers on one database, both publishing while both revoke: the number only rises, no entry is lost, both serve the same bytes.
func TestTwoPublishers(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		f.publish()
		other := *f
		other.open()
		other.load(other.store)
		servers := []*fixture{f, &other}
		var (
			work sync.WaitGroup
			done = make(chan struct{})
		)
		for _, server := range servers {
			work.Go(func() {
				for number := int64(0); ; {
					if err := server.PublishCRLs(t.Context()); err != nil {
						t.Error(err)
					}
					crl := server.CRL(rootName)
					if crl.Number < number {
						t.Errorf("number %d after %d", crl.Number, number)
					}
					number = crl.Number
					select {
					case <-done:
						return
					default:
						f.clock.advance(300 * time.Millisecond)
					}
				}
			})
		}
		var revoking sync.WaitGroup
		for i := range 40 {
			revoking.Go(func() {
				issued, err := servers[i%2].Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
				if err != nil {
					t.Error(err)
					return
				}
				for _, reason := range []pki.Reason{pki.Superseded, pki.KeyCompromise}[:1+i%2] {
					if _, err := servers[i%2].Revoke(t.Context(), developer, issued.Certificate.Serial, reason); err != nil {
						t.Error(err)
					}
				}
			})
		}
		revoking.Wait()
		close(done)
		work.Wait()
		f.clock.advance(2 * time.Second)
		for _, server := range []*fixture{f, &other, f} {
			server.publish()
		}
		f.requireCRL(rootName)
		require.Len(t, f.reasons(rootName), 40)
		require.Equal(t, bytesOf(t, f.CRL(rootName)), bytesOf(t, other.CRL(rootName)))
		states, err := f.store.ListCRLStates(t.Context())
		require.NoError(t, err)
		require.Equal(t, []ca.CRLState{{Authority: rootName, Number: f.CRL(rootName).Number}}, states)
	})
}

func bytesOf(t testing.TB, crl *ca.CRL) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := crl.WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

// An old backup is restored, under a server that goes on, and under one that starts: the number rises all the same, and what the database
// says is what the list says.
func TestRestoredBackup(t *testing.T) {
	f := newFixture(t)
	revoke := func() {
		f.clock.advance(time.Minute)
		_, err := f.Revoke(t.Context(), developer, f.issue("www.example.com").Certificate.Serial, pki.Superseded)
		require.NoError(t, err)
		f.publish()
	}
	revoke()
	backup := *f
	backup.url = "sqlite:" + filepath.Join(t.TempDir(), "backup.db")
	behindTheStore(t, f.url, `VACUUM INTO '`+strings.TrimPrefix(backup.url, "sqlite:")+`'`)
	revoke()
	revoke()
	number := f.CRL(rootName).Number
	require.Len(t, f.reasons(rootName), 3)

	// A server that starts on the backup.
	f.clock.advance(time.Minute)
	started := backup
	started.open()
	started.load(started.store)
	started.publish()
	require.Len(t, started.reasons(rootName), 1)
	started.clock.advance(time.Hour)
	started.publish()
	require.Greater(t, started.CRL(rootName).Number, number)
	started.requireCRL(rootName)

	// A server that goes on.
	again := *f
	again.store = &swapped{Store: f.store}
	again.load(again.store)
	again.clock.advance(time.Minute)
	again.publish()
	number = again.CRL(rootName).Number
	again.store.(*swapped).Store = started.store
	again.clock.advance(time.Minute)
	again.publish()
	require.Greater(t, again.CRL(rootName).Number, number)
	again.requireCRL(rootName)
}

// swapped is a store whose database is replaced beneath it.
type swapped struct{ ca.Store }

// Somebody writes into the database: what the authority did not sign is not served.
func TestTamperedList(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		_, err := f.Revoke(t.Context(), developer, f.issue("www.example.com").Certificate.Serial, pki.Superseded)
		require.NoError(t, err)
		f.publish()
		good := f.CRL(rootName)
		behindTheStore(t, f.url, `UPDATE crls SET number = number + 1`, `DELETE FROM crl_parts`)
		f.clock.advance(time.Minute)
		require.ErrorContains(t, f.PublishCRLs(t.Context()), "find out who changed the database")
		require.Equal(t, good, f.CRL(rootName), "the last good one is served")

		f.open()
		f.load(f.store)
		require.Error(t, f.PublishCRLs(t.Context()))
		require.Nil(t, f.CRL(rootName))
	})
}

// A server whose clock is wrong does no harm that the others do not mend.
func TestWrongClocks(t *testing.T) {
	f := newFixture(t)
	revoked := f.issue("www.example.com").Certificate.Serial
	_, err := f.Revoke(t.Context(), developer, revoked, pki.Superseded)
	require.NoError(t, err)
	f.publish()
	server := func(at time.Time) *fixture {
		other := *f
		other.clock = &clock{now: at}
		other.now = other.clock.Now
		other.open()
		other.load(other.store)
		return &other
	}
	ahead := server(start.Add(400 * 24 * time.Hour))
	for range 3 {
		ahead.publish()
		ahead.clock.advance(time.Hour)
	}
	require.Empty(t, ahead.reasons(rootName), "by its clock everything has ended")
	for range 3 {
		f.clock.advance(2 * time.Second)
		f.publish()
	}
	require.Equal(t, ahead.CRL(rootName).Number+1, f.CRL(rootName).Number)
	require.Contains(t, f.reasons(rootName), revoked) // and its times are right
	f.requireCRL(rootName)

	behind := server(start.Add(-time.Minute))
	_, err = f.Revoke(t.Context(), developer, f.issue("www.example.com").Certificate.Serial, pki.Superseded)
	require.NoError(t, err)
	behind.publish()
	behind.clock.advance(2 * time.Second)
	behind.publish()
	require.Len(t, behind.reasons(rootName), 2)
	require.Greater(t, behind.CRL(rootName).Number, f.CRL(rootName).Number)
	require.False(t, behind.CRL(rootName).ThisUpdate.Before(f.CRL(rootName).ThisUpdate), "the beginning does not go back")
}

func TestCRLSchedule(t *testing.T) {
	schedule, err := ca.CRLSchedule{}.Validate()
	require.NoError(t, err)
	require.Equal(t, ca.CRLSchedule{Interval: time.Hour, Lifetime: 7 * 24 * time.Hour}, schedule)
	for name, test := range map[string]struct {
		schedule ca.CRLSchedule
		want     string
	}{
		"too often":            {ca.CRLSchedule{Interval: 59 * time.Second}, "a minute"},
		"no weekend":           {ca.CRLSchedule{Interval: time.Hour, Lifetime: 73*time.Hour - 1}, "73h0m0s or more"},
		"no weekend, daily":    {ca.CRLSchedule{Interval: 24 * time.Hour, Lifetime: 4*24*time.Hour - time.Second}, "weekend"},
		"just a weekend":       {ca.CRLSchedule{Interval: 24 * time.Hour, Lifetime: 4 * 24 * time.Hour}, ""},
		"more than a year":     {ca.CRLSchedule{Lifetime: 367 * 24 * time.Hour}, "a year"},
		"weekly, for the week": {ca.CRLSchedule{Interval: 7 * 24 * time.Hour}, "weekend"},
		"negative":             {ca.CRLSchedule{Interval: -time.Hour}, "a minute"},
	} {
		_, err := test.schedule.Validate()
		if test.want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, test.want, name)
		}
		_, err = ca.New(ca.Config{CRLs: test.schedule})
		require.Equal(t, test.want != "", err != nil, name)
	}
}
