package acme_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/web"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is one or more servers on one database, behind real TLS. The app "open" may have every name, "shop" what it has proven.
type world struct {
	testing.TB
	ca       *ca.CA
	store    *store.Store
	url      string // of the database
	issuers  []*issuer.Issuer
	recorded []ca.Authority
	load     func([]ca.Authority) ([]*issuer.Issuer, error)
	keys     map[string]crypto.Signer // of the authorities, by their references
	server   *httptest.Server
	client   *http.Client

	mu     sync.Mutex
	now    time.Time
	proofs map[string]bool // key authorizations that the network shows, and standing records: name and account
}

type options struct {
	hierarchy ca.Hierarchy
	change    func(*acme.Config)
	profile   func(*issuer.Profile) // of developers' certificates
	database  func(testing.TB) string
}

// databases make a fresh database of each kind.
var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") },
	"postgres": judge.Postgres,
}

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	if o.hierarchy == "" {
		o.hierarchy = ca.HierarchyDirect
	}
	if o.database == nil {
		o.database = databases["sqlite"]
	}
	url := o.database(t)
	require.NoError(t, store.Migrate(t.Context(), url))
	w := &world{TB: t, url: url, keys: make(map[string]crypto.Signer), now: start, proofs: make(map[string]bool)}
	var err error
	w.store, err = store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.recorded, err = ca.Establish(t.Context(), w.store, admin, ca.Establishment{Hierarchy: o.hierarchy, NewKey: w.newKey}, start)
	require.NoError(t, err)
	profiles := issuer.DefaultProfiles()
	if o.profile != nil {
		o.profile(&profiles[0])
	}
	w.load = func(recorded []ca.Authority) ([]*issuer.Issuer, error) {
		return ca.Load(recorded, profiles, "http://ca.example", func(ref string) (crypto.Signer, error) { return w.keys[ref], nil })
	}
	w.issuers, err = w.load(w.recorded)
	require.NoError(t, err)
	w.ca = w.authority(w.store)
	for id, policy := range map[string]ca.DomainPolicy{"open": ca.PolicyOpen, "shop": ca.PolicyProve} {
		_, _, err := w.ca.CreateApp(t.Context(), admin, ca.NewApp{ID: id, Policy: policy})
		require.NoError(t, err)
	}
	w.server = w.serve(o.change)
	w.client = w.server.Client()
	return w
}

func (w *world) newKey(authority string, kind pki.KeyType) (crypto.Signer, string, error) {
	key, err := kind.Generate()
	w.keys["memory:"+authority] = key
	return key, "memory:" + authority, err
}

func (w *world) authority(s ca.Store) *ca.CA {
	w.Helper()
	authority, err := ca.New(ca.Config{Store: s, Issuers: w.issuers, Open: w.load, Recorded: w.recorded, Now: w.clock, Domains: ca.DomainRules{Prove: w.prove, Standing: w.standing, Identity: "ca.example"}})
	require.NoError(w.TB, err)
	return authority
}

// another starts a server with a connection to the database of its own, as in another process.
func (w *world) another(change func(*acme.Config)) *httptest.Server {
	w.Helper()
	records, err := store.Open(w.Context(), store.Config{URL: w.url})
	require.NoError(w.TB, err)
	w.Cleanup(func() { _ = records.Close() })
	return w.serve(func(c *acme.Config) {
		c.Store, c.CA = records, w.authority(records)
		if change != nil {
			change(c)
		}
	})
}

var admin = ca.Principal{Name: "root", Role: ca.RoleAdmin}

// serve starts one more server on the database.
func (w *world) serve(change func(*acme.Config)) *httptest.Server {
	w.Helper()
	key, err := acme.NonceKey(w.Context(), w.store)
	require.NoError(w.TB, err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := acme.Config{
		CA: w.ca, Store: w.store, NonceKey: key, OpenApp: "open", Log: log, Pauses: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond},
		Frame: web.New(web.Config{Authenticate: w.ca.Authenticate, Now: w.clock, Log: log, Limits: web.Limits{Address: web.Rate{PerSecond: -1}}}),
	}
	var running sync.WaitGroup
	life, stop := context.WithCancel(context.Background())
	cfg.Go = func(task func(context.Context)) { running.Go(func() { task(life) }) }
	if change != nil {
		change(&cfg)
	}
	server := httptest.NewTLSServer(acme.New(cfg))
	w.Cleanup(func() {
		server.Close()
		stop()
		running.Wait()
	})
	return server
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// prove is the network: it shows what was put there.
func (w *world) prove(_ context.Context, _ ca.Method, n pki.Name, _, keyAuthorization string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proofs[keyAuthorization] {
		return nil
	}
	return &ca.Error{Kind: ca.KindProofWrong, Detail: "got 404 from " + n.String() + ": put it there."}
}

// standing finds what was put there as "NAME ACCOUNT".
func (w *world) standing(_ context.Context, n pki.Name, accounts []string) (ca.StandingRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, account := range accounts {
		if w.proofs[n.Base().String()+" "+account] {
			return ca.StandingRecord{Wildcard: true, Account: account}, nil
		}
	}
	return ca.StandingRecord{}, &ca.Error{Kind: ca.KindProofWrong, Detail: "no record names this account: publish one."}
}

func (w *world) show(keyAuthorization string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proofs[keyAuthorization] = true
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// register makes an account with the client of golang.org/x/crypto.
func (w *world) register(binding *xacme.ExternalAccountBinding) *xacme.Client {
	w.Helper()
	c := &xacme.Client{Key: newKey(w.TB), HTTPClient: w.client, DirectoryURL: w.server.URL + "/acme/directory"}
	_, err := c.Register(w.Context(), &xacme.Account{Contact: []string{"mailto:ops@example.com"}, ExternalAccountBinding: binding}, xacme.AcceptTOS)
	require.NoError(w.TB, err)
	return c
}

func (w *world) bind(app string) *xacme.ExternalAccountBinding {
	w.Helper()
	credential, err := w.ca.CreateEAB(w.Context(), admin, app, "test", 0)
	require.NoError(w.TB, err)
	return &xacme.ExternalAccountBinding{KID: credential.ID, Key: credential.Hash[:]}
}

func (w *world) csr(key crypto.Signer, names ...string) []byte {
	w.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	require.NoError(w.TB, err)
	return der
}

// raw is a client without any manners.
type raw struct {
	*world
	key     *ecdsa.PrivateKey
	account string // URL; empty: the key is shown
	base    string // what the server calls itself; empty: by its address
}

// home is the server's URL as it knows it.
func (r *raw) home() string { return cmp.Or(r.base, r.server.URL) }

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) raw() *raw {
	w.Helper()
	r := &raw{world: w, key: newKey(w.TB)}
	a := r.post("/acme/new-account", `{}`)
	require.Equal(w.TB, http.StatusCreated, a.status, string(a.body))
	r.account = a.header.Get("Location")
	return r
}

func (r *raw) freshNonce() string {
	r.Helper()
	response, err := r.client.Head(r.server.URL + "/acme/new-nonce")
	require.NoError(r.TB, err)
	_ = response.Body.Close()
	return response.Header.Get("Replay-Nonce")
}

// sign makes a signed request; headers replace the usual ones, nil takes them away.
func (r *raw) sign(path, payload string, headers map[jose.HeaderKey]any) []byte {
	r.Helper()
	all := map[jose.HeaderKey]any{"url": r.home() + path, "nonce": r.freshNonce()}
	if r.account != "" {
		all["kid"] = r.account
	}
	for name, value := range headers {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: r.key}, &jose.SignerOptions{EmbedJWK: all["kid"] == nil, ExtraHeaders: all})
	require.NoError(r.TB, err)
	signed, err := signer.Sign([]byte(payload))
	require.NoError(r.TB, err)
	return []byte(signed.FullSerialize())
}

func (r *raw) send(path string, body []byte) answer {
	r.Helper()
	response, err := r.client.Post(r.server.URL+path, "application/jose+json", bytes.NewReader(body))
	require.NoError(r.TB, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.TB, err)
	return answer{response.StatusCode, response.Header, text}
}

func (r *raw) post(path, payload string) answer {
	r.Helper()
	return r.send(path, r.sign(path, payload, nil))
}

// requireProblem asserts a refusal, and that it comes with all that a client needs to go on.
func (a answer) requireProblem(t *testing.T, kind string) {
	t.Helper()
	var p struct{ Type, Detail string }
	require.NoError(t, json.Unmarshal(a.body, &p))
	require.Equal(t, "urn:ietf:params:acme:error:"+kind, p.Type, p.Detail)
	require.GreaterOrEqual(t, a.status, 400)
	require.Less(t, a.status, 500)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	require.NotEmpty(t, a.header.Get("Replay-Nonce"))
	require.NotEmpty(t, p.Detail)
}

// issue orders and finalizes, and returns the answer and the leaf.
func (r *raw) issue(name, more string) (answer, *x509.Certificate) {
	r.Helper()
	made := r.post("/acme/new-order", orderOf([]string{name}, more))
	require.Equal(r.TB, http.StatusCreated, made.status, string(made.body))
	path := r.path(made)
	done := r.post(path+"/finalize", `{"csr":"`+base64.RawURLEncoding.EncodeToString(r.csr(newKey(r.TB), name))+`"}`)
	require.Equal(r.TB, http.StatusOK, done.status, string(done.body))
	var order struct{ Certificate string }
	require.NoError(r.TB, json.Unmarshal(done.body, &order))
	chain := r.post(strings.TrimPrefix(order.Certificate, r.server.URL), "")
	certificates, err := pki.ParseCertificates(chain.body)
	require.NoError(r.TB, err)
	return done, certificates[0]
}

// path is that of what an answer has made.
func (r *raw) path(a answer) string {
	return strings.TrimPrefix(a.header.Get("Location"), r.home())
}

// deactivate ends the authorizations of an order.
func (r *raw) deactivate(order answer) {
	r.Helper()
	var o struct{ Authorizations []string }
	require.NoError(r.TB, json.Unmarshal(order.body, &o))
	for _, url := range o.Authorizations {
		require.Equal(r.TB, http.StatusOK, r.post(strings.TrimPrefix(url, r.server.URL), `{"status":"deactivated"}`).status)
	}
}

// bound is the payload for a new account that is bound to an app.
func (r *raw) bound(app string) string {
	r.Helper()
	credential, err := r.ca.CreateEAB(r.Context(), admin, app, "test", 0)
	require.NoError(r.TB, err)
	jwk, err := (&jose.JSONWebKey{Key: r.key.Public()}).MarshalJSON()
	require.NoError(r.TB, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: credential.Hash[:]},
		&jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": credential.ID, "url": r.server.URL + "/acme/new-account"}})
	require.NoError(r.TB, err)
	binding, err := signer.Sign(jwk)
	require.NoError(r.TB, err)
	return `{"externalAccountBinding":` + binding.FullSerialize() + `}`
}

// challengeOf is the path and the token of a challenge of the first authorization of an order.
func (r *raw) challengeOf(order answer, kind string) (path, token string) {
	r.Helper()
	var o struct{ Authorizations []string }
	require.NoError(r.TB, json.Unmarshal(order.body, &o))
	z := r.post(strings.TrimPrefix(o.Authorizations[0], r.home()), "")
	var authorization struct {
		Challenges []struct{ Type, URL, Token string }
	}
	require.NoError(r.TB, json.Unmarshal(z.body, &authorization))
	for _, c := range authorization.Challenges {
		if c.Type == kind {
			return strings.TrimPrefix(c.URL, r.home()), c.Token
		}
	}
	r.Fatalf("no %s in %s", kind, z.body)
	return "", ""
}

func (r *raw) keyAuthorization(token string) string {
	r.Helper()
	thumbprint, err := (&jose.JSONWebKey{Key: r.key.Public()}).Thumbprint(crypto.SHA256)
	require.NoError(r.TB, err)
	return token + "." + base64.RawURLEncoding.EncodeToString(thumbprint)
}

// settled waits until a challenge has come right or failed, and returns its status.
func (r *raw) settled(path string) (status string) {
	r.Helper()
	require.Eventually(r.TB, func() bool {
		var c struct{ Status string }
		require.NoError(r.TB, json.Unmarshal(r.post(path, "").body, &c))
		status = c.Status
		return status == "valid" || status == "invalid"
	}, 10*time.Second, 5*time.Millisecond)
	return status
}
