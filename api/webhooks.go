package api

import (
	"net/http"
	"regexp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

func (d *door) createWebhook(c *call) error {
	app, err := c.appID()
	if err != nil {
		return err
	}
	var req WebhookRequest
	if err := c.body(&req); err != nil {
		return err
	}
	w, err := d.ca.CreateWebhook(c.r.Context(), c.principal, app, req.URL)
	if err != nil {
		return err
	}
	shown := showWebhook(w)
	shown.Secret = w.SecretText()
	return c.answer(c.created("/v1/apps/"+app+"/webhooks/"+w.ID, false), shown)
}

func (d *door) listWebhooks(c *call) error {
	app, err := c.appID()
	if err != nil {
		return err
	}
	webhooks, err := d.ca.ListWebhooks(c.r.Context(), c.principal, app)
	if err != nil {
		return err
	}
	page := Page[Webhook]{Items: make([]Webhook, len(webhooks))}
	for i, w := range webhooks {
		page.Items[i] = showWebhook(w)
	}
	return c.answer(http.StatusOK, page)
}

func (d *door) rotateWebhook(c *call) error {
	app, id, err := c.webhook()
	if err != nil {
		return err
	}
	w, err := d.ca.RotateWebhook(c.r.Context(), c.principal, app, id)
	if err != nil {
		return err
	}
	shown := showWebhook(w)
	shown.Secret = w.SecretText()
	return c.answer(http.StatusOK, shown)
}

func (d *door) testWebhook(c *call) error {
	app, id, err := c.webhook()
	if err != nil {
		return err
	}
	if err := d.ca.TestWebhook(c.r.Context(), c.principal, app, id); err != nil {
		return err
	}
	return c.write(http.StatusNoContent, nil)
}

func (d *door) removeWebhook(c *call) error {
	app, id, err := c.webhook()
	if err != nil {
		return err
	}
	if err := d.ca.RemoveWebhook(c.r.Context(), c.principal, app, id); err != nil {
		return err
	}
	return c.write(http.StatusNoContent, nil)
}

var webhookIDs = regexp.MustCompile(`^whk_[0-9a-f]{32}$`)

// webhook is the app and the webhook in the path. The most likely mistake here is the secret, which must not get into an event.
func (c *call) webhook() (app, id string, err error) {
	if app, err = c.appID(); err != nil {
		return "", "", err
	}
	if id = c.path("webhook"); !webhookIDs.MatchString(id) {
		return "", "", web.Refuse(ca.KindNotFound, "No webhook can have this ID: look it up in the list (GET /v1/apps/%s/webhooks).", app)
	}
	return app, id, nil
}

func showWebhook(w ca.Webhook) Webhook {
	return Webhook{
		ID: w.ID, App: w.App, URL: w.URL, CreatedAt: w.CreatedAt, CreatedBy: w.CreatedBy, OldSecretUntil: moment(w.OldUntil),
		DeliveredAt: moment(w.DeliveredAt), FailingSince: moment(w.FailingSince), Failure: w.Failure,
	}
}
