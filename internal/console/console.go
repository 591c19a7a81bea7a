// Package console is the web pages: the operators' console, the developers' portal, and signing in.
//
// Every page is made on the server by html/template and works without JavaScript; the few scripts are our own and only make it quicker to
// use. A page reads and changes nothing but through the verbs of internal/ca, with whoever is signed in as the caller, so what is allowed,
// limited and audited here is what REST allows, limits and audits.
//
// It holds to these promises: no inline script or style and no request to anybody else (the Content-Security-Policy forbids both); no form
// is taken from another site; what somebody typed is shown as text, wherever it came from; every text for people stands in the catalogues
// of texts/, the same keys in every language.
//
// It decides nothing, and knows neither the database nor the other doors. Read it from the table in routes.
package console

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the pages are made of. CA, Frame and Sessions are required.
type Config struct {
	CA       *ca.CA
	Frame    *web.Frame
	Sessions Sessions
}

// Sessions tell who is signed in.
type Sessions interface {
	// Session turns the secret of a session's cookie, which is empty where there is none, into the principal whose session it is. A
	// session that is none, or is over, is a *ca.Error of KindUnauthenticated.
	Session(ctx context.Context, secret, address, requestID string) (ca.Principal, error)
}

// site is all pages of a process.
type site struct {
	ca        *ca.CA
	frame     *web.Frame
	sessions  Sessions
	assets    *assets
	languages []*language
	templates map[string]templates // by the tag of the language
}

// New returns the door.
func New(cfg Config) http.Handler {
	s := &site{ca: cfg.CA, frame: cfg.Frame, sessions: cfg.Sessions, assets: loadAssets(), languages: loadLanguages()}
	s.templates = loadTemplates(s.languages, s.assets)
	r := cfg.Frame.Router()
	r.Use(secure, http.NewCrossOriginProtection().Handler)
	r.NotFound(s.open(notFound))
	r.MethodNotAllowed(s.open(notFound))
	s.routes(r)
	return r
}

// routes is the whole door. Pages made with signedIn have a principal; those made with open are for everybody.
func (s *site) routes(r chi.Router) {
	r.Get("/assets/*", s.assets.serve)
	r.Post("/language", s.open(chooseLanguage))
	r.Get("/", s.signedIn(home))
	r.Get("/console", s.signedIn(overview))
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
