// Package ca is the certificate authority of an instant-messaging platform: its nouns, its rules, and the contract of what must be
// durable (Store).
//
// It holds to these promises, each of which has a test that fails without it:
//
//   - Record, sign, prove, deliver. What is to be signed is committed before the key is used, and the certificate before a byte of it
//     leaves; a row that stopped half-way is pending, listed, and revocable.
//   - Authorizing and auditing are one call (CA.authorize): what a role is not given by name is refused, and an act whose event cannot be
//     written does not happen.
//   - A revocation is told within two seconds, by the list of its authority and by OCSP, whichever process is asked; a list never goes back,
//     never lapses while one process runs, and names every revoked certificate until after its end.
//   - A developer's certificate can never play the platform: only an operator may have a client certificate issued. Those that the CA makes for
//     itself, to knock on developers' doors with (Canaries), never leave the process.
//   - Who is to issue tomorrow is trusted today: an authority stands by, and is tried at developers' doors, before it issues. A process that is a moment
//     behind a promotion issues by the authority of before, which is as good.
//   - The clock is asked once in each verb, and the answer passed down.
//
// It does not speak HTTP, hold SQL or use a key: doors call its verbs with the caller as an argument, internal/store keeps its records, and
// internal/issuer signs. Read it from Issue.
package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/imca-project/imca/internal/issuer"
)

// Config is what a CA is made of. Store and Issuers are required; the zero value of the rest works.
type Config struct {
	Store Store

	// Issuers are the authorities that this process can speak for, in the order of their making: parents first. Each profile is issued by one.
	Issuers []*issuer.Issuer

	// Open builds the issuers of recorded authorities, as Load does, and Recorded are those that Issuers were built of. With Open the CA follows what
	// others change in the records (KeepAuthorities); without, it stays with Issuers.
	Open     func(authorities []Authority) ([]*issuer.Issuer, error)
	Recorded []Authority

	// Names is the operator's policy on names, beyond what each app is allowed.
	Names NamePolicy

	// Domains say how apps come to names.
	Domains DomainRules

	// Identify tells whose a token of an identity provider is: three parts with dots between, as all JWTs are. What does not count is an
	// *Error. nil: there is no provider.
	Identify func(ctx context.Context, token string) (Identity, error)

	// Recognize tells whose machine shows a chain of client certificates, the leaf first, at a time. It checks the chain too. What does not
	// count is an *Error. nil: machines need tokens.
	Recognize func(chain []*x509.Certificate, now time.Time) (Identity, error)

	// Checks say how developers' doors are looked at.
	Checks CheckRules

	// Webhooks say how apps are told of it.
	Webhooks WebhookRules

	// KeyMakers bounds the RSA keys that are made at once, so that a burst of RSA-4096 (0.7 s of one core each) cannot starve the rest.
	// Zero means half of the processors, at least one.
	KeyMakers int

	// CRLs says when revocation lists are published; every hour, good for 7 days, when zero.
	CRLs CRLSchedule

	// Observe, if not nil, is called when somebody asks for a certificate, through whatever door, and what it returns when that has
	// ended: for metrics. The profile is one that an authority here issues, or "unknown". Neither call may block.
	Observe func(profile string) (ended func(Result))

	// Now tells the time; nil means time.Now.
	Now func() time.Time

	// Log gets what no caller can be told; nil means slog.Default.
	Log *slog.Logger
}

// CA is the authority. Its methods are safe for concurrent use, and several of them, in several processes, may share one database.
type CA struct {
	store      Store
	open       func(authorities []Authority) ([]*issuer.Issuer, error)
	current    atomic.Pointer[roster]
	following  following
	names      NamePolicy
	rules      DomainRules
	identify   func(ctx context.Context, token string) (Identity, error)
	recognize  func(chain []*x509.Certificate, now time.Time) (Identity, error)
	keyMakers  chan struct{}
	schedule   CRLSchedule
	checks     CheckRules
	checking   *checking
	webhooks   WebhookRules
	delivering *checking
	aviary     aviary
	watched    atomic.Pointer[[]RevocationReport]
	figures    keptFigures
	probes     chan struct{} // bounds what is asked of strangers' servers at once
	observe    func(profile string) (ended func(Result))
	now        func() time.Time
	log        *slog.Logger
}

// New returns the authority over a store. It fails when two issuers share a name or a profile, or when the schedule of the revocation lists
// leaves no time to mend what goes wrong.
func New(cfg Config) (*CA, error) {
	c := &CA{
		store:      cfg.Store,
		open:       cfg.Open,
		following:  following{all: cfg.Recorded},
		names:      cfg.Names,
		rules:      cfg.Domains.withDefaults(),
		checks:     cfg.Checks.withDefaults(),
		webhooks:   cfg.Webhooks,
		delivering: newChecking(deliveriesAtOnce),
		aviary:     aviary{kept: make(map[string]canary)},
		identify:   cfg.Identify,
		recognize:  cfg.Recognize,
		probes:     make(chan struct{}, 64),
		observe:    cfg.Observe,
		now:        cfg.Now,
		log:        cmp.Or(cfg.Log, slog.Default()),
	}
	c.checking = newChecking(c.checks.Concurrency)
	if c.webhooks.Observe == nil {
		c.webhooks.Observe = func(bool) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.observe == nil {
		c.observe = func(string) func(Result) { return func(Result) {} }
	}
	makers := cfg.KeyMakers
	if makers <= 0 {
		makers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	c.keyMakers = make(chan struct{}, makers)

	var err error
	if c.schedule, err = cfg.CRLs.Validate(); err != nil {
		return nil, err
	}

	c.store = noticing{cfg.Store, func() {
		for _, r := range c.roster().responders {
			r.known.forget()
		}
	}}
	first, err := newRoster(cfg.Issuers, nil)
	if err != nil {
		return nil, err
	}
	c.current.Store(first)
	return c, nil
}

// Ready tells whether the CA can do its work: the database answers, and at least one authority is loaded.
func (c *CA) Ready(ctx context.Context) error {
	if len(c.Issuers()) == 0 {
		return fmt.Errorf("no authority is loaded: run 'imca init' first")
	}
	return c.store.Ping(ctx)
}

// clock is the time of a verb: UTC, in the microseconds that every database keeps.
func (c *CA) clock() time.Time { return inMicros(c.now()) }

func inMicros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
