package doorcheck

import (
	"time"
)

// Report is what a check saw and what follows from it. Times are UTC, durations whole milliseconds.
type Report struct {
	URL       string    `json:"url"` // without its query
	Host      string    `json:"host"`
	Port      uint16    `json:"port"`
	CheckedAt time.Time `json:"checked_at"`
	TookMS    int64     `json:"took_ms"`

	Summary          Summary `json:"summary"`
	AdmitsPlatform   Verdict `json:"admits_platform"`
	RefusesStrangers Verdict `json:"refuses_strangers"`
	// RefusesRevoked stands apart: by default no server loads a revocation list.
	RefusesRevoked Verdict `json:"refuses_revoked"`
	// Standbys tell whether the endpoint is ready for the platform's next authorities. Nobody is locked out today by those that it is not ready for.
	Standbys []Readiness `json:"standbys"`

	Findings []Finding `json:"findings"` // the gravest first
	Untold   []string  `json:"untold"`   // what was not tried, or could not be told, and why

	Server    Server    `json:"server"`
	Served    *Served   `json:"served,omitempty"` // nil: no certificate was seen
	Asks      Asks      `json:"asks"`
	Addresses []Address `json:"addresses"`
	Timings   Timings   `json:"timings"`
	Clock     *Clock    `json:"clock,omitempty"` // nil: the endpoint did not tell the time
	Probes    []*Probe  `json:"probes"`
}

// Answer is yes, no or unknown.
type Answer string

// The answers of a verdict.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Verdict is the answer to one question, the reason in a sentence, and what was seen.
type Verdict struct {
	Answer   Answer   `json:"answer"`
	Reason   string   `json:"reason"`
	Evidence []string `json:"evidence,omitempty"`
}

// Summary is the whole report in a word.
type Summary string

// The summaries, each with an exit code of its own.
const (
	Healthy   Summary = "healthy"    // the platform is admitted, strangers are refused, calls can work
	LockedOut Summary = "locked_out" // the platform is not admitted
	Open      Summary = "open"       // strangers are admitted
	Wrong     Summary = "wrong_way"  // strangers are admitted, the platform is not
	Undecided Summary = "undecided"  // not everything could be told
	Faulty    Summary = "faulty"     // the door is right, yet calls fail or soon will
)

// ExitCode is the code with which a command ends after this report: 0 healthy, 10 locked_out, 11 open, 12 wrong_way, 13 undecided, 14 faulty.
func (r *Report) ExitCode() int {
	switch r.Summary {
	case Healthy:
		return 0
	case LockedOut:
		return 10
	case Open:
		return 11
	case Wrong:
		return 12
	case Faulty:
		return 14
	}
	return 13
}

// Finding returns the finding with a code; nil if there is none.
func (r *Report) Finding(code string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}

func summarize(r *Report) Summary {
	admits, refuses := r.AdmitsPlatform.Answer, r.RefusesStrangers.Answer
	switch {
	case refuses == No && admits == No:
		return Wrong
	case refuses == No:
		return Open
	case admits == No:
		return LockedOut
	case admits == Unknown || refuses == Unknown:
		return Undecided
	}
	for _, f := range r.Findings {
		if f.Severity == Fault {
			return Faulty
		}
	}
	return Healthy
}

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

// The confidences. Several failures look alike from outside, so some findings cannot be certain.
const (
	High   Confidence = "high"   // seen directly
	Medium Confidence = "medium" // the likeliest of a few causes
	Low    Confidence = "low"    // one of several
)

// Finding is one diagnosis.
type Finding struct {
	Code       string     `json:"code"`
	Title      string     `json:"title"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	Evidence   []string   `json:"evidence"`
	Advice     string     `json:"advice"`          // what to do, on any server
	Mends      []Mend     `json:"mends,omitempty"` // the same as lines, for the recognised server, or for the commonest ones
}

// Mend is an advice as lines of one server's configuration. Comments among them, in the server's own notation, say where lines belong.
type Mend struct {
	Server Product  `json:"server"`
	Lines  []string `json:"lines"`
}

// Address is one address of the endpoint.
type Address struct {
	Address     string  `json:"address"`
	Connects    bool    `json:"connects"`
	Platform    Outcome `json:"platform"`              // what became of the platform's certificate
	Nobody      Outcome `json:"nobody"`                // and of no certificate
	Fingerprint string  `json:"fingerprint,omitempty"` // SHA-256 of the certificate served there
	Error       string  `json:"error,omitempty"`
}

// Asks is how the server asks for a client certificate.
type Asks struct {
	Asked   bool     `json:"asked"`    // a CertificateRequest came
	Names   int      `json:"names"`    // how many CAs it lists
	Listed  []string `json:"listed"`   // the first of them
	HasOurs bool     `json:"has_ours"` // ours is among them
}

// Timings are those of the first call of the platform: a cold connection, as a callback may find it.
type Timings struct {
	ConnectMS   int64 `json:"connect_ms"`
	HandshakeMS int64 `json:"handshake_ms"`
	AnswerMS    int64 `json:"answer_ms"` // from the request to the first line of the answer
	TotalMS     int64 `json:"total_ms"`
	CallbackMS  int64 `json:"callback_ms,omitempty"` // the whole of the posted callback
	BudgetMS    int64 `json:"budget_ms"`
}

// Clock is the server's clock against ours, from the Date of its answers.
type Clock struct {
	Date   time.Time `json:"date"`
	SkewMS int64     `json:"skew_ms"` // positive: the server's clock is ahead
}
