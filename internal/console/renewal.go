package console

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// acmePage says how certificates are fetched and renewed without a hand.
type acmePage struct {
	App       ca.App
	Domains   string // for the lines
	Directory string
	Open      bool     // no credential is needed
	May       bool     // whoever is signed in may make one
	Token     ca.Token // the credential that was just made
	HMACKey   string   // of it
	Lines     []clientLines
	Faults    faults
}

func (acmePage) template() string { return "acme" }

// Path is that of the page.
func (p acmePage) Path() string { return portalPath(p.App.ID, "acme") }

// clientLines are what to paste for one client.
type clientLines struct{ Client, Text string }

// credentialLife is how long a credential is good to register accounts with, which themselves do not end.
const credentialLife = 90 * 24 * time.Hour

func askACME(v *visit) error {
	p, err := v.acmePage(v.r.URL.Query().Get("domains"))
	if err != nil {
		return err
	}
	return v.show(p)
}

func (v *visit) acmePage(domains string) (p acmePage, err error) {
	if p.App, err = v.ownApp(); err != nil {
		return p, err
	}
	p.Directory = cmp.Or(v.acme().Directory, "https://"+v.r.Host+"/acme/directory")
	p.Open, p.May, p.Domains = p.App.ID == v.acmeOpenApp, v.may(ca.ActCreateEAB), strings.TrimSpace(domains)
	return p, nil
}

// showACME makes a credential, where one is needed, and shows the lines for each client with it.
func showACME(v *visit) error {
	p, err := v.acmePage(v.r.PostFormValue("domains"))
	if err != nil {
		return err
	}
	refused := func(faults faults) error {
		p.Faults = faults
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	var names []pki.Name
	for _, text := range strings.Fields(p.Domains) {
		n, err := pki.ParseName(text)
		if err == nil {
			err = acmelines.CheckNames([]pki.Name{n})
		}
		if err != nil {
			faults, _ := refusal(&ca.Error{Kind: ca.KindInvalid, Field: "/domains", Detail: err.Error()})
			return refused(faults)
		}
		names = append(names, n)
	}
	server := v.acme()
	server.Directory = p.Directory
	if _, err := acmelines.Lines(acmelines.Clients()[0], server, acmelines.Credential{}, names...); err != nil { // before there is a credential that nobody sees
		return &ca.Error{Kind: ca.KindMalformed, Detail: err.Error() + "."}
	}
	var credential acmelines.Credential
	if !p.Open {
		if p.Token, err = v.ca.CreateEAB(v.context(), v.principal, p.App.ID, "web page", credentialLife); err != nil {
			faults, again := refusal(err)
			if !again {
				return err
			}
			return refused(faults)
		}
		p.HMACKey = base64.RawURLEncoding.EncodeToString(p.Token.Hash[:])
		credential = acmelines.Credential{KeyID: p.Token.ID, HMACKey: p.HMACKey}
	}
	for _, client := range acmelines.Clients() {
		text, err := acmelines.Lines(client, server, credential, names...)
		if err != nil {
			return err
		}
		p.Lines = append(p.Lines, clientLines{client, text})
	}
	return v.show(p)
}
