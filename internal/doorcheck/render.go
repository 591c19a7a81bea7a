package doorcheck

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Style is how a report looks on a terminal.
type Style struct {
	Color   bool // ANSI colours
	Verbose bool // every probe, too
}

// Render writes a report for people: the verdicts, what is wrong and how it is mended, what could not be told. It needs nothing but what the
// report's JSON holds, and holds no control character of the endpoint's.
func Render(r *Report, style Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nchecked %s, in %d ms\n\n", style.bold(r.URL), stamp(r.CheckedAt), r.TookMS)
	type line struct {
		question string
		verdict  Verdict
	}
	lines := []line{{"admits the platform", r.AdmitsPlatform}, {"refuses strangers", r.RefusesStrangers}, {"refuses the revoked", r.RefusesRevoked}}
	for _, standby := range r.Standbys {
		lines = append(lines, line{"ready for " + standby.Authority, standby.Verdict})
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "  %-20s %s  %s\n", line.question, style.answer(line.verdict.Answer), line.verdict.Reason)
	}
	b.WriteString("\n" + facts(r))
	for _, f := range r.Findings {
		b.WriteString("\n" + style.finding(f))
	}
	if len(r.Untold) > 0 {
		b.WriteString("\nNot told:\n")
		for _, gap := range r.Untold {
			fmt.Fprintf(&b, "  - %s\n", gap)
		}
	}
	if style.Verbose {
		b.WriteString("\n" + probeTable(r.Probes))
	}
	return b.String()
}

func facts(r *Report) string {
	var b strings.Builder
	fact := func(name, text string) { fmt.Fprintf(&b, "  %-12s %s\n", name, text) }
	if r.Server.Product != Unrecognised {
		fact("server", fmt.Sprintf("%s (confidence %s: %s)", r.Server.Product, r.Server.Confidence, strings.Join(r.Server.Evidence, "; ")))
	}
	if r.Served != nil && len(r.Served.Certificates) > 0 {
		leaf := r.Served.Certificates[0]
		fact("certificate", fmt.Sprintf("serial %s, until %s, issued by %s, %s", leaf.Serial, stamp(leaf.NotAfter), leaf.Issuer, leaf.Key))
	}
	switch {
	case r.Asks.Names > 0:
		fact("asks for", fmt.Sprintf("a certificate of %s", some(r.Asks.Listed, r.Asks.Names, 3)))
	case r.Asks.Asked:
		fact("asks for", "a certificate, of CAs that it does not name")
	case r.Served != nil:
		fact("asks for", "no certificate")
	}
	if r.Timings.TotalMS > 0 {
		fact("time", fmt.Sprintf("%d ms of the %d ms that a callback may take: connecting %d, handshake %d, answer %d",
			r.Timings.TotalMS, r.Timings.BudgetMS, r.Timings.ConnectMS, r.Timings.HandshakeMS, r.Timings.AnswerMS))
	}
	for _, a := range r.Addresses {
		if len(r.Addresses) > 1 {
			fact("address", fmt.Sprintf("%s: the platform %s, without a certificate %s", a.Address, orDash(string(a.Platform)), orDash(string(a.Nobody))))
		}
	}
	return b.String()
}

func (style Style) finding(f Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s, confidence %s)\n", style.severity(f.Severity), style.bold(f.Title), f.Code, f.Confidence)
	for _, evidence := range f.Evidence {
		fmt.Fprintf(&b, "    %s\n", evidence)
	}
	fmt.Fprintf(&b, "  > %s\n", f.Advice)
	for i, mend := range f.Mends {
		if i >= 2 && !style.Verbose { // of an unknown server there are lines for all
			fmt.Fprintf(&b, "    (and lines for %d more kinds of server)\n", len(f.Mends)-i)
			break
		}
		fmt.Fprintf(&b, "    %s:\n", mend.Server)
		for _, line := range mend.Lines {
			fmt.Fprintf(&b, "      %s\n", style.paint("36", line))
		}
	}
	return b.String()
}

func probeTable(probes []*Probe) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROBE\tTLS\tASKED\tOUTCOME\tSEEN\tMS")
	for _, p := range probes {
		asked := "no"
		if p.Asked {
			asked = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", p.Name, orDash(p.Negotiated), asked, p.Outcome, p.result(), p.totalMS())
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}

func some(list []string, total, n int) string {
	text := strings.Join(list[:min(n, len(list))], "; ")
	if more := total - min(n, len(list)); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

func (style Style) bold(text string) string { return style.paint("1", text) }

func (style Style) answer(a Answer) string {
	switch a {
	case Yes:
		return style.paint("32", "yes    ")
	case No:
		return style.paint("31;1", "NO     ")
	}
	return style.paint("33", "unknown")
}

func (style Style) severity(s Severity) string {
	switch s {
	case Fault:
		return style.paint("31;1", "FAULT  ")
	case Warning:
		return style.paint("33", "WARNING")
	}
	return style.paint("36", "NOTE   ")
}

func (style Style) paint(code, text string) string {
	if !style.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
