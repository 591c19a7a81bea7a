package console_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/imca-project/imca/internal/ca"
)

// TestWhatIsTypedInThePortalIsText goes for the developers' pages, and for the operators' that show the same, by what a developer, a developer's server
// or a receiver of messages can say.
func TestWhatIsTypedInThePortalIsText(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}javascript:alert(1)`
		ctx, q := t.Context(), url.QueryEscape(evil)
		w.undelivered = errors.New("the answer was " + evil)
		w.sight = ca.CheckFacts{Summary: "open", Findings: []ca.CheckFinding{{Code: evil, Severity: "fault", Title: evil}}}
		report, err := json.Marshal(map[string]any{
			"findings": []any{map[string]any{"code": evil, "severity": evil, "title": evil, "advice": evil, "evidence": []string{evil},
				"mends": []any{map[string]any{"server": evil, "lines": []string{evil}}}}},
			"probes": []any{map[string]any{"certificate": evil, "outcome": evil}}, "admits_platform": map[string]any{"answer": evil, "reason": evil}, "untold": []string{evil},
		})
		require.NoError(t, err)
		w.report = string(report)
		_, err = w.ca.ChangeApp(ctx, root, "demo", ca.AppChange{Name: new(evil)})
		require.NoError(t, err)
		_, _, err = w.ca.CreateToken(ctx, root, ca.NewToken{Name: evil, Role: ca.RoleAuditor})
		require.NoError(t, err)
		_, _, err = w.ca.CreateToken(ctx, root, ca.NewToken{Name: evil, Role: ca.RoleDeveloper, App: "demo"})
		require.NoError(t, err)
		dev := ca.Principal{Name: evil, Role: ca.RoleDeveloper, App: "demo", Token: "tok_evil", Address: evil, RequestID: evil}
		issued, err := w.ca.Issue(ctx, dev, ca.IssueRequest{Domains: []string{"www.example.com"}})
		require.NoError(t, err)
		hook, err := w.ca.CreateWebhook(ctx, dev, "demo", "https://hooks.example.com/"+evil)
		require.NoError(t, err)
		require.NoError(t, w.ca.TestWebhook(ctx, dev, "demo", hook.ID))
		require.NoError(t, w.ca.DeliverDue(ctx))
		e, _, err := w.ca.AddEndpoint(ctx, dev, ca.NewEndpoint{URL: "https://www.example.com/" + url.PathEscape(evil)})
		require.NoError(t, err)
		require.NoError(t, w.ca.RunDueChecks(ctx))
		e, err = w.ca.Endpoint(ctx, dev, e.ID)
		require.NoError(t, err)

		developer, admin := w.as(ca.RoleDeveloper), w.as(ca.RoleAdmin)
		name := w.toProve(developer, "shop.example.com")
		_, err = w.ca.RejectDomain(ctx, root, ca.Decision{Name: "shop.example.com", App: "demo", Reason: evil})
		require.NoError(t, err)
		other := w.toProve(developer, "other.example.com")
		require.Equal(t, http.StatusNoContent, developer.post(other+"/watch", url.Values{}).StatusCode)
		developer.eventually(other, "Nothing is there")

		bodies := make(map[string]string)
		serial := issued.Certificate.Serial.String()
		for _, path := range []string{
			"/apps/demo", "/apps/demo?done=" + q, "/apps/demo/new?domain=" + q + "&server=" + q + "&key=" + q, "/apps/demo/new?renews=" + q + "&domain=" + q,
			"/apps/demo/certificates/" + serial + "?server=" + q, name + "?domain=" + q + "&server=" + q, other + "?key=" + q, "/apps/demo/check?url=" + q,
			"/apps/demo/checks/" + e.CheckID, "/apps/demo/endpoints", "/apps/demo/endpoints?tested=" + q, "/apps/demo/endpoints/" + e.ID,
			"/apps/demo/endpoints/" + url.PathEscape(evil), "/apps/demo/acme?domains=" + q, "/apps/demo/history",
			"/apps/demo/domains/" + url.PathEscape(evil), "/apps/" + url.PathEscape(evil) + "/endpoints",
		} {
			bodies[path] = developer.get(path).body
		}
		for path, form := range map[string]url.Values{
			"/apps/demo/new":       {"domain": {evil}, "server": {evil}, "key": {"csr"}, "csr": {evil}, "once": {evil}},
			"/apps/demo/check":     {"url": {evil}, "callback": {evil}},
			"/apps/demo/endpoints": {"url": {evil}, "callback": {evil}},
			"/apps/demo/webhooks":  {"url": {evil}},
			"/apps/demo/acme":      {"domains": {evil}},
			other:                  {"method": {evil}, "domain": {evil}},
			"/apps/demo/webhooks/" + hook.ID + "/rotate":            {},
			"/apps/demo/webhooks/" + url.PathEscape(evil) + "/test": {},
			"/apps/demo/certificates/" + serial + "/revoke":         {"reason": {evil}},
		} {
			bodies["POST "+path] = developer.post(path, form).body
		}
		for _, path := range []string{
			"/console/tokens", "/console/tokens?after=" + q, "/console/apps/demo", "/console/checks", "/console/checks/" + e.CheckID, "/console/approvals/demo/shop.example.com",
			"/console/events", "/apps/demo/endpoints", "/signin/provider?next=" + q,
		} {
			bodies["admin "+path] = admin.get(path).body
		}
		bodies["POST tokens"] = admin.post("/console/tokens", url.Values{"name": {evil}, "role": {evil}, "days": {evil}, "scope": {evil}}).body
		bodies["POST token"] = admin.post("/console/tokens", url.Values{"name": {evil}, "role": {"auditor"}}).body
		shown := 0
		for path, body := range bodies {
			requireOwnMarkup(t, path, body)
			shown += strings.Count(body, "&lt;script&gt;alert(1)")
		}
		require.Greater(t, shown, 50, "it was shown, as text")
	})
}

// requireOwnMarkup reads a page as browsers do, and fails on what no template has.
func requireOwnMarkup(t *testing.T, path, body string) {
	t.Helper()
	tokens := html.NewTokenizer(strings.NewReader(body))
	for tokens.Next() != html.ErrorToken {
		token := tokens.Token()
		if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
			continue
		}
		for _, a := range token.Attr {
			require.NotRegexp(t, "^on", a.Key, path)
			if token.Data == "script" || token.Data == "img" {
				require.True(t, a.Key != "src" || strings.HasPrefix(a.Val, "/assets/"), "%s: %s", path, token)
			}
			if a.Key == "href" || a.Key == "src" || strings.HasSuffix(a.Key, "action") || strings.HasPrefix(a.Key, "data-") {
				require.NotRegexp(t, `(?i)^\s*javascript:`, a.Val, path)
			}
		}
		require.True(t, token.Data != "script" || len(token.Attr) > 0, path)
	}
}
