package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// TestEventsLeadToWhatTheyAreAbout: for operators in the console, for developers in their portal.
func TestEventsLeadToWhatTheyAreAbout(t *testing.T) {
	w := newWorld(t, sqlite(t))
	developer, auditor := w.as(ca.RoleDeveloper), w.as(ca.RoleAuditor)
	serial := w.issue("www.example.com").Serial.String()
	e, _, err := w.ca.AddEndpoint(t.Context(), root, ca.NewEndpoint{App: "demo", URL: "https://www.example.com/"})
	require.NoError(t, err)
	check := regexp.MustCompile(`chk_[0-9a-f]+`).FindString(developer.post("/apps/demo/check", url.Values{"url": {"www.example.com"}}).Header.Get("Location"))
	w.toProve(developer, "shop.example.com")

	for _, at := range []struct {
		page  string
		who   *person
		paths []string
	}{
		{"/console/events", auditor, []string{"/console/certificates/" + serial, "/apps/demo/endpoints/" + e.ID, "/console/checks/" + check, "/console/approvals/demo/shop.example.com"}},
		{"/apps/demo/history", developer, []string{"/apps/demo/certificates/" + serial, "/apps/demo/endpoints/" + e.ID, "/apps/demo/checks/" + check, "/apps/demo/domains/shop.example.com"}},
	} {
		body := at.who.page(at.page).body
		for _, path := range at.paths {
			require.Contains(t, body, `href="`+path+`"`, at.page)
			at.who.page(path)
		}
	}
	require.Contains(t, auditor.page("/console/events").body, `<option value="certificate.issue">issue a server certificate</option>`)
	body := auditor.page("/console/events?action=certificate.issue").body
	require.Contains(t, body, `<option value="certificate.issue" selected>`)
	require.Contains(t, body, serial)
	require.NotContains(t, body, check)
	require.Contains(t, auditor.page("/console/events?action=no.such").body, `<option value="no.such" selected>no.such</option>`)
}

// TestCheckGoesToAnAddress: of a server that its name does not lead to yet.
func TestCheckGoesToAnAddress(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	a := p.post("/apps/demo/check", url.Values{"url": {"www.example.com"}, "address": {"nowhere"}})
	require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
	require.Contains(t, a.body, `<details open>`)
	require.Contains(t, a.body, `id="address-fault"`)
	a = p.post("/apps/demo/check", url.Values{"url": {"www.example.com"}, "address": {" 192.0.2.7 "}, "callback": {"1"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
	path := a.Header.Get("Location")
	k, err := w.ca.Check(t.Context(), root, regexp.MustCompile(`chk_[0-9a-f]+`).FindString(path))
	require.NoError(t, err)
	require.Equal(t, "192.0.2.7", k.Address.String())
	require.True(t, k.Callback)
	require.NoError(t, w.ca.RunDueChecks(t.Context()))
	page := p.page(path).body
	require.Contains(t, page, `name="address" value="192.0.2.7"`, "the next one goes there, too")
	require.Contains(t, page, `name="callback" value="1"`)
}

// TestBulkOffersWhatThereIs: an authority and a profile are chosen, not guessed.
func TestBulkOffersWhatThereIs(t *testing.T) {
	w := newWorld(t, sqlite(t))
	body := w.as(ca.RoleOperator).page("/console/revoke?profile=server&authority=Old+CA").body
	require.Contains(t, body, `<option value="TencentQQAuthCA-Issuing">`)
	require.Contains(t, body, `<option value="server" selected>`)
	require.Contains(t, body, `<option value="Old CA" selected>`, "what the address says stays")
}
