package console_test

import (
	"cmp"
	"context"
	"crypto"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/console"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root  = ca.Principal{Name: "root", Role: ca.RoleAdmin}
)

// world is the pages over a real database and a real CA, behind a real server.
type world struct {
	t     testing.TB
	ca    *ca.CA
	store *store.Store
	url   string

	transport http.RoundTripper
	newKey    func(name string, kind pki.KeyType) (crypto.Signer, string, error)

	sight       ca.CheckFacts // what a check finds
	report      string        // and its report, JSON; empty: one without anything in it
	proof       error         // what a look at a proof finds; nil: it is there
	undelivered error         // what becomes of messages to webhooks

	bare atomic.Bool // no proof is in place

	mu  sync.Mutex
	now time.Time
	log strings.Builder
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newWorld(t, sqlite(t))) })
	t.Run("postgres", func(t *testing.T) { test(t, newWorld(t, judge.Postgres(t))) })
}

func sqlite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") }

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, now: start}
	require.NoError(t, store.Migrate(t.Context(), database))
	var err error
	w.store, err = store.Open(t.Context(), store.Config{URL: database})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	keys := make(map[string]crypto.Signer)
	w.newKey = func(name string, kind pki.KeyType) (crypto.Signer, string, error) {
		key, err := kind.Generate()
		keys[name] = key
		return key, name, err
	}
	authorities, err := ca.Establish(t.Context(), w.store, root, ca.Establishment{Hierarchy: ca.HierarchyIssuing, NewKey: w.newKey}, start)
	require.NoError(t, err)
	load := func(recorded []ca.Authority) ([]*issuer.Issuer, error) {
		return ca.Load(recorded, issuer.DefaultProfiles(), "http://ca.example", func(ref string) (crypto.Signer, error) { return keys[ref], nil })
	}
	issuers, err := load(authorities)
	require.NoError(t, err)
	w.ca, err = ca.New(ca.Config{Store: w.store, Issuers: issuers, Open: load, Recorded: authorities, Now: w.clock, Domains: ca.DomainRules{Prove: w.prove}, Checks: ca.CheckRules{Look: func(context.Context, ca.Visit) (ca.Sight, error) {
		return ca.Sight{Report: []byte(cmp.Or(w.report, "{}")), Facts: w.sight}, nil
	}}, Webhooks: ca.WebhookRules{Post: func(context.Context, string, map[string]string, []byte) error { return w.undelivered }}})
	require.NoError(t, err)
	require.NoError(t, w.ca.PublishCRLs(t.Context()))
	for _, id := range []string{"demo", "other"} {
		_, _, err := w.ca.CreateApp(t.Context(), root, ca.NewApp{ID: id, Policy: ca.PolicyOpen})
		require.NoError(t, err)
	}
	frame := web.New(web.Config{
		Authenticate: w.ca.Authenticate, Now: w.clock, Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Limits: web.Limits{Address: web.Rate{PerSecond: -1}, Failures: web.Rate{PerSecond: -1}, Token: web.Rate{PerSecond: -1}},
	})
	server := httptest.NewTLSServer(console.New(console.Config{CA: w.ca, Frame: frame, ProofPause: 5 * time.Millisecond}))
	t.Cleanup(server.Close)
	w.url, w.transport = server.URL, server.Client().Transport
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// prove finds every proof in place, unless nothing is, or the test says what is wrong with it.
func (w *world) prove(_ context.Context, m ca.Method, _ pki.Name, _, _ string) error {
	if w.bare.Load() {
		return &ca.Error{Kind: ca.KindProofWrong, Detail: "Nothing is there <b>" + string(m)}
	}
	return w.proof
}

// Write is the log of the server.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// person is somebody with a browser.
type person struct {
	*world
	headers http.Header
	cookies map[string]string
}

// as is somebody who is signed in with a role; a developer is of the app demo.
func (w *world) as(role ca.Role) *person {
	w.t.Helper()
	request := ca.NewToken{Name: string(role), Role: role}
	if role == ca.RoleDeveloper {
		request.App = "demo"
	}
	_, secret, err := w.ca.CreateToken(w.t.Context(), root, request)
	require.NoError(w.t, err)
	who, err := w.ca.Authenticate(w.t.Context(), secret, "192.0.2.1", "")
	require.NoError(w.t, err)
	p := w.nobody()
	p.cookies["__Host-imca"], _, err = w.ca.SignIn(w.t.Context(), who)
	require.NoError(w.t, err)
	return p
}

// nobody is somebody who is not signed in.
func (w *world) nobody() *person {
	return &person{world: w, cookies: make(map[string]string), headers: http.Header{"Accept": {"text/html"}, "Sec-Fetch-Site": {"same-origin"}}}
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (p *person) get(path string) answer { return p.ask(http.MethodGet, path, nil) }

func (p *person) post(path string, form url.Values) answer { return p.ask(http.MethodPost, path, form) }

func (p *person) ask(method, path string, form url.Values) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	r.Header = p.headers.Clone()
	for name, value := range p.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{Transport: p.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	require.NoError(p.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	return answer{response, string(body)}
}

// keep keeps the cookies of an answer, as a browser does.
func (p *person) keep(a answer) {
	for _, c := range a.Cookies() {
		p.cookies[c.Name] = c.Value
	}
}

// page asks for a page that must be there.
func (p *person) page(path string) answer {
	p.t.Helper()
	a := p.get(path)
	require.Equal(p.t, http.StatusOK, a.StatusCode, "%s: %s", path, a.body)
	return a
}
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}
