package api_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/api/apitest"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

var contract = apitest.Load()

// TestMain demands that every answer and problem that openapi.yaml documents is seen. What is public is another door's.
func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func() []string {
		unseen := append(contract.Unseen(func(path string) bool { return !apitest.Public(path) }), contract.UnseenProblems()...)
		return slices.DeleteFunc(unseen, func(what string) bool {
			return slices.ContainsFunc(web.ACMEKinds(), func(k ca.Kind) bool { return what == web.Entry{Kind: k}.Type() })
		})
	}))
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is the door over a real database and a real CA, behind a real server, with a token for each role. Every request of its clients is held
// against the contract.
type world struct {
	t     testing.TB
	ca    *ca.CA
	store *faultyStore
	frame *web.Frame
	log   *syncBuffer

	keys     map[string]crypto.Signer // of the authorities, by name
	url      string
	base     http.RoundTripper
	doors    doors
	security map[string]string // the tokens, by their holders: "developer", "stranger" (of another app), "auditor", "operator", "admin"

	mu  sync.Mutex
	now time.Time
}

type worldOptions struct {
	database  string
	hierarchy ca.Hierarchy
	limits    web.Limits
	names     ca.NamePolicy
	profiles  []issuer.Profile
	resting   bool
	rules     ca.DomainRules
}

func newWorld(t testing.TB, change ...func(*worldOptions)) *world {
	t.Helper()
	o := worldOptions{
		database:  "sqlite:" + filepath.Join(t.TempDir(), "imca.db"),
		hierarchy: ca.HierarchyDirect,
		limits:    web.Limits{Address: web.Rate{PerSecond: -1}, Failures: web.Rate{PerSecond: -1}, Token: web.Rate{PerSecond: -1}},
		profiles:  issuer.DefaultProfiles(),
		rules:     ca.DomainRules{Prove: proves},
	}
	for _, f := range change {
		f(&o)
	}
	w := &world{t: t, log: &syncBuffer{}, now: start, security: make(map[string]string)}
	require.NoError(t, store.Migrate(t.Context(), o.database))
	s, err := store.Open(t.Context(), store.Config{URL: o.database})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	w.store = &faultyStore{Store: s}
	w.makeCA(o)
	w.frame = web.New(web.Config{
		Authenticate: w.ca.Authenticate, Limits: o.limits, Now: w.clock, Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	server := httptest.NewUnstartedServer(api.New(api.Config{CA: w.ca, Frame: w.frame}))
	server.Config = w.frame.Server(server.Config.Handler)
	server.Start()
	t.Cleanup(server.Close)
	w.url, w.base = server.URL, server.Client().Transport
	w.people()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.ca.KeepChecks(ctx) })
	running.Go(func() { w.ca.KeepWebhooks(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return w
}

func (w *world) makeCA(o worldOptions) {
	w.keys = make(map[string]crypto.Signer)
	newKey := func(authority string, kind pki.KeyType) (crypto.Signer, string, error) {
		key, err := kind.Generate()
		w.keys[authority] = key
		return key, "memory:" + authority, err
	}
	authorities, err := ca.Establish(w.t.Context(), w.store, ca.Principal{Name: "root", Role: ca.RoleAdmin},
		ca.Establishment{Hierarchy: o.hierarchy, NewKey: newKey}, start)
	require.NoError(w.t, err)
	issuers, err := ca.Load(authorities, o.profiles, "http://ca.example", func(ref string) (crypto.Signer, error) {
		if o.resting {
			return nil, nil
		}
		return w.keys[strings.TrimPrefix(ref, "memory:")], nil
	})
	require.NoError(w.t, err)
	w.ca, err = ca.New(ca.Config{Store: w.store, Issuers: issuers, Names: o.names, Domains: o.rules, Checks: ca.CheckRules{Look: w.doors.look}, Webhooks: ca.WebhookRules{Post: w.doors.post}, Now: w.clock})
	require.NoError(w.t, err)
}

// proves finds every proof in place, unless the name says what is wrong: "proof-dns.example.com".
func proves(_ context.Context, _ ca.Method, n pki.Name, _, _ string) error {
	kind, _, _ := strings.Cut(n.Base().String(), ".")
	if strings.HasPrefix(kind, "proof-") {
		return &ca.Error{Kind: ca.Kind(kind), Detail: "The proof of " + n.String() + " is not there; put it there."}
	}
	return nil
}

// forbidden is the CAA of an owner who wants no certificate from here.
func forbidden(_ context.Context, n pki.Name, _ []string, _ ca.Method) error {
	return &ca.Error{Kind: ca.KindCAA, Detail: "CAA at " + n.String() + " forbids it; publish another record."}
}

// people makes the apps "demo" and "other" and a token for everyone.
func (w *world) people() {
	root := ca.Principal{Name: "root", Role: ca.RoleAdmin}
	for _, id := range []string{"demo", "other"} {
		_, _, err := w.ca.CreateApp(w.t.Context(), root, ca.NewApp{ID: id, Policy: ca.PolicyOpen})
		require.NoError(w.t, err)
	}
	for name, t := range map[string]ca.NewToken{
		"developer": {Role: ca.RoleDeveloper, App: "demo"},
		"stranger":  {Role: ca.RoleDeveloper, App: "other"},
		"auditor":   {Role: ca.RoleAuditor},
		"operator":  {Role: ca.RoleOperator},
		"admin":     {Role: ca.RoleAdmin},
	} {
		t.Name = name
		_, secret, err := w.ca.CreateToken(w.t.Context(), root, t)
		require.NoError(w.t, err)
		w.security[name] = secret
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

// as is the client of somebody.
func (w *world) as(holder string) *api.Client {
	return &api.Client{URL: w.url, Token: w.security[holder], HTTP: contract.Client(w.t, w.base)}
}

// answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a request by hand. header are pairs of name and value.
func (w *world) ask(holder, method, target, body string, header ...string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+target, reader)
	require.NoError(w.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := w.security[holder]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got, err := contract.Client(w.t, w.base).Do(r)
	require.NoError(w.t, err)
	defer func() { _ = got.Body.Close() }()
	content, err := io.ReadAll(got.Body)
	require.NoError(w.t, err)
	return answer{got, content}
}

// problem is the refusal that an answer must be.
func (a answer) problem(t testing.TB, kind ca.Kind) api.Problem {
	t.Helper()
	require.Equal(t, web.ProblemType, a.Header.Get("Content-Type"), "%s: %s", a.Status, a.body)
	var p api.Problem
	require.NoError(t, json.Unmarshal(a.body, &p))
	require.Equal(t, string(kind), p.Kind(), "%s", a.body)
	return p
}

func (a answer) read(t testing.TB, status int, into any) {
	t.Helper()
	require.Equal(t, status, a.StatusCode, "%s", a.body)
	require.NoError(t, json.Unmarshal(a.body, into))
}

// refusal is the problem in the error of a client.
func refusal(t testing.TB, err error, kind ca.Kind) *api.Problem {
	t.Helper()
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, string(kind), p.Kind(), p.Detail)
	return p
}

// recorded counts what is in the database, so that a test can see that nothing was added.
func (w *world) recorded() map[string]int {
	w.t.Helper()
	ctx := context.Background()
	certificates, err := w.store.ListCertificates(ctx, ca.CertificateQuery{Limit: 100_000})
	require.NoError(w.t, err)
	apps, err := w.store.ListApps(ctx, "", 100_000)
	require.NoError(w.t, err)
	domains, err := w.store.ListDomains(ctx, ca.DomainQuery{Limit: 100_000})
	require.NoError(w.t, err)
	count := map[string]int{"certificates": len(certificates.Items), "apps": len(apps), "domains": len(domains)}
	for _, app := range append(apps, ca.App{}) {
		tokens, err := w.store.ListTokens(ctx, app.ID, "", 100_000)
		require.NoError(w.t, err)
		count["tokens"] += len(tokens)
	}
	return count
}

// onEach runs a test over each database.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("postgres", func(t *testing.T) {
		url := judge.Postgres(t)
		test(t, newWorld(t, func(o *worldOptions) { o.database = url }))
	})
}

// faultyStore fails where a test tells it to.
type faultyStore struct {
	ca.Store
	mu   sync.Mutex
	fail map[string]error // by method
}

func (s *faultyStore) breaks(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = map[string]error{method: err}
}

func (s *faultyStore) fault(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail[method]
}

func (s *faultyStore) CommitSignature(ctx context.Context, serial pki.Serial, signature []byte, fingerprint [32]byte, at time.Time) error {
	if err := s.fault("CommitSignature"); err != nil {
		return err
	}
	return s.Store.CommitSignature(ctx, serial, signature, fingerprint, at)
}

func (s *faultyStore) ListAuthorities(ctx context.Context) ([]ca.Authority, error) {
	if err := s.fault("ListAuthorities"); err != nil {
		return nil, err
	}
	return s.Store.ListAuthorities(ctx)
}

func (s *faultyStore) Ping(ctx context.Context) error {
	return errors.Join(s.fault("Ping"), s.Store.Ping(ctx))
}

// syncBuffer is a log that several goroutines write and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// rootPEM is the certificate of the first root.
func (w *world) rootPEM() []byte { return pki.EncodeCertificate(w.ca.Issuers()[0].Root().Raw) }
