package pki

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	middleDot         = '·' // U+00B7, between two l in Catalan
	katakanaMiddleDot = '・' // U+30FB
	zeroWidthNonJoin  = '\u200c'
	zeroWidthJoin     = '\u200d'
)

// toASCII lower-cases a name and turns its international labels into punycode,
// or says why it cannot.
func toASCII(host string) (ascii, why string) {
	lower := strings.ToLower(host)
	if isASCII(lower) && !strings.HasPrefix(lower, "xn--") && !strings.Contains(lower, ".xn--") {
		return lower, ""
	}
	const broken = "is not a valid international name: check its spelling, or give it in punycode (xn--…)"
	// UTS 46 maps case, width and the dots of other scripts, and checks hyphens,
	// joiners and writing direction (RFC 5893).
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", broken
	}
	// Punycode that is not the one encoding of its label would give one name two forms.
	if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
		return "", broken
	}
	written, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return "", broken
	}
	for label := range strings.SplitSeq(written, ".") {
		if isASCII(label) {
			continue
		}
		if !idnaLabel(label) {
			return "", "has a symbol in it that international names do not have (RFC 5892): letters, digits and hyphens make a name"
		}
		if !singleScript(label) {
			return "", "mixes letters of different scripts in one label, which makes it look like another name: write each label in one script"
		}
	}
	return ascii, ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// idnaLabel holds a label to what IDNA2008 permits beyond UTS 46, which lets
// emoji and other symbols pass: letters, marks, digits, the hyphen, and of the
// characters that depend on their neighbours (RFC 5892, Appendix A) the joiners,
// which UTS 46 has checked, and the middle dots. (That Arabic digits do not mix with
// Persian ones follows from the rule for the writing direction.)
func idnaLabel(label string) bool {
	runes := []rune(label)
	for i, r := range runes {
		switch {
		case r == middleDot:
			if i == 0 || i == len(runes)-1 || runes[i-1] != 'l' || runes[i+1] != 'l' {
				return false
			}
		case r == katakanaMiddleDot:
			if !strings.ContainsFunc(label, func(r rune) bool {
				return r != katakanaMiddleDot && unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
			}) {
				return false
			}
		case r == zeroWidthJoin || r == zeroWidthNonJoin || r == '-':
		case !unicode.In(r, unicode.L, unicode.M, unicode.Nd):
			return false
		}
	}
	return true
}

// singleScript is the "highly restrictive" level of UTS 39, Section 5.2: the
// letters are of one script, or of Latin and one of the sets in which Chinese,
// Japanese and Korean are written.
func singleScript(label string) bool {
	scripts := make(map[string]bool)
	for _, r := range label {
		for name, table := range unicode.Scripts {
			if name != "Common" && name != "Inherited" && unicode.Is(table, r) {
				scripts[name] = true
				break
			}
		}
	}
	if len(scripts) <= 1 {
		return true
	}
	for _, together := range [][]string{
		{"Latin", "Han", "Hiragana", "Katakana"},
		{"Latin", "Han", "Bopomofo"},
		{"Latin", "Han", "Hangul"},
	} {
		outside := len(scripts)
		for _, name := range together {
			if scripts[name] {
				outside--
			}
		}
		if outside == 0 {
			return true
		}
	}
	return false
}
