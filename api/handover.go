package api

import (
	"fmt"
	"strings"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/web"
)

// deliver hands an issued certificate over, as JSON, zip or key store.
func (d *door) deliver(c *call, issued *ca.Issued, form, password string) error {
	cert := issued.Certificate
	if form == PKCS12 && issued.Replayed {
		return web.Refuse(ca.KindConflict, "The certificate %s was made by an earlier request, whose answer alone had the key: fetch it as JSON, or renew it to get a key store with a new key.", cert.Serial)
	}
	by, err := d.desk.Authority(cert)
	if err != nil {
		return err
	}
	answer, err := full(cert, by, d.frame.Now())
	if err != nil {
		return err
	}
	answer.PrivateKey = string(issued.PrivateKey)
	if form == JSON {
		return c.answer(c.created(answer.path(), issued.Replayed), answer)
	}
	if answer.Certificate == "" { // revoked while it was pending, and found by its idempotency key
		return web.Refuse(ca.KindConflict, "The certificate %s has no signature (status %s), so there is nothing to hand over: issue another, with a new Idempotency-Key.", cert.Serial, answer.Status)
	}
	in, err := d.desk.Input(cert, issued.PrivateKey)
	if err != nil {
		return err
	}
	ending, content := ".p12", []byte(nil)
	if form == PKCS12 {
		content, err = bundle.KeyStore(in, password)
	} else {
		ending = ".zip"
		server := d.acmeServer(c)
		if _, err := acmeLines(server, acmelines.Credential{}, nil); err == nil { // else the Host is a strange one, which shall not cost a key that is shown once
			in.Renewal = bundle.Renewal{Server: server, Bound: cert.App != d.openApp}
		}
		content, err = handover.Zip(in, d.frame.Now())
	}
	if err != nil {
		return fmt.Errorf("packing the certificate %s: %w", cert.Serial, err)
	}
	return c.file(c.created(answer.path(), issued.Replayed), form, handover.FileName(cert)+ending, content)
}

// checkForm refuses what could not be handed over, before anything is issued for it.
func (d *door) checkForm(form, profile, csr, password string) error {
	invalid := func(field, detail string) error { return &ca.Error{Kind: ca.KindInvalid, Field: field, Detail: detail} }
	switch {
	case form != PKCS12 && password != "":
		return invalid("/pkcs12_password", "A password is for key stores only: leave it out, or ask for one with the header 'Accept: "+PKCS12+"'.")
	case form == PKCS12 && csr != "":
		return invalid("/csr", "The key of a CSR stays with you, so no key store can be made here: ask for JSON or zip, and pack it with 'openssl pkcs12 -export'.")
	case form == PKCS12 && (len(password) < 6 || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' })):
		return invalid("/pkcs12_password", "A key store needs a password of 6 to 256 printable ASCII characters, which all programs read alike.")
	case form == Zip && d.desk.Platform(profile):
		return web.Refuse(web.KindNotAcceptable, "The zip configures servers, and certificates of profile %s are for callers: ask for %s or %s.", profile, JSON, PKCS12)
	case form == Zip && !d.desk.Configures():
		return web.Refuse(ca.KindUnavailable, "No authority here issues the platform's client certificate, so no configuration can be made that admits it: ask for %s, or ask the operator.", JSON)
	}
	return nil
}
