package acme

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/acme/jws"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// accountObject is an account as clients see it (RFC 8555, Section 7.1.2).
type accountObject struct {
	Status  Status   `json:"status"`
	Contact []string `json:"contact,omitempty"`
	Orders  string   `json:"orders"`
}

func (d *door) showAccount(q *request, a Account) accountObject {
	return accountObject{Status: a.Status, Contact: a.Contact, Orders: d.accountURL(q, a.ID) + "/orders"}
}

func (d *door) accountURL(q *request, id string) string { return d.url(q.r, pathAccount+"/"+id) }

// newAccount makes an account, or finds the one of the key (RFC 8555, Section 7.3).
func (d *door) newAccount(q *request) error {
	var req struct {
		Contact    []string        `json:"contact"`
		Agreed     bool            `json:"termsOfServiceAgreed"`
		OnlyReturn bool            `json:"onlyReturnExisting"`
		Binding    json.RawMessage `json:"externalAccountBinding"`
	}
	if err := q.decode(&req); err != nil {
		return err
	}
	thumbprint, err := q.key.Thumbprint()
	if err != nil {
		return err
	}
	existing, err := d.Store.AccountByKey(q.r.Context(), thumbprint)
	switch {
	case err == nil:
		return d.returnAccount(q, existing)
	case !errors.Is(err, ca.ErrNotFound):
		return fmt.Errorf("looking up an account: %w", err)
	case req.OnlyReturn:
		return web.Refuse(web.KindNoAccount, "This key has no account here: register it first.")
	case d.Terms != "" && !req.Agreed:
		q.w.Header().Add("Link", link(d.Terms, "terms-of-service"))
		return web.Refuse(web.KindTerms, "A new account agrees to the terms at %s: say \"termsOfServiceAgreed\": true.", d.Terms)
	}
	if err := pki.CheckPublicKey(q.key.Public()); err != nil {
		return web.Refuse(ca.KindBadKey, "The key of the account: %v.", err)
	}
	if err := checkContact(req.Contact); err != nil {
		return err
	}
	a := Account{ID: rand.Text(), Thumbprint: thumbprint, Contact: req.Contact, Status: StatusValid, CreatedAt: q.now, Version: 1}
	if a.Key, err = q.key.MarshalJSON(); err != nil {
		return fmt.Errorf("encoding the key of an account: %w", err)
	}
	if err := d.bind(q, &a, req.Binding); err != nil {
		return err
	}
	q.account = a
	return d.createAccount(q, a)
}

func (d *door) createAccount(q *request, a Account) error {
	act, err := d.authorize(q, ca.ActRegister, map[string]string{"binding": a.Binding})
	if err != nil {
		return err
	}
	quotas := d.Limits.forAccount(d.Frame.Network(q.r), a.App)
	if err := d.CA.TakeQuotas(q.r.Context(), quotas...); err != nil {
		return err
	}
	err = d.Store.CreateAccount(context.WithoutCancel(q.r.Context()), a, act)
	if err != nil {
		d.CA.GiveBackQuotas(q.r.Context(), quotas...)
	}
	switch {
	case errors.Is(err, ca.ErrExists): // made a moment ago, by another server
		existing, err := d.Store.AccountByKey(q.r.Context(), a.Thumbprint)
		if err != nil {
			return fmt.Errorf("reading the account of the key: %w", err)
		}
		return d.returnAccount(q, existing)
	case errors.Is(err, ca.ErrNotFound):
		return web.Refuse(ca.KindUnavailable, "The app %s, for which accounts are open here, does not exist: an operator makes it ('imca app create %s').", a.App, a.App)
	case err != nil:
		return fmt.Errorf("recording the account %s: %w", a.ID, err)
	}
	q.header("Location", d.accountURL(q, a.ID))
	return q.answer(201, d.showAccount(q, a))
}

func (d *door) returnAccount(q *request, a Account) error {
	if err := a.ended(); err != nil {
		return err
	}
	q.header("Location", d.accountURL(q, a.ID))
	return q.answer(200, d.showAccount(q, a))
}

// bind finds the app that a new account acts for: by its external account binding (RFC 8555, Section 7.3.4), or the open one.
func (d *door) bind(q *request, a *Account, binding json.RawMessage) error {
	if len(binding) == 0 || string(binding) == "null" {
		if d.OpenApp == "" {
			return web.Refuse(web.KindBindingRequired, "A new account is bound to an app here: ask an operator for a credential ('imca app eab'), and give its key ID and MAC key to the client.")
		}
		a.App = d.OpenApp
		return nil
	}
	m, err := jws.ParseBinding(binding)
	if err != nil {
		return err
	}
	if want := d.url(q.r, pathNewAccount); m.URL != want {
		return web.Refuse(ca.KindMalformed, "The external account binding is for %s, but the request came to %s: both have the same URL.", m.URL, want)
	}
	credential, err := d.CA.EAB(q.r.Context(), m.KeyID, d.Frame.Address(q.r), web.RequestID(q.r.Context()))
	if err != nil {
		return err
	}
	payload, err := m.VerifyMAC(credential.Hash[:])
	if err != nil {
		return web.Refuse(ca.KindForbidden, "%v", err)
	}
	bound, err := jws.ParseKey(payload)
	if err != nil {
		return err
	}
	thumbprint, err := bound.Thumbprint()
	if err != nil {
		return err
	}
	if thumbprint != a.Thumbprint {
		return web.Refuse(ca.KindMalformed, "The external account binding is for another key than the one that signed the request: bind the account's own.")
	}
	a.App, a.Binding = credential.App, credential.ID
	return nil
}

// maxContact bounds what is kept of somebody's ways to be reached.
const maxContact = 10

// checkContact refuses what is no mail address (RFC 8555, Section 7.3).
func checkContact(contact []string) error {
	if len(contact) > maxContact {
		return web.Refuse(web.KindBadContact, "An account has at most %d contacts: leave some out.", maxContact)
	}
	for _, text := range contact {
		u, err := url.Parse(text)
		if err != nil || !strings.EqualFold(u.Scheme, "mailto") {
			return web.Refuse(web.KindContactScheme, "The contact %q is no mail address: write mailto:NAME@DOMAIN.", text)
		}
		address, err := url.PathUnescape(u.Opaque)
		if err == nil {
			_, err = mail.ParseAddress(address)
		}
		// RFC 8555, Section 7.3: no header fields, and one address only.
		if err != nil || u.RawQuery != "" || strings.ContainsAny(address, "<>,") || len(text) > 254 {
			return web.Refuse(web.KindBadContact, "The contact %q is not one mail address: write mailto:NAME@DOMAIN.", text)
		}
	}
	return nil
}

// authorize asks whether the account may do something with its app, and returns the act to record.
func (d *door) authorize(q *request, a ca.Action, detail map[string]string) (ca.Act, error) {
	return d.CA.Authorize(q.r.Context(), d.principal(q), a, q.account.App, q.account.ID, detail)
}

// account shows, changes or ends an account (RFC 8555, Sections 7.3.2 and 7.3.6).
func (d *door) account(q *request) error {
	if param(q.r, "id") != q.account.ID {
		return missing("account")
	}
	var req struct {
		Contact *[]string `json:"contact"`
		Status  Status    `json:"status"`
	}
	if !q.isRead() {
		if err := q.decode(&req); err != nil {
			return err
		}
	}
	a := q.account
	detail := make(map[string]string)
	switch {
	case req.Status == StatusDeactivated:
		a.Status = StatusDeactivated
		detail["status"] = string(a.Status)
	case req.Status != "" && req.Status != a.Status:
		return web.Refuse(ca.KindMalformed, "The status %q cannot be set: \"deactivated\" ends the account.", req.Status)
	case req.Contact != nil:
		if err := checkContact(*req.Contact); err != nil {
			return err
		}
		a.Contact = *req.Contact
		detail["contacts"] = strconv.Itoa(len(a.Contact))
	}
	if len(detail) > 0 {
		if err := d.changeAccount(q, a, detail); err != nil {
			return err
		}
	}
	return q.answer(200, d.showAccount(q, a))
}

func (d *door) changeAccount(q *request, a Account, detail map[string]string) error {
	act, err := d.authorize(q, ca.ActChangeAccount, detail)
	if err != nil {
		return err
	}
	switch err := d.Store.ChangeAccount(context.WithoutCancel(q.r.Context()), a, act); {
	case errors.Is(err, ca.ErrChanged):
		return web.Refuse(ca.KindConflict, "The account was changed by another request at this moment: repeat yours.")
	case errors.Is(err, ca.ErrExists):
		return err
	case err != nil:
		return fmt.Errorf("changing the account %s: %w", a.ID, err)
	}
	return nil
}

// changeKey gives an account another key (RFC 8555, Section 7.3.5): the request around is signed with the old one, that within with the new one.
func (d *door) changeKey(q *request) error {
	inner, err := jws.Parse(q.payload)
	if err != nil {
		return err
	}
	if inner.Key == nil {
		return web.Refuse(ca.KindMalformed, "The inner request shows the new key by \"jwk\", and has no \"kid\".")
	}
	if want := d.url(q.r, pathKeyChange); inner.URL != want {
		return web.Refuse(ca.KindMalformed, "The inner request is for %s, the outer one came to %s: both have the same URL.", inner.URL, want)
	}
	payload, err := inner.Verify(inner.Key)
	if err != nil {
		return err
	}
	var req struct {
		Account string          `json:"account"`
		OldKey  json.RawMessage `json:"oldKey"`
	}
	if err := json.Unmarshal(payload, &req); err != nil {
		return web.Refuse(ca.KindMalformed, "The inner payload is no JSON object with \"account\" and \"oldKey\" (%v).", err)
	}
	old, err := jws.ParseKey(req.OldKey)
	if err != nil {
		return err
	}
	was, err := old.Thumbprint()
	if err != nil {
		return err
	}
	if req.Account != d.accountURL(q, q.account.ID) || was != q.account.Thumbprint {
		return web.Refuse(ca.KindMalformed, "The inner request is about another account, or another old key: both are those of the outer request.")
	}
	if err := pki.CheckPublicKey(inner.Key.Public()); err != nil {
		return web.Refuse(ca.KindBadKey, "The new key: %v.", err)
	}
	return d.setKey(q, inner.Key)
}

func (d *door) setKey(q *request, key *jws.Key) error {
	a := q.account
	var err error
	if a.Thumbprint, err = key.Thumbprint(); err != nil {
		return err
	}
	if a.Key, err = key.MarshalJSON(); err != nil {
		return fmt.Errorf("encoding the key of an account: %w", err)
	}
	err = d.changeAccount(q, a, map[string]string{"key": "changed"})
	if !errors.Is(err, ca.ErrExists) {
		if err != nil {
			return err
		}
		return q.answer(200, d.showAccount(q, a))
	}
	other, err := d.Store.AccountByKey(q.r.Context(), a.Thumbprint)
	if err != nil {
		return fmt.Errorf("reading the account of the key: %w", err)
	}
	q.header("Location", d.accountURL(q, other.ID))
	return web.Refuse(ca.KindConflict, "The new key has an account already: use another new key.")
}
