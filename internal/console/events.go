package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// eventsPage is the audit log, newest first.
type eventsPage struct {
	Form    eventForm
	Actions []option
	Events  []ca.Event
	Next    string
	Faults  faults
}

func (eventsPage) template() string { return "events" }

// eventForm is what is looked for.
type eventForm struct{ App, Actor, Object, Action, Outcome, From, Until string }

func (f *eventForm) fields() map[string]*string {
	return map[string]*string{
		"app": &f.App, "actor": &f.Actor, "object": &f.Object, "action": &f.Action, "outcome": &f.Outcome, "from": &f.From, "until": &f.Until,
	}
}

func (f *eventForm) values() url.Values {
	values := make(url.Values)
	for name, value := range f.fields() {
		if *value != "" {
			values.Set(name, *value)
		}
	}
	return values
}

// Outcomes are what can be chosen.
func (eventForm) Outcomes() []ca.Outcome { return []ca.Outcome{ca.OutcomeDone, ca.OutcomeRefused} }

func events(v *visit) error {
	var p eventsPage
	for name, value := range p.Form.fields() {
		*value = strings.TrimSpace(v.r.URL.Query().Get(name))
	}
	p.Actions = v.actions(p.Form.Action)
	q := ca.EventQuery{
		App: p.Form.App, Actor: p.Form.Actor, Object: p.Form.Object, Action: ca.Action(p.Form.Action), Outcome: ca.Outcome(p.Form.Outcome), Limit: ca.DefaultPage,
	}
	ok := true
	if p.Form.From != "" {
		if q.After, _, ok = parsePeriod(p.Form.From); !ok {
			p.Faults = v.fault("from", "events.day.wrong")
		}
	}
	if p.Form.Until != "" {
		if _, q.Before, ok = parsePeriod(p.Form.Until); !ok {
			p.Faults = v.fault("until", "events.day.wrong")
		}
	}
	if cursor := v.r.URL.Query().Get("cursor"); cursor != "" {
		var err error
		if q.Beyond, err = uuid.Parse(cursor); err != nil {
			return &ca.Error{Kind: ca.KindInvalid, Field: "cursor", Detail: "This is no place in the list: begin with the first page."}
		}
	}
	if p.Faults.Any() {
		return v.show(p)
	}
	var err error
	if p.Events, err = v.ca.ListEvents(v.context(), v.principal, q); err != nil {
		return err
	}
	if len(p.Events) == q.Limit {
		next := p.Form.values()
		next.Set("cursor", p.Events[len(p.Events)-1].ID.String())
		p.Next = "/console/events?" + next.Encode()
	}
	return v.show(p)
}

// actions are those to choose from, in the order of their words; chosen is one of them, known or not.
func (v *visit) actions(chosen string) (options []option) {
	known := chosen == ""
	for key, word := range v.lang.texts {
		if action, is := strings.CutPrefix(key, "action."); is {
			options = append(options, option{action, word})
			known = known || action == chosen
		}
	}
	slices.SortFunc(options, func(a, b option) int { return strings.Compare(a.Word, b.Word) })
	if !known {
		options = append(options, option{chosen, chosen})
	}
	return options
}

// objectPath is where what an event is about is shown: in the portal of its app (own), or in the console. It is empty where there is no such page.
func objectPath(e ca.Event, own bool) string {
	console := func(path, id string) string { return path + "/" + url.PathEscape(id) }
	_, noSerial := pki.ParseSerial(e.Object)
	switch {
	case noSerial == nil && own:
		return portalPath(e.App, "certificates", e.Object)
	case noSerial == nil:
		return console(certificatesPath, e.Object)
	case e.App == "":
		return ""
	case strings.HasPrefix(e.Object, "end_"):
		return portalPath(e.App, "endpoints", e.Object)
	case strings.HasPrefix(e.Object, "chk_") && own:
		return portalPath(e.App, "checks", e.Object)
	case strings.HasPrefix(e.Object, "chk_"):
		return console(checksPath, e.Object)
	case strings.HasPrefix(string(e.Action), "domain.") && own:
		return portalPath(e.App, "domains", e.Object)
	case strings.HasPrefix(string(e.Action), "domain."):
		return console(console(approvalsPath, e.App), e.Object)
	}
	return ""
}
