package phrasebook

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// phrase is an English sentence with slots, and its translation. There is one literal more than slots: before, between and behind them.
type phrase struct {
	english  string
	literals []string
	slots    []slot
	pieces   []piece // of the translation
	names    int     // different slots: one that stands in the English twice has the same value twice
	weight   int     // bytes of the literals
	longest  string  // literal
}

// slot is where a value stands.
type slot struct {
	index int // among the values
	kind  slotKind
}

// slotKind is what a value can look like.
type slotKind int

const (
	anything slotKind = iota
	number            // %d
	quoted            // %q, as strconv.Quote writes it: what is inside cannot be mistaken for what comes after
)

// piece is a part of a translation: text, or a value where slot is not negative.
type piece struct {
	text    string
	slot    int
	looksUp bool // the value is a text of its own
}

// verb finds what fmt fills in, %% and names in braces.
var verb = regexp.MustCompile(`%[-+# 0]*(?:\[(\d+)\])?\d*(?:\.\d+)?([a-zA-Z%])|\{([a-z]+)\}`)

// place finds where a translation has values.
var place = regexp.MustCompile(`\{(~?)([a-z]+|\d+)\}`)

// parsePhrase reads a phrase. A value is called in the translation by its number, from 1, or by its name.
func parsePhrase(english, translation string) (*phrase, error) {
	p := &phrase{english: english}
	english = strings.ReplaceAll(english, "\n", " ") // as in the texts that are read
	indices := make(map[string]int)
	var literal strings.Builder
	at, next := 0, 1
	for _, m := range verb.FindAllStringSubmatchIndex(english, -1) {
		literal.WriteString(english[at:m[0]])
		at = m[1]
		s, name := slot{}, ""
		switch {
		case m[6] >= 0:
			name = english[m[6]:m[7]]
		case english[m[4]:m[5]] == "%":
			literal.WriteByte('%')
			continue
		default:
			if m[2] >= 0 {
				next, _ = strconv.Atoi(english[m[2]:m[3]]) // digits
			}
			name, next = strconv.Itoa(next), next+1
			s.kind = map[string]slotKind{"d": number, "q": quoted}[english[m[4]:m[5]]]
		}
		if _, known := indices[name]; !known {
			indices[name] = len(indices)
		}
		s.index = indices[name]
		p.literals, p.slots = append(p.literals, literal.String()), append(p.slots, s)
		literal.Reset()
	}
	literal.WriteString(english[at:])
	p.literals, p.names = append(p.literals, literal.String()), len(indices)
	return p, errors.Join(p.measure(), p.translate(translation, indices))
}

// measure weighs the literals.
func (p *phrase) measure() error {
	for i, l := range p.literals {
		p.weight += len(l)
		if len(l) > len(p.longest) {
			p.longest = l
		}
		if l == "" && i > 0 && i < len(p.slots) {
			return fmt.Errorf("the values %d and %d stand side by side, so that nobody can tell them apart: put a text between them", i, i+1)
		}
	}
	return nil
}

// translate takes the translation apart.
func (p *phrase) translate(translation string, indices map[string]int) error {
	if strings.TrimSpace(translation) == "" {
		return errors.New("it has no translation")
	}
	used, at := make([]bool, len(indices)), 0
	for _, m := range place.FindAllStringSubmatchIndex(translation, -1) {
		name := translation[m[4]:m[5]]
		index, known := indices[name]
		if !known {
			return fmt.Errorf("its translation has {%s}, which the English has not", name)
		}
		used[index] = true
		p.pieces = append(p.pieces, piece{translation[at:m[0]], -1, false}, piece{"", index, m[2] < m[3]})
		at = m[1]
	}
	p.pieces = append(p.pieces, piece{translation[at:], -1, false})
	for name, index := range indices {
		if !used[index] {
			return fmt.Errorf("its translation lacks {%s}", name)
		}
	}
	p.pieces = slices.DeleteFunc(p.pieces, func(one piece) bool { return one.slot < 0 && one.text == "" })
	return nil
}

// isOpen tells whether a value stands at the very begin or end, so that nothing bounds it.
func (p *phrase) isOpen(index int) bool {
	n := len(p.slots)
	return p.literals[0] == "" && p.slots[0].index == index || p.literals[n] == "" && p.slots[n-1].index == index
}

// mayFit looks at what is quick to look at.
func (p *phrase) mayFit(text string) bool {
	return len(text) >= p.weight && strings.HasPrefix(text, p.literals[0]) && strings.HasSuffix(text, p.literals[len(p.literals)-1]) &&
		strings.Contains(text, p.longest)
}
