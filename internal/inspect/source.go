package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a configuration.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1; 0: the file as a whole
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// source is one file of a configuration.
type source struct {
	path string
	text string
}

// directive is one directive as it stands in a file: what it says, where, and what it encloses.
type directive struct {
	name  string   // in lower case
	args  []string // without their quotes, variables filled in
	block []*directive

	raw        string // Apache: the arguments as they are written
	enclosing  bool   // it has a block, though that may be empty
	src        *source
	start, end int // bytes of src.text: of a block, those of its first line or up to its brace
	close      int // of a block: where its end begins
	up         *directive
}

func (d *directive) at() Position {
	return Position{d.src.path, 1 + strings.Count(d.src.text[:d.start], "\n")}
}

// arg is an argument by its number; "" if there are fewer.
func (d *directive) arg(i int) string {
	if d == nil || i >= len(d.args) {
		return ""
	}
	return d.args[i]
}

func (d *directive) String() string { return strings.TrimSpace(d.src.text[d.start:d.end]) }

// syntaxError is a place where a configuration cannot be read on.
type syntaxError struct {
	at     Position
	detail string
}

func (e *syntaxError) Error() string { return e.at.String() + ": " + e.detail }

func (s *source) errorAt(offset int, format string, args ...any) *syntaxError {
	return &syntaxError{Position{s.path, 1 + strings.Count(s.text[:offset], "\n")}, fmt.Sprintf(format, args...)}
}

// Mend is an edit of one file: the lines from Line on, Drop of them, give way to Lines. With Drop 0 the new lines go before Line.
type Mend struct {
	File  string   `json:"file"`
	Line  int      `json:"line"`
	Drop  int      `json:"drop"`
	Lines []string `json:"lines"`
}

// splice is the edit that puts text in the place of the bytes from start to end. Whole lines are exchanged, as an editor shows them.
func (s *source) splice(start, end int, text string) Mend {
	first := 1 + strings.LastIndexByte(s.text[:start], '\n')
	last := len(s.text)
	if i := strings.IndexByte(s.text[end:], '\n'); i >= 0 {
		last = end + i
	}
	m := Mend{File: s.path, Line: 1 + strings.Count(s.text[:start], "\n"), Drop: 1 + strings.Count(s.text[first:last], "\n")}
	if all := s.text[first:start] + text + s.text[end:last]; strings.TrimSpace(all) != "" {
		m.Lines = strings.Split(all, "\n")
	}
	return m
}

// replaced is the edit that puts other directives in the place of d, with its indentation; none removes it.
func (d *directive) replaced(lines ...string) Mend {
	return d.src.splice(d.start, d.end, strings.Join(lines, "\n"+d.indentation()))
}

// within is the edit that puts directives at the top of d's block.
func (d *directive) within(lines ...string) Mend {
	indent := "\n" + d.indentation() + "    "
	return d.src.splice(d.end, d.end, indent+strings.Join(lines, indent))
}

// after is the edit that puts directives behind d.
func (d *directive) after(lines ...string) Mend {
	indent := "\n" + d.indentation()
	return d.src.splice(d.end, d.end, indent+strings.Join(lines, indent))
}

func (d *directive) indentation() string {
	line := d.src.text[1+strings.LastIndexByte(d.src.text[:d.start], '\n') : d.start]
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

// walk calls visit for every directive, those in blocks included, in their order.
func walk(directives []*directive, visit func(*directive)) {
	for _, d := range directives {
		visit(d)
		walk(d.block, visit)
	}
}

// last is the last directive of a name at this level: in both servers it counts.
func last(directives []*directive, name string) *directive {
	for _, d := range slices.Backward(directives) {
		if d.name == name {
			return d
		}
	}
	return nil
}

// all are the directives of a name at this level.
func all(directives []*directive, name string) []*directive {
	var found []*directive
	for _, d := range directives {
		if d.name == name {
			found = append(found, d)
		}
	}
	return found
}
