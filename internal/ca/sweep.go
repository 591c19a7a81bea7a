package ca

import (
	"context"
	"fmt"
)

// Sweep forgets what has had its time: the idempotency keys older than ClaimLife. It is called now and then, by any number of servers.
func (c *CA) Sweep(ctx context.Context) error {
	if err := c.store.ForgetClaims(ctx, c.clock().Add(-ClaimLife)); err != nil {
		return fmt.Errorf("forgetting old idempotency keys: %w", err)
	}
	return nil
}
