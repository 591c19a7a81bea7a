package ca_test

import (
	"context"
	"crypto/x509"
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

// doors is a look at doors whose answers a test gives.
type doors struct {
	mu     sync.Mutex
	visits []ca.Visit
	look   func(ca.Visit) (ca.Sight, error)
}

func (d *doors) Look(_ context.Context, v ca.Visit) (ca.Sight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits = append(d.visits, v)
	if d.look != nil {
		return d.look(v)
	}
	return ca.Sight{Report: []byte(`{}`), Facts: ca.CheckFacts{Summary: "healthy"}}, nil
}

func (d *doors) answer(look func(ca.Visit) (ca.Sight, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look = look
}

// checkingFixture is a fixture whose CA looks at doors.
func checkingFixture(t testing.TB, url string) (*fixture, *doors) {
	d := &doors{}
	f := newFixtureOn(t, url, ca.HierarchyDirect)
	f.checks = ca.CheckRules{Look: d.Look}
	f.load(f.store)
	return f, d
}

// check asks for a check and runs it.
func (f *fixture) check(p ca.Principal, req ca.NewCheck) ca.Check {
	f.t.Helper()
	k, _, err := f.RunCheck(f.t.Context(), p, req)
	require.NoError(f.t, err)
	require.Equal(f.t, ca.CheckRunning, k.State)
	require.NoError(f.t, f.RunDueChecks(f.t.Context()))
	k, err = f.Check(f.t.Context(), p, k.ID)
	require.NoError(f.t, err)
	return k
}

const endpointURL = "https://www.example.com/callback"

func TestCheck(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		first := f.check(developer, ca.NewCheck{URL: "https://WWW.Example.com:443/callback", Callback: true})
		require.Equal(t, ca.CheckDone, first.State)
		require.Equal(t, endpointURL, first.URL)
		require.Equal(t, "demo", first.App)
		require.Equal(t, "healthy", first.Facts.Summary)
		require.Empty(t, first.Since)
		require.True(t, d.visits[0].Callback)

		d.answer(func(v ca.Visit) (ca.Sight, error) {
			require.Equal(t, `{}`, string(v.Previous))
			return ca.Sight{Report: []byte(`{"a":1}`), Facts: ca.CheckFacts{Summary: "open"}, Changes: []ca.CheckChange{{What: "x", Worse: true}}}, nil
		})
		f.clock.advance(time.Minute)
		second := f.check(developer, ca.NewCheck{URL: endpointURL})
		require.Equal(t, first.ID, second.Since)
		require.Len(t, second.Changes, 1)

		// A check of another app, address or endpoint compares with nothing.
		d.answer(func(v ca.Visit) (ca.Sight, error) {
			require.Nil(t, v.Previous)
			return ca.Sight{Report: []byte(`{}`)}, nil
		})
		f.check(stranger, ca.NewCheck{URL: endpointURL})
		f.check(developer, ca.NewCheck{URL: endpointURL, Address: "192.0.2.7"})
		f.check(developer, ca.NewCheck{URL: endpointURL + "/other"})
		f.check(operator, ca.NewCheck{URL: endpointURL})

		all, err := f.ListChecks(t.Context(), developer, ca.CheckQuery{})
		require.NoError(t, err)
		require.Len(t, all, 4)
		history, err := f.ListChecks(t.Context(), operator, ca.CheckQuery{URL: "https://www.EXAMPLE.com/callback"})
		require.NoError(t, err)
		require.Len(t, history, 5)

		_, err = f.Check(t.Context(), stranger, first.ID)
		refusal(t, err, ca.KindNotFound)
		_, err = f.Check(t.Context(), operator, "chk_none")
		refusal(t, err, ca.KindNotFound)
	})
}

func TestCheckIsForOwnEndpointsAlone(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	_, _, err := f.CreateApp(t.Context(), operator, ca.NewApp{ID: "prover", Policy: ca.PolicyProve})
	require.NoError(t, err)
	prover := ca.Principal{Name: "p", Role: ca.RoleDeveloper, App: "prover"}
	for _, c := range []struct {
		p     ca.Principal
		req   ca.NewCheck
		kind  ca.Kind
		field string
	}{
		{prover, ca.NewCheck{URL: endpointURL}, ca.KindUnproven, "/url"},
		{developer, ca.NewCheck{URL: "https://localhost/"}, ca.KindRejectedName, "/url"},
		{developer, ca.NewCheck{URL: "https://169.254.169.254/latest"}, ca.KindRejectedName, "/url"},
		{developer, ca.NewCheck{App: "other", URL: endpointURL}, ca.KindNotFound, ""},
		{auditor, ca.NewCheck{URL: endpointURL}, ca.KindForbidden, ""},
		{ca.Principal{}, ca.NewCheck{URL: endpointURL}, ca.KindUnauthenticated, ""},
		{operator, ca.NewCheck{App: "none", URL: endpointURL}, ca.KindInvalid, "/app"},
		{operator, ca.NewCheck{URL: "http://www.example.com/"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "https://www.example.com/?token=1"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "https://u:p@www.example.com/"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "https://*.example.com/"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "https://www.example.com:70000/"}, ca.KindInvalid, "/url"},
		{developer, ca.NewCheck{URL: "https://www.example.com:22/"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "https://"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: "www.example.com"}, ca.KindInvalid, "/url"},
		{operator, ca.NewCheck{URL: endpointURL, Address: "127.1"}, ca.KindInvalid, "/address"},
		{operator, ca.NewCheck{URL: endpointURL, Address: "fe80::1%eth0"}, ca.KindInvalid, "/address"},
	} {
		events := f.events(func() {
			_, _, err := f.RunCheck(t.Context(), c.p, c.req)
			require.Equal(t, c.field, refusal(t, err, c.kind).Field, "%+v", c.req)
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
	}
	require.NoError(t, f.RunDueChecks(t.Context()))
	require.Empty(t, d.visits)
	k, _, err := f.RunCheck(t.Context(), operator, ca.NewCheck{URL: "https://[2001:DB8::7]:8443/a%20b"})
	require.NoError(t, err)
	require.Equal(t, "https://[2001:db8::7]:8443/a%20b", k.URL)
}

func TestCheckQuotaAndKey(t *testing.T) {
	f, _ := checkingFixture(t, databases["sqlite"](t))
	f.rules.Quotas.ChecksPerHour = 2
	f.load(f.store)
	req := ca.NewCheck{URL: endpointURL, IdempotencyKey: "k"}
	first, replayed, err := f.RunCheck(t.Context(), developer, req)
	require.NoError(t, err)
	require.False(t, replayed)
	again, replayed, err := f.RunCheck(t.Context(), developer, req)
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, first.ID, again.ID)
	req.URL += "/other"
	_, _, err = f.RunCheck(t.Context(), developer, req)
	refusal(t, err, ca.KindKeyReused)
	f.check(developer, ca.NewCheck{URL: endpointURL})
	_, _, err = f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
	require.NotZero(t, refusal(t, err, ca.KindRateLimited).RetryAfter)
	f.check(operator, ca.NewCheck{URL: endpointURL})
}

// A check whose process died is taken up by another; one that kills whoever runs it is given up.
func TestCheckSurvivesItsProcess(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		k, _, err := f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
		require.NoError(t, err)
		require.NoError(t, f.store.LeaseCheck(t.Context(), k, f.clock.Now().Add(time.Minute)), "by a process that died")
		require.NoError(t, f.RunDueChecks(t.Context()))
		require.Empty(t, d.visits)
		f.clock.advance(2 * time.Minute)
		require.NoError(t, f.RunDueChecks(t.Context()))
		k, err = f.Check(t.Context(), developer, k.ID)
		require.NoError(t, err)
		require.Equal(t, ca.CheckDone, k.State)
		require.Equal(t, 2, k.Tries)

		d.answer(func(ca.Visit) (ca.Sight, error) { return ca.Sight{}, errors.New("a fault") })
		k, _, err = f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
		require.NoError(t, err)
		for tries := range 3 {
			k, err = f.Check(t.Context(), developer, k.ID)
			require.NoError(t, err)
			require.Equal(t, ca.CheckRunning, k.State, "after %d tries", tries)
			require.NoError(t, f.RunDueChecks(t.Context()))
			f.clock.advance(2 * time.Minute)
		}
		k, err = f.Check(t.Context(), developer, k.ID)
		require.NoError(t, err)
		require.Equal(t, ca.CheckFailed, k.State)
		require.Contains(t, k.Failure, "ask again")
	})
}

// A process that ends in good order leaves its checks to whoever comes next, at once.
func TestCheckIsHandedOn(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	ctx, stop := context.WithCancel(t.Context())
	d.answer(func(ca.Visit) (ca.Sight, error) { stop(); return ca.Sight{}, ctx.Err() })
	k, _, err := f.RunCheck(ctx, developer, ca.NewCheck{URL: endpointURL})
	require.NoError(t, err)
	_ = f.RunDueChecks(ctx) // it may tell that its context has ended
	d.answer(nil)
	f.open()
	f.load(f.store)
	require.NoError(t, f.RunDueChecks(t.Context()))
	k, err = f.Check(t.Context(), developer, k.ID)
	require.NoError(t, err)
	require.Equal(t, ca.CheckDone, k.State)
}

func TestCheckThatIsRefused(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	d.answer(func(ca.Visit) (ca.Sight, error) {
		return ca.Sight{}, &ca.Error{Kind: ca.KindInvalid, Detail: "Not so."}
	})
	k := f.check(developer, ca.NewCheck{URL: endpointURL})
	require.Equal(t, ca.CheckFailed, k.State)
	require.Equal(t, "Not so.", k.Failure)
	f.checks = ca.CheckRules{}
	f.load(f.store)
	_, _, err := f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
	refusal(t, err, ca.KindUnavailable)
}

// Two processes over one database run each check once.
func TestChecksAreSharedOut(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		first := f.CA
		f.load(f.store)
		second := f.CA
		for i := range 30 {
			_, _, err := f.RunCheck(t.Context(), developer, ca.NewCheck{URL: fmt.Sprintf("%s/%d", endpointURL, i)})
			require.NoError(t, err)
		}
		var both sync.WaitGroup
		for _, process := range []*ca.CA{first, second} {
			both.Go(func() { require.NoError(t, process.RunDueChecks(t.Context())) })
		}
		both.Wait()
		require.Len(t, d.visits, 30)
	})
}

func TestAwaitCheck(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.KeepChecks(ctx) })
	k, _, err := f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
	require.NoError(t, err)
	k, err = f.AwaitCheck(t.Context(), developer, k.ID, 30*time.Second)
	require.NoError(t, err)
	require.Equal(t, ca.CheckDone, k.State)

	hold := make(chan struct{})
	d.answer(func(ca.Visit) (ca.Sight, error) { <-hold; return ca.Sight{Report: []byte(`{}`)}, nil })
	k, _, err = f.RunCheck(t.Context(), developer, ca.NewCheck{URL: endpointURL})
	require.NoError(t, err)
	k, err = f.AwaitCheck(t.Context(), developer, k.ID, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, ca.CheckRunning, k.State)
	_, err = f.AwaitCheck(t.Context(), stranger, k.ID, time.Millisecond)
	refusal(t, err, ca.KindNotFound)
	close(hold)
	k, err = f.AwaitCheck(t.Context(), developer, k.ID, 30*time.Second)
	require.NoError(t, err)
	require.Equal(t, ca.CheckDone, k.State)
	stop()
	running.Wait()
}

// What knocks on doors is recorded like every certificate, and cannot be used as the platform.
func TestCanaries(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		f.clock.advance(48 * time.Hour)
		events := f.events(func() { f.check(developer, ca.NewCheck{URL: endpointURL}) })
		now := f.clock.Now()
		issued := 0
		for _, e := range events {
			if e.Action == ca.ActIssueCanary {
				issued++
				require.Equal(t, ca.Role("program"), e.Role)
			}
		}
		require.Equal(t, 4, issued)
		page, err := f.ListCertificates(t.Context(), auditor, ca.CertificateQuery{Profile: issuer.CanaryProfile})
		require.NoError(t, err)
		require.Len(t, page.Items, 4)

		got := d.visits[0].Canaries
		pool := x509.NewCertPool()
		pool.AddCert(f.authority(rootName).Root())
		for what, c := range map[string]struct {
			leaf   *x509.Certificate
			usage  x509.ExtKeyUsage
			status ca.Status
			passes bool
		}{
			"platform":  {got.Platform.Leaf, x509.ExtKeyUsageClientAuth, ca.StatusValid, true},
			"developer": {got.Developer.Leaf, x509.ExtKeyUsageServerAuth, ca.StatusValid, false},
			"expired":   {got.Expired.Leaf, x509.ExtKeyUsageClientAuth, ca.StatusExpired, false},
			"revoked":   {got.Revoked.Leaf, x509.ExtKeyUsageClientAuth, ca.StatusRevoked, true},
		} {
			serial, ours := pki.SerialFromInt(c.leaf.SerialNumber)
			require.True(t, ours)
			record, err := f.store.Certificate(t.Context(), serial)
			require.NoError(t, err, what)
			require.Equal(t, c.status, record.Status(now), what)
			require.Equal(t, issuer.CanaryProfile, record.Profile)
			require.Equal(t, []x509.ExtKeyUsage{c.usage}, c.leaf.ExtKeyUsage, what)
			require.LessOrEqual(t, c.leaf.NotAfter.Sub(now), 24*time.Hour, what)
			if what != "revoked" {
				require.LessOrEqual(t, c.leaf.NotAfter.Sub(now), 15*time.Minute, what)
			}
			_, err = c.leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			require.Equal(t, c.passes, err == nil, "%s: %v", what, err)
			if what != "developer" {
				require.Equal(t, "callback.platform.internal", c.leaf.Subject.CommonName)
			}
			_, err = f.Renew(t.Context(), operator, serial, ca.RenewRequest{})
			refusal(t, err, ca.KindInvalid)
		}
		require.Equal(t, now, got.RevokedAt)

		// They are used again while they last, and made anew in time.
		f.clock.advance(5 * time.Minute)
		f.check(developer, ca.NewCheck{URL: endpointURL})
		require.Equal(t, got, d.visits[1].Canaries)
		f.clock.advance(6 * time.Minute)
		f.check(developer, ca.NewCheck{URL: endpointURL})
		require.NotEqual(t, got.Platform, d.visits[2].Canaries.Platform)
		require.Equal(t, got.Revoked, d.visits[2].Canaries.Revoked)
		require.True(t, d.visits[2].Canaries.Platform.Leaf.NotAfter.After(f.clock.Now().Add(5*time.Minute)))
	})
}

func TestCanariesOfYoungAndRestingAuthorities(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	f.check(developer, ca.NewCheck{URL: endpointURL})
	got := d.visits[0].Canaries
	require.NotNil(t, got.Platform)
	require.NotNil(t, got.Expired, "it began with its authority")
	require.False(t, got.Expired.Leaf.NotBefore.Before(f.authority(rootName).Certificate().NotBefore))
	require.True(t, got.Expired.Leaf.NotAfter.Before(f.clock.Now()))

	delete(f.keys, "memory:"+rootName)
	f.keys["memory:"+rootName] = nil
	f.load(f.store)
	f.check(developer, ca.NewCheck{URL: endpointURL})
	require.Equal(t, ca.Canaries{}, d.visits[1].Canaries)
}

func TestCanaryAppIsNobodys(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.CreateApp(t.Context(), operator, ca.NewApp{ID: ca.CanaryApp})
	refusal(t, err, ca.KindInvalid)
}

func TestKnownCertificates(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	old := f.issue("www.example.com")
	f.clock.advance(time.Hour)
	newest := f.issue("*.example.com")
	_, err := f.Issue(t.Context(), stranger, ca.IssueRequest{Domains: []string{"www.example.com"}})
	require.NoError(t, err)
	f.check(developer, ca.NewCheck{URL: endpointURL})
	known, err := d.visits[0].Issued(t.Context(), "www.example.com", leaf(t, old.Certificate))
	require.NoError(t, err)
	require.True(t, known.Ours)
	require.False(t, known.Revoked)
	require.Equal(t, leaf(t, newest.Certificate), known.Newest, "the app's own")
	_, err = f.Revoke(t.Context(), developer, old.Certificate.Serial, pki.Superseded)
	require.NoError(t, err)
	known, err = d.visits[0].Issued(t.Context(), "www.example.com", leaf(t, old.Certificate))
	require.NoError(t, err)
	require.True(t, known.Revoked)
	require.Equal(t, f.clock.Now(), known.RevokedAt)

	foreign := *leaf(t, old.Certificate)
	foreign.RawTBSCertificate = append([]byte(nil), foreign.RawTBSCertificate...)
	foreign.RawTBSCertificate[40] ^= 1
	known, err = d.visits[0].Issued(t.Context(), "www.example.com", &foreign)
	require.NoError(t, err)
	require.False(t, known.Ours, "the serial alone proves nothing")
}
