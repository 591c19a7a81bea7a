package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// webhookLine is a webhook in a list.
type webhookLine struct {
	ca.Webhook
	State string // how the last delivery went: "none" so far, "delivered", "failing"
}

func newWebhookLine(w ca.Webhook) webhookLine {
	switch {
	case !w.FailingSince.IsZero():
		return webhookLine{w, "failing"}
	case !w.DeliveredAt.IsZero():
		return webhookLine{w, "delivered"}
	}
	return webhookLine{w, "none"}
}

// webhookForm asks for a webhook.
type webhookForm struct {
	URL    string
	Faults faults
}

// testTime is how long a page goes on looking for what became of a test message: an attempt may take 15 seconds, and one that fails soon is repeated after 5.
const testTime = 20 * time.Second

// webhooks are those of an app. following tells whether a test message, which the address says when it was sent, may still be on its way.
func (v *visit) webhooks(app string) (lines []webhookLine, following bool, err error) {
	if !v.may(ca.ActReadWebhook) {
		return nil, false, nil
	}
	all, err := v.ca.ListWebhooks(v.context(), v.principal, app)
	at, tested := v.tested()
	for _, w := range all {
		lines = append(lines, newWebhookLine(w))
		if w.ID == tested {
			following = v.now.Sub(at) < testTime && w.DeliveredAt.Before(at)
		}
	}
	return lines, following, err
}

// tested is which webhook was tested, and when, as the address of the page says.
func (v *visit) tested() (at time.Time, id string) {
	seconds, id, _ := strings.Cut(v.r.URL.Query().Get("tested"), ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, ""
	}
	return time.Unix(n, 0), id
}

func createWebhook(v *visit) error {
	p, err := v.endpointsPage()
	if err != nil {
		return err
	}
	p.Tell.URL = withScheme(v.r.PostFormValue("url"))
	w, err := v.ca.CreateWebhook(v.context(), v.principal, p.App.ID, p.Tell.URL)
	if err == nil {
		return v.show(webhookSecretPage{Webhook: w})
	}
	var again bool
	if p.Tell.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// webhookSecretPage shows the secret of a webhook, this once.
type webhookSecretPage struct{ ca.Webhook }

func (webhookSecretPage) template() string { return "portal-webhook-secret" }

// Path is that of the list.
func (p webhookSecretPage) Path() string { return portalPath(p.App, "endpoints") }

// Rotated tells whether there was a secret before.
func (p webhookSecretPage) Rotated() bool { return !p.OldUntil.IsZero() }

func rotateWebhook(v *visit) error {
	w, err := v.ca.RotateWebhook(v.context(), v.principal, v.param("app"), v.param("webhook"))
	if err != nil {
		return err
	}
	return v.show(webhookSecretPage{w})
}

func testWebhook(v *visit) error {
	app, id := v.param("app"), v.param("webhook")
	if err := v.ca.TestWebhook(v.context(), v.principal, app, id); err != nil {
		return err
	}
	said := url.Values{"tested": {strconv.FormatInt(v.now.Unix(), 10) + "." + id}}
	return v.redirect(done(portalPath(app, "endpoints")+"?"+said.Encode(), "webhook-tested") + "#webhooks")
}

func removeWebhook(v *visit) error {
	app := v.param("app")
	if err := v.ca.RemoveWebhook(v.context(), v.principal, app, v.param("webhook")); err != nil {
		return err
	}
	return v.redirect(done(portalPath(app, "endpoints"), "webhook-removed"))
}
