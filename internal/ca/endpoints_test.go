package ca_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// register registers an endpoint of the app "demo".
func (f *fixture) register(url string) ca.Endpoint {
	f.t.Helper()
	e, added, err := f.AddEndpoint(f.t.Context(), developer, ca.NewEndpoint{URL: url})
	require.NoError(f.t, err)
	require.True(f.t, added)
	return e
}

// found is an endpoint as it stands.
func (f *fixture) found(e ca.Endpoint) ca.Endpoint {
	f.t.Helper()
	e, err := f.Endpoint(f.t.Context(), operator, e.ID)
	require.NoError(f.t, err)
	return e
}

func (f *fixture) pass(d time.Duration) {
	f.t.Helper()
	f.clock.advance(d)
	require.NoError(f.t, f.RunDueChecks(f.t.Context()))
}

func TestEndpointIsCheckedDaily(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		e := f.register("https://WWW.example.com/callback")
		require.Equal(t, endpointURL, e.URL)
		f.pass(0)
		require.Len(t, d.visits, 1, "at once")
		e = f.found(e)
		require.Equal(t, "healthy", e.Summary)
		require.Equal(t, f.clock.Now(), e.CheckedAt)
		for day := range 3 {
			f.pass(22*time.Hour - time.Minute)
			require.Len(t, d.visits, day+1)
			f.pass(3 * time.Hour)
			require.Len(t, d.visits, day+2)
		}
		checks, err := f.ListChecks(t.Context(), developer, ca.CheckQuery{})
		require.NoError(t, err)
		require.Equal(t, ca.CauseScheduled, checks[0].Cause)
		require.Equal(t, "imca", checks[0].AskedBy)
		require.NotEmpty(t, checks[0].Since)

		again, added, err := f.AddEndpoint(t.Context(), developer, ca.NewEndpoint{URL: endpointURL})
		require.NoError(t, err)
		require.False(t, added)
		require.Equal(t, e.ID, again.ID)
		require.NoError(t, f.RemoveEndpoint(t.Context(), developer, e.ID))
		f.pass(48 * time.Hour)
		require.Len(t, d.visits, 4)
	})
}

func TestEndpointIsCheckedAfterIssuanceAndBeforeTheEnd(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	e := f.register(endpointURL)
	f.pass(0)
	f.clock.advance(time.Minute)
	f.issue("*.example.com")
	f.pass(0)
	require.Len(t, d.visits, 1)
	require.Equal(t, ca.CauseIssued, f.found(e).Cause)
	f.pass(14 * time.Minute)
	require.Len(t, d.visits, 1)
	ends := f.clock.Now().Add(10 * time.Hour)
	d.answer(func(ca.Visit) (ca.Sight, error) {
		return ca.Sight{Report: []byte(`{}`), Facts: ca.CheckFacts{Summary: "healthy", ServedUntil: ends}}, nil
	})
	f.pass(time.Minute)
	require.Len(t, d.visits, 2)
	f.pass(7 * time.Hour)
	require.Len(t, d.visits, 2)
	f.pass(time.Hour)
	require.Len(t, d.visits, 3)
	checks, err := f.ListChecks(t.Context(), developer, ca.CheckQuery{})
	require.NoError(t, err)
	require.Equal(t, []ca.CheckCause{ca.CauseExpiring, ca.CauseIssued, ca.CauseScheduled}, []ca.CheckCause{checks[0].Cause, checks[1].Cause, checks[2].Cause})
}

func TestAlerts(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		var began []ca.Alert
		f.checks.Observe = func(_ ca.CheckCause, _ string, alerts []ca.Alert) { began = append(began, alerts...) }
		f.load(f.store)
		e := f.register(endpointURL)
		for _, step := range []struct {
			summary string
			codes   []string
			began   []string
			alerts  []ca.Alert
			recover bool
		}{
			{summary: "healthy"},
			{summary: "open", codes: []string{"not_required"}, began: []string{"open"}, alerts: []ca.Alert{ca.AlertOpen}},
			{summary: "open", alerts: []ca.Alert{ca.AlertOpen}},
			{summary: "undecided", alerts: []ca.Alert{ca.AlertOpen}},
			{summary: "wrong_way", began: []string{"locked-out"}, alerts: []ca.Alert{ca.AlertOpen, ca.AlertLockedOut}},
			{summary: "healthy", codes: []string{"not_newest"}, began: []string{"drift"}, alerts: []ca.Alert{ca.AlertDrift}},
			{summary: "faulty", codes: []string{"served_expired", "not_newest"}, began: []string{"faulty", "lapsing"}, alerts: []ca.Alert{ca.AlertFaulty, ca.AlertDrift, ca.AlertLapsing}},
			{summary: "healthy", recover: true},
			{summary: "healthy"},
			{summary: "undecided"},
			{summary: "locked_out", began: []string{"locked-out"}, alerts: []ca.Alert{ca.AlertLockedOut}},
		} {
			d.answer(func(ca.Visit) (ca.Sight, error) {
				facts := ca.CheckFacts{Summary: step.summary}
				for _, code := range step.codes {
					facts.Findings = append(facts.Findings, ca.CheckFinding{Code: code})
				}
				return ca.Sight{Report: []byte(`{}`), Facts: facts}, nil
			})
			began = nil
			var alerts []string
			recovered := false
			for _, event := range f.events(func() { f.pass(24 * time.Hour) }) {
				switch event.Action {
				case ca.ActAlert:
					require.Equal(t, e.ID, event.Object)
					require.Equal(t, endpointURL, event.Detail["url"])
					alerts = append(alerts, event.Detail["alert"])
				case ca.ActRecover:
					recovered = true
				}
			}
			slices.Sort(alerts)
			require.Equal(t, step.began, alerts, "%+v", step)
			require.Len(t, began, len(alerts))
			require.Equal(t, step.recover, recovered, "%+v", step)
			require.Equal(t, step.alerts, f.found(e).Alerts, "%+v", step)
		}

		// What an operator sees, and what is seen at another address, says nothing about the app's endpoint.
		d.answer(nil)
		f.check(operator, ca.NewCheck{URL: endpointURL})
		f.check(developer, ca.NewCheck{URL: endpointURL, Address: "192.0.2.7"})
		require.Equal(t, []ca.Alert{ca.AlertLockedOut}, f.found(e).Alerts)
		f.check(developer, ca.NewCheck{URL: endpointURL})
		require.Empty(t, f.found(e).Alerts, "a check that was asked for counts")
	})
}

func TestEndpointOfALostName(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	e := f.register(endpointURL)
	f.pass(0)
	policy := ca.PolicyProve
	_, err := f.ChangeApp(t.Context(), operator, "demo", ca.AppChange{Policy: &policy})
	require.NoError(t, err)
	f.pass(24 * time.Hour)
	require.Len(t, d.visits, 1, "nobody stands before what is not the app's")
	checks, err := f.ListChecks(t.Context(), developer, ca.CheckQuery{State: ca.CheckFailed})
	require.NoError(t, err)
	require.Contains(t, checks[0].Failure, "not proven")
	require.Equal(t, "healthy", f.found(e).Summary)
	_, _, err = f.AddEndpoint(t.Context(), operator, ca.NewEndpoint{App: "demo", URL: endpointURL + "/other"})
	refusal(t, err, ca.KindUnproven)
}

func TestEndpointsAreTheApps(t *testing.T) {
	f, _ := checkingFixture(t, databases["sqlite"](t))
	e := f.register(endpointURL)
	_, err := f.Endpoint(t.Context(), stranger, e.ID)
	refusal(t, err, ca.KindNotFound)
	refusal(t, f.RemoveEndpoint(t.Context(), stranger, e.ID), ca.KindNotFound)
	refusal(t, f.RemoveEndpoint(t.Context(), auditor, e.ID), ca.KindForbidden)
	refusal(t, f.RemoveEndpoint(t.Context(), developer, "end_none"), ca.KindNotFound)
	list, err := f.ListEndpoints(t.Context(), stranger, ca.EndpointQuery{})
	require.NoError(t, err)
	require.Empty(t, list)
	list, err = f.ListEndpoints(t.Context(), auditor, ca.EndpointQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, _, err = f.AddEndpoint(t.Context(), operator, ca.NewEndpoint{URL: endpointURL})
	refusal(t, err, ca.KindInvalid)
	for i := range 99 {
		f.register(fmt.Sprintf("%s/%d", endpointURL, i))
	}
	_, _, err = f.AddEndpoint(t.Context(), developer, ca.NewEndpoint{URL: endpointURL + "/more"})
	refusal(t, err, ca.KindConflict)
}

// Two processes over one database check each endpoint once a day.
func TestEndpointsAreSharedOut(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		first := f.CA
		f.load(f.store)
		for i := range 20 {
			f.register(fmt.Sprintf("%s/%d", endpointURL, i))
		}
		var both sync.WaitGroup
		for _, process := range []*ca.CA{first, f.CA} {
			both.Go(func() { require.NoError(t, process.RunDueChecks(t.Context())) })
		}
		both.Wait()
		require.Len(t, d.visits, 20)
	})
}
