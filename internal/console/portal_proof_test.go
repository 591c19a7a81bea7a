package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// toProve is the page of a name that has to be proven, and is not.
func (w *world) toProve(p *person, name string) (path string) {
	w.t.Helper()
	w.bare.Store(true)
	_, err := w.ca.ChangeApp(w.t.Context(), root, "demo", ca.AppChange{Policy: new(ca.PolicyProve)})
	require.NoError(w.t, err)
	a := p.post("/apps/demo/new", url.Values{"domain": {name}, "key": {"server"}})
	require.Equal(w.t, http.StatusSeeOther, a.StatusCode, a.body)
	path, _, _ = strings.Cut(a.Header.Get("Location"), "?")
	return path
}

// eventually asks for a page until it says something.
func (p *person) eventually(path, says string) (body string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		body = p.page(path).body
		return strings.Contains(body, says)
	}, 10*time.Second, 5*time.Millisecond, "%s never says %q", path, says)
	return body
}

func (w *world) verifications() (events []ca.Event) {
	w.t.Helper()
	events, err := w.ca.ListEvents(w.t.Context(), root, ca.EventQuery{Action: ca.ActVerifyDomain, Limit: 100})
	require.NoError(w.t, err)
	return events
}

// TestProofIsNoticed: who has the page open needs to press nothing.
func TestProofIsNoticed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleDeveloper)
		path := w.toProve(p, "www.example.com")
		page := p.page(path).body
		require.Contains(t, page, "data-follow")
		require.Contains(t, page, `data-nudge="`+path+`/watch"`)
		require.NotContains(t, page, "http-equiv", "who copies by hand is left in peace")
		require.Empty(t, w.verifications(), "the page itself looks for nothing")

		require.Equal(t, http.StatusNoContent, p.post(path+"/watch", url.Values{}).StatusCode)
		page = p.eventually(path, "Nothing is there &lt;b&gt;dns-01")
		require.NotContains(t, page, "data-nudge")
		require.Contains(t, page, "We look again every few seconds")
		require.Contains(t, page, "Last looked")
		p.eventually(path, "Nothing is there &lt;b&gt;http-01")
		w.bare.Store(false)
		page = p.eventually(path, "Get the certificate")
		require.NotContains(t, page, "data-follow")
		require.Len(t, w.verifications(), 1, "however often it was looked for")
	})
}

// TestProofIsLookedForAfterTheButton goes on when the page is closed, and takes the place of what the page does by itself.
func TestProofIsLookedForAfterTheButton(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	path := w.toProve(p, "www.example.com")
	require.Equal(t, http.StatusNoContent, p.post(path+"/watch", url.Values{}).StatusCode)
	a := p.post(path, url.Values{"method": {"dns-01"}})
	require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
	require.Contains(t, a.body, "Nothing is there &lt;b&gt;dns-01")
	require.Contains(t, p.page(path).body, `<noscript><meta http-equiv="refresh" content="10"></noscript>`)
	w.advance(4 * time.Minute)
	time.Sleep(50 * time.Millisecond) // several looks
	w.bare.Store(false)
	require.Eventually(t, func() bool {
		d, err := w.ca.Domain(t.Context(), root, "www.example.com", "demo")
		require.NoError(t, err)
		return d.State == ca.DomainValid && d.ProvenBy == ca.MethodDNS
	}, 10*time.Second, 5*time.Millisecond)
}

// TestNobodyLooksForClosedPages: a page that is not asked for any more is looked for no more, and anew when it is opened again.
func TestNobodyLooksForClosedPages(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	path := w.toProve(p, "www.example.com")
	require.Equal(t, http.StatusNoContent, p.post(path+"/watch", url.Values{}).StatusCode)
	require.NotContains(t, p.page(path).body, "data-nudge")
	w.advance(4 * time.Minute)
	require.Eventually(t, func() bool { return len(w.verifications()) == 1 }, 10*time.Second, 5*time.Millisecond, "it has ended, and says so")
	require.Equal(t, ca.OutcomeRefused, w.verifications()[0].Outcome)
	page := p.page(path).body
	require.Contains(t, page, "data-nudge")
	require.Contains(t, page, "Nothing is there")
}

func TestValuesThatAreOver(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	path := w.toProve(p, "*.example.com")
	before, err := w.ca.Domain(t.Context(), root, "example.com", "demo")
	require.NoError(t, err)
	require.NotContains(t, p.page(path).body, path+"/again")
	w.advance(8 * 24 * time.Hour)
	p = w.as(ca.RoleDeveloper)
	page := p.page(path).body
	require.Contains(t, page, path+"/again")
	require.NotContains(t, page, "data-nudge")
	require.NotContains(t, page, "_acme-challenge", "nobody copies what is worth nothing")
	a := p.post(path+"/again", url.Values{})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
	require.Contains(t, p.page(a.Header.Get("Location")).body, "_acme-challenge.example.com")
	after, err := w.ca.Domain(t.Context(), root, "example.com", "demo")
	require.NoError(t, err)
	require.NotEqual(t, before.Token, after.Token)
	require.True(t, after.Wildcard)
}

func TestNameIsGivenUp(t *testing.T) {
	w := newWorld(t, sqlite(t))
	p := w.as(ca.RoleDeveloper)
	path := w.toProve(p, "www.example.com")
	auditor := w.as(ca.RoleAuditor)
	page := auditor.page(path).body
	require.NotContains(t, page, "<button id=")
	require.NotContains(t, page, path+"/remove")
	require.NotContains(t, page, "data-nudge")
	for _, verb := range []string{"/watch", "/again", "/remove", ""} {
		require.Equal(t, http.StatusForbidden, auditor.post(path+verb, url.Values{"method": {"dns-01"}}).StatusCode, verb)
	}
	stranger := strings.Replace(path, "/demo/", "/other/", 1)
	for _, verb := range []string{"/watch", "/again", "/remove", ""} {
		require.Equal(t, http.StatusNotFound, p.post(stranger+verb, url.Values{"method": {"dns-01"}}).StatusCode, verb)
	}
	for range 2 { // asked for again, it begins anew
		require.Equal(t, http.StatusUnprocessableEntity, p.post(path, url.Values{"method": {"dns-01"}}).StatusCode)
		require.NotContains(t, p.page(path).body, "data-nudge")
		require.Equal(t, "/apps/demo?done=name-removed", p.post(path+"/remove", url.Values{}).Header.Get("Location"))
		require.Equal(t, http.StatusNotFound, p.get(path).StatusCode)
		require.Equal(t, path, w.toProve(p, "www.example.com"))
		page := p.page(path).body
		require.Contains(t, page, "data-nudge")
		require.NotContains(t, page, "Last looked")
	}
}
