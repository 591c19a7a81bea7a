package ca

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// WebhookRules say how an app is told what happens to its endpoints.
type WebhookRules struct {
	// Post sends a body to a URL and returns nil for an answer of the 200s; any other error says in words what became of it. nil: nobody is told.
	Post func(ctx context.Context, url string, header map[string]string, body []byte) error

	// Observe, if not nil, is called after each attempt: for metrics. It may not block.
	Observe func(delivered bool)
}

// Webhook is where an app wants to be told. Messages are signed as Standard Webhooks has it (standardwebhooks.com).
type Webhook struct {
	ID        string // "whk_…", in the order of time
	App       string
	URL       string
	CreatedAt time.Time
	CreatedBy string // the principal's name

	Secret    [32]byte
	OldSecret [32]byte  // the one before, by which messages are signed as well until OldUntil
	OldUntil  time.Time // zero: there is none

	DeliveredAt  time.Time // the last message that arrived; zero: none yet
	FailingSince time.Time // zero: the last attempt did not fail
	Failure      string    // of the last attempt

	// Version counts the changes of the secret.
	Version int
}

// secretPrefix marks the secrets of webhooks, as Standard Webhooks has it.
const secretPrefix = "whsec_"

// SecretText is the secret as it is shown, once.
func (w Webhook) SecretText() string {
	return secretPrefix + base64.StdEncoding.EncodeToString(w.Secret[:])
}

// Notice is a message to the webhooks of an app.
type Notice struct {
	ID   string // "msg_…"
	App  string
	Type string // "endpoint.open" …
	At   time.Time
	Body []byte // JSON
}

// Delivery is a notice on its way to one webhook.
type Delivery struct {
	Notice
	Webhook string // its ID
	DueAt   time.Time
	Tries   int
}

// Attempt is what became of a try to deliver.
type Attempt struct {
	At      time.Time
	Failure string    // empty: it arrived
	Next    time.Time // when it is tried again; zero: never
}

// Webhooks keeps who is told, and what they have not been told yet.
type Webhooks interface {
	// CreateWebhook: ErrFull when the app has that many.
	CreateWebhook(ctx context.Context, w Webhook, most int, act Act) error
	// Webhook: ErrNotFound when there is none with this ID.
	Webhook(ctx context.Context, id string) (Webhook, error)
	// ListWebhooks are those of an app, oldest first.
	ListWebhooks(ctx context.Context, app string) ([]Webhook, error)
	// RotateWebhook replaces the secrets of a webhook whose Version is still the given one, and counts it up. ErrChanged: it is not.
	RotateWebhook(ctx context.Context, w Webhook, act Act) error
	// RemoveWebhook takes what is on its way to it away, too. ErrNotFound: there is none.
	RemoveWebhook(ctx context.Context, id string, act Act) error
	// QueueNotice has a notice delivered to one webhook. ErrNotFound: there is none.
	QueueNotice(ctx context.Context, webhook string, n Notice, act Act) error

	// DueDeliveries are those whose DueAt has come, the longest overdue first.
	DueDeliveries(ctx context.Context, now time.Time, limit int) ([]Delivery, error)
	// LeaseDelivery puts off the DueAt of a delivery and counts its Tries, as a process does that is about to make it. ErrChanged: another was faster.
	// It has no event.
	LeaseDelivery(ctx context.Context, d Delivery, until time.Time) error
	// EndDelivery notes what became of an attempt with the webhook, and removes the delivery, which has the given DueAt still, or puts it off. events are
	// committed with it. ErrChanged: it has not, or the webhook is gone.
	EndDelivery(ctx context.Context, d Delivery, a Attempt, events []Event) error
}

// signature is the header by which the receiver knows a message for ours: of each secret that counts at now, over the ID, the time and the body.
func (w Webhook) signature(id string, now time.Time, body []byte) string {
	secrets := [][32]byte{w.Secret}
	if now.Before(w.OldUntil) {
		secrets = append(secrets, w.OldSecret)
	}
	var signatures []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret[:])
		fmt.Fprintf(mac, "%s.%d.", id, now.Unix())
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}

// headers are those of a message.
func (w Webhook) headers(n Notice, now time.Time) map[string]string {
	return map[string]string{
		"webhook-id": n.ID, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": w.signature(n.ID, now, n.Body),
		"Content-Type": "application/json",
	}
}
