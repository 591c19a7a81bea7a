package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
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

// toProvider sends the browser to the provider.
func toProvider(v *visit) error {
	state, nonce, verifier := rand.Text(), rand.Text(), rand.Text()+rand.Text() // RFC 7636, Section 4.1: 43 characters or more
	address, err := v.provider.SignInURL(v.comeBack(), state, nonce, verifier)
	if err != nil {
		return err
	}
	const minutes = 10
	v.setCookie(attemptCookie, strings.Join([]string{state, nonce, verifier}, "."), minutes*60)
	return v.redirect(address)
}

// fromProvider ends the attempt that this browser has begun.
func fromProvider(v *visit) error {
	cookie, err := v.r.Cookie(attemptCookie)
	parts := []string{"", "", ""}
	if err == nil {
		if kept := strings.Split(cookie.Value, "."); len(kept) == len(parts) {
			parts = kept
		}
	}
	v.setCookie(attemptCookie, "", -1)
	values := v.r.URL.Query()
	if parts[0] == "" || subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(parts[0])) != 1 || values.Get("code") == "" {
		return v.showStatus(http.StatusUnauthorized, signInPage{Next: "/", Provider: true, Faults: v.fault("token", "signin.provider.failed")})
	}
	var session string
	err = v.frame.Stranger(v.r, func(nobody ca.Principal) error {
		token, err := v.provider.Exchange(v.context(), v.comeBack(), values.Get("code"), parts[1], parts[2])
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
		return v.showStatus(http.StatusUnauthorized, signInPage{Next: "/", Provider: true, Faults: v.fault("token", "signin.provider.failed")})
	}
	if err != nil {
		return err
	}
	v.setCookie(cookieName, session, 0)
	return v.redirect("/")
}

// comeBack is the address that the provider sends the browser to. The provider knows which ones are ours.
func (v *visit) comeBack() string { return "https://" + v.r.Host + providerPath + "/back" }
