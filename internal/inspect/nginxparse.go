package inspect

import (
	"strings"
)

// parseNginx reads one file in nginx's notation. What was read before an error is returned with it.
func parseNginx(src *source) ([]*directive, error) {
	p := nginxParser{src: src}
	var top []*directive
	err := p.block(nil, &top)
	return top, err
}

type nginxParser struct {
	src *source
	pos int
}

// block reads directives up to the brace that ends the block, or at the top to the end of the file.
func (p *nginxParser) block(up *directive, into *[]*directive) error {
	for {
		d := &directive{src: p.src, up: up}
		p.skip()
		d.start = p.pos
		for {
			p.skip()
			if p.pos >= len(p.src.text) {
				switch {
				case d.name != "":
					return p.src.errorAt(d.start, "%q has no ; at its end", d.name)
				case up != nil:
					return p.src.errorAt(up.start, "the block of %q is not closed", up.name)
				}
				return nil
			}
			c := p.src.text[p.pos]
			if c == ';' || c == '{' || c == '}' {
				break
			}
			if err := p.word(d); err != nil {
				return err
			}
		}
		c := p.src.text[p.pos]
		p.pos++
		d.end = p.pos
		switch {
		case c == '}' && d.name != "":
			return p.src.errorAt(d.start, "%q has no ; at its end", d.name)
		case c == '}' && up == nil:
			return p.src.errorAt(p.pos-1, "} closes what nothing has opened")
		case c == '}':
			up.close = p.pos - 1
			return nil
		case d.name == "":
			return p.src.errorAt(p.pos-1, "%q stands where a directive should begin", c)
		}
		*into = append(*into, d)
		if c == '{' {
			d.enclosing = true
			if err := p.inside(d); err != nil {
				return err
			}
		}
	}
}

// maxNesting bounds how deep blocks may stand in each other.
const maxNesting = 50

func (p *nginxParser) inside(d *directive) error {
	depth := 0
	for up := d; up != nil; up = up.up {
		if depth++; depth > maxNesting {
			return p.src.errorAt(d.start, "blocks stand more than %d deep in each other", maxNesting)
		}
	}
	if strings.HasSuffix(d.name, "_by_lua_block") { // a program, in another notation
		return p.program(d)
	}
	return p.block(d, &d.block)
}

func (p *nginxParser) program(d *directive) error {
	for depth := 1; p.pos < len(p.src.text); p.pos++ {
		switch p.src.text[p.pos] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				d.close = p.pos
				p.pos++
				return nil
			}
		}
	}
	return p.src.errorAt(d.start, "the block of %q is not closed", d.name)
}

// skip passes over space and comments.
func (p *nginxParser) skip() {
	for p.pos < len(p.src.text) {
		switch c := p.src.text[p.pos]; {
		case isSpace(c):
			p.pos++
		case c == '#':
			i := strings.IndexByte(p.src.text[p.pos:], '\n')
			if i < 0 {
				p.pos = len(p.src.text)
				return
			}
			p.pos += i
		default:
			return
		}
	}
}

// word reads the name of a directive, or an argument.
func (p *nginxParser) word(d *directive) error {
	text, start := p.src.text, p.pos
	quote := text[p.pos]
	quoted := quote == '"' || quote == '\''
	if quoted {
		p.pos++
	}
	body := p.pos
	for ; ; p.pos++ {
		if p.pos >= len(text) {
			if quoted {
				return p.src.errorAt(start, "the quote is not closed")
			}
			break
		}
		c := text[p.pos]
		if c == '\\' {
			if p.pos++; p.pos >= len(text) {
				p.pos--
			}
			continue
		}
		if quoted && c == quote || !quoted && (isSpace(c) || c == ';' || c == '}' && !p.inVariable(body) || c == '{' && (p.pos == body || text[p.pos-1] != '$')) {
			break
		}
	}
	word := unescapeNginx(text[body:p.pos])
	if quoted {
		p.pos++
	}
	if d.name == "" && len(d.args) == 0 && word != "" {
		d.name = strings.ToLower(word)
		return nil
	}
	if d.name == "" {
		return p.src.errorAt(start, "an empty word stands where a directive should begin")
	}
	d.args = append(d.args, word)
	return nil
}

// inVariable tells whether the brace at pos ends a ${variable} of the word that begins at body.
func (p *nginxParser) inVariable(body int) bool {
	word := p.src.text[body:p.pos]
	return strings.LastIndex(word, "${") > strings.LastIndexByte(word, '}')
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// unescapeNginx takes away the backslashes that nginx takes away; those before other characters stay.
func unescapeNginx(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if plain := strings.IndexByte(`"'\trn`, text[i+1]); plain >= 0 {
				b.WriteByte("\"'\\\t\r\n"[plain])
				i++
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// quoteNginx writes a word so that parseNginx reads it.
func quoteNginx(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
