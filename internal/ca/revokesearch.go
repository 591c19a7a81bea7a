package ca

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// MaxSerials is how many serials one RevocationSearch may have.
const MaxSerials = 500

// Bounds of one step.
const (
	// revokeBatch bounds the certificates that one transaction revokes: others wait for it on SQLite, for ten milliseconds.
	revokeBatch = 100

	// countBatch bounds those that one step of a dry run looks at.
	countBatch = 10 * MaxPage

	// shownFirst is how many certificates a dry run shows.
	shownFirst = 20
)

// RevocationSearch selects certificates to revoke: all that fit every field that is set, or those with the serials. At least one is set.
type RevocationSearch struct {
	Suffix, App, Authority, Profile string
	SPKIHash                        *[32]byte
	IssuedAfter, IssuedBefore       time.Time // as in CertificateQuery

	// Serials are up to MaxSerials; none of the other fields may be set with them, but App, beside which others' certificates count as missing.
	Serials []pki.Serial
}

// RevocationStep is what one step of counting or revoking found. Steps are repeated with Next until it is empty.
type RevocationStep struct {
	Matched int            // certificates that the search has found so far, in all steps
	Before  int            // of those, the ones that were revoked before, for this reason or one that stands
	Revoked int            // of those, the ones that this step has revoked, or given the reason; none while counting
	First   []*Certificate // of the first step of counting: the first ones that it found
	Missing []pki.Serial   // of Serials: those that there are not, or not in the app
	Next    string         // says where to go on; empty: the search has come to its end
	Confirm string         // of the last step of counting: what RevokeFound wants to be given
}

// place is where a search has come to, as it stands in Next and Confirm. It is not secret, and whoever forges one only deceives themselves:
// each step is authorized, and held to the search that is asked for.
type place struct {
	Search  string    `json:"search"` // hash of the search and the reason
	Until   time.Time `json:"until"`  // certificates issued from then on are none of it
	Beyond  string    `json:"beyond,omitempty"`
	Matched int       `json:"matched"`
	Before  int       `json:"before"`
	Counted bool      `json:"counted,omitempty"` // to its end
}

func (p place) String() string {
	text, _ := json.Marshal(p) // a struct of texts, numbers and a time
	return base64.RawURLEncoding.EncodeToString(text)
}

func readPlace(text, field, search string) (p place, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.Until.IsZero() || p.Until.Year() < 1 || p.Until.Year() > 9999 {
		return p, refuse(KindInvalid, field, "This is none of ours: take it unchanged from the answer before.")
	}
	if p.Search != search {
		return p, refuse(KindConflict, field, "This belongs to another search or reason: make a dry run of this one, and look at what it finds.")
	}
	return p, nil
}

// CountRevocations is the dry run of RevokeFound: it counts what a search finds, shows the first ones, and changes nothing. next is
// empty, or Next of the step before. What is counted are the certificates that are there at the first step.
func (c *CA) CountRevocations(ctx context.Context, p Principal, s RevocationSearch, reason pki.Reason, next string) (*RevocationStep, error) {
	run, act, err := c.search(ctx, p, s, reason)
	if err != nil {
		return nil, err
	}
	at := place{Search: run.hash, Until: act.Event.At.Add(time.Microsecond)}
	if next != "" {
		if at, err = readPlace(next, "/cursor", run.hash); err != nil {
			return nil, c.answer(ctx, act, err)
		}
	}
	step := &RevocationStep{}
	for looked := 0; looked < countBatch; looked += MaxPage {
		found, missing, beyond, err := c.found(ctx, run, at, MaxPage)
		if err != nil {
			return nil, c.answer(ctx, act, err)
		}
		if next == "" && looked == 0 {
			step.First = found[:min(len(found), shownFirst)]
		}
		step.Missing = missing
		at.Matched += len(found)
		at.Before += len(found) - len(run.toRevoke(found))
		if at.Beyond = beyond; beyond == "" {
			at.Counted = true
			break
		}
	}
	step.Matched, step.Before = at.Matched, at.Before
	if at.Counted {
		step.Confirm = at.String()
	} else {
		step.Next = at.String()
	}
	return step, nil
}

// RevokeFound revokes what a dry run has found: confirm is what its last step has given, next is empty, or Next of the step before. Each step
// is one change, with an event for each certificate and one for them all; between them, others get their turn. To run it again, from
// the start or from any step, does no harm: what is revoked counts as done.
func (c *CA) RevokeFound(ctx context.Context, p Principal, s RevocationSearch, reason pki.Reason, confirm, next string) (*RevocationStep, error) {
	run, act, err := c.search(ctx, p, s, reason)
	if err != nil {
		return nil, err
	}
	step, err := c.revokeFound(ctx, run, act, confirm, next)
	return step, c.answer(ctx, act, err)
}

func (c *CA) revokeFound(ctx context.Context, run *revocationRun, act Act, confirm, next string) (*RevocationStep, error) {
	if confirm == "" {
		return nil, refuse(KindInvalid, "/confirm", "Make a dry run first, look at what it finds, and give the \"confirm\" of its last answer.")
	}
	confirmed, err := readPlace(confirm, "/confirm", run.hash)
	if err != nil {
		return nil, err
	}
	if !confirmed.Counted {
		return nil, refuse(KindInvalid, "/confirm", "This dry run has not come to its end: repeat it with \"cursor\" until it gives \"confirm\".")
	}
	at := place{Search: run.hash, Until: confirmed.Until}
	if next != "" {
		if at, err = readPlace(next, "/cursor", run.hash); err != nil {
			return nil, err
		}
		at.Until = confirmed.Until
	}
	found, missing, beyond, err := c.found(ctx, run, at, revokeBatch)
	if err != nil {
		return nil, err
	}
	open := run.toRevoke(found)
	revoked, err := c.revokeAll(context.WithoutCancel(ctx), run, open, act)
	if err != nil {
		return nil, err
	}
	at.Matched += len(found)
	at.Before += len(found) - len(revoked)
	at.Beyond = beyond
	step := &RevocationStep{Matched: at.Matched, Before: at.Before, Revoked: len(revoked), Missing: missing}
	if beyond != "" {
		step.Next = at.String()
	}
	return step, nil
}

// revocationRun is a search that was found to be in order.
type revocationRun struct {
	RevocationSearch
	by     Principal
	reason pki.Reason
	over   []pki.Reason // see givesWayTo
	hash   string
}

// search authorizes a search and looks at it. A developer's is for the own app.
func (c *CA) search(ctx context.Context, p Principal, s RevocationSearch, reason pki.Reason) (*revocationRun, Act, error) {
	if p.Role == RoleDeveloper && s.App == "" {
		s.App = p.App
	}
	run := &revocationRun{RevocationSearch: s, by: p, reason: reason, over: givesWayTo(reason)}
	act, err := c.authorize(ctx, c.clock(), p, ActRevokeSearch, target{app: s.App, detail: run.summary()})
	if err != nil {
		return nil, Act{}, err
	}
	run.Suffix = strings.TrimPrefix(s.Suffix, ".")
	if err := run.check(p); err != nil {
		return nil, Act{}, c.answer(ctx, act, err)
	}
	return run, act, run.identify(reason)
}

// identify gives a search the hash by which its steps know each other: over itself, and what is to be done to what it finds.
func (r *revocationRun) identify(what any) error {
	text, err := json.Marshal([]any{r.RevocationSearch, what})
	if err != nil {
		return fmt.Errorf("hashing the search: %w", err)
	}
	hash := sha256.Sum256(text)
	r.hash = base64.RawURLEncoding.EncodeToString(hash[:])
	return nil
}

func (r *revocationRun) check(p Principal) error {
	filtered := r.Suffix != "" || r.Authority != "" || r.Profile != "" || r.SPKIHash != nil || !r.IssuedAfter.IsZero() || !r.IssuedBefore.IsZero()
	switch {
	case !r.reason.FitsLeaf() || r.reason == pki.CertificateHold:
		fit := slices.DeleteFunc(pki.LeafReasons(), func(r pki.Reason) bool { return r == pki.CertificateHold })
		return refuse(KindBadReason, "/reason", "The reason %s does not fit a search: use one of %s. Certificates are put on hold one by one.", r.reason, joined(fit))
	case len(r.Serials) > MaxSerials:
		return refuse(KindInvalid, "/serials", "%d serials are more than the %d of one request: split them.", len(r.Serials), MaxSerials)
	case len(r.Serials) > 0 && filtered:
		return refuse(KindInvalid, "/serials", "Give serials, or what to search for, not both.")
	case len(r.Serials) == 0 && !filtered && (r.App == "" || p.Role == RoleDeveloper && p.App == ""):
		return refuse(KindInvalid, "", "Say what to search for: suffix, app, spki_sha256, authority, profile, issued_after or issued_before; or give serials.")
	}
	return nil
}

// toRevoke are those that there is something to do for.
func (r *revocationRun) toRevoke(found []*Certificate) []*Certificate {
	var open []*Certificate
	for _, cert := range found {
		if cert.Revocation == nil || slices.Contains(r.over, cert.Revocation.Reason) {
			open = append(open, cert)
		}
	}
	return open
}

// found is a page of what the search finds; beyond is empty when it is the last one.
func (c *CA) found(ctx context.Context, run *revocationRun, at place, limit int) (found []*Certificate, missing []pki.Serial, beyond string, err error) {
	if len(run.Serials) > 0 {
		found, missing, err = c.bySerial(ctx, run, at)
		return found, missing, "", err
	}
	cursor, err := ParseCursor(at.Beyond)
	if err != nil {
		return nil, nil, "", err
	}
	q := CertificateQuery{
		Suffix: run.Suffix, App: run.App, Authority: run.Authority, Profile: run.Profile, SPKIHash: run.SPKIHash,
		IssuedAfter: run.IssuedAfter, IssuedBefore: at.Until, Limit: limit, Beyond: cursor,
	}
	if !run.IssuedBefore.IsZero() {
		q.IssuedBefore = earlier(run.IssuedBefore, at.Until)
	}
	page, err := c.store.ListCertificates(ctx, q)
	if err != nil {
		return nil, nil, "", fmt.Errorf("searching: %w", err)
	}
	return page.Items, nil, page.Next.String(), nil
}

func (c *CA) bySerial(ctx context.Context, run *revocationRun, at place) (found []*Certificate, missing []pki.Serial, err error) {
	all, err := c.store.FindCertificates(ctx, run.Serials)
	if err != nil {
		return nil, nil, fmt.Errorf("looking the serials up: %w", err)
	}
	there := make(map[pki.Serial]*Certificate)
	for _, cert := range all {
		if (run.App == "" || cert.App == run.App) && cert.CreatedAt.Before(at.Until) {
			there[cert.Serial] = cert
		}
	}
	seen := make(map[pki.Serial]bool)
	for _, serial := range run.Serials {
		switch cert := there[serial]; {
		case seen[serial]:
		case cert == nil:
			missing = append(missing, serial)
		default:
			found = append(found, cert)
		}
		seen[serial] = true
	}
	return found, missing, nil
}

// revokeAll revokes certificates in one change, and returns which of them it has changed.
func (c *CA) revokeAll(ctx context.Context, run *revocationRun, open []*Certificate, act Act) ([]pki.Serial, error) {
	if len(open) == 0 {
		return nil, nil
	}
	slices.SortFunc(open, func(a, b *Certificate) int { return slices.Compare(a.Serial[:], b.Serial[:]) })
	now := act.Event.At
	serials, events := make([]pki.Serial, len(open)), make([]Event, len(open))
	for i, cert := range open {
		detail := map[string]string{"reason": run.reason.String(), "status": string(cert.Status(now)), "search": act.Event.ID.String()}
		if cert.Revocation != nil {
			detail["raised_from"] = cert.Revocation.Reason.String()
		}
		serials[i] = cert.Serial
		events[i] = c.event(now, run.by, ActRevoke, target{app: cert.App, object: cert.Serial.String(), detail: detail})
	}
	act.Event.Detail["certificates"] = strconv.Itoa(len(open))
	revoked, err := c.store.RevokeCertificates(ctx, serials, Revocation{At: now, Reason: run.reason, By: run.by.Name}, run.over, events, act)
	if err != nil {
		return nil, fmt.Errorf("revoking %d certificates: %w", len(open), err)
	}
	return revoked, nil
}

// summary is what the event of a step tells.
func (r *revocationRun) summary() map[string]string {
	detail := map[string]string{"reason": r.reason.String()}
	add := func(name, value string) {
		if value != "" {
			detail[name] = oneLine(value)
		}
	}
	add("suffix", r.Suffix)
	add("authority", r.Authority)
	add("profile", r.Profile)
	if r.SPKIHash != nil {
		add("spki_sha256", hex.EncodeToString(r.SPKIHash[:]))
	}
	for name, t := range map[string]time.Time{"issued_after": r.IssuedAfter, "issued_before": r.IssuedBefore} {
		if !t.IsZero() {
			add(name, t.Format(time.RFC3339))
		}
	}
	if len(r.Serials) > 0 {
		add("serials", strconv.Itoa(len(r.Serials)))
	}
	return detail
}
