package console

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

// TestOnlyVigilsThatGoOnCount: those that have ended are kept for their pages, and keep nobody from a look at another name.
func TestOnlyVigilsThatGoOnCount(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		others int
		over   bool
		app    string
		begins bool
	}{
		"none":                    {0, false, "", true},
		"as many ended as may be": {mostVigils, true, "", true},
		"as many go on as may be": {mostVigils, false, "", false},
		"one app's go on":         {mostOfApp, false, "demo", false},
		"one app's have ended":    {mostOfApp, true, "demo", true},
	} {
		t.Run(name, func(t *testing.T) {
			begun := false
			s := &vigils{now: func() time.Time { return now }, all: make(map[claim]*vigil), background: func(func(context.Context)) { begun = true }}
			for n := range c.others {
				app := c.app
				if app == "" {
					app = "app" + strconv.Itoa(n)
				}
				s.all[claim{app, "n" + strconv.Itoa(n) + ".example.com"}] = &vigil{Over: c.over, Until: now}
			}
			s.begin(ca.Principal{}, claim{"demo", "www.example.com"}, []ca.Method{ca.MethodHTTP}, true)
			require.Equal(t, c.begins, begun)
		})
	}
}
