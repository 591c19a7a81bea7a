// Package console is the web pages: the operators' console, the developers' portal, and signing in.
//
// Every page is made on the server by html/template and works without JavaScript; the few scripts are our own and only make it quicker to
// use. A page reads and changes nothing but through the verbs of internal/ca, with whoever is signed in as the caller, so what is allowed,
// limited and audited here is what REST allows, limits and audits.
//
// It holds to these promises: no inline script or style and no request to anybody else (the Content-Security-Policy forbids both); no form
// is taken from another site; what somebody typed is shown as text, wherever it came from; every text for people stands in the catalogues
// of texts/, the same keys in every language, or comes from elsewhere in English and goes through internal/phrasebook.
//
// It decides nothing, and knows neither the database nor the other doors. Read it from the table in routes.
package console

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the pages are made of. CA and Frame are required.
type Config struct {
	CA    *ca.CA
	Frame *web.Frame

	// ClientName is the subject of the platform's client certificate, which developers' servers are to let in. Default: callback.platform.internal.
	ClientName pki.Name

	// ACME is the server as ACME clients reach it, at this moment: its roots roll over. Without a Directory: /acme/directory where the page was asked for.
	// nil: nothing is known of it.
	ACME func() acmelines.Server

	// ACMEOpenApp is the app whose ACME accounts need no credential; empty: all need one.
	ACMEOpenApp string

	// Provider is the identity provider that people can sign in at; nil: there is none.
	Provider Provider

	// Metrics are what this process has counted and timed; nil: nothing.
	Metrics *web.Metrics

	// Settings are those that the process runs with, to look at; what is secret is masked already.
	Settings []Setting

	// Background carries out what goes on when its page has been answered. The context that it gives ends with the server, which waits for
	// the function. nil means a goroutine that nobody waits for.
	Background func(func(context.Context))

	// ProofPause is the time between looks for a proof whose page is open. Default: 5 s.
	ProofPause time.Duration

	// Log gets what goes wrong in the background; nil means slog.Default.
	Log *slog.Logger
}

// Setting is one line of the configuration.
type Setting struct {
	Path  string // "crl.interval_minutes"
	Value string
}

// site is all pages of a process.
type site struct {
	ca          *ca.CA
	frame       *web.Frame
	router      chi.Routes
	assets      *assets
	languages   []*language
	templates   map[string]func() templates // by the tag of the language
	metrics     *web.Metrics
	settings    []Setting
	clientName  pki.Name
	desk        *handover.Desk
	acme        func() acmelines.Server
	acmeOpenApp string
	provider    Provider
	runs        *runs
	vigils      *vigils
}

// New returns the door.
func New(cfg Config) http.Handler {
	log := cmp.Or(cfg.Log, slog.Default())
	background := cfg.Background
	if background == nil {
		background = func(do func(context.Context)) { go do(context.Background()) }
	}
	s := &site{
		ca: cfg.CA, frame: cfg.Frame, clientName: cfg.ClientName, assets: loadAssets(), languages: loadLanguages(), metrics: cfg.Metrics, settings: cfg.Settings,
		desk: handover.New(cfg.CA, cfg.ClientName), acme: cfg.ACME, acmeOpenApp: cfg.ACMEOpenApp, provider: cfg.Provider,
		runs:   &runs{ca: cfg.CA, background: background, now: cfg.Frame.Now, log: log, all: make(map[string]*run)},
		vigils: &vigils{ca: cfg.CA, background: background, now: cfg.Frame.Now, log: log, pause: cmp.Or(cfg.ProofPause, 5*time.Second), all: make(map[claim]*vigil)},
	}
	if s.acme == nil {
		s.acme = func() acmelines.Server { return acmelines.Server{} }
	}
	if s.clientName.IsZero() {
		s.clientName = pki.RecordedName("callback.platform.internal")
	}
	s.templates = loadTemplates(s.languages, s.assets)
	r := cfg.Frame.Router()
	s.router = r
	r.Use(secure, http.NewCrossOriginProtection().Handler)
	r.NotFound(s.open(notFound))
	r.MethodNotAllowed(s.open(notFound))
	r.Get("/assets/*", s.assets.serve)
	r.Post("/language", s.open(chooseLanguage))
	r.Get("/signin", s.open(askSignIn))
	r.Get("/signin/{link}", s.open(askLink))
	if s.provider != nil {
		r.Get(providerPath, s.open(toProvider))
		r.Get(providerPath+"/back", s.open(fromProvider))
	}
	r.Post("/signin", s.open(signIn))
	r.Post("/signout", s.open(signOut))
	for _, route := range routes() {
		r.Method(route.method, route.path, s.signedIn(route.page))
	}
	return r
}

type route struct {
	method, path string
	page         func(*visit) error
}

// routes are the pages for whoever is signed in. What each of them may show and do is for the verbs of internal/ca to say.
func routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/", home},

		{get, "/apps/{app}", portal},
		{get, "/apps/{app}/new", askNew},
		{post, "/apps/{app}/new", issueNew},
		{get, "/apps/{app}/certificates/{serial}", own},
		{get, "/apps/{app}/certificates/{serial}/bundle", downloadBundle},
		{post, "/apps/{app}/certificates/{serial}/revoke", revokeOwn},
		{get, "/apps/{app}/domains/{name}", proof},
		{post, "/apps/{app}/domains/{name}", prove},
		{post, "/apps/{app}/domains/{name}/watch", watchProof},
		{post, "/apps/{app}/domains/{name}/again", proveAgain},
		{post, "/apps/{app}/domains/{name}/remove", removeName},
		{get, "/apps/{app}/check", askCheck},
		{post, "/apps/{app}/check", runCheck},
		{get, "/apps/{app}/checks/{check}", lookAtCheck},
		{get, "/apps/{app}/endpoints", endpoints},
		{post, "/apps/{app}/endpoints", addEndpoint},
		{get, "/apps/{app}/endpoints/{endpoint}", endpoint},
		{post, "/apps/{app}/endpoints/{endpoint}/remove", removeEndpoint},
		{post, "/apps/{app}/webhooks", createWebhook},
		{post, "/apps/{app}/webhooks/{webhook}/rotate", rotateWebhook},
		{post, "/apps/{app}/webhooks/{webhook}/test", testWebhook},
		{post, "/apps/{app}/webhooks/{webhook}/remove", removeWebhook},
		{get, "/apps/{app}/acme", askACME},
		{post, "/apps/{app}/acme", showACME},
		{get, "/apps/{app}/history", history},

		{get, "/console", overview},
		{get, "/console/certificates", certificates},
		{get, "/console/certificates.csv", export("text/csv; charset=utf-8", "certificates-*.csv", newCSV)},
		{get, "/console/certificates.json", export("application/json", "certificates-*.json", newJSON)},
		{post, "/console/certificates/saved", saveSearch},
		{get, "/console/certificates/{serial}", certificate},
		{get, "/console/certificates/{serial}/pem", downloadCertificate},
		{get, "/console/certificates/{serial}/revoke", askRevoke},
		{post, "/console/certificates/{serial}/revoke", revoke},
		{post, "/console/certificates/{serial}/release", release},
		{get, "/console/revoke", askBulk},
		{post, "/console/revoke/count", countBulk},
		{post, "/console/revoke/start", startBulk},
		{get, "/console/revoke/{run}", watchRun},
		{get, "/console/approvals", approvals},
		{get, "/console/approvals/{app}/{name}", approval},
		{post, "/console/approvals/{app}/{name}/approve", approve},
		{post, "/console/approvals/{app}/{name}/reject", reject},
		{post, "/console/approvals/{app}/{name}/transfer", transfer},
		{get, "/console/checks", checks},
		{get, "/console/checks/{check}", check},
		{get, "/console/apps", apps},
		{get, "/console/apps/new", newApp},
		{post, "/console/apps/new", createApp},
		{get, "/console/apps/{app}", app},
		{post, "/console/apps/{app}", changeApp},
		{post, "/console/apps/{app}/quotas", changeQuotas},
		{post, "/console/apps/{app}/tokens", createToken},
		{post, "/console/apps/{app}/eab", createEAB},
		{post, "/console/apps/{app}/tokens/{token}/revoke", revokeToken},
		{post, "/console/apps/{app}/tokens/{token}/rotate", rotateToken},
		{get, "/console/tokens", tokens},
		{post, "/console/tokens", makeToken},
		{post, "/console/tokens/{token}/revoke", endToken},
		{post, "/console/tokens/{token}/rotate", rotateToken},
		{get, "/console/events", events},
		{get, "/console/authorities", authorities},
		{get, "/console/settings", settings},
	}
}

// policy is the Content-Security-Policy of every page: all that a page needs comes from here, and nothing of it stands in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secure sets what tells browsers to be strict.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		// Not "no-referrer", with which a browser sends "Origin: null" along with our own forms.
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
