package acme_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
)

// TestStandingRecord: a record that stays proves a name by a challenge, whether it names the app or the ACME account, and, once it was found for the app,
// every later order without any.
func TestStandingRecord(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "shop" }})
	r := w.raw()
	const app = "https://ca.example/apps/shop"
	for name, account := range map[string]string{"*.a.example.com": app, "b.example.com": r.account} {
		made := r.post("/acme/new-order", orderOf([]string{name}, ""))
		require.Equal(t, http.StatusCreated, made.status, string(made.body))
		var o struct{ Authorizations []string }
		require.NoError(t, json.Unmarshal(made.body, &o))
		var z struct {
			Challenges []struct {
				Type, URL, Token, AccountURI string
				Issuers                      []string `json:"issuer-domain-names"`
			}
		}
		require.NoError(t, json.Unmarshal(r.post(strings.TrimPrefix(o.Authorizations[0], r.home()), "").body, &z))
		last := z.Challenges[len(z.Challenges)-1]
		require.Equal(t, "dns-persist-01", last.Type, "what clients know least comes last")
		require.Equal(t, []string{"ca.example"}, last.Issuers)
		require.Equal(t, app, last.AccountURI)
		require.NotEmpty(t, last.Token, "some clients want one of every challenge")

		w.show(strings.TrimPrefix(name, "*.") + " " + account)
		path := strings.TrimPrefix(last.URL, r.home())
		require.Equal(t, http.StatusOK, r.post(path, `{}`).status)
		require.Equal(t, "valid", r.settled(path), name)
	}

	// Its app's record is looked at again before the proof ends, and nobody notices; the account's ends with the proof, and is given again.
	w.pass(80 * 24 * time.Hour)
	require.NoError(t, w.ca.RecheckDomains(t.Context()))
	w.pass(20 * 24 * time.Hour)
	ready := func(name string) string {
		var o struct{ Status string }
		require.NoError(t, json.Unmarshal(r.post("/acme/new-order", orderOf([]string{name}, "")).body, &o))
		return o.Status
	}
	require.Equal(t, "ready", ready("*.a.example.com"))
	require.Equal(t, "pending", ready("b.example.com"))

	// A name whose standing record was found through another door is authorized at once.
	developer := ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "shop"}
	w.show("c.example.com " + app)
	_, _, err := w.ca.AddDomain(t.Context(), developer, ca.NewDomain{Domain: "c.example.com", Method: string(ca.MethodStanding)})
	require.NoError(t, err)
	_, err = w.ca.VerifyDomain(t.Context(), developer, "c.example.com", "shop", "")
	require.NoError(t, err)
	require.Equal(t, "ready", ready("c.example.com"))
	require.Equal(t, "ready", ready("*.c.example.com"), "the record covers what lies below")
}
