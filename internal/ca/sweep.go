package ca

import (
	"context"
	"fmt"
)

// Sweep forgets what has had its time: the idempotency keys older than ClaimLife, quotas of which nothing is used, checks that have been kept
// for long enough, and sessions that are over. It is called now and then, by any number of servers.
func (c *CA) Sweep(ctx context.Context) error {
	now := c.clock()
	if err := c.store.ForgetClaims(ctx, now.Add(-ClaimLife)); err != nil {
		return fmt.Errorf("forgetting old idempotency keys: %w", err)
	}
	if err := c.store.ForgetQuotas(ctx, now); err != nil {
		return fmt.Errorf("forgetting unused quotas: %w", err)
	}
	if err := c.store.ForgetChecks(ctx, now.Add(-c.checks.Keep)); err != nil {
		return fmt.Errorf("forgetting old checks: %w", err)
	}
	if err := c.store.ForgetSessions(ctx, now, now.Add(-SessionIdle)); err != nil {
		return fmt.Errorf("forgetting sessions that are over: %w", err)
	}
	if err := c.store.ForgetReplacements(ctx, now); err != nil {
		return fmt.Errorf("forgetting replacements of certificates that have expired: %w", err)
	}
	return nil
}
