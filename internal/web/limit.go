package web

import (
	"sync"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// Limits bound how often somebody may ask. Zero rates are replaced by the defaults.
//
// They are counted in the memory of each replica. That is deliberate: a limit protects a replica from being overrun, and one that is shared
// would cost a round trip on the very requests that it should keep cheap, and fall with the store that it protects. With N replicas behind a
// balancer somebody gets up to N times the rate, which is in proportion to what N replicas can take. After a restart everybody starts afresh.
type Limits struct {
	Address  Rate // all requests from one IPv4 address, or one IPv6 /64. Default: 500 a second, bursts of 1000.
	Failures Rate // failed authentications from the same. Default: one in 5 seconds, bursts of 20.
	Token    Rate // requests with one token. Default: 100 a second, bursts of 200.
}

// Rate is how often something may happen in the long run, and how often at once after a pause.
type Rate struct {
	PerSecond float64 // less than zero: as often as one likes
	Burst     int     // at least 1
}

func (r Rate) or(otherwise Rate) Rate {
	if r == (Rate{}) {
		return otherwise
	}
	return r
}

var defaultLimits = Limits{
	Address:  Rate{PerSecond: 500, Burst: 1000},
	Failures: Rate{PerSecond: 0.2, Burst: 20},
	Token:    Rate{PerSecond: 100, Burst: 200},
}

const (
	// maxKeys bounds the memory of a limiter to some 10 MB.
	maxKeys = 1 << 16

	// tokenMemory is how long a good token is remembered as such.
	tokenMemory = 10 * time.Minute

	// sweepPause keeps a limiter that is full from looking for what to forget at every request.
	sweepPause = time.Second
)

// limiter holds many keys to a rate by the generic cell rate algorithm (GCRA, ITU-T I.371): a key has one number, the moment at which what
// it has taken so far would have been due at the steady rate. It may run ahead of the clock by the burst, and no further.
type limiter struct {
	interval  time.Duration // between two requests at the steady rate; 0 for no limit
	tolerance time.Duration // how far a key may run ahead
	memory    time.Duration // how long a key is kept after it is back to rest

	mu    sync.Mutex
	due   map[string]time.Time
	swept time.Time
}

func newLimiter(r Rate, memory time.Duration) *limiter {
	l := &limiter{memory: memory, due: make(map[string]time.Time)}
	if r.PerSecond > 0 {
		l.interval = time.Duration(float64(time.Second) / r.PerSecond)
		l.tolerance = time.Duration(max(r.Burst, 1)-1) * l.interval
	}
	return l
}

// take counts one more of a key, and returns how long to wait for it; zero means that it may happen now. What must wait is not counted.
func (l *limiter) take(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, seen := l.due[key]
	if wait := l.excess(due, now); wait > 0 {
		return wait
	}
	if due.Before(now) {
		due = now
	}
	if !seen && len(l.due) >= maxKeys {
		l.makeRoom(now)
	}
	l.due[key] = due.Add(l.interval)
	return 0
}

// wait is what take would return, without counting.
func (l *limiter) wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.excess(l.due[key], now)
}

// excess is how far a key that is due at some moment has run ahead too far.
func (l *limiter) excess(due, now time.Time) time.Duration {
	if l.interval == 0 || due.Before(now) {
		return 0
	}
	return max(due.Sub(now)-l.tolerance, 0)
}

func (l *limiter) has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, seen := l.due[key]
	return seen
}

func (l *limiter) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.due, key)
}

// makeRoom forgets the keys that are at rest, and where all are busy any one: somebody with more addresses than fit costs the limiter
// its exactness, never the process its memory.
func (l *limiter) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= sweepPause {
		l.swept = now
		for key, due := range l.due {
			if due.Add(l.memory).Before(now) {
				delete(l.due, key)
			}
		}
	}
	for key := range l.due {
		if len(l.due) < maxKeys {
			return
		}
		delete(l.due, key)
	}
}

func rateLimited(wait time.Duration, what string) *ca.Error {
	refusal := Refuse(ca.KindRateLimited, "Too many requests: %s may go on in %v. Wait that long, then send fewer a second.", what, max(wait.Round(time.Second), time.Second))
	refusal.RetryAfter = wait
	return refusal
}
