package phrasebook

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

const module = "github.com/imca-project/imca/"

// A source is a package with texts that reach the reader of a page. All of its texts do, but for those that are named here.
type source struct {
	pkg  string
	only []string // files, where the others have none
	// not are calls ("fmt.Errorf"), functions ("func New"), files ("file render.go"), fields and variables ("= what") and types of literals ("mends")
	// whose texts are for others ("fmt.Errorf %w": only where it wraps), and single such texts ("text to %s"), each with the reason.
	not map[string]string
	// but are functions in which fmt.Errorf and errors.New make texts for readers after all.
	but []string

	used map[string]bool // those of not that a text was spared by
}

const ours = "a fault of ours: its reader gets 'internal', and the log has it"

var sources = []source{
	{pkg: "internal/pki", not: map[string]string{
		"file certificate.go": ours,
		"file ignored.go":     "what a CSR asks for in vain, in the words of X.509",
		"func ParseKey":       "keys are read from the files of operators",
		"file possession.go":  "nobody proves the possession of a key on a page",
	}},
	{pkg: "internal/egress", not: map[string]string{
		"func New":         "the operator's settings",
		"func parseServer": "the operator's settings",
	}},
	{pkg: "internal/issuer", not: map[string]string{
		"file authority.go": "who makes or opens an authority is at a terminal", "file issuer.go": "so is this", "file newca.go": "and this",
		"file profile.go":   "the operator's settings",
		"file responder.go": ours, "file signer.go": ours, "file draft.go": ours, "file ocspresponse.go": ours, "file encode.go": ours,
		"file ocsprequest.go": "OCSP is for programs",
		"file crl.go":         ours, "file crlread.go": "lists are imported at a terminal", "file crlentry.go": "lists are imported at a terminal",
		"file canary.go": ours,
		"fmt.Errorf":     ours,
	}, but: []string{"checkWithin", "checkPrepared", "checkFrame", "checkURLs", "checkLeaf", "checkExtensions", "CheckStored"}},
	{pkg: "internal/ca", not: map[string]string{
		"fmt.Errorf %w": ours, "errors.New": "what callers in the code look for", "[]byte": "what is hashed",
		"func Load": "the operator's settings", "func newRoster": "the operator's settings", "func Validate": "the operator's settings",
		"text no authority is loaded: run 'imca init' first": "for who starts the server", "text %s%s was given the role %q": ours,
		"text %s of %s":        "the name of a canary in memory",
		"func NextStep":        "the page has words of its own for this",
		"= ch.RecordName":      "a DNS record",
		"= ch.RecordValue":     "a DNS record",
		"text certificates %s": "the key of a quota", "text certificates %s %s": "the key of a quota",
		"text proofs %s": "the key of a quota", "text checks %s": "the key of a quota",
	}},
	{pkg: "internal/validate", not: map[string]string{
		"func New": "the operator's settings", "request.Header.Set": "for the server that is asked",
		"func StandingValue": "a DNS record",
	}},
	{pkg: "internal/doorcheck", not: map[string]string{
		"mends":            "lines of configuration stay as they are, and so do the comments among them",
		"file render.go":   "for terminals",
		"file server.go":   "how a server was recognised is not on the pages, but for what stands in front of it",
		"file stranger.go": "for servers that are knocked at", "file plan.go": "for servers that are knocked at",
		"func Check": ours, "func dress": ours, "text curl -fsS http://…/ca/clients.pem": "a command",
		"= text":      "what an error page of a server says",
		"= wellKnown": "parts of names of CAs",
		"func fail":   "what the library says",
	}},
	{pkg: "internal/watch"},
	{pkg: "internal/web", not: map[string]string{
		"file metrics.go": "for programs",
		"func Table":      "the pages have words of their own for the kinds of refusals",
		"h.Set":           "for browsers",
	}},
	{pkg: "internal/oidc", not: map[string]string{"func New": "the operator's settings", "strings.Contains": "what the library says", "fmt.Errorf": ours}},
	{pkg: "internal/acmelines", not: map[string]string{"text writing the lines for %s: %w": ours, "text reading the roots: %w": ours}},
	{pkg: "cmd/imca", only: []string{"postman.go"}},
	{pkg: "internal/console", not: map[string]string{
		"fmt.Errorf": ours, "h.Set": "for browsers", "h.Add": "for browsers", "w.Header().Set": "for browsers", "= policy": "for browsers",
		"func mediaType": "for browsers", "export": "for browsers", "v.ca.CreateEAB": "the name of a token, as somebody chose it",
		"http.Error": "the answer to a program, not a page", "func fileLines": "commands",
	}},
}

// found is a text of the code, as the book has to have it.
type found struct {
	english string
	at      string // file and line
	file    string // of the book
	must    bool   // it is for readers; others may stand in the book and need not
}

// words tells texts from names, codes and forms: two words side by side, one of them in small letters. A value (¤) counts as one.
var words = regexp.MustCompile(`[\pL¤][\pL'’-]*[,:;]? [(]?[a-z][a-z'’-]+|[a-z][a-z'’-]+(\(s\))?[,:;]? [(]?[\pL¤]`)

// textsOf are the texts of a package. needless are the lines of the table that spare none of them.
func textsOf(pkg *packages.Package, s source) (all []found, needless []string) {
	s.used = make(map[string]bool)
	for _, file := range pkg.Syntax {
		name := filepath.Base(pkg.Fset.Position(file.Pos()).Filename)
		if s.only != nil && !slices.Contains(s.only, name) {
			continue
		}
		var above []ast.Node
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				above = above[:len(above)-1]
				return true
			}
			if _, is := n.(*ast.ImportSpec); is {
				return false
			}
			if e, is := n.(ast.Expr); is {
				if english := textOf(pkg.TypesInfo, e, above); english != "" {
					position := pkg.Fset.Position(e.Pos())
					all = append(all, found{
						english: english, at: fmt.Sprintf("%s/%s:%d", s.pkg, name, position.Line),
						must: words.MatchString(verb.ReplaceAllString(english, "¤")) && !s.names("text "+english) && !s.spares(pkg.TypesInfo, "file "+name, english, e, above),
					})
					return false
				}
			}
			above = append(above, n)
			return true
		})
	}
	for name := range s.not {
		if !s.used[name] {
			needless = append(needless, name)
		}
	}
	return all, needless
}

// textOf is what an expression says: constants as they are, what is only known at run time as %s. Within a format verbs are verbs, elsewhere a percent
// sign is one.
func textOf(info *types.Info, e ast.Expr, above []ast.Node) string {
	text, fixed := flat(info, e)
	if !fixed {
		return ""
	}
	if !isFormat(info, e, above) {
		text = strings.ReplaceAll(text, "%", "%%")
	}
	if to, is := above[len(above)-1].(*ast.AssignStmt); is && to.Tok == token.ADD_ASSIGN { // it goes on
		text = "\x00" + text
	}
	return strings.ReplaceAll(text, "\x00", "%s")
}

// flat joins what + joins; what is not known beforehand is a NUL. fixed is false if nothing is known.
func flat(info *types.Info, e ast.Expr) (text string, fixed bool) {
	if value := info.Types[e].Value; value != nil && value.Kind() == constant.String {
		return constant.StringVal(value), true
	}
	sum, is := ast.Unparen(e).(*ast.BinaryExpr)
	if !is || sum.Op != token.ADD {
		return "\x00", false
	}
	left, leftFixed := flat(info, sum.X)
	right, rightFixed := flat(info, sum.Y)
	return left + right, leftFixed || rightFixed
}

// isFormat tells whether an expression is the format of a function like fmt.Sprintf: what comes before its values, which are of any type.
func isFormat(info *types.Info, e ast.Expr, above []ast.Node) bool {
	call, is := above[len(above)-1].(*ast.CallExpr)
	if !is {
		return false
	}
	signature, is := info.TypeOf(call.Fun).Underlying().(*types.Signature)
	if !is || !signature.Variadic() {
		return false
	}
	last := signature.Params().Len() - 1
	element, is := signature.Params().At(last).Type().(*types.Slice).Elem().Underlying().(*types.Interface)
	return is && element.Empty() && slices.Index(call.Args, e) == last-1
}

// names tells whether the table has a name, and remembers it.
func (s source) names(name string) bool {
	_, named := s.not[name]
	s.used[name] = s.used[name] || named
	return named
}

// spares tells whether a text is for nobody who reads pages.
func (s source) spares(info *types.Info, file, english string, e ast.Expr, above []ast.Node) bool {
	if s.names(file) {
		return true
	}
	function := ""
	for _, n := range above {
		if f, is := n.(*ast.FuncDecl); is {
			function = f.Name.Name
		}
	}
	if s.names("func " + function) {
		return true
	}
	for _, n := range above {
		name := ""
		switch n := n.(type) {
		case *ast.Field: // a tag
			return true
		case *ast.BinaryExpr:
			if n.Op != token.ADD {
				return true // a comparison
			}
		case *ast.CaseClause:
			if slices.Contains(n.List, e) {
				return true
			}
		case *ast.KeyValueExpr:
			name = "= " + types.ExprString(n.Key)
		case *ast.AssignStmt:
			name = "= " + types.ExprString(n.Lhs[0])
		case *ast.ValueSpec:
			name = "= " + n.Names[0].Name
		case *ast.CompositeLit:
			name = types.TypeString(info.TypeOf(n), func(*types.Package) string { return "" })
		case *ast.CallExpr:
			name = types.ExprString(n.Fun)
			if strings.Contains(english, "%w") && s.names(name+" %w") {
				return true
			}
			if f, is := n.Fun.(*ast.SelectorExpr); is && strings.HasSuffix(types.TypeString(info.TypeOf(f.X), nil), "slog.Logger") {
				return true
			}
			if name == "panic" || (name == "fmt.Errorf" || name == "errors.New") && slices.Contains(s.but, function) {
				return name == "panic"
			}
		}
		if s.names(name) {
			return true
		}
	}
	return false
}

// load reads the packages as the compiler sees them, tests excluded.
func load(t *testing.T) map[string]*packages.Package {
	t.Helper()
	var patterns []string
	for _, s := range sources {
		patterns = append(patterns, module+s.pkg)
	}
	loaded, err := packages.Load(&packages.Config{
		Context: t.Context(),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedCompiledGoFiles | packages.NeedSyntax |
			packages.NeedTypes | packages.NeedTypesInfo,
	}, patterns...)
	require.NoError(t, err)
	byPath := make(map[string]*packages.Package)
	for _, pkg := range loaded {
		require.Empty(t, pkg.Errors, pkg.PkgPath)
		byPath[strings.TrimPrefix(pkg.PkgPath, module)] = pkg
	}
	return byPath
}
