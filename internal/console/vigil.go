package console

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// vigils are the looks for proofs that go on while somebody has the page of a name open, or has asked for one a moment ago. Each server has its own: the
// state of a name is in the database, and two that look for the same proof do no harm.
type vigils struct {
	ca         *ca.CA
	background func(func(context.Context))
	now        func() time.Time
	log        *slog.Logger
	pause      time.Duration // between looks

	mu  sync.Mutex
	all map[claim]*vigil
}

// claim is an app's, on a name.
type claim struct{ app, name string }

// vigil is one of them, as pages tell of it.
type vigil struct {
	Until time.Time // it ends then at the latest
	Over  bool      // it has ended, and found nothing

	SeenAt  time.Time // the last look; zero: none yet
	SeenBy  ca.Method
	Missing string // what it has missed

	asked   bool      // by a button, and so whether or not somebody watches
	watched time.Time // the page was asked for last
	end     context.CancelFunc
}

// Bounds of vigils.
const (
	vigilTime     = 10 * time.Minute
	unwatchedTime = time.Minute // a page that nobody asks for is not open any more
	vigilKept     = 30 * time.Minute
	mostVigils    = 200
	mostOfApp     = 10
)

// begin begins one by the methods, after a pause, unless one goes on already, or has ended a while ago. One that was asked for takes the place of any other.
func (s *vigils) begin(p ca.Principal, of claim, methods []ca.Method, asked bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	ofApp := 0
	for c, old := range s.all {
		if old.Over && now.Sub(old.Until) > vigilKept {
			delete(s.all, c)
		} else if c.app == of.app && !old.Over {
			ofApp++
		}
	}
	old := s.all[of]
	switch {
	case len(methods) == 0 || old != nil && !asked:
		return
	case old != nil:
		old.end()
	case len(s.all) >= mostVigils || ofApp >= mostOfApp:
		return // the button is still there
	}
	stopped, end := context.WithCancel(context.Background())
	one := &vigil{Until: now.Add(vigilTime), asked: asked, watched: now, end: end}
	s.all[of] = one
	s.background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, vigilTime)
		defer cancel()
		context.AfterFunc(stopped, cancel)
		select {
		case <-ctx.Done():
		case <-time.After(s.pause):
		}
		s.keep(ctx, p, of, one, methods)
	})
}

// keep looks until the proof is there.
func (s *vigils) keep(ctx context.Context, p ca.Principal, of claim, one *vigil, methods []ca.Method) {
	_, err := s.ca.AwaitProof(ctx, p, ca.Awaited{Name: of.name, App: of.app, Methods: methods, Pause: s.pause, Seen: func(m ca.Method, at time.Time, why *ca.Error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.SeenAt, one.SeenBy, one.Missing = at, m, why.Detail
		if !one.asked && s.now().Sub(one.watched) > unwatchedTime {
			one.end()
		}
	}})
	var refusal *ca.Error
	if err != nil && !errors.As(err, &refusal) && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "awaiting a proof", "name", of.name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[of] != one {
		return // another has taken its place
	}
	if err == nil || !one.asked && s.now().Sub(one.watched) > unwatchedTime {
		delete(s.all, of)
		return
	}
	one.Over, one.Until = true, s.now()
	if refusal != nil {
		one.Missing = refusal.Detail
	}
}

// watch is a copy of the vigil for a claim, which somebody watches now; the zero value where there is none.
func (s *vigils) watch(of claim) (one vigil, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, found := s.all[of]
	if !found {
		return vigil{}, false
	}
	kept.watched = s.now()
	return *kept, true
}
