package doorcheck

import (
	"fmt"
	"net/http"
	"time"
)

// clockTolerance is how far a clock may be off before anybody is bothered: certificates are backdated by five minutes.
const clockTolerance = 2 * time.Minute

// otherRules are what is told of a door that works, or that cannot be told more of.
var otherRules = []rule{
	{
		code: "misdirected", title: "The server noticed that two of its sites were mixed up", severity: Fault,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Answer == nil || s.lead.Answer.Status != http.StatusMisdirectedRequest {
				return nil
			}
			return surely(s.lead.saw())
		},
		advice: "Give the site that requires certificates the name {name} and the address and port of the others, so that handshake and request choose the same one.",
		mends: mends{
			Apache: {"ServerName {name}"},
			Nginx:  {"server_name {name};"},
		},
	},
	{
		code: "application_refuses", title: "The door admits the platform, the application behind it refuses", severity: Fault, unless: []string{"asked_too_late", "certificate_lost", "name_mismatch"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Certificate != AsPlatform || s.lead.Answer == nil || s.callbackWorks() {
				return nil
			}
			switch status := s.lead.Answer.Status; {
			case status == 401 || status == 407:
				return surely(s.lead.saw(), "it asks for a password, which the platform does not have")
			case status == 403 && s.lead.Asked && s.lead.Outcome != Refused:
				return likely(s.lead.saw(), "a subject that the server expects to be another, perhaps, or a rule on addresses or paths")
			}
			return nil
		},
		advice: "Exempt the path of the callback from passwords, and compare the subject that the server expects with that of the platform.",
		mends: mends{
			Apache: {"Require expr \"%{SSL_CLIENT_S_DN_CN} == '{platform}'\""},
		},
	},
	{
		code: "application_fails", title: "The server answers with an error of its own", severity: Fault, unless: []string{"certificate_lost"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Answer == nil || s.lead.Answer.Status < 500 || s.callbackWorks() {
				return nil
			}
			evidence := []string{s.lead.saw()}
			if status := s.lead.Answer.Status; status == 502 || status == 503 || status == 504 {
				return surely(append(evidence, "the server behind the proxy does not answer, or refuses the proxy: does it want a client certificate from it?")...)
			}
			return surely(evidence...)
		},
		advice: "Look at the log of the application, and of the proxy in front of it.",
	},
	{
		code: "path_unknown", title: "There is nothing at the path of the URL", severity: Warning, unless: []string{"name_mismatch"},
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Answer == nil || s.lead.Answer.Status != 404 && s.lead.Answer.Status != 410 || s.callbackWorks() {
				return nil
			}
			return likely(s.lead.saw())
		},
		advice: "Check the path of the callback's URL. A check of a path that does not exist cannot tell whether the right one is protected.",
	},
	{
		code: "redirected", title: "The endpoint sends callers elsewhere", severity: Warning,
		when: func(s *sight) *match {
			if s.lead == nil || s.lead.Answer == nil || s.lead.Answer.Status < 300 || s.lead.Answer.Status > 399 || s.callbackWorks() {
				return nil
			}
			return surely(s.lead.saw(), "to "+s.lead.Answer.Location)
		},
		advice: "A posted callback does not follow. Register the URL that answers itself.",
	},
	{
		code: "callback_failed", title: "The posted callback failed", severity: Fault,
		when: func(s *sight) *match {
			p := s.callback(AsPlatform)
			if p == nil || s.callbackWorks() {
				return nil
			}
			return surely(p.saw(), fmt.Sprintf("after %d ms", p.totalMS()))
		},
		advice: "Answer a POST of JSON with 200 and JSON, within the platform's time.",
	},
	{
		code: "clock_off", title: "The server's clock is wrong", severity: Warning, unless: []string{"clock_behind", "clock_ahead"},
		when: func(s *sight) *match {
			if s.clock == nil || time.Duration(s.clock.SkewMS)*time.Millisecond > -clockTolerance && time.Duration(s.clock.SkewMS)*time.Millisecond < clockTolerance {
				return nil
			}
			return surely(s.skew())
		},
		advice: "Set the clock and keep it set (`timedatectl set-ntp true`): fresh certificates and lists are refused by a clock that is wrong.",
	},
	{
		code: "blocked_meanwhile", title: "The platform was admitted at first and not at the end", severity: Warning,
		when: func(s *sight) *match {
			if s.lead == nil {
				return nil
			}
			again := s.leadAgain()
			if again == nil || s.lead.Outcome != Admitted || again.Outcome == Admitted {
				return nil
			}
			return surely(s.lead.saw(), again.saw())
		},
		advice: "A limit on connections, or something like fail2ban, took the check for an attack; or the server is not steady. Exempt the platform's addresses, then check again.",
	},
	{
		code: "not_admitted", title: "The platform does not get in", severity: Fault, lastResort: true,
		when: func(s *sight) *match {
			if verdict := s.admits(); verdict.Answer == No {
				return perhaps(append([]string{verdict.Reason}, verdict.Evidence...)...)
			}
			return nil
		},
		advice: "From outside no more can be told: the log of the server, and of what stands in front of it, says why.",
	},
	{
		code: "strangers_admitted", title: "Somebody gets in who must not", severity: Fault, lastResort: true,
		when: func(s *sight) *match {
			if verdict := s.refuses(); verdict.Answer == No {
				return perhaps(append([]string{verdict.Reason}, verdict.Evidence...)...)
			}
			return nil
		},
		advice: "Require a client certificate of {ca} for the whole site.",
		mends:  clientCA,
	},
}

// callbackWorks reports whether a posted callback was answered well and in time: then a bad answer to a GET means nothing.
func (s *sight) callbackWorks() bool {
	p := s.callback(AsPlatform)
	return p != nil && p.Answer != nil && isGood(p.Answer.Status) && p.totalMS() <= s.Budget.Milliseconds()
}
