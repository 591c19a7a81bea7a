package doorcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Check stands before the endpoint and reports. An error means that there is nothing to report on: the target is not a URL of an endpoint, or the
// configuration lacks something. Whatever the endpoint does is in the report.
//
// A context that ends early ends the check; what was not tried by then is untold.
func Check(ctx context.Context, config Config, target Target) (*Report, error) {
	end, err := parseTarget(target.URL)
	if err != nil {
		return nil, err
	}
	if config.Dial == nil {
		return nil, errors.New("checking an endpoint: the configuration has no Dial function")
	}
	if config.Resolve == nil && !end.name.IsIP() {
		return nil, errors.New("checking an endpoint: the configuration has no Resolve function, and the URL holds a name")
	}
	c := &caller{Config: config.withDefaults(), endpoint: end, body: target.Callback, protocol: http1}
	if err := c.dress(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	s := &sight{caller: c, started: c.Now()}
	addresses, left, err := c.addresses(ctx)
	s.unresolved, s.addressesLeft = err, left
	if err == nil {
		s.probes, s.lead = c.probe(ctx, addresses)
	}
	s.look(ctx)
	return s.report(), nil
}

// dress gives every role its certificate.
func (c *caller) dress() error {
	c.identities = map[Role]*tls.Certificate{}
	for role, identity := range map[Role]*tls.Certificate{
		AsPlatform: c.Canaries.Platform, AsDeveloper: c.Canaries.Developer, AsExpired: c.Canaries.Expired, AsRevoked: c.Canaries.Revoked,
	} {
		if identity != nil {
			c.identities[role] = identity
		}
	}
	var ca, leaf *x509.Certificate
	if len(c.ClientCAs) > 0 {
		ca = c.ClientCAs[0]
	}
	if platform := c.identities[AsPlatform]; platform != nil {
		var err error
		if leaf, err = x509.ParseCertificate(platform.Certificate[0]); err != nil {
			return fmt.Errorf("reading the platform's canary: %w", err)
		}
		c.platform = leaf
	}
	var err error
	if c.identities[AsStranger], err = newStranger(nil, nil, c.Now()); err != nil {
		return err
	}
	if ca != nil || leaf != nil {
		c.identities[AsImpostor], err = newStranger(ca, leaf, c.Now())
	}
	return err
}

// addresses are those to probe, and how many more there are.
func (c *caller) addresses(ctx context.Context) (addresses []netip.Addr, left int, err error) {
	if c.name.IsIP() {
		return []netip.Addr{c.name.Addr()}, 0, nil
	}
	all, err := c.Resolve(ctx, c.name.String())
	if err != nil {
		return nil, 0, err
	}
	if len(all) == 0 {
		return nil, 0, errors.New("the name has no address")
	}
	// Both kinds are to be among them: IPv6 and IPv4 often lead to different servers.
	var six, four []netip.Addr
	for _, address := range all {
		address = address.Unmap().WithZone("")
		switch {
		case slices.Contains(four, address) || slices.Contains(six, address):
		case address.Is4():
			four = append(four, address)
		default:
			six = append(six, address)
		}
	}
	for i := range max(len(six), len(four)) {
		if i < len(four) {
			addresses = append(addresses, four[i])
		}
		if i < len(six) {
			addresses = append(addresses, six[i])
		}
	}
	n := min(len(addresses), c.MaxAddresses)
	return addresses[:n], len(addresses) - n, nil
}

// probe makes all probes, in rounds: the first call at each address, the rest, the closing ones, and the first call once more.
func (c *caller) probe(ctx context.Context, addresses []netip.Addr) (probes []*Probe, lead *Probe) {
	role := AsPlatform
	if c.identities[AsPlatform] == nil {
		role = AsNobody
	}
	round := func(planned []*Probe) {
		for _, p := range planned {
			p.Name = p.name(len(addresses) > 1)
		}
		c.callAll(ctx, planned)
		probes = append(probes, planned...)
	}
	first := func() (leads []*Probe) {
		for _, address := range addresses {
			leads = append(leads, c.newProbe(role, address))
		}
		round(leads)
		return leads
	}
	leads := first()
	if furthest(leads).alerted(alertNoApplicationProtocol) {
		c.protocol = http2 // HTTP/1.1 is not spoken here
		leads = first()
	}
	lead = furthest(leads)
	var rest []*Probe
	for _, p := range leads {
		rest = append(rest, c.rest(p, p == lead)...)
	}
	round(rest)
	round(c.closing(lead, rest))
	if lead.Stage == StageAnswer && lead.Certificate == AsPlatform {
		round([]*Probe{lead.once()}) // alone, and last
	}
	return probes, lead
}

// callAll makes probes, Concurrency at a time.
func (c *caller) callAll(ctx context.Context, probes []*Probe) {
	free := make(chan struct{}, c.Concurrency)
	var all sync.WaitGroup
	for _, p := range probes {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			c.call(ctx, p)
		})
	}
	all.Wait()
}
