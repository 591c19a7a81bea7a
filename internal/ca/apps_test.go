package ca_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

func TestCreateApp(t *testing.T) {
	f := newFixture(t)
	app, _, err := f.CreateApp(t.Context(), operator, ca.NewApp{})
	require.NoError(t, err)
	require.Regexp(t, `^app-[a-z0-9]{10}$`, app.ID)
	require.Equal(t, app.ID, app.Name)
	require.Equal(t, ca.PolicyList, app.Policy, "an app that nobody thought about may have nothing")

	for name, test := range map[string]struct {
		p    ca.Principal
		req  ca.NewApp
		kind ca.Kind
	}{
		"taken":              {operator, ca.NewApp{ID: "demo"}, ca.KindConflict},
		"upper case":         {operator, ca.NewApp{ID: "Demo"}, ca.KindInvalid},
		"a path":             {operator, ca.NewApp{ID: "a/b"}, ca.KindInvalid},
		"ends in a hyphen":   {operator, ca.NewApp{ID: "a-"}, ca.KindInvalid},
		"unknown policy":     {operator, ca.NewApp{ID: "p", Policy: "trust"}, ca.KindInvalid},
		"a bad name allowed": {operator, ca.NewApp{ID: "p", Allowed: []string{"ok.example", "a b"}}, ca.KindRejectedName},
		"a bad suffix":       {operator, ca.NewApp{ID: "p", Allowed: []string{".*.example"}}, ca.KindRejectedName},
		"a developer":        {developer, ca.NewApp{ID: "p"}, ca.KindForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.CreateApp(t.Context(), test.p, test.req)
			refusal(t, err, test.kind)
		})
	}
}

func TestSuspendedAppGetsNothingNew(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	yes := true
	_, err := f.ChangeApp(t.Context(), operator, "demo", ca.AppChange{Suspended: &yes})
	require.NoError(t, err)
	_, err = f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
	refusal(t, err, ca.KindForbidden)
	_, err = f.Renew(t.Context(), developer, serial, ca.RenewRequest{})
	refusal(t, err, ca.KindForbidden)
	_, err = f.Certificate(t.Context(), developer, serial)
	require.NoError(t, err, "what it has it keeps")
}

// Operators who change the same app at the same time do not undo each other's changes.
func TestChangesOfAnAppAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		var wg sync.WaitGroup
		name, policy, yes := "Renamed", ca.PolicyList, true
		allowed := []string{"a.example"}
		for _, change := range []ca.AppChange{{Name: &name}, {Policy: &policy}, {Suspended: &yes}, {Allowed: &allowed}} {
			wg.Go(func() {
				_, err := f.ChangeApp(t.Context(), operator, "demo", change)
				require.NoError(t, err)
			})
		}
		wg.Wait()
		app, err := f.App(t.Context(), developer, "demo")
		require.NoError(t, err)
		require.Equal(t, "Renamed list true [a.example]", fmt.Sprint(app.Name, " ", app.Policy, " ", app.Suspended, " ", app.Allowed))
	})
}

func TestWhoSeesApps(t *testing.T) {
	f := newFixture(t)
	_, err := f.App(t.Context(), stranger, "demo")
	refusal(t, err, ca.KindNotFound)
	_, err = f.App(t.Context(), auditor, "nowhere")
	refusal(t, err, ca.KindNotFound)
	_, err = f.ListApps(t.Context(), developer, "", 0)
	refusal(t, err, ca.KindForbidden)
	apps, err := f.ListApps(t.Context(), auditor, "demo", 0)
	require.NoError(t, err)
	require.Len(t, apps, 1)
	require.Equal(t, "other", apps[0].ID)
}
