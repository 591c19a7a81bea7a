package console

import (
	"context"
	"errors"
	"log/slog"
	"maps"
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

	Asked   bool                   // by a button, and so whether or not somebody watches
	Looks   map[ca.Method]lookedAt // the last by each way
	Refused string                 // why it has ended before its time; empty: it has not

	watched time.Time // the page was asked for last
	end     context.CancelFunc
}

// lookedAt is when a proof was looked for, and what was missing.
type lookedAt struct {
	At      time.Time
	Missing string
}

// Bounds of vigils.
const (
	vigilTime     = 10 * time.Minute
	unwatchedTime = 3 * time.Minute // a page that is not asked for is not open any more; browsers let one in the background ask once a minute
	vigilKept     = 30 * time.Minute
	mostVigils    = 200 // at once
	mostOfApp     = 10
)

// begin begins one by the methods, after a pause, unless one goes on already, or has ended a while ago. One that was asked for takes the place of any other.
func (s *vigils) begin(p ca.Principal, of claim, methods []ca.Method, asked bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	running, ofApp := 0, 0
	for c, old := range s.all {
		switch {
		case !old.Over:
			running++
			if c.app == of.app {
				ofApp++
			}
		case now.Sub(old.Until) > vigilKept:
			delete(s.all, c)
		}
	}
	old := s.all[of]
	switch {
	case len(methods) == 0 || old != nil && !asked:
		return
	case old != nil:
		old.end()
	case running >= mostVigils || ofApp >= mostOfApp:
		return // the button is still there
	}
	stopped, end := context.WithCancel(context.Background())
	one := &vigil{Until: now.Add(vigilTime), Asked: asked, Looks: make(map[ca.Method]lookedAt), watched: now, end: end}
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
		one.Looks[m] = lookedAt{at, why.Detail}
		if !one.Asked && s.now().Sub(one.watched) > unwatchedTime {
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
	gone := refusal != nil && refusal.Kind == ca.KindNotFound // the name was given up
	if err == nil || gone || !one.Asked && s.now().Sub(one.watched) > unwatchedTime {
		delete(s.all, of)
		return
	}
	one.Over, one.Until = true, s.now()
	if refusal != nil && ctx.Err() == nil {
		one.Refused = refusal.Detail
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
	one = *kept
	one.Looks = maps.Clone(kept.Looks)
	return one, true
}

// forget ends the vigil for a claim, which has ended, or begins anew.
func (s *vigils) forget(of claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, found := s.all[of]; found {
		one.end()
		delete(s.all, of)
	}
}
