package console

import (
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// signInPage asks who is there.
type signInPage struct {
	Next     string
	Provider bool   // people can sign in at an identity provider, too
	Link     string // the secret of a link that was opened; empty: a token is asked for
	Faults   faults
}

func (signInPage) template() string { return "signin" }

func askSignIn(v *visit) error {
	if _, err := v.whose(v.r); err == nil {
		return v.redirect(ownPath(v.r.URL.Query().Get("next"), "/"))
	}
	return v.show(signInPage{Next: ownPath(v.r.URL.Query().Get("next"), "/"), Provider: v.provider != nil})
}

// askLink asks whether to sign in: the link is spent by a form, and not by programs that look at where links lead.
func askLink(v *visit) error { return v.show(signInPage{Next: "/", Link: v.param("link")}) }

// signIn begins a session of who shows a token, or the secret of a link.
func signIn(v *visit) error {
	p := signInPage{Next: ownPath(v.r.PostFormValue("next"), "/"), Provider: v.provider != nil, Link: v.r.PostFormValue("link")}
	var cookie string
	err := v.frame.Stranger(v.r, func(nobody ca.Principal) (err error) {
		if p.Link != "" {
			cookie, _, err = v.ca.OpenSignInLink(v.context(), p.Link, nobody.Address, nobody.RequestID)
			return err
		}
		who, err := v.ca.Authenticate(v.context(), strings.TrimSpace(v.r.PostFormValue("token")), nobody.Address, nobody.RequestID)
		if err == nil {
			cookie, _, err = v.ca.SignIn(v.context(), who)
		}
		return err
	})
	if signedOut(err) {
		p.Faults, p.Link = v.fault("token", map[bool]string{true: "signin.link.over", false: "signin.token.wrong"}[p.Link != ""]), ""
		return v.showStatus(http.StatusUnauthorized, p)
	}
	if err != nil {
		return err
	}
	v.setCookie(cookieName, cookie, 0)
	return v.redirect(p.Next)
}

// setCookie gives the browser a cookie for so many seconds (0: until it is closed), or takes it away. It is Lax, because links from mails and terminals lead here too; forms of other sites are
// refused before they come this far.
func (v *visit) setCookie(name, secret string, age int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: secret, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func signOut(v *visit) error {
	if cookie, err := v.r.Cookie(cookieName); err == nil {
		if err := v.ca.SignOut(v.context(), cookie.Value, v.frame.Address(v.r), web.RequestID(v.context())); err != nil {
			return err
		}
	}
	v.setCookie(cookieName, "", -1)
	return v.redirect(done("/signin", "signed-out"))
}
