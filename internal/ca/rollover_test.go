package ca_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

const (
	oldRoot = "TencentQQAuthCA"
	newRoot = "TencentQQAuthCA-G2"
)

// standby makes an authority that stands by, and the lists of all.
func (f *fixture) standby(name, parent string, profiles ...string) ca.Authority {
	f.t.Helper()
	added, err := f.AddAuthority(f.t.Context(), admin, ca.NewAuthority{Name: name, Parent: parent, For: profiles, NewKey: f.newKey})
	require.NoError(f.t, err)
	require.NoError(f.t, f.PublishCRLs(f.t.Context()))
	return added
}

func (f *fixture) follow() bool {
	f.t.Helper()
	changed, err := f.FollowAuthorities(f.t.Context())
	require.NoError(f.t, err)
	return changed
}

func (f *fixture) named(name string) *issuer.Issuer {
	f.t.Helper()
	all := f.Issuers()
	i := slices.IndexFunc(all, func(i *issuer.Issuer) bool { return i.Name() == name })
	require.GreaterOrEqual(f.t, i, 0, name)
	return all[i]
}

func names(issuers []*issuer.Issuer) (list []string) {
	for _, i := range issuers {
		list = append(list, i.Name())
	}
	return list
}

// status asks by OCSP about a certificate of an authority.
func (f *fixture) status(authority string, c *x509.Certificate) int {
	f.t.Helper()
	by := f.named(authority).Certificate()
	request, err := ocsp.CreateRequest(c, by, nil)
	require.NoError(f.t, err)
	answer, err := f.OCSP(f.t.Context(), authority, request)
	require.NoError(f.t, err)
	response, err := ocsp.ParseResponse(answer.DER, by)
	require.NoError(f.t, err)
	return response.Status
}

// listed tells whether a certificate is on the list of an authority.
func (f *fixture) listed(authority string, serial pki.Serial) bool {
	f.t.Helper()
	crl := f.CRL(authority)
	require.NotNil(f.t, crl, authority)
	found := false
	for _, part := range crl.Entries {
		require.NoError(f.t, issuer.EntrySerials(part, func(entry []byte) { found = found || string(entry) == string(serial[:]) }))
	}
	return found
}

func TestRollOver(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		other := f.another()
		require.NoError(t, f.PublishCRLs(t.Context()))
		before := f.issue("www.example.com")
		platform, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
		require.NoError(t, err)

		// The next root stands by: it is trusted, and issues nothing.
		events := f.events(func() { f.standby(newRoot, "", "server", "client") })
		require.ElementsMatch(t, []ca.Action{ca.ActCreateAuthority, ca.ActPublishCRL}, []ca.Action{events[0].Action, events[1].Action})
		require.False(t, f.follow(), "whoever made it has taken it over")
		require.Equal(t, []string{oldRoot, newRoot}, names(f.TrustedFor(ca.UsageClientAuth)))
		require.Equal(t, oldRoot, f.issue("a.example.com").Certificate.Authority)

		// Another process knows nothing of it, and says so, until it follows.
		_, err = other.OCSP(t.Context(), newRoot, []byte{1})
		refusal(t, err, ca.KindNotFound)
		require.Nil(t, other.CRL(newRoot))
		require.True(t, other.follow())
		require.False(t, other.follow())
		require.NoError(t, other.PublishCRLs(t.Context()))
		require.Equal(t, f.CRL(newRoot).Number, other.CRL(newRoot).Number)
		require.Equal(t, ocsp.Good, other.status(newRoot, other.named(newRoot).Certificate()))

		start, _, err := f.RenewalWindow(t.Context(), before.Certificate.Serial)
		require.NoError(t, err)
		require.True(t, start.After(f.clock.Now()), "there is time")

		promotion, err := f.Promote(t.Context(), admin, newRoot, false)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"server": oldRoot, "client": oldRoot}, promotion.Moved)
		after := f.issue("www.example.com")
		require.Equal(t, newRoot, after.Certificate.Authority)
		require.NoError(t, f.named(newRoot).Verify(leaf(t, after.Certificate).Raw))
		require.Equal(t, []string{newRoot, oldRoot}, names(f.TrustedFor(ca.UsageClientAuth)), "both are trusted, the one that issues first")

		// Whoever is a moment behind issues what is good, too.
		behind := other.issue("behind.example.com")
		require.Equal(t, oldRoot, behind.Certificate.Authority)
		require.True(t, other.follow())
		require.Equal(t, newRoot, other.issue("behind.example.com").Certificate.Authority)

		// Clients are asked to renew what the old root has signed, now.
		for _, p := range []*fixture{f, other} {
			_, end, err := p.RenewalWindow(t.Context(), before.Certificate.Serial)
			require.NoError(t, err)
			require.False(t, end.After(f.clock.Now()))
			start, _, err = p.RenewalWindow(t.Context(), after.Certificate.Serial)
			require.NoError(t, err)
			require.True(t, start.After(f.clock.Now()))
		}

		// What the old root has signed is revoked on its own list.
		for _, c := range []*ca.Certificate{before.Certificate, platform.Certificate, after.Certificate} {
			_, err := f.Revoke(t.Context(), operator, c.Serial, pki.KeyCompromise)
			require.NoError(t, err)
		}
		f.clock.advance(2 * time.Second)
		for _, p := range []*fixture{f, other} {
			require.NoError(t, p.PublishCRLs(t.Context()))
			require.True(t, p.listed(oldRoot, before.Certificate.Serial))
			require.True(t, p.listed(oldRoot, platform.Certificate.Serial))
			require.False(t, p.listed(newRoot, before.Certificate.Serial))
			require.True(t, p.listed(newRoot, after.Certificate.Serial))
			require.Equal(t, ocsp.Revoked, p.status(oldRoot, leaf(t, before.Certificate)))
			require.Equal(t, ocsp.Revoked, p.status(newRoot, leaf(t, after.Certificate)))
		}

		// And back.
		_, err = f.Promote(t.Context(), admin, oldRoot, false)
		require.NoError(t, err)
		require.Equal(t, oldRoot, f.issue("www.example.com").Certificate.Authority)
		findings, err := f.Examine(t.Context(), admin, nil)
		require.NoError(t, err)
		require.Empty(t, findings)

		// A start finds all of it as it is.
		f.load(f.store)
		require.Equal(t, oldRoot, f.issue("www.example.com").Certificate.Authority)
	})
}

func TestRollOverBehindAnIntermediate(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.PublishCRLs(t.Context()))
	added := f.standby("Edge", oldRoot, "client")
	cert, err := x509.ParseCertificate(added.Certificate)
	require.NoError(t, err)
	require.True(t, cert.MaxPathLenZero)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.ExtKeyUsage)
	require.Equal(t, ocsp.Good, f.status(oldRoot, cert), "its root answers for it")
	_, err = f.Promote(t.Context(), admin, "Edge", false)
	require.NoError(t, err)
	platform, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
	require.NoError(t, err)
	require.Equal(t, "Edge", platform.Certificate.Authority)
	require.Equal(t, oldRoot, f.issue("www.example.com").Certificate.Authority, "servers' stay where they were")
}

func TestAddAuthorityRefused(t *testing.T) {
	f := newFixture(t)
	f.standby("Edge", oldRoot, "server")
	brought, err := issuer.NewRoot(issuer.RootRequest{Serial: pki.NewSerial(), CommonName: oldRoot, Key: f.keys["memory:"+oldRoot], NotBefore: start, NotAfter: start.Add(time.Hour)})
	require.NoError(t, err)
	f.keys["memory:Other"], err = pki.ECDSAP256.Generate()
	require.NoError(t, err)
	namesake, err := issuer.NewRoot(issuer.RootRequest{Serial: pki.NewSerial(), CommonName: oldRoot, Key: f.keys["memory:Other"], NotBefore: start, NotAfter: start.Add(time.Hour)})
	require.NoError(t, err)
	renamed, err := issuer.NewRoot(issuer.RootRequest{Serial: pki.NewSerial(), CommonName: "Renamed", Key: f.keys["memory:"+oldRoot], NotBefore: start, NotAfter: start.Add(time.Hour)})
	require.NoError(t, err)
	for why, c := range map[string]struct {
		ca.NewAuthority
		kind ca.Kind
		says string
	}{
		"a name that is no file's":    {ca.NewAuthority{Name: "a/b", For: []string{"client"}}, ca.KindInvalid, "cannot stand in the path"},
		"no name":                     {ca.NewAuthority{For: []string{"client"}}, ca.KindInvalid, "cannot stand in the path"},
		"a name that is taken":        {ca.NewAuthority{Name: "edge", For: []string{"client"}}, ca.KindConflict, "There is an authority Edge already"},
		"for nothing":                 {ca.NewAuthority{Name: "Next"}, ca.KindInvalid, "client, server, or both"},
		"for what nobody issues":      {ca.NewAuthority{Name: "Next", For: []string{"smime"}}, ca.KindInvalid, "client, server"},
		"for one thing twice":         {ca.NewAuthority{Name: "Next", For: []string{"client", "client"}}, ca.KindInvalid, "twice"},
		"below nobody":                {ca.NewAuthority{Name: "Next", Parent: "Nobody", For: []string{"client"}}, ca.KindNotFound, `no authority "Nobody"`},
		"below an intermediate":       {ca.NewAuthority{Name: "Next", Parent: "Edge", For: []string{"server"}}, ca.KindInvalid, "below a root itself"},
		"below a root, for both":      {ca.NewAuthority{Name: "Next", Parent: oldRoot, For: []string{"server", "client"}}, ca.KindInvalid, "bound to one usage"},
		"brought along below a root":  {ca.NewAuthority{Name: "Next", Parent: oldRoot, For: []string{"client"}, Import: &ca.ImportedRoot{}}, ca.KindInvalid, "is a root"},
		"with another one's key":      {ca.NewAuthority{Name: "Next", For: []string{"client"}, Import: &ca.ImportedRoot{Certificate: renamed, Key: f.keys["memory:"+oldRoot]}}, ca.KindConflict, "same key"},
		"with another one's subject":  {ca.NewAuthority{Name: "Next", For: []string{"client"}, Import: &ca.ImportedRoot{Certificate: namesake, Key: f.keys["memory:Other"]}}, ca.KindConflict, "same subject"},
		"the same root under a name":  {ca.NewAuthority{Name: "Next", For: []string{"client"}, Import: &ca.ImportedRoot{Certificate: brought, Key: f.keys["memory:"+oldRoot]}}, ca.KindConflict, "same"},
		"with the key of another one": {ca.NewAuthority{Name: "Next", For: []string{"client"}, Import: &ca.ImportedRoot{Certificate: namesake, Key: f.keys["memory:"+oldRoot]}}, ca.KindInvalid, "key"},
	} {
		t.Run(why, func(t *testing.T) {
			c.NewKey = f.newKey
			events := f.events(func() {
				_, err := f.AddAuthority(t.Context(), admin, c.NewAuthority)
				require.Contains(t, refusal(t, err, c.kind).Detail, c.says)
			})
			require.Len(t, events, 1)
			require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
			require.Len(t, f.Issuers(), 2)
		})
	}
	_, err = f.AddAuthority(t.Context(), operator, ca.NewAuthority{Name: "Next", For: []string{"client"}, NewKey: f.newKey})
	refusal(t, err, ca.KindForbidden)

	require.NoError(t, f.MoveKey(t.Context(), admin, oldRoot, ""))
	require.True(t, f.follow())
	_, err = f.AddAuthority(t.Context(), admin, ca.NewAuthority{Name: "Next", Parent: oldRoot, For: []string{"client"}, NewKey: f.newKey})
	require.Contains(t, refusal(t, err, ca.KindUnavailable).Detail, "bring it back")
}

func TestPromoteRefused(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.PublishCRLs(t.Context()))
	refused := func(name string, kind ca.Kind, says string) {
		t.Helper()
		events := f.events(func() {
			_, err := f.Promote(t.Context(), admin, name, false)
			require.Contains(t, refusal(t, err, kind).Detail, says)
		})
		require.Len(t, events, 1)
		require.Equal(t, ca.OutcomeRefused, events[0].Outcome)
	}
	refused("Nobody", ca.KindNotFound, `no authority "Nobody"`)
	refused(oldRoot, ca.KindConflict, "it issues server and client already")
	_, err := f.AddAuthority(t.Context(), admin, ca.NewAuthority{Name: newRoot, For: []string{"server", "client"}, NewKey: f.newKey})
	require.NoError(t, err)
	refused(newRoot, ca.KindUnavailable, "no revocation list")
	require.NoError(t, f.PublishCRLs(t.Context()))
	_, err = f.Promote(t.Context(), operator, newRoot, false)
	refusal(t, err, ca.KindForbidden)

	ref := "memory:" + newRoot
	require.NoError(t, f.MoveKey(t.Context(), admin, newRoot, ""))
	refused(newRoot, ca.KindUnavailable, "The key of "+newRoot+" is not here")
	require.NoError(t, f.MoveKey(t.Context(), admin, newRoot, ref))

	require.NoError(t, f.Retire(t.Context(), admin, newRoot, false, false))
	refused(newRoot, ca.KindConflict, "is retired")
	require.NoError(t, f.Retire(t.Context(), admin, newRoot, false, true))
	f.clock.advance(21 * 365 * 24 * time.Hour)
	require.NoError(t, f.PublishCRLs(t.Context()))
	refused(newRoot, ca.KindConflict, "not now")
}

// A root that exists already is brought along, unless nothing could be issued under it: then nobody would find out before it is too late.
func TestBringARootAlong(t *testing.T) {
	f := newFixture(t)
	bring := func(name string, subject []byte) error {
		key, err := pki.ECDSAP256.Generate()
		require.NoError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), RawSubject: subject, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		root, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		f.keys["memory:"+name] = key
		_, err = f.AddAuthority(t.Context(), admin, ca.NewAuthority{Name: name, For: []string{"client"}, Import: &ca.ImportedRoot{Certificate: root, Key: key, KeyRef: "memory:" + name}})
		return err
	}
	good, err := asn1.Marshal(pkix.Name{CommonName: "Brought"}.ToRDNSequence())
	require.NoError(t, err)
	require.NoError(t, bring("Brought", good))
	require.True(t, f.named("Brought").CanSign())
	// RFC 5280, Appendix A.1: a country is a PrintableString.
	odd, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("CN")}}}})
	require.NoError(t, err)
	require.Contains(t, refusal(t, bring("Odd", odd), ca.KindInvalid).Detail, "could issue no certificate of profile client")
	require.Len(t, f.Issuers(), 2)
}

// A process that cannot open the key of what was promoted goes on with what it has.
func TestFollowWithoutTheKey(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.PublishCRLs(t.Context()))
	other := f.another()
	other.keys = map[string]crypto.Signer{"memory:" + oldRoot: f.keys["memory:"+oldRoot]}
	other.load(other.store)
	f.standby(newRoot, "", "server", "client")
	_, err := f.Promote(t.Context(), admin, newRoot, false)
	require.NoError(t, err)
	_, err = other.FollowAuthorities(t.Context())
	require.ErrorContains(t, err, newRoot)
	require.Equal(t, oldRoot, other.issue("www.example.com").Certificate.Authority)
	other.keys["memory:"+newRoot] = f.keys["memory:"+newRoot]
	require.True(t, other.follow())
	require.Equal(t, newRoot, other.issue("www.example.com").Certificate.Authority)
}

// Whatever the database does while an authority is added or promoted, the CA issues, and the next try finds it done or does it.
func TestRollOverFaults(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.PublishCRLs(t.Context()))
	faults := storetest.NewFaults(f.store)
	f.load(faults)
	n := 0
	for _, fault := range []storetest.Fault{storetest.DidNotHappen, storetest.DidHappen} {
		for _, method := range []string{"ListAuthorities", "CreateAuthorities", "ChangeAuthorities", "ListEndpoints"} {
			n++
			name := fmt.Sprint("Next-", n)
			request := ca.NewAuthority{Name: name, For: []string{"client"}, NewKey: f.newKey}
			faults.Arm(method, fault)
			if _, err := f.AddAuthority(t.Context(), admin, request); err != nil {
				require.ErrorIs(t, err, storetest.ErrFault)
				if _, err := f.AddAuthority(t.Context(), admin, request); err != nil {
					refusal(t, err, ca.KindConflict)
				}
			}
			f.follow()
			require.NoError(t, f.PublishCRLs(t.Context()))
			if _, err := f.Promote(t.Context(), admin, name, false); err != nil {
				require.ErrorIs(t, err, storetest.ErrFault)
				if _, err := f.Promote(t.Context(), admin, name, false); err != nil {
					refusal(t, err, ca.KindConflict) // it was done
				}
			}
			issued, err := f.Issue(t.Context(), operator, ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
			require.NoError(t, err)
			require.Equal(t, name, issued.Certificate.Authority, "%s %s", method, fault)
		}
	}
}

// Of many promotions at once each leaves one authority for the profile, and nobody is locked out of issuing meanwhile.
func TestPromoteTogether(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		require.NoError(t, f.PublishCRLs(t.Context()))
		const many = 4
		processes := make([]*fixture, many)
		for i := range many {
			f.standby(fmt.Sprint("Next-", i), "", "client")
		}
		for i := range many {
			processes[i] = f.another()
			require.NoError(t, processes[i].PublishCRLs(t.Context()))
		}
		var all sync.WaitGroup
		errs := make([]error, many)
		for i, p := range processes {
			all.Go(func() {
				for range 5 {
					_, errs[i] = p.Promote(t.Context(), admin, fmt.Sprint("Next-", i), false)
					if errs[i] == nil {
						return
					}
				}
			})
		}
		all.Wait()
		f.follow()
		issuing := 0
		recorded, err := f.store.ListAuthorities(t.Context())
		require.NoError(t, err)
		for _, a := range recorded {
			if slices.Contains(a.Profiles, "client") {
				issuing++
			}
		}
		require.Equal(t, 1, issuing)
		for _, err := range errs {
			var refused *ca.Error
			require.True(t, err == nil || errors.As(err, &refused), "%v", err)
		}
	})
}

// KeepAuthorities follows without being told.
func TestKeepAuthorities(t *testing.T) {
	f := newFixture(t)
	other := f.another()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { other.KeepAuthorities(ctx) })
	defer running.Wait()
	defer stop()
	f.standby(newRoot, "", "client")
	require.Eventually(t, func() bool { return len(other.Issuers()) == 2 }, 20*time.Second, 50*time.Millisecond)
}
