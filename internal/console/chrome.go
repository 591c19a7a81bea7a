package console

import (
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
)

// chrome is what stands around every page.
type chrome struct {
	Lang      string // of the page
	Languages []*language
	Here      string // the path and query of the page, to come back to
	Who       ca.Principal
	Nav       []navEntry
	Refresh   int    // see visit
	Done      string // what has just been done: the key of a text; empty: nothing
}

// SignedIn tells whether anybody is.
func (c chrome) SignedIn() bool { return c.Who.Role != "" }

// navEntry is a line of the menu.
type navEntry struct {
	Path    string
	Text    string // its key
	Current bool
}

func (v *visit) chrome() chrome {
	c := chrome{Lang: v.lang.Tag, Languages: v.languages, Here: "/", Who: v.principal, Refresh: v.refresh}
	if v.r.Method == http.MethodGet {
		c.Here = v.r.URL.RequestURI()
	}
	// Only what the catalogue knows is said: a link from elsewhere cannot put words into our mouth.
	if key := "done." + v.r.URL.Query().Get("done"); v.lang.texts[key] != "" {
		c.Done = key
	}
	c.Nav = v.menu()
	return c
}

// menu is what the role may see at all; the verbs of the CA judge every page again.
func (v *visit) menu() []navEntry {
	var entries []navEntry
	add := func(a ca.Action, path, text string) {
		if v.principal.Role.May(a) && v.principal.Scopes.Allow(a) {
			entries = append(entries, navEntry{Path: path, Text: text, Current: within(v.r.URL.Path, path)})
		}
	}
	if v.principal.Role == ca.RoleDeveloper {
		app := v.principal.App
		add(ca.ActReadApp, portalPath(app), "nav.portal")
		add(ca.ActIssueServer, portalPath(app, "new"), "nav.new")
		add(ca.ActReadCheck, portalPath(app, "check"), "nav.check")
		add(ca.ActReadEndpoint, portalPath(app, "endpoints"), "nav.endpoints")
		add(ca.ActCreateEAB, portalPath(app, "acme"), "nav.acme")
		add(ca.ActReadHistory, portalPath(app, "history"), "nav.history")
		return entries
	}
	add(ca.ActReadFigures, "/console", "nav.overview")
	add(ca.ActReadCertificate, certificatesPath, "nav.certificates")
	add(ca.ActRevokeSearch, bulkPath, "nav.revoke")
	add(ca.ActReadDomain, approvalsPath, "nav.approvals")
	add(ca.ActReadCheck, checksPath, "nav.checks")
	add(ca.ActListApps, appsPath, "nav.apps")
	add(ca.ActReadTokens, tokensPath, "nav.tokens")
	add(ca.ActReadEvents, "/console/events", "nav.events")
	add(ca.ActReadAuthorities, "/console/authorities", "nav.authorities")
	add(ca.ActExamine, "/console/settings", "nav.settings")
	return entries
}

// within tells whether a page is, or lies below, an entry of the menu.
func within(path, entry string) bool {
	if entry == "/console" || strings.Count(entry, "/") == 2 && strings.HasPrefix(entry, "/apps/") {
		return path == entry
	}
	return path == entry || strings.HasPrefix(path, entry+"/")
}

// done is the path of a page that says what has just been done.
func done(path, what string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + "done=" + what
}
