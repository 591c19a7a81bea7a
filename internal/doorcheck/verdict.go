package doorcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// admits answers: can the platform call this endpoint?
func (s *sight) admits() Verdict {
	switch {
	case s.unresolved != nil:
		return Verdict{No, "the name leads nowhere", []string{errorText(s.unresolved)}}
	case s.lead.Certificate != AsPlatform:
		return Verdict{Unknown, "the check was not given a certificate of the platform", nil}
	}
	leads := s.leads()
	var evidence []string
	var reached, admitted, unclear int
	for _, p := range leads {
		evidence = append(evidence, p.saw())
		if p.Stage == StageDial {
			continue
		}
		reached++
		switch p.Outcome {
		case Admitted:
			admitted++
		case Unclear:
			unclear++
		}
	}
	switch {
	case reached == 0 && s.lead.Failure == DialGuarded:
		return Verdict{Unknown, "the check does not dial this address", evidence}
	case reached == 0 && s.lead.Failure == NoRoute:
		return Verdict{Unknown, "this machine has no way to the address", evidence}
	case reached == 0:
		return Verdict{No, "nobody answers at the address and port", evidence}
	case admitted == 0 && unclear > 0:
		return Verdict{Unknown, "the answer to the platform may be a refusal or not", evidence}
	case admitted == 0 && s.lead.Outcome == Failed:
		return Verdict{No, "the call did not come as far as the client certificate, or was not answered", evidence}
	case admitted == 0:
		return Verdict{No, "the platform's certificate was refused", evidence}
	case admitted < reached:
		return Verdict{No, fmt.Sprintf("%d of %d addresses do not admit the platform", reached-admitted, reached), evidence}
	}
	for _, p := range leads {
		if p.Stage != StageDial && !p.Verified {
			return Verdict{No, "the platform hangs up: the server's own certificate does not pass", append(evidence, s.certificateError(p))}
		}
	}
	return Verdict{Yes, "the platform's certificate was admitted", evidence}
}

// leads are the first calls, one for each address.
func (s *sight) leads() []*Probe {
	var leads []*Probe
	for _, p := range s.probes {
		if p.Certificate == s.lead.Certificate && !p.again && p.sameWay(&Probe{address: p.address, SNI: s.lead.SNI, Version: s.lead.Version,
			Protocol: s.lead.Protocol, Method: s.lead.Method}) {
			leads = append(leads, p)
		}
	}
	return leads
}

func (s *sight) certificateError(p *Probe) string {
	if err := s.verify(p.served); err != nil {
		return p.Address + ": " + errorText(err)
	}
	return p.Address + ": the certificate passes"
}

// strangers are those who must not get in. A revoked certificate counts where the configuration demands it.
func (s *sight) strangers() []Role {
	roles := []Role{AsNobody, AsStranger, AsImpostor, AsDeveloper, AsExpired}
	if s.DemandRevocation {
		roles = append(roles, AsRevoked)
	}
	return roles
}

// refuses answers: is everyone else kept out? Yes needs every stranger refused, every way, while the platform is admitted before and after.
func (s *sight) refuses() Verdict {
	if s.lead == nil {
		return Verdict{Unknown, "nobody could be sent to the door", nil}
	}
	roles := s.strangers()
	var admitted, unclear, refused []string
	for _, p := range s.probes {
		if !slices.Contains(roles, p.Certificate) || p.Version == plainVersion {
			continue
		}
		switch p.Outcome {
		case Admitted:
			admitted = append(admitted, p.saw())
		case Refused:
			refused = append(refused, p.saw())
		case Unclear, Failed:
			unclear = append(unclear, p.saw())
		}
	}
	if len(admitted) > 0 {
		return Verdict{No, fmt.Sprintf("%d of %d attempts to get in without the platform's certificate were let in",
			len(admitted), len(admitted)+len(unclear)+len(refused)), admitted}
	}
	if names := s.publicCAs(); names != "" {
		return Verdict{No, "the server accepts certificates of public CAs: anyone can get one", []string{names}}
	}
	return s.refusesAll(unclear, refused)
}

// refusesAll decides when nobody was seen to get in.
func (s *sight) refusesAll(unclear, refused []string) Verdict {
	again := s.leadAgain()
	switch {
	case s.lead.Certificate != AsPlatform:
		return Verdict{Unknown, "the check was not given a certificate of the platform: a door that refuses everyone looks the same", refused}
	case s.lead.Outcome != Admitted:
		return Verdict{Unknown, "the platform is not admitted either, so that a refusal proves nothing", refused}
	case again == nil || again.Outcome != Admitted:
		evidence := []string{}
		if again != nil {
			evidence = append(evidence, again.saw())
		}
		return Verdict{Unknown, "the platform was no longer admitted at the end of the check: the server may refuse this machine as such", evidence}
	case len(unclear) > 0:
		return Verdict{Unknown, "some answers may be a refusal or not", unclear}
	case s.outcomeOf(AsNobody) != Refused || s.outcomeOf(AsStranger) != Refused:
		return Verdict{Unknown, "the check ended before those without a certificate, and strangers, had been tried", refused}
	}
	for _, lead := range s.leads() {
		if lead.Stage != StageDial && lead.Outcome != Admitted {
			return Verdict{Unknown, "at one address the platform is not admitted either, so that a refusal there proves nothing", []string{lead.saw()}}
		}
	}
	return Verdict{Yes, fmt.Sprintf("all %d attempts to get in without the platform's certificate were refused", len(refused)), refused}
}

// refusesRevoked answers: is a revoked certificate of the platform kept out?
func (s *sight) refusesRevoked() Verdict {
	revoked := (*Probe)(nil)
	if s.lead != nil {
		revoked = s.as(AsRevoked)
	}
	switch {
	case revoked == nil:
		return Verdict{Unknown, "no revoked certificate was tried", nil}
	case revoked.Outcome == Admitted && s.lately():
		return Verdict{Unknown, fmt.Sprintf("a certificate that was revoked %s was let in: the server checks no revocation list, or fetched it before", s.ago()), []string{revoked.saw()}}
	case revoked.Outcome == Admitted:
		return Verdict{No, "a revoked certificate was let in", []string{revoked.saw()}}
	case s.lead.Outcome != Admitted:
		return Verdict{Unknown, "the platform is not admitted either, so that a refusal proves nothing", []string{revoked.saw()}}
	case revoked.Outcome == Refused:
		return Verdict{Yes, "a revoked certificate was refused", []string{revoked.saw()}}
	}
	return Verdict{Unknown, "the answer may be a refusal or not", []string{revoked.saw()}}
}

// listAge is how old the list of a server may well be that fetches it as often as it is renewed.
const listAge = time.Hour

// lately reports whether the certificate was revoked so short a time ago that a server which checks revocation may not know.
func (s *sight) lately() bool {
	return !s.Canaries.RevokedAt.IsZero() && s.started.Sub(s.Canaries.RevokedAt) < listAge
}

func (s *sight) ago() string {
	age := s.started.Sub(s.Canaries.RevokedAt).Round(time.Minute)
	if age < time.Minute {
		return "a moment ago"
	}
	return strings.TrimSuffix(age.String(), "0s") + " ago"
}

// wellKnown are parts of the names of public CAs, in lower case.
var wellKnown = []string{"digicert", "globalsign", "isrg root", "let's encrypt", "sectigo", "comodo", "usertrust", "entrust", "godaddy", "go daddy", "amazon root",
	"gts root", "google trust", "certum", "buypass", "identrust", "quovadis", "baltimore cybertrust", "verisign", "thawte", "geotrust", "actalis",
	"ssl.com", "starfield", "cfca ev", "vtrus", "ucaglobal", "uca global", "trustasia", "wotrus"}

// publicCAs says how many public CAs the server names as acceptable; "" for none. Names in a list are trusted CAs in all servers that send one.
func (s *sight) publicCAs() string {
	var known []string
	for _, name := range s.foreign {
		lower := strings.ToLower(name)
		if slices.ContainsFunc(wellKnown, func(part string) bool { return strings.Contains(lower, part) }) {
			known = append(known, name)
		}
	}
	// Nobody has so many CAs of his own.
	const many = 25
	switch {
	case len(known) > 0:
		return fmt.Sprintf("it names %d CAs beside ours, %s among them", len(s.foreign), known[0])
	case len(s.foreign) >= many:
		return fmt.Sprintf("it names %d CAs beside ours, as a system's bundle holds", len(s.foreign))
	}
	return ""
}

// untold lists what was not tried, or could not be told.
func (s *sight) untold() []string {
	list := []string{}
	if s.lead == nil {
		return []string{"everything beyond the name"}
	}
	for _, gap := range []struct {
		role Role
		what string
	}{
		{AsPlatform, "whether the platform is admitted"},
		{AsDeveloper, "whether another developer of the platform is refused"},
		{AsExpired, "whether an expired certificate is refused"},
		{AsRevoked, "whether a revoked certificate is refused"},
	} {
		if s.identities[gap.role] == nil {
			list = append(list, gap.what+": the check was given no such certificate")
		}
	}
	if s.asks.Asked && s.asks.Names == 0 && s.lead.Outcome == Admitted {
		list = append(list, "which CAs the server accepts beside ours: it does not name any when it asks for a certificate")
	}
	if nobody := s.as(AsNobody); nobody != nil && nobody.Outcome == Refused && nobody.Answer != nil && nobody.Answer.page() == nil {
		list = append(list, "whether other paths are protected too: those without a certificate are refused after the handshake, at this path")
	}
	if s.clock == nil {
		list = append(list, "whether the server's clock is right: no answer told the time")
	}
	if s.Issued == nil {
		list = append(list, "whether the served certificate is the newest one: the check was given no records")
	}
	if s.unlisted != nil {
		list = append(list, "whether the served certificate is the newest one: the records could not be asked: "+errorText(s.unlisted))
	}
	if s.addressesLeft > 0 {
		list = append(list, fmt.Sprintf("what %d further addresses of the name do", s.addressesLeft))
	}
	for _, p := range s.probes {
		if p.Outcome == Unclear || p.Outcome == Failed && p.Failure == TimedOut {
			list = append(list, "what the answer means to "+p.saw())
		}
	}
	return list
}
