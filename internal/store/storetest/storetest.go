// Package storetest judges implementations of the store contracts: Run walks everything that ca.Store and acme.Store promise, without opt-outs, over any
// database. Faults makes a store fail on demand, for the tests of those who use one.
//
// It knows no store and no SQL: what can be seen through the contract is all that counts here.
package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
)

// Store is what is judged.
type Store interface {
	ca.Store
	acme.Store

	// Close ends the store: changes that were accepted are done or answered with an error when it returns.
	Close() error
}

// Database opens one more store on a database, like one more server.
type Database func(t testing.TB) Store

// Run judges a store. fresh makes an empty database.
func Run(t *testing.T, fresh func(t testing.TB) Database) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, *suite)
	}{
		{"certificates", certificateTests},
		{"revoking", revokingTests},
		{"lists", listTests},
		{"counts", countTests},
		{"revocations", revocationTests},
		{"apps", appTests},
		{"domains", domainTests},
		{"tokens", tokenTests},
		{"sessions", sessionTests},
		{"authorities", authorityTests},
		{"events", eventTests},
		{"races", raceTests},
		{"callers", callerTests},
		{"acme", acmeTests},
		{"replacements", replacementTests},
		{"checks", checkTests},
		{"endpoints", endpointTests},
		{"webhooks", webhookTests},
		{"roots of apps", appRootTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					open := fresh(t)
					s := &suite{T: t, Store: open(t), open: open}
					for _, id := range []string{"alpha", "beta"} {
						s.must(s.CreateApp(s.Context(), NewApp(id), NewAct(Epoch)))
					}
					test(t, s)
				})
			}
		})
	}
}

// suite is a test with a store that has two apps, "alpha" and "beta".
type suite struct {
	*testing.T
	Store
	open Database
}

func (s *suite) must(err error) {
	s.Helper()
	require.NoError(s.T, err)
}

// record records certificates.
func (s *suite) record(cs ...*ca.Certificate) {
	s.Helper()
	for _, c := range cs {
		s.must(s.RecordCertificate(s.Context(), c, NewAct(c.CreatedAt)))
	}
}

// sign records certificates and commits their signatures.
func (s *suite) sign(cs ...*ca.Certificate) {
	s.Helper()
	s.record(cs...)
	for _, c := range cs {
		Sign(c)
		s.must(s.CommitSignature(s.Context(), c.Serial, c.Signature, c.Fingerprint, c.CreatedAt))
	}
}

// revoke revokes certificates.
func (s *suite) revoke(r ca.Revocation, cs ...*ca.Certificate) {
	s.Helper()
	for _, c := range cs {
		c.Revocation = &r
		s.must(s.RevokeCertificate(s.Context(), c.Serial, r, NewAct(r.At)))
	}
}

// found is a certificate as it is stored.
func (s *suite) found(c *ca.Certificate) *ca.Certificate {
	s.Helper()
	found, err := s.Certificate(s.Context(), c.Serial)
	s.must(err)
	return found
}

// events is how many events there are.
func (s *suite) events() int {
	s.Helper()
	events, err := s.ListEvents(s.Context(), ca.EventQuery{Limit: 100_000})
	s.must(err)
	return len(events)
}

// unchanged runs something that must leave no event and no certificate behind.
func (s *suite) unchanged(do func()) {
	s.Helper()
	count := func() string {
		page, err := s.ListCertificates(s.Context(), ca.CertificateQuery{Limit: 100_000})
		s.must(err)
		return fmt.Sprint(s.events(), len(page.Items))
	}
	before := count()
	do()
	require.Equal(s.T, before, count(), "events and certificates")
}
