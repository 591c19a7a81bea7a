package doorcheck

import (
	"fmt"
	"strings"
)

// Change is one difference between two checks of the same endpoint.
type Change struct {
	What   string `json:"what"` // "summary", "admits_platform", "ready", "finding", "certificate", "server", "asks", "addresses", "versions"
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Worse  bool   `json:"worse"`
	Text   string `json:"text"` // in a sentence
}

// Compare lists what has changed from one report to the next, verdicts first. It looks at nothing that changes by itself, such as times. Without a
// previous report there is no change.
func Compare(previous, current *Report) []Change {
	changes := []Change{}
	if previous == nil || current == nil {
		return changes
	}
	add := func(what, before, after string, worse bool, text string) {
		if before != after {
			changes = append(changes, Change{what, before, after, worse, text})
		}
	}
	for _, v := range []struct {
		what, sentence string
		before, after  Verdict
	}{
		{"admits_platform", "the platform is admitted", previous.AdmitsPlatform, current.AdmitsPlatform},
		{"refuses_strangers", "strangers are refused", previous.RefusesStrangers, current.RefusesStrangers},
		{"refuses_revoked", "a revoked certificate is refused", previous.RefusesRevoked, current.RefusesRevoked},
	} {
		add(v.what, string(v.before.Answer), string(v.after.Answer), worth(v.after.Answer) < worth(v.before.Answer),
			fmt.Sprintf("%s: was %s, is %s: %s", v.sentence, v.before.Answer, v.after.Answer, v.after.Reason))
	}
	for _, standby := range current.Standbys {
		before := previous.standby(standby.Authority)
		add("ready", string(before), string(standby.Answer), before == Yes && standby.Answer == No,
			fmt.Sprintf("ready for %s: was %s, is %s: %s", standby.Authority, orDash(string(before)), standby.Answer, standby.Reason))
	}
	for _, f := range current.Findings {
		if previous.Finding(f.Code) == nil {
			add("finding", "", f.Code, f.Severity != Note, "new: "+f.Title)
		}
	}
	for _, f := range previous.Findings {
		if current.Finding(f.Code) == nil {
			add("finding", f.Code, "", false, "gone: "+f.Title)
		}
	}
	add("certificate", servedSerial(previous), servedSerial(current), false,
		fmt.Sprintf("the served certificate was %s, is %s", orDash(servedSerial(previous)), orDash(servedSerial(current))))
	add("server", string(previous.Server.Product)+" "+previous.Server.Header, string(current.Server.Product)+" "+current.Server.Header, false,
		fmt.Sprintf("the server was %s, is %s", serverText(previous), serverText(current)))
	before, after := strings.Join(previous.Asks.Listed, "; "), strings.Join(current.Asks.Listed, "; ")
	add("asks", before, after, previous.Asks.HasOurs && !current.Asks.HasOurs,
		fmt.Sprintf("the CAs that the server names were %s, are %s", orDash(before), orDash(after)))
	before, after = addressesText(previous), addressesText(current)
	add("addresses", before, after, false, fmt.Sprintf("the addresses were %s, are %s", orDash(before), orDash(after)))
	before, after = versionsText(previous), versionsText(current)
	add("versions", before, after, false, fmt.Sprintf("the TLS versions were %s, are %s", orDash(before), orDash(after)))
	return changes
}

// standby is whether the endpoint was ready for an authority; empty if it was not asked.
func (r *Report) standby(authority string) Answer {
	for _, s := range r.Standbys {
		if s.Authority == authority {
			return s.Answer
		}
	}
	return ""
}

func worth(a Answer) int {
	return map[Answer]int{No: 0, Unknown: 1, Yes: 2}[a]
}

func servedSerial(r *Report) string {
	if r.Served == nil || len(r.Served.Certificates) == 0 {
		return ""
	}
	return r.Served.Certificates[0].Serial
}

func serverText(r *Report) string {
	if r.Server.Header != "" {
		return r.Server.Header
	}
	return orDash(string(r.Server.Product))
}

func addressesText(r *Report) string {
	var list []string
	for _, a := range r.Addresses {
		text := a.Address
		if !a.Connects {
			text += " (does not answer)"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// versionsText lists the TLS versions that were tried one by one and spoken.
func versionsText(r *Report) string {
	var list []string
	for _, p := range r.Probes {
		if p.Version != "" && p.Version == p.Negotiated && !strings.Contains(strings.Join(list, " "), p.Version) {
			list = append(list, p.Version)
		}
	}
	return strings.Join(list, ", ")
}
