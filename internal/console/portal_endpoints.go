package console

import (
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// endpointsPage is what of an app is checked regularly, and who is told when something is wrong with it.
type endpointsPage struct {
	App       ca.App
	Endpoints []ca.Endpoint
	Webhooks  []webhookLine
	Following bool // the last test message is on its way
	Add       endpointForm
	Tell      webhookForm
	MayAdd    bool
	MayTell   bool
	MayTest   bool
	MayRotate bool
	MayRemove bool // webhooks
}

func (endpointsPage) template() string { return "portal-endpoints" }

// endpointForm asks for an endpoint.
type endpointForm struct {
	URL      string
	Callback bool
	Faults   faults
}

// Waits tells whether one of the endpoints has its first check at this moment.
func (p endpointsPage) Waits() bool {
	for _, e := range p.Endpoints {
		if e.CheckedAt.IsZero() {
			return true
		}
	}
	return false
}

// Path is that of the page.
func (p endpointsPage) Path() string { return portalPath(p.App.ID, "endpoints") }

// WebhookPath is below which the webhooks are.
func (p endpointsPage) WebhookPath() string { return portalPath(p.App.ID, "webhooks") }

func endpoints(v *visit) error {
	p, err := v.endpointsPage()
	if err != nil {
		return err
	}
	if p.Waits() || p.Following {
		v.refresh = 5
	}
	return v.show(p)
}

func (v *visit) endpointsPage() (p endpointsPage, err error) {
	p = endpointsPage{
		MayAdd: v.may(ca.ActAddEndpoint), MayTell: v.may(ca.ActCreateWebhook), MayTest: v.may(ca.ActTestWebhook), MayRotate: v.may(ca.ActRotateWebhook),
		MayRemove: v.may(ca.ActRemoveWebhook),
	}
	if p.App, err = v.ownApp(); err != nil {
		return p, err
	}
	if p.Endpoints, err = v.ca.ListEndpoints(v.context(), v.principal, ca.EndpointQuery{App: p.App.ID, Limit: ca.MaxPage}); err != nil {
		return p, err
	}
	p.Webhooks, p.Following, err = v.webhooks(p.App.ID)
	return p, err
}

// withScheme is an address as people write it, as a URL.
func withScheme(address string) string {
	if address = strings.TrimSpace(address); address != "" && !strings.Contains(address, "://") {
		return "https://" + address
	}
	return address
}

func addEndpoint(v *visit) error {
	p, err := v.endpointsPage()
	if err != nil {
		return err
	}
	p.Add = endpointForm{URL: withScheme(v.r.PostFormValue("url")), Callback: v.r.PostFormValue("callback") != ""}
	e, added, err := v.ca.AddEndpoint(v.context(), v.principal, ca.NewEndpoint{App: p.App.ID, URL: p.Add.URL, Callback: p.Add.Callback})
	switch {
	case err == nil && added:
		return v.redirect(done(portalPath(p.App.ID, "endpoints", e.ID), "endpoint-added"))
	case err == nil:
		return v.redirect(done(portalPath(p.App.ID, "endpoints", e.ID), "endpoint-known"))
	}
	var again bool
	if p.Add.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// endpointPage is one endpoint: how it stands, and what its checks have found.
type endpointPage struct {
	ca.Endpoint
	Checks    []ca.Check
	MayCheck  bool
	MayRemove bool
}

func (endpointPage) template() string { return "portal-endpoint" }

// Path is that of the page.
func (p endpointPage) Path() string { return portalPath(p.App, "endpoints", p.ID) }

// Waits tells whether its first check is under way.
func (p endpointPage) Waits() bool { return p.CheckedAt.IsZero() }

// ownEndpoint is the one in the path, which must be of the app in the path.
func (v *visit) ownEndpoint() (ca.Endpoint, error) {
	e, err := v.ca.Endpoint(v.context(), v.principal, v.param("endpoint"))
	if err == nil && e.App != v.param("app") {
		return e, &ca.Error{Kind: ca.KindNotFound, Detail: "The app has no such endpoint: choose it in the list."}
	}
	return e, err
}

func endpoint(v *visit) error {
	const latest = 20
	e, err := v.ownEndpoint()
	if err != nil {
		return err
	}
	p := endpointPage{Endpoint: e, MayCheck: v.may(ca.ActCheck), MayRemove: v.may(ca.ActRemoveEndpoint)}
	if p.Checks, err = v.ca.ListChecks(v.context(), v.principal, ca.CheckQuery{App: e.App, URL: e.URL, Limit: latest}); err != nil {
		return err
	}
	if p.Waits() {
		v.refresh = 5
	}
	return v.show(p)
}

func removeEndpoint(v *visit) error {
	e, err := v.ownEndpoint()
	if err != nil {
		return err
	}
	if err := v.ca.RemoveEndpoint(v.context(), v.principal, e.ID); err != nil {
		return err
	}
	return v.redirect(done(portalPath(e.App, "endpoints"), "endpoint-removed"))
}

// watched is the endpoint of an app with this URL; its ID is empty where there is none, or where whoever looks may not know.
func (v *visit) watched(app, url string) (ca.Endpoint, error) {
	if !v.may(ca.ActReadEndpoint) {
		return ca.Endpoint{}, nil
	}
	all, err := v.ca.ListEndpoints(v.context(), v.principal, ca.EndpointQuery{App: app, Limit: ca.MaxPage})
	for _, e := range all {
		if e.URL == url {
			return e, nil
		}
	}
	return ca.Endpoint{}, err
}
