package ca_test

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

func TestStandbyCanaries(t *testing.T) {
	f, d := checkingFixture(t, databases["sqlite"](t))
	require.NoError(t, f.PublishCRLs(t.Context()))
	standbys := func() []ca.StandbyCanary {
		f.clock.advance(time.Minute)
		f.check(operator, ca.NewCheck{URL: endpointURL})
		return d.visits[len(d.visits)-1].Canaries.Standbys
	}
	require.Empty(t, standbys())
	f.standby(newRoot, "", "client")
	f.standby("Edge", oldRoot, "client")
	f.standby("Servers", oldRoot, "server")
	got := standbys()
	require.Len(t, got, 2, "what stands by for servers' certificates is tried at no door")
	require.Equal(t, newRoot, got[0].Authority)
	require.True(t, got[0].Root.Equal(f.named(newRoot).Certificate()))
	require.Len(t, got[0].Certificate.Certificate, 1)
	require.Equal(t, "Edge", got[1].Authority)
	require.True(t, got[1].Root.Equal(f.named(oldRoot).Certificate()))
	require.Len(t, got[1].Certificate.Certificate, 2, "with its chain, as a client sends it")
	for _, canary := range got {
		c := canary.Certificate.Leaf
		require.NoError(t, f.named(canary.Authority).Verify(c.Raw))
		require.Equal(t, "callback.platform.internal", c.Subject.CommonName)
		require.LessOrEqual(t, c.NotAfter.Sub(f.clock.Now()), 15*time.Minute)
		serial, _ := pki.SerialFromInt(c.SerialNumber)
		recorded, err := f.Certificate(t.Context(), auditor, serial)
		require.NoError(t, err)
		require.Equal(t, issuer.CanaryProfile, recorded.Profile)
		require.Equal(t, canary.Authority, recorded.Authority)
	}
	require.Equal(t, got, standbys(), "the same, while they last")

	// The root of before is no place to go to; the other one still is.
	_, err := f.Promote(t.Context(), admin, newRoot, true)
	require.NoError(t, err)
	got = standbys()
	require.Len(t, got, 1)
	require.Equal(t, "Edge", got[0].Authority)
	platform := d.visits[len(d.visits)-1].Canaries
	for _, canary := range []*x509.Certificate{platform.Platform.Leaf, platform.Revoked.Leaf} {
		require.NoError(t, f.named(newRoot).Verify(canary.Raw), "the platform's own canaries move along")
	}

	require.NoError(t, f.Retire(t.Context(), admin, "Edge", false, false))
	require.Empty(t, standbys(), "nobody is to trust it")
	require.NoError(t, f.Retire(t.Context(), admin, "Edge", false, true))
	require.Len(t, standbys(), 1)
	require.NoError(t, f.MoveKey(t.Context(), admin, "Edge", ""))
	require.True(t, f.follow())
	require.Empty(t, standbys(), "its key rests")
}

func TestReadiness(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, d := checkingFixture(t, url)
		require.NoError(t, f.PublishCRLs(t.Context()))
		facts := map[string]ca.CheckFacts{
			"https://ready.example.com/":   {Summary: "healthy", Ready: []string{newRoot, "Edge"}},
			"https://unready.example.com/": {Summary: "healthy", Ready: []string{"Edge"}, Unready: []string{newRoot}},
			"https://closed.example.com/":  {Summary: "locked_out"},
		}
		d.answer(func(v ca.Visit) (ca.Sight, error) {
			report, err := json.Marshal(v.URL)
			return ca.Sight{Report: report, Facts: facts[v.URL]}, err
		})
		for u := range facts {
			_, _, err := f.AddEndpoint(t.Context(), developer, ca.NewEndpoint{URL: u})
			require.NoError(t, err)
		}
		require.NoError(t, f.RunDueChecks(t.Context()))
		f.clock.advance(time.Minute)
		f.standby(newRoot, "", "client")
		ready := func() ca.Readiness {
			r, err := f.Readiness(t.Context(), auditor, newRoot)
			require.NoError(t, err)
			return r
		}
		r := ready()
		require.Equal(t, []int{1, 1, 1, 0}, []int{r.Ready, r.Unready, r.Unseen, r.Untold}, "what the test had them say, before the authority was there")
		require.False(t, r.Certain())
		f.standby("Servers", "", "server")
		r, err := f.Readiness(t.Context(), auditor, "Servers")
		require.NoError(t, err)
		require.Equal(t, ca.Readiness{}, r, "no endpoint verifies what it will issue")

		f.clock.advance(25 * time.Hour)
		require.NoError(t, f.RunDueChecks(t.Context()))
		r = ready()
		require.Equal(t, []int{1, 1, 0, 1}, []int{r.Ready, r.Unready, r.Unseen, r.Untold})
		require.Len(t, r.Examples, 1)
		require.Equal(t, "https://unready.example.com/", r.Examples[0].URL)
		require.Equal(t, []string{newRoot}, r.Examples[0].Unready)
		require.Empty(t, r.Examples[0].Alerts, "nothing fails today")
		_, err = f.Promote(t.Context(), admin, newRoot, false)
		require.Contains(t, refusal(t, err, ca.KindConflict).Detail, "https://unready.example.com/")
		require.Contains(t, err.Error(), "--yes")

		facts["https://unready.example.com/"] = ca.CheckFacts{Summary: "healthy", Ready: []string{newRoot}}
		f.clock.advance(25 * time.Hour)
		require.NoError(t, f.RunDueChecks(t.Context()))
		require.True(t, ready().Certain(), "where nobody gets in today, nothing can be told")
		require.NoError(t, f.PublishCRLs(t.Context()))
		promotion, err := f.Promote(t.Context(), admin, newRoot, false)
		require.NoError(t, err)
		require.Equal(t, 2, promotion.Ready)
		_, err = f.Readiness(t.Context(), developer, newRoot)
		refusal(t, err, ca.KindNotFound)
		_, err = f.Readiness(t.Context(), operator, "Nobody")
		refusal(t, err, ca.KindNotFound)
	})
}

func TestRetire(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		require.NoError(t, f.PublishCRLs(t.Context()))
		refused := func(name string, kind ca.Kind, says string) {
			t.Helper()
			require.Contains(t, refusal(t, f.Retire(t.Context(), admin, name, false, false), kind).Detail, says)
		}
		refused("Nobody", ca.KindNotFound, `no authority "Nobody"`)
		refused(oldRoot, ca.KindConflict, "issues server and client")
		refusal(t, f.Retire(t.Context(), operator, oldRoot, true, false), ca.KindForbidden)
		old := f.issue("www.example.com").Certificate
		f.standby(newRoot, "", "server", "client")
		f.standby("Edge", oldRoot, "client")
		_, err := f.Promote(t.Context(), admin, newRoot, false)
		require.NoError(t, err)
		refused(oldRoot, ca.KindConflict, "Edge stands below "+oldRoot)
		require.NoError(t, f.Retire(t.Context(), admin, "Edge", false, false))
		refused(oldRoot, ca.KindConflict, old.Serial.String())
		f.clock.advance(91 * 24 * time.Hour)
		require.NoError(t, f.PublishCRLs(t.Context()))
		require.Equal(t, ocsp.Good, f.status(oldRoot, leaf(t, old)), "makes a responder, which keeps nobody")
		require.NoError(t, f.Retire(t.Context(), admin, oldRoot, false, false))
		require.NoError(t, f.Retire(t.Context(), admin, oldRoot, false, false), "it is")
		require.Equal(t, []string{newRoot}, names(f.TrustedFor(ca.UsageClientAuth)))
		require.True(t, f.named(oldRoot).Retired())
		require.NotNil(t, f.CRL(oldRoot), "its list is published on")
		require.Equal(t, ocsp.Good, f.status(oldRoot, leaf(t, old)))
		refusal(t, f.Retire(t.Context(), admin, "Edge", false, true), ca.KindConflict)
		require.NoError(t, f.Retire(t.Context(), admin, oldRoot, false, true))
		refusal(t, f.Retire(t.Context(), admin, oldRoot, false, true), ca.KindConflict)
		_, err = f.Promote(t.Context(), admin, oldRoot, false)
		require.NoError(t, err, "it is as it was")
	})
}

// An authority that issues something else is retired for what it stands by for alone.
func TestRetireFromOneProfile(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.PublishCRLs(t.Context()))
	f.issue("www.example.com")
	f.standby(newRoot, "", "client")
	_, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
	require.NoError(t, err)
	_, err = f.Promote(t.Context(), admin, newRoot, false)
	require.NoError(t, err)
	refusal(t, f.Retire(t.Context(), admin, oldRoot, false, false), ca.KindConflict)
	require.NoError(t, f.Retire(t.Context(), admin, oldRoot, true, false), "anyway")
	require.Equal(t, []string{newRoot}, names(f.TrustedFor(ca.UsageClientAuth)))
	require.Equal(t, []string{oldRoot}, names(f.TrustedFor(ca.UsageServerAuth)))
	require.False(t, f.named(oldRoot).Retired())
	require.Equal(t, oldRoot, f.issue("www.example.com").Certificate.Authority)
}
