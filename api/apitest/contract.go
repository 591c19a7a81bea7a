// Package apitest holds HTTP traffic against openapi.yaml. A client that it makes fails its test when an answer is not as the document
// describes it, or when a request was granted that the document does not allow; and it remembers what was seen, so that a test can
// demand that everything documented is real.
//
// It knows no door and sends nothing of its own. Only tests import it.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/imca-project/imca"
)

// Contract is openapi.yaml, and what was seen of it. It is safe for concurrent use.
type Contract struct {
	Doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]bool
}

// Load reads the contract. It panics when the document is not valid OpenAPI.
func Load() *Contract {
	// Bodies of this type are bytes: what they say is not the document's matter.
	openapi3filter.RegisterBodyDecoder("application/ocsp-request", openapi3filter.FileBodyDecoder)
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(imca.OpenAPI)
	if err == nil {
		err = doc.Validate(loader.Context)
	}
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	return &Contract{Doc: doc, router: router, seen: make(map[string]bool)}
}

// Public tells whether a path is of the public door, which serves CA certificates and revocation status, and not of REST.
func Public(path string) bool {
	return slices.ContainsFunc([]string{"/ca/", "/crl/", "/ocsp/"}, func(door string) bool { return strings.HasPrefix(path, door) })
}

// Client is a client that fails the test when its traffic breaks the contract. It does not follow redirects. base does the work.
func (c *Contract) Client(t testing.TB, base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     &transport{t: t, contract: c, base: base},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type transport struct {
	t        testing.TB
	contract *Contract
	base     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := tr.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(got))
	if err := tr.contract.check(r, sent, answer, got); err != nil {
		tr.t.Errorf("%s %s, answered %s, breaks openapi.yaml: %v\nsent: %.300s\ngot: %.1000s", r.Method, r.URL, answer.Status, err, sent, got)
	}
	return answer, nil
}

// check holds one exchange against the document.
func (c *Contract) check(r *http.Request, sent []byte, answer *http.Response, got []byte) error {
	ctx := r.Context()
	asked := r.Clone(ctx)
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	if r.Method == http.MethodHead { // documented by GET
		asked.Method = http.MethodGet
	}
	route, parameters, err := c.router.FindRoute(asked)
	if err != nil {
		return c.undocumented(answer, got, err)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
			ExcludeResponseBody: r.Method == http.MethodHead || answer.StatusCode == http.StatusNotModified || opaque(answer),
		},
	}
	if answer.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(ctx, in); err != nil {
			return fmt.Errorf("the request was granted: %w", err)
		}
	}
	status, described := describedBy(route, answer.StatusCode)
	if described == nil || answer.StatusCode < 400 && status != strconv.Itoa(answer.StatusCode) {
		return errors.New("the status is not documented")
	}
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if len(described.Content) > 0 && described.Content.Get(mediaType) == nil {
		return fmt.Errorf("the media type %q is not documented", mediaType)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: answer.StatusCode, Header: answer.Header, Options: in.Options}
	out.SetBodyBytes(got)
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		return err
	}
	if described.Content["*/*"] != nil {
		mediaType = "*/*"
	}
	c.mu.Lock()
	c.seen[label(route.Method, route.Path, status, mediaType)] = true
	c.mu.Unlock()
	c.rememberProblem(answer, got)
	return nil
}

// describedBy finds the description of an answer with some status, and under which key.
func describedBy(route *routers.Route, code int) (status string, described *openapi3.Response) {
	exact := strconv.Itoa(code)
	for _, status := range []string{exact, exact[:1] + "XX", "default"} {
		if ref := route.Operation.Responses.Value(status); ref != nil {
			return status, ref.Value
		}
	}
	return "", nil
}

// undocumented judges an answer about a path or method that the document has not: it must be a problem that says so.
func (c *Contract) undocumented(answer *http.Response, got []byte, why error) error {
	if answer.StatusCode < 400 {
		return fmt.Errorf("it was granted: %w", why)
	}
	var problem any
	if err := json.Unmarshal(got, &problem); err != nil && len(got) > 0 {
		return fmt.Errorf("it is no problem document: %w", err)
	}
	if problem == nil {
		return nil // HEAD
	}
	c.rememberProblem(answer, got)
	return c.Doc.Components.Schemas["Problem"].Value.VisitJSON(problem)
}

// opaque tells whether a body is of a type whose bytes the document does not describe. kin-openapi cannot read those.
func opaque(answer *http.Response) bool {
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	return !strings.HasSuffix(mediaType, "json")
}

func (c *Contract) rememberProblem(answer *http.Response, got []byte) {
	var problem struct{ Type string }
	if answer.StatusCode >= 400 && json.Unmarshal(got, &problem) == nil {
		c.mu.Lock()
		c.seen[problem.Type] = true
		c.mu.Unlock()
	}
}

func label(method, path, status, mediaType string) string {
	return strings.TrimSpace(strings.Join([]string{method, path, status, mediaType}, " "))
}

// Unseen lists every answer (status and media type) of the documented routes that accept chooses that no client has seen. Answers that are
// documented as "default" are faults of the server, which are not asked of every route.
func (c *Contract) Unseen(accept func(path string) bool) []string {
	var want []string
	for path, item := range c.Doc.Paths.Map() {
		if !accept(path) {
			continue
		}
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				if status == "default" {
					continue
				}
				for mediaType := range response.Value.Content {
					want = append(want, label(method, path, status, mediaType))
				}
				if len(response.Value.Content) == 0 {
					want = append(want, label(method, path, status, ""))
				}
			}
		}
	}
	return c.without(want)
}

// UnseenProblems lists the problem types that no client has seen.
func (c *Contract) UnseenProblems() []string { return c.without(c.ProblemTypes()) }

// without is a list without what was seen, in order.
func (c *Contract) without(want []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	want = slices.DeleteFunc(want, func(what string) bool { return c.seen[what] })
	slices.Sort(want)
	return want
}

// Main runs the tests of a package, and after a whole run that was in order demands that nothing is unseen. It returns the exit code.
func Main(m *testing.M, unseen func() []string) int {
	code := m.Run()
	for _, arg := range os.Args[1:] {
		for _, choice := range []string{"-test.run=", "-test.skip=", "-test.list=", "-test.fuzz=", "-test.bench="} {
			if strings.HasPrefix(arg, choice) {
				return code
			}
		}
	}
	if missed := unseen(); code == 0 && len(missed) > 0 {
		fmt.Printf("FAIL: documented in openapi.yaml, but never answered in these tests:\n\t%s\n", strings.Join(missed, "\n\t"))
		return 1
	}
	return code
}

// ProblemTypes lists the problem types of the document.
func (c *Contract) ProblemTypes() (types []string) {
	for _, v := range c.Doc.Components.Schemas["ProblemType"].Value.Enum {
		types = append(types, v.(string))
	}
	return types
}

// Routes lists the documented routes, as "GET /v1/apps/{id}".
func (c *Contract) Routes() (routes []string) {
	for path, item := range c.Doc.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}
