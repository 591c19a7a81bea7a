package egress

import "fmt"

// DNSKind tells why a lookup has no answer. The difference decides: an absent
// record is an answer, a failed lookup is none.
type DNSKind string

const (
	NoName     DNSKind = "there is no such name (NXDOMAIN)"
	NoData     DNSKind = "the name has no such record"
	Failed     DNSKind = "the DNS server could not answer"
	NoAnswer   DNSKind = "no DNS server answered in time"
	BadAnswer  DNSKind = "the DNS server's answer does not fit the question"
	EndlessWay DNSKind = "its CNAMEs lead too far or in a circle"
	BadName    DNSKind = "this is not a domain name"
)

// DNSError is a lookup without an answer.
type DNSError struct {
	Name   string  // what was asked for; at the end of a CNAME chain if there was one
	Type   string  // the record type, "TXT"
	Kind   DNSKind //
	Detail string  // server, response code, underlying error; may be empty
}

func (e *DNSError) Error() string {
	text := fmt.Sprintf("looking up %s of %s: %s", e.Type, e.Name, e.Kind)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}

// Absent tells that the DNS was asked and holds no such record.
func (e *DNSError) Absent() bool { return e.Kind == NoName || e.Kind == NoData }
