package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// group serves concurrent calls together: while the database works on some, those that come meanwhile collect, and share the next round. A call
// is never added to a round that has begun, so an answer is never older than its question.
type group[Q, A any] struct {
	serve   func(round []*call[Q, A]) // sets the answer of each
	workers int                       // rounds at once

	mu      sync.Mutex
	waiting []*call[Q, A]
	working int
	closed  bool
	idle    sync.Cond
}

// call is a question on its way.
type call[Q, A any] struct {
	question Q
	answer   A
	err      error

	ctx  context.Context // the caller's; only asked whether it still waits
	done chan struct{}
}

// maxRound bounds a round, and with it the time that its first call waits for the last.
const maxRound = 256

// crowd is how many calls wait before another worker helps: with fewer, larger rounds are cheaper than more rounds.
const crowd = 64

func newGroup[Q, A any](workers int, serve func([]*call[Q, A])) *group[Q, A] {
	g := &group[Q, A]{serve: serve, workers: workers}
	g.idle.L = &g.mu
	return g
}

// do asks and waits. A caller whose context ends gets its error at once; the question is dropped if no round has taken it yet, and may be
// answered to nobody otherwise.
func (g *group[Q, A]) do(ctx context.Context, question Q) (A, error) {
	c := &call[Q, A]{question: question, ctx: ctx, done: make(chan struct{})}
	var none A
	if err := ctx.Err(); err != nil {
		return none, err
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return none, ErrClosed
	}
	g.waiting = append(g.waiting, c)
	if g.working == 0 || g.working < g.workers && len(g.waiting) >= crowd {
		g.working++
		go g.work()
	}
	g.mu.Unlock()

	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// work serves rounds until nobody waits.
func (g *group[Q, A]) work() {
	for {
		g.gather()
		round := g.next()
		if round == nil {
			return
		}
		g.serve(round)
		for _, c := range round {
			close(c.done)
		}
	}
}

// gather lets others ask first, as long as more of them do and there is room for them. Whoever can run now is about to ask, or to answer somebody who then asks: while the processors
// are busy, a round that begins after them is larger, and there are fewer of them.
func (g *group[Q, A]) gather() {
	for before, now := -1, 0; now > before && now < maxRound; {
		runtime.Gosched()
		g.mu.Lock()
		before, now = now, len(g.waiting)
		g.mu.Unlock()
	}
}

// next takes the calls of a round; nil says that there is no work left and this worker is released.
func (g *group[Q, A]) next() []*call[Q, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	var round []*call[Q, A]
	for len(g.waiting) > 0 && len(round) < maxRound {
		c := g.waiting[0]
		if g.waiting = g.waiting[1:]; len(g.waiting) == 0 {
			g.waiting = nil // lets go of those that were answered
		}
		if c.ctx.Err() == nil { // nobody waits for the others any more
			round = append(round, c)
		}
	}
	if round == nil {
		g.working--
		g.idle.Broadcast()
	}
	return round
}

// roundTime bounds the work for a round, whose callers may wait without a bound of their own.
const roundTime = 30 * time.Second

// inRound does the work for a round.
func inRound(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), roundTime)
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("the database has not answered for %s: %w", roundTime, err)
	}
	return err
}

// close refuses new calls and waits until those that were accepted are answered.
func (g *group[Q, A]) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.working > 0 {
		g.idle.Wait()
	}
}
