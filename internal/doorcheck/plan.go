package doorcheck

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// newProbe is a probe as the platform itself would make it, but for its certificate.
func (c *caller) newProbe(role Role, address netip.Addr) *Probe {
	return &Probe{Certificate: role, Address: address.String(), SNI: RightName, Protocol: c.protocol, Method: http.MethodGet,
		address: address, minTLS: tls.VersionTLS12, maxTLS: tls.VersionTLS13}
}

func (p *Probe) version(name string, number uint16) *Probe {
	p.Version, p.minTLS, p.maxTLS = name, number, number
	return p
}

func (p *Probe) sni(sni SNI) *Probe { p.SNI = sni; return p }

func (p *Probe) otherProtocol() *Probe {
	if p.Protocol == http1 {
		p.Protocol = http2
	} else {
		p.Protocol = http1
	}
	return p
}

func (p *Probe) post() *Probe { p.Method = http.MethodPost; return p }

// name says what is particular about the probe.
func (p *Probe) name(several bool) string {
	parts := []string{string(p.Certificate)}
	if p.Authority != "" {
		parts[0] += " " + p.Authority
	}
	switch p.Version {
	case "":
	case plainVersion:
		parts = []string{"plain HTTP"}
	default:
		parts = append(parts, "TLS "+p.Version)
	}
	if p.SNI != RightName {
		parts = append(parts, "SNI "+string(p.SNI))
	}
	if p.Protocol == http2 {
		parts = append(parts, "HTTP/2")
	}
	if p.Method == http.MethodPost {
		parts = append(parts, "callback")
	}
	if p.Forged {
		parts = append(parts, "forged headers")
	}
	if p.again {
		parts = append(parts, "again")
	}
	if several {
		parts = append(parts, p.Address)
	}
	return strings.Join(parts, ", ")
}

// rest plans what follows the first call at an address. lead is that call; primary is true at one address, where everything is tried.
func (c *caller) rest(lead *Probe, primary bool) []*Probe {
	at := lead.address
	if lead.Stage == StageDial {
		return nil
	}
	plain := c.newProbe(AsNobody, at)
	plain.Version = plainVersion
	if lead.Failure == PlainHTTP || lead.Failure == NotTLS || lead.Failure == TimedOut && lead.Stage == StageHello {
		return []*Probe{plain}
	}
	var probes []*Probe
	role := func(role Role) {
		if role != lead.Certificate && (role == AsNobody || c.identities[role] != nil) {
			probes = append(probes, c.newProbe(role, at))
		}
	}
	role(AsNobody)
	role(AsStranger)
	if !primary {
		return probes
	}
	probes = append(probes, plain)
	if lead.Failure == TimedOut { // each would take as long
		return probes
	}
	for _, r := range []Role{AsImpostor, AsDeveloper, AsExpired, AsRevoked} {
		role(r)
	}
	probes = append(probes, c.standbys(lead)...)
	for _, version := range []struct {
		name   string
		number uint16
	}{{"1.0", tls.VersionTLS10}, {"1.1", tls.VersionTLS11}, {"1.2", tls.VersionTLS12}, {"1.3", tls.VersionTLS13}} {
		probes = append(probes, c.newProbe(lead.Certificate, at).version(version.name, version.number))
		if lead.Certificate != AsNobody && version.number != tls.VersionTLS13 { // 1.3 is what the ordinary probe speaks, if the server does
			probes = append(probes, c.newProbe(AsNobody, at).version(version.name, version.number))
		}
	}
	for _, vary := range []func(*Probe) *Probe{
		(*Probe).otherProtocol,
		func(p *Probe) *Probe { return p.sni(OtherName) },
		func(p *Probe) *Probe { return p.sni(NoName) },
	} {
		probe := vary(c.newProbe(lead.Certificate, at))
		if c.name.IsIP() && probe.SNI == NoName {
			continue // an address is never sent: the ordinary probe is this one
		}
		probes = append(probes, probe)
		if lead.Certificate != AsNobody {
			probes = append(probes, vary(c.newProbe(AsNobody, at)))
		}
	}
	return probes
}

// closing plans the last calls: is the platform still admitted, after all those who should not be? Are those who were cut off without a word cut
// off again? Does a callback work?
func (c *caller) closing(lead *Probe, made []*Probe) []*Probe {
	if lead.Stage != StageAnswer || lead.Certificate != AsPlatform {
		return nil
	}
	var probes []*Probe
	for _, p := range made {
		cutOff := p.Stage == StageRequest && (p.Failure == ResetByServer || p.Failure == ClosedByServer)
		if cutOff && p.Certificate != AsPlatform {
			probes = append(probes, p.once())
		}
		if p.Certificate == AsNobody && p.Answer != nil && p.sameWay(lead) {
			// It is refused, if at all, by something that reads the request: does that believe what the request says of itself?
			forged := c.newProbe(AsNobody, lead.address)
			forged.Forged = true
			probes = append(probes, forged)
		}
	}
	if c.body != nil && lead.Verified {
		probes = append(probes, c.newProbe(AsPlatform, lead.address).post(), c.newProbe(AsNobody, lead.address).post())
	}
	return probes
}

// once is the same call once more.
func (p *Probe) once() *Probe {
	return &Probe{Certificate: p.Certificate, Authority: p.Authority, standby: p.standby, Address: p.Address, SNI: p.SNI, Version: p.Version, Protocol: p.Protocol, Method: p.Method, Forged: p.Forged,
		address: p.address, minTLS: p.minTLS, maxTLS: p.maxTLS, again: true}
}

// furthest is the first call that came furthest: the address that the rest of the check is made at.
func furthest(leads []*Probe) *Probe {
	order := []Stage{StageDial, StageHello, StageHandshake, StageRequest, StageAnswer}
	best := leads[0]
	for _, lead := range leads[1:] {
		if slices.Index(order, lead.Stage) > slices.Index(order, best.Stage) {
			best = lead
		}
	}
	return best
}
