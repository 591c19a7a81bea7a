package inspect

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// aBundle is how many CAs make a file the system's bundle, and not a choice of somebody.
const aBundle = 20

// asks tells whether callers are asked: otherwise it does not matter by which CA.
func (s *sight) asks() bool { return s.mode() != asksNobody || len(s.misplaced) > 0 }

// caRules are the failures of the CAs by which callers are known.
var caRules = []rule{
	{
		code: "ca_not_set", title: "No CA is named by which callers are known", severity: Fault,
		when: func(s *sight) []match {
			return one(s.asks() && s.of(clientCA) == nil && s.caPath == nil && len(s.extraCA) == 0, func() match { return found(s.of(verify)) })
		},
		why:    "Apache refuses every caller; nginx does not start.",
		advice: "Name the platform's CA with {client CA}: 'imca ca fetch clients' gets the file.",
	},
	{
		code: "ca_system", title: "Callers with a certificate of any public CA get in", severity: Fault,
		when: func(s *sight) []match {
			var matches []match
			for _, m := range s.cas {
				if len(m.certificates) >= aBundle {
					matches = append(matches, found(m.by, fmt.Sprintf("%s holds %d CAs", m.path, len(m.certificates))).mend(s.ourCA(m)...))
				}
			}
			return matches
		},
		why:    "Everybody can get a certificate from one of those, and some of them are good for clients.",
		advice: "Name a file with the platform's CA alone.",
	},
	{
		code: "ca_not_ours", title: "The file does not hold the platform's CA", severity: Fault,
		when: func(s *sight) []match {
			if len(s.ClientCAs) == 0 || len(s.authorities()) == 0 || slices.ContainsFunc(s.ClientCAs, func(ours *x509.Certificate) bool { return holds(s.authorities(), ours) }) {
				return nil
			}
			var matches []match
			for _, m := range s.cas {
				match := found(m.by, "it holds "+subjects(m.certificates), "the platform's is "+subjects(s.ClientCAs))
				for _, c := range m.certificates {
					for _, ours := range s.ClientCAs {
						switch {
						case bytes.Equal(c.RawSubject, ours.RawSubject):
							match.evidence = append(match.evidence, "it has the name of the platform's, and another key: an older one, perhaps")
						case bytes.Equal(c.RawIssuer, ours.RawSubject):
							match.evidence = append(match.evidence, c.Subject.String()+" is below the platform's root: alone it does not count, the root must be in the file")
						}
					}
				}
				matches = append(matches, match.mend(s.ourCA(m)...))
			}
			return matches
		},
		why:    "The platform is refused (unknown certificate authority).",
		advice: "Fetch the platform's CA with 'imca ca fetch clients', and name that file.",
	},
	{
		code: "ca_foreign", title: "Certificates of another CA get in, too", severity: Fault, unless: []string{"ca_system", "ca_not_ours"},
		when: func(s *sight) []match {
			if len(s.ClientCAs) == 0 {
				return nil
			}
			var matches []match
			for _, m := range s.cas {
				foreign := slices.DeleteFunc(slices.Clone(m.certificates), func(c *x509.Certificate) bool { return holds(s.ClientCAs, c) || s.below(c) })
				if len(foreign) > 0 {
					match := found(m.by, "beside the platform's it holds "+subjects(foreign)).mend(s.ourCA(m)...)
					if len(s.pins) > 0 {
						match = match.as(Warning)
					}
					matches = append(matches, match)
				}
			}
			return matches
		},
		why:    "Who has a client certificate of that CA can call as the platform; where a name is pinned, whoever gets that name from it.",
		advice: "Leave the platform's CA alone in the file.",
	},
	{
		code: "ca_incomplete", title: "One of the platform's CAs is missing", severity: Warning, unless: []string{"ca_not_ours"},
		when: func(s *sight) []match {
			if len(s.cas) == 0 || len(s.authorities()) == 0 {
				return nil
			}
			missing := slices.DeleteFunc(slices.Clone(s.ClientCAs), func(ours *x509.Certificate) bool { return holds(s.authorities(), ours) })
			return one(len(missing) > 0, func() match { return found(s.cas[len(s.cas)-1].by, "missing: "+subjects(missing)) })
		},
		why:    "While one root follows another, the platform may show a certificate of either: with one of them alone, calls will end.",
		advice: "Fetch the file again with 'imca ca fetch clients'.",
	},
	{
		code: "ca_no_root", title: "The file holds no root", severity: Fault, unless: []string{"ca_not_ours"},
		when: func(s *sight) []match {
			cas := s.authorities()
			return one(len(cas) > 0 && !slices.ContainsFunc(cas, selfIssued), func() match { return found(s.cas[0].by, "it holds "+subjects(cas)) })
		},
		why:    "A server follows a caller's chain up to a root: an issuing CA alone never works.",
		advice: "Put the root into the file.",
	},
	{
		code: "ca_expired", title: "The CA has expired", severity: Fault,
		when: func(s *sight) []match {
			cas := s.authorities()
			ended := func(c *x509.Certificate) bool { return s.now.After(c.NotAfter) }
			return one(len(cas) > 0 && len(cas) < aBundle && slices.ContainsFunc(cas, ended), func() match {
				m := found(s.cas[0].by)
				for _, c := range cas {
					if ended(c) {
						m.evidence = append(m.evidence, fmt.Sprintf("%s ended on %s", c.Subject, stamp(c.NotAfter)))
					}
				}
				if !slices.ContainsFunc(cas, func(c *x509.Certificate) bool { return !ended(c) }) {
					return m
				}
				return m.as(Warning)
			})
		},
		why:    "Whatever it has certified is refused.",
		advice: "Fetch the platform's CA with 'imca ca fetch clients'.",
	},
}

// ourCA is the edit that names a file that is there and holds the platform's CA alone: none if there is no such file beside the one that is named.
func (s *sight) ourCA(instead *material) []Mend {
	if len(s.ClientCAs) == 0 {
		return nil
	}
	for _, path := range beside(instead.path) {
		m := &material{path: path}
		if m.text, m.err = readSome(path, 1<<20); m.err != nil {
			continue
		}
		m.loadCertificates()
		alone := len(m.certificates) > 0 && !slices.ContainsFunc(m.certificates, func(c *x509.Certificate) bool { return !holds(s.ClientCAs, c) })
		if alone && slices.Contains([]*directive{s.of(clientCA)}, instead.by) {
			return s.set(clientCA, s.quote(path))
		}
	}
	return nil
}

func (s *site) quote(word string) string {
	if s.product == Nginx {
		return quoteNginx(word)
	}
	return quoteApache(word)
}

// below tells whether an authority is certified by one of the platform's.
func (s *sight) below(c *x509.Certificate) bool {
	return slices.ContainsFunc(s.ClientCAs, func(ours *x509.Certificate) bool { return c.IsCA && c.CheckSignatureFrom(ours) == nil })
}

func holds(list []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(list, func(other *x509.Certificate) bool {
		return bytes.Equal(other.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
	})
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// subjects are the names of some certificates, with the beginning of each fingerprint, by which those of one name are told apart.
func subjects(cs []*x509.Certificate) string {
	if len(cs) == 0 {
		return "nothing"
	}
	var names []string
	for _, c := range cs[:min(3, len(cs))] {
		names = append(names, fmt.Sprintf("%s (sha256:%s…)", c.Subject, fingerprint(c)[:16]))
	}
	if len(cs) > 3 {
		names = append(names, fmt.Sprintf("%d more", len(cs)-3))
	}
	return strings.Join(names, ", ")
}
