package acme_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// orderOf is the payload of a new order for DNS names, with more fields.
func orderOf(names []string, more string) string {
	var ids []map[string]string
	for _, n := range names {
		ids = append(ids, map[string]string{"type": "dns", "value": n})
	}
	text, _ := json.Marshal(ids)
	return `{"identifiers":` + string(text) + more + `}`
}

// subproblems are the kinds that a refusal tells of each value.
func (a answer) subproblems(t *testing.T) map[string]string {
	t.Helper()
	var p struct {
		Subproblems []struct {
			Type, Detail string
			Identifier   struct{ Value string }
		}
	}
	require.NoError(t, json.Unmarshal(a.body, &p))
	told := make(map[string]string)
	for _, s := range p.Subproblems {
		require.NotEmpty(t, s.Detail)
		told[s.Identifier.Value] = strings.TrimPrefix(s.Type, "urn:ietf:params:acme:error:")
	}
	return told
}

// TestNewOrderRefuses: what the profile or the policy can never give is refused when it is ordered, name by name.
func TestNewOrderRefuses(t *testing.T) {
	w := newWorld(t, options{profile: func(p *issuer.Profile) { p.MaxNames, p.Wildcards, p.IPNames = 3, false, false }})
	r := w.raw()
	for name, c := range map[string]struct {
		payload, kind string
		about         map[string]string
	}{
		"too many names": {orderOf([]string{"a.example.com", "b.example.com", "c.example.com", "d.example.com"}, ""), "rejectedIdentifier", map[string]string{}},
		"a wildcard":     {orderOf([]string{"a.example.com", "*.example.com"}, ""), "rejectedIdentifier", map[string]string{"*.example.com": "rejectedIdentifier"}},
		"an address": {`{"identifiers":[{"type":"dns","value":"a.example.com"},{"type":"ip","value":"192.88.1.1"}]}`, "rejectedIdentifier",
			map[string]string{"192.88.1.1": "rejectedIdentifier"}},
		"several": {orderOf([]string{"host.local", "a.example.com", "a b"}, ""), "rejectedIdentifier",
			map[string]string{"host.local": "rejectedIdentifier", "a b": "rejectedIdentifier"}},
		"types": {`{"identifiers":[{"type":"email","value":"a@example.com"},{"type":"dns","value":"192.88.1.1"},{"type":"dns","value":"a.example.com"}]}`,
			"unsupportedIdentifier", map[string]string{"a@example.com": "unsupportedIdentifier", "192.88.1.1": "malformed"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.post("/acme/new-order", c.payload)
			a.requireProblem(t, c.kind)
			require.Equal(t, c.about, a.subproblems(t))
		})
	}
	events, err := w.ca.ListEvents(t.Context(), admin, ca.EventQuery{Outcome: ca.OutcomeRefused, Action: ca.ActIssueServer})
	require.NoError(t, err)
	require.Len(t, events, 4, "refusals are events, but for what is no name at all")

	a := r.post("/acme/new-order", orderOf([]string{"A.Example.com", "a.example.com.", "b.example.com"}, ""))
	require.Equal(t, http.StatusCreated, a.status, string(a.body))
	var order struct{ Identifiers []struct{ Value string } }
	require.NoError(t, json.Unmarshal(a.body, &order))
	require.Len(t, order.Identifiers, 2, "each name once")
}

// Every one of the names counts, wherever it stands.
func TestNewOrderJudgesEveryName(t *testing.T) {
	w := newWorld(t, options{})
	r := w.raw()
	for i := range 5 {
		names := slices.Repeat([]string{""}, 5)
		for j := range names {
			names[j] = string(rune('a'+j)) + ".example.com"
		}
		names[i] = "bad.local"
		r.post("/acme/new-order", orderOf(names, "")).requireProblem(t, "rejectedIdentifier")
	}
}

// TestValidityOfAnOrder: a client may say when its certificate begins and ends, within what the profile gives.
func TestValidityOfAnOrder(t *testing.T) {
	w := newWorld(t, options{})
	c := w.register(nil)
	r := w.raw()
	for name, o := range map[string]struct{ begin, end time.Duration }{
		"a short one":                       {0, 24 * time.Hour},
		"from tomorrow":                     {24 * time.Hour, 48 * time.Hour},
		"from a little ago, without an end": {-3 * time.Minute, 0},
		"the longest":                       {0, 397*24*time.Hour - 6*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var more []xacme.OrderOption
			from, to := w.clock().Add(o.begin), w.clock().Add(o.end)
			if o.begin != 0 {
				more = append(more, xacme.WithOrderNotBefore(from))
			}
			if o.end != 0 {
				more = append(more, xacme.WithOrderNotAfter(to))
			}
			order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"), more...)
			require.NoError(t, err)
			if o.begin != 0 {
				require.True(t, from.Equal(order.NotBefore))
			}
			w.pass(time.Minute)
			chain, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "www.example.com"), false)
			require.NoError(t, err)
			certificates, err := pki.ParseCertificates(pki.EncodeCertificate(chain[0]))
			require.NoError(t, err)
			if o.begin != 0 {
				require.True(t, from.Equal(certificates[0].NotBefore))
			}
			if o.end != 0 {
				require.True(t, to.Equal(certificates[0].NotAfter))
			}
		})
	}
	at := func(d time.Duration) string { return w.clock().Add(d).Format(time.RFC3339) }
	for name, more := range map[string]string{
		"no time":               `,"notAfter":"tomorrow"`,
		"ended already":         `,"notAfter":"` + at(-time.Hour) + `"`,
		"ends now":              `,"notAfter":"` + at(0) + `"`,
		"ends before it begins": `,"notBefore":"` + at(2*time.Hour) + `","notAfter":"` + at(time.Hour) + `"`,
		"too long":              `,"notAfter":"` + at(397*24*time.Hour) + `"`,
		"long ago":              `,"notBefore":"` + at(-25*time.Hour) + `"`,
		"far away":              `,"notBefore":"` + at(398*24*time.Hour) + `"`,
		"from far on":           `,"notBefore":"` + at(300*24*time.Hour) + `","notAfter":"` + at(400*24*time.Hour) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			r.post("/acme/new-order", orderOf([]string{"www.example.com"}, more)).requireProblem(t, "malformed")
		})
	}
}

// TestReplaces walks what an order may replace (RFC 9773, Section 5).
func TestReplaces(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) { testReplaces(t, newWorld(t, options{database: database})) })
	}
}

func testReplaces(t *testing.T, w *world) {
	r := w.raw()
	_, leaf := r.issue("www.example.com", "")
	id := base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(leaf.SerialNumber.Bytes())
	replacing := `,"replaces":"` + id + `"`

	r.post("/acme/new-order", orderOf([]string{"other.example.com"}, replacing)).requireProblem(t, "malformed")
	foreign := &raw{world: w, key: newKey(t)}
	made := foreign.post("/acme/new-account", foreign.bound("shop"))
	require.Equal(t, http.StatusCreated, made.status, string(made.body))
	foreign.account = made.header.Get("Location")
	foreign.post("/acme/new-order", orderOf([]string{"www.example.com"}, replacing)).requireProblem(t, "malformed")

	first := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, replacing))
	require.Equal(t, http.StatusCreated, first.status, string(first.body))
	require.Contains(t, string(first.body), id)
	again := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, replacing))
	require.Equal(t, http.StatusCreated, again.status, "a client that has lost its order finds it again")
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	different := r.post("/acme/new-order", orderOf([]string{"www.example.com", "more.example.com"}, replacing))
	different.requireProblem(t, "alreadyReplaced")
	require.Equal(t, http.StatusConflict, different.status)

	// An order that is over is in nobody's way.
	w.pass(21 * time.Hour)
	next := r.post("/acme/new-order", orderOf([]string{"www.example.com", "more.example.com"}, replacing))
	require.Equal(t, http.StatusCreated, next.status, string(next.body))
	r.deactivate(next)
	_, second := r.issue("www.example.com", replacing)
	serial, _ := pki.SerialFromInt(second.SerialNumber)
	c, err := w.ca.Certificate(t.Context(), admin, serial)
	require.NoError(t, err)
	was, _ := pki.SerialFromInt(leaf.SerialNumber)
	require.Equal(t, was, c.Replaces)
	done := r.post("/acme/new-order", orderOf([]string{"www.example.com"}, replacing))
	done.requireProblem(t, "alreadyReplaced")
	require.Equal(t, http.StatusConflict, done.status)
}
