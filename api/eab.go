package api

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// createEAB makes a credential that binds ACME accounts to the app in the path.
func (d *door) createEAB(c *call) error {
	app, err := d.pathApp(c)
	if err != nil {
		return err
	}
	var req EABRequest
	if err := c.body(&req); err != nil {
		return err
	}
	life, err := lifeOf(req.ExpiresInDays)
	if err != nil {
		return err
	}
	names, err := lineNames(req.Domains)
	if err != nil {
		return err
	}
	server := d.acmeServer(c)
	if _, err := acmeLines(server, acmelines.Credential{}, names); err != nil { // before there is a credential that nobody sees
		return &ca.Error{Kind: ca.KindMalformed, Detail: fmt.Sprintf("%v.", err)}
	}
	t, err := d.ca.CreateEAB(c.r.Context(), c.principal, app, req.Name, life)
	if err != nil {
		return err
	}
	answer := EAB{
		KeyID: t.ID, HMACKey: base64.RawURLEncoding.EncodeToString(t.Hash[:]), App: t.App, Name: t.Name, Directory: server.Directory, ExpiresAt: moment(t.ExpiresAt),
	}
	if answer.Lines, err = acmeLines(server, acmelines.Credential{KeyID: answer.KeyID, HMACKey: answer.HMACKey}, names); err != nil {
		return err
	}
	return c.answer(c.created("/v1/tokens/"+t.ID, false), answer)
}

// acmeServer is the server as the caller's ACME clients reach it.
func (d *door) acmeServer(c *call) acmelines.Server {
	server := d.acme()
	server.Directory = cmp.Or(server.Directory, "https://"+c.r.Host+"/acme/directory")
	return server
}

// lineNames reads the names for which lines are wanted.
func lineNames(texts []string) ([]pki.Name, error) {
	names := make([]pki.Name, 0, len(texts))
	for i, text := range texts {
		n, err := pki.ParseName(text)
		if err != nil {
			return nil, &ca.Error{Kind: ca.KindInvalid, Field: fmt.Sprintf("/domains/%d", i), Detail: fmt.Sprintf("%v.", err)}
		}
		names = append(names, n)
	}
	var fault *acmelines.NameError
	if errors.As(acmelines.CheckNames(names), &fault) {
		return nil, &ca.Error{Kind: ca.KindInvalid, Field: fmt.Sprintf("/domains/%d", fault.Index), Detail: fault.Why}
	}
	return names, nil
}

// acmeLines are the lines for every client.
func acmeLines(s acmelines.Server, c acmelines.Credential, names []pki.Name) (map[string]string, error) {
	lines := make(map[string]string)
	for _, client := range acmelines.Clients() {
		text, err := acmelines.Lines(client, s, c, names...)
		if err != nil {
			return nil, err
		}
		lines[client] = text
	}
	return lines, nil
}

// lifeOf is how long a token is to last; zero for one that does not end.
func lifeOf(days *int) (time.Duration, error) {
	const mostDays = 3650
	if days == nil {
		return 0, nil
	}
	if *days < 1 || *days > mostDays {
		return 0, &ca.Error{Kind: ca.KindInvalid, Field: "/expires_in_days", Detail: "A token lasts 1 to 3650 days: give such a number, or leave it out for a token that does not end."}
	}
	return time.Duration(*days) * 24 * time.Hour, nil
}
