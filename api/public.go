package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/imca-project/imca"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// contract serves openapi.yaml.
func contract(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(imca.OpenAPI)
	return nil
}

func listProblems(w http.ResponseWriter, _ *http.Request) error {
	page := Page[ProblemKind]{}
	for _, e := range web.Table() {
		page.Items = append(page.Items, explain(e))
	}
	return public(w, page)
}

func readProblem(w http.ResponseWriter, r *http.Request) error {
	kind := chi.URLParam(r, "kind")
	for _, e := range web.Table() {
		if string(e.Kind) == kind {
			return public(w, explain(e))
		}
	}
	return web.Refuse(ca.KindNotFound, "There is no such problem type: /problems lists them.")
}

func explain(e web.Entry) ProblemKind {
	return ProblemKind{Type: e.Type(), Status: e.Status, Title: e.Title, Mend: e.Mend, ACME: "urn:ietf:params:acme:error:" + e.ACME}
}

func public(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(append(body, '\n'))
	return nil
}

var (
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	pagePart     = regexp.MustCompile(`"/docs/([^"]+)"`)
)

// docs serves the page that shows openapi.yaml, and its parts, all from this binary. Its policy allows no script but those parts and the
// inline ones of the page as it is, by their hashes. Styles need 'unsafe-inline': the page sets them on its elements as it goes.
func docs() func(w http.ResponseWriter, r *http.Request) error {
	pages := v5emb.NewHandlerWithConfig(swgui.Config{Title: "imca", SwaggerJSON: "/openapi.yaml", BasePath: "/docs"})
	var page capture
	pages.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}})
	policy := "default-src 'none'; script-src 'self'"
	for _, script := range inlineScript.FindAllSubmatch(page.Bytes(), -1) {
		hash := sha256.Sum256(script[1])
		policy += " 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	}
	policy += "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	parts := []string{""}
	for _, part := range pagePart.FindAllSubmatch(page.Bytes(), -1) {
		parts = append(parts, string(part[1]))
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if !slices.Contains(parts, chi.URLParam(r, "part")) {
			return web.Refuse(ca.KindNotFound, "The page has no such part: open /docs.")
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "public, max-age=300")
		pages.ServeHTTP(w, r)
		return nil
	}
}

// capture is a ResponseWriter that keeps the body.
type capture struct{ bytes.Buffer }

func (*capture) Header() http.Header { return make(http.Header) }
func (*capture) WriteHeader(int)     {}
