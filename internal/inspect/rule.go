package inspect

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode"
)

// rule is one known failure: how it is told, why it matters, and what mends it. A rule looks at nothing but the sight.
type rule struct {
	code     string
	title    string
	severity Severity
	when     func(s *sight) []match // none: it is not that
	why      string
	advice   string
	// unless lists findings of the same site that explain the same and say more.
	unless []string
}

// match is one place at which a rule has found its failure.
type match struct {
	at       Position // its File is empty: the site
	evidence []string
	mends    []Mend
	run      []string
	severity Severity // if it is another than the rule's
	likely   bool     // not sure
}

// found is a match at a directive; none if there is no directive to stand at.
func found(d *directive, evidence ...string) match {
	if d == nil {
		return match{evidence: evidence}
	}
	return match{at: d.at(), evidence: append([]string{d.String()}, evidence...)}
}

func (m match) mend(mends ...Mend) match { m.mends = mends; return m }

func (m match) runs(commands ...string) match { m.run = commands; return m }

func (m match) as(severity Severity) match { m.severity = severity; return m }

// one is the only match, if it is one.
func one(is bool, m func() match) []match {
	if !is {
		return nil
	}
	return []match{m()}
}

// sight is all that is known of one site.
type sight struct {
	*inspection
	*site
	pairs  []pair
	cas    []*material // files of CAs that count for callers
	list   *material   // revocation lists
	served []served
}

// rules is the knowledge of the field. The order matters to unless alone: what explains stands before what is explained.
var rules = slices.Concat(doorRules, ownRules, caRules, listRules, socketRules)

// see reads the files of a site, and looks at its addresses.
func (i *inspection) see(ctx context.Context, s *site) *sight {
	v := &sight{inspection: i, site: s, pairs: s.pairs()}
	for _, d := range append(slices.Clone(s.extraCA), s.of(clientCA)) {
		if m := s.load(d); m != nil {
			m.loadCertificates()
			v.cas = append(v.cas, m)
		}
	}
	if v.list = s.load(s.of(crl)); v.list != nil {
		v.list.loadLists()
	}
	for _, d := range []*directive{s.caPath, s.crlPath} {
		if d != nil {
			i.cannotTell("what is in the folder of %s", d)
		}
	}
	if i.Dial == nil {
		i.cannotTell("whether the server has loaded what is on the disk: its addresses were not called")
		return v
	}
	for _, a := range s.addresses {
		switch {
		case !s.tls:
		case a.port == "" || a.host != "" && net.ParseIP(a.host) == nil:
			i.cannotTell("what is served at %s, which is no address and port", a)
		default:
			v.served = append(v.served, i.lookAt(ctx, s, a))
		}
	}
	return v
}

// authorities are all certificates that count for callers.
func (s *sight) authorities() []*x509.Certificate {
	var cas []*x509.Certificate
	for _, m := range s.cas {
		cas = append(cas, m.certificates...)
	}
	return cas
}

// diagnose holds every rule against a site.
func (s *sight) diagnose() []Finding {
	var findings []Finding
	for _, r := range rules {
		explained := func(f Finding) bool { return slices.Contains(r.unless, f.Code) }
		if slices.ContainsFunc(findings, explained) {
			continue
		}
		for _, m := range r.when(s) {
			f := Finding{
				Code: r.code, Title: r.title, Severity: cmp.Or(m.severity, r.severity), Confidence: High, Position: m.at, Site: printable(s.site.String()),
				Evidence: []string{}, Why: r.why, Advice: s.fill(r.advice), Mends: m.mends, Run: m.run,
			}
			if m.likely {
				f.Confidence = Medium
			}
			if f.Position.File == "" {
				f.Position = s.at()
			}
			for _, e := range m.evidence {
				f.Evidence = append(f.Evidence, printable(e))
			}
			findings = append(findings, f)
		}
	}
	return findings
}

// fill puts the names of this inspection into a text.
func (s *sight) fill(text string) string {
	reload := "sudo systemctl reload apache2"
	if s.product == Nginx {
		reload = "sudo systemctl reload nginx"
	}
	names := []string{"{reload}", reload}
	for what, name := range directives[s.product] {
		names = append(names, "{"+string(what)+"}", name)
	}
	return strings.NewReplacer(names...).Replace(text)
}

// report holds the rules against every chosen site, and puts together what is handed out.
func (i *inspection) report(ctx context.Context) *Report {
	r := &Report{Server: i.Server, Config: i.file, InspectedAt: i.now.UTC(), Sites: []Site{}, Findings: []Finding{}, Summary: Healthy}
	chosen := i.chosen()
	for _, s := range i.sites {
		if !slices.Contains(chosen, s) {
			if s.tls {
				r.Sites = append(r.Sites, s.shown())
			}
			continue
		}
		v := i.see(ctx, s)
		r.Sites = append(r.Sites, v.shown())
		r.Findings = append(r.Findings, v.diagnose()...)
	}
	r.Findings = append(r.Findings, i.ownFindings(r.Findings)...)
	if len(chosen) == 0 && !i.reading.broken {
		r.Summary = Undecided
		i.cannotTell("anything of a site for the platform: no site with TLS%s was found in %s", i.named(), i.file)
	}
	if len(i.ClientCAs) == 0 {
		i.cannotTell("whether the server has the platform's CA: what that is was not given")
	}
	rank := map[Severity]int{Fault: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Fault }) {
		r.Summary = Faulty
	}
	r.Untold = []string{}
	for _, gap := range i.untold {
		r.Untold = append(r.Untold, printable(gap))
	}
	return r
}

func (i *inspection) named() string {
	if i.Name == "" {
		return ""
	}
	return fmt.Sprintf(" and the name %q", i.Name)
}

// ownFindings are those of the configuration as a whole: what cannot be read, and what the server's program refuses. A refusal that a finding
// explains already adds nothing.
func (i *inspection) ownFindings(known []Finding) []Finding {
	var findings []Finding
	for _, e := range i.reading.faults {
		evidence := []string{printable(e.detail)}
		if i.complaint != "" {
			evidence = append(evidence, printable(fmt.Sprintf("%s says: %s %s", i.Server, i.complaint, i.complains)))
		}
		findings = append(findings, Finding{
			Code: "unreadable_configuration", Title: "The configuration cannot be read", Severity: Fault, Confidence: High, Position: e.at,
			Evidence: evidence, Why: "The server does not start with it, and keeps what it had at a reload.", Advice: "Mend the line.",
		})
	}
	if i.complaint == "" || len(findings) > 0 {
		return findings
	}
	if i.complains.File == "" && slices.ContainsFunc(known, func(f Finding) bool { return f.Severity == Fault }) {
		return findings
	}
	for _, f := range slices.Concat(known, findings) {
		if f.Severity == Fault && f.Position == i.complains {
			return findings
		}
	}
	advice := "Mend the line."
	if strings.Contains(i.complaint, "Invalid command 'SSL") {
		advice = "Load Apache's module ssl: sudo a2enmod ssl"
	}
	at := i.complains
	if at.File == "" {
		at.File = i.file
	}
	return append(findings, Finding{
		Code: "refused_by_server", Title: "The server refuses its configuration", Severity: Fault, Confidence: High, Position: at,
		Evidence: []string{printable(i.complaint)}, Why: "It does not start with it, and keeps what it had at a reload.", Advice: advice,
	})
}

func (s *site) shown() Site {
	shown := Site{Position: s.at(), Names: []string{}, Addresses: []string{}}
	if s.mode() != asksNobody {
		shown.Verify = printable(s.value(verify))
	}
	for _, name := range s.names {
		shown.Names = append(shown.Names, printable(name))
	}
	for _, a := range s.addresses {
		shown.Addresses = append(shown.Addresses, printable(a.String()))
	}
	return shown
}

func (s *sight) shown() Site {
	shown := s.site.shown()
	shown.ForPlatform = true
	for _, p := range s.pairs {
		if leaf := p.leaf(); leaf != nil {
			end := leaf.NotAfter.UTC()
			shown.Serial, shown.NotAfter = serial(leaf), &end
			break
		}
	}
	for _, v := range s.served {
		if v.leaf != nil {
			shown.Served = serial(v.leaf)
			break
		}
	}
	return shown
}

func serial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber) }

// printable is a text on one line, without control characters, of bounded length.
func printable(text string) string {
	const most = 300
	var b strings.Builder
	for n, r := range []rune(strings.Join(strings.Fields(text), " ")) {
		if n == most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = '·'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printableLine is a line of a file without control characters.
func printableLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}
