package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// All races are run by two stores on one database, like two servers.
var raceTests = map[string]func(*testing.T, *suite){
	"one claim by many":                     raceClaims,
	"one serial by many":                    raceSerials,
	"a signature against a revocation":      raceSignRevoke,
	"two signatures":                        raceSignatures,
	"two revocations":                       raceRevocations,
	"two changes of an app":                 raceApps,
	"one app ID by many":                    raceAppIDs,
	"two hierarchies of one name":           raceHierarchies,
	"many hierarchies of different names":   raceDifferentHierarchies,
	"many promotions of one profile":        racePromotions,
	"a revoked token is revoked at once":    raceTokens,
	"issuances of two servers side by side": raceIssuances,
}

// together makes n calls at once and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var begin, end sync.WaitGroup
	begin.Add(1)
	for i := range n {
		end.Go(func() {
			begin.Wait()
			errs[i] = call(i)
		})
	}
	begin.Done()
	end.Wait()
	return errs
}

// two are two stores on the suite's database.
func (s *suite) two() [2]Store { return [2]Store{s.Store, s.open(s.T)} }

func raceClaims(t *testing.T, s *suite) {
	stores := s.two()
	certificates := make([]*ca.Certificate, 50)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, "www.example.com")
	}
	before := s.events()
	errs := together(50, func(i int) error {
		c := certificates[i]
		return stores[i%2].RecordCertificate(t.Context(), c, WithClaim(Epoch, NewClaim("double click", c.Serial.String())))
	})
	var winner *ca.Certificate
	for i, err := range errs {
		if err == nil {
			require.Nil(t, winner, "a second one was recorded")
			winner = certificates[i]
		}
	}
	require.NotNil(t, winner)
	for _, err := range errs {
		var claimed *ca.ClaimedError
		if err != nil {
			require.ErrorAs(t, err, &claimed)
			require.Equal(t, winner.Serial.String(), claimed.Earlier.Object)
		}
	}
	require.Equal(t, before+1, s.events())
	require.Equal(t, serials([]*ca.Certificate{winner}), serials(s.walk(ca.CertificateQuery{}, 100)))
}

// exactlyOne is the index of the only call that went well; the others failed with want.
func exactlyOne(t *testing.T, errs []error, want error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, winner, "two went well")
			winner = i
			continue
		}
		require.ErrorIs(t, err, want)
	}
	require.NotEqual(t, -1, winner, "none went well")
	return winner
}

func raceSerials(t *testing.T, s *suite) {
	stores := s.two()
	certificates := make([]*ca.Certificate, 20)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, fmt.Sprintf("h%d.example.com", i))
		certificates[i].Serial = certificates[0].Serial
	}
	winner := exactlyOne(t, together(20, func(i int) error {
		return stores[i%2].RecordCertificate(t.Context(), certificates[i], NewAct(Epoch))
	}), ca.ErrExists)
	require.Equal(t, certificates[winner], s.found(certificates[0]))
}

func raceSignRevoke(t *testing.T, s *suite) {
	stores := s.two()
	const n = 60
	certificates := make([]*ca.Certificate, n)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, "www.example.com")
	}
	s.record(certificates...)
	for _, c := range certificates {
		Sign(c)
	}
	errs := together(2*n, func(i int) error {
		c := certificates[i/2]
		if i%2 == 0 {
			return stores[0].CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, Epoch)
		}
		return stores[1].RevokeCertificate(t.Context(), c.Serial, ca.Revocation{At: Epoch, Reason: pki.KeyCompromise, By: "olga"}, NewAct(Epoch))
	})
	for i, c := range certificates {
		require.NoError(t, errs[2*i+1], "a revocation never loses")
		found := s.found(c)
		require.NotNil(t, found.Revocation)
		if errs[2*i] == nil {
			require.Equal(t, c.Signature, found.Signature)
		} else {
			require.ErrorIs(t, errs[2*i], ca.ErrChanged)
			require.Empty(t, found.Signature)
		}
	}
	for _, status := range []ca.Status{ca.StatusPending, ca.StatusValid, ca.StatusExpired} {
		require.Empty(t, s.walk(ca.CertificateQuery{Status: status, Now: Epoch}, 100), status)
	}
	require.Len(t, s.walk(ca.CertificateQuery{Status: ca.StatusRevoked, Now: Epoch}, 100), n)
}

func raceSignatures(t *testing.T, s *suite) {
	stores := s.two()
	for range 10 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		s.record(c)
		made := [8]ca.Certificate{}
		winner := exactlyOne(t, together(len(made), func(i int) error {
			Sign(&made[i])
			return stores[i%2].CommitSignature(t.Context(), c.Serial, made[i].Signature, made[i].Fingerprint, Epoch)
		}), ca.ErrChanged)
		require.Equal(t, made[winner].Signature, s.found(c).Signature)
		require.Equal(t, made[winner].Fingerprint, s.found(c).Fingerprint)
	}
}

func raceRevocations(t *testing.T, s *suite) {
	stores := s.two()
	for range 10 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		s.sign(c)
		before := s.events()
		winner := exactlyOne(t, together(6, func(i int) error {
			return stores[i%2].RevokeCertificate(t.Context(), c.Serial, ca.Revocation{At: Epoch, By: fmt.Sprint(i)}, NewAct(Epoch))
		}), ca.ErrChanged)
		require.Equal(t, fmt.Sprint(winner), s.found(c).Revocation.By)
		require.Equal(t, before+1, s.events())
	}
}

func raceApps(t *testing.T, s *suite) {
	stores := s.two()
	for version := 1; version <= 10; version++ {
		winner := exactlyOne(t, together(6, func(i int) error {
			a := NewApp("alpha")
			a.Version, a.Name = version, fmt.Sprint(i)
			return stores[i%2].ChangeApp(t.Context(), a, NewAct(Epoch))
		}), ca.ErrChanged)
		a, err := s.App(t.Context(), "alpha")
		s.must(err)
		require.Equal(t, version+1, a.Version)
		require.Equal(t, fmt.Sprint(winner), a.Name)
	}
}

func raceAppIDs(t *testing.T, s *suite) {
	stores := s.two()
	exactlyOne(t, together(10, func(i int) error { return stores[i%2].CreateApp(t.Context(), NewApp("gamma"), NewAct(Epoch)) }), ca.ErrExists)
}

func raceHierarchies(t *testing.T, s *suite) {
	stores := s.two()
	made := make([][]ca.Authority, 8)
	for i := range made {
		made[i] = newHierarchy("Root")
	}
	before := s.events()
	winner := exactlyOne(t, together(len(made), func(i int) error {
		return stores[i%2].CreateAuthorities(t.Context(), made[i], NewAct(Epoch))
	}), ca.ErrExists)
	require.Equal(t, made[winner], s.authorities())
	require.Equal(t, before+1, s.events())
}

func raceDifferentHierarchies(t *testing.T, s *suite) {
	stores := s.two()
	for _, err := range together(8, func(i int) error {
		return stores[i%2].CreateAuthorities(t.Context(), newHierarchy(fmt.Sprintf("Root-%d", i)), NewAct(Epoch))
	}) {
		require.NoError(t, err)
	}
	seen := map[string]bool{"": true}
	for _, a := range s.authorities() {
		require.True(t, seen[a.Parent], "%s comes before its parent", a.Name)
		seen[a.Name] = true
	}
	require.Len(t, seen, 1+16)
}

// racePromotions: one profile is given to one authority, whoever asks, in whatever order the rows are named.
func racePromotions(t *testing.T, s *suite) {
	stores := s.two()
	was := newHierarchy("Root")[:1]
	for i := range 8 {
		was = append(was, ca.Authority{Name: fmt.Sprintf("Next-%d", i), Certificate: random(50), StandsBy: []string{"client"}, CreatedAt: Epoch})
	}
	s.must(s.CreateAuthorities(t.Context(), was, NewAct(Epoch)))
	winner := exactlyOne(t, together(8, func(i int) error {
		from := []ca.Authority{was[0], was[i+1]}
		to := []ca.Authority{{StandsBy: []string{"client"}}, {Profiles: []string{"client"}}}
		if i%3 == 0 {
			slices.Reverse(from)
			slices.Reverse(to)
		}
		return stores[i%2].ChangeAuthorities(t.Context(), from, to, NewAct(Epoch))
	}), ca.ErrChanged)
	for i, a := range s.authorities() {
		require.Equal(t, i == winner+1, slices.Equal(a.Profiles, []string{"client"}), a.Name)
	}
}

// raceTokens: looking tokens up together must never answer from before a revocation.
func raceTokens(t *testing.T, s *suite) {
	stores := s.two()
	tokens := make([]ca.Token, 20)
	for i := range tokens {
		tokens[i] = NewToken(fmt.Sprintf("tok_%02d", i), "alpha")
		s.must(s.CreateToken(t.Context(), tokens[i], NewAct(Epoch)))
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 16 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = stores[i%2].TokenByHash(t.Context(), tokens[i].Hash)
				}
			}
		})
	}
	errs := together(len(tokens), func(i int) error {
		if err := stores[0].RevokeToken(t.Context(), tokens[i].ID, Epoch, NewAct(Epoch)); err != nil {
			return err
		}
		for _, server := range stores {
			found, err := server.TokenByHash(t.Context(), tokens[i].Hash)
			if err != nil {
				return err
			}
			if found.RevokedAt.IsZero() {
				return errors.New("the token still works after its revocation")
			}
		}
		return nil
	})
	close(stop)
	load.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func raceIssuances(t *testing.T, s *suite) {
	stores := s.two()
	const n = 400
	all := make([]*ca.Certificate, n)
	for i := range all {
		all[i] = NewCertificate([]string{"alpha", "beta"}[i%2], Epoch.Add(time.Duration(i)*time.Millisecond), "www.example.com", fmt.Sprintf("h%d.example.com", i))
	}
	before := s.events()
	for _, err := range together(n, func(i int) error {
		c := all[i]
		if err := stores[i/2%2].RecordCertificate(t.Context(), c, NewAct(c.CreatedAt)); err != nil {
			return err
		}
		Sign(c)
		return stores[i%2].CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, c.CreatedAt)
	}) {
		require.NoError(t, err)
	}
	require.Equal(t, before+n, s.events())
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusPending, Now: Epoch}, 100))
	want := search(all, ca.CertificateQuery{})
	for i, c := range s.walk(ca.CertificateQuery{}, 1000) {
		require.Equal(t, want[i], c)
	}
}
