package ca

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// MoveKey remembers where the key of an authority is; an empty reference makes it rest: its key is on no server, it issues nothing, and its
// revocation lists are made where the key is and imported. Processes that have the key opened let go of it in a moment (KeepAuthorities).
func (c *CA) MoveKey(ctx context.Context, p Principal, authority, ref string) error {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActMoveKey, target{object: authority, detail: map[string]string{"key": ref}})
	if err != nil {
		return err
	}
	a, err := c.recorded(ctx, authority)
	if err != nil {
		return c.answer(ctx, act, err)
	}
	switch err := c.store.ChangeKeyRef(context.WithoutCancel(ctx), a.Name, a.KeyRef, ref, act); {
	case errors.Is(err, ErrChanged):
		return c.refused(ctx, act, refuse(KindConflict, "", "Somebody else has moved the key of %s in this moment: look where it is, and try again.", authority))
	case err != nil:
		return fmt.Errorf("moving the key of %s: %w", authority, err)
	}
	return nil
}

// recorded is an authority as it is in the database.
func (c *CA) recorded(ctx context.Context, name string) (Authority, error) {
	all, err := c.store.ListAuthorities(ctx)
	if err != nil {
		return Authority{}, fmt.Errorf("reading the authorities: %w", err)
	}
	i := slices.IndexFunc(all, func(a Authority) bool { return a.Name == name })
	if i < 0 {
		return Authority{}, refuse(KindNotFound, "", "There is no authority %q: 'imca ca list' shows them.", oneLine(name))
	}
	return all[i], nil
}

// CRLRequest is what the next revocation list of a resting authority must say.
type CRLRequest struct {
	Authority string
	By        *issuer.Issuer
	Number    int64     // of the latest list, which the next one must exceed; 0 when there is none
	Revoked   []Revoked // in the order of their end
}

// RequestCRL tells what the next revocation list of a resting authority must say, to be signed where its key is.
func (c *CA) RequestCRL(ctx context.Context, p Principal, authority string) (*CRLRequest, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActImportCRL, target{object: authority})
	if err != nil {
		return nil, err
	}
	l, err := c.resting(ctx, authority)
	if err != nil {
		return nil, c.answer(ctx, act, err)
	}
	request := &CRLRequest{Authority: authority, By: l.by}
	q := RevokedQuery{Authority: authority}
	l.mu.Lock()
	latest := l.latest
	l.mu.Unlock()
	if latest != nil {
		request.Number, q.From = latest.Number, latest.ThisUpdate
	}
	err = c.eachRevoked(ctx, q, func(r Revoked) { request.Revoked = append(request.Revoked, r) })
	if err != nil {
		return nil, fmt.Errorf("reading what is revoked: %w", err)
	}
	return request, nil
}

// resting is the list of an authority whose key is elsewhere, the latest of it read.
func (c *CA) resting(ctx context.Context, authority string) (*list, error) {
	a, err := c.recorded(ctx, authority)
	if err != nil {
		return nil, err
	}
	l, known := c.roster().lists[authority]
	if !known {
		return nil, NotHereYet(authority)
	}
	if a.KeyRef != "" {
		return nil, refuse(KindConflict, "", "The key of %s is on the server, which makes its lists itself: lists from elsewhere are for an authority that rests ('imca ca rest %[1]s').", authority)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := c.takeOver(ctx, l); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return l, nil
}

// ImportedCRL is what an import has made.
type ImportedCRL struct {
	*CRL
	Waiting int // revocations that the list does not show: they came after it was asked for
}

// ImportCRL publishes a revocation list (PEM or DER) of a resting authority that was made elsewhere. It must be one that servers understand,
// signed by the authority, good now, newer than the latest, and may not leave out what that one lists.
func (c *CA) ImportCRL(ctx context.Context, p Principal, authority string, data []byte) (*ImportedCRL, error) {
	now := c.clock()
	act, err := c.authorize(ctx, now, p, ActImportCRL, target{object: authority})
	if err != nil {
		return nil, err
	}
	imported, err := c.importCRL(ctx, now, act, authority, data)
	return imported, c.answer(ctx, act, err)
}

func (c *CA) importCRL(ctx context.Context, now time.Time, act Act, authority string, data []byte) (*ImportedCRL, error) {
	l, err := c.resting(ctx, authority)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := c.readImport(l, data, now)
	if err != nil {
		return nil, err
	}
	listed := make(map[pki.Serial]bool)
	for _, part := range next.Entries {
		err := issuer.EntrySerials(part, func(serial []byte) {
			next.Count++
			if len(serial) == pki.SerialSize {
				listed[pki.Serial(serial)] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	changes, err := c.store.ListUnpublished(ctx, authority, crlBatch)
	if err != nil {
		return nil, fmt.Errorf("asking what is not published yet: %w", err)
	}
	if err := c.checkImport(ctx, l, next, listed, changes); err != nil {
		return nil, err
	}
	shown, waiting := shownBy(listed, changes)
	if previous := l.latest; previous != nil {
		for len(next.Entries) < len(previous.Entries) { // parts that are there are written over
			next.Entries = append(next.Entries, nil)
		}
	}
	act.Event.Detail = map[string]string{
		"number": strconv.FormatInt(next.Number, 10), "entries": strconv.Itoa(next.Count), "next_update": next.NextUpdate.Format(time.RFC3339),
	}
	switch err := c.store.PublishCRL(context.WithoutCancel(ctx), next, l.number(), changedParts(l.latest, next), shown, act); {
	case errors.Is(err, ErrChanged):
		return nil, refuse(KindConflict, "", "Another list of %s was imported in this moment: look at it, and try again.", authority)
	case err != nil:
		return nil, fmt.Errorf("committing the list: %w", err)
	}
	l.take(next)
	return &ImportedCRL{CRL: next, Waiting: waiting}, nil
}

// readImport reads a list and holds it against the authority, the time and the latest list.
func (c *CA) readImport(l *list, data []byte, now time.Time) (*CRL, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, refuse(KindInvalid, "", "The file is a PEM %q: give a revocation list, PEM or DER.", block.Type)
		}
		data = block.Bytes
	}
	opened, err := issuer.OpenCRL(data)
	if err == nil {
		err = l.by.VerifyCRL(opened)
	}
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Detail: sentence(err), Err: err}
	}
	when := func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }
	switch {
	case opened.ThisUpdate.After(now):
		return nil, refuse(KindInvalid, "", "The list begins at %s, in the future, and servers would refuse everyone until then: wait, or set the clock right where it is made.", when(opened.ThisUpdate))
	case !opened.NextUpdate.After(now):
		return nil, refuse(KindInvalid, "", "The list lapsed at %s, and servers would refuse everyone: make a new one.", when(opened.NextUpdate))
	case opened.Number <= l.number():
		return nil, refuse(KindInvalid, "", "The list has the number %d, and the latest has %d: make one with a higher number.", opened.Number, l.number())
	}
	crl := &CRL{CRL: *opened, Authority: l.by.Name(), PublishedAt: now, RegularAt: now}
	if l.latest != nil {
		crl.ListsFrom = l.latest.ThisUpdate
	}
	return crl, nil
}

// checkImport refuses a list that leaves out what the latest one lists and what has not ended since, or that lists what is not revoked.
func (c *CA) checkImport(ctx context.Context, l *list, next *CRL, listed map[pki.Serial]bool, changes []Unpublished) error {
	waits := make(map[pki.Serial]bool)
	for _, u := range changes {
		waits[u.Serial] = true
	}
	var missing []pki.Serial
	revoked := make(map[pki.Serial]bool)
	err := c.eachRevoked(ctx, RevokedQuery{Authority: next.Authority}, func(r Revoked) {
		revoked[r.Serial] = true
		if !r.NotAfter.Before(next.ListsFrom) && !listed[r.Serial] && !waits[r.Serial] {
			missing = append(missing, r.Serial)
		}
	})
	if err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	if len(missing) > 0 {
		return refuse(KindInvalid, "", "The list leaves out %d certificates that the latest one lists, %s among them: make it from a new request ('imca crl request').", len(missing), missing[0])
	}
	for serial := range listed {
		if revoked[serial] || waits[serial] {
			continue
		}
		standing, err := c.store.Standing(ctx, serial)
		if err == nil && standing.Authority == next.Authority {
			return refuse(KindInvalid, "", "The list names %s, which is not revoked: revoke it first, or make the list without it.", serial)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("asking for the state of %s: %w", serial, err)
		}
	}
	return nil
}

// shownBy are the changes that a list shows, and how many it does not.
func shownBy(listed map[pki.Serial]bool, changes []Unpublished) (shown []Unpublished, waiting int) {
	for _, u := range changes {
		if listed[u.Serial] == (u.Revocation != nil) {
			shown = append(shown, u)
		} else {
			waiting++
		}
	}
	return shown, waiting
}
