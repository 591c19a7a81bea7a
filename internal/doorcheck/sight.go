package doorcheck

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

// sight is everything that was seen. Verdicts and rules are functions of it alone.
type sight struct {
	*caller
	started       time.Time
	unresolved    error // why the name has no addresses
	addressesLeft int   // addresses that were not probed

	probes []*Probe
	lead   *Probe // the first call, at the address where everything is tried; nil: no address

	served   *Served
	unlisted error // why the records could not be asked
	asks     Asks
	foreign  []string // the CAs that the server names beside ours
	server   Server
	clock    *Clock
}

// look works out what the probes have in common.
func (s *sight) look(ctx context.Context) {
	s.asks.Listed = []string{}
	if s.lead == nil {
		return
	}
	s.judge()
	s.lookAtAsking()
	s.lookAtClock()
	s.server = s.recognise()
	if witness := s.find(func(p *Probe) bool { return p.address == s.lead.address && p.SNI == RightName && len(p.served) > 0 }); witness != nil {
		s.served = s.examine(witness.served)
	}
	if s.served == nil || s.Issued == nil {
		return
	}
	record, err := s.Issued(ctx, s.name.String(), s.served.leaf)
	if err != nil {
		s.unlisted = err
		return
	}
	s.served.record = &record
}

// listed is how many CA names a report holds.
const listed = 20

func (s *sight) lookAtAsking() {
	asked := s.lead
	if !asked.Asked {
		asked = s.find(func(p *Probe) bool { return p.Asked && p.address == s.lead.address && p.SNI == RightName })
	}
	if asked == nil {
		return
	}
	s.asks.Asked, s.asks.Names = true, len(asked.caNames)
	for _, raw := range asked.caNames {
		name := distinguishedName(raw)
		if len(s.asks.Listed) < listed {
			s.asks.Listed = append(s.asks.Listed, name)
		}
		switch {
		case s.isOurs(raw):
			s.asks.HasOurs = true
		case !among(s.FurtherCAs, raw):
			s.foreign = append(s.foreign, name)
		}
	}
}

func (s *sight) isOurs(rawName []byte) bool { return among(s.ClientCAs, rawName) }

func among(list []*x509.Certificate, rawName []byte) bool {
	return slices.ContainsFunc(list, func(ca *x509.Certificate) bool { return bytes.Equal(ca.RawSubject, rawName) })
}

// distinguishedName is a name from a CertificateRequest in the notation of RFC 2253.
func distinguishedName(raw []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return "a name that cannot be read"
	}
	return printable(name.String(), 200)
}

// lookAtClock takes the time from the quickest answer that tells it.
func (s *sight) lookAtClock() {
	var dated []*Probe
	for _, p := range s.probes {
		if p.address == s.lead.address && p.Answer != nil && !p.Answer.date.IsZero() {
			dated = append(dated, p)
		}
	}
	if len(dated) == 0 {
		return
	}
	quickest := slices.MinFunc(dated, func(a, b *Probe) int { return cmp.Compare(a.AnswerMS, b.AnswerMS) }).Answer
	skew := quickest.date.Sub(quickest.at)
	if skew > -time.Second && skew < time.Second {
		skew = 0 // the Date header knows no smaller parts (RFC 9110, Section 5.6.7)
	}
	s.clock = &Clock{Date: quickest.date.UTC(), SkewMS: skew.Milliseconds()}
}

// as is the probe of a role that differs from the first call in nothing else.
func (s *sight) as(role Role) *Probe {
	if s.lead == nil {
		return nil
	}
	if s.lead.Certificate == role {
		return s.lead
	}
	return s.twin(s.lead, role)
}

func (s *sight) outcomeOf(role Role) Outcome {
	if p := s.as(role); p != nil {
		return p.Outcome
	}
	return notJudged
}

// platformRefused is the first call, if the platform's certificate was shown and not admitted; nil otherwise.
func (s *sight) platformRefused() *Probe {
	if s.lead != nil && s.lead.Certificate == AsPlatform && (s.lead.Outcome == Refused || s.lead.Outcome == Unclear) {
		return s.lead
	}
	return nil
}

// saw says in words what became of a probe.
func (p *Probe) saw() string { return fmt.Sprintf("%s at %s: %s", p.attempt(), p.Address, p.result()) }

// attempt says in words what a probe tried.
func (p *Probe) attempt() string {
	what := map[Role]string{
		AsPlatform: "the platform's certificate", AsNobody: "no certificate", AsStranger: "a stranger's certificate",
		AsImpostor:  "a forged certificate with the names of the platform and of its CA",
		AsDeveloper: "another developer's certificate", AsExpired: "an expired certificate of the platform",
		AsRevoked: "a revoked certificate of the platform", AsIntermediate: "a certificate of the platform under " + p.Authority + ", which stands by",
		AsNextRoot: "a certificate of the platform under " + p.Authority + ", which stands by",
	}[p.Certificate]
	if p.Version == plainVersion {
		what = "HTTP without TLS"
	}
	if p.Version != "" && p.Version != plainVersion {
		what += " over TLS " + p.Version
	}
	if p.Protocol == http2 {
		what += " over HTTP/2"
	}
	if p.SNI != RightName {
		what += ", server name " + string(p.SNI)
	}
	if p.Method == "POST" {
		what += ", posting a callback"
	}
	if p.Forged {
		what += ", claiming in headers that a proxy has verified the platform's"
	}
	if p.again {
		what += ", once more"
	}
	return what
}

func (p *Probe) result() string {
	switch {
	case p.Answer != nil && p.Answer.Page != "":
		return fmt.Sprintf("HTTP %d (%s)", p.Answer.Status, p.Answer.Page)
	case p.Answer != nil:
		return fmt.Sprintf("HTTP %d", p.Answer.Status)
	case p.Alert != nil:
		return fmt.Sprintf("TLS alert %d, %s", p.Alert.Code, p.Alert.Name)
	}
	return map[Failure]string{
		DialFailed: "no connection: " + p.Error, DialGuarded: p.Error, NoRoute: "this machine has no way there", ResetByServer: "the server reset the connection",
		ClosedByServer: "the server closed the connection", PlainHTTP: "HTTP came where TLS was due", NotTLS: "what came is not TLS",
		NotHTTP: "what came is not HTTP: " + p.Error, BadKey: "the server could not prove its key", NotOffered: "not offered", WeHungUp: p.Error,
		AsksAgain: "the server asked for a second handshake",
		TimedOut:  "no answer in time",
	}[p.Failure]
}
