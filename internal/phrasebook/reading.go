package phrasebook

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Part is a stretch of a translated text.
type Part struct {
	Text    string
	Foreign bool // the book does not know it: it is as it was
}

const (
	// mostSteps bounds the work for one text, counted in looks at one value. A look into the book is lookSteps for every lookBytes of the text. An
	// ordinary text takes some hundreds of steps.
	mostSteps = 10_000
	lookSteps = 25
	lookBytes = 128
	// longest is how long a text may be: nothing of ours comes near it.
	longest = 8 << 10
	// deepest is how far texts within texts are looked up.
	deepest = 8
	// mostSentences is how many sentences of a text are told apart.
	mostSentences = 16
)

// Translate says a text in the language of the book. What the parts say together is never empty where the text is not.
func (b *Book) Translate(text string) []Part {
	if b == nil || text == "" {
		return []Part{{Text: text}}
	}
	if len(text) > longest {
		return []Part{{Text: text, Foreign: foreign(text)}}
	}
	r := &reading{book: b, steps: mostSteps, known: make(map[string][]Part)}
	text = strings.ReplaceAll(text, "\n", " ")
	parts, understood := r.whole(text, 0)
	if !understood {
		parts = r.some(text, 0)
	}
	return merged(parts)
}

// merged joins neighbours of the same kind.
func merged(parts []Part) (all []Part) {
	for _, p := range parts {
		if n := len(all); n > 0 && all[n-1].Foreign == p.Foreign {
			all[n-1].Text += p.Text
		} else if p.Text != "" {
			all = append(all, p)
		}
	}
	return all
}

// reading is the translation of one text.
type reading struct {
	book  *Book
	steps int
	known map[string][]Part // what whole has found; nil: nothing
}

// whole translates a text of which everything is understood: it, and each text within it. ok is false if there is no such way to read it.
func (r *reading) whole(text string, depth int) (parts []Part, ok bool) {
	if depth > deepest {
		return nil, false
	}
	if parts, looked := r.known[text]; looked {
		return parts, parts != nil
	}
	if r.steps -= lookSteps * (1 + len(text)/lookBytes); r.steps < 0 {
		return nil, false
	}
	r.known[text] = nil                                         // within itself it is not
	if bare, stopped := strings.CutSuffix(text, "."); stopped { // a clause that was made a sentence, most likely
		if parts, ok = r.whole(bare, depth+1); ok {
			parts = r.stop(parts)
		}
	}
	if !ok {
		parts, ok = r.phrase(text, depth, wholly)
	}
	if !ok {
		parts, ok = r.sentences(text, depth)
	}
	if !ok {
		parts, ok = r.list(text, depth)
	}
	if ok {
		r.known[text] = parts
	}
	return parts, ok
}

// care is how much of a reading has to be understood.
type care int

const (
	wholly  care = iota // everything
	mostly              // no value at the begin or end of a phrase is several words: it would have swallowed another phrase
	loosely             // the phrase
)

// phrase translates a text that was made by one phrase.
func (r *reading) phrase(text string, depth int, c care) (parts []Part, ok bool) {
	for _, p := range r.book.candidates(text) {
		if r.fit(p, text, func(values []string) bool { parts, ok = r.fill(p, values, depth, c); return ok }) {
			return parts, true
		}
	}
	return nil, false
}

// stop puts a full stop to a translated text.
func (r *reading) stop(parts []Part) []Part {
	mark := r.book.marks["."]
	if strings.HasSuffix(parts[len(parts)-1].Text, mark) {
		return parts
	}
	return append(slices.Clone(parts), Part{Text: mark})
}

// some translates what is understood of a text.
func (r *reading) some(text string, depth int) (parts []Part) {
	if depth < deepest && r.steps > 0 {
		if bare, stopped := strings.CutSuffix(text, "."); stopped && len(split(text)) == 1 {
			if parts = r.some(bare, depth+1); len(parts) > 1 || parts[0].Text != bare {
				return r.stop(parts)
			}
		}
		for _, c := range []care{mostly, loosely} {
			if parts, ok := r.phrase(text, depth, c); ok {
				return parts
			}
		}
	}
	return r.sentencesOf(text, depth)
}

// sentencesOf translates those sentences of a text that are understood: of the first ones as many together as possible, and so on.
func (r *reading) sentencesOf(text string, depth int) (parts []Part) {
	pieces := split(text)
	known, before := false, false // whether one is understood, and whether the one before is
	for len(pieces) > 0 && len(pieces[0]) < len(text) {
		n, told, understood := r.first(pieces, depth)
		if gap := " "; len(parts) > 0 {
			if before && understood {
				gap = r.book.marks[" "]
			}
			parts = append(parts, Part{Text: gap})
		}
		parts, pieces = append(parts, told...), pieces[n:]
		known, before = known || understood, understood
	}
	if !known {
		return []Part{{Text: text, Foreign: foreign(text)}}
	}
	return parts
}

// first translates the first sentences: n of them.
func (r *reading) first(pieces []string, depth int) (n int, told []Part, understood bool) {
	for n := len(pieces); n > 0; n-- {
		if told, ok := r.whole(strings.Join(pieces[:n], " "), depth+1); ok {
			return n, told, true
		}
	}
	told = r.some(pieces[0], depth+1)
	return 1, told, len(told) > 1 || told[0].Text != pieces[0]
}

// foreign tells whether a text that is not understood is one of words, and of another language: people write their reasons in their own.
func foreign(text string) bool {
	return !own.MatchString(text) && (strings.Contains(text, " ") || oneWord.MatchString(text))
}

var own = regexp.MustCompile(`\p{Han}`)

// sentences translates several sentences, or finds one of them that is not understood.
func (r *reading) sentences(text string, depth int) (parts []Part, ok bool) {
	pieces := split(text)
	if len(pieces) == 1 {
		return nil, false
	}
	for len(pieces) > 0 {
		n := len(pieces)
		for ; n > 0; n-- {
			if n == len(pieces) && parts == nil {
				continue // the whole text is what the caller has tried
			}
			if told, understood := r.whole(strings.Join(pieces[:n], " "), depth+1); understood {
				if parts != nil {
					parts = append(parts, Part{Text: r.book.marks[" "]})
				}
				parts = append(parts, told...)
				break
			}
		}
		if n == 0 {
			return nil, false
		}
		pieces = pieces[n:]
	}
	return parts, true
}

// split takes a text apart into sentences.
func split(text string) (pieces []string) {
	begin := 0
	for i := 1; i+1 < len(text) && len(pieces) < mostSentences-1; i++ {
		if text[i] == ' ' && strings.IndexByte(".?!", text[i-1]) >= 0 && ('A' <= text[i+1] && text[i+1] <= 'Z' || text[i+1] == '"' || text[i+1] == '\'') {
			pieces, begin = append(pieces, text[begin:i]), i+1
		}
	}
	return append(pieces, text[begin:])
}

// list translates several texts that were joined to one. Names and numbers may be among them.
func (r *reading) list(text string, depth int) (parts []Part, ok bool) {
	for _, mark := range []string{"; ", ", ", " and ", " or "} {
		pieces := strings.Split(text, mark)
		if len(pieces) == 1 || len(pieces) > mostSentences {
			continue
		}
		parts, ok = nil, mark == " and " || mark == " or "
		for i, p := range pieces {
			told, understood := r.whole(p, depth+1)
			if !understood && (p == "" || strings.Contains(p, " ")) {
				parts = nil
				break
			}
			if i > 0 {
				parts = append(parts, Part{Text: r.book.marks[mark]})
			}
			if !understood {
				told = []Part{{Text: p, Foreign: oneWord.MatchString(p)}}
			}
			parts, ok = append(parts, told...), ok || understood
		}
		if parts != nil && ok {
			return parts, true
		}
	}
	return nil, false
}

// fill puts values into a translation. ok tells whether it is to be believed: as far as care demands, and for a phrase that is so short that it may fit
// by chance, only if a text within it is understood, or its values are none of several words.
func (r *reading) fill(p *phrase, values []string, depth int, c care) (parts []Part, ok bool) {
	short, looks, understood := p.weight < shortPhrase, false, false
	for _, one := range p.pieces {
		if one.slot < 0 {
			parts = append(parts, Part{Text: one.text})
			continue
		}
		value := values[one.slot]
		if !one.looksUp {
			if (short || c != loosely && p.isOpen(one.slot)) && severalWords(value) {
				return nil, false
			}
			parts = append(parts, Part{Text: value})
			continue
		}
		told, known := r.whole(value, depth+1)
		switch {
		case known:
		case !severalWords(value): // a name, a number, or a single word
			told = []Part{{Text: value, Foreign: oneWord.MatchString(value)}}
		case c == wholly:
			return nil, false
		default:
			told = r.some(value, depth+1)
			known = len(told) > 1 || told[0].Text != value
		}
		parts, looks, understood = append(parts, told...), true, understood || known
	}
	return parts, !short || !looks || understood
}

// shortPhrase has fewer bytes of its own.
const shortPhrase = 8

var oneWord = regexp.MustCompile(`^[a-z]+$`)

// severalWords tells whether a text reads like one: whether two words stand side by side, or a word in small letters beside anything.
func severalWords(text string) bool {
	tokens := strings.Fields(text)
	before := false // whether the one before is a word
	for _, token := range tokens {
		word := len(token) > 1 && strings.IndexFunc(token, notLetter) < 0
		if len(tokens) > 1 && word && (before || strings.ToLower(token) == token) {
			return true
		}
		before = word
	}
	return false
}

func notLetter(c rune) bool { return !unicode.IsLetter(c) && c != '\'' }

// fit finds the values with which a phrase makes a text, and asks for each way whether it will do. The first that will is it.
func (r *reading) fit(p *phrase, text string, accept func(values []string) bool) bool {
	if !p.mayFit(text) {
		return false
	}
	return r.from(p, 0, text[len(p.literals[0]):], make([]string, p.names), accept)
}

// from fits the slots from one on; rest is what the literal before it has left.
func (r *reading) from(p *phrase, i int, rest string, values []string, accept func([]string) bool) bool {
	if r.steps--; r.steps < 0 {
		return false
	}
	if i == len(p.slots) {
		return rest == "" && accept(values)
	}
	s, behind := p.slots[i], p.literals[i+1]
	before := values[s.index]
	all := ends(s.kind, rest, behind, i == len(p.slots)-1)
	if p.literals[i] != "" && behind != "" && s.kind == anything && strings.HasPrefix(rest, behind) { // there was no value
		all = append(all, 0)
	}
	for _, end := range all {
		if before != "" && before != rest[:end] {
			continue
		}
		values[s.index] = rest[:end]
		if r.from(p, i+1, rest[end+len(behind):], values, accept) {
			return true
		}
		if r.steps < 0 {
			return false
		}
	}
	values[s.index] = before
	return false
}

// mostEnds bounds the ways to end one value.
const mostEnds = 32

// ends are where a value may end, the likeliest first: behind it stands a literal, and behind the last one nothing else. That there is no value is not among them.
func ends(kind slotKind, rest, behind string, last bool) (all []int) {
	add := func(end int) {
		if end > 0 && strings.HasPrefix(rest[end:], behind) && (!last || end+len(behind) == len(rest)) && !slices.Contains(all, end) {
			all = append(all, end)
		}
	}
	switch {
	case kind == number:
		add(len(rest) - len(strings.TrimLeft(strings.TrimPrefix(rest, "-"), "0123456789")))
		return all
	case strings.HasPrefix(rest, `"`):
		if text, err := strconv.QuotedPrefix(rest); err == nil {
			add(len(text))
			if strings.HasPrefix(rest[len(text):], "…") { // what was cut
				add(len(text) + len("…"))
			}
		}
	}
	if kind == quoted {
		return all
	}
	if last {
		add(len(rest) - len(behind))
		return all
	}
	for at := 1; at < len(rest) && len(all) < mostEnds; {
		next := strings.Index(rest[at:], behind)
		if next < 0 {
			break
		}
		add(at + next)
		at += next + 1
	}
	return all
}
