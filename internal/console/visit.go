package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// visit is one request for a page: what every page needs to know.
type visit struct {
	*site
	w    http.ResponseWriter
	r    *http.Request
	lang *language
	now  time.Time // one for the whole page

	refresh   int          // seconds after which a browser without scripts asks again; 0: never
	principal ca.Principal // the zero value where nobody is signed in
}

func (v *visit) context() context.Context { return v.r.Context() }

// param is a part of the path.
func (v *visit) param(name string) string {
	raw := chi.URLParam(v.r, name)
	if value, err := url.PathUnescape(raw); err == nil {
		return value
	}
	return raw
}

// cookieName is the cookie with the session's secret. Its prefix makes browsers take it over HTTPS only, and for this host alone.
const cookieName = "__Host-imca"

// open makes a handler of a page for everybody.
func (s *site) open(page func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{site: s, w: w, r: r, lang: s.chosen(r), now: s.frame.Now().UTC()}
		if err := page(v); err != nil {
			v.problem(err)
		}
	}
}

// signedIn makes a handler of a page for whoever is signed in. Others are asked to, and come back to where they wanted to go.
func (s *site) signedIn(page func(*visit) error) http.HandlerFunc {
	return s.open(func(v *visit) error {
		p, err := s.whose(v.r)
		if signedOut(err) {
			return v.redirect(s.signInPath(v.r))
		}
		if err != nil {
			return err
		}
		v.principal = p
		web.Known(v.w, p)
		return page(v)
	})
}

// whose is who a request's session belongs to.
func (s *site) whose(r *http.Request) (ca.Principal, error) {
	secret := ""
	if cookie, err := r.Cookie(cookieName); err == nil {
		secret = cookie.Value
	}
	return s.ca.Session(r.Context(), secret, s.frame.Address(r), web.RequestID(r.Context()))
}

// signedOut tells whether an error says that nobody is signed in.
func signedOut(err error) bool {
	var refusal *ca.Error
	return errors.As(err, &refusal) && refusal.Kind == ca.KindUnauthenticated
}

// signInPath is where to sign in, and to come back from to the page that was asked for, or whose form was sent.
func (s *site) signInPath(r *http.Request) string {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet {
		next = "/"
		from, err := url.Parse(r.Referer())
		if err == nil && from.Host == r.Host && s.router.Match(chi.NewRouteContext(), http.MethodGet, from.EscapedPath()) {
			next = ownPath(from.RequestURI(), "/")
		}
	}
	if next == "/" {
		return "/signin"
	}
	return "/signin?" + url.Values{"next": {next}}.Encode()
}

// ownPath is a path of ours to go on to, as a form or a link said it, or otherwise when that leads anywhere else.
func ownPath(said, otherwise string) string {
	u, err := url.Parse(said)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(said, "/") || strings.HasPrefix(said, "//") || strings.Contains(said, `\`) {
		return otherwise
	}
	return u.RequestURI()
}

// redirect sends the browser to another page, which it asks for with GET: after a form was taken, reloading does not send it twice.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// home leads to the pages of whoever is signed in.
func home(v *visit) error {
	if v.principal.Role == ca.RoleDeveloper {
		return v.redirect("/apps/" + url.PathEscape(v.principal.App))
	}
	return v.redirect("/console")
}
