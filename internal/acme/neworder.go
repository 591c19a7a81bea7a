package acme

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// orderRequest is what a client asks for (RFC 8555, Section 7.4; RFC 9773, Section 5; draft-ietf-acme-profiles).
type orderRequest struct {
	Identifiers []identifier `json:"identifiers"`
	NotBefore   string       `json:"notBefore"`
	NotAfter    string       `json:"notAfter"`
	Replaces    string       `json:"replaces"`
	Profile     string       `json:"profile"`
}

// newOrder makes an order (RFC 8555, Section 7.4). What can never be issued is refused here, and not when everything else is done.
func (d *door) newOrder(q *request) error {
	var req orderRequest
	if err := q.decode(&req); err != nil {
		return err
	}
	o := Order{ID: rand.Text(), Account: q.account.ID, Profile: req.Profile, CreatedAt: q.now, ExpiresAt: q.now.Add(orderLife)}
	if err := d.checkProfile(&o); err != nil {
		return err
	}
	var err error
	if o.NotBefore, err = readTime("notBefore", req.NotBefore); err != nil {
		return err
	}
	if o.NotAfter, err = readTime("notAfter", req.NotAfter); err != nil {
		return err
	}
	authorizations, err := d.foresee(q, &o, req.Identifiers)
	if err != nil {
		return err
	}
	instead := ""
	if req.Replaces != "" {
		if o.Replaces, err = d.readReplaced(q, req.Replaces, o.Names); err != nil {
			return err
		}
		var same *Order
		if same, authorizations, instead, err = d.replacing(q, o, authorizations); err != nil {
			return err
		}
		if same != nil {
			return d.answerOrder(q, http.StatusCreated, *same, authorizations)
		}
	}
	switch err := d.Store.CreateOrder(context.WithoutCancel(q.r.Context()), o, authorizations, instead, d.Limits.OpenOrders); {
	case errors.Is(err, ca.ErrExists):
		return alreadyReplaced()
	case errors.Is(err, ca.ErrFull):
		return &ca.Error{Kind: ca.KindRateLimited, RetryAfter: openOrdersPause, Detail: fmt.Sprintf(
			"This account has %d orders that are neither finished nor failed, the most that it may have: finish some, or wait until they have expired.", d.Limits.OpenOrders)}
	case err != nil:
		return fmt.Errorf("recording the order %s: %w", o.ID, err)
	}
	return d.answerOrder(q, http.StatusCreated, o, authorizations)
}

// openOrdersPause is when it is worth a try again for an account with too many open orders: some will have ended. Clients that are told a
// longer time stay away for as long.
const openOrdersPause = 10 * time.Minute

// checkProfile settles the profile of an order (draft-ietf-acme-profiles): the client's wish, or that of every developer's certificate.
func (d *door) checkProfile(o *Order) error {
	if o.Profile == "" {
		o.Profile = issuedProfile
	}
	if _, known := d.profiles[o.Profile]; !known {
		return web.Refuse(web.KindBadProfile, "There is no profile %q: use one that the directory lists, or leave \"profile\" out.", o.Profile)
	}
	return nil
}

// readTime reads one end of a validity, which is in whole seconds.
func readTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return t, web.Refuse(ca.KindMalformed, "%q is no time: write %s like 2026-03-01T12:00:00Z (RFC 3339), or leave it out.", text, field)
	}
	return t.UTC().Truncate(time.Second), nil
}

// foresee settles the names of an order, and makes an authorization for each: valid at once, if its app may have the name, or pending, if it may
// once it is proven.
func (d *door) foresee(q *request, o *Order, given []identifier) ([]Authorization, error) {
	values, err := readIdentifiers(given)
	if err != nil {
		return nil, err
	}
	prospect, err := d.CA.Foresee(q.r.Context(), d.principal(q), ca.IssueRequest{
		App: q.account.App, Profile: o.Profile, Domains: values, NotBefore: o.NotBefore, NotAfter: o.NotAfter,
	})
	if err != nil {
		return nil, aboutIdentifiers(err, given)
	}
	o.Names = prospect.Names
	authorizations := make([]Authorization, len(o.Names))
	for i, n := range o.Names {
		a := d.newAuthorizationFor(q, n, prospect.Ready[i])
		a.Order, a.Place, a.ExpiresAt = o.ID, i, o.ExpiresAt
		authorizations[i] = a
	}
	return authorizations, nil
}

// readIdentifiers reads the values of identifiers, as far as that is ACME's to judge: their types. All faults are told at once.
func readIdentifiers(given []identifier) ([]string, error) {
	if len(given) == 0 {
		return nil, web.Refuse(ca.KindMalformed, "An order has at least one identifier: [{\"type\":\"dns\",\"value\":\"www.example.com\"}].")
	}
	values := make([]string, len(given))
	faulty := &identifiersError{given: given}
	for i, id := range given {
		values[i] = id.Value
		fault := id.checkType()
		if fault == nil {
			continue
		}
		if faulty.refusal == nil {
			faulty.refusal = fault
		}
		faulty.refusal.Faults = append(faulty.refusal.Faults, ca.Fault{Field: "/domains/" + strconv.Itoa(i), Detail: fault.Detail})
		faulty.kinds = append(faulty.kinds, fault.Kind)
	}
	if faulty.refusal != nil {
		return nil, faulty
	}
	return values, nil
}

// checkType refuses an identifier of a type that there is not, or that its value does not fit. Whether the value is a name is not its business.
func (id identifier) checkType() *ca.Error {
	if id.Type != "dns" && id.Type != "ip" {
		return web.Refuse(web.KindIdentifierType, "Identifiers of type %q are not certified here: use dns or ip.", id.Type)
	}
	if n, err := pki.ParseName(id.Value); err == nil && n.IsIP() != (id.Type == "ip") {
		return web.Refuse(ca.KindMalformed, "The value %q does not fit the type %q: an address has the type ip, a host name dns.", id.Value, id.Type)
	}
	return nil
}

// replacing looks at the order that replaces the same certificate (RFC 9773, Section 5: one that is not invalid keeps it from others). If it is this
// one again, of a client that has lost it, it goes on; if it is over, it lets go of the certificate.
func (d *door) replacing(q *request, o Order, fresh []Authorization) (same *Order, authorizations []Authorization, instead string, err error) {
	id, err := d.Store.Replacing(q.r.Context(), o.Replaces)
	if errors.Is(err, ca.ErrNotFound) {
		return nil, fresh, "", nil
	}
	if err != nil {
		return nil, nil, "", fmt.Errorf("looking for the order that replaces %s: %w", o.Replaces, err)
	}
	other, its, err := d.Store.Order(q.r.Context(), id)
	if errors.Is(err, ca.ErrNotFound) { // forgotten a moment ago
		return nil, fresh, "", nil
	}
	if err != nil {
		return nil, nil, "", fmt.Errorf("reading the order %s: %w", id, err)
	}
	status := other.at(q.now, its)
	switch {
	case status == StatusInvalid:
		return nil, fresh, other.ID, nil
	case status != StatusValid && other.asksFor(o):
		return &other, its, "", nil
	}
	return nil, nil, "", alreadyReplaced()
}

// asksFor tells whether two orders want the same.
func (o *Order) asksFor(other Order) bool {
	return o.Account == other.Account && o.Profile == other.Profile && slices.Equal(o.Names, other.Names) &&
		o.NotBefore.Equal(other.NotBefore) && o.NotAfter.Equal(other.NotAfter)
}

func alreadyReplaced() error {
	return web.Refuse(web.KindReplaced, "Another order replaces this certificate: leave \"replaces\" out.")
}
