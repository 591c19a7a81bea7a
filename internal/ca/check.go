package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// CheckRules lend the CA the eyes for developers' doors, and say when they are used. The zero value of each field but Look works.
type CheckRules struct {
	// Look stands before an endpoint as the platform would, and as those would whom it must keep out. It returns an *Error for what its reader can
	// mend, and anything else but a sight for a fault of ours; whatever the endpoint does is in the sight. nil: this server checks nothing.
	Look func(ctx context.Context, v Visit) (Sight, error)

	// ClientName is the subject of the platform's client certificate. Default: callback.platform.internal.
	ClientName pki.Name

	// Concurrency is how many checks run in this process at once. Default: 8.
	Concurrency int

	// Keep is how long a check can be read. Default: 90 days.
	Keep time.Duration

	// Observe, if not nil, is called when a check has ended, with the alerts that began: for metrics. It may not block.
	Observe func(cause CheckCause, summary string, began []Alert)
}

// withDefaults fills in what was left out.
func (r CheckRules) withDefaults() CheckRules {
	if r.ClientName.IsZero() {
		r.ClientName = pki.RecordedName("callback.platform.internal")
	}
	r.Concurrency = cmp.Or(r.Concurrency, 8)
	r.Keep = cmp.Or(r.Keep, 90*24*time.Hour)
	if r.Observe == nil {
		r.Observe = func(CheckCause, string, []Alert) {}
	}
	return r
}

// Visit is what a look at a door takes.
type Visit struct {
	URL      string
	Address  netip.Addr // the only address to go to; zero: those that the name has
	Callback bool       // post a harmless callback, too
	Canaries Canaries
	Roots    []*x509.Certificate // of the app, for its server's certificate, beside the public ones and ours

	// Issued says what is known of the certificates for a name, when one of them is served.
	Issued func(ctx context.Context, name string, served *x509.Certificate) (Known, error)

	// Previous is the report of the check before this one, to compare with; nil: there is none.
	Previous []byte
}

// Known is what is recorded about a served certificate, and the newest one for its name.
type Known struct {
	Newest    *x509.Certificate // nil: none
	Ours      bool              // the served one is of this CA
	Revoked   bool              // the served one is revoked
	RevokedAt time.Time
}

// Sight is what came of a look.
type Sight struct {
	Report  []byte // JSON, as internal/doorcheck writes it
	Facts   CheckFacts
	Changes []CheckChange // since the previous report
}

// CheckFacts are what rules go by.
type CheckFacts struct {
	Summary     string         `json:"summary"` // healthy, locked_out, open, wrong_way, undecided, faulty
	Findings    []CheckFinding `json:"findings"`
	Served      string         `json:"served,omitempty"` // the serial of the served certificate
	ServedUntil time.Time      `json:"served_until,omitzero"`
	Ready       []string       `json:"ready,omitempty"`   // the authorities that stand by whose canary was let in
	Unready     []string       `json:"unready,omitempty"` // those whose was not
}

// CheckFinding is one thing that was found.
type CheckFinding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // fault, warning, note
	Title    string `json:"title"`
}

// CheckChange is one difference from the check before.
type CheckChange struct {
	What   string `json:"what"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Worse  bool   `json:"worse"`
	Text   string `json:"text"`
}

// CheckState is how far a check has come.
type CheckState string

// The states of a check. One whose process died is running until another takes it up.
const (
	CheckRunning CheckState = "running"
	CheckDone    CheckState = "done"
	CheckFailed  CheckState = "failed" // there is no report, and Failure says why
)

// CheckStates lists every state.
func CheckStates() []CheckState { return []CheckState{CheckRunning, CheckDone, CheckFailed} }

// CheckCause is why a check was made.
type CheckCause string

// The causes.
const (
	CauseAsked     CheckCause = "asked"
	CauseScheduled CheckCause = "scheduled"
	CauseIssued    CheckCause = "issued"   // a certificate for the name was issued
	CauseExpiring  CheckCause = "expiring" // the served certificate ends soon
)

// Check is one test of an endpoint from outside.
type Check struct {
	ID       string // "chk_…", in the order of time
	App      string // whose; empty: an operator's
	URL      string // in normal form, without a query
	Address  netip.Addr
	Callback bool
	Cause    CheckCause
	AskedBy  string // the principal's name

	CreatedAt  time.Time
	State      CheckState
	DueAt      time.Time // when the next process takes it up, if it is still running; zero once it has ended
	Tries      int       // processes that took it up
	FinishedAt time.Time
	Failure    string

	Facts   CheckFacts
	Since   string // the ID of the check that Changes compare with; empty: there was none
	Changes []CheckChange
	Report  []byte // as in Sight; lists leave it out
}

// CheckQuery selects checks, newest first. Empty fields select everything.
type CheckQuery struct {
	App   string
	URL   string // in normal form
	State CheckState

	Limit  int    // rows wanted; the store returns no more
	Beyond string // only checks older than the one with this ID
}

// Checks keeps the tests of endpoints.
type Checks interface {
	// CreateCheck commits a check that is to be run. *ClaimedError: the act's claim was made before.
	CreateCheck(ctx context.Context, k Check, act Act) error
	// Check is the one with this ID, with its report. ErrNotFound: there is none.
	Check(ctx context.Context, id string) (Check, error)
	// ListChecks is newest first, without reports.
	ListChecks(ctx context.Context, q CheckQuery) ([]Check, error)
	// DueChecks are running ones whose DueAt has come, the longest overdue first.
	DueChecks(ctx context.Context, now time.Time, limit int) ([]Check, error)
	// LeaseCheck puts off the DueAt of a check and counts its Tries, as a process does that is about to run it. ErrChanged: another was faster. It has
	// no event.
	LeaseCheck(ctx context.Context, k Check, until time.Time) error
	// FinishCheck commits how a check ended, which has the given DueAt still, and what that brings about; the endpoint has the given Version still,
	// and it is counted up. ErrChanged: one of them has not, and nothing was changed.
	FinishCheck(ctx context.Context, k Check, end CheckEnd, act Act) error
	// ForgetChecks removes those created before a time.
	ForgetChecks(ctx context.Context, before time.Time) error
}
