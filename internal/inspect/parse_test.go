package inspect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shape writes a tree as text: name(arguments){block}.
func shape(directives []*directive) string {
	var parts []string
	for _, d := range directives {
		part := d.name + "(" + strings.Join(d.args, "|") + ")"
		if d.enclosing {
			part += "{" + shape(d.block) + "}"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func TestParseApache(t *testing.T) {
	for text, want := range map[string]string{
		"SSLEngine on":                                                  "sslengine(on)",
		"# all\n  SSLEngine   on  \n":                                   "sslengine(on)",
		"SSLEngine on # really":                                         "sslengine(on|#|really)",
		"A \\\n  b \\\n  c\nD":                                          "a(b|c) d()",
		"A \\\r\n  b\r\nD":                                              "a(b) d()",
		"# comment \\\n goes on\nA":                                     "a()",
		`A "x y" 'it\'s' "a\"b" "c\\d" e\f`:                             `a(x y|it's|a"b|c\d|e\f)`,
		"<VirtualHost *:443>\nA b\n</VirtualHost>\nC":                   "virtualhost(*:443){a(b)} c()",
		"<If \"-T reqenv('X') > 1\">\nA\n</If>":                         "if(-T reqenv('X') > 1){a()}",
		"<IfModule ssl_module>\n<Location />\n</Location>\n</IfModule>": "ifmodule(ssl_module){location(/){}}",
	} {
		directives, err := parseApache(&source{"x.conf", text})
		require.NoError(t, err, text)
		require.Equal(t, want, shape(directives), text)
	}
	for text, want := range map[string]string{
		"<A>\nb":               "x.conf:1: <a> is not closed",
		"\n</A>":               "x.conf:2: </a> closes what nothing has opened",
		"<A>\n<B>\n</A>\n</B>": "x.conf:3: </a> stands where <b> is open",
		"c\n<A b\n</A>":        "x.conf:2: the section does not end in >",
	} {
		_, err := parseApache(&source{"x.conf", text})
		require.EqualError(t, err, want)
	}
}

func TestParseNginx(t *testing.T) {
	for text, want := range map[string]string{
		"a b;c;": "a(b) c()",
		"server { listen 443 ssl; # x;\n a 'b c' \"d\\\"e\"; }": `server(){listen(443|ssl) a(b c|d"e)}`,
		"a b#c;":                        "a(b#c)",
		"return 200 \"${x}\\n\" ${y}z;": "return(200|${x}\n|${y}z)",
		`if ($dn !~ "^CN=a\.b(,|$)") { return 403; }`: `if(($dn|!~|^CN=a\.b(,|$)|)){return(403)}`,
		"x_by_lua_block { if a { b } }\nc;":           "x_by_lua_block(){} c()",
		"a{}b;":                                       "a(){} b()",
	} {
		directives, err := parseNginx(&source{"x.conf", text})
		require.NoError(t, err, text)
		require.Equal(t, want, shape(directives), text)
	}
	for text, want := range map[string]string{
		"a {\nb;":                `x.conf:1: the block of "a" is not closed`,
		"a;\n}":                  "x.conf:2: } closes what nothing has opened",
		"a;\n;":                  `x.conf:2: ';' stands where a directive should begin`,
		"a {\n b\n}":             `x.conf:2: "b" has no ; at its end`,
		"a;\nb c":                `x.conf:2: "b" has no ; at its end`,
		"a \"b;":                 "x.conf:1: the quote is not closed",
		strings.Repeat("a{", 99): `x.conf:1: blocks stand more than 50 deep in each other`,
	} {
		_, err := parseNginx(&source{"x.conf", text})
		require.EqualError(t, err, want)
	}
}

// A mend is shown as whole lines, whatever else stands in them.
func TestMendsAreWholeLines(t *testing.T) {
	src := &source{"x.conf", "a;\n  b c; d e;\nf;\n"}
	directives, err := parseNginx(src)
	require.NoError(t, err)
	for _, test := range []struct {
		mend Mend
		want string
	}{
		{directives[2].replaced("x y;"), "a;\n  b c; x y;\nf;\n"},
		{directives[1].replaced("x;", "y;"), "a;\n  x;\n  y; d e;\nf;\n"},
		{directives[0].replaced(), "  b c; d e;\nf;\n"},
		{directives[0].after("x;"), "a;\nx;\n  b c; d e;\nf;\n"},
		{directives[3].after("x;"), "a;\n  b c; d e;\nf;\nx;\n"},
	} {
		require.Equal(t, test.want, apply(t, src.text, test.mend))
	}
}
