package ca_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/store/storetest"
)

// A quota holds to the last one, whoever asks at the same moment, and is given out again bit by bit.
func TestCertificateQuota(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _ := proving(t, url, ca.PolicyOpen, func(r *ca.DomainRules) {
			r.Quotas = ca.Quotas{CertificatesPerWeek: 7, CertificatesPerNameWeek: 3}
		})
		var asking sync.WaitGroup
		var issued atomic.Int32
		for n := range 20 {
			asking.Go(func() {
				_, err := f.Issue(t.Context(), developer, request(fmt.Sprintf("n%d.example.com", n)))
				if err == nil {
					issued.Add(1)
					return
				}
				e := refusal(t, err, ca.KindRateLimited)
				require.Equal(t, 24*time.Hour, e.RetryAfter)
			})
		}
		asking.Wait()
		require.EqualValues(t, 7, issued.Load())
		_, err := f.Issue(t.Context(), stranger, request("n1.example.com"))
		require.NoError(t, err, "another app has a quota of its own")
		f.clock.advance(24 * time.Hour)
		f.issue("n1.example.com")
		_, err = f.Issue(t.Context(), developer, request("n1.example.com"))
		refusal(t, err, ca.KindRateLimited)

		f.clock.advance(7 * 24 * time.Hour)
		for range 3 {
			f.issue("n1.example.com")
		}
		_, err = f.Issue(t.Context(), developer, request("n1.example.com", "n2.example.com"))
		require.Contains(t, refusal(t, err, ca.KindRateLimited).Detail, "n1.example.com")
		for range 3 {
			f.issue("n2.example.com") // the refusal has counted against nothing
		}
	})
}

// An operator gives one app more, or less, than every app has, and takes that back.
func TestOwnQuotas(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _ := proving(t, url, ca.PolicyOpen, func(r *ca.DomainRules) { r.Quotas = ca.Quotas{CertificatesPerWeek: 2, ProofsPerHour: 5} })
		own := func(quotas map[string]int) error {
			_, err := f.ChangeApp(t.Context(), operator, developer.App, ca.AppChange{Quotas: &quotas})
			return err
		}
		n := 0
		issue := func() error {
			n++
			_, err := f.Issue(t.Context(), developer, request(fmt.Sprintf("n%d.example.com", n)))
			return err
		}
		require.NoError(t, own(map[string]int{"certificates_per_week": 4}))
		for range 4 {
			require.NoError(t, issue())
		}
		require.Contains(t, refusal(t, issue(), ca.KindRateLimited).Detail, "4 certificates of the app")
		require.NoError(t, own(map[string]int{"certificates_per_week": 0}))
		require.NoError(t, issue())
		require.NoError(t, own(map[string]int{}))
		require.Contains(t, refusal(t, issue(), ca.KindRateLimited).Detail, "2 certificates of the app")

		app, err := f.App(t.Context(), operator, developer.App)
		require.NoError(t, err)
		app.Quotas = map[string]int{"certificates_per_name_week": 3, "open_claims": 4, "proofs_per_hour": 6, "checks_per_hour": 7}
		require.Equal(t, ca.Quotas{CertificatesPerWeek: 2, CertificatesPerNameWeek: 3, OpenClaims: 4, ProofsPerHour: 6, ChecksPerHour: 7}, f.QuotasOf(&app))

		for _, c := range []struct {
			quotas map[string]int
			field  string
		}{
			{map[string]int{"certificates": 1}, "/quotas"},
			{map[string]int{"certificates_per_week": -1}, "/quotas/certificates_per_week"},
			{map[string]int{"open_claims": 0}, "/quotas/open_claims"},
			{map[string]int{"proofs_per_hour": 1_000_000_001}, "/quotas/proofs_per_hour"},
		} {
			require.Equal(t, c.field, refusal(t, own(c.quotas), ca.KindInvalid).Field)
		}
	})
}

// A repetition with the same idempotency key costs nothing.
func TestReplayCostsNoQuota(t *testing.T) {
	f, _ := proving(t, sqliteURL(t), ca.PolicyOpen, func(r *ca.DomainRules) { r.Quotas.CertificatesPerWeek = 2 })
	req := request("www.example.com")
	req.IdempotencyKey = "once"
	for range 5 {
		_, err := f.Issue(t.Context(), developer, req)
		require.NoError(t, err)
	}
	f.issue("www.example.com")
	_, err := f.Issue(t.Context(), developer, request("www.example.com"))
	refusal(t, err, ca.KindRateLimited)
}

func TestOpenClaimsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, i := proving(t, url, ca.PolicyProve, func(r *ca.DomainRules) { r.Quotas.OpenClaims = 5 })
		var asking sync.WaitGroup
		var made atomic.Int32
		for n := range 12 {
			asking.Go(func() {
				_, _, err := f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: fmt.Sprintf("n%d.example.com", n)})
				if err == nil {
					made.Add(1)
					return
				}
				refusal(t, err, ca.KindRateLimited)
			})
		}
		asking.Wait()
		require.EqualValues(t, 5, made.Load())
		claims, err := f.ListDomains(t.Context(), developer, ca.DomainQuery{})
		require.NoError(t, err)
		require.Len(t, claims, 5)
		f.prove(i, developer, claims[0].Name.String())
		f.add(developer, "another.example.com", "") // what is proven is not counted
		require.NoError(t, f.RemoveDomain(t.Context(), developer, claims[1].Name.String(), ""))
		f.add(developer, "one-more.example.com", "")
		_, _, err = f.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "too-many.example.com"})
		refusal(t, err, ca.KindRateLimited)
	})
}

func TestProofQuota(t *testing.T) {
	f, _ := proving(t, sqliteURL(t), ca.PolicyProve, func(r *ca.DomainRules) { r.Quotas.ProofsPerHour = 2 })
	f.add(developer, "www.example.com", "")
	for _, kind := range []ca.Kind{ca.KindProofWrong, ca.KindProofWrong, ca.KindRateLimited} {
		_, err := f.VerifyDomain(t.Context(), developer, "www.example.com", "", "")
		refusal(t, err, kind)
	}
}

// Under policy open and without quotas an issuance asks the database for nothing but the app, and writes nothing but its two records.
func TestOpenPolicyCostsNothing(t *testing.T) {
	f := newFixture(t)
	faults := storetest.NewFaults(f.store)
	f.load(faults)
	faults.Called()
	f.issue("www.example.com", "*.example.com")
	require.Equal(t, []string{"App", "RecordCertificate", "CommitSignature"}, faults.Called())
}
