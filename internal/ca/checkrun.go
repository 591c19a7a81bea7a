package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

const (
	checkTime  = 45 * time.Second // bounds one check
	checkLease = 90 * time.Second // how long a process has it for itself
	checkTries = 3                // processes that may die of it
	checkPause = 10 * time.Second // between looks for checks that nobody here was told of

	hastenPause = time.Minute // between looks for new certificates of endpoints
)

// checking is the running of checks in this process.
type checking struct {
	woken chan struct{} // holds one while there is something to run
	slots chan struct{}

	mu      sync.Mutex
	waiting map[string][]chan struct{} // by the ID of a check: who waits for its end
}

func newChecking(most int) *checking {
	return &checking{woken: make(chan struct{}, 1), slots: make(chan struct{}, most), waiting: make(map[string][]chan struct{})}
}

func (g *checking) wake() {
	select {
	case g.woken <- struct{}{}:
	default: // it is awake
	}
}

// watch gives a channel that is closed when a check has ended in this process.
func (g *checking) watch(id string) (ended <-chan struct{}, stop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := make(chan struct{})
	g.waiting[id] = append(g.waiting[id], own)
	return own, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting[id] = slices.DeleteFunc(g.waiting[id], func(other chan struct{}) bool { return other == own })
		if len(g.waiting[id]) == 0 {
			delete(g.waiting, id)
		}
	}
}

func (g *checking) ended(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, waits := range g.waiting[id] {
		close(waits)
	}
	delete(g.waiting, id)
}

// KeepChecks runs checks until ctx ends: those that are asked for at once, those of registered endpoints in their time, and those that another process
// has left behind. Any number of processes
// may do it: each check is leased by one of them.
func (c *CA) KeepChecks(ctx context.Context) {
	if c.checks.Look == nil {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(checkPause)
	defer tick.Stop()
	hasten := time.NewTicker(hastenPause)
	defer hasten.Stop()
	for {
		err := c.scheduleChecks(ctx)
		if err := errors.Join(err, c.beginChecks(ctx, &running)); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "looking for checks to run; it is tried again in a while", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hasten.C:
			if err := c.hastenChecks(ctx); err != nil && ctx.Err() == nil {
				c.log.ErrorContext(ctx, "it is tried again in a minute", "error", err)
			}
		case <-tick.C:
		case <-c.checking.woken:
		}
	}
}

// RunDueChecks runs what is due at this moment, and waits for it.
func (c *CA) RunDueChecks(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	if c.checks.Look == nil {
		return nil
	}
	return errors.Join(c.hastenChecks(ctx), c.scheduleChecks(ctx), c.beginChecks(ctx, &running))
}

// beginChecks begins all checks that are due, as soon as there is room for each.
func (c *CA) beginChecks(ctx context.Context, running *sync.WaitGroup) error {
	for {
		now := c.clock()
		due, err := c.store.DueChecks(ctx, now, cap(c.checking.slots))
		if err != nil {
			return fmt.Errorf("reading the checks that are due: %w", err)
		}
		if len(due) == 0 {
			return nil
		}
		for _, k := range due {
			select {
			case c.checking.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := c.beginCheck(ctx, k, running); err != nil {
				return err
			}
		}
	}
}

// beginCheck takes a check up, in the slot that the caller has taken for it, unless another process is faster.
func (c *CA) beginCheck(ctx context.Context, k Check, running *sync.WaitGroup) error {
	until := c.clock().Add(checkLease)
	if err := c.store.LeaseCheck(ctx, k, until); err != nil {
		<-c.checking.slots
		if errors.Is(err, ErrChanged) {
			return nil
		}
		return fmt.Errorf("leasing the check %s: %w", k.ID, err)
	}
	k.DueAt = until
	k.Tries++
	running.Go(func() {
		defer func() { <-c.checking.slots }()
		if err := c.carryOutCheck(ctx, k); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "running a check; it is tried again", "check", k.ID, "url", k.URL, "error", err)
		}
		c.checking.ended(k.ID)
	})
	return nil
}

// carryOutCheck runs a check and commits how it ended. A fault of ours leaves it for another try, of which there are a few.
func (c *CA) carryOutCheck(ctx context.Context, k Check) error {
	sight, err := c.lookAtDoor(ctx, &k)
	var refusal *Error
	switch {
	case err == nil:
		k.State, k.Report, k.Facts, k.Changes = CheckDone, sight.Report, sight.Facts, sight.Changes
	case errors.As(err, &refusal):
		k.State, k.Failure = CheckFailed, refusal.Detail
	case k.Tries >= checkTries && ctx.Err() == nil:
		c.log.ErrorContext(ctx, "running a check; it is given up", "check", k.ID, "url", k.URL, "error", err)
		k.State, k.Failure = CheckFailed, "The check could not be run, by a fault of this server: ask again, and tell an operator if it stays so."
	case ctx.Err() != nil: // this process ends: the next one need not wait for the end of the lease
		return errors.Join(err, c.store.LeaseCheck(context.WithoutCancel(ctx), k, c.clock()))
	default:
		return err
	}
	return c.finishCheck(ctx, k)
}

// finishCheck commits how a check ended.
func (c *CA) finishCheck(ctx context.Context, k Check) error {
	ctx = context.WithoutCancel(ctx)
	now := c.clock()
	k.FinishedAt = now
	act := Act{Event: c.event(now, itself(), ActFinishCheck, target{app: k.App, object: k.ID, detail: map[string]string{"url": k.URL, "state": string(k.State)}})}
	if k.State == CheckDone {
		act.Event.Detail["summary"] = k.Facts.Summary
	} else {
		act.Event.Detail["why"] = oneLine(k.Failure)
	}
	for range tries {
		end, err := c.endOf(ctx, now, k)
		if err != nil {
			return err
		}
		switch err := c.store.FinishCheck(ctx, k, end, act); {
		case err == nil:
			c.checks.Observe(k.Cause, k.Facts.Summary, end.began())
			if len(end.Notices) > 0 {
				c.delivering.wake()
			}
			return nil
		case !errors.Is(err, ErrChanged):
			return fmt.Errorf("recording the end of the check %s: %w", k.ID, err)
		}
	}
	return nil // it took so long that another has taken it up
}

// lookAtDoor looks, and notes in k what the sight is compared with.
func (c *CA) lookAtDoor(ctx context.Context, k *Check) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	now := c.clock()
	if k.Cause != CauseAsked { // the app may have lost the name since it registered the endpoint
		if _, err := c.ownEndpoint(ctx, now, k.App, k.URL); err != nil {
			return Sight{}, err
		}
	}
	canaries, err := c.canaries(ctx, now)
	if err != nil {
		return Sight{}, err
	}
	v := Visit{URL: k.URL, Address: k.Address, Callback: k.Callback, Canaries: canaries, Issued: c.knownOf(k.App)}
	if v.Roots, err = c.rootsOf(ctx, k.App); err != nil {
		return Sight{}, err
	}
	if k.Since, v.Previous, err = c.checkBefore(ctx, *k); err != nil {
		return Sight{}, err
	}
	return c.checks.Look(ctx, v)
}

// checkBefore is the last check of the same endpoint that has a report.
func (c *CA) checkBefore(ctx context.Context, k Check) (id string, report []byte, err error) {
	const most = 20 // those of other apps and addresses may stand between
	earlier, err := c.store.ListChecks(ctx, CheckQuery{App: k.App, URL: k.URL, State: CheckDone, Beyond: k.ID, Limit: most})
	if err != nil {
		return "", nil, fmt.Errorf("reading the history of %s: %w", k.URL, err)
	}
	i := slices.IndexFunc(earlier, func(e Check) bool { return e.App == k.App && e.Address == k.Address })
	if i < 0 {
		return "", nil, nil
	}
	last, err := c.store.Check(ctx, earlier[i].ID)
	if err != nil {
		return "", nil, fmt.Errorf("reading the check %s: %w", earlier[i].ID, err)
	}
	return last.ID, last.Report, nil
}

// knownOf says what is recorded about served certificates, as far as an app may know; all of it for an operator.
func (c *CA) knownOf(app string) func(context.Context, string, *x509.Certificate) (Known, error) {
	return func(ctx context.Context, name string, served *x509.Certificate) (Known, error) {
		var known Known
		if serial, ours := pki.SerialFromInt(served.SerialNumber); ours {
			cert, err := c.store.Certificate(ctx, serial)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return known, fmt.Errorf("reading the certificate %s: %w", serial, err)
			}
			if err == nil && string(cert.TBS) == string(served.RawTBSCertificate) {
				known.Ours = true
				if cert.Revocation != nil {
					known.Revoked, known.RevokedAt = true, cert.Revocation.At
				}
			}
		}
		newest, err := c.newestFor(ctx, app, name)
		if err != nil || newest == nil {
			return known, err
		}
		der, err := newest.DER()
		if err != nil {
			return known, fmt.Errorf("reading the certificate %s: %w", newest.Serial, err)
		}
		known.Newest, err = parseCertificate(der)
		return known, err
	}
}

// newestFor is the newest valid certificate for a name, or for the wildcard above it; nil if there is none.
func (c *CA) newestFor(ctx context.Context, app, name string) (newest *Certificate, err error) {
	n, err := pki.ParseName(name)
	if err != nil {
		return nil, nil
	}
	names := []pki.Name{n}
	if _, parent, found := strings.Cut(n.String(), "."); found && !n.IsIP() {
		if wildcard, err := pki.ParseName("*." + parent); err == nil {
			names = append(names, wildcard)
		}
	}
	for _, n := range names {
		page, err := c.store.ListCertificates(ctx, CertificateQuery{Domain: n, App: app, Status: StatusValid, Now: c.clock(), Limit: 5})
		if err != nil {
			return nil, fmt.Errorf("looking for certificates for %s: %w", n, err)
		}
		for _, cert := range page.Items {
			if cert.Usage == UsageServerAuth && cert.Profile != issuer.CanaryProfile && (newest == nil || cert.CreatedAt.After(newest.CreatedAt)) {
				newest = cert
			}
		}
	}
	return newest, nil
}

func parseCertificate(der []byte) (*x509.Certificate, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return parsed, nil
}
