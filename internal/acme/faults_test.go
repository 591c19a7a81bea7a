package acme_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// TestStoreFails: every method of the store fails, in both ways, in the middle of an account's life. A client that repeats what has failed gets there,
// no order is lost, and none gets two certificates.
func TestStoreFails(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			var faults *storetest.ACMEFaults
			w := newWorld(t, options{database: database, change: func(c *acme.Config) {
				faults = storetest.NewACMEFaults(c.Store)
				c.Store, c.OpenApp = faults, "shop"
			}})
			for i, method := range storetest.ACMEMethods() {
				for _, how := range []storetest.Fault{storetest.DidNotHappen, storetest.DidHappen} {
					t.Run(method+" fails "+how.String(), func(t *testing.T) {
						faults.Called()
						faults.Arm(method, how)
						c := &persistent{raw: &raw{world: w, key: newKey(t)}, T: t}
						c.live(fmt.Sprintf("n%d-%d.example.com", i, how), faults)
						require.Contains(t, faults.Called(), method, "the life has all of it")
						require.LessOrEqual(t, c.failed, 1)
					})
				}
			}
		})
	}
}

// TestAuthorityFails: the same for what the authority keeps.
func TestAuthorityFails(t *testing.T) {
	var faults *storetest.Faults
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "shop" }})
	faults = storetest.NewFaults(w.store)
	w.ca = w.authority(faults)
	w.server = w.serve(func(c *acme.Config) { c.OpenApp = "shop" })
	w.client = w.server.Client()
	live := func(t *testing.T, name string) {
		c := &persistent{raw: &raw{world: w, key: newKey(t)}, T: t}
		c.live(name, w.store)
	}
	live(t, "first.example.com")
	for i, method := range slices.Compact(slices.Sorted(slices.Values(faults.Called()))) {
		for _, how := range []storetest.Fault{storetest.DidNotHappen, storetest.DidHappen} {
			t.Run(method+" fails "+how.String(), func(t *testing.T) {
				faults.Called()
				faults.Arm(method, how)
				live(t, fmt.Sprintf("n%d-%d.example.com", i, how))
				require.Contains(t, faults.Called(), method)
			})
		}
	}
}

// persistent is a client that repeats what has failed, once.
type persistent struct {
	*raw
	*testing.T
	failed int
	orders []string // their paths
}

func (c *persistent) ask(path, payload string, want ...int) answer {
	c.Helper()
	a := c.post(path, payload)
	if a.status == http.StatusInternalServerError {
		c.failed++
		a = c.post(path, payload)
	}
	for range 2 {
		if a.header.Get("Retry-After") != "" && a.status == http.StatusConflict { // what stopped half-way is in the way for a while
			c.pass(2 * time.Minute)
			a = c.post(path, payload)
		}
	}
	require.Contains(c, want, a.status, "%s %s: %s", path, payload, a.body)
	return a
}

// live does everything that an account can.
func (c *persistent) live(name string, records acme.Store) {
	c.Helper()
	_, err := acme.NonceKey(c.Context(), records)
	if err != nil {
		c.failed++
	}
	a := c.ask("/acme/new-account", `{"contact":["mailto:a@example.com"]}`, 200, 201)
	c.account = a.header.Get("Location")
	account := strings.TrimPrefix(c.account, c.server.URL)
	c.ask(account, `{"contact":["mailto:b@example.com"]}`, 200)
	c.ask("/acme/new-authz", `{"identifier":{"type":"dns","value":"pre-`+name+`"}}`, 201)

	order := c.order(name, "")
	c.prove(order)
	csr := base64.RawURLEncoding.EncodeToString(c.csr(newKey(c.T), name))
	done := c.ask(c.path(order)+"/finalize", `{"csr":"`+csr+`"}`, 200)
	require.Equal(c, string(done.body), string(c.ask(c.path(order)+"/finalize", `{"csr":"`+csr+`"}`, 200).body), "finalized twice, it is the same certificate")
	leaf := c.fetch(done)

	id := base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(leaf.SerialNumber.Bytes())
	renewal := c.order(name, `,"replaces":"`+id+`"`)
	csr = base64.RawURLEncoding.EncodeToString(c.csr(newKey(c.T), name))
	c.fetch(c.ask(c.path(renewal)+"/finalize", `{"csr":"`+csr+`"}`, 200))
	unfinished := c.order("other-"+name, "")
	c.changeKey()
	c.requireOrders(account)
	if err := acme.Sweep(c.Context(), records, c.clock()); err != nil {
		c.failed++
	}
	for path, status := range map[string]string{c.path(order): "valid", c.path(renewal): "valid", c.path(unfinished): "pending"} {
		var o struct{ Status string }
		require.NoError(c, json.Unmarshal(c.ask(path, "", 200).body, &o))
		require.Equal(c, status, o.Status)
	}
	n, err := pki.ParseName(name)
	require.NoError(c, err)
	page, err := c.authority(c.store).ListCertificates(c.Context(), admin, ca.CertificateQuery{Domain: n})
	require.NoError(c, err)
	delivered := slices.DeleteFunc(page.Items, func(cert *ca.Certificate) bool { return len(cert.Signature) == 0 })
	require.Len(c, delivered, 2, "each order has one certificate")
	c.ask(account, `{"status":"deactivated"}`, 200, 401)
}

func (c *persistent) order(name, more string) answer {
	c.Helper()
	made := c.ask("/acme/new-order", orderOf([]string{name}, more), 201)
	c.orders = append(c.orders, made.header.Get("Location"))
	return made
}

// prove takes up a challenge, and waits until the order can be finalized. The time passes in which a server may be silent.
func (c *persistent) prove(order answer) {
	c.Helper()
	var o struct {
		Authorizations []string
		Status         string
	}
	require.NoError(c, json.Unmarshal(order.body, &o))
	var z struct {
		Challenges []struct{ Type, URL, Token string }
	}
	require.NoError(c, json.Unmarshal(c.ask(strings.TrimPrefix(o.Authorizations[0], c.server.URL), "", 200).body, &z))
	i := slices.IndexFunc(z.Challenges, func(ch struct{ Type, URL, Token string }) bool { return ch.Type == "http-01" })
	c.show(c.keyAuthorization(z.Challenges[i].Token))
	c.ask(strings.TrimPrefix(z.Challenges[i].URL, c.server.URL), `{}`, 200)
	for range 100 {
		time.Sleep(5 * time.Millisecond)
		// Clients that poll the authorization get the challenge looked at again, if nobody does.
		c.ask(strings.TrimPrefix(o.Authorizations[0], c.server.URL), "", 200)
		require.NoError(c, json.Unmarshal(c.ask(c.path(order), "", 200).body, &o))
		if o.Status == "ready" {
			return
		}
		require.Equal(c, "pending", o.Status)
		c.pass(5 * time.Second)
	}
	c.Fatal("the order does not become ready")
}

func (c *persistent) fetch(done answer) *x509.Certificate {
	c.Helper()
	var o struct{ Status, Certificate string }
	require.NoError(c, json.Unmarshal(done.body, &o))
	require.Equal(c, "valid", o.Status)
	chain, err := pki.ParseCertificates(c.ask(strings.TrimPrefix(o.Certificate, c.server.URL), "", 200).body)
	require.NoError(c, err)
	return chain[0]
}

// changeKey gives the account another key. A client that was told of a fault knows that either key may be the account's, and tries.
func (c *persistent) changeKey() {
	c.Helper()
	next := newKey(c.T)
	a := c.post("/acme/key-change", c.keyChange(next))
	if a.status == http.StatusInternalServerError {
		c.failed++
		if a = c.post("/acme/key-change", c.keyChange(next)); a.status == http.StatusBadRequest {
			c.key = next // it did happen
			return
		}
	}
	require.Equal(c, http.StatusOK, a.status, string(a.body))
	c.key = next
}

// keyChange is the payload of a request for another key (RFC 8555, Section 7.3.5).
func (r *raw) keyChange(next *ecdsa.PrivateKey) string {
	r.Helper()
	old, err := (&jose.JSONWebKey{Key: r.key.Public()}).MarshalJSON()
	require.NoError(r.world.TB, err)
	inner := &raw{world: r.world, key: next}
	return string(inner.sign("/acme/key-change", `{"account":"`+r.account+`","oldKey":`+string(old)+`}`, map[jose.HeaderKey]any{"nonce": nil}))
}

// requireOrders asserts that every order that the client was told of is in the account's list.
func (c *persistent) requireOrders(account string) {
	c.Helper()
	var list struct{ Orders []string }
	require.NoError(c, json.Unmarshal(c.ask(account+"/orders", "", 200).body, &list))
	require.Subset(c, list.Orders, c.orders)
}
