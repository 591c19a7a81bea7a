package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var revokingTests = map[string]func(*testing.T, *suite){
	"serials are found":                       serialsFound,
	"many are revoked in one change":          manyRevoked,
	"of many, reasons that give way are":      manyRaised,
	"many without a change leave no event":    manyUnchanged,
	"keyCompromise blocks the key":            keyBlocked,
	"a hold is released":                      holdReleased,
	"a pending certificate on hold":           pendingReleased,
	"only a hold is released":                 onlyHoldReleased,
	"two batches, and signatures, at once":    raceBatches,
	"a key is blocked on every server":        raceBlocked,
	"a release against a revocation for good": raceRelease,
}

// batch is n recorded certificates of "alpha", every other one signed, and an event for each.
func (s *suite) batch(n int) (all []*ca.Certificate, events []ca.Event) {
	s.Helper()
	for i := range n {
		c := NewCertificate("alpha", Epoch, fmt.Sprintf("h%d.example.com", i))
		if i%2 == 0 {
			s.sign(c)
		} else {
			s.record(c)
		}
		all = append(all, c)
	}
	return all, eventsFor(all)
}

func eventsFor(all []*ca.Certificate) (events []ca.Event) {
	for _, c := range all {
		e := NewEvent(Epoch, ca.ActRevoke)
		e.Object = c.Serial.String()
		events = append(events, e)
	}
	return events
}

func serialsOf(all []*ca.Certificate) (list []pki.Serial) {
	for _, c := range all {
		list = append(list, c.Serial)
	}
	return list
}

func serialsFound(t *testing.T, s *suite) {
	all, _ := s.batch(4)
	found, err := s.FindCertificates(t.Context(), append(serialsOf(all), pki.NewSerial()))
	s.must(err)
	require.ElementsMatch(t, all, found)
	found, err = s.FindCertificates(t.Context(), nil)
	s.must(err)
	require.Empty(t, found)
}

func manyRevoked(t *testing.T, s *suite) {
	all, events := s.batch(6)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, all[0], all[1])
	r := ca.Revocation{At: Epoch.Add(time.Hour), Reason: pki.CessationOfOperation, By: "otto"}
	before := s.events()
	act := NewAct(Epoch)
	revoked, err := s.RevokeCertificates(t.Context(), append(serialsOf(all), pki.NewSerial()), r, nil, append(events, NewEvent(Epoch, ca.ActRevoke)), act)
	s.must(err)
	require.ElementsMatch(t, serialsOf(all[2:]), revoked)
	require.Equal(t, before+5, s.events(), "an event for each that was changed, and one for them all")
	for i, c := range all {
		if i >= 2 {
			c.Revocation = &r
			told, err := s.ListEvents(t.Context(), ca.EventQuery{Object: c.Serial.String(), Limit: 10})
			s.must(err)
			require.Equal(t, []ca.Event{events[i]}, told)
		}
		require.Equal(t, c, s.found(c))
	}
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusPending, Now: Epoch}, 100))
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusValid, Now: Epoch}, 100))
	require.Len(t, s.walk(ca.CertificateQuery{Status: ca.StatusRevoked, Now: Epoch}, 100), 6)
}

func manyRaised(t *testing.T, s *suite) {
	all, events := s.batch(4)
	first := ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}
	s.revoke(first, all[0])
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.CertificateHold, By: "olga"}, all[1])
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.KeyCompromise, By: "olga"}, all[2])
	r := ca.Revocation{At: Epoch.Add(time.Hour), Reason: pki.KeyCompromise, By: "otto"}
	over := []pki.Reason{pki.Superseded, pki.CertificateHold}
	revoked, err := s.RevokeCertificates(t.Context(), serialsOf(all), r, over, events, NewAct(Epoch))
	s.must(err)
	require.ElementsMatch(t, []pki.Serial{all[0].Serial, all[1].Serial, all[3].Serial}, revoked)
	for i, c := range all {
		found := s.found(c)
		require.Equal(t, pki.KeyCompromise, found.Revocation.Reason)
		require.Equal(t, i == 3, found.Revocation.At.Equal(r.At), "the first revocation's time stands")
		s.requireBlocked(c, true)
	}
}

func (s *suite) requireBlocked(c *ca.Certificate, want bool) {
	s.Helper()
	blocked, err := s.KeyBlocked(s.Context(), c.SPKIHash)
	s.must(err)
	require.Equal(s.T, want, blocked)
}

func manyUnchanged(t *testing.T, s *suite) {
	all, events := s.batch(2)
	r := ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}
	s.revoke(r, all...)
	s.unchanged(func() {
		revoked, err := s.RevokeCertificates(t.Context(), serialsOf(all), r, []pki.Reason{pki.CertificateHold}, events, NewAct(Epoch))
		s.must(err)
		require.Empty(t, revoked)
	})
}

func keyBlocked(t *testing.T, s *suite) {
	all, events := s.batch(4)
	twin := NewCertificate("beta", Epoch, "twin.example.com")
	twin.SPKIHash = all[0].SPKIHash
	s.sign(twin)
	s.requireBlocked(all[0], false)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, all[0])
	s.requireBlocked(all[0], false)
	s.must(s.RaiseRevocation(t.Context(), all[0].Serial, pki.Superseded, pki.KeyCompromise, NewAct(Epoch)))
	s.requireBlocked(all[0], true)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.KeyCompromise, By: "olga"}, twin, all[1])
	s.requireBlocked(twin, true)
	s.requireBlocked(all[1], true)
	_, err := s.RevokeCertificates(t.Context(), serialsOf(all), ca.Revocation{At: Epoch, Reason: pki.Superseded}, nil, events, NewAct(Epoch))
	s.must(err)
	s.requireBlocked(all[2], false)
}

func holdReleased(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.CertificateHold, By: "olga"}, c)
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusValid, Now: Epoch}, 100))
	before := s.events()
	s.must(s.ReleaseCertificate(t.Context(), c.Serial, NewAct(Epoch)))
	require.Equal(t, before+1, s.events())
	c.Revocation = nil
	require.Equal(t, c, s.found(c))
	require.Len(t, s.walk(ca.CertificateQuery{Status: ca.StatusValid, Now: Epoch}, 100), 1)
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusRevoked, Now: Epoch}, 100))
	require.Empty(t, s.walk(ca.CertificateQuery{Status: ca.StatusPending, Now: Epoch}, 100))
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, c)
	require.Equal(t, c, s.found(c))
}

func pendingReleased(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.record(c)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.CertificateHold, By: "olga"}, c)
	Sign(c)
	signature := c.Signature
	require.ErrorIs(t, s.CommitSignature(t.Context(), c.Serial, signature, c.Fingerprint, Epoch), ca.ErrChanged)
	s.must(s.ReleaseCertificate(t.Context(), c.Serial, NewAct(Epoch)))
	require.Len(t, s.walk(ca.CertificateQuery{Status: ca.StatusPending, Now: Epoch}, 100), 1)
	s.must(s.CommitSignature(t.Context(), c.Serial, signature, c.Fingerprint, Epoch))
	c.Revocation = nil
	require.Equal(t, c, s.found(c))
}

func onlyHoldReleased(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	s.unchanged(func() {
		require.ErrorIs(t, s.ReleaseCertificate(t.Context(), c.Serial, NewAct(Epoch)), ca.ErrChanged)
		require.ErrorIs(t, s.ReleaseCertificate(t.Context(), pki.NewSerial(), NewAct(Epoch)), ca.ErrChanged)
	})
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, c)
	s.unchanged(func() {
		require.ErrorIs(t, s.ReleaseCertificate(t.Context(), c.Serial, NewAct(Epoch)), ca.ErrChanged)
	})
	require.Equal(t, c, s.found(c))
}

func raceBatches(t *testing.T, s *suite) {
	stores := s.two()
	all, _ := s.batch(60)
	back := slices.Clone(all)
	slices.Reverse(back)
	for _, c := range all {
		if c.Signature == nil {
			Sign(c)
		}
	}
	before := s.events()
	revoked := make([][]pki.Serial, 4)
	errs := together(4+30, func(i int) (err error) {
		if i >= 4 {
			c := all[2*(i-4)+1]
			err := stores[i%2].CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, Epoch)
			if err != nil {
				require.ErrorIs(t, err, ca.ErrChanged)
			}
			return nil
		}
		list := [][]*ca.Certificate{all, back}[i/2]
		revoked[i], err = stores[i%2].RevokeCertificates(t.Context(), serialsOf(list), ca.Revocation{At: Epoch, Reason: pki.KeyCompromise, By: fmt.Sprint(i)},
			nil, eventsFor(list), NewAct(Epoch))
		return err
	})
	batches := 0
	for i, err := range errs {
		require.NoError(t, err)
		if i < 4 && len(revoked[i]) > 0 {
			batches++
		}
	}
	require.ElementsMatch(t, serialsOf(all), slices.Concat(revoked...), "each is revoked once")
	require.Equal(t, before+60+batches, s.events())
	for _, status := range []ca.Status{ca.StatusPending, ca.StatusValid, ca.StatusExpired} {
		require.Empty(t, s.walk(ca.CertificateQuery{Status: status, Now: Epoch}, 100), status)
	}
}

func raceBlocked(t *testing.T, s *suite) {
	stores := s.two()
	all, _ := s.batch(20)
	for _, err := range together(len(all), func(i int) error {
		err := stores[0].RevokeCertificate(t.Context(), all[i].Serial, ca.Revocation{At: Epoch, Reason: pki.KeyCompromise}, NewAct(Epoch))
		if err != nil {
			return err
		}
		for _, server := range stores {
			if blocked, err := server.KeyBlocked(t.Context(), all[i].SPKIHash); err != nil || !blocked {
				return fmt.Errorf("the key is not blocked after its revocation: %w", err)
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
}

func raceRelease(t *testing.T, s *suite) {
	stores := s.two()
	for range 10 {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		s.sign(c)
		s.revoke(ca.Revocation{At: Epoch, Reason: pki.CertificateHold}, c)
		winner := exactlyOne(t, together(2, func(i int) error {
			if i == 0 {
				return stores[0].ReleaseCertificate(t.Context(), c.Serial, NewAct(Epoch))
			}
			return stores[1].RaiseRevocation(t.Context(), c.Serial, pki.CertificateHold, pki.Superseded, NewAct(Epoch))
		}), ca.ErrChanged)
		require.Equal(t, winner == 0, s.found(c).Revocation == nil)
	}
}
