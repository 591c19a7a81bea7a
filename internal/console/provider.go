package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// Provider is an identity provider that people sign in at.
type Provider interface {
	// SignInURL is where to send the browser. state comes back with it, nonce in the token; verifier is what Exchange has to show.
	SignInURL(redirect, state, nonce, verifier string) (string, error)

	// Exchange gives the token for the code that the browser has brought back. Errors that are not faults are *ca.Error.
	Exchange(ctx context.Context, redirect, code, nonce, verifier string) (string, error)
}

// attemptCookie keeps an attempt to sign in at the provider in the browser that makes it, so that no other browser can end it.
const attemptCookie = "__Host-imca-attempt"

// providerPath is where an attempt begins, and below it, where it comes back to.
const providerPath = "/signin/provider"

// attempt is one to sign in at the provider, as the cookie keeps it.
type attempt struct {
	state, nonce, verifier string
	next                   string // where to go on
}

func newAttempt(next string) attempt {
	return attempt{rand.Text(), rand.Text(), rand.Text() + rand.Text(), next} // RFC 7636, Section 4.1: 43 characters or more
}

// String is the value of the cookie. A place to go on to that would be too long for it is not kept.
func (a attempt) String() string {
	const longest = 2000 // characters; browsers take cookies of 4096
	if len(a.next) > longest {
		a.next = "/"
	}
	return strings.Join([]string{a.state, a.nonce, a.verifier, base64.RawURLEncoding.EncodeToString([]byte(a.next))}, ".")
}

// attempt is the one that this browser has begun; its state is empty where there is none. The cookie is as good as anything else that a browser says, so
// the place to go on to is looked at again.
func (v *visit) attempt() attempt {
	cookie, err := v.r.Cookie(attemptCookie)
	if err != nil {
		return attempt{next: "/"}
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 4 {
		return attempt{next: "/"}
	}
	next, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil {
		return attempt{next: "/"}
	}
	return attempt{parts[0], parts[1], parts[2], ownPath(string(next), "/")}
}

// toProvider sends the browser to the provider.
func toProvider(v *visit) error {
	a := newAttempt(ownPath(v.r.URL.Query().Get("next"), "/"))
	address, err := v.provider.SignInURL(v.comeBack(), a.state, a.nonce, a.verifier)
	if err != nil {
		return err
	}
	const minutes = 10
	v.setCookie(attemptCookie, a.String(), minutes*60)
	return v.redirect(address)
}

// fromProvider ends the attempt that this browser has begun, and goes on to the page that was wanted.
func fromProvider(v *visit) error {
	a, values := v.attempt(), v.r.URL.Query()
	v.setCookie(attemptCookie, "", -1)
	failed := func() error {
		return v.showStatus(http.StatusUnauthorized, signInPage{Next: a.next, Provider: true, Faults: v.fault("token", "signin.provider.failed")})
	}
	if a.state == "" || subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(a.state)) != 1 || values.Get("code") == "" {
		return failed()
	}
	var session string
	err := v.frame.Stranger(v.r, func(nobody ca.Principal) error {
		token, err := v.provider.Exchange(v.context(), v.comeBack(), values.Get("code"), a.nonce, a.verifier)
		if err != nil {
			return err
		}
		who, err := v.ca.Authenticate(v.context(), token, nobody.Address, nobody.RequestID)
		if err == nil {
			session, _, err = v.ca.SignIn(v.context(), who)
		}
		return err
	})
	if signedOut(err) {
		return failed()
	}
	if err != nil {
		return err
	}
	v.setCookie(cookieName, session, 0)
	return v.redirect(a.next)
}

// comeBack is the address that the provider sends the browser to. The provider knows which ones are ours.
func (v *visit) comeBack() string { return "https://" + v.r.Host + providerPath + "/back" }
