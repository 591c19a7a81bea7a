package pki

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of RFC 1035, Section 2.3.4, without the root's dot.
const (
	maxNameLength  = 253
	maxLabelLength = 63
)

// Name is what a certificate is issued for: a DNS name, which may begin with the
// wildcard label "*", or an IP address. It is in normal form (lower case,
// punycode, no final dot; addresses as RFC 5952 writes them), so names are the
// same when they are ==. The zero value is no name.
type Name struct {
	text string
	addr netip.Addr // valid for an IP address only
}

// NameError says why a text is no name and what to write instead.
type NameError struct {
	Index int    // place in the list given to ParseNames; 0 from ParseName and CheckPublic
	Input string // the text as it came
	Why   string // what is wrong with it and how to mend it
}

func (e *NameError) Error() string { return fmt.Sprintf("%q %s", short(e.Input), e.Why) }

// NameErrors are the faults of a list of names, in its order. errors.As finds the
// single *NameError too.
type NameErrors []*NameError

func (e NameErrors) Error() string {
	const shown = 10
	var b strings.Builder
	for i, fault := range e {
		if i > 0 {
			b.WriteString("; ")
		}
		if i == shown {
			fmt.Fprintf(&b, "and %d more", len(e)-shown)
			break
		}
		b.WriteString(fault.Error())
	}
	return b.String()
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e NameErrors) Unwrap() []error {
	faults := make([]error, len(e))
	for i, fault := range e {
		faults[i] = fault
	}
	return faults
}

// ParseName brings a DNS name or an IP address into normal form: it lower-cases,
// drops one final dot, turns an international name into punycode and an
// IPv4-mapped IPv6 address into IPv4. Whatever is not a name is a *NameError.
//
// It asks only whether this is a name. Whether anyone may have a certificate for
// it is another question: see CheckPublic.
func ParseName(text string) (Name, error) {
	name, why := parseName(text)
	if why != "" {
		return Name{}, &NameError{Input: text, Why: why}
	}
	return name, nil
}

// ParseNames is ParseName for a list. The result keeps its order and has each
// name once. All faults are reported together, as NameErrors.
func ParseNames(texts []string) ([]Name, error) {
	var faults NameErrors
	names := make([]Name, 0, len(texts))
	seen := make(map[Name]bool, len(texts))
	for i, text := range texts {
		name, why := parseName(text)
		switch {
		case why != "":
			faults = append(faults, &NameError{Index: i, Input: text, Why: why})
		case !seen[name]:
			seen[name] = true
			names = append(names, name)
		}
	}
	if faults != nil {
		return nil, faults
	}
	return names, nil
}

// NameFromAddr is the name of an IP address. Like ParseName it knows no zones: of
// fe80::1%eth0 it keeps fe80::1.
func NameFromAddr(addr netip.Addr) Name {
	if !addr.IsValid() {
		return Name{}
	}
	addr = addr.Unmap().WithZone("")
	return Name{text: addr.String(), addr: addr}
}

// RecordedName is the name whose String was this. It checks nothing: what was recorded
// once can be read for ever, though ParseName may learn to refuse it.
func RecordedName(normal string) Name {
	if addr, err := netip.ParseAddr(normal); err == nil {
		return NameFromAddr(addr)
	}
	return Name{text: normal}
}

// String is the normal form.
func (n Name) String() string { return n.text }

// IsZero reports whether n is the zero value, which is no name.
func (n Name) IsZero() bool { return n == Name{} }

// IsIP reports whether n is an IP address.
func (n Name) IsIP() bool { return n.addr.IsValid() }

// Addr is the IP address; the zero Addr for a DNS name.
func (n Name) Addr() netip.Addr { return n.addr }

// IsWildcard reports whether n is a DNS name that begins with "*.".
func (n Name) IsWildcard() bool { return strings.HasPrefix(n.text, "*.") }

// Base is the name below which a wildcard stands; any other name is its own base.
func (n Name) Base() Name {
	if n.IsWildcard() {
		return Name{text: n.text[len("*."):]}
	}
	return n
}

// Reversed is the DNS name with its labels in the opposite order, as indexes for
// searches by suffix want it: "www.example.com" is "com.example.www". An IP
// address stays as it is.
func (n Name) Reversed() string {
	if n.IsIP() {
		return n.text
	}
	labels := strings.Split(n.text, ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// MarshalText is String.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText is ParseName.
func (n *Name) UnmarshalText(text []byte) error {
	parsed, err := ParseName(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}

// parseName returns the name, or why there is none.
func parseName(text string) (Name, string) {
	if why := checkShape(text); why != "" {
		return Name{}, why
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return Name{}, "has a zone, which means something on one machine only: give the address without what follows %"
		}
		return NameFromAddr(addr), ""
	}
	if why := checkNotAddress(text); why != "" {
		return Name{}, why
	}
	host := strings.TrimSuffix(text, ".")
	base, wildcard := strings.CutPrefix(host, "*.")
	if strings.Contains(base, "*") {
		return Name{}, "has a * where none may stand: a wildcard is one whole label at the very left, such as *.example.com"
	}
	base, why := toASCII(base)
	if why == "" {
		why = checkLabels(base)
	}
	if why != "" {
		return Name{}, why
	}
	if wildcard {
		base = "*." + base
	}
	if len(base) > maxNameLength {
		return Name{}, fmt.Sprintf("is too long: a name has at most %d characters (in punycode, if it is international)", maxNameLength)
	}
	return Name{text: base}, ""
}

// checkShape tells what stands there when it is not a bare host name.
func checkShape(text string) string {
	switch {
	case text == "" || text == ".":
		return "is no name: give a host name such as www.example.com"
	case len(text) > 4*maxNameLength:
		// Punycode is never shorter than a quarter of the UTF-8 that it stands
		// for. This also bounds the work below.
		return fmt.Sprintf("is too long: a name has at most %d characters", maxNameLength)
	case !utf8.ValidString(text):
		return "is not UTF-8: give the name in UTF-8 or in punycode (xn--…)"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "has a space, line end or control character in it: give the host name alone, one name per entry"
	}
	if strings.Contains(text, "://") {
		if u, err := url.Parse(text); err == nil {
			return suggest("is a URL: give only the host name", u.Hostname())
		}
		return "is a URL: give only the host name"
	}
	if host, _, found := strings.Cut(text, "/"); found {
		return suggest("has a / in it: give only the host name or address", host)
	}
	if _, host, found := strings.Cut(text, "@"); found {
		return suggest("is a mail address: give only the host name", host)
	}
	if i := strings.IndexAny(text, "\"'`<>(){}|\\^;,$&!?#=+~"); i >= 0 {
		return fmt.Sprintf("has the character %s in it, which no host name has: leave it out", quote(text[i:i+1]))
	}
	return ""
}

// checkNotAddress refuses what is neither an address nor a DNS name because of
// colons and brackets.
func checkNotAddress(text string) string {
	if inside, found := strings.CutPrefix(text, "["); found {
		inside, _, _ = strings.Cut(inside, "]")
		return suggest("has brackets, as in a URL: give only the address", inside)
	}
	switch host, _, _ := strings.Cut(text, ":"); strings.Count(text, ":") {
	case 0:
		return ""
	case 1:
		return suggest("has a port: give only the host name", host)
	default:
		return "is not an IPv6 address: write it as 2001:db8::1"
	}
}

// suggest adds the name that was meant, when host is one.
func suggest(why, host string) string {
	if name, fault := parseName(host); fault == "" {
		return fmt.Sprintf("%s: %s", why, name)
	}
	return why
}

// checkLabels holds a lower-case ASCII name to RFC 1123, Section 2.1.
func checkLabels(host string) string {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return "has an empty label, at its ends or between two dots: write it with single dots, such as www.example.com"
		case len(label) > maxLabelLength:
			return fmt.Sprintf("has a label of %d characters: the part between two dots has at most %d", len(label), maxLabelLength)
		case label[0] == '-' || label[len(label)-1] == '-':
			return "has a label that begins or ends with a hyphen: leave the hyphen out"
		case strings.Contains(label, "_"):
			return "has an underscore, which host names do not have: use the name by which the server is called, with a hyphen perhaps"
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return fmt.Sprintf("has the character %s in it: letters, digits and hyphens make a host name", quote(label[i:i+1]))
			}
		}
		// RFC 5890, Section 2.3.1: labels like this are reserved; only "xn--" is in use.
		if len(label) >= 4 && label[2:4] == "--" && !strings.HasPrefix(label, "xn--") {
			return "has a label with hyphens as its third and fourth character, which are reserved: use another name"
		}
	}
	// RFC 1123, Section 2.1: a name cannot look like an address; the last label is alphabetic.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "is neither a name nor an address: an IPv4 address has four numbers from 0 to 255, such as 192.0.2.1, and the last label of a name is no number"
	}
	return ""
}

// quote shows a stranger's text in a message: quoted, and not at full length.
func quote(text string) string { return fmt.Sprintf("%q", short(text)) }

// short is a text that is not longer than a line.
func short(text string) string {
	const most = 80
	if len(text) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return text
}
