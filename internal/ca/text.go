package ca

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/imca-project/imca/internal/pki"
)

// joined lists values for a person: "a, b, c".
func joined[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

// sentence is an error's text as the detail of a problem: with a stop at the end.
func sentence(err error) string {
	text := err.Error()
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// printable tells whether a text can stand on one line of a log or a table.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// oneLine makes of what somebody typed a text that every database and log takes: valid UTF-8, no control characters, at most 255 bytes.
func oneLine(s string) string {
	const most = 255
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s[:min(len(s), most)])
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// summary is what the event of a request tells, before it is known whether it will be granted.
func (r IssueRequest) summary() map[string]string {
	const most = 500 // characters of what a stranger typed
	detail := map[string]string{"profile": r.Profile}
	if names := strings.Join(r.Domains, " "); names != "" {
		detail["domains"] = strings.ToValidUTF8(names[:min(len(names), most)], "")
	}
	if !r.Replaces.IsZero() {
		detail["replaces"] = r.Replaces.String()
	}
	return detail
}

// summary is what the event of an issuance tells.
func (c *Certificate) summary(csr *pki.CSR) map[string]string {
	detail := map[string]string{
		"profile":  c.Profile,
		"domains":  joined(c.Names),
		"key_type": string(c.KeyType),
		"key":      "made by the authority",
	}
	if csr != nil {
		detail["key"] = "from a CSR"
		if len(csr.Ignored) > 0 {
			detail["ignored"] = strings.Join(csr.Ignored, "; ")
		}
	}
	if !c.Replaces.IsZero() {
		detail["replaces"] = c.Replaces.String()
	}
	return detail
}
