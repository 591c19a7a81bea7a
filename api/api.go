// Package api is the REST door: the routes under /v1, the contract and its page, and the client for them.
//
// It reads requests as openapi.yaml describes them, calls one verb of internal/ca for each, and writes what came of it. It is strict in what
// it takes: an unknown field or parameter, a wrong type, a second value, or anything behind the JSON is refused with its place, because
// whoever misspells "validity_days" wants to know it. The wire types are its own, shared by both sides, and held to openapi.yaml by tests.
//
// It decides nothing: who may do what, and which names are certified, is internal/ca's to say. Read it from the table in routes.
package api

import (
	"net/http"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the door is made of. CA and Frame are required.
type Config struct {
	CA    *ca.CA
	Frame *web.Frame

	// ClientName is the name in the platform's client certificate, which the handed-out configurations admit alone. Zero means
	// callback.platform.internal.
	ClientName pki.Name

	// ACME is the server as ACME clients reach it, at this moment: its roots roll over. Without a Directory: /acme/directory where each client says that
	// it went. nil: nothing is known of it.
	ACME func() acmelines.Server

	// ACMEOpenApp is the app whose ACME accounts need no credential; empty: all need one.
	ACMEOpenApp string
}

type door struct {
	ca      *ca.CA
	frame   *web.Frame
	desk    *handover.Desk
	acme    func() acmelines.Server
	openApp string
}

// New returns the door.
func New(cfg Config) http.Handler {
	d := &door{ca: cfg.CA, frame: cfg.Frame, desk: handover.New(cfg.CA, cfg.ClientName), acme: cfg.ACME, openApp: cfg.ACMEOpenApp}
	if d.acme == nil {
		d.acme = func() acmelines.Server { return acmelines.Server{} }
	}
	r := cfg.Frame.Router()
	for _, route := range d.routes() {
		r.Method(route.method, route.path, route.handler)
	}
	return r
}

type route struct {
	method, path string
	handler      http.Handler
}

// routes is the whole door. Each private route names the query parameters that it takes; the permission that it needs is named by the verb
// of internal/ca that it calls.
func (d *door) routes() []route {
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	page := docs()
	return []route{
		{post, "/v1/certificates", d.private(d.issueCertificate)},
		{get, "/v1/certificates", d.private(d.listCertificates, certificateFilters()...)},
		{get, "/v1/certificates/{serial}", d.private(d.readCertificate)},
		{post, "/v1/certificates/{serial}/revoke", d.revocation()},
		{post, "/v1/certificates/{serial}/release", d.private(d.releaseCertificate)},
		{post, "/v1/certificates/{serial}/renew", d.private(d.renewCertificate)},
		{post, "/v1/revocations", d.private(d.revokeFound)},
		{post, "/v1/replacements", d.private(d.planReplacements)},
		{get, "/v1/replacements", d.private(d.listReplacements, "app", "limit", "cursor")},

		{post, "/v1/domains", d.private(d.addDomain)},
		{get, "/v1/domains", d.private(d.listDomains, "app", "state", "suffix", "limit", "cursor")},
		{get, "/v1/domains/{name}", d.private(d.readDomain, "app")},
		{del, "/v1/domains/{name}", d.private(d.removeDomain, "app")},
		{post, "/v1/domains/{name}/verify", d.private(d.verifyDomain)},
		{post, "/v1/domains/{name}/approve", d.private(d.approveDomain)},
		{post, "/v1/domains/{name}/reject", d.private(d.rejectDomain)},
		{post, "/v1/domains/{name}/transfer", d.private(d.transferDomain)},
		{post, "/v1/domains/{name}/resolve", d.private(d.resolveDomain)},
		{post, "/v1/domains/{name}/revoke-others", d.private(d.revokeOthers)},

		{post, "/v1/checks", d.private(d.runCheck)},
		{get, "/v1/checks", d.private(d.listChecks, "app", "endpoint", "state", "limit", "cursor")},
		{get, "/v1/checks/{id}", d.private(d.readCheck)},
		{post, "/v1/endpoints", d.private(d.addEndpoint)},
		{get, "/v1/endpoints", d.private(d.listEndpoints, "app", "limit", "cursor")},
		{get, "/v1/endpoints/{id}", d.private(d.readEndpoint)},
		{del, "/v1/endpoints/{id}", d.private(d.removeEndpoint)},

		{post, "/v1/apps", d.private(d.createApp)},
		{get, "/v1/apps", d.private(d.listApps, "limit", "cursor")},
		{get, "/v1/apps/{id}", d.private(d.readApp)},
		{patch, "/v1/apps/{id}", d.private(d.changeApp)},
		{post, "/v1/apps/{id}/tokens", d.private(d.createAppToken)},
		{post, "/v1/apps/{id}/eab", d.private(d.createEAB)},
		{post, "/v1/apps/{id}/webhooks", d.private(d.createWebhook)},
		{get, "/v1/apps/{id}/webhooks", d.private(d.listWebhooks)},
		{del, "/v1/apps/{id}/webhooks/{webhook}", d.private(d.removeWebhook)},
		{post, "/v1/apps/{id}/webhooks/{webhook}/rotate", d.private(d.rotateWebhook)},
		{post, "/v1/apps/{id}/webhooks/{webhook}/test", d.private(d.testWebhook)},
		{post, "/v1/apps/{id}/roots", d.private(d.addAppRoot)},
		{get, "/v1/apps/{id}/roots", d.private(d.listAppRoots)},
		{del, "/v1/apps/{id}/roots/{fingerprint}", d.private(d.removeAppRoot)},
		{get, "/v1/apps/{id}/tokens", d.private(d.listAppTokens, "limit", "cursor")},
		{post, "/v1/tokens", d.private(d.createToken)},
		{get, "/v1/tokens", d.private(d.listTokens, "limit", "cursor")},
		{del, "/v1/tokens/{id}", d.private(d.revokeToken)},
		{post, "/v1/tokens/{id}/rotate", d.private(d.rotateToken)},

		{get, "/v1/events", d.private(d.listEvents, "app", "actor", "object", "action", "outcome", "after", "before", "limit", "cursor")},
		{get, "/v1/profiles", d.private(d.listProfiles)},
		{get, "/v1/authorities", d.private(d.listAuthorities)},
		{get, "/v1/whoami", d.private(d.whoami)},
		{post, "/v1/sign-in-links", d.private(d.createSignInLink)},
		{post, "/v1/sign-outs", d.private(d.endSessions)},

		{get, "/problems", d.frame.Public(listProblems)},
		{get, "/problems/{kind}", d.frame.Public(readProblem)},
		{get, "/healthz", d.frame.Public(d.frame.Live)},
		{get, "/readyz", d.frame.Public(d.frame.Ready(d.ca))},
		{get, "/openapi.yaml", d.frame.Public(contract)},
		{get, "/docs", d.frame.Public(page)},
		{get, "/docs/{part}", d.frame.Public(page)},
	}
}

// private makes a handler of one that gets the principal and the parameters of the query, of which it takes those with these names.
func (d *door) private(h func(*call) error, parameters ...string) http.Handler {
	return d.frame.Private(func(w http.ResponseWriter, r *http.Request, p ca.Principal) error {
		query, err := readQuery(r.URL.RawQuery, parameters)
		if err != nil {
			return err
		}
		return h(&call{w: w, r: r, principal: p, query: query})
	})
}
