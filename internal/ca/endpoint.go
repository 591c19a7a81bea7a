package ca

import (
	"context"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Endpoint is one that an app has registered: it is checked every day, after each issuance for its name, and before its certificate ends.
type Endpoint struct {
	ID        string // "end_…", in the order of time
	App       string
	URL       string   // in normal form
	Name      pki.Name // its host
	Callback  bool     // checks post a harmless callback, too
	CreatedAt time.Time
	CreatedBy string // the principal's name

	DueAt  time.Time  // when it is checked next
	Cause  CheckCause // why
	SeenAt time.Time  // certificates issued until then have had their check

	CheckedAt time.Time // zero: not yet
	CheckID   string    // the last check
	Summary   string    // of it
	Alerts    []Alert   // what is wrong since when it was told
	Ready     []string  // the authorities that stand by for the platform's certificates, and by the last check would be let in
	Unready   []string  // those that would not

	// Version counts the checks, so that two that end at once cannot overwrite each other unseen.
	Version int
}

// Alert is something about an endpoint that somebody has to know.
type Alert string

// The alerts.
const (
	AlertOpen      Alert = "open"       // strangers get in
	AlertLockedOut Alert = "locked-out" // the platform does not get in
	AlertFaulty    Alert = "faulty"     // the door is right, but calls fail or soon will
	AlertDrift     Alert = "drift"      // it serves another certificate than the newest
	AlertLapsing   Alert = "lapsing"    // its certificate ends soon, or has ended
)

// Alerts lists every alert.
func Alerts() []Alert {
	return []Alert{AlertOpen, AlertLockedOut, AlertFaulty, AlertDrift, AlertLapsing}
}

// alertsOf are those that a check gives rise to. What it could not tell stays as it was.
func alertsOf(facts CheckFacts, before []Alert) []Alert {
	found := make(map[Alert]bool)
	switch facts.Summary {
	case "open":
		found[AlertOpen] = true
	case "locked_out":
		found[AlertLockedOut] = true
	case "wrong_way":
		found[AlertOpen], found[AlertLockedOut] = true, true
	case "faulty":
		found[AlertFaulty] = true
	case "undecided":
		for _, a := range before {
			found[a] = true
		}
	}
	for _, f := range facts.Findings {
		switch f.Code {
		case "not_newest", "other_certificate":
			found[AlertDrift] = true
		case "expires_soon", "served_expired":
			found[AlertLapsing] = true
		}
	}
	return slices.DeleteFunc(Alerts(), func(a Alert) bool { return !found[a] })
}

// EndpointQuery selects endpoints, oldest first. Empty fields select everything.
type EndpointQuery struct {
	App    string
	Limit  int    // rows wanted; the store returns no more
	Beyond string // only endpoints younger than the one with this ID
}

// Endpoints keeps what apps have registered.
type Endpoints interface {
	// CreateEndpoint: ErrExists when the app has one with this URL, ErrFull when it has that many.
	CreateEndpoint(ctx context.Context, e Endpoint, most int, act Act) error
	// Endpoint: ErrNotFound when there is none with this ID.
	Endpoint(ctx context.Context, id string) (Endpoint, error)
	// EndpointAt is an app's with this URL. ErrNotFound: it has none.
	EndpointAt(ctx context.Context, app, url string) (Endpoint, error)
	ListEndpoints(ctx context.Context, q EndpointQuery) ([]Endpoint, error)
	// RemoveEndpoint: ErrNotFound when there is none.
	RemoveEndpoint(ctx context.Context, id string, act Act) error
	// DueEndpoints are those whose DueAt has come, the longest overdue first.
	DueEndpoints(ctx context.Context, now time.Time, limit int) ([]Endpoint, error)
	// ScheduleCheck commits a check of an endpoint whose DueAt is still the given one, and puts that off, for CauseScheduled. ErrChanged: another was
	// faster.
	ScheduleCheck(ctx context.Context, e Endpoint, next time.Time, k Check, act Act) error
	// HastenEndpoints has the endpoints for whose names their app got certificates after SeenAt checked at a time, or when they were to be before,
	// and takes note of those certificates. It has no event.
	HastenEndpoints(ctx context.Context, due time.Time) error
}
