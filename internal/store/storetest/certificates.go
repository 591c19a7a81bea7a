package storetest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var certificateTests = map[string]func(*testing.T, *suite){
	"what is recorded comes back":             recordedComesBack,
	"times are UTC in microseconds":           timesAreUTC,
	"memory is not shared":                    memoryIsNotShared,
	"there is none":                           noCertificate,
	"a serial is taken once":                  serialTakenOnce,
	"a claim is made once":                    claimMadeOnce,
	"claims are told apart by their bytes":    claimsByBytes,
	"claims are forgotten":                    claimsForgotten,
	"a signature is committed once":           signatureOnce,
	"what is revoked is not signed":           revokedIsNotSigned,
	"a certificate is revoked once":           revokedOnce,
	"a reason is raised from the one it has":  reasonRaised,
	"usages do not mix":                       usagesDoNotMix,
	"a certificate of a hundred names":        hundredNames,
	"each change leaves its event":            changesLeaveEvents,
	"an event is not written a second time":   eventOnce,
	"a bad record does not hurt its fellows":  badRecordAlone,
	"a fingerprint belongs to one signature":  fingerprintOnce,
	"revocation keeps the time of the caller": revocationTime,
}

func recordedComesBack(t *testing.T, s *suite) {
	certificates := []*ca.Certificate{
		NewCertificate("alpha", Epoch, "www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1", "xn--mnchen-3ya.example"),
		NewCertificate("", Epoch.Add(time.Microsecond), "callback.platform.internal"),
	}
	certificates[0].Replaces = pki.NewSerial()
	certificates[0].RequestedBy = "Zoë's laptop"
	for _, c := range certificates {
		s.record(c)
		require.Equal(t, c, s.found(c))
		require.Equal(t, ca.StatusPending, s.found(c).Status(Epoch))

		Sign(c)
		s.must(s.CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, Epoch))
		require.Equal(t, c, s.found(c))
		require.Equal(t, ca.StatusValid, s.found(c).Status(Epoch))

		s.revoke(ca.Revocation{At: Epoch.Add(time.Hour), Reason: pki.KeyCompromise, By: "olga"}, c)
		require.Equal(t, c, s.found(c))
		require.Equal(t, ca.StatusRevoked, s.found(c).Status(Epoch))
	}
}

func timesAreUTC(t *testing.T, s *suite) {
	at := time.Date(2026, 7, 1, 3, 4, 5, 123456789, time.FixedZone("east", 8*3600))
	c := NewCertificate("alpha", at, "www.example.com")
	s.record(c)
	require.Equal(t, time.Date(2026, 6, 30, 19, 4, 5, 123456000, time.UTC), s.found(c).CreatedAt)
	require.Equal(t, time.UTC, s.found(c).NotAfter.Location())

	for _, at := range []time.Time{time.Date(1950, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2999, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		c.CreatedAt, c.NotBefore, c.NotAfter = at, at, at
		s.record(c)
		require.Equal(t, c, s.found(c))
	}
}

func memoryIsNotShared(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com", "example.com")
	want := *c
	want.TBS = bytes.Clone(c.TBS)
	want.Names = append([]pki.Name(nil), c.Names...)
	s.record(c)
	c.TBS[0] ^= 0xff
	c.Names[0] = c.Names[1]
	require.Equal(t, &want, s.found(c))

	s.found(c).TBS[0] ^= 0xff
	require.Equal(t, &want, s.found(c))
}

func noCertificate(t *testing.T, s *suite) {
	_, err := s.Certificate(t.Context(), pki.NewSerial())
	require.ErrorIs(t, err, ca.ErrNotFound)
	require.ErrorIs(t, s.CommitSignature(t.Context(), pki.NewSerial(), []byte("s"), [32]byte{1}, Epoch), ca.ErrChanged)
	s.unchanged(func() {
		require.ErrorIs(t, s.RevokeCertificate(t.Context(), pki.NewSerial(), ca.Revocation{At: Epoch}, NewAct(Epoch)), ca.ErrNotFound)
		require.ErrorIs(t, s.RaiseRevocation(t.Context(), pki.NewSerial(), pki.Superseded, pki.KeyCompromise, NewAct(Epoch)), ca.ErrChanged)
	})
}

func serialTakenOnce(t *testing.T, s *suite) {
	first, second := NewCertificate("alpha", Epoch, "www.example.com"), NewCertificate("beta", Epoch, "www.example.org")
	second.Serial = first.Serial
	s.record(first)
	s.unchanged(func() {
		require.ErrorIs(t, s.RecordCertificate(t.Context(), second, WithClaim(Epoch, NewClaim("k", "x"))), ca.ErrExists)
	})
	require.Equal(t, first, s.found(first))
	// The claim of the one that failed was not made either.
	third := NewCertificate("beta", Epoch, "www.example.org")
	s.must(s.RecordCertificate(t.Context(), third, WithClaim(Epoch, NewClaim("k", "x"))))
}

func claimMadeOnce(t *testing.T, s *suite) {
	first := NewCertificate("alpha", Epoch, "www.example.com")
	claim := NewClaim("7f1c", first.Serial.String())
	s.must(s.RecordCertificate(t.Context(), first, WithClaim(Epoch, claim)))

	again := *claim
	again.Request, again.Object, again.At = [32]byte{1}, "another", Epoch.Add(time.Hour)
	made := func(err error) {
		t.Helper()
		var claimed *ca.ClaimedError
		require.ErrorAs(t, err, &claimed)
		require.Equal(t, *claim, claimed.Earlier)
	}
	s.unchanged(func() {
		made(s.RecordCertificate(t.Context(), NewCertificate("alpha", Epoch, "www.example.com"), WithClaim(Epoch, &again)))
		made(s.CreateApp(t.Context(), NewApp("gamma"), WithClaim(Epoch, &again)))
		made(s.CreateApp(t.Context(), NewApp("alpha"), WithClaim(Epoch, &again))) // before the ID is looked at
		made(s.CreateToken(t.Context(), NewToken("tok_1", "alpha"), WithClaim(Epoch, &again)))
	})
	_, err := s.App(t.Context(), "gamma")
	require.ErrorIs(t, err, ca.ErrNotFound)
	_, err = s.Token(t.Context(), "tok_1")
	require.ErrorIs(t, err, ca.ErrNotFound)

	again.Scope = "token:tok_BBBBBBBBBBBB" // another caller's key
	s.must(s.RecordCertificate(t.Context(), NewCertificate("alpha", Epoch, "www.example.com"), WithClaim(Epoch, &again)))
}

func claimsByBytes(t *testing.T, s *suite) {
	for _, key := range []string{"k", "K", "k ", "\x00", "\xff", "\xfe", "é", "e\u0301", "'; --", string(make([]byte, 255))} {
		s.must(s.RecordCertificate(t.Context(), NewCertificate("alpha", Epoch, "www.example.com"), WithClaim(Epoch, NewClaim(key, "x"))))
	}
}

func claimsForgotten(t *testing.T, s *suite) {
	at := func(key string, at time.Time) error {
		c := NewClaim(key, "x")
		c.At = at
		return s.RecordCertificate(t.Context(), NewCertificate("alpha", Epoch, "www.example.com"), WithClaim(Epoch, c))
	}
	s.must(at("old", Epoch.Add(-time.Microsecond)))
	s.must(at("young", Epoch))
	s.must(s.ForgetClaims(t.Context(), Epoch))
	s.must(at("old", Epoch))
	var claimed *ca.ClaimedError
	require.ErrorAs(t, at("young", Epoch), &claimed)
}

func signatureOnce(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	require.ErrorIs(t, s.CommitSignature(t.Context(), c.Serial, []byte("another"), [32]byte{1}, Epoch), ca.ErrChanged)
	require.ErrorIs(t, s.CommitSignature(t.Context(), c.Serial, c.Signature, c.Fingerprint, Epoch), ca.ErrChanged)
	require.Equal(t, c, s.found(c))
}

func revokedIsNotSigned(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.record(c)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, c)
	require.ErrorIs(t, s.CommitSignature(t.Context(), c.Serial, []byte("late"), [32]byte{1}, Epoch), ca.ErrChanged)
	require.Equal(t, c, s.found(c))
	require.Empty(t, s.found(c).Signature)
}

func revokedOnce(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Unspecified, By: "olga"}, c)
	s.unchanged(func() {
		again := ca.Revocation{At: Epoch.Add(time.Hour), Reason: pki.KeyCompromise, By: "eve"}
		require.ErrorIs(t, s.RevokeCertificate(t.Context(), c.Serial, again, NewAct(Epoch)), ca.ErrChanged)
	})
	require.Equal(t, c, s.found(c))
}

func reasonRaised(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	raise := func(from, to pki.Reason) error {
		return s.RaiseRevocation(t.Context(), c.Serial, from, to, NewAct(Epoch))
	}
	s.unchanged(func() {
		require.ErrorIs(t, raise(pki.Unspecified, pki.KeyCompromise), ca.ErrChanged, "it is not revoked")
	})

	s.revoke(ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, c)
	s.unchanged(func() { require.ErrorIs(t, raise(pki.Unspecified, pki.KeyCompromise), ca.ErrChanged) })
	before := s.events()
	s.must(raise(pki.Superseded, pki.KeyCompromise))
	require.Equal(t, before+1, s.events())
	c.Revocation = &ca.Revocation{At: Epoch, Reason: pki.KeyCompromise, By: "olga"}
	require.Equal(t, c, s.found(c))
}

func usagesDoNotMix(t *testing.T, s *suite) {
	for name, spoil := range map[string]func(*ca.Certificate){
		"a developer's plays the platform": func(c *ca.Certificate) { c.Usage = ca.UsageClientAuth },
		"a platform's serves":              func(c *ca.Certificate) { c.App = "" },
		"any usage":                        func(c *ca.Certificate) { c.Usage = "anyExtendedKeyUsage" },
		"no usage":                         func(c *ca.Certificate) { c.Usage = "" },
		"both":                             func(c *ca.Certificate) { c.Usage = "serverAuth clientAuth" },
	} {
		c := NewCertificate("alpha", Epoch, "www.example.com")
		spoil(c)
		s.unchanged(func() {
			err := s.RecordCertificate(t.Context(), c, NewAct(Epoch))
			require.Error(t, err, name)
			require.False(t, errors.Is(err, ca.ErrExists) || errors.Is(err, ca.ErrChanged), "%s: %v", name, err)
		})
	}
}

func hundredNames(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, manyNames(100)...)
	s.sign(c)
	require.Equal(t, c, s.found(c))
	for _, n := range c.Names {
		page, err := s.ListCertificates(t.Context(), ca.CertificateQuery{Domain: n, Limit: 2})
		s.must(err)
		require.Equal(t, []*ca.Certificate{c}, page.Items)
	}
}

func changesLeaveEvents(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	for i, change := range []func(act ca.Act) error{
		func(act ca.Act) error { return s.RecordCertificate(t.Context(), c, act) },
		func(act ca.Act) error {
			return s.RevokeCertificate(t.Context(), c.Serial, ca.Revocation{At: Epoch, Reason: pki.Superseded, By: "olga"}, act)
		},
		func(act ca.Act) error {
			return s.RaiseRevocation(t.Context(), c.Serial, pki.Superseded, pki.KeyCompromise, act)
		},
		func(act ca.Act) error { return s.PublishCRL(t.Context(), newCRL(1), 0, nil, nil, act) },
		func(act ca.Act) error { return s.CreateApp(t.Context(), NewApp("gamma"), act) },
		func(act ca.Act) error { return s.ChangeApp(t.Context(), NewApp("gamma"), act) },
		func(act ca.Act) error { return s.CreateToken(t.Context(), NewToken("tok_1", "gamma"), act) },
		func(act ca.Act) error { return s.RevokeToken(t.Context(), "tok_1", Epoch, act) },
		func(act ca.Act) error { return s.CreateAuthorities(t.Context(), newHierarchy("Root"), act) },
		func(act ca.Act) error {
			from := newHierarchy("Root")
			to := []ca.Authority{{StandsBy: []string{"client"}}, from[1]}
			return s.ChangeAuthorities(t.Context(), from, to, act)
		},
		func(act ca.Act) error { return s.RecordEvent(t.Context(), act.Event) },
	} {
		act := NewAct(Epoch.Add(time.Duration(i+1) * time.Second))
		s.must(change(act))
		newest, err := s.ListEvents(t.Context(), ca.EventQuery{Limit: 1})
		s.must(err)
		require.Equal(t, []ca.Event{act.Event}, newest, "change %d", i)
	}
}

// eventOnce: if its event cannot be written, a change does not happen.
func eventOnce(t *testing.T, s *suite) {
	first, second := NewCertificate("alpha", Epoch, "www.example.com"), NewCertificate("alpha", Epoch, "www.example.com")
	act := NewAct(Epoch)
	s.must(s.RecordCertificate(t.Context(), first, act))
	s.unchanged(func() {
		err := s.RecordCertificate(t.Context(), second, act)
		require.Error(t, err)
		require.NotErrorIs(t, err, ca.ErrExists, "its serial is free")
		require.Error(t, s.RevokeCertificate(t.Context(), first.Serial, ca.Revocation{At: Epoch}, act))
		require.Error(t, s.CreateApp(t.Context(), NewApp("gamma"), act))
		require.Error(t, s.RecordEvent(t.Context(), act.Event))
	})
	require.Nil(t, s.found(first).Revocation)
	_, err := s.App(t.Context(), "gamma")
	require.ErrorIs(t, err, ca.ErrNotFound)
}

func badRecordAlone(t *testing.T, s *suite) {
	const n = 64
	certificates := make([]*ca.Certificate, n)
	taken := NewCertificate("alpha", Epoch, "www.example.com")
	s.record(taken)
	for i := range certificates {
		certificates[i] = NewCertificate("alpha", Epoch, "www.example.com")
		switch {
		case i%16 == 3:
			certificates[i].Usage = ca.UsageClientAuth
		case i%16 == 8:
			certificates[i].Serial = taken.Serial
		}
	}
	errs := together(n, func(i int) error { return s.RecordCertificate(t.Context(), certificates[i], NewAct(Epoch)) })
	for i, err := range errs {
		switch {
		case i%16 == 3:
			require.Error(t, err)
			require.NotErrorIs(t, err, ca.ErrExists)
		case i%16 == 8:
			require.ErrorIs(t, err, ca.ErrExists)
		default:
			require.NoError(t, err)
			require.Equal(t, certificates[i], s.found(certificates[i]))
		}
	}
	require.Equal(t, taken, s.found(taken))
}

func fingerprintOnce(t *testing.T, s *suite) {
	a, b := NewCertificate("alpha", Epoch, "www.example.com"), NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(a)
	s.record(b)
	require.Error(t, s.CommitSignature(t.Context(), b.Serial, []byte("x"), a.Fingerprint, Epoch))
	require.Equal(t, b, s.found(b), "still pending")
	Sign(b)
	s.must(s.CommitSignature(t.Context(), b.Serial, b.Signature, b.Fingerprint, Epoch))
	require.Equal(t, b, s.found(b))
}

func revocationTime(t *testing.T, s *suite) {
	c := NewCertificate("alpha", Epoch, "www.example.com")
	s.sign(c)
	at := time.Date(2026, 7, 1, 3, 4, 5, 123456789, time.FixedZone("west", -5*3600))
	s.must(s.RevokeCertificate(t.Context(), c.Serial, ca.Revocation{At: at, Reason: pki.Superseded, By: "olga"}, NewAct(at)))
	require.Equal(t, &ca.Revocation{At: time.Date(2026, 7, 1, 8, 4, 5, 123456000, time.UTC), Reason: pki.Superseded, By: "olga"}, s.found(c).Revocation)
}
