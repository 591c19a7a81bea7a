package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// savedSearch is a search with a name.
type savedSearch struct {
	Name  string `json:"n"`
	Query string `json:"q"` // as search.Encode
}

// Path is where it leads.
func (s savedSearch) Path() string { return certificatesPath + "?" + s.Query }

// Bounds of saved searches: all of them fit into a cookie.
const (
	savedCookie   = "__Host-imca-searches"
	mostSaved     = 10
	mostSavedName = 60
	mostSavedText = 250
)

// saved are the searches that this browser keeps.
func (v *visit) saved() []savedSearch {
	cookie, err := v.r.Cookie(savedCookie)
	if err != nil {
		return nil
	}
	return readSaved(cookie.Value)
}

// saveSearch keeps a search under a name, or forgets the one of that name.
func saveSearch(v *visit) error {
	form, err := url.ParseQuery(v.r.PostFormValue("query"))
	if err != nil {
		form = nil
	}
	s := v.readSearch(form)
	one := savedSearch{Name: oneLine(v.r.PostFormValue("name"), mostSavedName), Query: s.Encode()}
	if v.r.PostFormValue("forget") != "" {
		v.keepSaved(without(v.saved(), v.r.PostFormValue("forget")))
		return v.redirect(done(certificatesPath, "forgotten"))
	}
	if one.Name == "" || len(one.Query) > mostSavedText {
		return v.redirect(done(one.Path(), "not-saved"))
	}
	all := append(without(v.saved(), one.Name), one)
	if len(all) > mostSaved {
		all = all[len(all)-mostSaved:]
	}
	v.keepSaved(all)
	return v.redirect(done(one.Path(), "saved"))
}

// readSaved reads what keepSaved wrote; what it cannot read is nothing.
func readSaved(text string) (all []savedSearch) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all[:min(len(all), mostSaved)]
}

// keepSaved has the browser keep searches for a year. They are nobody's secret: what they find is asked for again each time.
func (v *visit) keepSaved(all []savedSearch) {
	const year = 365 * 24 * 60 * 60
	text, _ := json.Marshal(all) // structs of texts
	http.SetCookie(v.w, &http.Cookie{
		Name: savedCookie, Value: base64.RawURLEncoding.EncodeToString(text), Path: "/", MaxAge: year, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func without(all []savedSearch, name string) []savedSearch {
	return slices.DeleteFunc(all, func(s savedSearch) bool { return s.Name == name })
}

// oneLine makes of what somebody typed a text of one line and at most so many characters.
func oneLine(s string, most int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}
