package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// problemPage says what is wrong and what to do next.
type problemPage struct {
	web.Problem
	Kind ca.Kind
}

func (problemPage) template() string { return "problem" }

// problem answers a request with the page of an error. Whoever does not read pages gets the problem document that REST gives.
func (v *visit) problem(err error) {
	if !strings.Contains(v.r.Header.Get("Accept"), "text/html") {
		v.frame.Problem(v.w, v.r, err)
		return
	}
	p := v.frame.Explain(v.r, err)
	if err := v.showStatus(p.Status, problemPage{Problem: p, Kind: p.Entry.Kind}); err != nil {
		v.frame.Problem(v.w, v.r, err)
	}
}

func notFound(v *visit) error {
	if v.r.Method != http.MethodGet {
		return web.Refuse(web.KindMethod, "%s is not possible here: go back, and use the forms of the page.", v.r.Method)
	}
	return web.Refuse(web.KindNoRoute, "Nothing is served at %s: begin at /.", web.Redact(v.r.URL.Path))
}

// faults are what a form is shown again with: what was wrong, in general and by field.
type faults struct {
	Kind   ca.Kind
	Own    bool // the texts are the page's own, in its language
	Detail string
	Fields map[string]string // by the name of the field: "/reason" is that of "reason"
}

// Any tells whether anything was wrong.
func (f faults) Any() bool { return f.Kind != "" }

// refusal is what a form can be shown again with; ok is false for errors that no other input would mend.
func refusal(err error) (f faults, ok bool) {
	var refusal *ca.Error
	if !errors.As(err, &refusal) {
		return f, false
	}
	switch refusal.Kind {
	case ca.KindUnauthenticated, ca.KindForbidden, ca.KindNotFound:
		return f, false
	}
	f = faults{Kind: refusal.Kind, Detail: refusal.Detail, Fields: make(map[string]string)}
	add := func(field, detail string) {
		name, _, _ := strings.Cut(strings.TrimPrefix(field, "/"), "/")
		f.Fields[name] = strings.TrimSpace(f.Fields[name] + " " + detail)
	}
	for _, fault := range refusal.Faults {
		add(fault.Field, fault.Detail)
	}
	if len(refusal.Faults) == 0 && refusal.Field != "" {
		add(refusal.Field, refusal.Detail)
	}
	return f, true
}

// fault is what a form is shown again with when the page itself has found the fault: the text of a key at a field.
func (v *visit) fault(field, key string) faults {
	text, err := v.lang.text(key)
	if err != nil {
		text = key
	}
	return faults{Kind: ca.KindInvalid, Own: true, Fields: map[string]string{field: text}}
}
