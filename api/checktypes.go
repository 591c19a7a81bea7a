package api

import (
	"encoding/json"
	"time"
)

// CheckRequest has an endpoint tested from outside.
type CheckRequest struct {
	URL      string `json:"url,omitempty" max:"1000"`   // https://HOST[:PORT][/PATH]
	Address  string `json:"address,omitempty" max:"64"` // to go to instead of those that the name has
	Callback bool   `json:"callback,omitempty"`         // post a harmless callback, too
	App      string `json:"app,omitempty" max:"64"`     // whose history it stands in

	IdempotencyKey string `json:"-"`
}

// Check is one test of an endpoint.
type Check struct {
	ID         string          `json:"id"`
	App        string          `json:"app,omitempty"` // empty: an operator's
	URL        string          `json:"url"`           // in normal form
	Address    string          `json:"address,omitempty"`
	Callback   bool            `json:"callback"`
	State      string          `json:"state"` // "running", "done", "failed"
	Cause      string          `json:"cause"` // "asked", "scheduled", "issued", "expiring"
	AskedBy    string          `json:"asked_by"`
	CreatedAt  time.Time       `json:"created_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	Summary    string          `json:"summary,omitempty"` // "healthy", "locked_out", "open", "wrong_way", "undecided", "faulty"
	Failure    string          `json:"failure,omitempty"` // why there is no report
	Findings   []CheckFinding  `json:"findings"`
	Since      string          `json:"since,omitempty"` // the check that Changes compare with
	Changes    []CheckChange   `json:"changes"`
	Report     json.RawMessage `json:"report,omitempty"` // everything that was seen; lists leave it out
}

// CheckFinding is one thing that was found.
type CheckFinding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // "fault", "warning", "note"
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

// EndpointRequest registers an endpoint to be checked from now on.
type EndpointRequest struct {
	URL      string `json:"url,omitempty" max:"1000"`
	Callback bool   `json:"callback,omitempty"`
	App      string `json:"app,omitempty" max:"64"`
}

// Endpoint is one that is checked every day, after each issuance for its name, and before its certificate ends.
type Endpoint struct {
	ID          string     `json:"id"`
	App         string     `json:"app"`
	URL         string     `json:"url"` // in normal form
	Callback    bool       `json:"callback"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by"`
	NextCheckAt time.Time  `json:"next_check_at"`
	CheckedAt   *time.Time `json:"checked_at,omitempty"`
	Check       string     `json:"check,omitempty"`   // the ID of the last check
	Summary     string     `json:"summary,omitempty"` // of that
	Alerts      []string   `json:"alerts"`            // "open", "locked-out", "faulty", "drift", "lapsing"
	ReadyFor    []string   `json:"ready_for"`         // authorities that stand by, and by the last check would be let in
	NotReadyFor []string   `json:"not_ready_for"`     // those that would not
}

// WebhookRequest has an app told at a URL what happens to its endpoints.
type WebhookRequest struct {
	URL string `json:"url,omitempty" max:"1000"`
}

// Webhook is where an app is told.
type Webhook struct {
	ID             string     `json:"id"`
	App            string     `json:"app"`
	URL            string     `json:"url"`
	Secret         string     `json:"secret,omitempty"` // "whsec_…", only in the answer that made it
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	CreatedBy      string     `json:"created_by"`
	DeliveredAt    *time.Time `json:"delivered_at,omitempty"` // the last message that arrived
	FailingSince   *time.Time `json:"failing_since,omitempty"`
	Failure        string     `json:"failure,omitempty"` // of the last attempt
}

// AppRootRequest has checks of an app's endpoints accept server certificates under a CA certificate.
type AppRootRequest struct {
	Certificate string `json:"certificate,omitempty" max:"65536"` // PEM, one
}

// AppRoot is such a CA certificate.
type AppRoot struct {
	FingerprintSHA256 string    `json:"fingerprint_sha256"` // over the DER, lower-case hexadecimal
	App               string    `json:"app"`
	Subject           string    `json:"subject"`
	NotAfter          time.Time `json:"not_after"`
	Certificate       string    `json:"certificate"` // PEM
	CreatedAt         time.Time `json:"created_at"`
	CreatedBy         string    `json:"created_by"`
}
