package acme_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func TestOrderOfAnOpenApp(t *testing.T) {
	for hierarchy, length := range map[ca.Hierarchy]int{ca.HierarchyDirect: 2, ca.HierarchyIssuing: 2, ca.HierarchySeparate: 2} {
		t.Run(string(hierarchy), func(t *testing.T) {
			w := newWorld(t, options{hierarchy: hierarchy})
			c := w.register(nil)
			order, err := c.AuthorizeOrder(t.Context(), append(xacme.DomainIDs("www.example.com", "*.example.com"), xacme.IPIDs("192.88.1.1")...))
			require.NoError(t, err)
			require.Equal(t, xacme.StatusReady, order.Status)
			key := newKey(t)
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"www.example.com", "*.example.com"}}, key)
			require.NoError(t, err)
			_, _, err = c.CreateOrderCert(t.Context(), order.FinalizeURL, der, true)
			require.ErrorContains(t, err, "192.88.1.1", "a CSR with fewer names")

			order, err = c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com", "*.example.com"))
			require.NoError(t, err)
			chain, url, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, der, true)
			require.NoError(t, err)
			require.Len(t, chain, length)
			leaf, err := x509.ParseCertificate(chain[0])
			require.NoError(t, err)
			next, err := x509.ParseCertificate(chain[1])
			require.NoError(t, err)
			require.NoError(t, leaf.CheckSignatureFrom(next))
			require.Equal(t, hierarchy != ca.HierarchyIssuing, next.Subject.String() == next.Issuer.String(), "the root is there only where it signs the leaf")
			require.Equal(t, []string{"www.example.com", "*.example.com"}, leaf.DNSNames)

			again, err := c.FetchCert(t.Context(), url, true)
			require.NoError(t, err)
			require.Equal(t, chain, again)
			done, err := c.GetOrder(t.Context(), order.URI)
			require.NoError(t, err)
			require.Equal(t, xacme.StatusValid, done.Status)
			require.Equal(t, order.FinalizeURL, done.FinalizeURL)

			require.ErrorContains(t, c.RevokeCert(t.Context(), newKey(t), chain[0], xacme.CRLReasonUnspecified), "another key")
			require.NoError(t, c.RevokeCert(t.Context(), key, chain[0], xacme.CRLReasonUnspecified))
			serial, _ := pki.SerialFromInt(leaf.SerialNumber)
			revoked, err := w.ca.Certificate(t.Context(), admin, serial)
			require.NoError(t, err)
			require.Equal(t, pki.KeyCompromise, revoked.Revocation.Reason, "whoever holds the key puts it in question")
		})
	}
}

func TestChallenges(t *testing.T) {
	w := newWorld(t, options{})
	c := w.register(w.bind("shop"))
	for _, kind := range []string{"http-01", "dns-01", "tls-alpn-01"} {
		name := kind + ".example.com"
		order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs(name))
		require.NoError(t, err)
		require.Equal(t, xacme.StatusPending, order.Status)
		ch := challengeOf(t, c, order.AuthzURLs[0], kind)
		response, err := c.HTTP01ChallengeResponse(ch.Token)
		require.NoError(t, err)
		w.show(response)
		_, err = c.Accept(t.Context(), ch)
		require.NoError(t, err)
		_, err = c.WaitAuthorization(t.Context(), order.AuthzURLs[0])
		require.NoError(t, err)
		_, _, err = c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), name), true)
		require.NoError(t, err)

		// One proof serves both doors, and every later order.
		order, err = c.AuthorizeOrder(t.Context(), xacme.DomainIDs(name))
		require.NoError(t, err)
		require.Equal(t, xacme.StatusReady, order.Status)
		_, err = w.ca.Issue(t.Context(), ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "shop"}, ca.IssueRequest{Domains: []string{name}})
		require.NoError(t, err)
	}

	order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("nothing.example.com"))
	require.NoError(t, err)
	_, err = c.Accept(t.Context(), challengeOf(t, c, order.AuthzURLs[0], "http-01"))
	require.NoError(t, err)
	_, err = c.WaitAuthorization(t.Context(), order.AuthzURLs[0])
	require.ErrorContains(t, err, "got 404 from nothing.example.com")
	_, err = c.WaitOrder(t.Context(), order.URI)
	require.Error(t, err, "the order is invalid with it")
}

func challengeOf(t *testing.T, c *xacme.Client, url, kind string) *xacme.Challenge {
	t.Helper()
	z, err := c.GetAuthorization(t.Context(), url)
	require.NoError(t, err)
	for _, ch := range z.Challenges {
		require.NotEmpty(t, ch.Token)
		token, err := base64.RawURLEncoding.Strict().DecodeString(ch.Token)
		require.NoError(t, err, "certbot decodes it and encodes it again")
		require.GreaterOrEqual(t, len(token), 16)
		if ch.Type == kind {
			return ch
		}
	}
	t.Fatalf("no %s in %v", kind, z.Challenges)
	return nil
}

func TestAccounts(t *testing.T) {
	w := newWorld(t, options{})
	c := w.register(nil)
	a, err := c.GetReg(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"mailto:ops@example.com"}, a.Contact)
	a.Contact = []string{"mailto:other@example.com"}
	a, err = c.UpdateReg(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, []string{"mailto:other@example.com"}, a.Contact)

	old := c.Key
	key := newKey(t)
	require.NoError(t, c.AccountKeyRollover(t.Context(), key))
	c.Key = key
	_, err = c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
	require.NoError(t, err)
	gone := &xacme.Client{Key: old, HTTPClient: w.client, DirectoryURL: c.DirectoryURL}
	_, err = gone.GetReg(t.Context(), "")
	require.ErrorIs(t, err, xacme.ErrNoAccount)

	require.NoError(t, c.DeactivateReg(t.Context()))
	_, err = c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
	require.ErrorContains(t, err, "deactivated")
}

func TestBinding(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.OpenApp = "" }})
	register := func(b *xacme.ExternalAccountBinding) error {
		c := &xacme.Client{Key: newKey(t), HTTPClient: w.client, DirectoryURL: w.server.URL + "/acme/directory"}
		_, err := c.Register(t.Context(), &xacme.Account{ExternalAccountBinding: b}, xacme.AcceptTOS)
		return err
	}
	require.ErrorContains(t, register(nil), "externalAccountRequired")
	good := w.bind("open")
	require.NoError(t, register(good))
	require.ErrorContains(t, register(&xacme.ExternalAccountBinding{KID: good.KID, Key: []byte("another secret of the same length")}), "was not made with the key")
	require.ErrorContains(t, register(&xacme.ExternalAccountBinding{KID: "eab_none", Key: good.Key}), "not known here")
	require.ErrorContains(t, register(&xacme.ExternalAccountBinding{KID: "tok_none", Key: good.Key}), "no key ID")

	c := w.register(good)
	_, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
	require.NoError(t, err)
	require.NoError(t, w.ca.RevokeToken(t.Context(), admin, good.KID))
	_, err = c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
	require.ErrorContains(t, err, "was revoked")
	require.ErrorContains(t, register(good), "was revoked")
}

func TestNonces(t *testing.T) {
	w := newWorld(t, options{})
	r := w.raw()
	path := strings.TrimPrefix(r.account, w.server.URL)
	body := r.sign(path, "", nil)
	require.Equal(t, http.StatusOK, r.send(path, body).status)
	r.send(path, body).requireProblem(t, "badNonce")
	for _, nonce := range []any{nil, "", "x", r.freshNonce() + "A", strings.Repeat("A", 43)} {
		r.send(path, r.sign(path, "", map[jose.HeaderKey]any{"nonce": nonce})).requireProblem(t, "badNonce")
	}
	kept := r.sign(path, "", nil)
	w.pass(3 * time.Hour)
	require.Equal(t, http.StatusOK, r.send(path, kept).status, "a nonce outlives a long pause")
	stale := r.sign(path, "", nil)
	w.pass(5 * time.Hour)
	r.send(path, stale).requireProblem(t, "badNonce")
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t, options{})
	r, other := w.raw(), w.raw()
	order := `{"identifiers":[{"type":"dns","value":"www.example.com"}]}`
	made := other.post("/acme/new-order", order)
	require.Equal(t, http.StatusCreated, made.status)
	others := strings.TrimPrefix(made.header.Get("Location"), w.server.URL)

	for name, c := range map[string]struct {
		path, payload string
		headers       map[jose.HeaderKey]any
		want          string
	}{
		"another URL":           {"/acme/new-order", order, map[jose.HeaderKey]any{"url": w.server.URL + "/acme/new-authz"}, "unauthorized"},
		"no account":            {"/acme/new-order", order, map[jose.HeaderKey]any{"kid": w.server.URL + "/acme/account/none"}, "accountDoesNotExist"},
		"foreign account":       {"/acme/new-order", order, map[jose.HeaderKey]any{"kid": "https://ca.example/acme/account/1"}, "accountDoesNotExist"},
		"another's account":     {"/acme/new-order", order, map[jose.HeaderKey]any{"kid": other.account}, "malformed"},
		"key instead":           {"/acme/new-order", order, map[jose.HeaderKey]any{"kid": nil}, "malformed"},
		"account for a new one": {"/acme/new-account", `{}`, nil, "malformed"},
		"another's order":       {others, "", nil, "malformed"},
		"no payload":            {"/acme/new-order", "", nil, "malformed"},
		"payload of a list":     {"/acme/new-order", "[]", nil, "malformed"},
		"no identifiers":        {"/acme/new-order", `{"identifiers":[]}`, nil, "malformed"},
		"another type":          {"/acme/new-order", `{"identifiers":[{"type":"email","value":"a@example.com"}]}`, nil, "unsupportedIdentifier"},
		"address as a name":     {"/acme/new-order", `{"identifiers":[{"type":"dns","value":"192.0.2.1"}]}`, nil, "malformed"},
		"internal name":         {"/acme/new-order", `{"identifiers":[{"type":"dns","value":"localhost"}]}`, nil, "rejectedIdentifier"},
		"no such profile":       {"/acme/new-order", `{"identifiers":[{"type":"dns","value":"a.example.com"}],"profile":"client"}`, nil, "invalidProfile"},
		"a time of its own":     {"/acme/new-order", `{"identifiers":[{"type":"dns","value":"a.example.com"}],"notAfter":"2030-01-01T00:00:00Z"}`, nil, "malformed"},
		"foreign certificate":   {"/acme/new-order", `{"identifiers":[{"type":"dns","value":"a.example.com"}],"replaces":"AA.AA"}`, nil, "malformed"},
		"a wildcard beforehand": {"/acme/new-authz", `{"identifier":{"type":"dns","value":"*.example.com"}}`, nil, "malformed"},
		"revoke nothing":        {"/acme/revoke-cert", `{}`, nil, "malformed"},
		"revoke for no reason":  {"/acme/revoke-cert", `{"certificate":"AA","reason":7}`, nil, "badRevocationReason"},
		"change to no key":      {"/acme/key-change", `{}`, nil, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			r.send(c.path, r.sign(c.path, c.payload, c.headers)).requireProblem(t, c.want)
		})
	}
	r.send("/acme/new-order", []byte(`{"protected":""}`)).requireProblem(t, "malformed")
	r.send("/acme/new-order", []byte(strings.Repeat("a", 200<<10))).requireProblem(t, "malformed")
	r.send("/acme/nothing", nil).requireProblem(t, "malformed")

	// Which of several names is at fault is told by each.
	a := r.post("/acme/new-order", `{"identifiers":[{"type":"dns","value":"good.example.com"},{"type":"dns","value":"host.local"}]}`)
	a.requireProblem(t, "rejectedIdentifier")
	var p struct {
		Subproblems []struct{ Identifier struct{ Value string } }
	}
	require.NoError(t, json.Unmarshal(a.body, &p))
	require.Len(t, p.Subproblems, 1)
	require.Equal(t, "host.local", p.Subproblems[0].Identifier.Value)
}

func TestRevocationByAccount(t *testing.T) {
	w := newWorld(t, options{})
	c, colleague, stranger := w.register(w.bind("shop")), w.register(w.bind("shop")), w.register(nil)
	allow := []string{"www.example.com"}
	_, err := w.ca.ChangeApp(t.Context(), admin, "shop", ca.AppChange{Allowed: &allow})
	require.NoError(t, err)
	order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
	require.NoError(t, err)
	chain, url, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "www.example.com"), false)
	require.NoError(t, err)

	require.Error(t, stranger.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonSuperseded))
	_, err = stranger.FetchCert(t.Context(), url, false)
	require.Error(t, err)
	_, err = colleague.FetchCert(t.Context(), url, false)
	require.NoError(t, err, "accounts of one app share its certificates")
	require.NoError(t, colleague.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonSuperseded))
	leaf, err := x509.ParseCertificate(chain[0])
	require.NoError(t, err)
	serial, _ := pki.SerialFromInt(leaf.SerialNumber)
	revoked, err := w.ca.Certificate(t.Context(), admin, serial)
	require.NoError(t, err)
	require.Equal(t, pki.Superseded, revoked.Revocation.Reason)
}

// TestRevocationByWhoHasTheNames: a certificate is revoked by an account whose app has shown all of its names, and by no other (RFC 8555, Section 7.6).
func TestRevocationByWhoHasTheNames(t *testing.T) {
	w := newWorld(t, options{})
	former, open, owner := w.register(nil), w.register(nil), w.register(w.bind("shop"))
	_, _, err := w.ca.CreateApp(t.Context(), admin, ca.NewApp{ID: "else", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	order, err := former.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com", "api.example.com"))
	require.NoError(t, err)
	chain, _, err := former.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "www.example.com", "api.example.com"), false)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(chain[0])
	require.NoError(t, err)
	serial, _ := pki.SerialFromInt(leaf.SerialNumber)

	elsewhere := w.register(w.bind("else"))
	prove := func(name string) {
		order, err := owner.AuthorizeOrder(t.Context(), xacme.DomainIDs(name))
		require.NoError(t, err)
		ch := challengeOf(t, owner, order.AuthzURLs[0], "http-01")
		response, err := owner.HTTP01ChallengeResponse(ch.Token)
		require.NoError(t, err)
		w.show(response)
		_, err = owner.Accept(t.Context(), ch)
		require.NoError(t, err)
		_, err = owner.WaitAuthorization(t.Context(), order.AuthzURLs[0])
		require.NoError(t, err)
	}
	prove("www.example.com")
	require.ErrorContains(t, owner.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonUnspecified), "api.example.com", "one of two names")
	require.ErrorContains(t, elsewhere.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonUnspecified), "unauthorized", "that it may have any name is no proof")
	prove("api.example.com")
	forged := append([]byte(nil), chain[0]...)
	forged[len(forged)-1] ^= 1
	require.ErrorContains(t, owner.RevokeCert(t.Context(), nil, forged, xacme.CRLReasonUnspecified), "malformed")
	require.NoError(t, owner.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonKeyCompromise))
	revoked, err := w.ca.Certificate(t.Context(), admin, serial)
	require.NoError(t, err)
	require.Equal(t, pki.CessationOfOperation, revoked.Revocation.Reason, "who never had the key says nothing about it")
	events, err := w.ca.ListEvents(t.Context(), admin, ca.EventQuery{Object: serial.String(), Action: ca.ActRevoke, Outcome: ca.OutcomeDone})
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, "open", events[0].App, "whose it is learns of it")
	require.NoError(t, open.RevokeCert(t.Context(), nil, chain[0], xacme.CRLReasonUnspecified), "this client takes alreadyRevoked for a success")
}

func TestRenewalInfo(t *testing.T) {
	w := newWorld(t, options{})
	r := w.raw()
	issue := func(replaces string) (*x509.Certificate, answer) {
		made := r.post("/acme/new-order", `{"identifiers":[{"type":"dns","value":"www.example.com"}]`+replaces+`}`)
		if made.status != http.StatusCreated {
			return nil, made
		}
		path := strings.TrimPrefix(made.header.Get("Location"), w.server.URL)
		done := r.post(path+"/finalize", `{"csr":"`+base64.RawURLEncoding.EncodeToString(w.csr(newKey(t), "www.example.com"))+`"}`)
		require.Equal(t, http.StatusOK, done.status, string(done.body))
		require.Equal(t, made.header.Get("Location"), done.header.Get("Location"))
		var order struct{ Certificate, Replaces string }
		require.NoError(t, json.Unmarshal(done.body, &order))
		if replaces != "" {
			require.Contains(t, replaces, order.Replaces)
		}
		chain := r.post(strings.TrimPrefix(order.Certificate, w.server.URL), "")
		require.Equal(t, "application/pem-certificate-chain", chain.header.Get("Content-Type"))
		require.True(t, strings.HasSuffix(string(chain.body), "-----END CERTIFICATE-----\n"))
		certificates, err := pki.ParseCertificates(chain.body)
		require.NoError(t, err)
		return certificates[0], done
	}
	window := func(c *x509.Certificate) (start, end time.Time, id string) {
		id = certID(c)
		response, err := w.client.Get(w.server.URL + "/acme/renewal-info/" + id)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Regexp(t, "^[0-9]+$", response.Header.Get("Retry-After"))
		var info struct {
			SuggestedWindow struct{ Start, End time.Time }
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&info))
		return info.SuggestedWindow.Start, info.SuggestedWindow.End, id
	}
	first, _ := issue("")
	start, end, id := window(first)
	require.True(t, start.Before(end))
	life := first.NotAfter.Sub(first.NotBefore)
	require.GreaterOrEqual(t, start.Sub(first.NotBefore), life/2)
	require.Greater(t, first.NotAfter.Sub(end), life/5, "there is time to try again")

	second, _ := issue(`,"replaces":"` + id + `"`)
	serial, _ := pki.SerialFromInt(second.SerialNumber)
	c, err := w.ca.Certificate(t.Context(), admin, serial)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%034x", first.SerialNumber), c.Replaces.String())
	_, refused := issue(`,"replaces":"` + id + `"`)
	refused.requireProblem(t, "alreadyReplaced")
	require.Equal(t, http.StatusConflict, refused.status, "RFC 9773, Section 5")

	_, err = w.ca.Revoke(t.Context(), admin, c.Serial, pki.Superseded)
	require.NoError(t, err)
	_, end, _ = window(second)
	require.False(t, end.After(w.clock()), "a revoked certificate is renewed at once")
	for _, id := range []string{"x", "AA.AA", base64.RawURLEncoding.EncodeToString(second.AuthorityKeyId) + ".AA"} {
		response, err := w.client.Get(w.server.URL + "/acme/renewal-info/" + id)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	}
}

// TestRenewalAfterARollOver: clients are sent to renew what another authority has signed, and get the chain of the one that signs now.
func TestRenewalAfterARollOver(t *testing.T) {
	w := newWorld(t, options{})
	c := w.register(w.bind("open"))
	issue := func() []*x509.Certificate {
		order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("www.example.com"))
		require.NoError(t, err)
		ders, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "www.example.com"), true)
		require.NoError(t, err)
		var chain []*x509.Certificate
		for _, der := range ders {
			parsed, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			chain = append(chain, parsed)
		}
		return chain
	}
	end := func(leaf *x509.Certificate) time.Time {
		response, err := w.client.Get(w.server.URL + "/acme/renewal-info/" + certID(leaf))
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		require.Equal(t, http.StatusOK, response.StatusCode)
		var info struct{ SuggestedWindow struct{ End time.Time } }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&info))
		return info.SuggestedWindow.End
	}
	before := issue()
	require.True(t, end(before[0]).After(w.clock()))
	require.NoError(t, w.ca.PublishCRLs(t.Context()))
	_, err := w.ca.AddAuthority(t.Context(), admin, ca.NewAuthority{Name: "Edge", Parent: "TencentQQAuthCA", For: []string{"server"}, NewKey: w.newKey})
	require.NoError(t, err)
	require.NoError(t, w.ca.PublishCRLs(t.Context()))
	_, err = w.ca.Promote(t.Context(), admin, "Edge", false)
	require.NoError(t, err)
	require.False(t, end(before[0]).After(w.clock()), "now")

	r := w.raw()
	made := r.post("/acme/new-order", `{"identifiers":[{"type":"dns","value":"www.example.com"}],"replaces":"`+certID(before[0])+`"}`)
	require.Equal(t, http.StatusCreated, made.status, string(made.body))
	require.Contains(t, string(made.body), `"`+certID(before[0])+`"`, "it is named by who signed it")
	after := issue()
	require.Len(t, after, 2)
	require.Equal(t, "Edge", after[1].Subject.CommonName)
	require.NoError(t, after[0].CheckSignatureFrom(after[1]))
	require.True(t, end(after[0]).After(w.clock()))
}

// certID names a certificate as RFC 9773 does.
func certID(c *x509.Certificate) string {
	return base64.RawURLEncoding.EncodeToString(c.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(c.SerialNumber.Bytes())
}

// TestAuthorizationsAlone are asked for before any order needs them, and ended.
func TestAuthorizationsAlone(t *testing.T) {
	w := newWorld(t, options{})
	c := w.register(w.bind("shop"))
	z, err := c.Authorize(t.Context(), "pre.example.com")
	require.NoError(t, err)
	require.Equal(t, xacme.StatusPending, z.Status)
	response, err := c.HTTP01ChallengeResponse(z.Challenges[0].Token)
	require.NoError(t, err)
	w.show(response)
	_, err = c.Accept(t.Context(), z.Challenges[0])
	require.NoError(t, err)
	_, err = c.WaitAuthorization(t.Context(), z.URI)
	require.NoError(t, err)
	order, err := c.AuthorizeOrder(t.Context(), xacme.DomainIDs("pre.example.com"))
	require.NoError(t, err)
	require.Equal(t, xacme.StatusReady, order.Status)

	require.NoError(t, c.RevokeAuthorization(t.Context(), order.AuthzURLs[0]))
	ended, err := c.GetAuthorization(t.Context(), order.AuthzURLs[0])
	require.NoError(t, err)
	require.Equal(t, xacme.StatusDeactivated, ended.Status)
	_, _, err = c.CreateOrderCert(t.Context(), order.FinalizeURL, w.csr(newKey(t), "pre.example.com"), false)
	require.ErrorContains(t, err, "orderNotReady")
	_, err = w.register(nil).GetAuthorization(t.Context(), z.URI)
	require.Error(t, err, "another account's")
}

// TestServersShareEverything: a nonce, an account and an order of one server are as good on another, or after a restart.
func TestServersShareEverything(t *testing.T) {
	w := newWorld(t, options{change: func(c *acme.Config) { c.URL = "https://acme.example" }})
	other := w.serve(func(c *acme.Config) { c.URL = "https://acme.example" })
	require.NotEqual(t, w.server.URL, other.URL)
	response, err := w.client.Get(other.URL + "/acme/directory")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var directory map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&directory))
	require.Equal(t, "https://acme.example/acme/new-order", directory["newOrder"])

	first := &raw{world: w, key: newKey(t)}
	made := first.send("/acme/new-account", first.sign("/acme/new-account", `{}`, map[jose.HeaderKey]any{"url": "https://acme.example/acme/new-account"}))
	require.Equal(t, http.StatusCreated, made.status)
	first.account = made.header.Get("Location")
	body := first.sign("/acme/new-order", `{"identifiers":[{"type":"dns","value":"a.example.com"}]}`, map[jose.HeaderKey]any{"url": "https://acme.example/acme/new-order"})
	w.server, w.client = other, other.Client()
	require.Equal(t, http.StatusCreated, first.send("/acme/new-order", body).status)
	first.send("/acme/new-order", body).requireProblem(t, "badNonce")
}
