package inspect

import (
	"time"
)

// Report is what an inspection read, and what follows from it.
type Report struct {
	Server      Product   `json:"server"`
	Config      string    `json:"config"` // the file that everything is included from
	InspectedAt time.Time `json:"inspected_at"`
	Summary     Summary   `json:"summary"`
	Sites       []Site    `json:"sites"`    // those that are reached by TLS
	Findings    []Finding `json:"findings"` // the gravest first
	Untold      []string  `json:"untold"`   // what could not be told, and why
}

// Site is a virtual host of Apache or a server block of nginx.
type Site struct {
	Position
	Names       []string `json:"names"`
	Addresses   []string `json:"addresses"`
	ForPlatform bool     `json:"for_platform"` // it was inspected, others only as its neighbours
	Verify      string   `json:"verify"`       // how it asks for a client certificate, in the server's own word; "": it does not
	// Of the certificate on the disk, and of the one that is served; "" where that was not told.
	Serial   string     `json:"serial,omitempty"`
	NotAfter *time.Time `json:"not_after,omitempty"`
	Served   string     `json:"served_serial,omitempty"`
}

// Summary is the whole report in a word.
type Summary string

// The summaries.
const (
	Healthy   Summary = "healthy"   // nothing is wrong, as far as the report goes; warnings there may be
	Faulty    Summary = "faulty"    // there is a fault
	Undecided Summary = "undecided" // there was no site to inspect
)

// Severity is how grave a finding is.
type Severity string

// The severities.
const (
	Fault   Severity = "fault"   // calls fail, or somebody gets in who must not
	Warning Severity = "warning" // it will fail, or fails for some
	Note    Severity = "note"    // worth knowing
)

// Confidence is how sure a diagnosis is.
type Confidence string

// The confidences.
const (
	High   Confidence = "high"   // read directly
	Medium Confidence = "medium" // likely: what decides it is not all in the files
)

// Finding is one diagnosis at one place.
type Finding struct {
	Code       string     `json:"code"`
	Title      string     `json:"title"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	Position
	Site     string   `json:"site,omitempty"`
	Evidence []string `json:"evidence"`
	Why      string   `json:"why"`
	Advice   string   `json:"advice"`
	Mends    []Mend   `json:"mends,omitempty"` // edits that mend it, where the configuration alone can
	Run      []string `json:"run,omitempty"`   // commands that do, or that have to follow
}

// Finding returns the first finding with a code; nil if there is none.
func (r *Report) Finding(code string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}
