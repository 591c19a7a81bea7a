package inspect

import (
	"strings"
)

// parseApache reads one file in Apache's notation. Arguments stay as they are written: variables are filled in before words are told apart.
// What was read before an error is returned with it.
func parseApache(src *source) ([]*directive, error) {
	p := apacheParser{src: src}
	for offset := 0; offset < len(src.text); {
		start, line, next := logicalLine(src.text, offset)
		if err := p.line(start, line); err != nil {
			return p.top, err
		}
		offset = next
	}
	if p.open != nil {
		return p.top, src.errorAt(p.open.start, "<%s> is not closed", p.open.name)
	}
	return p.top, nil
}

type apacheParser struct {
	src  *source
	top  []*directive
	open *directive // the innermost section
}

// logicalLine is the line at offset without the space around it, with those that a backslash continues it by, and the offset of the next one.
func logicalLine(text string, offset int) (start int, line string, next int) {
	end := offset
	for {
		i := strings.IndexByte(text[end:], '\n')
		if i < 0 {
			end, next = len(text), len(text)
			break
		}
		end, next = end+i, end+i+1
		if body := strings.TrimSuffix(text[offset:end], "\r"); !strings.HasSuffix(body, `\`) {
			break
		}
		end = next
	}
	line = text[offset:end]
	trimmed := strings.TrimLeft(line, " \t\r\v\f")
	return offset + len(line) - len(trimmed), strings.TrimRight(trimmed, " \t\r\v\f\n"), next
}

func (p *apacheParser) line(start int, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	d := &directive{src: p.src, start: start, end: start + len(line), up: p.open}
	text := strings.ReplaceAll(strings.ReplaceAll(line, "\\\r\n", ""), "\\\n", "")
	if section, is := strings.CutPrefix(text, "<"); is {
		if name, is := strings.CutPrefix(section, "/"); is {
			return p.close(d, strings.ToLower(strings.TrimRight(name, "> \t")))
		}
		section, is = strings.CutSuffix(section, ">")
		if !is {
			return p.src.errorAt(start, "the section does not end in >")
		}
		text, d.enclosing = section, true
	}
	name, rest := cutSpace(text)
	d.name, d.raw = strings.ToLower(name), rest
	d.args, _ = splitApache(rest)
	p.add(d)
	if d.enclosing {
		p.open = d
	}
	return nil
}

func (p *apacheParser) add(d *directive) {
	if p.open == nil {
		p.top = append(p.top, d)
		return
	}
	p.open.block = append(p.open.block, d)
}

func (p *apacheParser) close(end *directive, name string) error {
	if p.open == nil {
		return p.src.errorAt(end.start, "</%s> closes what nothing has opened", name)
	}
	if p.open.name != name {
		return p.src.errorAt(end.start, "</%s> stands where <%s> is open", name, p.open.name)
	}
	p.open.close = end.start
	p.open = p.open.up
	return nil
}

func cutSpace(text string) (first, rest string) {
	i := strings.IndexAny(text, " \t\r\v\f\n")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// splitApache takes arguments apart as Apache does: a word ends at a space, a quoted one at its quote, which a backslash may stand before. It says
// whether every quote is closed.
func splitApache(text string) (words []string, closed bool) {
	for text = strings.TrimLeft(text, " \t\r\v\f\n"); text != ""; text = strings.TrimLeft(text, " \t\r\v\f\n") {
		quote := text[0]
		if quote != '"' && quote != '\'' {
			word, rest := cutSpace(text)
			words, text = append(words, word), rest
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			b.WriteByte(text[i])
		}
		words = append(words, b.String())
		if i >= len(text) {
			return words, false
		}
		text = text[i+1:]
	}
	return words, true
}

// quoteApache writes a word so that splitApache reads it.
func quoteApache(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
