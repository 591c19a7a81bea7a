package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// askCheckPage asks which server to look at.
type askCheckPage struct {
	App      ca.App
	URL      string
	Address  string // to go to instead of those that the name has; empty: those
	Callback bool
	Checks   []ca.Check
	Faults   faults
}

func (askCheckPage) template() string { return "portal-check" }

func (v *visit) askCheckPage() (askCheckPage, error) {
	a, err := v.ownApp()
	if err != nil {
		return askCheckPage{}, err
	}
	p := askCheckPage{App: a, URL: withScheme(v.r.FormValue("url")), Address: strings.TrimSpace(v.r.PostFormValue("address")), Callback: v.r.PostFormValue("callback") != ""}
	p.Checks, err = v.ca.ListChecks(v.context(), v.principal, ca.CheckQuery{App: a.ID, Limit: ca.DefaultPage})
	return p, err
}

func askCheck(v *visit) error {
	p, err := v.askCheckPage()
	if err != nil {
		return err
	}
	return v.show(p)
}

func runCheck(v *visit) error {
	p, err := v.askCheckPage()
	if err != nil {
		return err
	}
	k, _, err := v.ca.RunCheck(v.context(), v.principal, ca.NewCheck{App: p.App.ID, URL: p.URL, Address: p.Address, Callback: p.Callback})
	if err == nil {
		return v.redirect(portalPath(p.App.ID, "checks", k.ID))
	}
	var again bool
	if p.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// sightPage is what a check has seen: who gets in and who does not.
type sightPage struct {
	ca.Check
	Callers  []caller
	Verdicts []verdict
	Findings []mendable
	Untold   []string // what was not tried, or could not be told
	Watched  string   // the ID of the endpoint that is checked regularly at this address; empty: none is
	MayWatch bool
}

func (sightPage) template() string { return "portal-sight" }

// caller is somebody who knocked, and what became of it.
type caller struct {
	Who  string // as internal/doorcheck names them: platform, none, stranger …
	Came string // "admitted", "refused", "unclear"
	Good bool   // as it should be
	Warn bool   // not as it should be, and not grave
}

// mendable is one thing that was found, with what mends it.
type mendable struct {
	Code, Severity, Title, Advice string
	Evidence                      []string
	Mends                         []struct {
		Server string
		Lines  []string
	}
}

// verdict is the answer to one question about the door.
type verdict struct {
	Question string // as the report has it: admits_platform, refuses_strangers …
	Answer   string // "yes", "no", "unknown"
	Reason   string // in a sentence
}

// report is what the page needs of a report of internal/doorcheck.
type report struct {
	Findings []mendable `json:"findings"`
	Probes   []struct {
		Certificate string `json:"certificate"`
		Outcome     string `json:"outcome"`
	} `json:"probes"`
	AdmitsPlatform   verdict  `json:"admits_platform"`
	RefusesStrangers verdict  `json:"refuses_strangers"`
	RefusesRevoked   verdict  `json:"refuses_revoked"`
	Untold           []string `json:"untold"`
}

// verdicts are the answers, in the order of the report.
func (r report) verdicts() (all []verdict) {
	for _, v := range []struct {
		question string
		of       verdict
	}{{"admits_platform", r.AdmitsPlatform}, {"refuses_strangers", r.RefusesStrangers}, {"refuses_revoked", r.RefusesRevoked}} {
		if v.of.Answer != "" {
			v.of.Question = v.question
			all = append(all, v.of)
		}
	}
	return all
}

// callers are those who knock, in the order of the picture.
func callers() []string {
	return []string{"platform", "none", "stranger", "impostor", "developer", "expired", "revoked", "next_root", "intermediate"}
}

func lookAtCheck(v *visit) error {
	k, err := v.ca.Check(v.context(), v.principal, v.param("check"))
	if err != nil {
		return err
	}
	if k.App != v.param("app") {
		return &ca.Error{Kind: ca.KindNotFound, Detail: "The app has no such check: choose it in the list."}
	}
	p := sightPage{Check: k}
	if k.State == ca.CheckRunning {
		v.refresh = 2
	}
	w, err := v.watched(k.App, k.URL)
	if err != nil {
		return err
	}
	p.Watched, p.MayWatch = w.ID, v.may(ca.ActAddEndpoint)
	if k.State == ca.CheckDone {
		var r report
		if err := json.Unmarshal(k.Report, &r); err != nil {
			return fmt.Errorf("reading the report of the check %s: %w", k.ID, err)
		}
		p.Findings, p.Callers, p.Verdicts, p.Untold = r.Findings, r.picture(), r.verdicts(), r.Untold
	}
	return v.show(p)
}

// standsBy tells whether a caller is the platform as it will be after a roll-over: that one which is refused is no harm today.
func standsBy(who string) bool { return who == "next_root" || who == "intermediate" }

// picture tells of each caller whether it got in: of several attempts, the one that is not as it should be.
func (r report) picture() (all []caller) {
	outcomes := make(map[string][]string)
	for _, p := range r.Probes {
		outcomes[p.Certificate] = append(outcomes[p.Certificate], p.Outcome)
	}
	for _, who := range callers() {
		came := "unclear"
		seen := func(outcome string) bool { return slices.Contains(outcomes[who], outcome) }
		switch {
		case who == "platform" && r.AdmitsPlatform.Answer == "yes":
			came = "admitted"
		case who == "platform" && r.AdmitsPlatform.Answer == "no":
			came = "refused"
		case who == "platform":
		case standsBy(who) && seen("refused"):
			came = "refused"
		case seen("admitted"):
			came = "admitted"
		case seen("refused"):
			came = "refused"
		case len(outcomes[who]) == 0:
			continue // it was not tried
		}
		wanted := "refused"
		if who == "platform" || standsBy(who) {
			wanted = "admitted"
		}
		all = append(all, caller{Who: who, Came: came, Good: came == wanted, Warn: came == "unclear" || who == "revoked" && came == "admitted" || standsBy(who)})
	}
	return all
}
