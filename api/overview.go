package api

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func (d *door) listEvents(c *call) error {
	q := &c.query
	filter := ca.EventQuery{
		App: q.text("app"), Actor: q.text("actor"), Object: q.text("object"), Action: ca.Action(q.text("action")),
		Outcome: oneOf(q, "outcome", []ca.Outcome{ca.OutcomeDone, ca.OutcomeRefused}),
		After:   q.time("after"), Before: q.time("before"),
		Limit:  q.limit(),
		Beyond: parse(q, "cursor", eventCursor),
	}
	if err := q.err(); err != nil {
		return err
	}
	events, err := d.ca.ListEvents(c.r.Context(), c.principal, filter)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageOf(events, filter.Limit, showEvent, func(e ca.Event) string { return e.ID.String() }))
}

func showEvent(e ca.Event) Event {
	return Event{
		ID: e.ID.String(), At: e.At, Action: string(e.Action), Outcome: string(e.Outcome), Actor: e.Actor, Role: string(e.Role), Token: e.Token,
		Address: e.Address, RequestID: e.RequestID, App: e.App, Object: e.Object, Detail: e.Detail,
	}
}

// eventCursor reads the cursor of the list of events: the last one's ID.
func eventCursor(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id.String() != s {
		return uuid.Nil, foreignCursor()
	}
	return id, nil
}

func (d *door) listProfiles(c *call) error {
	profiles, err := d.ca.ListProfiles(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	page := Page[Profile]{Items: []Profile{}}
	for _, p := range profiles {
		page.Items = append(page.Items, showProfile(p))
	}
	return c.answer(http.StatusOK, page)
}

func showProfile(p ca.IssuedProfile) Profile {
	usage := ca.UsageServerAuth
	if p.EKU == x509.ExtKeyUsageClientAuth {
		usage = ca.UsageClientAuth
	}
	shown := Profile{
		Name: p.Name, Authority: p.Authority, Usage: string(usage), DefaultValidityDays: days(p.DefaultValidity), MaxValidityDays: days(p.MaxValidity),
		MaxNames: p.MaxNames, Wildcards: p.Wildcards, IPNames: p.IPNames, Ready: p.Ready,
	}
	for _, kind := range p.KeyTypes {
		shown.KeyTypes = append(shown.KeyTypes, string(kind))
	}
	return shown
}

func days(d time.Duration) float64 { return d.Hours() / 24 }

func (d *door) listAuthorities(c *call) error {
	authorities, err := d.ca.ListAuthorities(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	canSign := make(map[string]bool)
	for _, i := range d.ca.Issuers() {
		canSign[i.Name()] = i.CanSign()
	}
	page := Page[Authority]{Items: []Authority{}}
	for _, a := range authorities {
		shown, err := showAuthority(a)
		if err != nil {
			return err
		}
		shown.Ready = canSign[a.Name]
		page.Items = append(page.Items, shown)
	}
	return c.answer(http.StatusOK, page)
}

// showAuthority leaves out where the key is: that is between the server and its operator.
func showAuthority(a ca.Authority) (Authority, error) {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return Authority{}, fmt.Errorf("reading the certificate of the authority %s: %w", a.Name, err)
	}
	fingerprint := sha256.Sum256(a.Certificate)
	shown := Authority{
		Name: a.Name, Parent: a.Parent, Subject: cert.Subject.String(), Profiles: orEmpty(a.Profiles), StandsBy: orEmpty(a.StandsBy), Certificate: string(pki.EncodeCertificate(a.Certificate)),
		FingerprintSHA256: hex.EncodeToString(fingerprint[:]), KeyType: "other", NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, CreatedAt: a.CreatedAt,
		RetiredAt: moment(a.RetiredAt),
	}
	if kind, err := pki.KeyTypeOf(cert.PublicKey); err == nil {
		shown.KeyType = string(kind)
	}
	return shown, nil
}

// orEmpty is a list as JSON has it: never null.
func orEmpty(list []string) []string { return append([]string{}, list...) }

func (d *door) whoami(c *call) error {
	p := c.principal
	return c.answer(http.StatusOK, Principal{Name: p.Name, Role: string(p.Role), App: p.App, TokenID: p.Token})
}
