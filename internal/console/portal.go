package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
)

// portalPage is what an app has, and what to do next.
type portalPage struct {
	App          ca.App
	Certificates []certificateLine
	Domains      []ca.Domain
	Checks       []ca.Check
	Endpoints    []ca.Endpoint // that are checked regularly
	Older        string        // where older certificates are; empty: there are none
}

func (portalPage) template() string { return "portal" }

// Alarmed tells whether something is wrong with a server that is checked regularly.
func (p portalPage) Alarmed() bool {
	return slices.ContainsFunc(p.Endpoints, func(e ca.Endpoint) bool { return len(e.Alerts) > 0 })
}

// portalPath is a page of an app.
func portalPath(app string, parts ...string) string {
	path := "/apps/" + url.PathEscape(app)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// ownApp is the app in the path.
func (v *visit) ownApp() (ca.App, error) { return v.ca.App(v.context(), v.principal, v.param("app")) }

func portal(v *visit) error {
	const shown, checks = 50, 5
	a, err := v.ownApp()
	if err != nil {
		return err
	}
	p := portalPage{App: a}
	beyond, err := ca.ParseCursor(v.r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	found, err := v.ca.ListCertificates(v.context(), v.principal, ca.CertificateQuery{App: a.ID, Limit: shown, Beyond: beyond})
	if err != nil {
		return err
	}
	p.Certificates = v.lines(found.Items)
	if !found.Next.IsZero() {
		p.Older = portalPath(a.ID) + "?" + url.Values{"cursor": {found.Next.String()}}.Encode()
	}
	if v.may(ca.ActReadEndpoint) {
		if p.Endpoints, err = v.ca.ListEndpoints(v.context(), v.principal, ca.EndpointQuery{App: a.ID, Limit: ca.MaxPage}); err != nil {
			return err
		}
	}
	if p.Domains, err = v.ca.ListDomains(v.context(), v.principal, ca.DomainQuery{App: a.ID, Limit: ca.MaxPage}); err != nil {
		return err
	}
	if p.Checks, err = v.ca.ListChecks(v.context(), v.principal, ca.CheckQuery{App: a.ID, Limit: checks}); err != nil {
		return err
	}
	return v.show(p)
}

// historyPage is what was done to an app and its things, newest first.
type historyPage struct {
	App    ca.App
	Events []ca.Event
	Next   string
}

func (historyPage) template() string { return "history" }

func history(v *visit) error {
	a, err := v.ownApp()
	if err != nil {
		return err
	}
	var beyond uuid.UUID
	if cursor := v.r.URL.Query().Get("cursor"); cursor != "" {
		if beyond, err = uuid.Parse(cursor); err != nil {
			return &ca.Error{Kind: ca.KindInvalid, Field: "cursor", Detail: "This is no place in the list: begin with the first page."}
		}
	}
	p := historyPage{App: a}
	if p.Events, err = v.ca.History(v.context(), v.principal, a.ID, beyond, ca.DefaultPage); err != nil {
		return err
	}
	if len(p.Events) == ca.DefaultPage {
		p.Next = portalPath(a.ID, "history") + "?cursor=" + p.Events[len(p.Events)-1].ID.String()
	}
	return v.show(p)
}

// proofPage is one name of an app: how it stands, and how to prove it.
type proofPage struct {
	ca.Domain
	Full       string // with "*." where that is wanted
	Usable     bool
	Challenges []ca.Challenge
	Onward     string // where to go on when it is proven
	Vigil      *vigil // the looks that go on by themselves, or have ended a while ago; nil: there are none
	Ended      bool   // the values to show are good no more
	MayProve   bool
	MayRemove  bool
	Faults     faults
}

func (proofPage) template() string { return "proof" }

// Path is where the name is.
func (p proofPage) Path() string { return portalPath(p.App, "domains", p.Name.String()) }

func proof(v *visit) error {
	d, err := v.ca.Domain(v.context(), v.principal, v.param("name"), v.param("app"))
	if err != nil {
		return err
	}
	p := v.proofPage(d)
	if p.Waits() && (len(p.Challenges) == 0 || p.Watching()) {
		v.refresh = 10 // who is still copying is left in peace
	}
	return v.show(p)
}

func (v *visit) proofPage(d ca.Domain) proofPage {
	p := proofPage{Domain: d, Full: d.Name.String(), Usable: d.Usable(v.now), Challenges: v.ca.Challenges(d)}
	if d.Wildcard {
		p.Full = "*." + p.Full
	}
	onward := url.Values{"domain": {p.Full}}
	for _, name := range []string{"domain", "server", "key"} {
		if value := v.r.FormValue(name); value != "" {
			onward.Set(name, value)
		}
	}
	p.Onward = "?" + onward.Encode()
	v.lookOn(&p)
	return p
}

// prove looks for the proof now.
func prove(v *visit) error {
	method := ca.Method(v.r.PostFormValue("method"))
	d, err := v.ca.VerifyDomain(v.context(), v.principal, v.param("name"), v.param("app"), method)
	if err == nil {
		p := v.proofPage(d)
		if p.Usable {
			return v.redirect(done(portalPath(d.App, "new")+p.Onward, "proven"))
		}
		return v.redirect(p.Path() + p.Onward)
	}
	said, again := refusal(err)
	if !again {
		return err
	}
	if d, err = v.ca.Domain(v.context(), v.principal, v.param("name"), v.param("app")); err != nil {
		return err
	}
	v.goOnLooking(d, method, said.Kind)
	p := v.proofPage(d)
	p.Faults = said
	return v.showStatus(422, p)
}

// splitNames are the names that somebody typed in one field.
func splitNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == '，' || r == '、' || r == ';' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
}
