package phrasebook

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed zh-CN
var files embed.FS

// Book holds the phrases of one language. A nil *Book is that of readers who want the texts as they are.
type Book struct {
	exact   map[string]*phrase   // those without slots
	byFirst map[string][]*phrase // the others, by the word they begin with
	byLast  map[string][]*phrase // or by the word they end with
	loose   []*phrase            // or neither
	marks   map[string]string    // the full stop, and what stands between sentences (" ") and between texts in a list
}

// marks is the file of the marks.
const marks = "marks"

// Open reads the book of a language (BCP 47) that is built in.
func Open(tag string) (*Book, error) {
	all, ofMarks := make(map[string]string), make(map[string]string)
	names, err := fs.Glob(files, path.Join(tag, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("opening the phrasebook %s: %w", tag, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("opening the phrasebook %s: there is none", tag)
	}
	for _, name := range names {
		part, err := readPart(name)
		if err != nil {
			return nil, err
		}
		if path.Base(name) == marks+".json" {
			ofMarks = part
			continue
		}
		for english, translation := range part {
			if _, twice := all[english]; twice {
				return nil, fmt.Errorf("reading %s: %q stands in another file too", name, english)
			}
			all[english] = translation
		}
	}
	b, err := newBook(all, ofMarks)
	if err != nil {
		return nil, fmt.Errorf("opening the phrasebook %s: %w", tag, err)
	}
	return b, nil
}

// readPart reads one file of a book: translations by the English.
func readPart(name string) (map[string]string, error) {
	content, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var part map[string]string
	if err := json.Unmarshal(content, &part); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return part, nil
}

func newBook(translations, marks map[string]string) (*Book, error) {
	b := &Book{exact: make(map[string]*phrase), byFirst: make(map[string][]*phrase), byLast: make(map[string][]*phrase), marks: marks}
	for _, mark := range []string{".", " ", "; ", ", ", " and ", " or "} {
		if _, found := marks[mark]; !found {
			return nil, fmt.Errorf("there is no mark for %q in marks.json", mark)
		}
	}
	for english, translation := range translations {
		p, err := parsePhrase(english, translation)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", english, err)
		}
		first, last := p.literals[0], p.literals[len(p.literals)-1]
		if len(p.slots) == 0 {
			b.exact[first] = p
		} else if word, _, whole := strings.Cut(first, " "); whole {
			b.byFirst[word] = append(b.byFirst[word], p)
		} else if i := strings.LastIndexByte(last, ' '); i >= 0 {
			b.byLast[last[i:]] = append(b.byLast[last[i:]], p)
		} else {
			b.loose = append(b.loose, p)
		}
	}
	return b, nil
}

// candidates are the phrases that a text may have been made by, those with the most words of their own first.
func (b *Book) candidates(text string) []*phrase {
	if p, found := b.exact[text]; found {
		return []*phrase{p}
	}
	var all []*phrase
	add := func(some []*phrase) {
		for _, p := range some {
			if p.mayFit(text) {
				all = append(all, p)
			}
		}
	}
	first, _, _ := strings.Cut(text, " ")
	add(b.byFirst[first])
	if i := strings.LastIndexByte(text, ' '); i >= 0 {
		add(b.byLast[text[i:]])
	}
	add(b.loose)
	slices.SortFunc(all, func(p, q *phrase) int {
		return cmp.Or(cmp.Compare(q.weight, p.weight), cmp.Compare(len(p.slots), len(q.slots)), cmp.Compare(p.english, q.english))
	})
	return all
}
