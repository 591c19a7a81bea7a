package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/issuer"
)

// callback is what a check posts where it is asked to: in the shape of a callback, with a command that no backend knows.
var callback = []byte(`{"CallbackCommand":"Imca.DoorCheck","Comment":"A test of the connection. Nothing has happened; answer as you like."}`)

// lookout stands before developers' doors for the CA.
type lookout struct {
	egress  egress.Config // the way out; its ports follow from each URL
	issuers func() []*issuer.Issuer
	baseURL string // where the roots are published; empty: it is not known
	now     func() time.Time
}

// look fits ca.CheckRules.
func (l lookout) look(ctx context.Context, v ca.Visit) (ca.Sight, error) {
	cfg, err := l.config(v)
	if err != nil {
		return ca.Sight{}, err
	}
	target := doorcheck.Target{URL: v.URL}
	if v.Callback {
		target.Callback = callback
	}
	report, err := doorcheck.Check(ctx, cfg, target)
	if err == nil {
		err = ctx.Err() // a check that was cut short tells nothing
	}
	if err != nil {
		return ca.Sight{}, err
	}
	sight := ca.Sight{Facts: factsOf(report)}
	if sight.Report, err = json.Marshal(report); err != nil {
		return ca.Sight{}, fmt.Errorf("encoding a report: %w", err)
	}
	if v.Previous == nil {
		return sight, nil
	}
	var previous doorcheck.Report
	if err := json.Unmarshal(v.Previous, &previous); err != nil {
		return ca.Sight{}, fmt.Errorf("reading the report before: %w", err)
	}
	for _, c := range doorcheck.Compare(&previous, report) {
		sight.Changes = append(sight.Changes, ca.CheckChange(c))
	}
	return sight, nil
}

// config is what the check stands on: the certificates of developers' servers are of this CA, of a public one, or of one that
// operators have added for the app.
func (l lookout) config(v ca.Visit) (doorcheck.Config, error) {
	guard, err := guardFor(l.egress, v.URL)
	if err != nil {
		return doorcheck.Config{}, err
	}
	cfg := doorcheck.Config{
		Dial: guard.DialContext, Resolve: guard.Resolve, Now: l.now,
		Canaries: doorcheck.Canaries{
			Platform: v.Canaries.Platform, Developer: v.Canaries.Developer, Expired: v.Canaries.Expired,
			Revoked: v.Canaries.Revoked, RevokedAt: v.Canaries.RevokedAt,
		},
		RootsURL: l.rootsURL(),
		Issued: func(ctx context.Context, name string, served *x509.Certificate) (doorcheck.Record, error) {
			known, err := v.Issued(ctx, name, served)
			return doorcheck.Record(known), err
		},
	}
	if v.Address.IsValid() {
		cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{v.Address}, nil }
	}
	for _, standby := range v.Canaries.Standbys {
		cfg.Canaries.Standbys = append(cfg.Canaries.Standbys, doorcheck.Standby(standby))
	}
	issuers := l.issuers()
	cfg.Roots = publicAndOurs(issuers)
	for _, root := range v.Roots {
		cfg.Roots.AddCert(root)
	}
	for _, i := range issuers {
		if len(i.Chain()) > 0 {
			cfg.Intermediates = append(cfg.Intermediates, i.Certificate())
		}
		_, certifies := i.Profile(issuer.ClientProfile)
		_, waits := i.Standby(issuer.ClientProfile)
		switch {
		case certifies:
			cfg.ClientCAs = append(cfg.ClientCAs, i.Root())
		case waits && !i.Retired():
			cfg.FurtherCAs = append(cfg.FurtherCAs, i.Root())
		}
	}
	return cfg, nil
}

// rootsURL is where the roots are published that the platform's certificates stand under, now and after a roll-over.
func (l lookout) rootsURL() string {
	if l.baseURL == "" {
		return ""
	}
	return l.baseURL + "/ca/clients.pem"
}

// guardFor is the way to a URL, at its port alone.
func guardFor(way egress.Config, address string) (*egress.Guard, error) {
	port := uint64(443)
	u, err := url.Parse(address)
	if err == nil && u.Port() != "" {
		port, err = strconv.ParseUint(u.Port(), 10, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a URL: %w", err)
	}
	way.Ports = []uint16{uint16(port)}
	return egress.New(way)
}

// factsOf is what the CA's rules go by.
func factsOf(r *doorcheck.Report) ca.CheckFacts {
	facts := ca.CheckFacts{Summary: string(r.Summary)}
	for _, standby := range r.Standbys {
		switch standby.Answer {
		case doorcheck.Yes:
			facts.Ready = append(facts.Ready, standby.Authority)
		case doorcheck.No:
			facts.Unready = append(facts.Unready, standby.Authority)
		}
	}
	for _, f := range r.Findings {
		facts.Findings = append(facts.Findings, ca.CheckFinding{Code: f.Code, Severity: string(f.Severity), Title: f.Title})
	}
	if r.Served != nil && len(r.Served.Certificates) > 0 {
		leaf := r.Served.Certificates[0]
		facts.Served, facts.ServedUntil = leaf.Serial, leaf.NotAfter.UTC()
	}
	return facts
}
