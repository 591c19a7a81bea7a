package acme_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
)

func TestOpenOrders(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.Limits.OpenOrders = 2 }})
	r := w.raw()
	for range 2 {
		require.Equal(t, http.StatusCreated, r.post("/acme/new-order", orderOf([]string{"www.example.com"}, "")).status)
	}
	refused := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, ""))
	refused.requireProblem(t, "rateLimited")
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Equal(t, "600", refused.header.Get("Retry-After"))
	w.pass(21 * time.Hour)
	r.issue("www.example.com", "")
}

// requireLimited asserts a refusal that says when to come again.
func (a answer) requireLimited(t *testing.T, most time.Duration) {
	t.Helper()
	a.requireProblem(t, "rateLimited")
	require.Equal(t, http.StatusTooManyRequests, a.status)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err, "RFC 8555, Section 6.6, and no date: some clients cannot read one")
	require.Positive(t, seconds)
	require.LessOrEqual(t, time.Duration(seconds)*time.Second, most)
}

func TestNewAccountsAreBounded(t *testing.T) {
	for name, limits := range map[string]acme.Limits{"of an address": {AccountsPerAddressHour: 2}, "of an app": {AccountsPerAppHour: 2}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options{change: func(c *acme.Config) { c.Limits = limits }})
			first := w.raw()
			w.raw()
			third := &raw{world: w, key: newKey(t)}
			third.post("/acme/new-account", `{}`).requireLimited(t, time.Hour)
			first.account = ""
			require.Equal(t, http.StatusOK, first.post("/acme/new-account", `{}`).status, "an account that there is is found all the same")
			w.pass(30 * time.Minute)
			require.Equal(t, http.StatusCreated, third.post("/acme/new-account", `{}`).status)
		})
	}
}

// TestFailuresAreBounded: what comes right does not count, what fails does, name by name.
func TestFailuresAreBounded(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) {
		c.OpenApp, c.Limits.FailuresPerNameHour = "shop", 2
		c.Pauses = []time.Duration{}
	}})
	r := w.raw()
	try := func(name string, good bool) answer {
		made := r.post("/acme/new-order", orderOf([]string{name}, ""))
		require.Equal(t, http.StatusCreated, made.status, string(made.body))
		url, token := r.challengeOf(made, "http-01")
		if good {
			w.show(r.keyAuthorization(token))
		}
		taken := r.post(url, `{}`)
		if taken.status == http.StatusOK {
			r.settled(url)
		}
		return taken
	}
	for range 2 {
		require.Equal(t, http.StatusOK, try("bad.example.com", false).status)
	}
	try("bad.example.com", false).requireLimited(t, time.Hour)
	require.Equal(t, http.StatusOK, try("other.example.com", false).status, "each name for itself")
	require.Equal(t, http.StatusOK, try("good.example.com", true).status)
	w.pass(100 * 24 * time.Hour) // the proof has lapsed
	for range 3 {
		require.Equal(t, http.StatusOK, try("good.example.com", true).status)
		w.pass(100 * 24 * time.Hour)
	}
	require.Equal(t, http.StatusOK, try("bad.example.com", true).status)
}

func TestOpenAppThatDoesNotExist(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "gone" }})
	r := &raw{world: w, key: newKey(t)}
	a := r.post("/acme/new-account", `{}`)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, string(a.body), "imca app create gone")
}
