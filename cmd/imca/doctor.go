package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
)

func newDoctor(p *program) *cobra.Command {
	var where *local
	cmd := &cobra.Command{
		Use: "doctor [--config FILE]", Short: "Look for what is not as it should be", Args: noArgs,
		Long: `Hold everything that is recorded against the rules: authorities that end or whose key cannot be opened, issuances that stopped
half-way, and every certificate against its record, its profile and its signature. Revocation lists and OCSP are read from the
server that runs on this machine, as a stranger would, and held against the records. Nothing is changed.

It works on the database itself, also while servers run. It ends with code 6 when it finds a fault.`,
		Example: "  imca doctor --config imca.yaml\n  imca doctor   # of what 'imca dev' keeps in ./imca-data",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o, err := where.open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.store.Close()) }()
			authority, findings, err := o.authority(cmd.Context())
			if err != nil {
				return err
			}
			seen := 0
			more, err := authority.Examine(cmd.Context(), localAdmin(), func(n int) {
				seen = n
				p.progress(fmt.Sprintf("%d certificates examined …", n))
			})
			p.progress("")
			if err != nil {
				return err
			}
			reports, why, err := lookAt(cmd.Context(), authority, o)
			if err != nil {
				return err
			}
			return diagnose(p, append(findings, more...), seen, reports, why)
		},
	}
	where = localFlags(cmd)
	return cmd
}

// diagnose prints what was found; notLooked says why the revocation status that is served was not looked at.
func diagnose(p *program, findings []ca.Finding, certificates int, reports []ca.RevocationReport, notLooked string) error {
	for _, r := range reports {
		findings = append(findings, r.Findings()...)
	}
	faults := 0
	for _, f := range findings {
		if f.Severity == ca.SeverityFault {
			faults++
		}
	}
	var silent error
	if faults > 0 {
		silent = codedError{exitFindings, errors.New("")}
	}
	if p.json {
		type finding struct {
			Severity ca.Severity `json:"severity"`
			Subject  string      `json:"subject"`
			Detail   string      `json:"detail"`
		}
		list := []finding{}
		for _, f := range findings {
			list = append(list, finding{f.Severity, f.Subject, f.Detail})
		}
		answer := map[string]any{"certificates": certificates, "findings": list}
		if reports != nil {
			answer["revocation"] = served(reports)
		}
		return errors.Join(p.encode(answer), silent)
	}
	for _, f := range findings {
		colour := warning
		if f.Severity == ca.SeverityFault {
			colour = bad
		}
		p.say("%s  %s\n  %s", p.paint(colour, string(f.Severity)), p.paint(strong, f.Subject), f.Detail)
	}
	if notLooked != "" {
		p.say("Revocation status as it is served: not looked at, %s.", notLooked)
	}
	for _, r := range reports {
		if len(r.Faults) == 0 {
			p.say("Revocation status of %s as it is served: list %d, %d entries, good until %s; it is what the database says.", r.Authority, r.Number, r.Entries, r.NextUpdate.Format(time.DateTime))
		}
	}
	if faults == 0 {
		p.say("%s: %d certificates examined, no fault found.", p.paint(good, "All is well"), certificates)
	} else {
		p.say("%d certificates examined, faults found: %d.", certificates, faults)
	}
	return silent
}

// servedList is a report as JSON.
type servedList struct {
	Authority  string    `json:"authority"`
	Number     int64     `json:"crl_number,omitempty"`
	Entries    int       `json:"crl_entries"`
	NextUpdate time.Time `json:"crl_next_update,omitzero"`
}

func served(reports []ca.RevocationReport) []servedList {
	var lists []servedList
	for _, r := range reports {
		lists = append(lists, servedList{r.Authority, r.Number, r.Entries, r.NextUpdate})
	}
	return lists
}
