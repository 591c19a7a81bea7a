package ca

import (
	"context"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// standings remember what the database has said of certificates, while it is sure that nothing has changed since.
//
// A look at the database, a few times a second (PublishCRLs), tells whether any revocation of an authority has changed: each change waits to be
// published, or has changed the number of the list. So when a look finds the number of the look before and nothing that waits, all that was read
// between the two is still right; otherwise all of it is forgotten. A change that was made by this process is noticed at once, one that was made
// by another at the next look. When there was no look for a while, nothing is remembered.
//
// Times here are as the clock gives them, with its monotonic reading.
type standings struct {
	mu     sync.Mutex
	period uint64    // counts how often everything was forgotten
	number int64     // of the list, at the last look
	looked time.Time // when the last look began
	kept   halves[pki.Serial, answer]
}

const (
	// lookLife is how long after a look something is remembered. Looks come every crlTick; they are late when the database is.
	lookLife = time.Second

	// maxStandings bounds what is remembered for one authority, some 5 MB.
	maxStandings = 1 << 15
)

// look takes what a look has found that began at a time.
func (s *standings) look(began time.Time, state CRLState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state.Waiting || state.Number != s.number {
		s.forgetAll()
	}
	s.number, s.looked = state.Number, began
}

// forget is for changes that this process has made.
func (s *standings) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetAll()
}

func (s *standings) forgetAll() {
	s.period++
	s.kept = halves[pki.Serial, answer]{}
}

// find is what is known of a certificate. Otherwise ask the database, and keep the answer with the period.
func (s *standings) find(serial pki.Serial, now time.Time) (known answer, found bool, period uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if recent(s.looked, now) {
		known, found = s.kept.find(serial, maxStandings)
	}
	return known, found, s.period
}

// recent tells whether a look is not older than lookLife, by the wall clock, which may be set back, and by the monotonic one, which may stand still
// while the machine sleeps.
func recent(looked, now time.Time) bool {
	for _, age := range []time.Duration{now.Sub(looked), now.Round(0).Sub(looked.Round(0))} {
		if age < 0 || age >= lookLife {
			return false
		}
	}
	return true
}

// keep remembers an answer that was asked for in a period.
func (s *standings) keep(serial pki.Serial, a answer, period uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.period == period {
		s.kept.put(serial, a, maxStandings)
	}
}

// halves is a memory with bounds: when one half is full, the other, which was not asked for as lately, is forgotten.
type halves[K comparable, V any] struct{ young, old map[K]V }

func (h *halves[K, V]) find(key K, most int) (V, bool) {
	value, found := h.young[key]
	if !found {
		if value, found = h.old[key]; found {
			h.put(key, value, most)
		}
	}
	return value, found
}

func (h *halves[K, V]) put(key K, value V, most int) {
	if len(h.young) >= most/2 || h.young == nil {
		h.young, h.old = make(map[K]V), h.young
	}
	h.young[key] = value
}

// noticing is a store whose changes of revocations are noticed, whoever makes them, before they are answered.
type noticing struct {
	Store
	changed func()
}

func (n noticing) RevokeCertificate(ctx context.Context, serial pki.Serial, r Revocation, act Act) error {
	defer n.changed() // it may have happened whatever is answered, as with those below
	return n.Store.RevokeCertificate(ctx, serial, r, act)
}

func (n noticing) RaiseRevocation(ctx context.Context, serial pki.Serial, from, to pki.Reason, act Act) error {
	defer n.changed()
	return n.Store.RaiseRevocation(ctx, serial, from, to, act)
}

func (n noticing) RevokeCertificates(ctx context.Context, serials []pki.Serial, r Revocation, over []pki.Reason, events []Event, act Act) ([]pki.Serial, error) {
	defer n.changed()
	return n.Store.RevokeCertificates(ctx, serials, r, over, events, act)
}

func (n noticing) ReleaseCertificate(ctx context.Context, serial pki.Serial, act Act) error {
	defer n.changed()
	return n.Store.ReleaseCertificate(ctx, serial, act)
}
