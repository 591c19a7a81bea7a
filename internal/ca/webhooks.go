package ca

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

const (
	maxWebhooks   = 10             // of an app
	secretOverlap = 24 * time.Hour // how long messages are signed by the secret before, too
)

// CreateWebhook has an app told at a URL what happens to its endpoints. The secret of the answer is shown this once.
func (c *CA) CreateWebhook(ctx context.Context, p Principal, app, address string) (Webhook, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActCreateWebhook, target{app: app, object: app})
	if err != nil {
		return Webhook{}, err
	}
	w, err := c.createWebhook(ctx, p, app, address, act)
	return w, c.answer(ctx, act, err)
}

func (c *CA) createWebhook(ctx context.Context, p Principal, app, address string, act Act) (Webhook, error) {
	now := act.Event.At
	if _, err := c.appOf(ctx, app); err != nil {
		return Webhook{}, err
	}
	host, err := checkWebhookURL(address)
	if err != nil {
		return Webhook{}, err
	}
	id := newEventID(now)
	w := Webhook{ID: "whk_" + hex.EncodeToString(id[:]), App: app, URL: address, CreatedAt: now, CreatedBy: p.Name, Version: 1}
	rand.Read(w.Secret[:])
	act.Event.Object, act.Event.Detail = w.ID, map[string]string{"host": host} // the rest of the URL may hold a secret
	switch err := c.store.CreateWebhook(context.WithoutCancel(ctx), w, maxWebhooks, act); {
	case errors.Is(err, ErrFull):
		return Webhook{}, refuse(KindConflict, "", "The app %s has %d webhooks, which is the most: remove one ('imca webhook remove', or DELETE /v1/apps/%s/webhooks/{webhook}).", app, maxWebhooks, app)
	case err != nil:
		return Webhook{}, fmt.Errorf("recording a webhook of %s: %w", app, err)
	}
	return w, nil
}

// checkWebhookURL refuses what no message is sent to. Where the name leads is seen when it is called.
func checkWebhookURL(text string) (host string, err error) {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL || err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil || u.Fragment != "" || !printable(text):
		return "", refuse(KindInvalid, "/url", "Messages are sent by HTTPS: give a URL like https://hooks.example.com/imca, of at most %d characters.", maxURL)
	}
	n, err := pki.ParseName(u.Hostname())
	if err != nil || n.IsWildcard() {
		return "", refuse(KindInvalid, "/url", "%q is no host: give a URL like https://hooks.example.com/imca.", oneLine(u.Hostname()))
	}
	if port := u.Port(); port != "" && port != "443" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number < 1024 {
			return "", refuse(KindInvalid, "/url", "Port %s is no port for messages: use 443, or one from 1024 on.", oneLine(port))
		}
	}
	return n.String(), nil
}

// webhook finds a webhook of an app and authorizes an act on it.
func (c *CA) webhook(ctx context.Context, p Principal, a Action, app, id string) (Webhook, Act, error) {
	act, err := c.authorize(ctx, c.clock(), p, a, target{app: app, object: id})
	if err != nil {
		return Webhook{}, Act{}, err
	}
	w, err := c.store.Webhook(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && w.App != app:
		return Webhook{}, Act{}, c.refused(ctx, act, noWebhook(app, id))
	case err != nil:
		return Webhook{}, Act{}, fmt.Errorf("reading the webhook %s: %w", oneLine(id), err)
	}
	return w, act, nil
}

func noWebhook(app, id string) *Error {
	return refuse(KindNotFound, "", "The app %s has no webhook %s: look it up in the list (GET /v1/apps/%s/webhooks, or 'imca webhook list').", app, oneLine(id), app)
}

// ListWebhooks are those of an app, oldest first.
func (c *CA) ListWebhooks(ctx context.Context, p Principal, app string) ([]Webhook, error) {
	if _, err := c.authorize(ctx, c.clock(), p, ActReadWebhook, target{app: app}); err != nil {
		return nil, err
	}
	return c.store.ListWebhooks(ctx, app)
}

// RotateWebhook makes a new secret, shown this once. For a day messages are signed by the one before as well.
func (c *CA) RotateWebhook(ctx context.Context, p Principal, app, id string) (Webhook, error) {
	for range tries {
		w, act, err := c.webhook(ctx, p, ActRotateWebhook, app, id)
		if err != nil {
			return Webhook{}, err
		}
		w.OldSecret, w.OldUntil = w.Secret, act.Event.At.Add(secretOverlap)
		rand.Read(w.Secret[:])
		switch err := c.store.RotateWebhook(context.WithoutCancel(ctx), w, act); {
		case err == nil:
			return w, nil
		case !errors.Is(err, ErrChanged):
			return Webhook{}, fmt.Errorf("recording the secret of %s: %w", id, err)
		}
	}
	return Webhook{}, &Error{Kind: KindUnavailable, RetryAfter: time.Second, Detail: "Others are changing this webhook at this moment: try again."}
}

// RemoveWebhook ends the messages to a webhook, those on their way included.
func (c *CA) RemoveWebhook(ctx context.Context, p Principal, app, id string) error {
	_, act, err := c.webhook(ctx, p, ActRemoveWebhook, app, id)
	if err != nil {
		return err
	}
	err = c.store.RemoveWebhook(context.WithoutCancel(ctx), id, act)
	if err != nil && !errors.Is(err, ErrNotFound) { // somebody was faster
		return fmt.Errorf("removing the webhook %s: %w", id, err)
	}
	return nil
}

// TestWebhook sends a message that says nothing but that it is a test.
func (c *CA) TestWebhook(ctx context.Context, p Principal, app, id string) error {
	_, act, err := c.webhook(ctx, p, ActTestWebhook, app, id)
	if err != nil {
		return err
	}
	n, err := c.notice(act.Event, "webhook.test", map[string]any{"app": app, "webhook": id})
	if err != nil {
		return err
	}
	switch err := c.store.QueueNotice(context.WithoutCancel(ctx), id, n, act); {
	case errors.Is(err, ErrNotFound):
		return c.refused(ctx, act, noWebhook(app, id))
	case err != nil:
		return fmt.Errorf("recording a message to %s: %w", id, err)
	}
	c.delivering.wake()
	return nil
}

// notice is the message about an event.
func (c *CA) notice(e Event, kind string, data map[string]any) (Notice, error) {
	body, err := json.Marshal(map[string]any{"type": kind, "timestamp": e.At, "data": data})
	if err != nil {
		return Notice{}, fmt.Errorf("encoding a message: %w", err)
	}
	return Notice{ID: "msg_" + hex.EncodeToString(e.ID[:]), App: e.App, Type: kind, At: e.At, Body: body}, nil
}
