package inspect

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// listRules are the failures of revocation lists.
var listRules = []rule{
	{
		code: "list_not_checked", title: "A revocation list is loaded and not looked at", severity: Fault,
		when: func(s *sight) []match {
			checks := s.value(crlCheck)
			return one(s.product == Apache && (s.of(crl) != nil || s.crlPath != nil) && (checks == "" || checks == "none"), func() match {
				m := found(s.of(crl))
				if s.of(crl) == nil {
					m = found(s.crlPath)
				}
				return m.mend(s.set(crlCheck, "leaf")...)
			})
		},
		why: "A revoked certificate gets in all the same.", advice: "Add SSLCARevocationCheck leaf.",
	},
	{
		code: "list_not_set", title: "Revocation is checked, and there is no list", severity: Fault,
		when: func(s *sight) []match {
			checks := s.value(crlCheck)
			return one(s.product == Apache && s.of(crl) == nil && s.crlPath == nil && checks != "" && checks != "none" && !slices.Contains(s.of(crlCheck).args, "no_crl_for_cert_ok"),
				func() match { return found(s.of(crlCheck)).mend(s.set(crlCheck, "none")...) })
		},
		why: "Every caller is refused, the platform too.", advice: "Name the list with SSLCARevocationFile, and keep it fresh with 'imca crl keep'; or switch the check off.",
	},
	{
		code: "list_lapsed", title: "The revocation list has lapsed", severity: Fault,
		when: func(s *sight) []match {
			var lapsed []string
			for _, list := range s.lists() {
				if !list.NextUpdate.IsZero() && s.now.After(list.NextUpdate) {
					lapsed = append(lapsed, fmt.Sprintf("that of %s was good until %s", list.Issuer, stamp(list.NextUpdate)))
				}
			}
			return one(len(lapsed) > 0 && s.checksLists(), func() match { return found(s.list.by, lapsed...).runs(s.fetchLists()...) })
		},
		why: "Every caller is refused, the platform too.", advice: "Fetch it, and keep it fresh with 'imca crl keep'.",
	},
	{
		code: "list_lapses_soon", title: "The revocation list lapses soon", severity: Warning, unless: []string{"list_lapsed"},
		when: func(s *sight) []match {
			for _, list := range s.lists() {
				left, life := list.NextUpdate.Sub(s.now), list.NextUpdate.Sub(list.ThisUpdate)
				if !list.NextUpdate.IsZero() && left < life/3 {
					return []match{found(s.list.by, fmt.Sprintf("that of %s is good until %s", list.Issuer, stamp(list.NextUpdate)))}
				}
			}
			return nil
		},
		why: "When it has lapsed, every caller is refused. Two thirds of its life are over, so nothing keeps it fresh, it seems.", advice: "Keep it fresh with 'imca crl keep'.",
	},
	{
		code: "list_not_yet", title: "The revocation list is not valid yet", severity: Fault,
		when: func(s *sight) []match {
			for _, list := range s.lists() {
				if list.ThisUpdate.After(s.now) && s.checksLists() {
					return []match{found(s.list.by, fmt.Sprintf("that of %s is of %s", list.Issuer, stamp(list.ThisUpdate)))}
				}
			}
			return nil
		},
		why: "Every caller is refused, the platform too.", advice: "Set the clock of this machine, if it is behind; otherwise fetch the list again.",
	},
	{
		code: "list_foreign", title: "The revocation list is not of the platform's CA", severity: Fault,
		when: func(s *sight) []match {
			cas := slices.Concat(s.authorities(), s.ClientCAs)
			if len(cas) == 0 || !s.checksLists() {
				return nil
			}
			for _, list := range s.lists() {
				if slices.ContainsFunc(cas, func(c *x509.Certificate) bool { return signed(list, c) }) {
					return nil
				}
			}
			return one(len(s.lists()) > 0, func() match {
				return found(s.list.by, fmt.Sprintf("it is of %s", s.lists()[0].Issuer)).runs(s.fetchLists()...)
			})
		},
		why: "There is no list for the platform's certificate: it is refused (unable to get certificate CRL).", advice: "Fetch the list of the platform's CA with 'imca crl keep'.",
	},
	{
		code: "list_incomplete", title: "The list of one CA is missing", severity: Warning, unless: []string{"list_foreign"},
		when: func(s *sight) []match {
			if !s.checksLists() || len(s.lists()) == 0 || len(s.authorities()) >= aBundle || slices.Contains(s.of(crlCheck).arguments(), "no_crl_for_cert_ok") {
				return nil
			}
			var without []*x509.Certificate
			for _, c := range s.authorities() {
				if !slices.ContainsFunc(s.lists(), func(list *x509.RevocationList) bool { return signed(list, c) }) {
					without = append(without, c)
				}
			}
			return one(len(without) > 0, func() match {
				m := found(s.list.by, "missing: that of "+subjects(without))
				if slices.ContainsFunc(without, func(c *x509.Certificate) bool { return holds(s.ClientCAs, c) }) {
					m = m.as(Fault) // the platform may show a certificate of that one
				}
				return m
			})
		},
		why: "What that CA has certified is refused: a server that checks lists wants one for each CA.", advice: "Put the lists of all the CAs into the file; 'imca crl keep' does it with several --authority.",
	},
	{
		code: "list_partial", title: "The revocation list covers only a part", severity: Fault,
		when: func(s *sight) []match {
			for _, list := range s.lists() {
				for _, e := range list.Extensions {
					if e.Critical && e.Id.Equal([]int{2, 5, 29, 28}) { // RFC 5280, Section 5.2.5: issuing distribution point
						return []match{found(s.list.by, "that of "+list.Issuer.String()+" has a critical issuing distribution point")}
					}
				}
			}
			return nil
		},
		why: "Apache and nginx refuse good certificates by such a list.", advice: "Fetch the CA's full list.",
	},
}

// arguments are those of a directive, none if there is none.
func (d *directive) arguments() []string {
	if d == nil {
		return nil
	}
	return d.args
}

func (s *sight) lists() []*x509.RevocationList {
	if s.list == nil {
		return nil
	}
	return s.list.lists
}

// checksLists tells whether the server looks at its lists.
func (s *sight) checksLists() bool {
	return s.product == Nginx || s.value(crlCheck) != "" && s.value(crlCheck) != "none"
}

func signed(list *x509.RevocationList, by *x509.Certificate) bool {
	return bytes.Equal(list.RawIssuer, by.RawSubject) && list.CheckSignatureFrom(by) == nil
}

// fetchLists are commands that make the file of lists a good one.
func (s *sight) fetchLists() []string {
	if len(s.ClientCAs) == 0 {
		return nil
	}
	name := s.ClientCAs[0].Subject.CommonName
	return []string{"imca crl keep --once --url http://CA/crl/" + shellWord(name) + ".crl --ca " + shellWord(name) + ".crt --out " + shellWord(s.list.path)}
}

// beside are the certificate files in the folder of a file.
func beside(path string) []string {
	var files []string
	for _, ending := range []string{"*.crt", "*.pem"} {
		more, err := filepath.Glob(filepath.Join(filepath.Dir(path), ending))
		if err == nil && !strings.ContainsAny(filepath.Dir(path), "*?[") {
			files = append(files, more...)
		}
	}
	return files[:min(len(files), 200)]
}

func fingerprint(c *x509.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Raw)) }
