package inspect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requirePositions holds a tree to its text: every directive stands within it, and within what encloses it, begins at its name, and can be
// replaced by itself.
func requirePositions(t *testing.T, src *source, ds []*directive, err error) {
	t.Helper()
	if err != nil {
		e := err.(*syntaxError)
		require.GreaterOrEqual(t, e.at.Line, 1)
		require.LessOrEqual(t, e.at.Line, strings.Count(src.text, "\n")+1)
	}
	walk(ds, func(d *directive) {
		require.LessOrEqual(t, 0, d.start)
		require.Less(t, d.start, d.end)
		require.LessOrEqual(t, d.end, len(src.text))
		require.LessOrEqual(t, d.at().Line, strings.Count(src.text, "\n")+1)
		if d.up != nil {
			require.LessOrEqual(t, d.up.end, d.start)
		}
		m := src.splice(d.start, d.end, src.text[d.start:d.end])
		require.Equal(t, src.text, apply(t, src.text, m), "an edit that changes nothing")
	})
}

var apacheSeeds = []string{
	"SSLEngine on\n<VirtualHost *:443>\n A \"b c\" \\\n d\n</VirtualHost>\n", "<If \"x\">\n</If>", "<A", "</A>", "\\", "A \\\n\\\n", "A '\\'", "\x00\xff", "# \\\nB",
	"Define X ${X}\nA ${X} ${", "<A>\r\nB\r\n</A>",
}

// FuzzApache. Property: no text makes it panic, positions are inside of the text, and an edit touches what it says alone.
func FuzzApache(f *testing.F) {
	for _, seed := range apacheSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src := &source{"x.conf", text}
		ds, err := parseApache(src)
		requirePositions(t, src, ds, err)
	})
}

// FuzzNginx. The same.
func FuzzNginx(f *testing.F) {
	for _, seed := range []string{
		"server { listen 443 ssl; a 'b' \"c\\\"\"; }", "a{b{c;}}", "}", "a\\", "${a};", "a ${b}{", "x_by_lua_block { { } }", "a '", ";", "\"\";", "a#b;#c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src := &source{"x.conf", text}
		ds, err := parseNginx(src)
		requirePositions(t, src, ds, err)
	})
}

// FuzzQuote. Property: a word that is quoted for a server is read back as it was.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a b", `"`, `\`, `\"`, "'", "${x}", "a;{}#", "/etc/x.crt", `c:\n`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		words, closed := splitApache(quoteApache(word))
		require.True(t, closed)
		require.Equal(t, []string{word}, words)

		ds, err := parseNginx(&source{"x.conf", "a " + quoteNginx(word) + ";"})
		require.NoError(t, err)
		require.Len(t, ds, 1)
		require.Equal(t, []string{word}, ds[0].args)
	})
}

// FuzzInspect. Property: whatever stands in a configuration, the inspection ends, with a report whose findings stand in a file and whose text is
// printable.
func FuzzInspect(f *testing.F) {
	for _, seed := range apacheSeeds {
		f.Add(seed, true)
	}
	f.Add("http { "+nginxBase+" }", false)
	f.Add(apacheBase, true)
	f.Add("Include x.conf\nInclude httpd.conf", true)
	f.Fuzz(func(t *testing.T, text string, apache bool) {
		if strings.Contains(strings.ToLower(text), "include") && (strings.Contains(text, "/") || strings.Contains(text, "..")) {
			return // it reads files of this machine
		}
		dir := t.TempDir()
		c := Config{Server: Nginx, Path: filepath.Join(dir, "nginx.conf")}
		if apache {
			c.Server, c.Path = Apache, filepath.Join(dir, "httpd.conf")
		}
		require.NoError(t, os.WriteFile(c.Path, []byte(text), 0o600))
		report, err := Inspect(t.Context(), c)
		if err != nil {
			return
		}
		for _, finding := range report.Findings {
			require.NotEmpty(t, finding.File)
			for _, evidence := range finding.Evidence {
				require.Equal(t, printable(evidence), evidence)
			}
		}
		require.NotContains(t, Render(report, Style{}), "\x1b")
	})
}

// FuzzProgram has a server's program say anything. Property: what is taken from it is a line of a file, or one line of text, and a dump of lines is
// read back as those lines.
func FuzzProgram(f *testing.F) {
	f.Add("# In file: /etc/apache2/apache2.conf\n#  12:\nListen 443\n<VirtualHost *:443>\n  #   14:\n", 3)
	f.Add("AH00526: Syntax error on line 3 of /etc/x.conf:\nSSLEngine takes one argument\n", 1)
	f.Add("2026/11/24 01:34:43 [emerg] 1#1: unknown directive \"x\" in /etc/nginx/nginx.conf:6\n", 1)
	f.Fuzz(func(t *testing.T, output string, line int) {
		for at := range dumped(output) {
			require.NotEmpty(t, at.File)
			require.Positive(t, at.Line)
		}
		text, _ := complaint(output)
		require.NotContains(t, text, "\n")
		if line > 0 {
			require.Equal(t, map[Position]bool{{"/x y.conf", line}: true}, dumped(fmt.Sprintf("# In file: /x y.conf\n#%4d:\nA b\n", line)))
		}
	})
}
