package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/pki"
)

// CAA asks whether the owner of a name lets this CA issue for it (RFC 8659) to one
// of these account URIs, proven by this method (RFC 8657). Accounts are the URIs by
// which CAA may call the applicant: its app, its ACME account. A name without CAA
// records, and an IP address, is open to every CA.
//
// A question that finds no answer forbids too: the record that says no may be
// behind it.
func (v *Validator) CAA(ctx context.Context, name pki.Name, accounts []string, method Method) error {
	if name.IsIP() {
		return nil // RFC 8659 speaks of domain names only.
	}
	bounded, cancel := v.bound(ctx)
	defer cancel()
	// RFC 8659, Section 3: the records closest to the name count, and they alone.
	for at := name.Base().String(); at != ""; _, at, _ = strings.Cut(at, ".") {
		records, err := v.guard.LookupCAA(bounded, at)
		if absent(err) {
			continue
		}
		if err != nil {
			return failure(ctx, name, "", "checking CAA of "+name.String(), err,
				"see that its name servers answer questions for CAA, then try again")
		}
		if why := v.judgeCAA(records, name.IsWildcard(), accounts, method); why != "" {
			return &Error{Kind: KindCAA, Name: name, Detail: fmt.Sprintf("CAA at %s forbids it: %s; %s", at, why, v.mendCAA(at))}
		}
		return nil
	}
	return nil
}

func (v *Validator) mendCAA(at string) string {
	if len(v.identities) == 0 {
		return "this CA has no name for CAA records yet: ask its operator"
	}
	return fmt.Sprintf("publish this record as well: %s. CAA 0 issue %q", at, v.identities[0])
}

// judgeCAA returns why a relevant set of records forbids issuance, or nothing.
func (v *Validator) judgeCAA(records []egress.CAA, wildcard bool, accounts []string, method Method) string {
	var issue, issuewild []string
	for _, r := range records {
		switch strings.ToLower(r.Tag) {
		case "issue":
			issue = append(issue, r.Value)
		case "issuewild":
			issuewild = append(issuewild, r.Value)
		case "iodef", "issuemail", "contactemail", "contactphone":
			// Known, and no matter of issuing for a server.
		default:
			// RFC 8659, Section 4.5.
			if r.Critical {
				return fmt.Sprintf("its property %s is critical and unknown to this CA", shown(r.Tag))
			}
		}
	}
	// RFC 8659, Section 4.3: issuewild goes before issue, for wildcards only.
	relevant := issue
	if wildcard && len(issuewild) > 0 {
		relevant = issuewild
	}
	if len(relevant) == 0 {
		return ""
	}
	var reasons []string
	for _, value := range relevant {
		why := v.judgeIssue(value, accounts, method)
		if why == "" {
			return ""
		}
		if len(reasons) < 5 {
			reasons = append(reasons, why)
		}
	}
	return strings.Join(reasons, ", ")
}

// judgeIssue returns why one issue or issuewild property does not allow issuance,
// or nothing.
func (v *Validator) judgeIssue(text string, accounts []string, method Method) string {
	value, err := parseIssueValue(text)
	if err != nil {
		// RFC 8659, Section 4.2: as if it named nobody.
		return fmt.Sprintf("%s allows nobody, because %v", shown(text), err)
	}
	if value.issuer == "" {
		return fmt.Sprintf("%s allows nobody", shown(text))
	}
	if !v.isMine(value.issuer) {
		return fmt.Sprintf("%s allows another CA", shown(text))
	}
	// RFC 8657, Section 3: several accounturi cannot be satisfied. Several
	// validationmethods it leaves open; they are treated alike.
	if uris := value.values("accounturi"); len(uris) > 1 || len(uris) == 1 && !slices.Contains(accounts, uris[0]) {
		return fmt.Sprintf("%s allows another account (yours: %s)", shown(text), strings.Join(accounts, ", "))
	}
	if methods := value.values("validationmethods"); len(methods) > 1 ||
		len(methods) == 1 && !slices.Contains(strings.Split(methods[0], ","), string(method)) {
		return fmt.Sprintf("%s does not allow the method %s", shown(text), method)
	}
	return ""
}
