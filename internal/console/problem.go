package console

import (
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
