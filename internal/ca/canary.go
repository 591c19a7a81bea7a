package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Canaries are certificates of ours to knock on a developer's door with, chains included as a client sends them. What is nil cannot be had here: the
// authority rests, or is too young to have anything expired.
//
// A server judges by the subject, the usage and the dates, so those to be compared with the platform's own bear its name. None of them can be used
// as the platform for all that: their keys are made in the memory of this process and never leave it, in no answer and in no file; those
// that are admitted end in minutes; of the others, one had ended before it was signed, one was revoked before it was used, and one is for servers.
// Each is recorded, signed and listed like every certificate, under the profile "canary", which nobody can ask for.
type Canaries struct {
	Platform  *tls.Certificate
	Developer *tls.Certificate // another developer's
	Expired   *tls.Certificate
	Revoked   *tls.Certificate
	RevokedAt time.Time // since when a revocation list can have it

	Standbys []StandbyCanary
}

// StandbyCanary plays the platform as it will be when an authority that stands by for its certificates has been promoted. There is one of each that was
// made after the authority that issues them now: to those before, nobody is to move.
type StandbyCanary struct {
	Authority   string
	Certificate *tls.Certificate
	Root        *x509.Certificate // what it stands under
}

// CanaryApp is whose the canary is that plays another developer. No app can have this ID.
const CanaryApp = "imca-canary"

// The lives of canaries. They begin an hour ago, for servers whose clocks are slow.
const (
	canaryBackdate = time.Hour
	canaryLife     = 15 * time.Minute
	canarySpare    = 5 * time.Minute // what is left of it at least when a check begins

	expiredSince = 24 * time.Hour   // when the expired one ended, if its authority is as old as that
	expiredLife  = 10 * time.Minute // how long it was good
	expiredLeast = time.Minute      // how long ago it has ended at least

	revokedLife = 24 * time.Hour // so long that servers have had the time to fetch a list that has it
)

// canaryName is the name of the canary that plays another developer: one that nobody can have (RFC 2606, Section 2).
var canaryName = pki.RecordedName("canary.imca.invalid")

// aviary keeps the canaries between checks.
type aviary struct {
	mu   sync.Mutex
	kept map[string]canary // by what they are for
}

// canary is a certificate with its key, until it is time for another.
type canary struct {
	pair  *tls.Certificate
	until time.Time
	since time.Time // when it was revoked
}

// canaries are those that a check begins with at this moment.
func (c *CA) canaries(ctx context.Context, now time.Time) (Canaries, error) {
	c.aviary.mu.Lock()
	defer c.aviary.mu.Unlock()
	r := c.roster()
	client, server := r.byProfile[issuer.ClientProfile], r.byProfile[issuer.ServerProfile]
	var all Canaries
	for _, want := range []struct {
		kind string
		by   *issuer.Issuer
		make func(context.Context, time.Time, *issuer.Issuer) (canary, error)
		into **tls.Certificate
	}{
		{"platform", client, c.platformCanary, &all.Platform},
		{"developer", server, c.developerCanary, &all.Developer},
		{"expired", client, c.expiredCanary, &all.Expired},
		{"revoked", client, c.revokedCanary, &all.Revoked},
	} {
		kept, err := c.keptCanary(ctx, now, want.kind, want.by, want.make)
		if err != nil {
			return Canaries{}, err
		}
		*want.into = kept.pair
		if want.kind == "revoked" {
			all.RevokedAt = kept.since
		}
	}
	for _, by := range r.next(issuer.ClientProfile) {
		if now.After(by.Certificate().NotAfter) {
			continue
		}
		kept, err := c.keptCanary(ctx, now, "standby", by, c.platformCanary)
		if err != nil {
			return Canaries{}, err
		}
		if kept.pair != nil {
			all.Standbys = append(all.Standbys, StandbyCanary{by.Name(), kept.pair, by.Root()})
		}
	}
	return all, nil
}

// next are the authorities that stand by for a profile and were made after the one that issues it.
func (r *roster) next(profile string) (list []*issuer.Issuer) {
	for _, i := range slices.Backward(r.issuers) {
		if i == r.byProfile[profile] {
			break
		}
		if _, waits := i.Standby(profile); waits && !i.Retired() {
			list = append(list, i)
		}
	}
	slices.Reverse(list)
	return list
}

// keptCanary is the canary of a kind under an authority, made if there is none that lasts. There is none where no authority here can sign it.
func (c *CA) keptCanary(ctx context.Context, now time.Time, kind string, by *issuer.Issuer, make func(context.Context, time.Time, *issuer.Issuer) (canary, error)) (canary, error) {
	if by == nil || !by.CanSign() {
		return canary{}, nil
	}
	kind += " of " + by.Name()
	kept, found := c.aviary.kept[kind]
	if found && now.Before(kept.until) && kept.pair != nil {
		return kept, nil
	}
	kept, err := make(ctx, now, by)
	if err != nil {
		return canary{}, fmt.Errorf("making the canary %s: %w", kind, err)
	}
	c.aviary.kept[kind] = kept
	return kept, nil
}

func (c *CA) platformCanary(ctx context.Context, now time.Time, by *issuer.Issuer) (canary, error) {
	return c.canary(ctx, now, by, canaryOrder{like: issuer.ClientProfile, name: c.checks.ClientName, notBefore: now.Add(-canaryBackdate), notAfter: now.Add(canaryLife)})
}

func (c *CA) developerCanary(ctx context.Context, now time.Time, by *issuer.Issuer) (canary, error) {
	return c.canary(ctx, now, by, canaryOrder{like: issuer.ServerProfile, name: canaryName, app: CanaryApp, notBefore: now.Add(-canaryBackdate), notAfter: now.Add(canaryLife)})
}

func (c *CA) expiredCanary(ctx context.Context, now time.Time, by *issuer.Issuer) (canary, error) {
	// No certificate begins before its issuer: under a young authority it ended a little while ago.
	notBefore := later(now.Add(-expiredSince-expiredLife), by.Certificate().NotBefore)
	notAfter := earlier(notBefore.Add(expiredLife), now.Add(-expiredLeast))
	if !notBefore.Before(notAfter) {
		return canary{}, nil
	}
	made, err := c.canary(ctx, now, by, canaryOrder{like: issuer.ClientProfile, name: c.checks.ClientName, notBefore: notBefore, notAfter: notAfter})
	made.until = now.Add(expiredSince)
	return made, err
}

// revokedCanary is revoked before anybody sees it.
func (c *CA) revokedCanary(ctx context.Context, now time.Time, by *issuer.Issuer) (canary, error) {
	made, err := c.canary(ctx, now, by, canaryOrder{like: issuer.ClientProfile, name: c.checks.ClientName, notBefore: now.Add(-canaryBackdate), notAfter: now.Add(revokedLife - canaryBackdate)})
	if err != nil {
		return made, err
	}
	serial, _ := pki.SerialFromInt(made.pair.Leaf.SerialNumber)
	act, err := c.authorize(ctx, now, itself(), ActRevoke, target{object: serial.String(), detail: map[string]string{
		"reason": pki.CessationOfOperation.String(), "profile": issuer.CanaryProfile}})
	if err != nil {
		return canary{}, err
	}
	made.since = now
	err = c.store.RevokeCertificate(context.WithoutCancel(ctx), serial, Revocation{At: now, Reason: pki.CessationOfOperation, By: itself().Name}, act)
	return made, err
}

// canaryOrder is what canary makes.
type canaryOrder struct {
	like                string // the profile
	name                pki.Name
	app                 string
	notBefore, notAfter time.Time
}

// canary makes a key and has it certified, in the same steps as every certificate: recorded, signed, proven, committed.
func (c *CA) canary(ctx context.Context, now time.Time, by *issuer.Issuer, o canaryOrder) (canary, error) {
	act, err := c.authorize(ctx, now, itself(), ActIssueCanary, target{app: o.app, object: by.Name()})
	if err != nil {
		return canary{}, err
	}
	profile, issues := by.Profile(o.like)
	if !issues {
		profile, _ = by.Standby(o.like)
	}
	keyType := quickKey(profile)
	key, err := keyType.Generate()
	if err != nil {
		return canary{}, fmt.Errorf("making a key: %w", err)
	}
	draft, err := by.PrepareCanary(issuer.CanaryRequest{
		Like: o.like, Serial: pki.NewSerial(), Name: o.name, PublicKey: key.Public(),
		NotBefore: later(o.notBefore, by.Certificate().NotBefore), NotAfter: earlier(o.notAfter, by.Certificate().NotAfter),
	})
	if err != nil {
		return canary{}, err
	}
	hash, err := pki.SPKIHash(key.Public())
	if err != nil {
		return canary{}, fmt.Errorf("hashing the public key: %w", err)
	}
	record := &Certificate{
		Serial: draft.Serial(), Authority: by.Name(), Profile: issuer.CanaryProfile, Usage: usageOf(profile), App: o.app, RequestedBy: itself().Name,
		Names: []pki.Name{o.name}, KeyType: keyType, SPKIHash: hash, NotBefore: draft.NotBefore(), NotAfter: draft.NotAfter(), CreatedAt: now, TBS: draft.TBS(),
	}
	act.Event.Object = record.Serial.String()
	act.Event.Detail = record.summary(nil)
	if err := c.carryOut(context.WithoutCancel(ctx), by, draft, record, act); err != nil {
		return canary{}, err
	}
	der, err := record.DER()
	if err != nil {
		return canary{}, fmt.Errorf("reading the certificate %s: %w", record.Serial, err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if pair.Leaf, err = parseCertificate(der); err != nil {
		return canary{}, err
	}
	if chain := by.Chain(); len(chain) > 0 { // what is above it but the root
		pair.Certificate = append(pair.Certificate, by.Certificate().Raw)
		for _, above := range chain[:len(chain)-1] {
			pair.Certificate = append(pair.Certificate, above.Raw)
		}
	}
	return canary{pair: pair, until: record.NotAfter.Add(-canarySpare)}, nil
}

// quickKey is a type of keys that a profile takes, the one that is made in no time if it does.
func quickKey(profile issuer.Profile) pki.KeyType {
	if slices.Contains(profile.KeyTypes, pki.ECDSAP256) {
		return pki.ECDSAP256
	}
	return profile.KeyTypes[0]
}
