package console

import (
	"math"
	"time"

	"github.com/imca-project/imca/internal/ca"
)

// overviewPage is the state of the CA at a glance.
type overviewPage struct {
	Figures  ca.Figures
	Failing  []ca.Endpoint // those that are checked regularly, with something wrong
	Waiting  some          // domains that an operator has to decide about
	Pending  some          // issuances that stopped half-way, or are under way
	Soon     int           // certificates that end within a week
	Faults   []ca.RevocationReport
	Lists    []listLine
	Issued   plot
	Ending   plot
	Revoked  plot
	Duration plot
	Timed    timing
}

func (overviewPage) template() string { return "overview" }

// some is how many there are, counted up to a bound.
type some struct {
	N    int
	More bool // than N
}

const mostCounted = 100

func countUp(n int) some { return some{N: min(n, mostCounted), More: n > mostCounted} }

// listLine is how the revocation list of an authority stands.
type listLine struct {
	Authority string
	List      *ca.CRL // nil: there is none
	Age       time.Duration
	Part      int // of its life that has gone, in percent
	Late      bool
}

func overview(v *visit) error {
	figures, err := v.ca.Figures(v.context(), v.principal)
	if err != nil {
		return err
	}
	p := overviewPage{Figures: figures}
	if p.Lists, err = v.lists(); err != nil {
		return err
	}
	waiting, err := v.waiting(mostCounted + 1)
	if err != nil {
		return err
	}
	p.Waiting = countUp(len(waiting))
	pending, err := v.ca.ListCertificates(v.context(), v.principal, ca.CertificateQuery{Status: ca.StatusPending, Limit: mostCounted + 1})
	if err != nil {
		return err
	}
	p.Pending = countUp(len(pending.Items))
	if p.Failing, err = v.failing(""); err != nil {
		return err
	}
	for _, report := range v.ca.RevocationReports() {
		if len(report.Faults) > 0 {
			p.Faults = append(p.Faults, report)
		}
	}
	p.plots(v)
	return v.show(p)
}

func (p *overviewPage) plots(v *visit) {
	p.Issued = byDay("issued", p.Figures.Past, p.Figures.Issued)
	p.Revoked = byDay("revoked", p.Figures.Past, p.Figures.Revoked)
	p.Ending = byDay("ending", p.Figures.Future, p.Figures.Ending)
	for _, n := range p.Figures.Ending[:min(7, len(p.Figures.Ending))] {
		p.Soon += n
	}
	if v.metrics != nil {
		p.Timed, p.Duration = timings(v.metrics.IssuanceDurations())
	}
}

// lists are those of every authority.
func (v *visit) lists() (lines []listLine, err error) {
	all, err := v.ca.ListAuthorities(v.context(), v.principal)
	for _, a := range all {
		line := listLine{Authority: a.Name, List: v.ca.CRL(a.Name)}
		if l := line.List; l != nil {
			line.Age = v.now.Sub(l.ThisUpdate)
			line.Part = int(min(100, max(0, 100*line.Age/max(1, l.NextUpdate.Sub(l.ThisUpdate)))))
			line.Late = v.now.After(v.ca.NextCRL(l).Add(v.ca.CRLInterval()))
		}
		lines = append(lines, line)
	}
	return lines, err
}

// timing is how long issuing took, since this process has started.
type timing struct {
	Count     int
	Half      string // of them took no longer
	AlmostAll string // 99 of 100
}

// timings makes a plot of a histogram: how many certificates took up to each of the bounds.
func timings(bounds []time.Duration, counts []int) (timing, plot) {
	t := timing{}
	p := plot{ID: "duration"}
	for _, n := range counts {
		t.Count += n
	}
	passed := 0
	quantile := func(part float64) bool { return passed >= int(math.Ceil(part*float64(t.Count))) }
	for i, n := range counts {
		passed += n
		label := "> " + bounds[len(bounds)-1].String()
		if i < len(bounds) {
			label = "≤ " + bounds[i].String()
		}
		if t.Half == "" && t.Count > 0 && quantile(.5) {
			t.Half = label
		}
		if t.AlmostAll == "" && t.Count > 0 && quantile(.99) {
			t.AlmostAll = label
		}
		p.add(label, n)
	}
	p.scale()
	return t, p
}
