package console

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// appsPage is the list of apps.
type appsPage struct {
	Apps      []ca.App
	Next      string
	MayCreate bool
}

func (appsPage) template() string { return "apps" }

const appsPath = "/console/apps"

func appPath(id string) string { return appsPath + "/" + url.PathEscape(id) }

func apps(v *visit) error {
	list, err := v.ca.ListApps(v.context(), v.principal, v.r.URL.Query().Get("after"), ca.DefaultPage)
	if err != nil {
		return err
	}
	p := appsPage{Apps: list, MayCreate: v.may(ca.ActCreateApp)}
	if len(list) == ca.DefaultPage {
		p.Next = appsPath + "?" + url.Values{"after": {list[len(list)-1].ID}}.Encode()
	}
	return v.show(p)
}

// appForm is an app as it stands in a form.
type appForm struct {
	ID, Name, Policy, Allowed string
	Suspended                 bool
	Policies                  []ca.DomainPolicy
	Faults                    faults
}

func readAppForm(values url.Values) appForm {
	return appForm{
		ID: strings.TrimSpace(values.Get("id")), Name: strings.TrimSpace(values.Get("name")), Policy: values.Get("policy"), Allowed: values.Get("allowed"),
		Suspended: values.Get("suspended") != "", Policies: ca.DomainPolicies(),
	}
}

// newAppPage asks for an app.
type newAppPage struct{ Form appForm }

func (newAppPage) template() string { return "app-new" }

func newApp(v *visit) error {
	if !v.may(ca.ActCreateApp) {
		return v.notYours(ca.ActCreateApp)
	}
	return v.show(newAppPage{appForm{Policies: ca.DomainPolicies(), Policy: string(ca.PolicyProve)}})
}

func createApp(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	p := newAppPage{readAppForm(v.r.PostForm)}
	made, _, err := v.ca.CreateApp(v.context(), v.principal, ca.NewApp{
		ID: p.Form.ID, Name: p.Form.Name, Policy: ca.DomainPolicy(p.Form.Policy), Allowed: strings.Fields(p.Form.Allowed),
	})
	if err == nil {
		return v.redirect(done(appPath(made.ID), "app-made"))
	}
	var again bool
	if p.Form.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// appPage is one app: what it is, what it has, and its credentials.
type appPage struct {
	App       ca.App
	Form      appForm
	Quotas    []quotaLine
	Domains   []ca.Domain
	Latest    []certificateLine
	Tokens    tokenTable
	More      some // tokens that are not shown
	Token     credentialForm
	EAB       credentialForm
	MayChange bool
	MayToken  bool
	MayEAB    bool

	QuotaFaults faults
}

func (appPage) template() string { return "app" }

// Path is that of the page.
func (p appPage) Path() string { return appPath(p.App.ID) }

// tokenLine is a token in a list.
type tokenLine struct {
	ca.Token
	State string // "valid", "expired", "revoked", "superseded"
}

func (v *visit) tokenLines(tokens []ca.Token) []tokenLine {
	lines := make([]tokenLine, len(tokens))
	for i, t := range tokens {
		lines[i] = tokenLine{t, "valid"}
		switch {
		case !t.RevokedAt.IsZero():
			lines[i].State = "revoked"
		case !t.SupersededAt.IsZero() && !v.now.Before(t.SupersededAt):
			lines[i].State = "superseded"
		case !t.ExpiresAt.IsZero() && !v.now.Before(t.ExpiresAt):
			lines[i].State = "expired"
		}
	}
	return lines
}

// IsEAB tells whether it is a credential for ACME accounts.
func (t tokenLine) IsEAB() bool { return strings.HasPrefix(t.ID, "eab_") }

// credentialForm asks for a token or a credential.
type credentialForm struct {
	Name, Days string
	Faults     faults
}

func app(v *visit) error {
	p, err := v.appPage()
	if err != nil {
		return err
	}
	return v.show(p)
}

func (v *visit) appPage() (p appPage, err error) {
	p = appPage{
		Token: credentialForm{Days: "365"}, EAB: credentialForm{Days: "90"},
		MayChange: v.may(ca.ActChangeApp), MayToken: v.may(ca.ActCreateToken), MayEAB: v.may(ca.ActCreateEAB),
	}
	id := v.param("app")
	if p.App, err = v.ca.App(v.context(), v.principal, id); err != nil {
		return p, err
	}
	p.Quotas = v.quotaLines(p.App)
	p.Form = appForm{
		ID: id, Name: p.App.Name, Policy: string(p.App.Policy), Allowed: strings.Join(p.App.Allowed, "\n"), Suspended: p.App.Suspended, Policies: ca.DomainPolicies(),
	}
	if p.Domains, err = v.ca.ListDomains(v.context(), v.principal, ca.DomainQuery{App: id, Limit: ca.DefaultPage}); err != nil {
		return p, err
	}
	const latest = 5
	page, err := v.ca.ListCertificates(v.context(), v.principal, ca.CertificateQuery{App: id, Limit: latest})
	if err != nil {
		return p, err
	}
	p.Latest = v.lines(page.Items)
	tokens, err := v.ca.ListTokens(v.context(), v.principal, id, "", mostCounted+1)
	if err != nil {
		return p, err
	}
	p.More = countUp(len(tokens))
	p.Tokens = v.tokenTable(p.Path()+"/tokens", tokens[:p.More.N], true)
	return p, nil
}

func changeApp(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	p, err := v.appPage()
	if err != nil {
		return err
	}
	p.Form = readAppForm(v.r.PostForm)
	policy, allowed := ca.DomainPolicy(p.Form.Policy), strings.Fields(p.Form.Allowed)
	_, err = v.ca.ChangeApp(v.context(), v.principal, p.App.ID, ca.AppChange{Name: &p.Form.Name, Policy: &policy, Allowed: &allowed, Suspended: &p.Form.Suspended})
	if err == nil {
		return v.redirect(done(p.Path(), "app-changed"))
	}
	var again bool
	if p.Form.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// secretPage shows a credential, this once.
type secretPage struct {
	App       ca.App
	Token     ca.Token
	Secret    string // of a token; empty for a credential of ACME
	HMACKey   string // of a credential of ACME
	Directory string
	OldUntil  time.Time // until when the token that it replaces goes on; zero: it replaces none
}

func (secretPage) template() string { return "secret" }

// Path is where its kind is listed.
func (p secretPage) Path() string {
	if p.App.ID == "" {
		return tokensPath
	}
	return appPath(p.App.ID)
}

func createToken(v *visit) error {
	p, form, life, err := v.credential()
	if err != nil {
		return err
	}
	if p.Token = form; form.Faults.Any() {
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	t, secret, err := v.ca.CreateToken(v.context(), v.principal, ca.NewToken{Name: form.Name, Role: ca.RoleDeveloper, App: p.App.ID, Life: life})
	if err == nil {
		return v.show(secretPage{App: p.App, Token: t, Secret: secret})
	}
	var again bool
	if p.Token.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

func createEAB(v *visit) error {
	p, form, life, err := v.credential()
	if err != nil {
		return err
	}
	if p.EAB = form; form.Faults.Any() {
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	t, err := v.ca.CreateEAB(v.context(), v.principal, p.App.ID, form.Name, life)
	if err == nil {
		return v.show(secretPage{
			App: p.App, Token: t, HMACKey: base64.RawURLEncoding.EncodeToString(t.Hash[:]), Directory: "https://" + v.r.Host + "/acme/directory",
		})
	}
	var again bool
	if p.EAB.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// credential reads the form of a token or a credential.
func (v *visit) credential() (p appPage, form credentialForm, life time.Duration, err error) {
	if err := v.r.ParseForm(); err != nil {
		return p, form, 0, err
	}
	if p, err = v.appPage(); err != nil {
		return p, form, 0, err
	}
	form = credentialForm{Name: strings.TrimSpace(v.r.PostForm.Get("name")), Days: strings.TrimSpace(v.r.PostForm.Get("days"))}
	life, ok := readDays(form.Days)
	if !ok {
		form.Faults = v.fault("days", "app.days.wrong")
	}
	return p, form, life, nil
}

func revokeToken(v *visit) error {
	if err := v.ca.RevokeToken(v.context(), v.principal, v.param("token")); err != nil {
		return err
	}
	return v.redirect(done(appPath(v.param("app")), "token-revoked"))
}
