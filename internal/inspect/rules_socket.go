package inspect

import (
	"bytes"
	"fmt"
	"slices"
)

// socketRules compare what is on the disk with what is served.
var socketRules = []rule{
	{
		code: "not_served", title: "Nobody answers at the site's address", severity: Warning,
		when: func(s *sight) []match {
			var matches []match
			for _, v := range s.served {
				if v.err != nil {
					matches = append(matches, match{evidence: []string{v.address + ": " + v.err.Error()}})
				}
			}
			return matches
		},
		why: "The server does not run, or not with this configuration, or is not reached from its own machine.", advice: "Start it, and look into its log.",
	},
	{
		code: "not_reloaded", title: "The server shows another certificate than the one on the disk", severity: Fault,
		when: func(s *sight) []match {
			var matches []match
			for _, v := range s.served {
				if v.leaf == nil || slices.ContainsFunc(s.pairs, func(p pair) bool { return p.leaf() == nil || p.leaf().Equal(v.leaf) }) || len(s.pairs) == 0 {
					continue
				}
				leaf := s.pairs[0].leaf()
				m := found(s.pairs[0].certificate.by, fmt.Sprintf("on the disk: serial %s, until %s", serial(leaf), stamp(leaf.NotAfter)),
					fmt.Sprintf("at %s: serial %s, until %s", v.address, serial(v.leaf), stamp(v.leaf.NotAfter)))
				if other := s.whose(v); other != nil {
					m.evidence = append(m.evidence, fmt.Sprintf("that is the certificate of the site %s at %s, which answers instead", other, other.at()))
				} else {
					m = m.runs(s.fill("{reload}"))
				}
				if s.now.Before(v.leaf.NotAfter) {
					m = m.as(Warning)
				}
				matches = append(matches, m)
			}
			return matches
		},
		why:    "A server reads its certificate when it starts and when it is reloaded: what was renewed since then is not in use, and the old one ends.",
		advice: "Reload the server: {reload}. If that changes nothing, it could not read the new files; its log says why.",
	},
	{
		code: "not_in_force", title: "The server does not do what its configuration says", severity: Fault, unless: []string{"not_reloaded"},
		when: func(s *sight) []match {
			var matches []match
			for _, v := range s.served {
				if v.leaf == nil || s.mode() == asksNobody || s.mode() == unknownMode {
					continue
				}
				switch {
				case !v.asked:
					matches = append(matches, found(s.of(verify), "at "+v.address+" nobody is asked for a certificate").runs(s.fill("{reload}")))
				case s.listsOthers(v):
					matches = append(matches, found(s.of(clientCA), "at "+v.address+" the server lists other CAs than the file holds").runs(s.fill("{reload}")))
				}
			}
			return matches
		},
		why:    "It was changed and not loaded, or another site answers at this address.",
		advice: "Reload the server: {reload}. If that changes nothing, look which site comes first at the address.",
	},
}

// whose is the other site whose certificate is served; nil if it is no other's.
func (s *sight) whose(v served) *site {
	for _, other := range s.sites {
		if other == s.site {
			continue
		}
		for _, p := range other.pairs() {
			if leaf := p.leaf(); leaf != nil && leaf.Equal(v.leaf) {
				return other
			}
		}
	}
	return nil
}

// listsOthers tells whether the CAs that the server lists lack one that the file holds. A server that lists none tells nothing.
func (s *sight) listsOthers(v served) bool {
	if len(v.issuers) == 0 || s.of(clientCA) == nil || s.listed != nil || len(s.cas) == 0 {
		return false
	}
	m := s.cas[len(s.cas)-1]
	for _, c := range m.certificates {
		if !slices.ContainsFunc(v.issuers, func(name []byte) bool { return bytes.Equal(name, c.RawSubject) }) {
			return m.by == s.of(clientCA)
		}
	}
	return false
}
