package validate

import (
	"fmt"
	"strings"
)

// issueValue is who may issue, and on what conditions: the content of CAA's issue
// and issuewild properties and of a standing record (RFC 8659, Section 4.2).
type issueValue struct {
	issuer     string // lower case; empty: nobody
	parameters []parameter
}

type parameter struct{ tag, value string } // tag in lower case, value as written

// parseIssueValue reads exactly the grammar:
//
//	issue-value = *WSP [issuer-domain-name *WSP] [";" *WSP [parameters *WSP]]
//	parameters = (parameter *WSP ";" *WSP parameters) / parameter
//	parameter = tag *WSP "=" *WSP value
//
// Where a part is faulty the issuer is returned all the same, if it can be told.
func parseIssueValue(text string) (issueValue, error) {
	head, rest, more := strings.Cut(text, ";")
	v := issueValue{issuer: strings.ToLower(trimSpace(head))}
	if v.issuer != "" && !isIssuerName(v.issuer) {
		return issueValue{}, fmt.Errorf("%s is not the domain name of a CA", shown(trimSpace(head)))
	}
	rest = trimSpace(rest)
	if !more || rest == "" {
		return v, nil
	}
	for part := range strings.SplitSeq(rest, ";") {
		tag, value, ok := strings.Cut(part, "=")
		tag, value = trimSpace(tag), trimSpace(value)
		switch {
		case trimSpace(part) == "":
			return v, fmt.Errorf("a parameter is empty; remove the semicolon that is too many")
		case !ok || !isLabel(tag):
			return v, fmt.Errorf("%s is not of the form tag=value", shown(trimSpace(part)))
		case strings.ContainsFunc(value, func(r rune) bool { return r < 0x21 || r > 0x7e }):
			return v, fmt.Errorf("the value of %s has a character that is not allowed there: %s", tag, shown(value))
		}
		v.parameters = append(v.parameters, parameter{strings.ToLower(tag), value})
	}
	return v, nil
}

// String is the value as this package would write it.
func (v issueValue) String() string {
	var b strings.Builder
	b.WriteString(v.issuer)
	for _, p := range v.parameters {
		b.WriteString("; " + p.tag + "=" + p.value)
	}
	return b.String()
}

// values returns what is given for a tag, in order.
func (v issueValue) values(tag string) []string {
	var all []string
	for _, p := range v.parameters {
		if p.tag == tag {
			all = append(all, p.value)
		}
	}
	return all
}

// isIssuerName: issuer-domain-name = label *("." label).
func isIssuerName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isLabel: label = tag = (ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT)).
func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// trimSpace takes WSP (RFC 5234: space and tab) off both ends.
func trimSpace(s string) string { return strings.Trim(s, " \t") }
