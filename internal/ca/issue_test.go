package ca_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

func TestIssueMakesKeyAndCertificate(t *testing.T) {
	f := newFixture(t)
	for _, kt := range []string{"", "ecdsa-p256", "ecdsa-p384", "rsa-2048"} {
		t.Run(kt, func(t *testing.T) {
			issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"WWW.example.com.", "www.example.com", "api.example.com"}, KeyType: kt})
			require.NoError(t, err)
			cert := leaf(t, issued.Certificate)
			require.Equal(t, []string{"www.example.com", "api.example.com"}, cert.DNSNames)
			require.Equal(t, "www.example.com", cert.Subject.CommonName)
			require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, cert.ExtKeyUsage)
			require.Equal(t, start.Add(-5*time.Minute), cert.NotBefore)
			require.Equal(t, 90*24*time.Hour, cert.NotAfter.Add(time.Second).Sub(cert.NotBefore), "the last second counts")

			key, err := pki.ParseKey(issued.PrivateKey)
			require.NoError(t, err)
			require.Equal(t, cert.PublicKey, key.Public())

			roots := x509.NewCertPool()
			roots.AddCert(f.Issuers()[0].Certificate())
			_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "api.example.com", CurrentTime: f.clock.Now()})
			require.NoError(t, err)

			stored, err := f.Certificate(t.Context(), developer, issued.Certificate.Serial)
			require.NoError(t, err)
			require.Equal(t, issued.Certificate, stored, "what is delivered is what is stored")
			require.Equal(t, ca.StatusValid, stored.Status(f.clock.Now()))
		})
	}
}

func TestIssueFromCSR(t *testing.T) {
	f := newFixture(t)
	request := csr(t, x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "www.example.com", Organization: []string{"Tencent"}},
		DNSNames: []string{"www.example.com", "api.example.com"},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 2}}, // clientAuth
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}},      // CA:TRUE
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{0x05, 0x00}},
		},
	})
	var issued *ca.Issued
	events := f.events(func() {
		var err error
		issued, err = f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
		require.NoError(t, err)
	})
	require.Nil(t, issued.PrivateKey)
	cert := leaf(t, issued.Certificate)
	require.Equal(t, []string{"www.example.com", "api.example.com"}, cert.DNSNames)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, cert.ExtKeyUsage)
	require.False(t, cert.IsCA)
	require.Empty(t, cert.Subject.Organization)
	require.False(t, slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "1.2.3.4" }))

	require.Len(t, events, 1)
	require.Equal(t, issued.Certificate.Serial.String(), events[0].Object)
	ignored := events[0].Detail["ignored"]
	for _, asked := range []string{"clientAuth", "CA:TRUE", "1.2.3.4", "Tencent"} {
		require.Contains(t, ignored, asked, "what a CSR asks for in vain is in the event")
	}

	t.Run("names beyond the request", func(t *testing.T) {
		_, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}, CSR: request})
		require.Contains(t, refusal(t, err, ca.KindBadCSR).Detail, "api.example.com")
	})
	t.Run("names within the request", func(t *testing.T) {
		issued, err := f.Issue(t.Context(), developer, ca.IssueRequest{
			Domains: []string{"www.example.com", "api.example.com", "more.example.com"}, CSR: request})
		require.NoError(t, err)
		require.Len(t, issued.Certificate.Names, 3)
	})
	t.Run("with a key type", func(t *testing.T) {
		_, err := f.Issue(t.Context(), developer, ca.IssueRequest{KeyType: "ecdsa-p256", CSR: request})
		refusal(t, err, ca.KindInvalid)
	})
}

func TestKeyOfAnAuthorityIsRefused(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		f := newFixtureOn(t, databases["sqlite"](t), hierarchy)
		for _, key := range f.keys {
			request := csrOf(t, x509.CertificateRequest{DNSNames: []string{"www.example.com"}}, key)
			_, err := f.Issue(t.Context(), developer, ca.IssueRequest{CSR: request})
			refusal(t, err, ca.KindBadKey)
			_, err = f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", CSR: request})
			refusal(t, err, ca.KindBadKey)
		}
	}
}

// A CA once checked N names by checking one of them N times. So: a bad name in every position.
func TestEveryNameIsChecked(t *testing.T) {
	f := newFixture(t)
	const n = 10
	for bad := range n {
		domains := make([]string, n)
		for i := range domains {
			domains[i] = fmt.Sprintf("h%d.example.com", i)
		}
		domains[bad] = "db.internal"
		_, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: domains})
		e := refusal(t, err, ca.KindRejectedName)
		require.Equal(t, []ca.Fault{{Field: fmt.Sprintf("/domains/%d", bad), Detail: e.Detail}}, e.Faults)
	}
	require.Empty(t, f.all(""), "nothing is recorded of what was refused")
}

func TestIssueRefuses(t *testing.T) {
	f := newFixture(t)
	hundredAndOne := make([]string, 101)
	for i := range hundredAndOne {
		hundredAndOne[i] = fmt.Sprintf("h%d.example.com", i)
	}
	days := func(n int) *int { return &n }
	www := []string{"www.example.com"}
	for name, test := range map[string]struct {
		p    ca.Principal
		req  ca.IssueRequest
		kind ca.Kind
	}{
		"nobody":                        {ca.Nobody("192.0.2.1", "r1"), ca.IssueRequest{App: "demo", Domains: www}, ca.KindUnauthenticated},
		"an auditor":                    {auditor, ca.IssueRequest{App: "demo", Domains: www}, ca.KindForbidden},
		"another app":                   {stranger, ca.IssueRequest{App: "demo", Domains: www}, ca.KindNotFound},
		"a developer without an app":    {ca.Principal{Name: "x", Role: ca.RoleDeveloper}, ca.IssueRequest{Domains: www}, ca.KindNotFound},
		"a client by a developer":       {developer, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}}, ca.KindForbidden},
		"a client for an app":           {operator, ca.IssueRequest{Profile: "client", App: "demo", Domains: www}, ca.KindInvalid},
		"a server for no app":           {operator, ca.IssueRequest{Domains: www}, ca.KindInvalid},
		"an unknown app":                {operator, ca.IssueRequest{App: "nowhere", Domains: www}, ca.KindInvalid},
		"an unknown profile":            {developer, ca.IssueRequest{Profile: "root", Domains: www}, ca.KindInvalid},
		"no name":                       {developer, ca.IssueRequest{}, ca.KindInvalid},
		"101 names":                     {developer, ca.IssueRequest{Domains: hundredAndOne}, ca.KindRejectedName},
		"a top-level wildcard":          {developer, ca.IssueRequest{Domains: []string{"*.com"}}, ca.KindRejectedName},
		"a configuration in a name":     {developer, ca.IssueRequest{Domains: []string{"example.com\" SSLVerifyClient none"}}, ca.KindRejectedName},
		"a loopback address":            {developer, ca.IssueRequest{Domains: []string{"127.0.0.1"}}, ca.KindRejectedName},
		"validity 0":                    {developer, ca.IssueRequest{Domains: www, ValidityDays: days(0)}, ca.KindInvalid},
		"validity -1":                   {developer, ca.IssueRequest{Domains: www, ValidityDays: days(-1)}, ca.KindInvalid},
		"validity beyond the profile's": {developer, ca.IssueRequest{Domains: www, ValidityDays: days(398)}, ca.KindInvalid},
		"an unknown key type":           {developer, ca.IssueRequest{Domains: www, KeyType: "rsa-1024"}, ca.KindInvalid},
		"not a CSR":                     {developer, ca.IssueRequest{CSR: []byte("hello")}, ca.KindBadCSR},
		"a key of 256 characters":       {developer, ca.IssueRequest{Domains: www, IdempotencyKey: string(bytes.Repeat([]byte("k"), 256))}, ca.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			events := f.events(func() {
				_, err := f.Issue(t.Context(), test.p, test.req)
				refusal(t, err, test.kind)
			})
			require.Len(t, events, 1, "a refusal is an event")
			require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
			require.Equal(t, string(test.kind), events[0].Detail["refusal"])
		})
	}
	require.Empty(t, f.all(""), "nothing is recorded but the events")
}

func TestPoliciesOnNames(t *testing.T) {
	f := newFixture(t)
	platform, err := pki.ParseName("im.example")
	require.NoError(t, err)
	f.names = ca.NamePolicy{
		Deny:           []pki.Name{platform},
		AllowInternal:  []string{"corp.internal"},
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}
	f.load(f.store)
	policy, allowed := ca.PolicyList, []string{"one.example", ".below.example", "*.wild.example", "192.0.2.7"}
	_, err = f.ChangeApp(t.Context(), operator, "other", ca.AppChange{Policy: &policy, Allowed: &allowed})
	require.NoError(t, err)

	for _, test := range []struct {
		p    ca.Principal
		name string
		ok   bool
	}{
		{developer, "im.example", false},
		{developer, "api.im.example", false},
		{developer, "*.im.example", false},
		{developer, "notim.example", true},
		{developer, "db.corp.internal", true},
		{developer, "db.other.internal", false},
		{developer, "10.1.2.3", true},
		{developer, "10.2.2.3", false},
		{stranger, "one.example", true},
		{stranger, "www.one.example", false},
		{stranger, "*.one.example", false},
		{stranger, "below.example", false},
		{stranger, "a.below.example", true},
		{stranger, "a.b.below.example", true},
		{stranger, "*.below.example", true},
		{stranger, "*.a.below.example", true},
		{stranger, "xbelow.example", false},
		{stranger, "*.wild.example", true},
		{stranger, "a.wild.example", false},
		{stranger, "192.0.2.7", true},
		{stranger, "192.0.2.8", false},
	} {
		_, err := f.Issue(t.Context(), test.p, ca.IssueRequest{Domains: []string{test.name}})
		if test.ok {
			require.NoError(t, err, test.name)
		} else {
			refusal(t, err, ca.KindRejectedName)
		}
	}
}

func TestOnlyOperatorsIssueForThePlatform(t *testing.T) {
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			f := newFixtureOn(t, databases["sqlite"](t), hierarchy)
			issued, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
			require.NoError(t, err)
			cert := leaf(t, issued.Certificate)
			require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.ExtKeyUsage)
			require.Equal(t, "callback.platform.internal", cert.Subject.CommonName)
			require.Equal(t, 7*24*time.Hour, cert.NotAfter.Add(time.Second).Sub(cert.NotBefore))
			require.Empty(t, issued.Certificate.App)
			require.Equal(t, cert.Issuer.CommonName, ca.DefaultName, "what Apache's SSLCACertificateFile names signs the platform's certificate itself")
		})
	}
}

func TestNoCertificateOutlivesItsIssuer(t *testing.T) {
	f := newFixture(t)
	f.clock.advance(f.Issuers()[0].Certificate().NotAfter.Sub(start) - 30*24*time.Hour)
	issued := f.issue("www.example.com")
	require.Equal(t, f.Issuers()[0].Certificate().NotAfter, issued.Certificate.NotAfter, "a default is shortened")
	long := 60
	_, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}, ValidityDays: &long})
	refusal(t, err, ca.KindInvalid)
}

func TestIdempotencyKey(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		req := ca.IssueRequest{Domains: []string{"www.example.com"}, IdempotencyKey: "double click"}
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			made    []*ca.Issued
			replays int
		)
		for range 50 {
			wg.Go(func() {
				for {
					issued, err := f.Issue(t.Context(), developer, req)
					if err != nil {
						refusal(t, err, ca.KindInProgress)
						continue
					}
					mu.Lock()
					defer mu.Unlock()
					if made = append(made, issued); issued.Replayed {
						replays++
						require.Nil(t, issued.PrivateKey)
					}
					return
				}
			})
		}
		wg.Wait()
		require.Equal(t, 49, replays)
		for _, issued := range made {
			require.Equal(t, made[0].Certificate.Serial, issued.Certificate.Serial)
		}
		require.Len(t, f.all(""), 1)

		other := req
		other.Domains = []string{"api.example.com"}
		_, err := f.Issue(t.Context(), developer, other)
		refusal(t, err, ca.KindKeyReused)

		issued, err := f.Issue(t.Context(), stranger, req)
		require.NoError(t, err, "a key is its caller's own")
		require.False(t, issued.Replayed)
	})
}

// A CA once changed its configuration between two steps of an issuance. Here, a server with another profile cannot finish what one began:
// what is signed is what was recorded.
func TestProfileChangesBetweenReplicas(t *testing.T) {
	f := newFixture(t)
	first := f.issue("www.example.com")
	f.profiles = slices.Clone(f.profiles)
	for i := range f.profiles {
		f.profiles[i].DefaultValidity = 24 * time.Hour
	}
	f.load(f.store)
	second := f.issue("www.example.com")
	for _, issued := range []*ca.Issued{first, second} {
		stored, err := f.Certificate(t.Context(), developer, issued.Certificate.Serial)
		require.NoError(t, err)
		require.Equal(t, stored.TBS, leaf(t, stored).RawTBSCertificate)
		require.NoError(t, issuer.CheckStored(leaf(t, stored).Raw, "server"))
	}
}
