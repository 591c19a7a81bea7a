// Package acme is the door for ACME clients (RFC 8555): accounts, orders, authorizations, and the same ca.Issue as every other door's behind
// "finalize". An account acts for one app: what that app may have, by policy or proof, an order of the account gets, and events and rules are
// those of the app.
//
// It holds to these:
//
//   - A request counts once: its nonce is spent by a constraint of the database, so that any number of servers may answer, and none of them
//     forgets at a restart.
//   - An order makes one certificate at most, however often and wherever it is finalized: the order is the idempotency key of its issuance.
//   - What is checked when an order is made is checked again when it is issued, by internal/ca. An authorization here opens nothing by itself.
//
// It keeps records of its own (Store), and has no rule about names: who may have one is internal/ca's to say.
package acme

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the door is made of. CA, Frame, Store and NonceKey are required.
type Config struct {
	CA    *ca.CA
	Frame *web.Frame
	Store Store

	// NonceKey is the secret that marks nonces as ours, the same on every server of a database: see NonceKey.
	NonceKey []byte

	// URL is where clients find the server, "https://HOST[:PORT]". Empty: where each client says that it went.
	URL string

	// OpenApp is the app of accounts that come without an external account binding. Empty: they must have one.
	OpenApp string

	// Terms and Website are URLs for the directory; empty for none. With Terms, new accounts must agree to them.
	Terms, Website string

	// CAAIdentities are the names by which CAA records call this CA.
	CAAIdentities []string

	// Limits bound what one account, address or app may do. The zero value bounds nothing.
	Limits Limits

	// Pauses are those between the looks at a challenge that may still come right; nil means 2, 3, 5, 10 and 15 s.
	Pauses []time.Duration

	// Go runs what goes on after its request was answered: a look at a challenge. The context ends with the server. nil: a goroutine of its own.
	Go func(task func(ctx context.Context))

	// Log gets the faults that no client is told; nil means slog.Default.
	Log *slog.Logger
}

type door struct {
	Config
	profiles map[string]string              // of developers' certificates, with their descriptions
	issuers  ca.PerRoster[map[string]chain] // by the name of the authority
}

// New returns the door. Its paths begin with /acme/.
func New(cfg Config) http.Handler {
	d := &door{Config: cfg, profiles: profiles(cfg.CA)}
	d.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Go == nil {
		d.Go = func(task func(context.Context)) { go task(context.Background()) }
	}
	if cfg.Pauses == nil {
		d.Pauses = []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}
	}
	r := cfg.Frame.Router()
	r.NotFound(d.public(func(http.ResponseWriter, *http.Request) error {
		return web.Refuse(web.KindNoRoute, "Nothing is served here: take every URL from the directory or from an answer, and build none.")
	}))
	r.Get(pathDirectory, d.public(d.directory))
	r.Get(pathNewNonce, d.public(d.newNonce))
	r.Get(pathRenewalInfo+"/{certID}", d.public(d.renewalInfo))
	for path, h := range map[string]func(*request) error{
		pathNewOrder:                     d.newOrder,
		pathNewAuthz:                     d.newAuthorization,
		pathKeyChange:                    d.changeKey,
		pathAccount + "/{id}":            d.account,
		pathAccount + "/{id}/orders":     d.listOrders,
		pathOrder + "/{id}":              d.readOrder,
		pathOrder + "/{id}/finalize":     d.finalize,
		pathAuthz + "/{id}":              d.authorization,
		pathChallenge + "/{id}/{method}": d.challenge,
		pathCertificate + "/{serial}":    d.certificate,
	} {
		r.Post(path, d.byAccount(h))
	}
	r.Post(pathNewAccount, d.byKey(d.newAccount))
	r.Post(pathRevoke, d.byEither(d.revoke))
	return r
}

// The paths. Clients learn them from the directory.
const (
	pathDirectory   = "/acme/directory"
	pathNewNonce    = "/acme/new-nonce"
	pathNewAccount  = "/acme/new-account"
	pathNewOrder    = "/acme/new-order"
	pathNewAuthz    = "/acme/new-authz"
	pathRevoke      = "/acme/revoke-cert"
	pathKeyChange   = "/acme/key-change"
	pathRenewalInfo = "/acme/renewal-info"
	pathAccount     = "/acme/account"
	pathOrder       = "/acme/order"
	pathAuthz       = "/acme/authz"
	pathChallenge   = "/acme/challenge"
	pathCertificate = "/acme/cert"
)

// url is a path of ours as the client must call it.
func (d *door) url(r *http.Request, path string) string {
	if d.URL != "" {
		return d.URL + path
	}
	return "https://" + r.Host + path
}

// directory is where clients begin (RFC 8555, Section 7.1.1).
func (d *door) directory(w http.ResponseWriter, r *http.Request) error {
	meta := map[string]any{
		"externalAccountRequired": d.OpenApp == "",
		"profiles":                d.profiles, // draft-ietf-acme-profiles
	}
	for name, value := range map[string]string{"termsOfService": d.Terms, "website": d.Website} {
		if value != "" {
			meta[name] = value
		}
	}
	if len(d.CAAIdentities) > 0 {
		meta["caaIdentities"] = d.CAAIdentities
	}
	directory := map[string]any{"meta": meta}
	for name, path := range map[string]string{
		"newNonce": pathNewNonce, "newAccount": pathNewAccount, "newOrder": pathNewOrder, "newAuthz": pathNewAuthz,
		"revokeCert": pathRevoke, "keyChange": pathKeyChange, "renewalInfo": pathRenewalInfo,
	} {
		directory[name] = d.url(r, path)
	}
	return answer(w, http.StatusOK, directory)
}

// newNonce gives a nonce alone (RFC 8555, Section 7.2): public has put it into the header.
func (d *door) newNonce(w http.ResponseWriter, r *http.Request) error {
	status := http.StatusNoContent
	if r.Method == http.MethodHead {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	return nil
}

// now is the time in the microseconds that every database keeps.
func (d *door) now() time.Time { return d.Frame.Now().UTC().Truncate(time.Microsecond) }

func param(r *http.Request, name string) string { return chi.URLParam(r, name) }
