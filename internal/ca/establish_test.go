package ca_test

import (
	"crypto"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
)

func TestEstablishOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		before := f.Issuers()[0].Certificate().Raw
		_, err := ca.Establish(t.Context(), f.store, admin, ca.Establishment{NewKey: f.newKey}, f.clock.Now())
		require.Contains(t, refusal(t, err, ca.KindConflict).Detail, ca.DefaultName)
		f.load(f.store)
		require.Equal(t, before, f.Issuers()[0].Certificate().Raw)
	})
}

func TestHierarchies(t *testing.T) {
	for hierarchy, issuers := range map[ca.Hierarchy][2]string{ // who signs server, who signs client
		ca.HierarchyDirect:   {"TencentQQAuthCA", "TencentQQAuthCA"},
		ca.HierarchyIssuing:  {"TencentQQAuthCA-Issuing", "TencentQQAuthCA"},
		ca.HierarchySeparate: {"TencentQQAuthCA-Server", "TencentQQAuthCA"},
	} {
		t.Run(string(hierarchy), func(t *testing.T) {
			f := newFixtureOn(t, databases["sqlite"](t), hierarchy)
			server := f.issue("www.example.com").Certificate
			require.Equal(t, issuers[0], server.Authority)
			client, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
			require.NoError(t, err)
			require.Equal(t, issuers[1], client.Certificate.Authority)

			// The root of the client certificates, which developers' servers trust, must not reach further than it has to.
			roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
			for _, i := range f.Issuers() {
				if i.Name() == issuers[1] {
					roots.AddCert(i.Certificate())
				} else {
					intermediates.AddCert(i.Certificate())
				}
			}
			verify := func(c *ca.Certificate, usage x509.ExtKeyUsage) error {
				_, err := leaf(t, c).Verify(x509.VerifyOptions{
					Roots: roots, Intermediates: intermediates, CurrentTime: f.clock.Now(), KeyUsages: []x509.ExtKeyUsage{usage}})
				return err
			}
			require.NoError(t, verify(client.Certificate, x509.ExtKeyUsageClientAuth))
			require.Error(t, verify(server, x509.ExtKeyUsageClientAuth))
			if hierarchy == ca.HierarchySeparate {
				require.Error(t, verify(server, x509.ExtKeyUsageServerAuth), "two roots do not vouch for each other")
			} else {
				require.NoError(t, verify(server, x509.ExtKeyUsageServerAuth))
			}
		})
	}
}

func TestImportedRoot(t *testing.T) {
	key, err := pki.RSA3072.Generate()
	require.NoError(t, err)
	cert, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "Old Root", Key: key, NotBefore: start.AddDate(-5, 0, 0), NotAfter: start.AddDate(5, 0, 0)})
	require.NoError(t, err)

	f := &fixture{t: t, url: databases["sqlite"](t), clock: &clock{now: start}, keys: map[string]crypto.Signer{"memory:old": key}, profiles: issuer.DefaultProfiles()}
	require.NoError(t, store.Migrate(t.Context(), f.url))
	f.open()
	other, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	_, err = ca.Establish(t.Context(), f.store, admin, ca.Establishment{Import: &ca.ImportedRoot{Certificate: cert, Key: other, KeyRef: "memory:old"}}, start)
	require.Contains(t, refusal(t, err, ca.KindInvalid).Detail, "key")
	late := ca.ImportedRoot{Certificate: cert, Key: key, KeyRef: "memory:old"}
	_, err = ca.Establish(t.Context(), f.store, admin, ca.Establishment{Import: &late}, start.AddDate(6, 0, 0))
	require.Contains(t, refusal(t, err, ca.KindInvalid).Detail, "expired")
	_, err = ca.Establish(t.Context(), f.store, admin, ca.Establishment{Import: &ca.ImportedRoot{Certificate: cert, Key: key, KeyRef: "memory:old"}}, start)
	require.NoError(t, err)
	f.load(f.store)
	require.Equal(t, cert.Raw, f.Issuers()[0].Certificate().Raw)
	_, _, err = f.CreateApp(t.Context(), operator, ca.NewApp{ID: "demo", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	require.NoError(t, leaf(t, f.issue("www.example.com").Certificate).CheckSignatureFrom(cert))
}

func TestRestingAuthority(t *testing.T) {
	f := newFixture(t)
	authorities, err := f.store.ListAuthorities(t.Context())
	require.NoError(t, err)
	for i := range authorities {
		authorities[i].KeyRef = ""
	}
	issuers, err := ca.Load(authorities, f.profiles, "", nil)
	require.NoError(t, err)
	resting, err := ca.New(ca.Config{Store: f.store, Issuers: issuers, Now: f.clock.Now})
	require.NoError(t, err)
	_, err = resting.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
	refusal(t, err, ca.KindUnavailable)
}

func TestEstablishRefusesNames(t *testing.T) {
	f := &fixture{t: t, url: databases["sqlite"](t), keys: make(map[string]crypto.Signer)}
	require.NoError(t, store.Migrate(t.Context(), f.url))
	f.open()
	for _, name := range []string{"a/b", "..", ".hidden", "with space", "ünïcode", string(make([]byte, 65))} {
		_, err := ca.Establish(t.Context(), f.store, admin, ca.Establishment{Name: name, NewKey: f.newKey}, start)
		refusal(t, err, ca.KindInvalid)
	}
	_, err := ca.Establish(t.Context(), f.store, admin, ca.Establishment{Hierarchy: "flat", NewKey: f.newKey}, start)
	refusal(t, err, ca.KindInvalid)
	_, err = ca.Establish(t.Context(), f.store, operator, ca.Establishment{NewKey: f.newKey}, start)
	refusal(t, err, ca.KindForbidden)
	require.Empty(t, f.keys, "no key is made for what is refused")
}
