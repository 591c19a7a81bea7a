package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var endpointTests = map[string]func(*testing.T, *suite){
	"an endpoint comes back":                  endpointComesBack,
	"an endpoint is registered once":          endpointOnce,
	"endpoints of an app are counted":         endpointsCounted,
	"endpoints are listed oldest first":       endpointsListed,
	"an endpoint's check is made once":        endpointScheduled,
	"a check's end tells its endpoint":        endpointFinished,
	"new certificates hasten their endpoints": endpointsHastened,
}

// NewEndpoint is an endpoint of an app. Its ID is its number.
func NewEndpoint(app, host string, number int) ca.Endpoint {
	return ca.Endpoint{
		ID: fmt.Sprintf("end_%04d", number), App: app, URL: "https://" + host + "/", Name: pki.RecordedName(host), CreatedAt: Epoch, CreatedBy: "ci of " + app,
		DueAt: Epoch.Add(time.Duration(number) * time.Minute), Cause: ca.CauseScheduled, SeenAt: Epoch, Version: 1,
	}
}

func (s *suite) endpoints(endpoints ...ca.Endpoint) {
	s.Helper()
	for _, e := range endpoints {
		s.must(s.CreateEndpoint(s.Context(), e, 100, NewAct(Epoch)))
	}
}

func endpointComesBack(t *testing.T, s *suite) {
	e := NewEndpoint("alpha", "www.example.com", 1)
	e.Callback = true
	before := s.events()
	s.endpoints(e, NewEndpoint("beta", "www.example.com", 2), NewEndpoint("alpha", "2001:db8::7", 3))
	require.Equal(t, before+3, s.events())
	found, err := s.open(t).Endpoint(t.Context(), e.ID)
	s.must(err)
	require.Equal(t, e, found)
	found, err = s.EndpointAt(t.Context(), "alpha", e.URL)
	s.must(err)
	require.Equal(t, e, found)
	_, err = s.EndpointAt(t.Context(), "alpha", "https://www.example.com/other")
	require.ErrorIs(t, err, ca.ErrNotFound)
	for _, id := range []string{"", "none", "\x00", "\xff"} {
		_, err := s.Endpoint(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
		s.unchanged(func() { require.ErrorIs(t, s.RemoveEndpoint(t.Context(), id, NewAct(Epoch)), ca.ErrNotFound) })
	}
	before = s.events()
	s.must(s.RemoveEndpoint(t.Context(), e.ID, NewAct(Epoch)))
	require.Equal(t, before+1, s.events())
	_, err = s.Endpoint(t.Context(), e.ID)
	require.ErrorIs(t, err, ca.ErrNotFound)
}

func endpointOnce(t *testing.T, s *suite) {
	stores := s.two()
	exactlyOne(t, together(20, func(i int) error {
		return stores[i%2].CreateEndpoint(t.Context(), NewEndpoint("alpha", "www.example.com", i), 100, NewAct(Epoch))
	}), ca.ErrExists)
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateEndpoint(t.Context(), NewEndpoint("alpha", "www.example.com", 99), 100, NewAct(Epoch)), ca.ErrExists)
	})
}

func endpointsCounted(t *testing.T, s *suite) {
	stores := s.two()
	full := 0
	for _, err := range together(10, func(i int) error {
		return stores[i%2].CreateEndpoint(t.Context(), NewEndpoint("alpha", fmt.Sprintf("h%d.example.com", i), i), 4, NewAct(Epoch))
	}) {
		if err != nil {
			require.ErrorIs(t, err, ca.ErrFull)
			full++
		}
	}
	require.Equal(t, 6, full)
	s.must(s.CreateEndpoint(t.Context(), NewEndpoint("beta", "www.example.com", 50), 4, NewAct(Epoch)))
	all, err := s.ListEndpoints(t.Context(), ca.EndpointQuery{App: "alpha", Limit: 10})
	s.must(err)
	require.Len(t, all, 4)
	s.must(s.RemoveEndpoint(t.Context(), all[1].ID, NewAct(Epoch)))
	s.must(s.CreateEndpoint(t.Context(), NewEndpoint("alpha", "new.example.com", 60), 4, NewAct(Epoch)))
}

func endpointsListed(t *testing.T, s *suite) {
	for i := range 7 {
		s.endpoints(NewEndpoint([]string{"alpha", "beta"}[i%2], fmt.Sprintf("h%d.example.com", i), i))
	}
	for app, want := range map[string]int{"": 7, "alpha": 4, "beta": 3, "nobody": 0} {
		var got []string
		for q := (ca.EndpointQuery{App: app, Limit: 2}); ; {
			page, err := s.ListEndpoints(t.Context(), q)
			s.must(err)
			for _, e := range page {
				got = append(got, e.ID)
			}
			if len(page) < 2 {
				break
			}
			q.Beyond = page[1].ID
		}
		require.Len(t, got, want, app)
		require.IsIncreasing(t, append(got, "z", "zz"))
	}
}

func endpointScheduled(t *testing.T, s *suite) {
	endpoints := []ca.Endpoint{NewEndpoint("alpha", "c.example.com", 3), NewEndpoint("alpha", "a.example.com", 1), NewEndpoint("beta", "b.example.com", 2)}
	s.endpoints(endpoints...)
	due, err := s.DueEndpoints(t.Context(), Epoch.Add(2*time.Minute), 10)
	s.must(err)
	require.Equal(t, []ca.Endpoint{endpoints[1], endpoints[2]}, due)
	due, err = s.DueEndpoints(t.Context(), Epoch.Add(time.Hour), 1)
	s.must(err)
	require.Equal(t, endpoints[1:2], due)

	next := Epoch.Add(24 * time.Hour)
	stores := s.two()
	exactlyOne(t, together(20, func(i int) error {
		k := NewCheck("alpha", i)
		k.URL = endpoints[1].URL
		return stores[i%2].ScheduleCheck(t.Context(), endpoints[1], next, k, NewAct(Epoch))
	}), ca.ErrChanged)
	checks, err := s.ListChecks(t.Context(), ca.CheckQuery{Limit: 100})
	s.must(err)
	require.Len(t, checks, 1)
	found, err := s.Endpoint(t.Context(), endpoints[1].ID)
	s.must(err)
	endpoints[1].DueAt, endpoints[1].Version = next, 2
	require.Equal(t, endpoints[1], found)
}

func endpointFinished(t *testing.T, s *suite) {
	e, k := NewEndpoint("alpha", "www.example.com", 1), NewCheck("alpha", 1)
	s.endpoints(e)
	s.check(k)
	stale := e
	e.CheckedAt, e.CheckID, e.Summary, e.Alerts = Epoch.Add(time.Second), k.ID, "open", []ca.Alert{ca.AlertOpen, ca.AlertDrift}
	e.Ready, e.Unready = []string{"Next", "Next-Issuing"}, []string{"Other"}
	e.DueAt, e.Cause = Epoch.Add(time.Hour), ca.CauseExpiring
	k.State = ca.CheckDone
	end := ca.CheckEnd{Endpoint: &e, Events: []ca.Event{NewEvent(Epoch, ca.ActAlert), NewEvent(Epoch, ca.ActAlert)}}
	before := s.events()
	s.must(s.FinishCheck(t.Context(), k, end, NewAct(Epoch)))
	require.Equal(t, before+3, s.events())
	found, err := s.Endpoint(t.Context(), e.ID)
	s.must(err)
	e.Version = 2
	require.Equal(t, e, found)

	other := NewCheck("alpha", 2)
	s.check(other)
	other.State = ca.CheckDone
	s.unchanged(func() {
		end := ca.CheckEnd{Endpoint: &stale, Events: []ca.Event{NewEvent(Epoch, ca.ActAlert)}}
		require.ErrorIs(t, s.FinishCheck(t.Context(), other, end, NewAct(Epoch)), ca.ErrChanged, "another check ended in between")
	})
	running, err := s.Check(t.Context(), other.ID)
	s.must(err)
	require.Equal(t, ca.CheckRunning, running.State)
}

func endpointsHastened(t *testing.T, s *suite) {
	planned := Epoch.Add(24 * time.Hour)
	endpoints := map[string]ca.Endpoint{}
	for i, host := range []string{"www.example.com", "wild.example.com", "other.example.org", "theirs.example.com", "soon.example.com", "192.0.2.1"} {
		e := NewEndpoint("alpha", host, i)
		if e.DueAt = planned; host == "soon.example.com" {
			e.DueAt = Epoch
		}
		s.endpoints(e)
		endpoints[host] = e
	}
	issued := Epoch.Add(time.Hour)
	s.record(NewCertificate("alpha", issued.Add(-time.Minute), "www.example.com"), NewCertificate("alpha", issued, "www.example.com", "soon.example.com"),
		NewCertificate("beta", issued, "theirs.example.com"), NewCertificate("alpha", Epoch, "other.example.org"))
	due := issued.Add(time.Minute)
	s.must(s.HastenEndpoints(t.Context(), due))
	look := func() (hastened []string) {
		for host, e := range endpoints {
			found, err := s.Endpoint(t.Context(), e.ID)
			s.must(err)
			if found.Cause == ca.CauseIssued {
				require.Equal(t, due, found.DueAt)
				hastened = append(hastened, host)
			} else {
				require.Equal(t, e.DueAt, found.DueAt)
			}
			if !found.SeenAt.Equal(Epoch) {
				require.Equal(t, issued, found.SeenAt)
			}
		}
		return hastened
	}
	require.ElementsMatch(t, []string{"www.example.com"}, look(), "no other app's, none that was issued before, none that is due sooner")
	s.record(NewCertificate("alpha", issued, "*.example.com"))
	s.must(s.HastenEndpoints(t.Context(), due))
	require.ElementsMatch(t, []string{"www.example.com", "wild.example.com", "theirs.example.com"}, look(), "a wildcard covers them")

	version := func() int {
		found, err := s.Endpoint(t.Context(), endpoints["www.example.com"].ID)
		s.must(err)
		return found.Version
	}
	before := version()
	s.must(s.HastenEndpoints(t.Context(), due.Add(-time.Second)))
	require.Equal(t, before, version(), "what was seen is not seen again")
}
