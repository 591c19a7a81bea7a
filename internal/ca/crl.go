package ca

import (
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// CRL is a published revocation list. It never changes: many may read it at once.
type CRL struct {
	issuer.CRL
	Authority   string
	PublishedAt time.Time

	// RegularAt is when the latest list on schedule was published: this one, or one before it. The lists between are for those who cannot
	// wait, and drop nothing.
	RegularAt time.Time

	// ListsFrom says what is on the list: every revoked certificate of the authority whose NotAfter is not before it, and no other.
	ListsFrom time.Time

	Count int // of entries
}

// CRLState is how the list of an authority stands.
type CRLState struct {
	Authority string
	Number    int64 // of the latest list; 0 when there is none
	Waiting   bool  // there are changes that it does not show
}

// Standing is what is to be said of a certificate by its serial.
type Standing struct {
	Authority  string
	Revocation *Revocation // nil when it is not revoked
}

// Revoked is a revoked certificate.
type Revoked struct {
	Serial   pki.Serial
	NotAfter time.Time
	Revocation
}

// RevokedQuery selects revoked certificates of an authority.
type RevokedQuery struct {
	Authority string
	From, To  time.Time // NotAfter ≥ From, NotAfter < To; a zero To is no bound
	Beyond    *Revoked  // only those after this one; nil: from the first
	Limit     int
}

// Unpublished is a change of a revocation that no list shows.
type Unpublished struct {
	ID         string // opaque: the store's
	Serial     pki.Serial
	NotAfter   time.Time
	Revocation *Revocation // as it is now; nil: it was lifted
}

// CRLSchedule says when lists are published without need, and for how long each is good.
type CRLSchedule struct {
	Interval time.Duration // between two lists when nothing is revoked; an hour when zero
	Lifetime time.Duration // from a list to its nextUpdate; 7 days when zero
}

// The bounds of a schedule.
const (
	minCRLInterval = time.Minute
	maxCRLLifetime = 366 * 24 * time.Hour

	// crlWeekend is what must be left when a list fails to come: who is called on Friday evening is back on Monday morning, before the
	// last list lapses and every server that checks it refuses everyone.
	crlWeekend = 72 * time.Hour
)

// Validate fills in the defaults and checks that the schedule leaves an operator's weekend before a list lapses.
func (s CRLSchedule) Validate() (CRLSchedule, error) {
	if s.Interval == 0 {
		s.Interval = time.Hour
	}
	if s.Lifetime == 0 {
		s.Lifetime = 7 * 24 * time.Hour
	}
	switch {
	case s.Interval < minCRLInterval:
		return s, fmt.Errorf("revocation lists every %v: give a minute or more; what is revoked is published at once anyway", s.Interval)
	case s.Lifetime > maxCRLLifetime:
		return s, fmt.Errorf("revocation lists that are good for %v: give a year or less", s.Lifetime)
	case s.Lifetime-s.Interval < crlWeekend:
		return s, fmt.Errorf("revocation lists every %v that are good for %v: let them be good for %v or more, so that there is a weekend to mend what keeps the next one from coming before servers refuse everyone",
			s.Interval, s.Lifetime, s.Interval+crlWeekend)
	}
	return s, nil
}
