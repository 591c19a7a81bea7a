package api

import (
	"context"
	"net/http"
	"net/url"
)

// RunCheck has an endpoint tested from outside, and waits for the end as long as the server does: its State tells whether it has come.
func (c *Client) RunCheck(ctx context.Context, req CheckRequest) (*Check, error) {
	var k Check
	err := c.create(ctx, "/v1/checks", req.IdempotencyKey, req, &k)
	return &k, err
}

// Check reads a check, its report included.
func (c *Client) Check(ctx context.Context, id string) (*Check, error) {
	var k Check
	err := c.read(ctx, "/v1/checks/"+url.PathEscape(id), nil, &k)
	return &k, err
}

// Checks is a page of the checks that the filter selects, newest first, without their reports.
func (c *Client) Checks(ctx context.Context, f Filter) (*Page[Check], error) {
	return list[Check](ctx, c, "/v1/checks", f)
}

// AddEndpoint registers an endpoint to be checked from now on. It may be repeated: the answer is then the endpoint as it is.
func (c *Client) AddEndpoint(ctx context.Context, req EndpointRequest) (*Endpoint, error) {
	var e Endpoint
	err := c.create(ctx, "/v1/endpoints", "", req, &e)
	return &e, err
}

// Endpoints is a page of the endpoints that the filter selects.
func (c *Client) Endpoints(ctx context.Context, f Filter) (*Page[Endpoint], error) {
	return list[Endpoint](ctx, c, "/v1/endpoints", f)
}

// Endpoint reads an endpoint.
func (c *Client) Endpoint(ctx context.Context, id string) (*Endpoint, error) {
	var e Endpoint
	err := c.read(ctx, "/v1/endpoints/"+url.PathEscape(id), nil, &e)
	return &e, err
}

// RemoveEndpoint ends the regular checks of an endpoint.
func (c *Client) RemoveEndpoint(ctx context.Context, id string) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/endpoints/"+url.PathEscape(id), nil, nil)
	return err
}

// CreateWebhook has an app told at a URL what happens to its endpoints. The answer has the secret, this once.
func (c *Client) CreateWebhook(ctx context.Context, app string, req WebhookRequest) (*Webhook, error) {
	var w Webhook
	err := c.create(ctx, appPath(app)+"/webhooks", "", req, &w)
	return &w, err
}

// Webhooks are those of an app.
func (c *Client) Webhooks(ctx context.Context, app string) (*Page[Webhook], error) {
	return list[Webhook](ctx, c, appPath(app)+"/webhooks", nil)
}

// RotateWebhook makes a new secret, which the answer has, this once.
func (c *Client) RotateWebhook(ctx context.Context, app, id string) (*Webhook, error) {
	var w Webhook
	err := c.send(ctx, http.MethodPost, webhookPath(app, id)+"/rotate", nil, nil, &w)
	return &w, err
}

// TestWebhook sends a message that says nothing but that it is a test.
func (c *Client) TestWebhook(ctx context.Context, app, id string) error {
	_, err := c.do(ctx, http.MethodPost, webhookPath(app, id)+"/test", nil, nil)
	return err
}

// RemoveWebhook ends the messages to a webhook.
func (c *Client) RemoveWebhook(ctx context.Context, app, id string) error {
	_, err := c.do(ctx, http.MethodDelete, webhookPath(app, id), nil, nil)
	return err
}

func webhookPath(app, id string) string { return appPath(app) + "/webhooks/" + url.PathEscape(id) }

// AddAppRoot has checks of an app's endpoints accept server certificates under a CA certificate. It may be repeated.
func (c *Client) AddAppRoot(ctx context.Context, app string, req AppRootRequest) (*AppRoot, error) {
	var r AppRoot
	err := c.create(ctx, appPath(app)+"/roots", "", req, &r)
	return &r, err
}

// AppRoots are those of an app.
func (c *Client) AppRoots(ctx context.Context, app string) (*Page[AppRoot], error) {
	return list[AppRoot](ctx, c, appPath(app)+"/roots", nil)
}

// RemoveAppRoot takes it away again.
func (c *Client) RemoveAppRoot(ctx context.Context, app, fingerprint string) error {
	_, err := c.do(ctx, http.MethodDelete, appPath(app)+"/roots/"+url.PathEscape(fingerprint), nil, nil)
	return err
}
