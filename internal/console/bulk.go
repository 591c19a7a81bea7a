package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// bulkPage asks which certificates shall end: a search, and a reason.
type bulkPage struct {
	Form                  bulkForm
	Authorities, Profiles []option
	Reasons               []pki.Reason
	Faults                faults
}

func (bulkPage) template() string { return "revoke-many" }

// bulkCountPage shows what was found, before anything is done.
type bulkCountPage struct {
	bulkPage
	Step  *ca.RevocationStep
	First []certificateLine
	Open  int // how many there is something to do for
	Typed string
}

func (bulkCountPage) template() string { return "revoke-count" }

// bulkForm is the search as it stands in the form.
type bulkForm struct {
	Suffix, App, Authority, Profile, Key, IssuedFrom, IssuedUntil, Serials, Reason string
	Confirm                                                                        string
}

func (f *bulkForm) fields() map[string]*string {
	return map[string]*string{
		"suffix": &f.Suffix, "app": &f.App, "authority": &f.Authority, "profile": &f.Profile, "key": &f.Key, "issued-from": &f.IssuedFrom,
		"issued-until": &f.IssuedUntil, "serials": &f.Serials, "reason": &f.Reason, "confirm": &f.Confirm,
	}
}

// Hidden are the fields that are set, for the next form.
func (f bulkForm) Hidden() map[string]string {
	set := make(map[string]string)
	for name, value := range f.fields() {
		if *value != "" {
			set[name] = *value
		}
	}
	return set
}

// Shown are those that say what is looked for.
func (f bulkForm) Shown() map[string]string {
	set := f.Hidden()
	delete(set, "reason")
	delete(set, "confirm")
	return set
}

// Back is the query of the form's address with what was typed, serials aside, of which there may be too many.
func (f bulkForm) Back() string {
	values := make(url.Values)
	for name, value := range f.Hidden() {
		if name != "serials" && name != "confirm" {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

func readBulk(values url.Values) bulkForm {
	var f bulkForm
	for name, value := range f.fields() {
		*value = strings.TrimSpace(values.Get(name))
	}
	return f
}

// read makes a search of the form.
func (f bulkForm) read() (s ca.RevocationSearch, reason pki.Reason, err error) {
	s = ca.RevocationSearch{Suffix: f.Suffix, App: f.App, Authority: f.Authority, Profile: f.Profile}
	if s.Suffix != "" {
		name, err := pki.ParseName(strings.TrimPrefix(s.Suffix, "."))
		if err != nil || name.IsIP() || name.IsWildcard() {
			return s, 0, bulkFault("suffix", "%q is no host name: write it like example.com.", f.Suffix)
		}
		s.Suffix = name.String()
	}
	if f.Key != "" {
		hash, err := ca.ParseFingerprint(f.Key)
		if err != nil {
			return s, 0, bulkFault("key", "The hash of a key is the SHA-256 of its SubjectPublicKeyInfo: 64 hexadecimal digits.")
		}
		s.SPKIHash = &hash
	}
	for _, bound := range []struct {
		field, text string
		to          *time.Time
		last        bool
	}{{"issued-from", f.IssuedFrom, &s.IssuedAfter, false}, {"issued-until", f.IssuedUntil, &s.IssuedBefore, true}} {
		if bound.text == "" {
			continue
		}
		from, to, ok := parsePeriod(bound.text)
		if !ok {
			return s, 0, bulkFault(bound.field, "%q is no day: write it like 2026-03-01.", bound.text)
		}
		if *bound.to = from; bound.last {
			*bound.to = to
		}
	}
	for _, text := range strings.FieldsFunc(f.Serials, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;", r) }) {
		serial, err := pki.ParseSerial(text)
		if err != nil {
			return s, 0, bulkFault("serials", "%v.", err)
		}
		s.Serials = append(s.Serials, serial)
	}
	if reason, err = pki.ParseReason(f.Reason); err != nil {
		return s, 0, bulkFault("reason", "Choose why: relying parties are told.")
	}
	return s, reason, nil
}

func bulkFault(field, format string, args ...any) error {
	return &ca.Error{Kind: ca.KindInvalid, Field: "/" + field, Detail: fmt.Sprintf(format, args...)}
}

func (v *visit) bulkPage(f bulkForm) bulkPage {
	var authorities, profiles []string
	for _, i := range v.ca.Issuers() {
		authorities = append(authorities, i.Name())
		for _, profile := range i.Profiles() {
			profiles = append(profiles, profile.Name)
		}
	}
	slices.Sort(profiles)
	p := bulkPage{Form: f, Authorities: plainOptions(authorities, f.Authority), Profiles: plainOptions(slices.Compact(profiles), f.Profile)}
	for _, r := range pki.LeafReasons() {
		if r != pki.CertificateHold { // one by one
			p.Reasons = append(p.Reasons, r)
		}
	}
	return p
}

const bulkPath = "/console/revoke"

// bulkPath is where to revoke what a search among the certificates finds, where it can be asked there too.
func (v *visit) bulkPath(s *search) string {
	if !v.may(ca.ActRevokeSearch) || !s.Serial.IsZero() || s.query.Status != "" || s.digest != nil || !s.query.Domain.IsZero() ||
		!s.query.ExpiresAfter.IsZero() || !s.query.ExpiresBefore.IsZero() {
		return ""
	}
	values := make(url.Values)
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("suffix", s.query.Suffix)
	set("app", s.query.App)
	set("authority", s.query.Authority)
	set("profile", s.query.Profile)
	if !s.query.IssuedAfter.IsZero() {
		set("issued-from", s.query.IssuedAfter.Format(time.DateOnly))
	}
	if !s.query.IssuedBefore.IsZero() {
		set("issued-until", s.query.IssuedBefore.AddDate(0, 0, -1).Format(time.DateOnly))
	}
	if len(values) == 0 {
		return ""
	}
	return bulkPath + "?" + values.Encode()
}

func askBulk(v *visit) error {
	if !v.may(ca.ActRevokeSearch) {
		return v.notYours(ca.ActRevokeSearch)
	}
	return v.show(v.bulkPage(readBulk(v.r.URL.Query())))
}

// notYours is the answer to whoever asks for a form that they may not send.
func (v *visit) notYours(a ca.Action) error {
	return &ca.Error{Kind: ca.KindForbidden, Detail: fmt.Sprintf("The role %s may not do this (%s): ask somebody whose role may.", v.principal.Role, a)}
}

// bulkCountTime is how long one answer goes on counting.
const bulkCountTime = 10 * time.Second

// countBulk is the dry run.
func countBulk(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	form := readBulk(v.r.PostForm)
	p := bulkCountPage{bulkPage: v.bulkPage(form)}
	s, reason, err := form.read()
	if err == nil {
		err = p.count(v, s, reason)
	}
	if err != nil {
		return v.bulkAgain(p.bulkPage, err)
	}
	return v.show(p)
}

// bulkAgain shows the form again, with what was wrong.
func (v *visit) bulkAgain(p bulkPage, err error) error {
	faults, again := refusal(err)
	if !again {
		return err
	}
	p.Faults = faults
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

// count goes through the whole search: each step of it looks at ten thousand certificates.
func (p *bulkCountPage) count(v *visit, s ca.RevocationSearch, reason pki.Reason) error {
	next := ""
	for {
		step, err := v.ca.CountRevocations(v.context(), v.principal, s, reason, next)
		if err != nil {
			return err
		}
		if next == "" {
			p.First = v.lines(step.First)
		}
		p.Step = step
		if next = step.Next; next == "" {
			break
		}
		if v.frame.Now().Sub(v.now) > bulkCountTime {
			return &ca.Error{Kind: ca.KindInvalid, Detail: fmt.Sprintf("These are more than %d certificates, too many to count while you wait: narrow the search, or use 'imca revoke' with the same filters.", step.Matched)}
		}
	}
	p.Form.Confirm = p.Step.Confirm
	p.Open = p.Step.Matched - p.Step.Before
	p.Typed = strconv.Itoa(p.Open)
	return nil
}

// startBulk begins the revocation of what was counted, and leads to its progress.
func startBulk(v *visit) error {
	if !v.may(ca.ActRevokeSearch) {
		return v.notYours(ca.ActRevokeSearch)
	}
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	form := readBulk(v.r.PostForm)
	p := bulkCountPage{bulkPage: v.bulkPage(form)}
	s, reason, err := form.read()
	if err != nil {
		return v.bulkAgain(p.bulkPage, err)
	}
	if form.Confirm == "" {
		return v.bulkAgain(p.bulkPage, bulkFault("", "Look at what the search finds first."))
	}
	typed := strings.TrimSpace(v.r.PostFormValue("typed"))
	if typed == "" || typed != v.r.PostFormValue("open") {
		if err := p.count(v, s, reason); err != nil {
			return v.bulkAgain(p.bulkPage, err)
		}
		p.Faults = v.fault("typed", "bulk.typed.wrong")
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	expected, _ := strconv.Atoi(v.r.PostFormValue("matched")) // for the progress alone
	run, err := v.runs.start(v.principal, s, reason, form.Confirm, expected)
	if err != nil {
		return v.bulkAgain(p.bulkPage, err)
	}
	return v.redirect(bulkPath + "/" + run)
}
