package ca_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// checkMethods are the methods that only checks of endpoints call.
func checkMethods() []string {
	return []string{
		"CreateCheck", "Check", "ListChecks", "DueChecks", "LeaseCheck", "FinishCheck", "ForgetChecks",
		"CreateEndpoint", "Endpoint", "EndpointAt", "ListEndpoints", "RemoveEndpoint", "DueEndpoints", "ScheduleCheck", "HastenEndpoints",
		"CreateWebhook", "Webhook", "ListWebhooks", "RotateWebhook", "RemoveWebhook", "QueueNotice", "DueDeliveries", "LeaseDelivery", "EndDelivery",
		"AddAppRoot", "ListAppRoots", "RemoveAppRoot",
	}
}

// Every method of the store fails, in both ways, in the middle of a CA's life. Whatever the callers were told, the records hold together:
// then, after the program was opened again, and after it went on.
func TestStoreFails(t *testing.T) {
	for name, fresh := range databases {
		for _, method := range storetest.Methods() {
			if slices.Contains(checkMethods(), method) {
				continue
			}
			// Each has a database of its own: to look at everything that is stored is quick while there is little.
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				f, _ := proving(t, fresh(t), ca.PolicyProve, func(r *ca.DomainRules) {
					r.ProofLife = 90 * time.Minute
					r.Quotas = ca.Quotas{CertificatesPerWeek: 10_000, ProofsPerHour: 10_000}
					r.Prove = func(context.Context, ca.Method, pki.Name, string, string) error { return nil }
				})
				f.failing(method, f.live, func(_ []string, again told) {
					require.Len(t, again.issued, 2)
					f.requireCRL(rootName)
				})
			})
		}
	}
}

// The same while endpoints are checked: the methods that do that, and those by which its canaries come about.
func TestStoreFailsWhileChecking(t *testing.T) {
	for name, fresh := range databases {
		for _, method := range append(checkMethods(), "RecordCertificate", "CommitSignature", "RevokeCertificate", "App") {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				f, d := checkingFixture(t, fresh(t))
				d.answer(func(ca.Visit) (ca.Sight, error) { return ca.Sight{Facts: ca.CheckFacts{Summary: "open"}}, nil })
				f.webhooks.Post = (&mailbox{}).Post
				f.failing(method, f.liveChecking, func(called []string, _ told) { require.Contains(t, called, method) })
			})
		}
	}
}

// failing has a method fail in both ways in a life, and looks at everything that is stored. after gets the methods that were called in it, and what
// was told in the next one.
func (f *fixture) failing(method string, live func() told, after func(called []string, again told)) {
	f.t.Helper()
	for _, how := range []storetest.Fault{storetest.DidNotHappen, storetest.DidHappen} {
		faults := storetest.NewFaults(f.store)
		f.load(faults)
		faults.Arm(method, how)
		told := live()
		called := faults.Called()
		f.requireInvariants(told)

		f.open()
		f.load(f.store)
		f.requireInvariants(told)
		again := live()
		require.NoError(f.t, again.failed)
		f.requireInvariants(again)
		after(called, again)
	}
}

// told is what the callers of a CA were told.
type told struct {
	issued  []*ca.Issued
	revoked []pki.Serial
	secrets []string
	failed  error // all faults
}

// live does a little of everything, and goes on where something fails.
func (f *fixture) live() told {
	f.t.Helper()
	ctx := f.t.Context()
	var (
		result told
		note   = func(err error) bool {
			var refusal *ca.Error
			if err != nil && !errors.As(err, &refusal) {
				result.failed = errors.Join(result.failed, err)
			}
			return err == nil
		}
	)
	note(f.Ready(ctx))
	app, _, err := f.CreateApp(ctx, operator, ca.NewApp{Policy: ca.PolicyOpen})
	if note(err) {
		name := "Renamed"
		_, err = f.ChangeApp(ctx, operator, app.ID, ca.AppChange{Name: &name})
		note(err)
	}
	_, err = f.ListApps(ctx, operator, "", 0)
	note(err)

	token, secret, err := f.CreateToken(ctx, operator, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "demo"})
	if note(err) {
		result.secrets = append(result.secrets, secret)
		_, err = f.Authenticate(ctx, secret, "192.0.2.1", "r")
		note(err)
		_, err = f.ListTokens(ctx, operator, "demo", "", 0)
		note(err)
	}
	f.liveSignedIn(note)
	if note(f.RevokeToken(ctx, operator, token.ID)) {
		result.secrets = nil
	}

	_, _, err = f.AddDomain(ctx, developer, ca.NewDomain{Domain: "www.example.com"})
	note(err)
	_, err = f.VerifyDomain(ctx, developer, "www.example.com", "", "")
	note(err)
	f.clock.advance(time.Hour)
	note(f.RecheckDomains(ctx))
	_, err = f.ListDomains(ctx, auditor, ca.DomainQuery{})
	note(err)

	day := 1
	req := ca.IssueRequest{Domains: []string{"www.example.com"}, ValidityDays: &day, IdempotencyKey: rand.Text()}
	issued, err := f.Issue(ctx, developer, req)
	if note(err) {
		_, err := f.Issue(ctx, developer, req)
		note(err)
		result.issued = append(result.issued, issued)
		renewed, err := f.Renew(ctx, developer, issued.Certificate.Serial, ca.RenewRequest{})
		if note(err) {
			result.issued = append(result.issued, renewed)
		}
		for _, reason := range []pki.Reason{pki.Superseded, pki.KeyCompromise} {
			if _, err = f.Revoke(ctx, developer, issued.Certificate.Serial, reason); note(err) {
				result.revoked = append(result.revoked, issued.Certificate.Serial)
			}
		}
	}
	result.revoked = append(result.revoked, f.liveRevoking(note)...)
	// A server on its way: the list is due, and then it must have dropped what has ended.
	for _, pause := range []time.Duration{2 * time.Second, 25 * time.Hour, 2 * time.Hour, 2 * time.Hour} {
		note(f.PublishCRLs(ctx))
		f.clock.advance(pause)
	}
	if issued != nil {
		_, err = f.OCSP(ctx, rootName, f.question(rootName, issued.Certificate.Serial.Int(), crypto.SHA1))
		note(err)
	}
	if issued != nil {
		_, err = f.PlanReplacements(ctx, operator, ca.RevocationSearch{App: "demo"}, f.clock.Now().Add(time.Hour), "")
		note(err)
		_, _, err = f.RenewalWindow(ctx, issued.Certificate.Serial)
		note(err)
		_, _, err = f.ListReplacements(ctx, auditor, ca.ReplacementQuery{})
		note(err)
	}
	_, err = f.ListCertificates(ctx, auditor, ca.CertificateQuery{})
	note(err)
	_, err = f.ListEvents(ctx, auditor, ca.EventQuery{})
	note(err)
	_, err = f.ListAuthorities(ctx, auditor)
	note(err)
	note(f.Sweep(ctx))
	note(f.RemoveDomain(ctx, developer, "www.example.com", ""))
	return result
}

// liveChecking has an endpoint tested. What a fault has left half done is done by whoever comes next.
func (f *fixture) liveChecking() (result told) {
	f.t.Helper()
	ctx := f.t.Context()
	note := func(err error) bool {
		var refusal *ca.Error
		if err != nil && !errors.As(err, &refusal) {
			result.failed = errors.Join(result.failed, err)
		}
		return err == nil
	}
	k, _, err := f.RunCheck(ctx, operator, ca.NewCheck{URL: "https://www.example.com/"})
	note(err)
	note(f.RunDueChecks(ctx))
	if err == nil {
		_, err = f.Check(ctx, operator, k.ID)
		note(err)
	}
	_, err = f.ListChecks(ctx, auditor, ca.CheckQuery{})
	note(err)
	w, err := f.CreateWebhook(ctx, operator, "demo", hookURL)
	if note(err) {
		note(f.TestWebhook(ctx, operator, "demo", w.ID))
		_, err = f.RotateWebhook(ctx, operator, "demo", w.ID)
		note(err)
	}
	root, _, err := f.AddAppRoot(ctx, operator, "demo", foreignRoot(f.t, 10_000))
	if note(err) {
		_, err = f.ListAppRoots(ctx, auditor, "demo")
		note(err)
		note(f.RemoveAppRoot(ctx, operator, "demo", root.Fingerprint))
	}
	e, _, err := f.AddEndpoint(ctx, developer, ca.NewEndpoint{URL: "https://www.example.com/" + rand.Text()})
	note(err)
	f.clock.advance(2 * time.Minute)
	note(f.RunDueChecks(ctx))
	_, err = f.ListEndpoints(ctx, auditor, ca.EndpointQuery{})
	note(err)
	note(f.RemoveEndpoint(ctx, operator, e.ID))
	note(f.DeliverDue(ctx))
	webhooks, err := f.ListWebhooks(ctx, auditor, "demo")
	note(err)
	for _, w := range webhooks {
		note(f.RemoveWebhook(ctx, operator, "demo", w.ID))
	}
	all, err := f.store.ListChecks(ctx, ca.CheckQuery{Limit: 1000, State: ca.CheckRunning})
	require.NoError(f.t, err)
	for _, left := range all {
		require.True(f.t, left.DueAt.After(f.clock.Now()), "none is lost")
	}
	f.clock.advance(2 * time.Minute)
	note(f.Sweep(ctx))
	return result
}

// liveSignedIn signs in by a link, uses the session, and signs out.
func (f *fixture) liveSignedIn(note func(error) bool) {
	ctx := f.t.Context()
	_, _, err := f.SignIn(ctx, auditor)
	note(err)
	_, err = f.EndSessions(ctx, operator, auditor.Token)
	note(err)
	link, _, err := f.SignInLink(ctx, auditor)
	if !note(err) {
		return
	}
	secret, _, err := f.OpenSignInLink(ctx, link, "192.0.2.1", "r")
	if !note(err) {
		return
	}
	f.clock.advance(time.Minute)
	_, err = f.Session(ctx, secret, "192.0.2.1", "r")
	note(err)
	note(f.SignOut(ctx, secret, "192.0.2.1", "r"))
}

// liveRevoking holds, releases and revokes certificates for keys that were brought, and asks for one of the keys again. It returns what was revoked.
func (f *fixture) liveRevoking(note func(error) bool) (revoked []pki.Serial) {
	f.t.Helper()
	ctx := f.t.Context()
	request := csr(f.t, x509.CertificateRequest{DNSNames: []string{"www.example.com"}})
	issued, err := f.Issue(ctx, developer, ca.IssueRequest{CSR: request})
	if !note(err) {
		return nil
	}
	serial := issued.Certificate.Serial
	_, err = f.Revoke(ctx, operator, serial, pki.CertificateHold)
	note(err)
	_, err = f.Release(ctx, operator, serial)
	note(err)
	search := ca.RevocationSearch{Serials: []pki.Serial{serial}}
	counted, err := f.CountRevocations(ctx, operator, search, pki.KeyCompromise, "")
	if !note(err) {
		return nil
	}
	if _, err = f.RevokeFound(ctx, operator, search, pki.KeyCompromise, counted.Confirm, ""); !note(err) {
		return nil
	}
	_, err = f.Issue(ctx, developer, ca.IssueRequest{CSR: request})
	require.Error(f.t, err, "the key is blocked")
	note(err)
	return []pki.Serial{serial}
}

// requireInvariants looks at everything that is stored, past the faults.
func (f *fixture) requireInvariants(told told) {
	f.t.Helper()
	ctx := context.Background()
	events, err := f.store.ListEvents(ctx, ca.EventQuery{Limit: 100_000})
	require.NoError(f.t, err)
	held := make(map[string]int)
	done := make(map[ca.Action]map[string]bool)
	published := make(map[string]bool)
	for _, e := range events {
		if e.Action == ca.ActPublishCRL {
			published[e.Detail["number"]] = true
		}
		if e.Outcome == ca.OutcomeDone {
			if done[e.Action] == nil {
				done[e.Action] = make(map[string]bool)
			}
			done[e.Action][e.Object] = true
			switch e.Action {
			case ca.ActHold:
				held[e.Object]++
			case ca.ActRelease:
				held[e.Object]--
			}
		}
	}
	page, err := f.store.ListCertificates(ctx, ca.CertificateQuery{Limit: 100_000})
	require.NoError(f.t, err)
	stored := make(map[pki.Serial]*ca.Certificate)
	for _, c := range page.Items {
		stored[c.Serial] = c
		action := ca.ActIssueServer
		if c.Usage == ca.UsageOCSPSigning {
			action = ca.ActIssueResponder
		}
		if c.Profile == issuer.CanaryProfile {
			action = ca.ActIssueCanary
		}
		require.True(f.t, done[action][c.Serial.String()], "no row without its event")
		object := c.Serial.String()
		require.Equal(f.t, c.Revocation != nil, done[ca.ActRevoke][object] || held[object] > 0, "no revocation without its event, and none lifted")
		blocked, err := f.store.KeyBlocked(ctx, c.SPKIHash)
		require.NoError(f.t, err)
		require.Equal(f.t, c.Revocation != nil && c.Revocation.Reason == pki.KeyCompromise, blocked, "a key in other hands is blocked, and no other")
		if len(c.Signature) > 0 {
			cert := leaf(f.t, c)
			require.Equal(f.t, c.TBS, cert.RawTBSCertificate, "what is signed is what was recorded")
			require.NoError(f.t, f.Issuers()[0].Verify(cert.Raw))
		}
	}
	for serial := range done[ca.ActIssueServer] {
		s, err := pki.ParseSerial(serial)
		require.NoError(f.t, err)
		require.NotNil(f.t, stored[s], "no event of an issuance without its row")
	}
	claims, err := f.store.ListDomains(ctx, ca.DomainQuery{Limit: 1000})
	require.NoError(f.t, err)
	for _, d := range claims {
		require.True(f.t, done[ca.ActAddDomain][d.Name.String()], "no claim without its event")
		require.Equal(f.t, d.Holds, done[ca.ActVerifyDomain][d.Name.String()] && d.State == ca.DomainValid, "no name without the event of its proof")
	}
	for _, issued := range told.issued {
		c := stored[issued.Certificate.Serial]
		require.NotNil(f.t, c, "what was delivered is stored")
		require.NotEmpty(f.t, c.Signature, "what was delivered is committed")
		require.Equal(f.t, issued.Certificate.Signature, c.Signature)
	}
	for _, serial := range told.revoked {
		require.NotNil(f.t, stored[serial].Revocation, "what was reported as revoked is revoked")
	}
	if crl, err := f.store.CRL(ctx, rootName, nil); err == nil {
		require.NoError(f.t, f.authority(rootName).VerifyCRL(&crl.CRL), "what is published is signed")
		require.True(f.t, published[strconv.FormatInt(crl.Number, 10)], "no list without its event")
	}
	f.requireAllTold()
	for _, pending := range f.all(ca.StatusPending) {
		require.Empty(f.t, pending.Signature)
	}
	apps, err := f.store.ListApps(ctx, "", 1000)
	require.NoError(f.t, err)
	for _, app := range apps {
		require.True(f.t, done[ca.ActCreateApp][app.ID], "no app without its event")
	}
	for _, app := range []string{"", "demo"} {
		tokens, err := f.store.ListTokens(ctx, app, "", 1000)
		require.NoError(f.t, err)
		for _, token := range tokens {
			require.True(f.t, done[ca.ActCreateToken][token.ID], "no token without its event")
			require.Equal(f.t, !token.RevokedAt.IsZero(), done[ca.ActRevokeToken][token.ID], "no token ends without its event")
		}
	}
}

// requireAllTold: what is revoked is on the list, or waits for the next one.
func (f *fixture) requireAllTold() {
	f.t.Helper()
	told := make(map[pki.Serial]bool)
	var from time.Time
	crl, err := f.store.CRL(context.Background(), rootName, nil)
	if err == nil {
		from = crl.ListsFrom
		for _, part := range crl.Entries {
			require.NoError(f.t, issuer.EntrySerials(part, func(serial []byte) { told[pki.Serial(serial)] = true }))
		}
	}
	waiting, err := f.store.ListUnpublished(context.Background(), rootName, 100_000)
	require.NoError(f.t, err)
	for _, u := range waiting {
		told[u.Serial] = true
	}
	revoked, err := f.store.ListRevoked(context.Background(), ca.RevokedQuery{Authority: rootName, From: from, Limit: 100_000})
	require.NoError(f.t, err)
	for _, r := range revoked {
		require.True(f.t, told[r.Serial], "%s is revoked, and neither listed nor waiting", r.Serial)
	}
}
