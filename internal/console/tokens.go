package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// tokensPage is the tokens of those who act for no app: auditors, operators, administrators.
type tokensPage struct {
	Tokens  tokenTable
	Next    string // the address of the next page; empty: there is none
	Form    tokenForm
	MayMake bool
}

func (tokensPage) template() string { return "tokens" }

const tokensPath = "/console/tokens"

// tokenTable is tokens, with what may be done to each.
type tokenTable struct {
	Path  string // below which they are
	Lines []tokenLine
	Own   string // the ID of the token with which whoever looks has signed in
	Other bool   // another's may be replaced and revoked as well
	May   struct{ Rotate, Revoke bool }
}

// Rotatable tells whether a token can be replaced by whoever looks.
func (t tokenTable) Rotatable(l tokenLine) bool {
	return t.May.Rotate && l.State == "valid" && l.SupersededAt.IsZero() && !l.IsEAB() && (t.Other || l.ID == t.Own)
}

// Revocable tells whether it can be revoked.
func (t tokenTable) Revocable(l tokenLine) bool {
	return t.May.Revoke && l.State == "valid" && t.Other
}

// tokenTable shows tokens of one kind: those of an app's developers, or those of no app, which only administrators make and end.
func (v *visit) tokenTable(path string, tokens []ca.Token, ofApp bool) tokenTable {
	t := tokenTable{Path: path, Lines: v.tokenLines(tokens), Own: v.principal.Token, Other: v.may(ca.ActCreateToken)}
	if !ofApp {
		t.Other = t.Other && v.principal.Role == ca.RoleAdmin
	}
	t.May.Rotate, t.May.Revoke = v.may(ca.ActRotateToken), v.may(ca.ActRevokeToken)
	return t
}

// ScopeList is what a token is good for, of all that its role may; nothing: for all of it.
func (t tokenLine) ScopeList() []string { return strings.Fields(string(t.Scopes)) }

// tokenForm asks for a token of no app.
type tokenForm struct {
	Name, Role, Days string
	Roles            []ca.Role
	Scopes           []scopeBox
	Scoped           bool // some are chosen
	Faults           faults
}

// scopeBox is one action that a token may be good for.
type scopeBox struct {
	Action ca.Action
	Chosen bool
	Roles  []ca.Role // that have it
}

// newTokenForm is the form with what was chosen.
func newTokenForm(values url.Values) tokenForm {
	f := tokenForm{Name: strings.TrimSpace(values.Get("name")), Role: values.Get("role"), Days: strings.TrimSpace(values.Get("days"))}
	f.Roles = slices.DeleteFunc(ca.Roles(), func(r ca.Role) bool { return r == ca.RoleDeveloper })
	chosen := values["scope"]
	f.Scoped = len(chosen) > 0
	for _, a := range ca.RoleAdmin.Actions() {
		box := scopeBox{Action: a, Chosen: slices.Contains(chosen, string(a))}
		for _, r := range f.Roles {
			if r.May(a) {
				box.Roles = append(box.Roles, r)
			}
		}
		f.Scopes = append(f.Scopes, box)
	}
	return f
}

func tokens(v *visit) error {
	p, err := v.tokensPage(newTokenForm(url.Values{"role": {string(ca.RoleOperator)}, "days": {"365"}}))
	if err != nil {
		return err
	}
	return v.show(p)
}

func (v *visit) tokensPage(f tokenForm) (p tokensPage, err error) {
	p = tokensPage{Form: f, MayMake: v.may(ca.ActCreateToken) && v.principal.Role == ca.RoleAdmin}
	all, err := v.ca.ListTokens(v.context(), v.principal, "", v.r.URL.Query().Get("after"), ca.DefaultPage)
	if err != nil {
		return p, err
	}
	p.Tokens = v.tokenTable(tokensPath, all, false)
	if len(all) == ca.DefaultPage {
		p.Next = tokensPath + "?" + url.Values{"after": {all[len(all)-1].ID}}.Encode()
	}
	return p, nil
}

func makeToken(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	p, err := v.tokensPage(newTokenForm(v.r.PostForm))
	if err != nil {
		return err
	}
	life, ok := readDays(p.Form.Days)
	if !ok {
		p.Form.Faults = v.fault("days", "app.days.wrong")
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	if ca.Role(p.Form.Role) == ca.RoleDeveloper { // which has an app: it is made on the app's page
		p.Form.Faults = v.fault("role", "tokens.role.app")
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	t, secret, err := v.ca.CreateToken(v.context(), v.principal, ca.NewToken{Name: p.Form.Name, Role: ca.Role(p.Form.Role), Life: life, Scopes: v.r.PostForm["scope"]})
	if err == nil {
		return v.show(secretPage{Token: t, Secret: secret})
	}
	var again bool
	if p.Form.Faults, again = refusal(err); !again {
		return err
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// readDays is a life as forms have it: a number of days, or nothing for no end.
func readDays(text string) (life time.Duration, ok bool) {
	const most = 3650
	if text == "" {
		return 0, true
	}
	days, err := strconv.Atoi(text)
	return time.Duration(days) * 24 * time.Hour, err == nil && days >= 1 && days <= most
}

// rotateToken replaces a token, of an app or of none. The old one goes on for a day.
func rotateToken(v *visit) error {
	t, secret, err := v.ca.RotateToken(v.context(), v.principal, v.param("token"), ca.DefaultOverlap)
	if err != nil {
		return err
	}
	p := secretPage{Token: t, Secret: secret, OldUntil: v.now.Add(ca.DefaultOverlap)}
	if t.App != "" {
		if p.App, err = v.ca.App(v.context(), v.principal, t.App); err != nil {
			return err
		}
	}
	return v.show(p)
}

func endToken(v *visit) error {
	if err := v.ca.RevokeToken(v.context(), v.principal, v.param("token")); err != nil {
		return err
	}
	return v.redirect(done(tokensPath, "token-revoked"))
}
