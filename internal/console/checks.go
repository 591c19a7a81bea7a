package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// checksPage is the outside tests of developers' servers, newest first.
type checksPage struct {
	App, URL string
	Failing  []ca.Endpoint // registered ones that something is wrong with
	Checks   []ca.Check
	Next     string
	Faults   faults
}

func (checksPage) template() string { return "checks" }

const checksPath = "/console/checks"

func checks(v *visit) error {
	values := v.r.URL.Query()
	p := checksPage{App: strings.TrimSpace(values.Get("app")), URL: strings.TrimSpace(values.Get("url"))}
	var err error
	if p.Failing, err = v.failing(p.App); err != nil {
		return err
	}
	p.Checks, err = v.ca.ListChecks(v.context(), v.principal, ca.CheckQuery{App: p.App, URL: p.URL, Beyond: values.Get("cursor"), Limit: ca.DefaultPage})
	if err != nil {
		var again bool
		if p.Faults, again = refusal(err); !again {
			return err
		}
	}
	if len(p.Checks) == ca.DefaultPage {
		next := url.Values{"cursor": {p.Checks[len(p.Checks)-1].ID}}
		for name, value := range map[string]string{"app": p.App, "url": p.URL} {
			if value != "" {
				next.Set(name, value)
			}
		}
		p.Next = checksPath + "?" + next.Encode()
	}
	return v.show(p)
}

// failing are registered endpoints that something is wrong with, among the first thousand.
func (v *visit) failing(app string) ([]ca.Endpoint, error) {
	all, err := v.ca.ListEndpoints(v.context(), v.principal, ca.EndpointQuery{App: app, Limit: ca.MaxPage})
	return slices.DeleteFunc(all, func(e ca.Endpoint) bool { return len(e.Alerts) == 0 }), err
}

// checkPage is what one test has found.
type checkPage struct{ ca.Check }

func (checkPage) template() string { return "check" }

func check(v *visit) error {
	k, err := v.ca.Check(v.context(), v.principal, v.param("check"))
	if err != nil {
		return err
	}
	if k.State == ca.CheckRunning {
		v.refresh = 2
	}
	return v.show(checkPage{k})
}

// served are the latest checks that found a certificate in use, one for each URL, among the last of its app.
func (v *visit) served(app string, serial pki.Serial) ([]ca.Check, error) {
	const among = 200
	all, err := v.ca.ListChecks(v.context(), v.principal, ca.CheckQuery{App: app, Limit: among})
	seen := make(map[string]bool)
	return slices.DeleteFunc(all, func(k ca.Check) bool {
		other := k.Facts.Served != serial.String() || seen[k.URL]
		seen[k.URL] = seen[k.URL] || !other
		return other
	}), err
}
