package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestDocumentation holds docs/configuration.md against the struct.
func TestDocumentation(t *testing.T) {
	const path = "../../docs/configuration.md"
	want := document(t)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "run: go test ./internal/config -run Documentation -update")
}

func document(t *testing.T) string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	structs := make(map[string]*ast.TypeSpec)
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		spec := general.Specs[0].(*ast.TypeSpec)
		spec.Doc = general.Doc
		structs[spec.Name.Name] = spec
	}
	var b strings.Builder
	b.WriteString("# Configuration: imca.yaml\n\n" +
		"<!-- Printed from internal/config/config.go: change it there, then run go test ./internal/config -run Documentation -update -->\n\n" +
		"What `imca serve --config imca.yaml` reads. What is left out gets the default; a setting that is not listed here is refused." +
		" Relative paths start at the folder of the file. All faults are reported at once, each with its path. A start: `deploy/imca.yaml`.\n")
	p := printer{t: t, b: &b, structs: structs}
	p.block("", "", "Config", reflect.ValueOf(Default()))
	return b.String()
}

type printer struct {
	t       *testing.T
	b       *strings.Builder
	structs map[string]*ast.TypeSpec
}

// block prints the settings of one struct, then those of the structs in it.
func (p *printer) block(path, meaning, name string, value reflect.Value) {
	if path == "" {
		p.b.WriteString("\n## Top level\n")
	} else {
		fmt.Fprintf(p.b, "\n## `%s`\n\n%s\n", strings.TrimSuffix(path, "."), meaning)
	}
	header := "\n| setting | default | meaning |\n|---|---|---|\n"
	var blocks []func()
	for _, field := range p.structs[name].Type.(*ast.StructType).Fields.List {
		goName := field.Names[0].Name
		structField, _ := value.Type().FieldByName(goName)
		key, _, _ := strings.Cut(structField.Tag.Get("yaml"), ",")
		inner := value.FieldByName(goName)
		if inner.Kind() == reflect.Struct {
			doc := p.structs[structField.Type.Name()].Doc
			if field.Doc != nil {
				doc = field.Doc
			}
			blocks = append(blocks, func() { p.block(path+key+".", about(doc), structField.Type.Name(), inner) })
			continue
		}
		fmt.Fprintf(p.b, "%s| `%s%s` | %s | %s |\n", header, path, key, defaultOf(inner), about(field.Doc))
		header = ""
	}
	for _, block := range blocks {
		block()
	}
}

// about is a doc comment as a sentence that does not begin with the Go name.
func about(doc *ast.CommentGroup) string {
	text := strings.Join(strings.Fields(doc.Text()), " ")
	_, text, _ = strings.Cut(text, " ") // "Listen says where …"
	for _, verb := range []string{"is ", "are ", "says "} {
		text = strings.TrimPrefix(text, verb)
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func defaultOf(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.IsZero() && v.Kind() != reflect.Bool {
		return ""
	}
	if v.Kind() == reflect.Slice {
		return "`" + strings.Join(v.Interface().([]string), "`, `") + "`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
