package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/console"
)

// everybodys are the console's pages that everyone may ask for: they show a developer the own app's objects alone, or change nothing but a cookie.
var everybodys = map[string]bool{
	"/": true, "/console/certificates": true, "/console/certificates.csv": true, "/console/certificates.json": true, "/console/certificates/saved": true,
	"/console/approvals": true, "/console/checks": true, "/console/revoke": true,
}

// TestEveryRouteAsksWhoIsThere walks all routes as nobody, as a developer of another app, and as an auditor, with the addresses of objects that are there.
func TestEveryRouteAsksWhoIsThere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		issued, err := w.ca.Issue(t.Context(), ca.Principal{Name: "o", Role: ca.RoleDeveloper, App: "other"}, ca.IssueRequest{Domains: []string{"other.example.com"}})
		require.NoError(t, err)
		_, err = w.ca.ChangeApp(t.Context(), root, "other", ca.AppChange{Policy: new(ca.PolicyApprove)})
		require.NoError(t, err)
		_, _, err = w.ca.AddDomain(t.Context(), ca.Principal{Name: "o", Role: ca.RoleDeveloper, App: "other"}, ca.NewDomain{Domain: "other.example.com"})
		require.NoError(t, err)
		token, _, err := w.ca.CreateToken(t.Context(), root, ca.NewToken{Name: "ci", Role: ca.RoleDeveloper, App: "other"})
		require.NoError(t, err)
		fill := strings.NewReplacer("{serial}", issued.Certificate.Serial.String(), "{app}", "other", "{name}", "other.example.com", "{token}", token.ID, "{run}", "RUN", "{check}", "chk_1")
		form := url.Values{"reason": {"superseded"}, "typed": {"other.example.com"}, "app": {"other"}, "id": {"new"}, "name": {"x"}, "policy": {"open"}, "days": {"1"}}
		nobody, developer, auditor := w.nobody(), w.as(ca.RoleDeveloper), w.as(ca.RoleAuditor)
		walked := 0
		for _, route := range console.Routes() {
			method, path := route[0], fill.Replace(route[1])
			if !strings.HasPrefix(path, "/console") && path != "/" {
				continue // the portal has its own test
			}
			walked++
			a := nobody.ask(method, path, form)
			require.Equal(t, http.StatusSeeOther, a.StatusCode, "%s %s", method, path)
			require.Regexp(t, "^/signin", a.Header.Get("Location"), "%s %s", method, path)
			if everybodys[path] {
				continue
			}
			a = developer.ask(method, path, form)
			if path == "/console/revoke/start" { // a developer may, in the own app; without a dry run it is refused whoever asks
				require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
			} else {
				require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, a.StatusCode, "%s %s: %s", method, path, a.body)
			}
			if method == http.MethodPost {
				require.Equal(t, http.StatusForbidden, auditor.ask(method, path, form).StatusCode, "%s %s", method, path)
			}
		}
		require.Greater(t, walked, 30)
		require.Nil(t, w.revocation(issued.Certificate))
	})
}
