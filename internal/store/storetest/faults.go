package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Faults is a store that fails when told to, in both ways that a store can: the change did not happen, or it did and only the answer was lost.
// Tests walk Methods with both, and look at every invariant after each.
type Faults struct {
	store ca.Store
	switches
}

// switches decide about each call of a store whether it fails.
type switches struct {
	methods []string // those that there are

	mu     sync.Mutex
	armed  map[string]Fault
	called []string
}

// Fault is a way to fail.
type Fault int

// The ways to fail.
const (
	DidNotHappen Fault = iota + 1
	DidHappen
)

func (f Fault) String() string {
	if f == DidHappen {
		return "but did happen"
	}
	return "and did not happen"
}

// ErrFault is what a store that was told to fail answers.
var ErrFault = errors.New("a fault of the test's making")

// Methods are the names of all methods of ca.Store.
func Methods() []string {
	return []string{
		"RecordCertificate", "CommitSignature", "Certificate", "ListCertificates", "CountCertificates", "RevokeCertificate", "RaiseRevocation",
		"FindCertificates", "RevokeCertificates", "ReleaseCertificate", "KeyBlocked",
		"Standing", "ListRevoked", "ListUnpublished", "ListCRLStates", "CRL", "PublishCRL",
		"CreateApp", "App", "ListApps", "ChangeApp",
		"CreateDomain", "Domain", "Domains", "ListDomains", "ChangeDomains", "DueDomains", "LeaseDomain",
		"TakeQuota", "GiveBackQuota", "ForgetQuotas",
		"CreateToken", "TokenByHash", "TouchToken", "ListTokens", "Token", "RotateToken", "RevokeToken",
		"CreateSession", "BeginSession", "SessionByHash", "TouchSession", "EndSession", "EndSessions", "ForgetSessions",
		"CreateAuthorities", "ChangeKeyRef", "ChangeAuthorities", "ListAuthorities",
		"RecordEvent", "ListEvents", "ForgetClaims",
		"CreateCheck", "Check", "ListChecks", "DueChecks", "LeaseCheck", "FinishCheck", "ForgetChecks",
		"CreateEndpoint", "Endpoint", "EndpointAt", "ListEndpoints", "RemoveEndpoint", "DueEndpoints", "ScheduleCheck", "HastenEndpoints",
		"CreateWebhook", "Webhook", "ListWebhooks", "RotateWebhook", "RemoveWebhook", "QueueNotice", "DueDeliveries", "LeaseDelivery", "EndDelivery",
		"AddAppRoot", "ListAppRoots", "RemoveAppRoot",
		"PlanReplacements", "Replacement", "ListReplacements", "ForgetReplacements",
		"Ping",
	}
}

// NewFaults wraps a store; it does what that one does until it is told to fail.
func NewFaults(store ca.Store) *Faults {
	return &Faults{store: store, switches: switches{methods: Methods(), armed: make(map[string]Fault)}}
}

var _ ca.Store = (*Faults)(nil)

// Arm makes the next call of a method fail, and that one only.
func (f *switches) Arm(method string, fault Fault) {
	if !slices.Contains(f.methods, method) {
		panic("storetest: the store has no method " + method)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[method] = fault
}

// Called are the methods called since the last time it was asked, in order.
func (f *switches) Called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	called := f.called
	f.called = nil
	return called
}

// do makes a call of a method, or fails in the way that was armed. A call that fails by itself keeps its own error.
func (f *switches) do(method string, call func() error) error {
	f.mu.Lock()
	fault := f.armed[method]
	delete(f.armed, method)
	f.called = append(f.called, method)
	f.mu.Unlock()
	if fault == DidNotHappen {
		return ErrFault
	}
	err := call()
	if err == nil && fault == DidHappen {
		return ErrFault
	}
	return err
}

// ask is do for a method that answers something, which gets lost with a fault.
func ask[A any](f interface {
	do(method string, call func() error) error
}, method string, call func() (A, error)) (A, error) {
	var answer, none A
	err := f.do(method, func() (err error) {
		answer, err = call()
		return err
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}

// RecordCertificate implements ca.Store, like all methods below.
func (f *Faults) RecordCertificate(ctx context.Context, c *ca.Certificate, act ca.Act) error {
	return f.do("RecordCertificate", func() error { return f.store.RecordCertificate(ctx, c, act) })
}

func (f *Faults) CommitSignature(ctx context.Context, serial pki.Serial, signature []byte, fingerprint [32]byte, at time.Time) error {
	return f.do("CommitSignature", func() error { return f.store.CommitSignature(ctx, serial, signature, fingerprint, at) })
}

func (f *Faults) Certificate(ctx context.Context, serial pki.Serial) (*ca.Certificate, error) {
	return ask(f, "Certificate", func() (*ca.Certificate, error) { return f.store.Certificate(ctx, serial) })
}

func (f *Faults) ListCertificates(ctx context.Context, q ca.CertificateQuery) (ca.CertificatePage, error) {
	return ask(f, "ListCertificates", func() (ca.CertificatePage, error) { return f.store.ListCertificates(ctx, q) })
}

func (f *Faults) CountCertificates(ctx context.Context, what ca.Occurrence, bounds []time.Time) ([]int, error) {
	return ask(f, "CountCertificates", func() ([]int, error) { return f.store.CountCertificates(ctx, what, bounds) })
}

func (f *Faults) RevokeCertificate(ctx context.Context, serial pki.Serial, r ca.Revocation, act ca.Act) error {
	return f.do("RevokeCertificate", func() error { return f.store.RevokeCertificate(ctx, serial, r, act) })
}

func (f *Faults) RaiseRevocation(ctx context.Context, serial pki.Serial, from, to pki.Reason, act ca.Act) error {
	return f.do("RaiseRevocation", func() error { return f.store.RaiseRevocation(ctx, serial, from, to, act) })
}

func (f *Faults) FindCertificates(ctx context.Context, serials []pki.Serial) ([]*ca.Certificate, error) {
	return ask(f, "FindCertificates", func() ([]*ca.Certificate, error) { return f.store.FindCertificates(ctx, serials) })
}

func (f *Faults) RevokeCertificates(ctx context.Context, serials []pki.Serial, r ca.Revocation, over []pki.Reason, events []ca.Event, act ca.Act) ([]pki.Serial, error) {
	return ask(f, "RevokeCertificates", func() ([]pki.Serial, error) {
		return f.store.RevokeCertificates(ctx, serials, r, over, events, act)
	})
}

func (f *Faults) ReleaseCertificate(ctx context.Context, serial pki.Serial, act ca.Act) error {
	return f.do("ReleaseCertificate", func() error { return f.store.ReleaseCertificate(ctx, serial, act) })
}

func (f *Faults) KeyBlocked(ctx context.Context, spki [32]byte) (bool, error) {
	return ask(f, "KeyBlocked", func() (bool, error) { return f.store.KeyBlocked(ctx, spki) })
}

func (f *Faults) Standing(ctx context.Context, serial pki.Serial) (ca.Standing, error) {
	return ask(f, "Standing", func() (ca.Standing, error) { return f.store.Standing(ctx, serial) })
}

func (f *Faults) ListRevoked(ctx context.Context, q ca.RevokedQuery) ([]ca.Revoked, error) {
	return ask(f, "ListRevoked", func() ([]ca.Revoked, error) { return f.store.ListRevoked(ctx, q) })
}

func (f *Faults) ListUnpublished(ctx context.Context, authority string, limit int) ([]ca.Unpublished, error) {
	return ask(f, "ListUnpublished", func() ([]ca.Unpublished, error) { return f.store.ListUnpublished(ctx, authority, limit) })
}

func (f *Faults) ListCRLStates(ctx context.Context) ([]ca.CRLState, error) {
	return ask(f, "ListCRLStates", func() ([]ca.CRLState, error) { return f.store.ListCRLStates(ctx) })
}

func (f *Faults) CRL(ctx context.Context, authority string, earlier *ca.CRL) (*ca.CRL, error) {
	return ask(f, "CRL", func() (*ca.CRL, error) { return f.store.CRL(ctx, authority, earlier) })
}

func (f *Faults) PublishCRL(ctx context.Context, c *ca.CRL, previous int64, changed []int, shown []ca.Unpublished, act ca.Act) error {
	return f.do("PublishCRL", func() error { return f.store.PublishCRL(ctx, c, previous, changed, shown, act) })
}

func (f *Faults) CreateApp(ctx context.Context, a ca.App, act ca.Act) error {
	return f.do("CreateApp", func() error { return f.store.CreateApp(ctx, a, act) })
}

func (f *Faults) App(ctx context.Context, id string) (ca.App, error) {
	return ask(f, "App", func() (ca.App, error) { return f.store.App(ctx, id) })
}

func (f *Faults) ListApps(ctx context.Context, after string, limit int) ([]ca.App, error) {
	return ask(f, "ListApps", func() ([]ca.App, error) { return f.store.ListApps(ctx, after, limit) })
}

func (f *Faults) ChangeApp(ctx context.Context, a ca.App, act ca.Act) error {
	return f.do("ChangeApp", func() error { return f.store.ChangeApp(ctx, a, act) })
}

func (f *Faults) CreateDomain(ctx context.Context, d ca.Domain, most int, act ca.Act) error {
	return f.do("CreateDomain", func() error { return f.store.CreateDomain(ctx, d, most, act) })
}

func (f *Faults) Domain(ctx context.Context, app string, n pki.Name) (ca.Domain, error) {
	return ask(f, "Domain", func() (ca.Domain, error) { return f.store.Domain(ctx, app, n) })
}

func (f *Faults) Domains(ctx context.Context, names []pki.Name) ([]ca.Domain, error) {
	return ask(f, "Domains", func() ([]ca.Domain, error) { return f.store.Domains(ctx, names) })
}

func (f *Faults) ListDomains(ctx context.Context, q ca.DomainQuery) ([]ca.Domain, error) {
	return ask(f, "ListDomains", func() ([]ca.Domain, error) { return f.store.ListDomains(ctx, q) })
}

func (f *Faults) ChangeDomains(ctx context.Context, remove, keep []ca.Domain, act ca.Act) error {
	return f.do("ChangeDomains", func() error { return f.store.ChangeDomains(ctx, remove, keep, act) })
}

func (f *Faults) DueDomains(ctx context.Context, now time.Time, limit int) ([]ca.Domain, error) {
	return ask(f, "DueDomains", func() ([]ca.Domain, error) { return f.store.DueDomains(ctx, now, limit) })
}

func (f *Faults) LeaseDomain(ctx context.Context, d ca.Domain, until time.Time) error {
	return f.do("LeaseDomain", func() error { return f.store.LeaseDomain(ctx, d, until) })
}

func (f *Faults) TakeQuota(ctx context.Context, quotas []ca.Quota, now time.Time) (full int, wait time.Duration, err error) {
	err = f.do("TakeQuota", func() (err error) {
		full, wait, err = f.store.TakeQuota(ctx, quotas, now)
		return err
	})
	return full, wait, err
}

func (f *Faults) GiveBackQuota(ctx context.Context, quotas []ca.Quota) error {
	return f.do("GiveBackQuota", func() error { return f.store.GiveBackQuota(ctx, quotas) })
}

func (f *Faults) ForgetQuotas(ctx context.Context, before time.Time) error {
	return f.do("ForgetQuotas", func() error { return f.store.ForgetQuotas(ctx, before) })
}

func (f *Faults) CreateToken(ctx context.Context, t ca.Token, act ca.Act) error {
	return f.do("CreateToken", func() error { return f.store.CreateToken(ctx, t, act) })
}

func (f *Faults) TokenByHash(ctx context.Context, hash [32]byte) (ca.Token, error) {
	return ask(f, "TokenByHash", func() (ca.Token, error) { return f.store.TokenByHash(ctx, hash) })
}

func (f *Faults) TouchToken(ctx context.Context, id string, at time.Time) error {
	return f.do("TouchToken", func() error { return f.store.TouchToken(ctx, id, at) })
}

func (f *Faults) ListTokens(ctx context.Context, app, after string, limit int) ([]ca.Token, error) {
	return ask(f, "ListTokens", func() ([]ca.Token, error) { return f.store.ListTokens(ctx, app, after, limit) })
}

func (f *Faults) Token(ctx context.Context, id string) (ca.Token, error) {
	return ask(f, "Token", func() (ca.Token, error) { return f.store.Token(ctx, id) })
}

func (f *Faults) RotateToken(ctx context.Context, id string, now, end time.Time, successor ca.Token, act ca.Act) error {
	return f.do("RotateToken", func() error { return f.store.RotateToken(ctx, id, now, end, successor, act) })
}

func (f *Faults) RevokeToken(ctx context.Context, id string, at time.Time, act ca.Act) error {
	return f.do("RevokeToken", func() error { return f.store.RevokeToken(ctx, id, at, act) })
}

func (f *Faults) CreateSession(ctx context.Context, s ca.Session, act ca.Act) error {
	return f.do("CreateSession", func() error { return f.store.CreateSession(ctx, s, act) })
}

func (f *Faults) BeginSession(ctx context.Context, link [32]byte, s ca.Session, act ca.Act) error {
	return f.do("BeginSession", func() error { return f.store.BeginSession(ctx, link, s, act) })
}

func (f *Faults) SessionByHash(ctx context.Context, hash [32]byte) (ca.Session, error) {
	return ask(f, "SessionByHash", func() (ca.Session, error) { return f.store.SessionByHash(ctx, hash) })
}

func (f *Faults) TouchSession(ctx context.Context, id string, at time.Time) error {
	return f.do("TouchSession", func() error { return f.store.TouchSession(ctx, id, at) })
}

func (f *Faults) EndSession(ctx context.Context, id string, act ca.Act) error {
	return f.do("EndSession", func() error { return f.store.EndSession(ctx, id, act) })
}

func (f *Faults) EndSessions(ctx context.Context, token string, act ca.Act) (int, error) {
	return ask(f, "EndSessions", func() (int, error) { return f.store.EndSessions(ctx, token, act) })
}

func (f *Faults) ForgetSessions(ctx context.Context, end, idle time.Time) error {
	return f.do("ForgetSessions", func() error { return f.store.ForgetSessions(ctx, end, idle) })
}

func (f *Faults) CreateAuthorities(ctx context.Context, as []ca.Authority, act ca.Act) error {
	return f.do("CreateAuthorities", func() error { return f.store.CreateAuthorities(ctx, as, act) })
}

func (f *Faults) ChangeKeyRef(ctx context.Context, name, from, to string, act ca.Act) error {
	return f.do("ChangeKeyRef", func() error { return f.store.ChangeKeyRef(ctx, name, from, to, act) })
}

func (f *Faults) ChangeAuthorities(ctx context.Context, from, to []ca.Authority, act ca.Act) error {
	return f.do("ChangeAuthorities", func() error { return f.store.ChangeAuthorities(ctx, from, to, act) })
}

func (f *Faults) ListAuthorities(ctx context.Context) ([]ca.Authority, error) {
	return ask(f, "ListAuthorities", func() ([]ca.Authority, error) { return f.store.ListAuthorities(ctx) })
}

func (f *Faults) RecordEvent(ctx context.Context, e ca.Event) error {
	return f.do("RecordEvent", func() error { return f.store.RecordEvent(ctx, e) })
}

func (f *Faults) ListEvents(ctx context.Context, q ca.EventQuery) ([]ca.Event, error) {
	return ask(f, "ListEvents", func() ([]ca.Event, error) { return f.store.ListEvents(ctx, q) })
}

func (f *Faults) ForgetClaims(ctx context.Context, before time.Time) error {
	return f.do("ForgetClaims", func() error { return f.store.ForgetClaims(ctx, before) })
}

func (f *Faults) Ping(ctx context.Context) error {
	return f.do("Ping", func() error { return f.store.Ping(ctx) })
}

func (f *Faults) CreateCheck(ctx context.Context, k ca.Check, act ca.Act) error {
	return f.do("CreateCheck", func() error { return f.store.CreateCheck(ctx, k, act) })
}

func (f *Faults) Check(ctx context.Context, id string) (ca.Check, error) {
	return ask(f, "Check", func() (ca.Check, error) { return f.store.Check(ctx, id) })
}

func (f *Faults) ListChecks(ctx context.Context, q ca.CheckQuery) ([]ca.Check, error) {
	return ask(f, "ListChecks", func() ([]ca.Check, error) { return f.store.ListChecks(ctx, q) })
}

func (f *Faults) DueChecks(ctx context.Context, now time.Time, limit int) ([]ca.Check, error) {
	return ask(f, "DueChecks", func() ([]ca.Check, error) { return f.store.DueChecks(ctx, now, limit) })
}

func (f *Faults) LeaseCheck(ctx context.Context, k ca.Check, until time.Time) error {
	return f.do("LeaseCheck", func() error { return f.store.LeaseCheck(ctx, k, until) })
}

func (f *Faults) FinishCheck(ctx context.Context, k ca.Check, end ca.CheckEnd, act ca.Act) error {
	return f.do("FinishCheck", func() error { return f.store.FinishCheck(ctx, k, end, act) })
}

func (f *Faults) ForgetChecks(ctx context.Context, before time.Time) error {
	return f.do("ForgetChecks", func() error { return f.store.ForgetChecks(ctx, before) })
}

func (f *Faults) CreateEndpoint(ctx context.Context, e ca.Endpoint, most int, act ca.Act) error {
	return f.do("CreateEndpoint", func() error { return f.store.CreateEndpoint(ctx, e, most, act) })
}

func (f *Faults) Endpoint(ctx context.Context, id string) (ca.Endpoint, error) {
	return ask(f, "Endpoint", func() (ca.Endpoint, error) { return f.store.Endpoint(ctx, id) })
}

func (f *Faults) EndpointAt(ctx context.Context, app, url string) (ca.Endpoint, error) {
	return ask(f, "EndpointAt", func() (ca.Endpoint, error) { return f.store.EndpointAt(ctx, app, url) })
}

func (f *Faults) ListEndpoints(ctx context.Context, q ca.EndpointQuery) ([]ca.Endpoint, error) {
	return ask(f, "ListEndpoints", func() ([]ca.Endpoint, error) { return f.store.ListEndpoints(ctx, q) })
}

func (f *Faults) RemoveEndpoint(ctx context.Context, id string, act ca.Act) error {
	return f.do("RemoveEndpoint", func() error { return f.store.RemoveEndpoint(ctx, id, act) })
}

func (f *Faults) DueEndpoints(ctx context.Context, now time.Time, limit int) ([]ca.Endpoint, error) {
	return ask(f, "DueEndpoints", func() ([]ca.Endpoint, error) { return f.store.DueEndpoints(ctx, now, limit) })
}

func (f *Faults) ScheduleCheck(ctx context.Context, e ca.Endpoint, next time.Time, k ca.Check, act ca.Act) error {
	return f.do("ScheduleCheck", func() error { return f.store.ScheduleCheck(ctx, e, next, k, act) })
}

func (f *Faults) HastenEndpoints(ctx context.Context, due time.Time) error {
	return f.do("HastenEndpoints", func() error { return f.store.HastenEndpoints(ctx, due) })
}

func (f *Faults) CreateWebhook(ctx context.Context, w ca.Webhook, most int, act ca.Act) error {
	return f.do("CreateWebhook", func() error { return f.store.CreateWebhook(ctx, w, most, act) })
}

func (f *Faults) Webhook(ctx context.Context, id string) (ca.Webhook, error) {
	return ask(f, "Webhook", func() (ca.Webhook, error) { return f.store.Webhook(ctx, id) })
}

func (f *Faults) ListWebhooks(ctx context.Context, app string) ([]ca.Webhook, error) {
	return ask(f, "ListWebhooks", func() ([]ca.Webhook, error) { return f.store.ListWebhooks(ctx, app) })
}

func (f *Faults) RotateWebhook(ctx context.Context, w ca.Webhook, act ca.Act) error {
	return f.do("RotateWebhook", func() error { return f.store.RotateWebhook(ctx, w, act) })
}

func (f *Faults) RemoveWebhook(ctx context.Context, id string, act ca.Act) error {
	return f.do("RemoveWebhook", func() error { return f.store.RemoveWebhook(ctx, id, act) })
}

func (f *Faults) QueueNotice(ctx context.Context, webhook string, n ca.Notice, act ca.Act) error {
	return f.do("QueueNotice", func() error { return f.store.QueueNotice(ctx, webhook, n, act) })
}

func (f *Faults) DueDeliveries(ctx context.Context, now time.Time, limit int) ([]ca.Delivery, error) {
	return ask(f, "DueDeliveries", func() ([]ca.Delivery, error) { return f.store.DueDeliveries(ctx, now, limit) })
}

func (f *Faults) LeaseDelivery(ctx context.Context, d ca.Delivery, until time.Time) error {
	return f.do("LeaseDelivery", func() error { return f.store.LeaseDelivery(ctx, d, until) })
}

func (f *Faults) EndDelivery(ctx context.Context, d ca.Delivery, a ca.Attempt, events []ca.Event) error {
	return f.do("EndDelivery", func() error { return f.store.EndDelivery(ctx, d, a, events) })
}

func (f *Faults) AddAppRoot(ctx context.Context, r ca.AppRoot, most int, act ca.Act) error {
	return f.do("AddAppRoot", func() error { return f.store.AddAppRoot(ctx, r, most, act) })
}

func (f *Faults) ListAppRoots(ctx context.Context, app string) ([]ca.AppRoot, error) {
	return ask(f, "ListAppRoots", func() ([]ca.AppRoot, error) { return f.store.ListAppRoots(ctx, app) })
}

func (f *Faults) RemoveAppRoot(ctx context.Context, app string, fingerprint [32]byte, act ca.Act) error {
	return f.do("RemoveAppRoot", func() error { return f.store.RemoveAppRoot(ctx, app, fingerprint, act) })
}

func (f *Faults) PlanReplacements(ctx context.Context, serials []pki.Serial, by time.Time, act ca.Act) error {
	return f.do("PlanReplacements", func() error { return f.store.PlanReplacements(ctx, serials, by, act) })
}

func (f *Faults) Replacement(ctx context.Context, serial pki.Serial) (ca.Replacement, error) {
	return ask(f, "Replacement", func() (ca.Replacement, error) { return f.store.Replacement(ctx, serial) })
}

func (f *Faults) ListReplacements(ctx context.Context, q ca.ReplacementQuery) ([]ca.Replacement, error) {
	return ask(f, "ListReplacements", func() ([]ca.Replacement, error) { return f.store.ListReplacements(ctx, q) })
}

func (f *Faults) ForgetReplacements(ctx context.Context, before time.Time) error {
	return f.do("ForgetReplacements", func() error { return f.store.ForgetReplacements(ctx, before) })
}
