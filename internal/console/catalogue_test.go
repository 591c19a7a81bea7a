package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// sets are the closed sets whose values have words, by the name that templates and code give to word.
func sets() map[string][]string {
	var kinds []string
	for _, entry := range web.Table() {
		if !slices.Contains(web.ACMEKinds(), entry.Kind) {
			kinds = append(kinds, string(entry.Kind))
		}
	}
	var reasons []string
	for _, r := range pki.LeafReasons() {
		reasons = append(reasons, r.String())
	}
	return map[string][]string{
		"kind":          kinds,
		"role":          append(texts(ca.Roles()), "program", "key-holder"), // the last two have no tokens
		"status":        texts(ca.Statuses()),
		"outcome":       texts([]ca.Outcome{ca.OutcomeDone, ca.OutcomeRefused}),
		"reason":        reasons,
		"reason-what":   reasons,
		"bulk-field":    {"suffix", "app", "authority", "profile", "key", "issued-from", "issued-until", "serials"},
		"domain-state":  texts(ca.DomainStates()),
		"policy":        texts(ca.DomainPolicies()),
		"policy-what":   texts(ca.DomainPolicies()),
		"role-what":     {"auditor", "operator", "admin"}, // those of no app
		"webhook-state": {"none", "delivered", "failing"},
		"quota":         ca.QuotaNames(),
		"token-state":   {"valid", "expired", "revoked", "superseded"},
		"action":        actions(),
		"summary":       {"healthy", "locked_out", "open", "wrong_way", "undecided", "faulty"}, // as internal/doorcheck has them
		"check-state":   texts(ca.CheckStates()),
		"cause":         texts([]ca.CheckCause{ca.CauseAsked, ca.CauseScheduled, ca.CauseIssued, ca.CauseExpiring}),
		"alert":         texts(ca.Alerts()),
		"next-step":     texts(ca.DomainStates()),
		"method":        texts(ca.ProofMethods()),
		"caller":        {"platform", "none", "stranger", "impostor", "developer", "expired", "revoked", "next_root", "intermediate"}, // as internal/doorcheck has them, like the next three
		"came":          {"admitted", "refused", "unclear"},
		"severity":      {"fault", "warning", "note"},
		"verdict":       {"admits_platform", "refuses_strangers", "refuses_revoked"},
		"answer":        {"yes", "no", "unknown"},
		"summary-what":  {"healthy", "locked_out", "open", "wrong_way", "undecided", "faulty"},
	}
}

// actions are the values of the constants of type Action in internal/ca.
func actions() (all []string) {
	for _, match := range constant.FindAllStringSubmatch(readAll("../ca"), -1) {
		all = append(all, match[1])
	}
	return all
}

var constant = regexp.MustCompile(`(?m)^\s+Act\w+\s+Action = "([^"]+)"`)

// readAll is the code of a package.
func readAll(folder string) string {
	files, err := os.ReadDir(folder)
	must(err)
	var all strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go") {
			content, err := os.ReadFile(folder + "/" + f.Name())
			must(err)
			all.Write(content)
		}
	}
	return all.String()
}

func texts[T ~string](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func TestCataloguesHaveTheSameTexts(t *testing.T) {
	languages := loadLanguages()
	require.Len(t, languages, 2)
	first := languages[0]
	require.NotEmpty(t, first.texts)
	for _, l := range languages {
		require.Equal(t, slices.Sorted(maps.Keys(first.texts)), slices.Sorted(maps.Keys(l.texts)), l.Tag)
		for key, text := range l.texts {
			require.NotEmpty(t, strings.TrimSpace(text), "%s %s", l.Tag, key)
			require.NotContains(t, text, "<", "%s %s: a text is no HTML", l.Tag, key)
			require.ElementsMatch(t, unique(placeholder.FindAllString(first.texts[key], -1)), unique(placeholder.FindAllString(text, -1)), "%s %s", l.Tag, key)
		}
	}
	for key, text := range languages[1].texts {
		if text == first.texts[key] {
			require.NotRegexp(t, `\pL{5,} \pL{3,}`, text, "%s is not translated", key)
		}
	}
}

func unique(all []string) []string { return slices.Compact(slices.Sorted(slices.Values(all))) }

// TestCataloguesRepeatNoKey: a key that stands in two files of a language would be one of them by chance.
func TestCataloguesRepeatNoKey(t *testing.T) {
	for _, l := range loadLanguages() {
		files, err := fs.Glob(textFiles, "texts/"+l.Tag+"/*.json")
		require.NoError(t, err)
		count := 0
		for _, name := range files {
			content, err := textFiles.ReadFile(name)
			require.NoError(t, err)
			count += len(regexp.MustCompile(`(?m)^\s*"[^"]+":`).FindAll(content, -1))
		}
		require.Equal(t, count, len(l.texts), "%s: each key on a line of its own, in one file", l.Tag) // not Len, which would print them all
	}
}

func TestEveryTextIsUsedAndEveryUsedTextIsThere(t *testing.T) {
	known := loadLanguages()[0].texts
	used := make(map[string]bool)
	use := func(where, key string) {
		used[key] = true
		require.True(t, known[key] != "", "%s uses %s, which is no text", where, key)
	}
	words := sets()
	eachTemplate(t, func(name string, tree *parse.Tree) {
		eachCall(tree.Root, func(function string, arguments []parse.Node) {
			key, literal := "", false
			if len(arguments) > 0 {
				if s, is := arguments[0].(*parse.StringNode); is {
					key, literal = s.Text, true
				}
			}
			switch {
			case function == "t" && literal:
				use(name, key)
			case function == "tn" && literal:
				use(name, key+".one")
				use(name, key+".other")
			case function == "word":
				require.True(t, literal, "%s: word needs the name of a set", name)
				require.Contains(t, words, key, "%s: the set is not in the test's table", name)
			}
		})
	})
	for key := range literals(t) {
		if _, found := known[key]; found {
			used[key] = true
		}
		if _, found := known[key+".one"]; found {
			used[key+".one"], used[key+".other"] = true, true
		}
	}
	for what := range doneCalls(t) {
		use("done", "done."+what)
	}
	for set, values := range words {
		var have []string
		for key := range known {
			if value, is := strings.CutPrefix(key, set+"."); is {
				have = append(have, value)
				used[key] = true
			}
		}
		if set == "action" { // one without a word is shown by its name
			require.Subset(t, values, have)
			continue
		}
		require.ElementsMatch(t, values, have, "the words of %s", set)
	}
	for key := range known {
		require.True(t, used[key], "nothing uses the text %s", key)
	}
}

// TestTemplatesHaveNoWords: what people read comes from the catalogues, or it would be in one language only.
func TestTemplatesHaveNoWords(t *testing.T) {
	eachTemplate(t, func(name string, tree *parse.Tree) {
		for _, word := range wordsOf(t, tree.Root) {
			require.Failf(t, "a word stands in a template", "%s: %q", name, word)
		}
	})
	tree, err := parse.Parse("x", `<p title="Hello {{.}}">{{.}}</p>well`, "", "")
	require.NoError(t, err)
	require.Equal(t, []string{"Hello", "well"}, wordsOf(t, tree["x"].Root), "the test finds words")
}

// wordsOf are the words in the text of a template and in those of its attributes that people get to read.
func wordsOf(t *testing.T, root *parse.ListNode) []string {
	var text strings.Builder
	eachNode(root, func(n parse.Node) {
		switch n := n.(type) {
		case *parse.TextNode:
			text.Write(n.Text)
		case *parse.ActionNode, *parse.TemplateNode:
			text.WriteString(" 0 ")
		}
	})
	var found []string
	add := func(s string) {
		for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if word != "imca" {
				found = append(found, word)
			}
		}
	}
	tokens := html.NewTokenizer(strings.NewReader(strings.ReplaceAll(text.String(), "noscript>", "div>"))) // which would be one text
	for tokens.Next() != html.ErrorToken {
		switch token := tokens.Token(); token.Type {
		case html.TextToken:
			add(token.Data)
		case html.StartTagToken, html.SelfClosingTagToken:
			require.NotEqual(t, "style", token.Data)
			for _, a := range token.Attr {
				require.NotEqual(t, "style", a.Key, "the policy forbids inline styles")
				require.NotRegexp(t, "^on", a.Key, "the policy forbids inline scripts")
				if slices.Contains([]string{"title", "alt", "placeholder", "aria-label", "label"}, a.Key) {
					add(a.Val)
				}
			}
		}
	}
	return found
}

func eachTemplate(t *testing.T, visit func(name string, tree *parse.Tree)) {
	l := loadLanguages()[0]
	seen := make(map[string]bool)
	for page, pages := range templatesOf(l, loadAssets()) {
		for _, part := range pages.Templates() {
			own := part.Name() == "title" || part.Name() == "main"
			name := part.Name()
			if own {
				name = page + " " + name
			}
			if part.Tree != nil && part.Tree.Root != nil && !seen[name] {
				seen[name] = true
				visit(name, part.Tree)
			}
		}
	}
	require.Greater(t, len(seen), 4)
}

func eachNode(n parse.Node, visit func(parse.Node)) {
	if n == nil {
		return
	}
	visit(n)
	branch := func(b *parse.BranchNode) {
		eachNode(b.Pipe, visit)
		eachNode(b.List, visit)
		if b.ElseList != nil {
			eachNode(b.ElseList, visit)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			eachNode(child, visit)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.ActionNode:
		eachNode(n.Pipe, visit)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			eachNode(n.Pipe, visit)
		}
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			eachNode(c, visit)
		}
	case *parse.CommandNode:
		for _, a := range n.Args {
			eachNode(a, visit)
		}
	}
}

// eachCall visits the calls of functions, nested ones included.
func eachCall(root parse.Node, visit func(function string, arguments []parse.Node)) {
	eachNode(root, func(n parse.Node) {
		command, is := n.(*parse.CommandNode)
		if !is {
			return
		}
		if id, is := command.Args[0].(*parse.IdentifierNode); is {
			visit(id.Ident, command.Args[1:])
		}
	})
}

// sources are the package's own files, tests excluded.
func sources(t *testing.T) []*ast.File {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var files []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// literals are the texts that stand in the package's code.
func literals(t *testing.T) map[string]bool {
	found := make(map[string]bool)
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, is := n.(*ast.BasicLit); is && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				found[text] = true
			}
			return true
		})
	}
	return found
}

// doneCalls are what the calls of done say.
func doneCalls(t *testing.T) map[string]bool {
	found := make(map[string]bool)
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is {
				return true
			}
			if id, is := call.Fun.(*ast.Ident); is && id.Name == "done" {
				lit, is := call.Args[1].(*ast.BasicLit)
				require.True(t, is, "done is called with what is known beforehand")
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				found[text] = true
			}
			return true
		})
	}
	return found
}
