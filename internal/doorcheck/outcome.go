package doorcheck

import (
	"net/http"
	"slices"
)

// Outcome is what became of a probe's caller at the door.
type Outcome string

// The outcomes.
const (
	Admitted  Outcome = "admitted"
	Refused   Outcome = "refused"
	Unclear   Outcome = "unclear"     // it got an answer that may be either
	Failed    Outcome = "failed"      // the door was not reached, or nothing was heard of it
	NotSpoken Outcome = "not_offered" // the server does not offer what was varied: the TLS version, HTTP/2, a site under that name
	ElseSite  Outcome = "other_site"  // another site than the endpoint answered
	notJudged Outcome = ""
)

// judge gives every probe its outcome. The platform's come first: the others are held against them.
func (s *sight) judge() {
	for _, p := range s.probes {
		if p.Certificate == AsPlatform {
			p.Outcome = s.judgePlatform(p)
		}
	}
	for _, p := range s.probes {
		switch {
		case p.Version == plainVersion:
			p.Outcome = NotSpoken
			if p.Answer != nil && p.Answer.Status < 300 {
				p.Outcome = Unclear
			}
		case p.Outcome == notJudged:
			p.Outcome = s.judgeOther(p)
		}
	}
}

// judgeBefore judges what ended before an HTTP answer came. ok is false if there was an answer.
func (s *sight) judgeBefore(p *Probe) (outcome Outcome, ok bool) {
	switch {
	case p.Stage == StageAnswer:
		return notJudged, false
	case p.Stage == StageDial:
		return Failed, true
	case p.Failure == NotOffered:
		return NotSpoken, true
	case p.Stage == StageHello && (p.Version != "" || p.SNI != RightName || p.Protocol != s.protocol) && p.Failure != TimedOut:
		return NotSpoken, true // it was the variation that the server did not like: no certificate of ours had been seen yet
	case p.Stage == StageHello, p.Failure == TimedOut, p.Failure == NotHTTP, p.Failure == BadKey, p.Failure == WeHungUp:
		return Failed, true
	}
	return Refused, true // an alert, a reset or an end after the server had asked, or could have asked, for a certificate
}

// refusesByPage reports whether an answer says that the client's certificate is missing or wrong. nginx's own codes 495 and 496 mean just that.
func refusesByPage(a *HTTPAnswer) bool {
	page := a.page()
	return page != nil && page.refuses || a.Status == 495 || a.Status == 496
}

// mayRefuse are the statuses with which a server that could not refuse in the handshake refuses afterwards; 421 is that of one which has noticed
// that the handshake was another site's.
func mayRefuse(status int) bool {
	return slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMisdirectedRequest}, status)
}

func (s *sight) judgePlatform(p *Probe) Outcome {
	if outcome, ok := s.judgeBefore(p); ok {
		return outcome
	}
	status := p.Answer.Status
	switch {
	case refusesByPage(p.Answer) || status == http.StatusMisdirectedRequest:
		return Refused
	case !mayRefuse(status) && status < 500:
		return Admitted
	}
	// It is the application's word if those without a certificate do not get that far.
	if nobody := s.twin(p, AsNobody); nobody != nil {
		before, ended := s.judgeBefore(nobody)
		if ended && before == Refused || !ended && refusesByPage(nobody.Answer) {
			return Admitted
		}
	}
	if status == http.StatusForbidden && !p.Asked {
		return Refused // it wants a certificate and never asked for one
	}
	return Unclear
}

func (s *sight) judgeOther(p *Probe) Outcome {
	if p.SNI != RightName {
		return s.judgeOtherName(p)
	}
	if outcome, ok := s.judgeBefore(p); ok {
		return outcome
	}
	control := s.twin(p, AsPlatform)
	if p.Forged {
		control = s.lead
	}
	if control == nil || control.Answer == nil {
		return judgeAlone(p)
	}
	status, expected := p.Answer.Status, control.Answer.Status
	switch {
	case refusesByPage(p.Answer), mayRefuse(status) && status != expected, isGood(expected) && withholds(status):
		return Refused
	case control.Outcome == Refused:
		return judgeAlone(p)
	case isGood(status) && isGood(expected) && (p.Answer.digest == control.Answer.digest || !s.steady()):
		return Admitted
	}
	// The same answer as the platform's, but not a good one: of a path that does not exist, say. Or a good one that says something else, perhaps
	// that it will not serve this caller.
	return Unclear
}

// withholds are the statuses that keep from a caller what another one gets. A server that is overloaded says nothing about the caller.
func withholds(status int) bool {
	overloaded := status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests
	return status >= 300 && status < 500 && !overloaded
}

// judgeAlone judges an answer that no answer to the platform can be held against.
func judgeAlone(p *Probe) Outcome {
	switch {
	case refusesByPage(p.Answer):
		return Refused
	case isGood(p.Answer.Status):
		return Admitted
	}
	return Unclear
}

// judgeOtherName judges a call that asks for the endpoint under another server name, or none: the wrong door, behind which the same site may lie.
func (s *sight) judgeOtherName(p *Probe) Outcome {
	if outcome, ok := s.judgeBefore(p); ok {
		return outcome
	}
	if s.lead.Answer == nil {
		return judgeAlone(p)
	}
	same := p.Answer.Status == s.lead.Answer.Status && p.Answer.digest == s.lead.Answer.digest
	switch {
	case refusesByPage(p.Answer), p.Answer.Status == http.StatusMisdirectedRequest:
		return Refused
	case same && isGood(p.Answer.Status):
		return Admitted
	case same, isGood(p.Answer.Status) && !s.steady():
		return Unclear
	}
	return ElseSite
}

func isGood(status int) bool { return status >= 200 && status < 300 }

// steady reports whether the endpoint answers the same caller the same way twice, so that another answer means something.
func (s *sight) steady() bool {
	again := s.leadAgain()
	return again == nil || again.Answer == nil || s.lead.Answer == nil || again.Answer.digest == s.lead.Answer.digest
}

// leadAgain is the first call once more, after all others; nil if it was not made.
func (s *sight) leadAgain() *Probe {
	return s.find(func(p *Probe) bool { return p.again && p.Certificate == s.lead.Certificate && p.sameWay(s.lead) })
}

// twin is the probe of another role that differs from p in nothing else.
func (s *sight) twin(p *Probe, role Role) *Probe {
	return s.find(func(q *Probe) bool { return q.Certificate == role && !q.again && q.sameWay(p) })
}

func (s *sight) find(is func(*Probe) bool) *Probe {
	i := slices.IndexFunc(s.probes, is)
	if i < 0 {
		return nil
	}
	return s.probes[i]
}
