package ca

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// followTick is how often a process looks whether others have changed the authorities.
const followTick = 2 * time.Second

// following is how far a process has followed the records.
type following struct {
	mu  sync.Mutex
	all []Authority // as they were taken over last
}

// KeepAuthorities follows what others change in the records of the authorities, until ctx ends: those that are added, what each issues and stands by for,
// where their keys are. Any number of processes may be a moment behind: both the authority that issued a profile and the one that does now are good.
func (c *CA) KeepAuthorities(ctx context.Context) {
	tick := time.NewTicker(followTick)
	defer tick.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := c.FollowAuthorities(ctx)
		if changed {
			c.log.InfoContext(ctx, "took over what was changed in the records of the authorities")
		}
		if now := c.clock(); err != nil && ctx.Err() == nil && now.Sub(told) >= time.Minute {
			told = now
			c.log.ErrorContext(ctx, "following the records of the authorities; until it succeeds, this process works with those that it knows", "error", err)
		}
	}
}

// FollowAuthorities takes over the authorities as they are recorded now, and tells whether they were others than before. When one that issues something
// cannot be opened here, everything stays as it was: what this process issued from until now is still good.
func (c *CA) FollowAuthorities(ctx context.Context) (changed bool, err error) {
	if c.open == nil {
		return false, nil
	}
	c.following.mu.Lock()
	defer c.following.mu.Unlock()
	recorded, err := c.store.ListAuthorities(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the authorities: %w", err)
	}
	if sameAuthorities(recorded, c.following.all) {
		return false, nil
	}
	issuers, err := c.open(recorded)
	if err != nil {
		return false, fmt.Errorf("opening the authorities: %w", err)
	}
	next, err := newRoster(issuers, c.current.Load())
	if err != nil {
		return false, err
	}
	c.following.all = recorded
	c.current.Store(next)
	return true, nil
}
