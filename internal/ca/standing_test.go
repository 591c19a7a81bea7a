package ca_test

import (
	"context"
	"crypto"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// While a process looks for changes, it asks the database only once about a certificate that does not change; what it changes itself shows at
// once, what others change at its next look, and what it has not been told by a look is not relied on.
func TestStandingsAreRemembered(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		asked := storetest.NewFaults(f.store)
		f.load(asked)
		other := *f
		other.open()
		other.load(other.store)
		questions := func(do func()) (n int) {
			t.Helper()
			asked.Called()
			do()
			for _, method := range asked.Called() {
				if method == "Standing" {
					n++
				}
			}
			return n
		}
		a, b := f.issue("a.example.com").Certificate.Serial, f.issue("b.example.com").Certificate.Serial
		ask := func(serial pki.Serial, want int) func() {
			return func() {
				t.Helper()
				require.Equal(t, want, f.asked(serial))
			}
		}
		require.Equal(t, 1, questions(ask(a, ocsp.Good)))
		require.Equal(t, 1, questions(ask(a, ocsp.Good)), "nobody has looked yet")
		f.publish()
		f.publish()
		require.Equal(t, 1, questions(ask(a, ocsp.Good)))
		require.Zero(t, questions(ask(a, ocsp.Good)))
		f.clock.advance(900 * time.Millisecond)
		f.publish()
		require.Zero(t, questions(ask(a, ocsp.Good)), "from look to look")

		// Itself.
		_, err := f.Revoke(t.Context(), developer, a, pki.Superseded)
		require.NoError(t, err)
		require.Equal(t, 1, questions(ask(a, ocsp.Revoked)))

		// Another one.
		f.clock.advance(2 * time.Second)
		for range 3 {
			f.publish()
		}
		require.Equal(t, 1, questions(ask(b, ocsp.Good)))
		_, err = other.Revoke(t.Context(), developer, b, pki.KeyCompromise)
		require.NoError(t, err)
		require.Zero(t, questions(ask(b, ocsp.Good)), "until the next look")
		f.publish()
		require.Equal(t, 1, questions(ask(b, ocsp.Revoked)))

		// The other one publishes it before this one has looked.
		held := f.issue("c.example.com").Certificate.Serial
		f.clock.advance(2 * time.Second)
		for range 3 {
			f.publish()
		}
		ask(held, ocsp.Good)()
		_, err = other.Revoke(t.Context(), operator, held, pki.CertificateHold)
		require.NoError(t, err)
		f.clock.advance(500 * time.Millisecond)
		other.publish()
		f.clock.advance(time.Second)
		other.publish()
		f.publish()
		ask(held, ocsp.Revoked)()

		// Nobody looks any more.
		for range 3 {
			f.publish()
		}
		ask(held, ocsp.Revoked)()
		_, err = other.Release(t.Context(), operator, held)
		require.NoError(t, err)
		f.clock.advance(time.Second)
		ask(held, ocsp.Good)()

		// Nor while the clock is set back.
		for range 3 {
			f.publish()
		}
		ask(held, ocsp.Good)()
		f.clock.advance(-time.Minute)
		_, err = other.Revoke(t.Context(), operator, held, pki.CertificateHold)
		require.NoError(t, err)
		ask(held, ocsp.Revoked)()
		f.clock.advance(time.Minute)

		// What is not there may be there in the next moment.
		f.publish()
		unissued := storetest.NewCertificate("demo", f.clock.Now(), "d.example.com")
		ask(unissued.Serial, ocsp.Unknown)()
		require.NoError(t, other.store.RecordCertificate(t.Context(), unissued, storetest.NewAct(f.clock.Now())))
		ask(unissued.Serial, ocsp.Good)()
	})
}

// An answer that was on its way while something changed is not remembered.
func TestStandingsOnTheirWay(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	slow := &slowStore{Store: f.store}
	f.load(slow)
	f.asked(serial)
	f.clock.advance(2 * time.Second)
	f.publish()
	f.publish()
	slow.meanwhile = func() {
		_, err := f.Revoke(t.Context(), developer, serial, pki.Superseded)
		require.NoError(t, err)
	}
	require.Equal(t, ocsp.Good, f.asked(serial), "asked before, answered after")
	require.Equal(t, ocsp.Revoked, f.asked(serial))
}

// slowStore does something between question and answer.
type slowStore struct {
	ca.Store
	meanwhile func()
}

func (s *slowStore) Standing(ctx context.Context, serial pki.Serial) (ca.Standing, error) {
	standing, err := s.Store.Standing(ctx, serial)
	if do := s.meanwhile; do != nil {
		s.meanwhile = nil
		do()
	}
	return standing, err
}

// Whatever servers do and in whatever order, and with clocks that jump and databases that fail, none gives an answer that was not right at some moment
// of the last two seconds.
func TestNoStaleAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		w := newStaleness(t, url)
		for range 250 {
			w.step()
			w.requireFresh()
		}
	})
}

// staleness is two servers on one database, and what was right when.
type staleness struct {
	*fixture
	servers []*fixture
	faults  []*storetest.Faults
	serials []pki.Serial
	was     map[pki.Serial][]moment // the last is now
	elapsed time.Duration
	ahead   time.Duration
	random  *rand.Rand
}

type moment struct {
	status int
	until  time.Duration
}

func newStaleness(t *testing.T, url string) *staleness {
	f := newFixtureOn(t, url, ca.HierarchyDirect)
	other := *f
	other.open()
	w := &staleness{fixture: f, servers: []*fixture{f, &other}, was: make(map[pki.Serial][]moment)}
	for _, s := range w.servers {
		faults := storetest.NewFaults(s.store)
		s.load(faults)
		w.faults = append(w.faults, faults)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w.random = rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		serial := f.issue("www.example.com").Certificate.Serial
		w.serials = append(w.serials, serial)
		w.was[serial] = []moment{{status: ocsp.Good}}
	}
	return w
}

// step lets a server do something, or time pass.
func (w *staleness) step() {
	w.t.Helper()
	n := w.random.IntN(len(w.servers))
	server, serial := w.servers[n], w.serials[w.random.IntN(len(w.serials))]
	ctx := w.t.Context()
	switch w.random.IntN(20) {
	case 0: // most are on hold and released again, so that there is always something to do
		_, err := server.Revoke(ctx, operator, serial, pki.CertificateHold)
		w.note(err, ocsp.Revoked, serial)
	case 1, 2:
		_, err := server.Release(ctx, operator, serial)
		w.note(err, ocsp.Good, serial)
	case 3:
		if w.random.IntN(8) == 0 {
			_, err := server.Revoke(ctx, operator, serial, pki.KeyCompromise)
			w.note(err, ocsp.Revoked, serial)
		}
	case 4:
		search := ca.RevocationSearch{Serials: w.serials[:2]}
		counted, err := server.CountRevocations(ctx, operator, search, pki.CertificateHold, "")
		if err == nil {
			_, err = server.RevokeFound(ctx, operator, search, pki.CertificateHold, counted.Confirm, "")
		}
		w.note(err, ocsp.Revoked, w.serials[:2]...)
	case 5: // the database does not answer for some time
		w.faults[n].Arm("ListCRLStates", storetest.DidNotHappen)
		require.ErrorIs(w.t, server.PublishCRLs(ctx), storetest.ErrFault)
	case 6:
		w.faults[n].Arm("PublishCRL", storetest.DidHappen)
	case 7: // the clock is set to another hour, and back
		w.clock.advance(time.Hour - 2*w.ahead)
		w.ahead = time.Hour - w.ahead
	case 8, 9, 10, 11:
		pause := time.Duration(w.random.IntN(1500)) * time.Millisecond
		w.elapsed += pause
		w.clock.advance(pause)
	default:
		_ = server.PublishCRLs(ctx) // which may fail, as armed
	}
}

// note remembers what was done, unless there was nothing to do.
func (w *staleness) note(err error, status int, serials ...pki.Serial) {
	w.t.Helper()
	if err != nil {
		var refused *ca.Error
		require.ErrorAs(w.t, err, &refused)
		return
	}
	for _, serial := range serials {
		was := w.was[serial]
		was[len(was)-1].until = w.elapsed
		w.was[serial] = append(was, moment{status: status})
	}
}

func (w *staleness) requireFresh() {
	w.t.Helper()
	for _, serial := range w.serials {
		was := w.was[serial]
		right := []int{was[len(was)-1].status}
		for _, m := range was[:len(was)-1] {
			if m.until >= w.elapsed-2*time.Second {
				right = append(right, m.status)
			}
		}
		for _, server := range w.servers {
			// The times in it may be past or future ones for a clock that was set.
			answer, err := server.OCSP(w.t.Context(), rootName, server.question(rootName, serial.Int(), crypto.SHA1))
			require.NoError(w.t, err)
			read, err := ocsp.ParseResponse(answer.DER, server.authority(rootName).Certificate())
			require.NoError(w.t, err)
			require.Contains(w.t, right, read.Status)
		}
	}
}
