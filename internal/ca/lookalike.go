package ca

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"

	"github.com/imca-project/imca/internal/pki"
)

// lookAlike tells why a name might be taken for one of the brands, or nothing. It errs on the side of asking: an operator decides.
func (c *CA) lookAlike(n pki.Name) string {
	if n.IsIP() {
		return ""
	}
	for label := range strings.SplitSeq(n.Base().String(), ".") {
		shape := skeleton(label)
		for _, brand := range c.rules.Brands {
			if resembles(shape, skeleton(brand)) {
				return fmt.Sprintf("%s looks like the brand %s", n.Base(), brand)
			}
		}
	}
	return ""
}

// resembles compares by shape: a long brand may be part of a label or have one letter wrong, a short one must be a whole word of it.
func resembles(label, brand string) bool {
	const short = 4
	words := strings.Split(label, "-")
	joined := strings.Join(words, "")
	if len(brand) <= short {
		for _, w := range words {
			if w == brand {
				return true
			}
		}
		return joined == brand
	}
	if strings.Contains(joined, brand) {
		return true
	}
	for _, w := range append(words, joined) {
		if nearly(w, brand) {
			return true
		}
	}
	return false
}

// skeleton is a label as the eye reads it: letters of other scripts and digits as the Latin letters that they resemble (after Unicode Technical
// Standard 39, of which these are the ones that people use).
func skeleton(label string) string {
	if text, err := idna.Punycode.ToUnicode(label); err == nil {
		label = text
	}
	return strings.NewReplacer(
		"0", "o", "1", "l", "3", "e", "5", "s", "7", "t", "8", "b", "i", "l", "rn", "m", "vv", "w", "_", "-",
		"а", "a", "в", "b", "с", "c", "е", "e", "ё", "e", "һ", "h", "і", "l", "ј", "j", "к", "k", "м", "m", "н", "h", "о", "o", "р", "p", "ԛ", "q", "г", "r", "ѕ", "s", "т", "t", "у", "y", "ѵ", "v", "ԝ", "w", "х", "x",
		"α", "a", "ε", "e", "ι", "l", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t", "υ", "u", "ω", "w", "χ", "x",
		"à", "a", "á", "a", "â", "a", "ä", "a", "å", "a", "ą", "a", "ç", "c", "ć", "c", "è", "e", "é", "e", "ê", "e", "ë", "e", "ę", "e", "ì", "l", "í", "l", "ï", "l", "ı", "l", "ł", "l", "ñ", "n", "ń", "n", "ò", "o", "ó", "o", "ô", "o", "ö", "o", "ø", "o", "ś", "s", "š", "s", "ù", "u", "ú", "u", "ü", "u", "ý", "y", "ž", "z",
	).Replace(strings.ToLower(label))
}

// nearly tells whether two words differ by one letter: another, one more, one less, or two that changed places.
func nearly(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || a == b {
		return a == b
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
