package validate

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Standing is a standing record that proves control.
type Standing struct {
	// Wildcard extends the proof to every name below, wildcards included.
	Wildcard bool
	// Until is the moment after which the proof must not be relied on; zero: the
	// record sets no end.
	Until time.Time
	// Account is the one of the accounts asked for that the record names.
	Account string
}

// Standing proves control over a name by a TXT record that stays: at
// StandingName(name) it names this CA and one of these accounts
// (draft-ietf-acme-dns-persist, Section 4). Comparing account URIs is exact. For a
// wildcard the record must say policy=wildcard; a name below another is asked for
// with the other's name, if its Standing.Wildcard is to count.
func (v *Validator) Standing(ctx context.Context, name pki.Name, accounts []string) (Standing, error) {
	fail := func(kind Kind, format string, arguments ...any) (Standing, error) {
		return Standing{}, &Error{Kind: kind, Name: name, Method: MethodDNSPersist, Detail: fmt.Sprintf(format, arguments...)}
	}
	switch {
	case name.IsIP():
		return fail(KindMalformed, "%s is an IP address, which a DNS record cannot prove; use http-01 or tls-alpn-01", name)
	case len(v.identities) == 0 || len(accounts) == 0:
		return fail(KindInternal, "standing records are not set up here: the CA needs a name for CAA and the applicant an account; use dns-01")
	}
	at := StandingName(name)
	mend := fmt.Sprintf("publish this record: %s. TXT %q", at, StandingValue(v.identities[0], accounts[0], name.IsWildcard()))
	texts, where, err := v.lookupTXT(ctx, name, MethodDNSPersist, at, mend)
	if err != nil {
		return Standing{}, err
	}
	now := v.now()
	var best *Standing
	kind, reasons := KindUnauthorized, []string(nil)
	for _, text := range texts {
		record, mine, err := v.parseStanding(text)
		if !mine {
			continue
		}
		if err != nil {
			kind, reasons = KindMalformed, append(reasons, fmt.Sprintf("%s: %v", shown(text), err))
			continue
		}
		if why := record.judge(name, accounts, now); why != "" {
			reasons = append(reasons, fmt.Sprintf("%s: %s", shown(text), why))
			continue
		}
		if best == nil || record.reachesBeyond(*best) {
			best = &record.Standing
		}
	}
	switch {
	case best != nil:
		return *best, nil
	case len(reasons) > 0:
		return fail(kind, "the record at %s proves nothing: %s; %s", at, strings.Join(reasons[:min(len(reasons), 3)], "; "), mend)
	}
	return fail(KindUnauthorized, "none of the %s is for %s; %s", describeTXT(texts, at, where), v.identities[0], mend)
}

// standingRecord is a well-formed record for this CA.
type standingRecord struct{ Standing }

// parseStanding reads a record; mine tells whether it is for this CA, and so
// whether an error in it matters.
func (v *Validator) parseStanding(text string) (record standingRecord, mine bool, err error) {
	value, err := parseIssueValue(text)
	if !v.isMine(value.issuer) {
		return record, false, err
	}
	if err != nil {
		return record, true, err
	}
	for _, tag := range []string{"accounturi", "policy", "persistuntil"} {
		if len(value.values(tag)) > 1 {
			return record, true, fmt.Errorf("%s is given twice", tag)
		}
	}
	for _, p := range value.parameters {
		switch p.tag {
		case "accounturi":
			record.Account = p.value
		case "policy":
			// Any other policy counts as none.
			record.Wildcard = strings.EqualFold(p.value, "wildcard")
		case "persistuntil":
			if record.Until, err = parseUntil(p.value); err != nil {
				return record, true, err
			}
		}
	}
	if record.Account == "" {
		return record, true, fmt.Errorf("it names no account: accounturi is missing")
	}
	return record, true, nil
}

// parseUntil reads seconds since 1970 in plain decimal.
func parseUntil(text string) (time.Time, error) {
	const endOf9999 = 253402300799 // what lies beyond has no form in JSON or X.509
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil || seconds > endOf9999 {
		return time.Time{}, fmt.Errorf("persistUntil=%s is not a time; write seconds since 1970, such as 1893456000", shown(text))
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// judge returns why a record does not prove a name now, or nothing.
func (r standingRecord) judge(name pki.Name, accounts []string, now time.Time) string {
	switch {
	case !slices.Contains(accounts, r.Account):
		return "it is for another account"
	case !r.Until.IsZero() && now.After(r.Until):
		return "it ended at " + r.Until.Format(time.RFC3339)
	case name.IsWildcard() && !r.Wildcard:
		return "it does not say policy=wildcard"
	}
	return ""
}

// reachesBeyond orders records that all prove the name: wider first, then longer.
func (r standingRecord) reachesBeyond(other Standing) bool {
	if r.Wildcard != other.Wildcard {
		return r.Wildcard
	}
	return !other.Until.IsZero() && (r.Until.IsZero() || r.Until.After(other.Until))
}
