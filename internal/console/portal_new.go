package console

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/pki"
)

// How a key comes to be.
const (
	keyInBrowser = "browser"
	keyBrought   = "csr"
	keyByServer  = "server"
)

// newPage asks for a certificate.
type newPage struct {
	App     ca.App
	Form    newForm
	Servers []serverKind
	Once    string // the same for a form that is sent twice
	Faults  faults
}

func (newPage) template() string { return "portal-new" }

// newForm is what is asked for.
type newForm struct {
	Domain, Server, Key, CSR string
	Renews                   string // the serial of the certificate that it succeeds; empty: none
}

// serverKind is a web server for which there is a configuration.
type serverKind struct{ ID, Name string }

// serverKinds are those servers, the commonest first.
func serverKinds() []serverKind {
	names := map[string]string{"apache": "Apache", "nginx": "nginx", "haproxy": "HAProxy", "caddy": "Caddy", "tomcat": "Tomcat", "node": "Node.js", "go": "Go"}
	var kinds []serverKind
	for _, id := range bundle.Servers() {
		name := names[id]
		if name == "" {
			name = id
		}
		kinds = append(kinds, serverKind{id, name})
	}
	order := []string{"apache", "nginx", "haproxy", "caddy", "tomcat", "node", "go"}
	slices.SortStableFunc(kinds, func(a, b serverKind) int { return slices.Index(order, a.ID) - slices.Index(order, b.ID) })
	return kinds
}

func (v *visit) newPage() (newPage, error) {
	a, err := v.ownApp()
	if err != nil {
		return newPage{}, err
	}
	p := newPage{App: a, Servers: serverKinds(), Once: rand.Text()}
	p.Form = newForm{
		Domain: strings.TrimSpace(v.r.FormValue("domain")), Server: v.r.FormValue("server"), Key: v.r.FormValue("key"), CSR: v.r.PostFormValue("csr"), Renews: v.r.FormValue("renews"),
	}
	if !slices.ContainsFunc(p.Servers, func(k serverKind) bool { return k.ID == p.Form.Server }) {
		p.Form.Server = p.Servers[0].ID
	}
	if !slices.Contains([]string{keyInBrowser, keyBrought, keyByServer}, p.Form.Key) {
		p.Form.Key = keyInBrowser
	}
	return p, nil
}

func askNew(v *visit) error {
	p, err := v.newPage()
	if err != nil {
		return err
	}
	return v.show(p)
}

// issuedPage hands over what is handed over once: the bundle with the key that the server made.
type issuedPage struct {
	certificateLine
	Server   string
	FileName string
	Archive  template.URL // the zip itself, as a link that holds it: it is kept nowhere
}

func (issuedPage) template() string { return "portal-issued" }

// issueNew takes the form. A name that is not proven yet is claimed, and its proof comes next.
func issueNew(v *visit) error {
	p, err := v.newPage()
	if err != nil {
		return err
	}
	again := func(said faults) error {
		p.Faults = said
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	names := splitNames(p.Form.Domain)
	switch {
	case len(names) == 0 && p.Form.Renews == "" && p.Form.Key != keyBrought:
		return again(v.fault("domain", "new.domain.missing"))
	case p.Form.Key == keyInBrowser && p.Form.CSR == "":
		return again(v.fault("key", "new.key.script"))
	case p.Form.Key == keyBrought && strings.TrimSpace(p.Form.CSR) == "":
		return again(v.fault("csr", "new.csr.missing"))
	}
	issued, err := v.issue(p, names)
	var refused *ca.Error
	if errors.As(err, &refused) && refused.Kind == ca.KindUnproven && p.Form.Renews == "" {
		path, err := v.claimAll(p, names)
		if err == nil {
			return v.redirect(path)
		}
		if said, ok := refusal(err); ok {
			return again(said.as("domain"))
		}
		return err
	}
	if err != nil {
		if said, ok := refusal(err); ok {
			return again(said.as("domain"))
		}
		return err
	}
	if p.Form.Key == keyByServer && issued.PrivateKey != nil {
		return v.handOver(p, issued)
	}
	return v.redirect(done(portalPath(p.App.ID, "certificates", issued.Certificate.Serial.String())+"?server="+url.QueryEscape(p.Form.Server), "issued"))
}

// as puts what was said of "domains" to the form's own field.
func (f faults) as(field string) faults {
	if said, is := f.Fields["domains"]; is {
		f.Fields[field] = strings.TrimSpace(f.Fields[field] + " " + said)
	}
	return f
}

func (v *visit) issue(p newPage, names []string) (*ca.Issued, error) {
	var csr []byte
	if p.Form.Key != keyByServer {
		csr = []byte(p.Form.CSR)
	}
	once := v.r.PostFormValue("once")
	if p.Form.Renews == "" {
		return v.ca.Issue(v.context(), v.principal, ca.IssueRequest{App: p.App.ID, Domains: names, CSR: csr, IdempotencyKey: once})
	}
	serial, err := pki.ParseSerial(p.Form.Renews)
	if err != nil {
		return nil, &ca.Error{Kind: ca.KindNotFound, Detail: "There is no such certificate: choose it in the list.", Err: err}
	}
	return v.ca.Renew(v.context(), v.principal, serial, ca.RenewRequest{CSR: csr, IdempotencyKey: once})
}

// claimAll claims the names, or those of the CSR, and is where to prove the first that is not the app's yet.
func (v *visit) claimAll(p newPage, names []string) (path string, err error) {
	if len(names) == 0 {
		csr, err := pki.ParseCSR([]byte(p.Form.CSR))
		if err != nil {
			return "", &ca.Error{Kind: ca.KindBadCSR, Field: "/csr", Detail: err.Error(), Err: err}
		}
		for _, n := range csr.Names {
			names = append(names, n.String())
		}
	}
	for _, name := range names {
		d, _, err := v.ca.AddDomain(v.context(), v.principal, ca.NewDomain{App: p.App.ID, Domain: name})
		if err != nil {
			return "", err
		}
		if path == "" && !d.Usable(v.now) {
			path = portalPath(p.App.ID, "domains", d.Name.String())
		}
	}
	return path + "?" + url.Values{"domain": {strings.Join(names, " ")}, "server": {p.Form.Server}, "key": {p.Form.Key}}.Encode(), nil
}

// handOver answers with the page that has the bundle and the key in it.
func (v *visit) handOver(p newPage, issued *ca.Issued) error {
	archive, err := v.pack(issued.Certificate, issued.PrivateKey, p.Form.Server)
	if err != nil {
		return err
	}
	return v.show(issuedPage{
		certificateLine: v.lines([]*ca.Certificate{issued.Certificate})[0], Server: p.Form.Server, FileName: handover.FileName(issued.Certificate) + ".zip",
		Archive: template.URL("data:application/zip;base64," + base64.StdEncoding.EncodeToString(archive)),
	})
}
