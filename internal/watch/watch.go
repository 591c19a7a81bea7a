// Package watch reads what imca serves to everybody, as a stranger would, and holds it against the records: the revocation list of each
// authority must be signed, fresh, never older than one seen before, and name just the certificates that are revoked, each with its reason;
// OCSP must say the same.
//
// It holds to this: nothing of the code that makes lists and responses is used to read them, and what is read has gone over the network. A
// difference counts when it is still there after the time in which a revocation must be published.
//
// It mends nothing and stops nothing: what it finds is told, and the CA goes on.
package watch

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Config is what a Watcher is made of. Records, Fetch and Authorities are required; the zero value of the rest works.
type Config struct {
	// Records are what must be served.
	Records Records

	// Authorities are whose lists are read, asked for at each look.
	Authorities func() []Authority

	// Fetch asks the public door: GET of a path such as "/crl/NAME.crl", or POST where there is a body. The answer is the body of a
	// response with the status 200. It bounds time and size.
	Fetch func(ctx context.Context, path string, body []byte) ([]byte, error)

	// Report, if not nil, gets what every look has found.
	Report func([]ca.RevocationReport)

	// Settle is how long a difference may last: a revocation takes its time to be published. Zero means 5 s.
	Settle time.Duration

	// Now tells the time; nil means time.Now.
	Now func() time.Time

	// Log gets faults when they come and go; nil means slog.Default.
	Log *slog.Logger
}

// Authority is whose lists are read.
type Authority struct {
	Name        string
	Certificate *x509.Certificate

	// Interval is how often a new list must come; zero where it comes from elsewhere.
	Interval time.Duration
}

// Records are what package ca keeps about revocations: ca.Store.
type Records interface {
	Standing(ctx context.Context, serial pki.Serial) (ca.Standing, error)
	ListRevoked(ctx context.Context, q ca.RevokedQuery) ([]ca.Revoked, error)
}

// Watcher reads what is served. It is for one goroutine.
type Watcher struct {
	records     Records
	authorities func() []Authority
	fetch       func(ctx context.Context, path string, body []byte) ([]byte, error)
	report      func([]ca.RevocationReport)
	settle      time.Duration
	now         func() time.Time
	log         *slog.Logger

	seen map[string]int64 // the highest number of each list
	told map[string]string
}

// New returns a watcher.
func New(cfg Config) *Watcher {
	w := &Watcher{
		records: cfg.Records, authorities: cfg.Authorities, fetch: cfg.Fetch, report: cfg.Report, settle: cmp.Or(cfg.Settle, 5*time.Second),
		now: cfg.Now, log: cmp.Or(cfg.Log, slog.Default()), seen: make(map[string]int64), told: make(map[string]string),
	}
	if w.now == nil {
		w.now = time.Now
	}
	if w.report == nil {
		w.report = func([]ca.RevocationReport) {}
	}
	return w
}

const (
	// pause is the shortest time between two looks, share how many times as long as a look took the pause after it is at least: a list of a
	// million entries takes seconds to read, and nobody but the watcher should notice.
	pause = time.Minute
	share = 50

	// late is how much later than its Interval a list may come before it is overdue.
	late = 10 * time.Minute
)

// Watch looks again and again, until ctx ends.
func (w *Watcher) Watch(ctx context.Context) {
	// The first lists are made in the first second of a CA.
	next := w.settle
	for {
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		begin := w.now()
		reports := w.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		w.report(reports)
		w.tell(reports)
		next = max(pause, share*w.now().Sub(begin))
	}
}

// tell logs what has changed.
func (w *Watcher) tell(reports []ca.RevocationReport) {
	for _, r := range reports {
		faults := fmt.Sprint(r.Faults)
		if faults == cmp.Or(w.told[r.Authority], "[]") {
			continue
		}
		w.told[r.Authority] = faults
		if len(r.Faults) > 0 {
			w.log.Error("the revocation status that is served is not as it should be", "authority", r.Authority, "faults", r.Faults)
		} else {
			w.log.Info("the revocation status that is served is as it should be again", "authority", r.Authority)
		}
	}
}

// Look reads the list of each authority once, and asks by OCSP.
func (w *Watcher) Look(ctx context.Context) []ca.RevocationReport {
	authorities := w.authorities()
	reports := make([]ca.RevocationReport, 0, len(authorities))
	for _, a := range authorities {
		r := ca.RevocationReport{Authority: a.Name, At: w.now().UTC()}
		list, err := w.list(ctx, a)
		if err == nil {
			r.Number, r.ThisUpdate, r.NextUpdate, r.Entries = list.number, list.thisUpdate, list.nextUpdate, len(list.entries)
			r.Faults = w.fresh(a, list)
			var different []string
			different, err = w.compare(ctx, a, list)
			r.Faults = append(r.Faults, different...)
		}
		if err != nil {
			r.Faults = append(r.Faults, sentence(err))
		}
		r.Faults = append(r.Faults, w.askOCSP(ctx, a, list)...)
		reports = append(reports, r)
	}
	return reports
}

func sentence(err error) string { return fmt.Sprintf("The list cannot be looked at: %v.", err) }

// list fetches the list of an authority and reads it.
func (w *Watcher) list(ctx context.Context, a Authority) (*list, error) {
	der, err := w.fetch(ctx, "/crl/"+a.Name+".crl", nil)
	if err != nil {
		return nil, fmt.Errorf("fetching it: %w", err)
	}
	return readList(der, a.Certificate)
}

// fresh says what is wrong with the times and the number of a list.
func (w *Watcher) fresh(a Authority, l *list) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	now := w.now()
	switch {
	case l.thisUpdate.After(now):
		fault("The list is from the future (%s): servers refuse everyone. Set the clocks of this server and of the others right.", l.thisUpdate.Format(time.DateTime))
	case now.After(l.nextUpdate):
		fault("The list lapsed at %s: servers that check it refuse everyone. Find out in the log why no new one comes.", l.nextUpdate.Format(time.DateTime))
	case a.Interval > 0 && now.Sub(l.thisUpdate) > a.Interval+late:
		fault("The list is of %s, and a new one is overdue; it lapses at %s. Find out in the log why no new one comes.", l.thisUpdate.Format(time.DateTime), l.nextUpdate.Format(time.DateTime))
	case a.Interval == 0 && l.nextUpdate.Sub(now) < l.nextUpdate.Sub(l.thisUpdate)/4:
		fault("The list lapses at %s, and three quarters of its life are over: make the next one where the key is ('imca crl sign'), and import it ('imca crl import').", l.nextUpdate.Format(time.DateTime))
	}
	if before := w.seen[a.Name]; l.number < before {
		fault("The list has the number %d, and one with the number %d was served before: find out which server serves an old one.", l.number, before)
	}
	w.seen[a.Name] = max(w.seen[a.Name], l.number)
	return faults
}

// shown is how many serials a fault names.
const shown = 3

// compare says what is on a list that should not be, or the other way round. What differs is looked at again when the time has passed in which
// it should have been published.
func (w *Watcher) compare(ctx context.Context, a Authority, l *list) ([]string, error) {
	suspects, err := w.differences(ctx, a, l)
	if err != nil || len(suspects) == 0 {
		return nil, err
	}
	settled := time.NewTimer(w.settle)
	defer settled.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-settled.C:
	}
	if l, err = w.list(ctx, a); err != nil {
		return nil, err
	}
	different := make(map[string][]string)
	for _, serial := range suspects {
		what, err := w.difference(ctx, a, l, serial)
		if err != nil {
			return nil, err
		}
		if what != "" {
			different[what] = append(different[what], serial.String())
		}
	}
	var faults []string
	for what, serials := range different {
		slices.Sort(serials)
		some := serials[:min(len(serials), shown)]
		faults = append(faults, fmt.Sprintf("%d certificates %s: %v …. Find out in the log why the list is not as the database says.", len(serials), what, some))
	}
	slices.Sort(faults)
	return faults, nil
}

// differences are the serials for which list and records do not say the same.
func (w *Watcher) differences(ctx context.Context, a Authority, l *list) (suspects []pki.Serial, err error) {
	found := make([]bool, len(l.entries))
	// What ends later must be listed. What has ended may be, for a while.
	q := ca.RevokedQuery{Authority: a.Name, From: l.thisUpdate, Limit: 10_000}
	for {
		page, err := w.records.ListRevoked(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("reading the records: %w", err)
		}
		for _, r := range page {
			i, listed := l.find(r.Serial)
			if listed {
				found[i] = true
			}
			if !listed || !l.entries[i].says(r.Revocation) {
				suspects = append(suspects, r.Serial)
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.Beyond = &page[len(page)-1]
	}
	for i, e := range l.entries {
		if found[i] {
			continue
		}
		what, err := w.difference(ctx, a, l, e.serial)
		if err != nil {
			return nil, err
		}
		if what != "" {
			suspects = append(suspects, e.serial)
		}
	}
	return suspects, nil
}

// difference says how list and records differ about one certificate.
func (w *Watcher) difference(ctx context.Context, a Authority, l *list, serial pki.Serial) (string, error) {
	standing, err := w.records.Standing(ctx, serial)
	if err != nil && !isMissing(err) {
		return "", fmt.Errorf("reading the records: %w", err)
	}
	revoked := err == nil && standing.Authority == a.Name && standing.Revocation != nil
	i, listed := l.find(serial)
	switch {
	case listed && !revoked:
		return "are on the list and not revoked", nil
	case revoked && !listed:
		return "are revoked and not on the list", nil
	case revoked && !l.entries[i].says(*standing.Revocation):
		return "are on the list with another reason or time", nil
	}
	return "", nil
}
