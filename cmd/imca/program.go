package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// program is what every command works with: the streams, and how to print on them.
type program struct {
	in       io.Reader
	out, err io.Writer

	colour  bool // out shows colours
	asked   bool // in is a terminal, and so is err: somebody can answer a question
	watched bool // err is a terminal: somebody waits, so progress is shown
	json    bool // --json
}

// standardStreams is the program of a real process. NO_COLOR is honoured as https://no-color.org asks.
func standardStreams() *program {
	return &program{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		colour:  term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		asked:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		watched: term.IsTerminal(int(os.Stderr.Fd())),
	}
}

// say prints a line of the answer.
func (p *program) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// note prints a line beside the answer, so that the answer can be piped on.
func (p *program) note(format string, args ...any) { fmt.Fprintf(p.err, format+"\n", args...) }

// encode prints a value as JSON.
func (p *program) encode(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// progress shows, on a terminal, how far long work has come; an empty line takes it away again.
func (p *program) progress(line string) {
	if p.watched {
		fmt.Fprintf(p.err, "\r\x1b[K%s", line)
	}
}

// Colours, by what they say.
const (
	good    = "32"
	warning = "33"
	bad     = "31"
	strong  = "1"
	quiet   = "2"
)

// paint colours a text where a terminal shows it.
func (p *program) paint(colour, text string) string {
	if !p.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// cell is one field of a table.
type cell struct{ text, colour string }

// table prints rows below a header, in columns. The last column is not padded.
func (p *program) table(header []string, rows [][]cell) {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	line := func(cells []cell) {
		var b strings.Builder
		for i, c := range cells {
			b.WriteString(p.paint(c.colour, c.text))
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		fmt.Fprintln(p.out, strings.TrimRight(b.String(), " "))
	}
	var head []cell
	for _, h := range header {
		head = append(head, cell{h, strong})
	}
	line(head)
	for _, row := range rows {
		line(row)
	}
}

// fields prints one thing, a line per field; empty fields are left out.
func (p *program) fields(pairs ...[2]string) {
	width := 0
	for _, f := range pairs {
		width = max(width, utf8.RuneCountInString(f[0]))
	}
	for _, f := range pairs {
		if f[1] != "" {
			fmt.Fprintf(p.out, "%s%s  %s\n", p.paint(quiet, f[0]), strings.Repeat(" ", width-utf8.RuneCountInString(f[0])), f[1])
		}
	}
}
