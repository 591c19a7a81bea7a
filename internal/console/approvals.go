package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// approvalsPage is what operators have to decide: names that wait for a yes, and names that two apps have proven.
type approvalsPage struct {
	Waiting, Contested []ca.Domain
	More               bool // there are more than are shown
}

func (approvalsPage) template() string { return "approvals" }

// approvalPage is one claim to decide about.
type approvalPage struct {
	ca.Domain
	To                    string // the app that it shall go to
	Transfer              bool   // whoever looks may have it go to another app
	Rivals                []string
	Reason                string
	CoverWildcard         bool
	Faults                faults
	Approve, Give, Reject bool // what may be said of it by whoever looks at it: yes; that the name is this app's; no
}

func (approvalPage) template() string { return "approval" }

const approvalsPath = "/console/approvals"

// claimPath is where to decide about a claim.
func claimPath(d ca.Domain) string {
	return approvalsPath + "/" + url.PathEscape(d.App) + "/" + url.PathEscape(d.Name.String())
}

// Path is where to decide about it.
func (p approvalPage) Path() string { return claimPath(p.Domain) }

// waiting are claims that wait for an operator, up to a number of them.
func (v *visit) waiting(limit int) ([]ca.Domain, error) {
	return v.ca.ListDomains(v.context(), v.principal, ca.DomainQuery{State: ca.DomainAwaiting, Limit: limit})
}

func approvals(v *visit) (err error) {
	var p approvalsPage
	if p.Waiting, err = v.waiting(ca.DefaultPage); err != nil {
		return err
	}
	if p.Contested, err = v.ca.ListDomains(v.context(), v.principal, ca.DomainQuery{State: ca.DomainConflict, Limit: ca.DefaultPage}); err != nil {
		return err
	}
	p.More = len(p.Waiting) == ca.DefaultPage || len(p.Contested) == ca.DefaultPage
	return v.show(p)
}

func approval(v *visit) error {
	d, err := v.claim()
	if err != nil {
		return err
	}
	p, err := v.approvalPage(d)
	if err != nil {
		return err
	}
	return v.show(p)
}

// claim is the one in the path.
func (v *visit) claim() (ca.Domain, error) {
	return v.ca.Domain(v.context(), v.principal, v.param("name"), v.param("app"))
}

func (v *visit) approvalPage(d ca.Domain) (p approvalPage, err error) {
	p = approvalPage{Domain: d, CoverWildcard: d.Wildcard}
	p.Approve = v.may(ca.ActApproveDomain) && d.State != ca.DomainConflict && d.State != ca.DomainValid
	p.Give = v.may(ca.ActResolveDomain) && d.State == ca.DomainConflict
	p.Reject = v.may(ca.ActRejectDomain) && d.State != ca.DomainRejected
	p.Transfer = v.may(ca.ActTransferDomain) && d.Holds
	p.Rivals, err = v.rivals(d)
	return p, err
}

// rivals are the other apps that ask for the same name, or have it.
func (v *visit) rivals(d ca.Domain) (apps []string, err error) {
	all, err := v.ca.ListDomains(v.context(), v.principal, ca.DomainQuery{Name: d.Name})
	for _, other := range all {
		if other.App != d.App {
			apps = append(apps, other.App)
		}
	}
	return apps, err
}

// approve says yes, or, of a name that two apps have proven, whose it is.
func approve(v *visit) error {
	return v.decide(done(approvalsPath, "approved"), func(d ca.Domain, said ca.Decision) (ca.Domain, error) {
		if d.State == ca.DomainConflict {
			return v.ca.ResolveDomain(v.context(), v.principal, said.Name, said.App)
		}
		return v.ca.ApproveDomain(v.context(), v.principal, said)
	})
}

func reject(v *visit) error {
	return v.decide(done(approvalsPath, "rejected"), func(_ ca.Domain, said ca.Decision) (ca.Domain, error) {
		return v.ca.RejectDomain(v.context(), v.principal, said)
	})
}

// transfer gives a name to another app.
func transfer(v *visit) error {
	to := strings.TrimSpace(v.r.PostFormValue("to"))
	return v.decide(done(approvalsPath, "transferred"), func(d ca.Domain, said ca.Decision) (ca.Domain, error) {
		return v.ca.TransferDomain(v.context(), v.principal, said.Name, to)
	})
}

// decide takes the form of a claim, and leads on when the decision was taken.
func (v *visit) decide(on string, decide func(ca.Domain, ca.Decision) (ca.Domain, error)) error {
	d, err := v.claim()
	if err != nil {
		return err
	}
	p, err := v.approvalPage(d)
	if err != nil {
		return err
	}
	p.To = strings.TrimSpace(v.r.PostFormValue("to"))
	p.Reason, p.CoverWildcard = strings.TrimSpace(v.r.PostFormValue("reason")), v.r.PostFormValue("wildcard") != ""
	_, err = decide(d, ca.Decision{Name: d.Name.String(), App: d.App, Reason: p.Reason, Wildcard: p.CoverWildcard})
	if err == nil {
		return v.redirect(on)
	}
	var again bool
	if p.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}
