package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// routesOf lists what a router serves, as "GET /v1/apps/{id}".
func routesOf(t testing.TB, handler http.Handler) (routes []string) {
	t.Helper()
	require.NoError(t, chi.Walk(handler.(chi.Routes), func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+path)
		return nil
	}))
	slices.Sort(routes)
	return routes
}

// TestWhoMayDoWhat asks every route as everybody. What is not in the table fails the test, so no route can be added without a word
// on who may use it. {serial} is a certificate of the app "demo", {token} a developer's token of it.
func TestWhoMayDoWhat(t *testing.T) {
	// The statuses, in this order.
	people := []string{"nobody", "unknown", "stranger", "developer", "auditor", "operator", "admin"}
	matrix := map[string]struct {
		body string
		want [7]int
	}{
		"POST /v1/certificates":                        {`{"domain":"www.example.com","app":"demo"}`, [7]int{401, 401, 404, 201, 403, 201, 201}},
		"GET /v1/certificates":                         {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"GET /v1/certificates/{serial}":                {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"POST /v1/certificates/{serial}/revoke":        {`{"reason":"superseded"}`, [7]int{401, 401, 404, 200, 403, 200, 200}},
		"POST /v1/certificates/{serial}/release":       {"", [7]int{401, 401, 403, 403, 403, 200, 200}},
		"POST /v1/revocations":                         {`{"suffix":"example.com","dry_run":true}`, [7]int{401, 401, 200, 200, 403, 200, 200}},
		"POST /v1/replacements":                        {`{"suffix":"example.com","replace_by":"2099-01-01"}`, [7]int{401, 401, 403, 403, 403, 200, 200}},
		"GET /v1/replacements":                         {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"POST /v1/certificates/{serial}/renew":         {"", [7]int{401, 401, 404, 201, 403, 201, 201}},
		"POST /v1/domains":                             {`{"domain":"new.example.com","app":"demo"}`, [7]int{401, 401, 404, 201, 403, 200, 200}},
		"GET /v1/domains":                              {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"GET /v1/domains/{name}":                       {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"DELETE /v1/domains/{name}":                    {"", [7]int{401, 401, 404, 204, 403, 204, 204}},
		"POST /v1/domains/{name}/verify":               {"", [7]int{401, 401, 404, 200, 403, 200, 200}},
		"POST /v1/domains/{name}/approve":              {"", [7]int{401, 401, 403, 403, 403, 200, 200}},
		"POST /v1/domains/{name}/reject":               {`{"reason":"no"}`, [7]int{401, 401, 403, 403, 403, 200, 200}},
		"POST /v1/domains/{name}/transfer":             {`{"to":"other"}`, [7]int{401, 401, 403, 403, 403, 200, 200}},
		"POST /v1/domains/{name}/resolve":              {`{"to":"demo"}`, [7]int{401, 401, 403, 200, 403, 200, 200}},
		"POST /v1/domains/{name}/revoke-others":        {"", [7]int{401, 401, 404, 200, 403, 200, 200}},
		"POST /v1/checks":                              {`{"url":"https://www.example.com/","app":"demo"}`, [7]int{401, 401, 404, 201, 403, 201, 201}},
		"GET /v1/checks":                               {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"GET /v1/checks/{id}":                          {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"POST /v1/endpoints":                           {`{"url":"https://www.example.com/","app":"demo"}`, [7]int{401, 401, 404, 201, 403, 200, 200}},
		"GET /v1/endpoints":                            {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"GET /v1/endpoints/{id}":                       {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"DELETE /v1/endpoints/{id}":                    {"", [7]int{401, 401, 404, 204, 403, 204, 204}},
		"POST /v1/apps/{id}/webhooks":                  {`{"url":"https://hooks.example.com/"}`, [7]int{401, 401, 404, 201, 403, 201, 201}},
		"GET /v1/apps/{id}/webhooks":                   {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"DELETE /v1/apps/{id}/webhooks/{webhook}":      {"", [7]int{401, 401, 404, 204, 403, 204, 204}},
		"POST /v1/apps/{id}/webhooks/{webhook}/rotate": {"", [7]int{401, 401, 404, 200, 403, 200, 200}},
		"POST /v1/apps/{id}/webhooks/{webhook}/test":   {"", [7]int{401, 401, 404, 204, 403, 204, 204}},
		"POST /v1/apps/{id}/roots":                     {toJSON(t, api.AppRootRequest{Certificate: foreignRoot(t)}), [7]int{401, 401, 403, 403, 403, 201, 200}},
		"GET /v1/apps/{id}/roots":                      {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"DELETE /v1/apps/{id}/roots/{fingerprint}":     {"", [7]int{401, 401, 403, 403, 403, 204, 204}},
		"POST /v1/apps":                                {`{"name":"new"}`, [7]int{401, 401, 403, 403, 403, 201, 201}},
		"GET /v1/apps":                                 {"", [7]int{401, 401, 403, 403, 200, 200, 200}},
		"GET /v1/apps/{id}":                            {"", [7]int{401, 401, 404, 200, 200, 200, 200}},
		"PATCH /v1/apps/{id}":                          {`{"name":"Demo"}`, [7]int{401, 401, 403, 403, 403, 200, 200}},
		"POST /v1/apps/{id}/tokens":                    {`{"name":"new"}`, [7]int{401, 401, 404, 403, 403, 201, 201}},
		"POST /v1/apps/{id}/eab":                       {`{"name":"new"}`, [7]int{401, 401, 404, 201, 403, 201, 201}},
		"GET /v1/apps/{id}/tokens":                     {"", [7]int{401, 401, 404, 403, 200, 200, 200}},
		"POST /v1/tokens":                              {`{"name":"new","role":"auditor"}`, [7]int{401, 401, 403, 403, 403, 403, 201}},
		"GET /v1/tokens":                               {"", [7]int{401, 401, 403, 403, 200, 200, 200}},
		"DELETE /v1/tokens/{id}":                       {"", [7]int{401, 401, 403, 403, 403, 204, 204}},
		"POST /v1/tokens/{id}/rotate":                  {"", [7]int{401, 401, 404, 404, 403, 201, 201}},
		"GET /v1/events":                               {"", [7]int{401, 401, 403, 403, 200, 200, 200}},
		"GET /v1/profiles":                             {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"GET /v1/authorities":                          {"", [7]int{401, 401, 403, 403, 200, 200, 200}},
		"GET /v1/whoami":                               {"", [7]int{401, 401, 200, 200, 200, 200, 200}},
		"POST /v1/sign-in-links":                       {"", [7]int{401, 401, 201, 201, 201, 201, 201}},
		"POST /v1/sign-outs":                           {`{"token_id":"tok_1"}`, [7]int{401, 401, 403, 403, 403, 200, 200}},
		"GET /problems":                                {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /problems/{kind}":                         {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /healthz":                                 {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /readyz":                                  {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /openapi.yaml":                            {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /docs":                                    {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
		"GET /docs/{part}":                             {"", [7]int{200, 200, 200, 200, 200, 200, 200}},
	}
	w := newWorld(t)
	w.security["unknown"] = "imca_unknown"
	routes := routesOf(t, api.New(api.Config{CA: w.ca, Frame: w.frame}))
	for _, route := range routes {
		require.Contains(t, matrix, route, "say in this table who may use the route")
	}
	require.Len(t, matrix, len(routes), "the table has a route that is gone")

	// Checks make canaries beside the requests; those of this one are used by all.
	_, err := w.as("developer").RunCheck(t.Context(), api.CheckRequest{URL: "https://www.example.com/"})
	require.NoError(t, err)
	for route, row := range matrix {
		method, path, _ := strings.Cut(route, " ")
		for i, who := range people {
			before := w.recorded()
			target := w.fill(path)
			before["certificates"], before["tokens"], before["domains"] = w.recorded()["certificates"], w.recorded()["tokens"], w.recorded()["domains"]
			got := w.ask(who, method, target, row.body)
			require.Equal(t, row.want[i], got.StatusCode, "%s as %s: %s", route, who, got.body)
			if got.StatusCode >= 400 {
				require.Equal(t, before, w.recorded(), "%s as %s was refused and changed something", route, who)
			}
		}
		// What cannot be read is refused on every route, by everybody's token.
		w.ask("admin", method, w.fill(path)+"?a=%00", row.body).problem(t, ca.KindMalformed)
	}
}

// fill puts objects of the app "demo" into a path.
func (w *world) fill(path string) string {
	w.t.Helper()
	if strings.Contains(path, "{serial}") {
		cert, err := w.as("developer").Issue(w.t.Context(), api.IssueRequest{Domain: "www.example.com"})
		require.NoError(w.t, err)
		path = strings.Replace(path, "{serial}", cert.Serial, 1)
	}
	if strings.HasPrefix(path, "/v1/tokens/{id}") {
		token, err := w.as("operator").CreateAppToken(w.t.Context(), "demo", api.AppTokenRequest{Name: "short-lived"})
		require.NoError(w.t, err)
		path = strings.Replace(path, "{id}", token.ID, 1)
	}
	if strings.HasPrefix(path, "/v1/checks/{id}") {
		k, err := w.as("developer").RunCheck(w.t.Context(), api.CheckRequest{URL: "https://www.example.com/"})
		require.NoError(w.t, err)
		path = strings.Replace(path, "{id}", k.ID, 1)
	}
	if strings.HasPrefix(path, "/v1/endpoints/{id}") {
		e, err := w.as("developer").AddEndpoint(w.t.Context(), api.EndpointRequest{URL: "https://registered.example.com/"})
		require.NoError(w.t, err)
		path = strings.Replace(path, "{id}", e.ID, 1)
	}
	if before, after, found := strings.Cut(path, "{fingerprint}"); found {
		r, err := w.as("operator").AddAppRoot(w.t.Context(), "demo", api.AppRootRequest{Certificate: string(w.rootPEM())})
		require.NoError(w.t, err)
		path = before + r.FingerprintSHA256 + after
	}
	if before, after, found := strings.Cut(path, "{webhook}"); found {
		path = before + w.onlyWebhook().ID + after
	}
	if strings.Contains(path, "{name}") {
		rival := strings.HasSuffix(path, "/resolve")
		path = strings.Replace(path, "{name}", w.ownDomain("www.example.com", rival), 1)
	}
	return strings.NewReplacer("{id}", "demo", "{kind}", "invalid", "{part}", "swagger-ui.css").Replace(path)
}

// ownDomain makes a name that the app "demo" has, and, if there is to be a rival, the app "other" has proven as well.
func (w *world) ownDomain(name string, rival bool) string {
	w.t.Helper()
	for _, app := range []string{"demo", "other"} {
		_ = w.as("admin").RemoveDomain(w.t.Context(), name, app) // there may be none
	}
	for _, app := range []string{"demo", "other"} {
		if app == "other" && !rival {
			continue
		}
		_, err := w.as("admin").AddDomain(w.t.Context(), api.DomainRequest{Domain: name, App: app})
		require.NoError(w.t, err)
		_, err = w.as("admin").VerifyDomain(w.t.Context(), name, api.VerifyRequest{App: app})
		require.NoError(w.t, err)
	}
	return name
}

// TestObjectsOfOthers asks for every object of one app with the token of another: all answers are the same as for what is not there.
func TestObjectsOfOthers(t *testing.T) {
	w := newWorld(t)
	cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
	require.NoError(t, err)
	none := "01" + strings.Repeat("0", 32)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/certificates/%s", ""},
		{"POST", "/v1/certificates/%s/revoke", `{"reason":"superseded"}`},
		{"POST", "/v1/certificates/%s/renew", ""},
	} {
		theirs := w.ask("stranger", c.method, fmt.Sprintf(c.path, cert.Serial), c.body).problem(t, ca.KindNotFound)
		missing := w.ask("stranger", c.method, fmt.Sprintf(c.path, none), c.body).problem(t, ca.KindNotFound)
		theirs.RequestID, missing.RequestID = "", ""
		theirs.Detail, missing.Detail = strings.ReplaceAll(theirs.Detail, cert.Serial, none), strings.ReplaceAll(missing.Detail, none, none)
		require.Equal(t, missing.Type, theirs.Type)
	}
	cert, err = w.as("developer").Certificate(t.Context(), cert.Serial)
	require.NoError(t, err)
	require.Equal(t, "valid", cert.Status)
}

func TestLimitsAreDocumentedAnswers(t *testing.T) {
	w := newWorld(t, func(o *worldOptions) { o.limits.Token = web.Rate{PerSecond: 1, Burst: 3} })
	for range 3 {
		require.Equal(t, http.StatusOK, w.ask("developer", "GET", "/v1/whoami", "").StatusCode)
	}
	got := w.ask("developer", "GET", "/v1/whoami", "")
	got.problem(t, ca.KindRateLimited)
	require.Equal(t, "1", got.Header.Get("Retry-After"))
	_, err := w.as("developer").Whoami(t.Context())
	require.NotZero(t, refusal(t, err, ca.KindRateLimited).RetryAfter)
	require.Equal(t, http.StatusOK, w.ask("operator", "GET", "/v1/whoami", "").StatusCode)
}
