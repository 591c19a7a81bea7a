package web_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

var update = flag.Bool("update", false, "write docs/problems.md")

// TestTableIsComplete holds the table against the kinds that the sources declare.
func TestTableIsComplete(t *testing.T) {
	var declared, listed []string
	for _, file := range []string{"../ca/error.go", "problem.go"} {
		declared = append(declared, kindsIn(t, file)...)
	}
	require.Greater(t, len(declared), 15)
	for _, e := range web.Table() {
		listed = append(listed, string(e.Kind))
		require.GreaterOrEqual(t, e.Status, 400)
		for what, text := range map[string]string{"title": e.Title, "ACME type": e.ACME, "mend": e.Mend} {
			require.NotEmpty(t, text, "%s of %s", what, e.Kind)
		}
	}
	slices.Sort(declared)
	slices.Sort(listed)
	require.Equal(t, declared, listed)
	require.Equal(t, listed, slices.Compact(slices.Clone(listed)), "listed twice")
}

func kindsIn(t *testing.T, file string) (kinds []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		kinds = append(kinds, kind)
		return true
	})
	return kinds
}

// TestDocumentation holds docs/problems.md against the table; with -update it writes the page.
func TestDocumentation(t *testing.T) {
	const page = "../../docs/problems.md"
	var b strings.Builder
	b.WriteString(`# Problems

Every refusal is an ` + "`application/problem+json`" + ` document (RFC 9457): ` + "`type`" + ` (one of those below), ` + "`title`, `status`" + `, ` + "`detail`" + ` with what is wrong
and what to do, ` + "`request_id`" + ` under which the server's log has it, and ` + "`errors`" + `, one for each field at fault, with a JSON ` + "`pointer`" + ` into the body
(` + "`/domains/2`" + `) or the name of a query ` + "`parameter`" + `. Where it helps to wait, the header ` + "`Retry-After`" + ` says how many seconds.

Go by ` + "`type`" + ` in programs: titles and details are for people, and may change. ACME answers carry the type of the last column
(` + "`urn:ietf:params:acme:error:…`" + `) instead.

This page is printed from the table in ` + "`internal/web/problem.go`" + ` (` + "`go test ./internal/web -update`" + `).

| status | type | means | what to do | ACME |
|---|---|---|---|---|
`)
	for _, e := range web.Table() {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | `%s` |\n", e.Status, e.Type(), e.Title, e.Mend, e.ACME)
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "run: go test ./internal/web -update")
}

// TestACMETypes holds the column against the registry of ACME error types.
func TestACMETypes(t *testing.T) {
	registered := []string{ // RFC 8555, Section 9.7.3.
		"accountDoesNotExist", "alreadyRevoked", "badCSR", "badNonce", "badPublicKey", "badRevocationReason", "badSignatureAlgorithm", "caa",
		"compound", "connection", "dns", "externalAccountRequired", "incorrectResponse", "invalidContact", "malformed", "orderNotReady",
		"rateLimited", "rejectedIdentifier", "serverInternal", "tls", "unauthorized", "unsupportedContact", "unsupportedIdentifier",
		"userActionRequired",
		"alreadyReplaced", // RFC 9773, Section 7.
		"invalidProfile",  // draft-ietf-acme-profiles
	}
	for _, e := range web.Table() {
		require.Contains(t, registered, e.ACME, e.Kind)
	}
}

func TestFieldsOfAProblem(t *testing.T) {
	d := newDoor(t, web.Config{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range []struct {
		err  ca.Error
		want []web.Fault
	}{
		{ca.Error{Detail: "d"}, nil},
		{ca.Error{Detail: "d", Field: "/app"}, []web.Fault{{Pointer: "/app", Detail: "d"}}},
		{ca.Error{Detail: "d", Field: "limit"}, []web.Fault{{Parameter: "limit", Detail: "d"}}},
		{
			ca.Error{Detail: "d", Field: "/a", Faults: []ca.Fault{{Field: "/a", Detail: "x"}, {Field: "/b", Detail: "y"}}},
			[]web.Fault{{Pointer: "/a", Detail: "x"}, {Pointer: "/b", Detail: "y"}},
		},
	} {
		c.err.Kind = ca.KindInvalid
		require.Equal(t, c.want, d.Explain(r, fmt.Errorf("wrapped: %w", &c.err)).Errors)
	}
	p := d.Explain(r, &ca.Error{Kind: "made-up", Detail: "d"})
	require.Equal(t, web.KindInternal, p.Entry.Kind, "a kind that is not in the table is a fault")
	require.Contains(t, d.log.String(), "made-up")
}
