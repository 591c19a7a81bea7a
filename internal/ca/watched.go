package ca

import (
	"fmt"
	"time"
)

// RevocationReport is what a reader found who looked at the revocation status of an authority from outside, as it is served.
type RevocationReport struct {
	Authority string
	At        time.Time // of the look

	// Number, times and entries of the list that was served; zero when none was.
	Number                 int64
	ThisUpdate, NextUpdate time.Time
	Entries                int

	// Faults are what is not as it should be, each in sentences that say what to do; none when all is well.
	Faults []string
}

// Findings are the faults of a report as Examine tells its own.
func (r RevocationReport) Findings() []Finding {
	var findings []Finding
	for _, fault := range r.Faults {
		findings = append(findings, Finding{SeverityFault, r.Authority, fmt.Sprintf("Revocation status, as it is served: %s", fault)})
	}
	return findings
}

// NoteRevocation keeps what the latest look at what is served has found, for whoever asks.
func (c *CA) NoteRevocation(reports []RevocationReport) { c.watched.Store(&reports) }

// RevocationReports are those of the latest look; none before the first.
func (c *CA) RevocationReports() []RevocationReport {
	if reports := c.watched.Load(); reports != nil {
		return *reports
	}
	return nil
}
