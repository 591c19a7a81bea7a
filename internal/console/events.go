package console

import (
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
)

// eventsPage is the audit log, newest first.
type eventsPage struct {
	Form   eventForm
	Events []ca.Event
	Next   string
	Faults faults
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
