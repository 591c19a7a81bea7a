package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/api/apitest"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// TestRoutesAndContract holds the routes against the document, both ways. What is public is another door's.
func TestRoutesAndContract(t *testing.T) {
	w := newWorld(t)
	served := routesOf(t, api.New(api.Config{CA: w.ca, Frame: w.frame}))
	documented := slices.DeleteFunc(contract.Routes(), func(route string) bool {
		_, path, _ := strings.Cut(route, " ")
		return apitest.Public(path)
	})
	require.Equal(t, documented, served)
}

// TestWireTypes holds the types against the schemas: the same fields, those that are always there required, texts and lists bounded alike.
func TestWireTypes(t *testing.T) {
	for schema, wire := range map[string]any{
		"IssueRequest": api.IssueRequest{}, "RenewRequest": api.RenewRequest{}, "RevokeRequest": api.RevokeRequest{},
		"RevocationRequest": api.RevocationRequest{}, "Revocations": api.Revocations{},
		"ReplacementRequest": api.ReplacementRequest{}, "Replacements": api.Replacements{}, "Replacement": api.Replacement{},
		"CertificateSummary": api.CertificateSummary{}, "Certificate": api.Certificate{},
		"AppRequest": api.AppRequest{}, "AppChange": api.AppChange{}, "App": api.App{},
		"DomainRequest": api.DomainRequest{}, "VerifyRequest": api.VerifyRequest{}, "ApproveRequest": api.ApproveRequest{},
		"RejectRequest": api.RejectRequest{}, "TransferRequest": api.TransferRequest{}, "Domain": api.Domain{}, "Challenge": api.Challenge{},
		"AppTokenRequest": api.AppTokenRequest{}, "RotateRequest": api.RotateRequest{}, "TokenRequest": api.TokenRequest{}, "Token": api.Token{},
		"Event": api.Event{}, "Profile": api.Profile{}, "Authority": api.Authority{}, "Principal": api.Principal{},
		"ProblemKind": api.ProblemKind{}, "Problem": api.Problem{},
	} {
		t.Run(schema, func(t *testing.T) {
			described := contract.Doc.Components.Schemas[schema].Value
			var required, fields []string
			for _, field := range reflect.VisibleFields(reflect.TypeOf(wire)) {
				name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
				if field.Anonymous || name == "-" {
					continue
				}
				fields = append(fields, name)
				if options != "omitempty" {
					required = append(required, name)
				}
				property, found := described.Properties[name]
				require.True(t, found, "%s is not described", name)
				checkBounds(t, schema, field, property.Value)
			}
			require.Len(t, described.Properties, len(fields), "the document has more fields than the type")
			require.ElementsMatch(t, described.Required, required)
		})
	}
}

// checkBounds holds the tags of a request's field against the document.
func checkBounds(t *testing.T, schema string, field reflect.StructField, property *openapi3.Schema) {
	t.Helper()
	kind := field.Type
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if !strings.HasSuffix(schema, "Request") && schema != "AppChange" {
		return
	}
	number := func(tag string) uint64 {
		n, err := strconv.ParseUint(field.Tag.Get(tag), 10, 64)
		require.NoError(t, err, "%s has no bound %s", field.Name, tag)
		return n
	}
	switch kind.Kind() {
	case reflect.String:
		require.Equal(t, number("max"), *property.MaxLength, field.Name)
	case reflect.Slice:
		require.Equal(t, number("most"), *property.MaxItems, field.Name)
		require.Equal(t, number("max"), *property.Items.Value.MaxLength, field.Name)
	}
}

// TestVocabulary holds the lists of words in the document against those of the code.
func TestVocabulary(t *testing.T) {
	words := func(schema string) (list []string) {
		for _, v := range contract.Doc.Components.Schemas[schema].Value.Enum {
			list = append(list, v.(string))
		}
		return list
	}
	require.Equal(t, texts(ca.Statuses()), words("Status"))
	require.Equal(t, texts(ca.Roles()), words("Role"))
	require.Equal(t, texts(ca.DomainPolicies()), words("Policy"))
	require.Equal(t, texts(ca.DomainStates()), words("DomainState"))
	require.Equal(t, texts(ca.ProofMethods()), words("ProofMethod"))
	require.ElementsMatch(t, texts(pki.KeyTypes()), words("KeyType"))
	require.Equal(t, texts(pki.LeafReasons()), words("Reason"))
	require.Equal(t, []string{string(ca.OutcomeDone), string(ca.OutcomeRefused)}, words("Outcome"))
	var types []string
	for _, e := range web.Table() {
		types = append(types, e.Type())
	}
	require.ElementsMatch(t, types, contract.ProblemTypes())
}

func texts[T any](values []T) (list []string) {
	for _, v := range values {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// TestParameters asks each private route for a parameter that it has not, and holds those that it then offers against the document.
func TestParameters(t *testing.T) {
	w := newWorld(t)
	for _, route := range contract.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		item := contract.Doc.Paths.Value(path)
		var documented []string
		for _, p := range append(item.Parameters, item.GetOperation(method).Parameters...) {
			if p.Value.In == "query" {
				documented = append(documented, p.Value.Name)
			}
		}
		p := w.ask("admin", method, w.fill(path)+"?no-such-parameter=1", "").problem(t, ca.KindInvalid)
		if documented == nil {
			require.Contains(t, p.Detail, "takes none", route)
			continue
		}
		_, offered, found := strings.Cut(strings.TrimSuffix(p.Detail, "."), "use some of ")
		require.True(t, found, p.Detail)
		require.ElementsMatch(t, documented, strings.Split(offered, ", "), route)
	}
}

// TestExamples holds the examples of the document against its own schemas, and sends those of requests.
func TestExamples(t *testing.T) {
	require.NoError(t, contract.Doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
	sent := 0
	for _, route := range contract.Routes() {
		method, path, _ := strings.Cut(route, " ")
		body := contract.Doc.Paths.Value(path).GetOperation(method).RequestBody
		if body == nil {
			continue
		}
		content := body.Value.Content["application/json"]
		if content == nil {
			continue // bytes
		}
		examples := []any{content.Example}
		for _, e := range content.Examples {
			examples = append(examples, e.Value.Value)
		}
		for _, example := range examples {
			if example == nil {
				continue
			}
			text, err := json.Marshal(example)
			require.NoError(t, err)
			holder := "admin"
			if path == "/v1/certificates" {
				holder = "developer" // who leaves the app out
			}
			w := newWorld(t) // an example may suspend the app
			got := w.ask(holder, method, w.fill(path), string(text))
			require.Less(t, got.StatusCode, 300, "%s %s: %s", route, text, got.body)
			sent++
		}
	}
	require.Equal(t, 22, sent)
}

func TestPublicPages(t *testing.T) {
	w := newWorld(t)
	got := w.ask("", "GET", "/openapi.yaml", "")
	require.Equal(t, "application/yaml", got.Header.Get("Content-Type"))
	require.Contains(t, string(got.body), "openapi: 3.0.3")

	page := w.ask("", "GET", "/docs", "")
	policy := page.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "script-src 'self' 'sha256-")
	require.NotContains(t, strings.Split(policy, "style-src")[0], "unsafe")
	scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllSubmatch(page.body, -1)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		hash := sha256.Sum256(script[1])
		require.Contains(t, policy, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'", "the page's own script would not run")
	}
	require.Contains(t, string(page.body), "/openapi.yaml")
	require.NotContains(t, string(page.body), "https://cdn", "all parts come from here")
	for _, part := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"} {
		require.Contains(t, string(page.body), "/docs/"+part)
		require.Equal(t, http.StatusOK, w.ask("", "GET", "/docs/"+part, "").StatusCode, part)
	}

	for _, kind := range contract.ProblemTypes() {
		var explained api.ProblemKind
		w.ask("", "GET", kind, "").read(t, http.StatusOK, &explained)
		require.Equal(t, kind, explained.Type)
		require.NotEmpty(t, explained.Mend)
	}
	w.ask("", "GET", "/docs/made-up", "").problem(t, ca.KindNotFound)
	w.ask("", "GET", "/problems/made-up", "").problem(t, ca.KindNotFound)

	w.ask("", "GET", "/nowhere", "").problem(t, web.KindNoRoute)
	got = w.ask("admin", "PUT", "/v1/apps/demo", "{}")
	got.problem(t, web.KindMethod)
	require.Equal(t, "GET, HEAD, PATCH", got.Header.Get("Allow"))
}

func TestFaultsOfTheDatabase(t *testing.T) {
	w := newWorld(t)
	w.store.breaks("Ping", io.ErrClosedPipe)
	got := w.ask("", "GET", "/readyz", "")
	require.NotContains(t, got.problem(t, ca.KindUnavailable).Detail, "pipe")
	require.Equal(t, http.StatusOK, w.ask("", "GET", "/healthz", "").StatusCode)
	require.Contains(t, w.log.String(), io.ErrClosedPipe.Error())

	w.store.breaks("ListAuthorities", io.ErrClosedPipe)
	w.ask("", "GET", "/readyz", "").read(t, http.StatusOK, &struct{}{})
	w.ask("auditor", "GET", "/v1/authorities", "").problem(t, web.KindInternal)
}

// TestSlowBody sends half of a request and waits.
func TestSlowBody(t *testing.T) {
	w := newWorld(t)
	server := w.frame.Server(api.New(api.Config{CA: w.ca, Frame: w.frame}))
	server.ReadTimeout = 300 * time.Millisecond // so that the test is quick
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	body, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+listener.Addr().String()+"/v1/certificates", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+w.security["developer"])
	r.Header.Set("Content-Type", "application/json")
	slow := &dripping{base: http.DefaultTransport, body: body}
	go func() { _, _ = io.WriteString(writer, `{"domain":`) }()
	got, err := contract.Client(t, slow).Do(r)
	require.NoError(t, err)
	defer func() { _ = got.Body.Close() }()
	require.Equal(t, http.StatusRequestTimeout, got.StatusCode)
	require.Zero(t, w.recorded()["certificates"])
}

// dripping sends requests with a body that does not end.
type dripping struct {
	base http.RoundTripper
	body io.ReadCloser
}

func (d *dripping) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Body, r.ContentLength = d.body, 100
	return d.base.RoundTrip(r)
}

// TestContractIsEnforced shows that the clients of these tests see each kind of breach.
func TestContractIsEnforced(t *testing.T) {
	for what, serve := range map[string]http.HandlerFunc{
		"unknown field": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"name":"x","role":"admin","token_id":"tok_1","password":"x"}`)
		},
		"missing field": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"name":"x"}`)
		},
		"wrong type":               func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"undocumented status":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		"error that is no problem": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	} {
		t.Run(what, func(t *testing.T) {
			watched := &failures{TB: t}
			client := apitest.Load().Client(watched, roundTrip(serve))
			got, err := client.Get("http://imca.test/v1/whoami")
			require.NoError(t, err)
			_ = got.Body.Close()
			require.NotEmpty(t, watched.list)
		})
	}
}

// failures is a test that remembers that it failed.
type failures struct {
	testing.TB
	list []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// roundTrip sends requests to a handler, without a network.
type roundTrip http.HandlerFunc

func (h roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}
