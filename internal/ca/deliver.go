package ca

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	deliveryTime     = 15 * time.Second // bounds one attempt
	deliveryLease    = time.Minute      // how long a process has a delivery for itself
	deliveriesAtOnce = 8
	deliveryPause    = 10 * time.Second // between looks for deliveries that nobody here was told of
)

// deliveryWaits are the pauses after each attempt that failed; after the last, the message is given up.
var deliveryWaits = [...]time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// KeepWebhooks delivers messages until ctx ends. Any number of processes may do it: each message is leased by one of them, and is delivered at least
// once, whoever dies.
func (c *CA) KeepWebhooks(ctx context.Context) {
	if c.webhooks.Post == nil {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(deliveryPause)
	defer tick.Stop()
	for {
		if err := c.beginDeliveries(ctx, &running); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "looking for messages to deliver; it is tried again in a while", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.delivering.woken:
		}
	}
}

// DeliverDue delivers what is due at this moment, and waits for it.
func (c *CA) DeliverDue(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	if c.webhooks.Post == nil {
		return nil
	}
	return c.beginDeliveries(ctx, &running)
}

func (c *CA) beginDeliveries(ctx context.Context, running *sync.WaitGroup) error {
	for {
		due, err := c.store.DueDeliveries(ctx, c.clock(), cap(c.delivering.slots))
		if err != nil {
			return fmt.Errorf("reading the messages that are due: %w", err)
		}
		if len(due) == 0 {
			return nil
		}
		for _, d := range due {
			select {
			case c.delivering.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			until := c.clock().Add(deliveryLease)
			if err := c.store.LeaseDelivery(ctx, d, until); err != nil {
				<-c.delivering.slots
				if errors.Is(err, ErrChanged) {
					continue
				}
				return fmt.Errorf("leasing the message %s: %w", d.ID, err)
			}
			d.DueAt = until
			d.Tries++
			running.Go(func() {
				defer func() { <-c.delivering.slots }()
				if err := c.deliver(ctx, d); err != nil && ctx.Err() == nil {
					c.log.ErrorContext(ctx, "delivering a message; it is tried again", "message", d.ID, "webhook", d.Webhook, "error", err)
				}
			})
		}
	}
}

// deliver makes one attempt, and commits what became of it.
func (c *CA) deliver(ctx context.Context, d Delivery) error {
	w, err := c.store.Webhook(ctx, d.Webhook)
	switch {
	case errors.Is(err, ErrNotFound): // it was removed, and the message with it
		return nil
	case err != nil:
		return fmt.Errorf("reading the webhook %s: %w", d.Webhook, err)
	}
	post, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	failed := c.webhooks.Post(post, w.URL, w.headers(d.Notice, c.clock()), d.Body)
	if ctx.Err() != nil {
		return ctx.Err() // this process ends: another tries again
	}
	now := c.clock()
	a := Attempt{At: now}
	var events []Event
	if failed != nil {
		a.Failure = oneLine(failed.Error())
		if d.Tries <= len(deliveryWaits) {
			wait := deliveryWaits[d.Tries-1]
			a.Next = now.Add(wait + rand.N(wait/10)).Truncate(time.Microsecond)
		} else {
			events = append(events, c.event(now, itself(), ActGiveUp, target{app: d.App, object: d.Webhook, detail: map[string]string{
				"message": d.ID, "type": d.Type, "why": a.Failure}}))
		}
	}
	c.webhooks.Observe(failed == nil)
	err = c.store.EndDelivery(context.WithoutCancel(ctx), d, a, events)
	if err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("recording what became of the message %s: %w", d.ID, err)
	}
	return nil
}
