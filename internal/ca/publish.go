package ca

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

const (
	// crlTick is how often a server looks whether something was revoked or published elsewhere.
	crlTick = 200 * time.Millisecond

	// crlGap is how long a server waits after a list before it makes another for the sake of what was revoked since: a burst is one list.
	// With the tick before and the work after it, a revocation is on the list of every server within two seconds.
	crlGap = time.Second

	// crlBackdate makes a list begin a little before it is made: servers take one from the future for a reason to refuse everyone.
	crlBackdate = 5 * time.Minute

	// crlBatch bounds the changes in one list, and with them the time that a publication takes, for which others wait on SQLite. The rest follows
	// at once.
	crlBatch = 10_000

	// crlPart is the size up to which a part of the entries grows, in bytes: what is written to the database to add one.
	crlPart = 64 << 10
)

// list is the revocation list of an authority, as this process serves it.
type list struct {
	by     *issuer.Issuer
	served atomic.Pointer[CRL] // its number only ever rises

	mu      sync.Mutex // held by who works on it
	latest  *CRL       // in the database; nil: none is known. It is the one that is served, unless an old backup was restored.
	changed time.Time  // when latest last changed, by this process's clock
}

// take remembers the latest list, and serves it.
func (l *list) take(crl *CRL) {
	l.latest = crl
	if served := l.served.Load(); served == nil || served.Number < crl.Number {
		l.served.Store(crl)
	}
}

// number is that of the latest list; 0 if there is none.
func (l *list) number() int64 {
	if l.latest == nil {
		return 0
	}
	return l.latest.Number
}

// CRL is the latest list of an authority that this process knows, some hundred milliseconds after it was published anywhere at most; nil
// when there is none yet, or no such authority. It asks no database, so lists are served when that is away.
func (c *CA) CRL(authority string) *CRL {
	l, known := c.roster().lists[authority]
	if !known {
		return nil
	}
	return l.served.Load()
}

// CRLInterval is how often a list comes when nothing is revoked.
func (c *CA) CRLInterval() time.Duration { return c.schedule.Interval }

// NextCRL is when the list that follows a list comes at the latest.
func (c *CA) NextCRL(crl *CRL) time.Time {
	if l, known := c.roster().lists[crl.Authority]; known && !l.by.CanSign() {
		return crl.NextUpdate // it comes from elsewhere
	}
	return crl.RegularAt.Add(c.schedule.Interval)
}

// KeepRevocation publishes the revocation lists until ctx ends: soon after each revocation, and on schedule. Of several processes on one
// database any number may do so.
func (c *CA) KeepRevocation(ctx context.Context) {
	tick := time.NewTicker(crlTick)
	defer tick.Stop()
	var told time.Time
	for failing := false; ; {
		err := c.PublishCRLs(ctx)
		switch now := c.clock(); {
		case ctx.Err() != nil:
			return
		case err == nil && failing:
			failing = false
			c.log.InfoContext(ctx, "revocation lists are published again")
		case err != nil && (!failing || now.Sub(told) >= time.Minute):
			failing, told = true, now
			c.log.ErrorContext(ctx, "publishing revocation lists; it is tried again at once and for ever", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// PublishCRLs takes over the lists that other processes have published, and publishes those that are due.
func (c *CA) PublishCRLs(ctx context.Context) error {
	began := c.now()
	states, err := c.store.ListCRLStates(ctx)
	if err != nil {
		return fmt.Errorf("asking for the state of the revocation lists: %w", err)
	}
	for _, state := range states {
		if r, known := c.roster().responders[state.Authority]; known {
			r.known.look(began, state)
		}
	}
	var faults []error
	for _, state := range states {
		// An authority that this process has not taken over yet is for others to publish.
		if l, known := c.roster().lists[state.Authority]; known {
			if err := c.keepList(ctx, l, state); err != nil {
				faults = append(faults, fmt.Errorf("the revocation list of %s: %w", state.Authority, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (c *CA) keepList(ctx context.Context, l *list, state CRLState) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state.Number != l.number() {
		if err := c.takeOver(ctx, l); err != nil {
			return err
		}
	}
	if !l.by.CanSign() {
		return nil
	}
	for more := true; more; {
		now := c.clock()
		due, regular := c.due(l, state, now)
		if !due {
			return nil
		}
		var err error
		if more, err = c.publish(ctx, l, now, regular); err != nil {
			return err
		}
		l.changed = time.Time{} // what is left over does not wait
	}
	l.changed = c.clock()
	return nil
}

// takeOver reads the latest list, but for the parts that are known. What the authority did not sign is not served: the one before stays.
func (c *CA) takeOver(ctx context.Context, l *list) error {
	crl, err := c.read(ctx, l, l.latest)
	if err != nil && l.latest != nil {
		crl, err = c.read(ctx, l, nil) // an old backup was restored, and its parts are others
	}
	if err != nil {
		return err
	}
	l.take(crl)
	l.changed = c.clock()
	return nil
}

func (c *CA) read(ctx context.Context, l *list, earlier *CRL) (*CRL, error) {
	crl, err := c.store.CRL(ctx, l.by.Name(), earlier)
	if err != nil {
		return nil, fmt.Errorf("reading the latest: %w", err)
	}
	if err := l.by.VerifyCRL(&crl.CRL); err != nil {
		return nil, fmt.Errorf("reading the latest: %w: find out who changed the database", err)
	}
	return crl, nil
}

// due tells whether to publish now, and whether on schedule.
func (c *CA) due(l *list, state CRLState, now time.Time) (due, regular bool) {
	switch {
	case l.latest == nil || l.number() < l.served.Load().Number:
		return true, true
	case now.Sub(l.latest.RegularAt) >= c.schedule.Interval:
		return true, true
	case l.latest.PublishedAt.After(now.Add(crlBackdate)):
		// It was made by a server whose clock is far ahead, or this one's is behind. Servers that check it will refuse everyone until its
		// time has come.
		return now.Sub(l.changed) >= crlGap, true
	}
	return state.Waiting && now.Sub(l.changed) >= crlGap, false
}

// publish makes the next list and commits it. more says that not all changes have found room in it. Where another process was faster,
// nothing happens: its list is taken over at the next look.
func (c *CA) publish(ctx context.Context, l *list, now time.Time, regular bool) (more bool, err error) {
	act, err := c.authorize(ctx, now, itself(), ActPublishCRL, target{object: l.by.Name()})
	if err != nil {
		return false, err
	}
	changes, err := c.store.ListUnpublished(ctx, l.by.Name(), crlBatch)
	if err != nil {
		return false, fmt.Errorf("asking what is not published yet: %w", err)
	}
	more = len(changes) == crlBatch
	next, err := c.nextCRL(ctx, l, changes, now, regular && !more)
	if err != nil {
		return false, err
	}
	act.Event.Detail = map[string]string{
		"number": strconv.FormatInt(next.Number, 10), "entries": strconv.Itoa(next.Count), "changes": strconv.Itoa(len(changes)),
		"next_update": next.NextUpdate.Format(time.RFC3339),
	}
	switch err := c.store.PublishCRL(ctx, next, l.number(), changedParts(l.latest, next), changes, act); {
	case errors.Is(err, ErrChanged):
		return false, nil
	case err != nil:
		// It may have been published all the same; then it is taken over at the next look.
		return false, fmt.Errorf("committing number %d: %w", next.Number, err)
	}
	l.take(next)
	return more, nil
}

// nextCRL makes and signs the list that follows the latest.
func (c *CA) nextCRL(ctx context.Context, l *list, changes []Unpublished, now time.Time, regular bool) (*CRL, error) {
	previous := l.latest
	next := &CRL{Authority: l.by.Name(), PublishedAt: now}
	// A number that is never below the clock rises even if an old backup of the database was restored.
	next.Number = max(now.UnixMilli(), l.number()+1)
	if served := l.served.Load(); served != nil {
		next.Number = max(next.Number, served.Number+1)
	}
	next.ThisUpdate = now.Add(-crlBackdate).Truncate(time.Second)
	if previous != nil {
		if previous.ThisUpdate.After(next.ThisUpdate) && !previous.ThisUpdate.After(now) { // unless it was from the future
			next.ThisUpdate = previous.ThisUpdate
		}
		next.Entries, next.Count = slices.Clone(previous.Entries), previous.Count
		next.RegularAt, next.ListsFrom = previous.RegularAt, previous.ListsFrom
	}
	next.NextUpdate = now.Add(c.schedule.Lifetime).Truncate(time.Second)
	gone := make(map[pki.Serial]bool)
	if regular {
		next.RegularAt = now
		if previous != nil {
			again, err := c.moveOn(ctx, previous, next, gone)
			if err != nil {
				return nil, err
			}
			changes = append(again, changes...) // the later ones count
		}
	}
	if err := next.change(changes, gone); err != nil {
		return nil, err
	}
	signed, err := l.by.SignCRL(next.CRL)
	if err != nil {
		return nil, err
	}
	next.CRL = *signed
	return next, nil
}

// moveOn lets a list on schedule begin where it may, and adds to gone what it need not name any more. RFC 5280, Section 3.3: an entry stays
// until it has been on one list that was published on schedule after the certificate's end; so what had ended before the last such list
// began can go with this one. Where a server whose clock was far ahead has dropped more, it comes again.
func (c *CA) moveOn(ctx context.Context, previous, next *CRL, gone map[pki.Serial]bool) (again []Unpublished, err error) {
	from := previous.RegularAt.Add(-crlBackdate).Truncate(time.Second)
	switch {
	case previous.ListsFrom.After(next.PublishedAt):
		next.ListsFrom = time.Time{}
		err = c.eachRevoked(ctx, RevokedQuery{Authority: next.Authority, To: previous.ListsFrom}, func(r Revoked) {
			again = append(again, Unpublished{Serial: r.Serial, NotAfter: r.NotAfter, Revocation: &r.Revocation})
		})
	case from.After(previous.ListsFrom) && !from.After(next.PublishedAt):
		next.ListsFrom = from
		err = c.eachRevoked(ctx, RevokedQuery{Authority: next.Authority, From: previous.ListsFrom, To: from}, func(r Revoked) { gone[r.Serial] = true })
	}
	if err != nil {
		return nil, fmt.Errorf("asking what has ended: %w", err)
	}
	return again, nil
}

// eachRevoked calls each for every revoked certificate that the query selects.
func (c *CA) eachRevoked(ctx context.Context, q RevokedQuery, each func(Revoked)) error {
	for q.Limit = 10 * MaxPage; ; {
		page, err := c.store.ListRevoked(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			each(r)
		}
		if len(page) < q.Limit {
			return nil
		}
		q.Beyond = &page[len(page)-1]
	}
}

// change takes what is gone from the entries, and replaces or adds what has changed, in the order of revocation. Parts that others read are
// not touched but replaced.
func (c *CRL) change(changes []Unpublished, gone map[pki.Serial]bool) error {
	latest := make(map[pki.Serial]Unpublished, len(changes))
	for _, u := range changes {
		latest[u.Serial] = u
		gone[u.Serial] = true
	}
	var listed []Unpublished
	for _, u := range latest {
		if u.Revocation != nil && !u.NotAfter.Before(c.ListsFrom) {
			listed = append(listed, u)
		}
	}
	slices.SortFunc(listed, func(a, b Unpublished) int {
		return cmp.Or(a.Revocation.At.Compare(b.Revocation.At), slices.Compare(a.Serial[:], b.Serial[:]))
	})
	if len(gone) > 0 {
		if err := c.remove(gone); err != nil {
			return err
		}
	}
	last := len(c.Entries) - 1
	fresh := false // whether the last part is ours to append to
	for _, u := range listed {
		if last < 0 || len(c.Entries[last]) >= crlPart {
			c.Entries, fresh = append(c.Entries, nil), true
			last++
		}
		part := c.Entries[last]
		if !fresh {
			part, fresh = slices.Clip(part), true
		}
		c.Entries[last] = issuer.EncodeEntry(part, u.Serial, u.Revocation.At, u.Revocation.Reason)
		c.Count++
	}
	return nil
}

// remove takes entries away.
func (c *CRL) remove(gone map[pki.Serial]bool) error {
	for i, part := range c.Entries {
		kept, err := issuer.RemoveEntries(part, func(serial []byte) bool {
			if len(serial) != pki.SerialSize || !gone[pki.Serial(serial)] {
				return false
			}
			c.Count--
			return true
		})
		if err != nil {
			return err
		}
		c.Entries[i] = kept
	}
	return nil
}

// changedParts are the places of the parts that are not the same slice as before.
func changedParts(previous, next *CRL) (places []int) {
	for i, part := range next.Entries {
		if previous != nil && i < len(previous.Entries) {
			if before := previous.Entries[i]; len(before) == len(part) && (len(part) == 0 || &before[0] == &part[0]) {
				continue
			}
		}
		places = append(places, i)
	}
	return places
}
