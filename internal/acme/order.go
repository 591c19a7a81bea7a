package acme

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// orderLife is how long there is to prove the names and finalize. It is shorter than ca.ClaimLife, for which an order makes one certificate only.
const orderLife = 20 * time.Hour

// identifier is a name as ACME writes it (RFC 8555, Section 7.1.3; RFC 8738 for addresses).
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func identify(n pki.Name) identifier {
	if n.IsIP() {
		return identifier{"ip", n.String()}
	}
	return identifier{"dns", n.String()}
}

func identifiers(names []pki.Name) []identifier {
	list := make([]identifier, len(names))
	for i, n := range names {
		list[i] = identify(n)
	}
	return list
}

// orderObject is an order as clients see it (RFC 8555, Section 7.1.3).
type orderObject struct {
	Status         Status       `json:"status"`
	Expires        time.Time    `json:"expires"`
	Identifiers    []identifier `json:"identifiers"`
	NotBefore      *time.Time   `json:"notBefore,omitempty"`
	NotAfter       *time.Time   `json:"notAfter,omitempty"`
	Profile        string       `json:"profile,omitempty"`
	Replaces       string       `json:"replaces,omitempty"`
	Error          *problem     `json:"error,omitempty"`
	Authorizations []string     `json:"authorizations"`
	Finalize       string       `json:"finalize"`
	Certificate    string       `json:"certificate,omitempty"`
}

func (d *door) orderURL(q *request, id string) string { return d.url(q.r, pathOrder+"/"+id) }

func (d *door) answerOrder(q *request, status int, o Order, authorizations []Authorization) error {
	shown := orderObject{
		Status: o.at(q.now, authorizations), Expires: o.ExpiresAt.Truncate(time.Second), Profile: o.Profile, Finalize: d.orderURL(q, o.ID) + "/finalize",
	}
	shown.Identifiers = identifiers(o.Names)
	if !o.NotBefore.IsZero() {
		shown.NotBefore = &o.NotBefore
	}
	if !o.NotAfter.IsZero() {
		shown.NotAfter = &o.NotAfter
	}
	for _, a := range authorizations {
		shown.Authorizations = append(shown.Authorizations, d.authorizationURL(q, a.ID))
		if shown.Error == nil && shown.Status == StatusInvalid {
			shown.Error = a.Failure.show()
		}
	}
	if !o.Replaces.IsZero() {
		replaced, err := d.CA.Certificate(q.r.Context(), d.principal(q), o.Replaces)
		if err != nil {
			return err
		}
		shown.Replaces = d.certID(replaced.Authority, o.Replaces)
	}
	if !o.Serial.IsZero() {
		shown.Certificate = d.url(q.r, pathCertificate+"/"+o.Serial.String())
	}
	if shown.Status == StatusPending {
		q.header("Retry-After", "1")
	}
	q.header("Location", d.orderURL(q, o.ID))
	return q.answer(status, shown)
}

// findOrder finds the order in the path. One of another account is not there.
func (d *door) findOrder(q *request) (Order, []Authorization, error) {
	o, authorizations, err := d.Store.Order(q.r.Context(), param(q.r, "id"))
	switch {
	case errors.Is(err, ca.ErrNotFound) || err == nil && o.Account != q.account.ID:
		return o, nil, missing("order")
	case err != nil:
		return o, nil, fmt.Errorf("reading an order: %w", err)
	}
	return o, authorizations, nil
}

func (d *door) readOrder(q *request) error {
	if err := q.onlyRead(); err != nil {
		return err
	}
	o, authorizations, err := d.findOrder(q)
	if err != nil {
		return err
	}
	return d.answerOrder(q, http.StatusOK, o, authorizations)
}

// listOrders is a page of the account's orders (RFC 8555, Section 7.1.2.1).
func (d *door) listOrders(q *request) error {
	const page = 100
	if err := q.onlyRead(); err != nil {
		return err
	}
	if param(q.r, "id") != q.account.ID {
		return missing("account")
	}
	ids, err := d.Store.ListOrders(q.r.Context(), q.account.ID, q.r.URL.Query().Get("beyond"), page)
	if err != nil {
		return fmt.Errorf("listing orders: %w", err)
	}
	urls := make([]string, len(ids))
	for i, id := range ids {
		urls[i] = d.orderURL(q, id)
	}
	if len(ids) == page {
		q.w.Header().Add("Link", link(d.accountURL(q, q.account.ID)+"/orders?beyond="+ids[page-1], "next"))
	}
	return q.answer(http.StatusOK, map[string]any{"orders": urls})
}

// finalize issues the certificate of an order (RFC 8555, Section 7.4). To ask again with the same CSR is to get the same certificate.
func (d *door) finalize(q *request) error {
	var req struct {
		CSR string `json:"csr"`
	}
	if err := q.decode(&req); err != nil {
		return err
	}
	o, authorizations, err := d.findOrder(q)
	if err != nil {
		return err
	}
	if status := o.at(q.now, authorizations); status != StatusReady && status != StatusValid {
		return web.Refuse(web.KindOrderNotReady, "The order is %s: finalize it when every authorization is valid; an invalid order is begun anew.", status)
	}
	der, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(req.CSR, "="))
	if err != nil {
		return web.Refuse(ca.KindBadCSR, "\"csr\" is not base64url without padding: send the DER of the request so.")
	}
	if err := checkCSR(q, o, der); err != nil {
		return err
	}
	issued, err := d.issue(q, o, der)
	if err != nil {
		return aboutIdentifiers(err, identifiers(o.Names))
	}
	if o.Serial.IsZero() {
		o.Serial = issued.Certificate.Serial
		if err := d.Store.CompleteOrder(context.WithoutCancel(q.r.Context()), o); err != nil {
			return fmt.Errorf("completing the order %s: %w", o.ID, err)
		}
	}
	return d.answerOrder(q, http.StatusOK, o, authorizations)
}

// checkCSR refuses a CSR for other names than the order's, or for the account's own key. Its signature is checked when it is granted.
func checkCSR(q *request, o Order, der []byte) error {
	csr, err := pki.ReadCSR(der)
	if err != nil {
		return web.Refuse(ca.KindBadCSR, "%v.", err)
	}
	for _, n := range csr.Names {
		if !slices.Contains(o.Names, n) {
			return web.Refuse(ca.KindBadCSR, "The CSR names %s, which the order does not: both have the same names.", n)
		}
	}
	for _, n := range o.Names {
		if !slices.Contains(csr.Names, n) {
			return web.Refuse(ca.KindBadCSR, "The order names %s, which the CSR does not: both have the same names.", n)
		}
	}
	key, err := q.account.publicKey()
	if err != nil {
		return err
	}
	own, err := pki.SPKIHash(key.Public())
	if err != nil {
		return fmt.Errorf("hashing the key of the account: %w", err)
	}
	asked, err := pki.SPKIHash(csr.PublicKey)
	if err != nil {
		return fmt.Errorf("hashing the key of the CSR: %w", err)
	}
	if own == asked { // RFC 8555, Section 11.1.
		return web.Refuse(ca.KindBadKey, "The CSR has the key of the account: make another key for the certificate.")
	}
	return nil
}

// issue asks for the certificate. While another request finalizes the same order, it waits for what that one makes. What has stopped half-way was
// delivered to nobody: it is revoked, and the order gets another certificate.
func (d *door) issue(q *request, o Order, der []byte) (*ca.Issued, error) {
	request := ca.IssueRequest{
		App: q.account.App, Profile: o.Profile, CSR: der, IdempotencyKey: o.ID, Account: d.accountURL(q, q.account.ID), Replaces: o.Replaces,
		NotBefore: o.NotBefore, NotAfter: o.NotAfter,
	}
	for _, n := range o.Names {
		request.Domains = append(request.Domains, n.String())
	}
	const tries, pause = 20, 100 * time.Millisecond
	for try := 1; ; try++ {
		issued, err := d.CA.Issue(q.r.Context(), d.principal(q), request)
		var (
			refusal  *ca.Error
			stranded *ca.StrandedError
		)
		switch {
		case err == nil && len(issued.Certificate.Signature) == 0 && try < tries:
			request.IdempotencyKey = o.ID + "." + issued.Certificate.Serial.String()
			continue
		case errors.As(err, &stranded) && try < tries:
			if _, err := d.CA.Revoke(q.r.Context(), d.principal(q), stranded.Serial, pki.Superseded); err != nil {
				return nil, err
			}
			continue
		case !errors.As(err, &refusal):
			return issued, err
		case refusal.Kind == ca.KindKeyReused:
			return nil, web.Refuse(web.KindOrderNotReady, "The order was finalized with another CSR: fetch its certificate, or make another order.")
		case refusal.Kind != ca.KindInProgress || try == tries:
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-q.r.Context().Done():
			return nil, err
		}
	}
}
