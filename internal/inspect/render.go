package inspect

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Style is how a report looks on a terminal.
type Style struct {
	Color bool // ANSI colours
}

// Render writes a report for people: the sites, what is wrong and where and how it is mended, what could not be told. It needs nothing but what
// the report's JSON holds.
func Render(r *Report, style Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\ninspected %s\n", style.bold(string(r.Server)), r.Config, stamp(r.InspectedAt))
	if len(r.Sites) > 0 {
		b.WriteString("\n" + siteTable(r.Sites))
	}
	for _, f := range r.Findings {
		b.WriteString("\n" + style.finding(f))
	}
	if r.Summary == Healthy {
		fmt.Fprintf(&b, "\n%s\n", style.paint("32", "No fault found."))
	}
	if len(r.Untold) > 0 {
		b.WriteString("\nNot told:\n")
		for _, gap := range r.Untold {
			fmt.Fprintf(&b, "  - %s\n", gap)
		}
	}
	return b.String()
}

func siteTable(sites []Site) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SITE\tAT\tADDRESS\tASKS\tCERTIFICATE UNTIL")
	for _, s := range sites {
		name, asks, until := "-", "-", "-"
		if len(s.Names) > 0 {
			name = s.Names[0]
		}
		if s.Verify != "" {
			asks = s.Verify
		}
		if !s.ForPlatform {
			until = "not for the platform"
		} else if s.NotAfter != nil {
			until = stamp(*s.NotAfter)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, s.Position, strings.Join(s.Addresses, " "), asks, until)
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}

func (style Style) finding(f Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n    %s\n", style.severity(f.Severity), style.bold(f.Title), f.Code, style.paint("36", f.Position.String()))
	for _, evidence := range f.Evidence {
		fmt.Fprintf(&b, "    %s\n", evidence)
	}
	fmt.Fprintf(&b, "  because: %s\n  > %s\n", f.Why, f.Advice)
	for _, m := range f.Mends {
		b.WriteString(style.mend(m))
	}
	for _, command := range f.Run {
		fmt.Fprintf(&b, "    $ %s\n", style.paint("36", command))
	}
	return b.String()
}

func (style Style) mend(m Mend) string {
	var b strings.Builder
	place := fmt.Sprintf("line %d", m.Line)
	if m.Drop > 1 {
		place = fmt.Sprintf("lines %d to %d", m.Line, m.Line+m.Drop-1)
	}
	if len(m.Lines) == 0 {
		fmt.Fprintf(&b, "    remove %s of %s\n", place, m.File)
		return b.String()
	}
	fmt.Fprintf(&b, "    write in place of %s of %s:\n", place, m.File)
	for _, line := range m.Lines {
		fmt.Fprintf(&b, "      %s\n", style.paint("32", strings.TrimRight(printableLine(line), " ")))
	}
	return b.String()
}

func (style Style) bold(text string) string { return style.paint("1", text) }

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
