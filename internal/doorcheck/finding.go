package doorcheck

import (
	"cmp"
	"slices"
	"strings"
)

// rule is one known failure: how it is told from outside, and what mends it. A rule looks at nothing but the sight.
type rule struct {
	code     string
	title    string
	severity Severity
	when     func(s *sight) *match // nil: it is not that
	advice   string
	mends    mends
	// unless lists findings that explain the same and say more.
	unless []string
	// lastResort rules speak only if no other has found a fault: a verdict is never left without a finding.
	lastResort bool
}

// match is how sure a rule is of what it found, and why.
type match struct {
	confidence Confidence
	evidence   []string
	milder     bool // a warning, where the rule says fault
}

func surely(evidence ...string) *match  { return &match{confidence: High, evidence: evidence} }
func likely(evidence ...string) *match  { return &match{confidence: Medium, evidence: evidence} }
func perhaps(evidence ...string) *match { return &match{confidence: Low, evidence: evidence} }

// mends are the lines of each server. {name} stands for the endpoint's name, {ca} for the CA's file without its ending, {port} for the port,
// {platform} for the common name of the platform's certificate, {next} for the file of an authority that stands by, {issuer} for the common name of what
// issues under it, {roots} for where the roots are published, {fetch} for the command that fetches them.
type mends map[Product][]string

// rules is the knowledge of the field. The order matters to unless alone: what explains stands before what is explained.
var rules = slices.Concat(networkRules, certificateRules, refusalRules, openRules, standbyRules, otherRules)

// diagnose holds every rule against what was seen.
func diagnose(s *sight) []Finding {
	findings := []Finding{}
	found := func(code string) bool {
		return slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == code })
	}
	faulty := func(f Finding) bool { return f.Severity == Fault }
	for _, r := range rules {
		if slices.ContainsFunc(r.unless, found) || r.lastResort && slices.ContainsFunc(findings, faulty) {
			continue
		}
		m := r.when(s)
		if m == nil {
			continue
		}
		severity := r.severity
		if m.milder {
			severity = Warning
		}
		findings = append(findings, Finding{
			Code: r.code, Title: r.title, Severity: severity, Confidence: m.confidence, Evidence: m.evidence,
			Advice: s.fill(r.advice), Mends: s.mendsFor(r.mends),
		})
	}
	rank := map[Severity]int{Fault: 0, Warning: 1, Note: 2}
	sure := map[Confidence]int{High: 0, Medium: 1, Low: 2}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(sure[a.Confidence], sure[b.Confidence]))
	})
	return findings
}

// mendsFor are the lines for the recognised server. For one that was not recognised, or by a guess alone, they are those for all servers, the
// guess first. What shows nothing but Go's page may also be made of Go.
func (s *sight) mendsFor(all mends) []Mend {
	products := []Product{s.server.Product}
	_, known := all[s.server.Product]
	switch {
	case s.server.Product == Go && s.server.Header == "":
		products = append(products, Caddy)
	case known && s.server.Confidence != Low:
	case s.lead != nil && s.plain() != nil && s.plain().Answer == nil: // Apache and nginx would have answered it
		products = append(products, HAProxy, Node, Tomcat, IIS, LoadBalancer, Caddy, Go, Apache, Nginx)
	default:
		products = append(products, Apache, Nginx, HAProxy, Tomcat, IIS, Caddy, Go, Node, LoadBalancer)
	}
	var chosen []Mend
	for i, product := range products {
		if lines, ok := all[product]; ok && !slices.Contains(products[:i], product) {
			chosen = append(chosen, Mend{product, s.fillAll(lines)})
		}
	}
	return chosen
}

func (s *sight) fillAll(lines []string) []string {
	filled := make([]string, len(lines))
	for i, line := range lines {
		filled[i] = s.fill(line)
	}
	return filled
}

// fill puts names into a text. The endpoint's name is in normal form, those of certificates are reduced to what a file name may hold: none can
// smuggle a directive into a configuration.
func (s *sight) fill(text string) string {
	ca, platform := "TencentQQAuthCA", "callback.platform.internal"
	if len(s.ClientCAs) > 0 {
		ca = plainName(s.ClientCAs[0].Subject.CommonName, ca)
	}
	platform = plainName(commonName(s.platform), platform)
	next, issuer, roots, fetch := ca+"-next", ca+"-next", "the published file (/ca/clients.pem)", "curl -fsS http://…/ca/clients.pem"
	if standby := s.firstUnready(); standby != nil {
		next, issuer = plainName(standby.Authority, next), plainName(issuerName(standby), next)
	}
	if s.RootsURL != "" {
		roots, fetch = s.RootsURL, "curl -fsS "+s.RootsURL
	}
	return strings.NewReplacer("{name}", s.name.String(), "{port}", s.portText(), "{ca}", ca, "{platform}", platform,
		"{next}", next, "{issuer}", issuer, "{roots}", roots, "{fetch}", fetch).Replace(text)
}

// plainName is a name with nothing in it but letters, digits, dots, hyphens and underscores.
func plainName(name, otherwise string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name, "-."); name == "" {
		return otherwise
	}
	return name[:min(len(name), 64)]
}

// report puts the sight into the form in which it is handed out.
func (s *sight) report() *Report {
	r := &Report{
		URL: s.display(), Host: s.name.String(), Port: s.port, CheckedAt: s.started.UTC(), TookMS: s.since(s.started),
		AdmitsPlatform: s.admits(), RefusesStrangers: s.refuses(), RefusesRevoked: s.refusesRevoked(), Standbys: s.readiness(),
		Findings: diagnose(s), Untold: s.untold(),
		Server: s.server, Served: s.served, Asks: s.asks, Clock: s.clock, Probes: s.probes, Addresses: []Address{},
		Timings: Timings{BudgetMS: s.Budget.Milliseconds()},
	}
	if s.lead == nil {
		r.Probes = []*Probe{}
	} else {
		r.Timings.ConnectMS, r.Timings.HandshakeMS, r.Timings.AnswerMS = s.lead.ConnectMS, s.lead.HandshakeMS, s.lead.AnswerMS
		r.Timings.TotalMS = s.lead.totalMS()
		if posted := s.callback(AsPlatform); posted != nil {
			r.Timings.CallbackMS = posted.totalMS()
		}
		for _, lead := range s.leads() {
			r.Addresses = append(r.Addresses, s.address(lead))
		}
	}
	r.Summary = summarize(r)
	return r
}

func (s *sight) address(lead *Probe) Address {
	a := Address{Address: lead.Address, Connects: lead.Stage != StageDial, Platform: lead.Outcome}
	if lead.Certificate != AsPlatform {
		a.Platform = notJudged
	}
	if !a.Connects {
		a.Error = lead.Error
	}
	if nobody := s.twin(lead, AsNobody); nobody != nil {
		a.Nobody = nobody.Outcome
	}
	if len(lead.served) > 0 {
		a.Fingerprint = fingerprint(lead.served[0])
	}
	return a
}

// callback is the posted callback of a role; nil if none was posted.
func (s *sight) callback(role Role) *Probe {
	return s.find(func(p *Probe) bool { return p.Method == "POST" && p.Certificate == role })
}
