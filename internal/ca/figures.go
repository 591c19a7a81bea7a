package ca

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Occurrence is what can be counted of certificates, by when it happens.
type Occurrence string

// The occurrences.
const (
	WasIssued  Occurrence = "issued"  // at CreatedAt
	WillEnd    Occurrence = "ending"  // at NotAfter, of those that are signed and not revoked
	WasRevoked Occurrence = "revoked" // at the revocation, of those that are revoked
)

// FigureDays is how many days Figures tell of, before and behind.
const FigureDays = 90

// Figures are what happened on each day, and what will: for people who watch the CA.
type Figures struct {
	// At is when they were counted; zero: they are being counted for the first time, and there are none yet.
	At time.Time

	Past            time.Time // the first of the days that Issued and Revoked tell of, UTC; the last one is that of At
	Issued, Revoked []int     // FigureDays counts
	Future          time.Time // the first of the days that Ending tells of: that of At
	Ending          []int     // FigureDays counts of certificates that end then unless they are revoked before
}

// How long a caller waits for new figures before it gets older ones, and how long figures stay new: a minute, or so long that counting takes at most
// a twentieth of the time.
const (
	figuresWait = 50 * time.Millisecond
	figuresNew  = time.Minute
	figuresRest = 20
)

// keptFigures are the latest figures of this process.
type keptFigures struct {
	mu      sync.Mutex
	latest  Figures
	due     time.Time
	counted chan struct{} // not nil while a count is under way; closed at its end
}

// Figures are the latest ones. To count them reads as much of an index as there are certificates in those days, so it is done beside the requests,
// rarely, and only while somebody asks.
func (c *CA) Figures(ctx context.Context, p Principal) (Figures, error) {
	now := c.clock()
	if _, err := c.authorize(ctx, now, p, ActReadFigures, target{}); err != nil {
		return Figures{}, err
	}
	c.figures.mu.Lock()
	if c.figures.counted == nil && !now.Before(c.figures.due) {
		c.figures.counted = make(chan struct{})
		go c.refreshFigures(context.WithoutCancel(ctx), now)
	}
	counted := c.figures.counted
	c.figures.mu.Unlock()

	if counted != nil {
		patience := time.NewTimer(figuresWait)
		defer patience.Stop()
		select {
		case <-counted:
		case <-patience.C:
		case <-ctx.Done():
		}
	}
	c.figures.mu.Lock()
	defer c.figures.mu.Unlock()
	return c.figures.latest.clone(), nil
}

func (f Figures) clone() Figures {
	f.Issued, f.Revoked, f.Ending = slices.Clone(f.Issued), slices.Clone(f.Revoked), slices.Clone(f.Ending)
	return f
}

// refreshFigures counts, and keeps what it has counted.
func (c *CA) refreshFigures(ctx context.Context, now time.Time) {
	const most = time.Minute
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	figures, err := c.countFigures(ctx, now)
	if err != nil {
		c.log.WarnContext(ctx, "counting certificates for the overview; it is tried again", "error", err)
	}
	c.figures.mu.Lock()
	defer c.figures.mu.Unlock()
	if err == nil {
		c.figures.latest = figures
	}
	end := c.clock()
	c.figures.due = end.Add(max(figuresNew, figuresRest*end.Sub(now)))
	close(c.figures.counted)
	c.figures.counted = nil
}

func (c *CA) countFigures(ctx context.Context, now time.Time) (f Figures, err error) {
	today := now.Truncate(24 * time.Hour)
	f = Figures{At: now, Past: today.AddDate(0, 0, 1-FigureDays), Future: today}
	for _, count := range []struct {
		what  Occurrence
		from  time.Time
		stays *[]int
	}{{WasIssued, f.Past, &f.Issued}, {WasRevoked, f.Past, &f.Revoked}, {WillEnd, f.Future, &f.Ending}} {
		bounds := make([]time.Time, FigureDays+1)
		for i := range bounds {
			bounds[i] = count.from.AddDate(0, 0, i)
		}
		if *count.stays, err = c.store.CountCertificates(ctx, count.what, bounds); err != nil {
			return f, fmt.Errorf("counting what is %s: %w", count.what, err)
		}
	}
	return f, nil
}
