package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
)

// start is the time at which the tests' clock begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	admin     = ca.Principal{Name: "root", Role: ca.RoleAdmin}
	operator  = ca.Principal{Name: "olga", Role: ca.RoleOperator, Token: "tok_olga"}
	auditor   = ca.Principal{Name: "aude", Role: ca.RoleAuditor, Token: "tok_aude"}
	developer = ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "demo", Token: "tok_dev"}
	stranger  = ca.Principal{Name: "other", Role: ca.RoleDeveloper, App: "other", Token: "tok_other"}
)

// clock is a time that only moves when a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a CA over a real database, with the apps "demo" and "other", both of policy open.
type fixture struct {
	*ca.CA
	t        testing.TB
	url      string
	store    ca.Store
	clock    *clock
	keys     map[string]crypto.Signer
	profiles []issuer.Profile
	names    ca.NamePolicy
	rules    ca.DomainRules
	schedule ca.CRLSchedule
	checks   ca.CheckRules
	webhooks ca.WebhookRules
	now      func() time.Time // clock's, unless a test has another
}

// databases opens a fresh database of each kind.
var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") },
	"postgres": judge.Postgres,
}

// onEach runs a test on each database.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func newFixture(t testing.TB) *fixture {
	return newFixtureOn(t, databases["sqlite"](t), ca.HierarchyDirect)
}

func newFixtureOn(t testing.TB, url string, hierarchy ca.Hierarchy) *fixture {
	c := &clock{now: start}
	return newFixtureAt(t, url, hierarchy, c, c.Now)
}

func newFixtureAt(t testing.TB, url string, hierarchy ca.Hierarchy, c *clock, now func() time.Time) *fixture {
	f := &fixture{t: t, url: url, clock: c, now: now, keys: make(map[string]crypto.Signer), profiles: issuer.DefaultProfiles()}
	require.NoError(t, store.Migrate(t.Context(), url))
	f.open()
	_, err := ca.Establish(t.Context(), f.store, admin, ca.Establishment{Hierarchy: hierarchy, NewKey: f.newKey}, now())
	require.NoError(t, err)
	f.load(f.store)
	for _, id := range []string{"demo", "other"} {
		_, _, err := f.CreateApp(t.Context(), operator, ca.NewApp{ID: id, Policy: ca.PolicyOpen})
		require.NoError(t, err)
	}
	return f
}

// open opens the database, as a process does at its start.
func (f *fixture) open() {
	s, err := store.Open(f.t.Context(), store.Config{URL: f.url})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = s.Close() })
	f.store = s
}

// load makes the CA over a store, from what is recorded there.
func (f *fixture) load(s ca.Store) {
	authorities, err := s.ListAuthorities(f.t.Context())
	require.NoError(f.t, err)
	issuers, err := f.openAuthorities(authorities)
	require.NoError(f.t, err)
	f.CA, err = ca.New(ca.Config{Store: s, Issuers: issuers, Open: f.openAuthorities, Recorded: authorities, Names: f.names, Domains: f.rules, CRLs: f.schedule, Checks: f.checks, Webhooks: f.webhooks, Now: f.now})
	require.NoError(f.t, err)
}

func (f *fixture) openAuthorities(recorded []ca.Authority) ([]*issuer.Issuer, error) {
	return ca.Load(recorded, f.profiles, "http://ca.example", func(ref string) (crypto.Signer, error) {
		if key, ok := f.keys[ref]; ok {
			return key, nil
		}
		return nil, errors.New("no such key")
	})
}

// another is a CA as a second process has it, on the same database.
func (f *fixture) another() *fixture {
	other := *f
	other.open()
	other.load(other.store)
	return &other
}

func (f *fixture) newKey(authority string, kt pki.KeyType) (crypto.Signer, string, error) {
	key, err := kt.Generate()
	f.keys["memory:"+authority] = key
	return key, "memory:" + authority, err
}

// issue issues a certificate for the app "demo".
func (f *fixture) issue(domains ...string) *ca.Issued {
	f.t.Helper()
	issued, err := f.Issue(f.t.Context(), developer, ca.IssueRequest{Domains: domains})
	require.NoError(f.t, err)
	return issued
}

// leaf parses the certificate of a record.
func leaf(t testing.TB, c *ca.Certificate) *x509.Certificate {
	t.Helper()
	der, err := c.DER()
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}

// events are the events that something leaves, in no order: the clock stands still.
func (f *fixture) events(of func()) []ca.Event {
	f.t.Helper()
	list := func() []ca.Event {
		events, err := f.store.ListEvents(context.Background(), ca.EventQuery{Limit: 10_000})
		require.NoError(f.t, err)
		return events
	}
	before := list()
	of()
	return slices.DeleteFunc(list(), func(e ca.Event) bool {
		return slices.ContainsFunc(before, func(b ca.Event) bool { return b.ID == e.ID })
	})
}

// all are all certificates of a state, or of any.
func (f *fixture) all(status ca.Status) []*ca.Certificate {
	f.t.Helper()
	page, err := f.store.ListCertificates(f.t.Context(), ca.CertificateQuery{Status: status, Now: f.clock.Now(), Limit: 10_000})
	require.NoError(f.t, err)
	return page.Items
}

// refusal asserts that an error is a refusal of a kind, which says what to do.
func refusal(t testing.TB, err error, kind ca.Kind) *ca.Error {
	t.Helper()
	var e *ca.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, e.Detail)
	require.NotEmpty(t, e.Detail)
	return e
}

// csr makes a certificate signing request with a new P-256 key.
func csr(t testing.TB, template x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return csrOf(t, template, key)
}

func csrOf(t testing.TB, template x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	require.NoError(t, err)
	return der
}

func certificateRequest(names ...string) x509.CertificateRequest {
	return x509.CertificateRequest{DNSNames: names}
}
