package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// quotaLine is a quota of an app.
type quotaLine struct {
	Name string
	Most int    // that is in force; 0 is for no bound
	Own  string // what the app has of its own, as it is typed; empty: what every app has
}

func (v *visit) quotaLines(a ca.App) []quotaLine {
	inForce := v.ca.QuotasOf(&a).ByName()
	var lines []quotaLine
	for _, name := range ca.QuotaNames() {
		l := quotaLine{Name: name, Most: inForce[name]}
		if most, own := a.Quotas[name]; own {
			l.Own = strconv.Itoa(most)
		}
		lines = append(lines, l)
	}
	return lines
}

// changeQuotas gives an app the quotas of its own that the form says, and those of every app where it says nothing.
func changeQuotas(v *visit) error {
	p, err := v.appPage()
	if err != nil {
		return err
	}
	own := make(map[string]int)
	for i, l := range p.Quotas {
		text := strings.TrimSpace(v.r.PostFormValue(l.Name))
		if p.Quotas[i].Own = text; text == "" {
			continue
		}
		if own[l.Name], err = strconv.Atoi(text); err != nil {
			p.QuotaFaults = v.fault(l.Name, "quotas.number")
			return v.showStatus(http.StatusUnprocessableEntity, p)
		}
	}
	if _, err = v.ca.ChangeApp(v.context(), v.principal, p.App.ID, ca.AppChange{Quotas: &own}); err == nil {
		return v.redirect(done(p.Path(), "app-changed") + "#quotas")
	}
	var again bool
	if p.QuotaFaults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}
