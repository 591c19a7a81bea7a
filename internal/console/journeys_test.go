package console_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func (w *world) revocation(c *ca.Certificate) *ca.Revocation {
	found, err := w.ca.Certificate(w.t.Context(), root, c.Serial)
	require.NoError(w.t, err)
	return found.Revocation
}

// listed is the reason with which the next revocation list has a certificate; found is false if it has not.
func (w *world) listed(c *ca.Certificate) (reason pki.Reason, found bool) {
	w.t.Helper()
	w.advance(2 * time.Second)
	require.NoError(w.t, w.ca.PublishCRLs(w.t.Context()))
	var der bytes.Buffer
	_, err := w.ca.CRL(c.Authority).WriteTo(&der)
	require.NoError(w.t, err)
	list, err := x509.ParseRevocationList(der.Bytes())
	require.NoError(w.t, err)
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(c.Serial.Int()) == 0 {
			return pki.Reason(entry.ReasonCode), true
		}
	}
	return 0, false
}

func (w *world) requireListed(c *ca.Certificate, want pki.Reason) {
	w.t.Helper()
	reason, found := w.listed(c)
	require.True(w.t, found)
	require.Equal(w.t, want, reason)
}

// TestRevokeOne walks every reason from the page to the record and to the revocation list: a confusing page has given others wrong reasons.
func TestRevokeOne(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleOperator)
		for _, reason := range pki.LeafReasons() {
			cert := w.issue("www.example.com", "api.example.com")
			path := "/console/certificates/" + cert.Serial.String()
			page := p.page(path + "/revoke").body
			require.Contains(t, page, `value="`+reason.String()+`"`)
			require.Contains(t, page, "To confirm, type www.example.com")

			for name, form := range map[string]url.Values{
				"no reason":     {"typed": {"www.example.com"}},
				"wrong reason":  {"typed": {"www.example.com"}, "reason": {"cACompromise"}},
				"nothing typed": {"reason": {reason.String()}},
				"wrong typed":   {"reason": {reason.String()}, "typed": {"api.example.com"}},
			} {
				a := p.post(path+"/revoke", form)
				require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, name)
				require.Contains(t, a.body, `class="fault"`, name)
				require.Nil(t, w.revocation(cert), name)
			}

			a := p.post(path+"/revoke", url.Values{"reason": {reason.String()}, "typed": {" WWW.example.com "}})
			require.Equal(t, path+"?done=revoked", a.Header.Get("Location"))
			require.Equal(t, reason, w.revocation(cert).Reason)
			w.requireListed(cert, reason)
			body := p.page(a.Header.Get("Location")).body
			require.Contains(t, body, "The certificate is revoked.")
			if reason == pki.CertificateHold {
				require.Contains(t, body, "Take off hold")
				require.Equal(t, path+"?done=released", p.post(path+"/release", url.Values{}).Header.Get("Location"))
				require.Nil(t, w.revocation(cert))
				_, found := w.listed(cert)
				require.False(t, found)
				continue
			}
			require.NotContains(t, body, "Take off hold")
			require.Equal(t, reason != pki.KeyCompromise, strings.Contains(body, "Report its key as compromised"))
			if reason != pki.KeyCompromise {
				page := p.page(path + "/revoke").body
				require.Equal(t, 1, strings.Count(page, `name="reason"`), "only keyCompromise may be added")
				a = p.post(path+"/revoke", url.Values{"reason": {"unspecified"}, "typed": {"www.example.com"}})
				if reason != pki.Unspecified {
					require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
					require.Contains(t, a.body, "Revoked already")
				}
				p.post(path+"/revoke", url.Values{"reason": {"keyCompromise"}, "typed": {"www.example.com"}})
				require.Equal(t, pki.KeyCompromise, w.revocation(cert).Reason)
				w.requireListed(cert, pki.KeyCompromise)
			}
			require.Equal(t, http.StatusConflict, p.post(path+"/release", url.Values{}).StatusCode)
		}
	})
}

// hidden are the fields of a page's last form that nobody sees.
func hidden(body string) url.Values {
	values := make(url.Values)
	for _, match := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`).FindAllStringSubmatch(body, -1) {
		values.Set(html.UnescapeString(match[1]), html.UnescapeString(match[2]))
	}
	values.Del("next")
	return values
}

func TestRevokeMany(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var shop []*ca.Certificate
		for i := range 30 {
			shop = append(shop, w.issue(fmt.Sprintf("h%d.shop.example.com", i)))
		}
		other := w.issue("www.example.net")
		_, err := w.ca.Revoke(t.Context(), root, shop[0].Serial, pki.Superseded)
		require.NoError(t, err)
		p := w.as(ca.RoleOperator)
		require.Contains(t, p.page("/console/certificates?q=shop.example.com").body, `href="/console/revoke?suffix=shop.example.com"`)
		require.Contains(t, p.page("/console/revoke?suffix=shop.example.com").body, `value="shop.example.com"`)

		a := p.post("/console/revoke/count", url.Values{"suffix": {"shop.example.com"}, "reason": {"superseded"}})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.Contains(t, a.body, "29 certificates would be revoked.")
		require.Contains(t, a.body, "The first 20")
		require.Contains(t, a.body, "type the number of certificates: 29")
		require.Nil(t, w.revocation(shop[1]), "a dry run changes nothing")

		form := hidden(a.body)
		for _, typed := range []string{"", "30", "yes"} {
			form.Set("typed", typed)
			a := p.post("/console/revoke/start", form)
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, typed)
			require.Contains(t, a.body, "This is not the number")
		}
		unconfirmed := url.Values{"suffix": {"shop.example.com"}, "reason": {"superseded"}, "typed": {"29"}, "open": {"29"}}
		require.Equal(t, http.StatusUnprocessableEntity, p.post("/console/revoke/start", unconfirmed).StatusCode)
		require.Nil(t, w.revocation(shop[1]))

		form.Set("typed", "29")
		a = p.post("/console/revoke/start", form)
		require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
		run := a.Header.Get("Location")
		require.Regexp(t, `^/console/revoke/[A-Z0-9]+$`, run)
		require.Eventually(t, func() bool {
			body := p.page(run).body
			over := strings.Contains(body, "The revocation has ended")
			require.Equal(t, !over, strings.Contains(body, `<noscript><meta http-equiv="refresh" content="2"></noscript>`))
			return over
		}, 20*time.Second, 10*time.Millisecond)
		require.Contains(t, p.page(run).body, "29 revoked; 30 of 30 looked at.")
		for _, c := range shop {
			require.Equal(t, pki.Superseded, w.revocation(c).Reason)
		}
		require.Nil(t, w.revocation(other))

		require.Equal(t, http.StatusNotFound, p.get("/console/revoke/NOSUCHRUN").StatusCode)
		require.Equal(t, http.StatusForbidden, w.as(ca.RoleAuditor).get(run).StatusCode)
		require.Contains(t, p.post("/console/revoke/count", url.Values{"suffix": {"shop.example.com"}, "reason": {"superseded"}}).body, "There is nothing to revoke.")
	})
}

func TestRevokeManyFaults(t *testing.T) {
	w := newWorld(t, sqlite(t))
	cert := w.issue("www.example.com")
	p := w.as(ca.RoleOperator)
	for name, form := range map[string]url.Values{
		"no reason":        {"app": {"demo"}},
		"hold":             {"app": {"demo"}, "reason": {"certificateHold"}},
		"nothing":          {"reason": {"superseded"}},
		"bad suffix":       {"suffix": {"*.example.com"}, "reason": {"superseded"}},
		"bad key":          {"key": {"1234"}, "reason": {"superseded"}},
		"bad day":          {"issued-from": {"monday"}, "reason": {"superseded"}},
		"bad serial":       {"serials": {"1234"}, "reason": {"superseded"}},
		"serials and more": {"serials": {cert.Serial.String()}, "suffix": {"example.com"}, "reason": {"superseded"}},
	} {
		a := p.post("/console/revoke/count", form)
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, name)
		require.Contains(t, a.body, `role="alert"`, name)
	}
	a := p.post("/console/revoke/count", url.Values{"serials": {cert.Serial.String() + "\r\n" + strings.Repeat("01", 17)}, "reason": {"superseded"}})
	require.Contains(t, a.body, "1 certificate would be revoked.")
	require.Contains(t, a.body, strings.Repeat("01", 17))
}

func TestApprovals(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		_, _, err := w.ca.CreateApp(t.Context(), root, ca.NewApp{ID: "shop", Policy: ca.PolicyApprove})
		require.NoError(t, err)
		dev := ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "shop"}
		for _, name := range []string{"a.example.com", "b.example.com", "192.0.2.9"} {
			_, _, err := w.ca.AddDomain(t.Context(), dev, ca.NewDomain{Domain: name})
			require.NoError(t, err)
		}
		p := w.as(ca.RoleOperator)
		require.Contains(t, p.page("/console").body, "<strong>3</strong> names wait")
		body := p.page("/console/approvals").body
		require.Contains(t, body, `href="/console/approvals/shop/a.example.com"`)

		a := p.post("/console/approvals/shop/a.example.com/approve", url.Values{"reason": {"known customer"}, "wildcard": {"1"}})
		require.Equal(t, "/console/approvals?done=approved", a.Header.Get("Location"), a.body)
		d, err := w.ca.Domain(t.Context(), root, "a.example.com", "shop")
		require.NoError(t, err)
		require.Equal(t, ca.DomainValid, d.State)
		require.True(t, d.Wildcard)
		require.Equal(t, "known customer", d.Decision)

		require.Contains(t, p.page("/console/approvals/shop/a.example.com").body, "Transfer the name")
		a = p.post("/console/approvals/shop/a.example.com/transfer", url.Values{"to": {"nowhere"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		a = p.post("/console/approvals/shop/a.example.com/transfer", url.Values{"to": {"other"}})
		require.Equal(t, "/console/approvals?done=transferred", a.Header.Get("Location"), a.body)
		d, err = w.ca.Domain(t.Context(), root, "a.example.com", "")
		require.NoError(t, err)
		require.Equal(t, "other", d.App)

		a = p.post("/console/approvals/shop/b.example.com/reject", url.Values{})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Contains(t, a.body, `id="reason-fault"`)
		a = p.post("/console/approvals/shop/b.example.com/reject", url.Values{"reason": {"<script>alert(1)</script>"}})
		require.Equal(t, "/console/approvals?done=rejected", a.Header.Get("Location"))
		body = p.page("/console/approvals/shop/b.example.com").body
		require.Contains(t, body, "&lt;script&gt;alert(1)&lt;/script&gt;")
		require.NotContains(t, body, "<script>alert")

		p.page("/console/approvals/shop/192.0.2.9")
		require.Equal(t, http.StatusNotFound, p.get("/console/approvals/shop/c.example.com").StatusCode)
		auditor := w.as(ca.RoleAuditor)
		require.NotContains(t, auditor.page("/console/approvals/shop/192.0.2.9").body, "<button formaction")
		require.Equal(t, http.StatusForbidden, auditor.post("/console/approvals/shop/192.0.2.9/approve", url.Values{}).StatusCode)
	})
}

func TestContestedNames(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, id := range []string{"first", "second"} {
			_, _, err := w.ca.CreateApp(t.Context(), root, ca.NewApp{ID: id, Policy: ca.PolicyProve})
			require.NoError(t, err)
			dev := ca.Principal{Name: id, Role: ca.RoleDeveloper, App: id}
			_, _, err = w.ca.AddDomain(t.Context(), dev, ca.NewDomain{Domain: "www.example.com"})
			require.NoError(t, err)
			_, err = w.ca.VerifyDomain(t.Context(), dev, "www.example.com", id, ca.MethodHTTP)
			require.NoError(t, err)
		}
		p := w.as(ca.RoleOperator)
		require.Contains(t, p.page("/console/approvals").body, `href="/console/approvals/second/www.example.com"`)
		body := p.page("/console/approvals/second/www.example.com").body
		require.Contains(t, body, "The name belongs to second")
		require.Contains(t, body, `href="/console/apps/first"`)
		a := p.post("/console/approvals/second/www.example.com/approve", url.Values{})
		require.Equal(t, "/console/approvals?done=approved", a.Header.Get("Location"), a.body)
		d, err := w.ca.Domain(t.Context(), root, "www.example.com", "")
		require.NoError(t, err)
		require.Equal(t, "second", d.App)
		require.Contains(t, p.page("/console/approvals").body, "No name is contested.")
	})
}

func TestApps(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleOperator)
		a := p.post("/console/apps/new", url.Values{"id": {"Shop!"}, "name": {"Web shop"}, "policy": {"list"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Contains(t, a.body, `id="app-id-fault"`)
		require.Contains(t, a.body, `value="Web shop"`, "what was typed stays")
		a = p.post("/console/apps/new", url.Values{"id": {"shop"}, "name": {"Web shop"}, "policy": {"list"}, "allowed": {"shop.example.com\r\n.eu.example.com"}})
		require.Equal(t, "/console/apps/shop?done=app-made", a.Header.Get("Location"), a.body)
		require.Equal(t, http.StatusUnprocessableEntity, p.post("/console/apps/new", url.Values{"id": {"shop"}, "policy": {"list"}}).StatusCode)
		made, err := w.ca.App(t.Context(), root, "shop")
		require.NoError(t, err)
		require.Equal(t, []string{"shop.example.com", ".eu.example.com"}, made.Allowed)
		require.Contains(t, p.page("/console/apps").body, "Web shop")

		a = p.post("/console/apps/shop", url.Values{"name": {"The shop"}, "policy": {"prove"}, "allowed": {"x..y"}})
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
		require.Contains(t, a.body, `id="allowed-fault"`)
		a = p.post("/console/apps/shop", url.Values{"name": {"The shop"}, "policy": {"prove"}, "suspended": {"1"}})
		require.Equal(t, "/console/apps/shop?done=app-changed", a.Header.Get("Location"))
		made, err = w.ca.App(t.Context(), root, "shop")
		require.NoError(t, err)
		require.True(t, made.Suspended)
		require.Equal(t, ca.PolicyProve, made.Policy)
		require.Empty(t, made.Allowed)
		require.Equal(t, http.StatusNotFound, p.get("/console/apps/nowhere").StatusCode)
	})
}

func TestCredentialsAreShownOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.as(ca.RoleOperator)
		a := p.post("/console/apps/demo/tokens", url.Values{"name": {"ci"}, "days": {"30"}})
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		secret := regexp.MustCompile(`imca_[A-Za-z0-9_-]+`).FindString(a.body)
		who, err := w.ca.Authenticate(t.Context(), secret, "", "")
		require.NoError(t, err)
		require.Equal(t, "demo", who.App)
		body := p.page("/console/apps/demo").body
		require.NotContains(t, body, secret)
		require.Contains(t, body, who.Token)

		a = p.post("/console/apps/demo/eab", url.Values{"name": {"web servers"}})
		require.Contains(t, a.body, "/acme/directory")
		kid := regexp.MustCompile(`eab_[A-Za-z0-9_-]+`).FindString(a.body)
		credential, err := w.ca.EAB(t.Context(), kid, "", "")
		require.NoError(t, err)
		require.Equal(t, "demo", credential.App)

		for _, days := range []string{"0", "-1", "4000", "soon"} {
			a = p.post("/console/apps/demo/tokens", url.Values{"name": {"ci"}, "days": {days}})
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, days)
			require.Contains(t, a.body, `id="token-days-fault"`)
		}
		require.Equal(t, http.StatusUnprocessableEntity, p.post("/console/apps/demo/eab", url.Values{"name": {""}}).StatusCode)

		a = p.post("/console/apps/demo/tokens/"+who.Token+"/revoke", url.Values{})
		require.Equal(t, "/console/apps/demo?done=token-revoked", a.Header.Get("Location"))
		_, err = w.ca.Authenticate(t.Context(), secret, "", "")
		require.Error(t, err)
	})
}

func TestEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		cert := w.issue("www.example.com")
		for range 60 {
			w.issue("many.example.com")
		}
		p := w.as(ca.RoleAuditor)
		body := p.page("/console/events").body
		require.Contains(t, body, `rel="next"`)
		require.Contains(t, p.page("/console/events?object="+cert.Serial.String()).body, "www.example.com")
		require.Contains(t, p.page("/console/events?action=app.create&outcome=done").body, "make an app")
		require.Contains(t, p.page("/console/events?app=demo&actor=dev&from=2026-03-01&until=2026-03-01").body, "issue a server certificate")
		require.Contains(t, p.page("/console/events?until=2025").body, "No event fits.")
		require.Contains(t, p.page("/console/events?from=monday").body, `id="from-fault"`)
		require.Equal(t, http.StatusUnprocessableEntity, p.get("/console/events?cursor=1").StatusCode)
	})
}

// TestWhatDevelopersTypeIsText tries to get markup into every page through every field that a developer, or who pretends to be one, fills in.
func TestWhatDevelopersTypeIsText(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}javascript:alert(1)`
		dev := ca.Principal{Name: evil, Role: ca.RoleDeveloper, App: "demo", Address: evil, RequestID: evil, Token: evil}
		ctx := t.Context()
		issued, err := w.ca.Issue(ctx, dev, ca.IssueRequest{Domains: []string{"www.example.com"}})
		require.NoError(t, err)
		_, err = w.ca.Issue(ctx, dev, ca.IssueRequest{Domains: []string{evil}}) // refused, and told in an event
		require.Error(t, err)
		key, err := pki.ECDSAP256.Generate()
		require.NoError(t, err)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "csr.example.com", Organization: []string{evil}, OrganizationalUnit: []string{evil}, Locality: []string{evil}},
		}, key)
		require.NoError(t, err)
		_, err = w.ca.Issue(ctx, dev, ca.IssueRequest{CSR: csr})
		require.NoError(t, err)
		require.Contains(t, w.as(ca.RoleAuditor).page("/console/events").body, "subject O=", "what is ignored of a CSR is told, and so shown")
		_, err = w.ca.Certificate(ctx, dev, pki.Serial{1})
		require.Error(t, err)
		_, _, err = w.ca.AddDomain(ctx, dev, ca.NewDomain{Domain: evil})
		require.Error(t, err)
		_, err = w.ca.Authenticate(ctx, "imca_"+evil, evil, evil)
		require.Error(t, err)
		name := evil
		_, err = w.ca.ChangeApp(ctx, root, "demo", ca.AppChange{Name: &name})
		require.NoError(t, err)
		_, _, err = w.ca.CreateToken(ctx, root, ca.NewToken{Name: evil, Role: ca.RoleDeveloper, App: "demo"})
		require.NoError(t, err)
		_, _, err = w.ca.CreateApp(ctx, root, ca.NewApp{ID: "shop", Policy: ca.PolicyApprove})
		require.NoError(t, err)
		_, _, err = w.ca.AddDomain(ctx, ca.Principal{Name: evil, Role: ca.RoleDeveloper, App: "shop"}, ca.NewDomain{Domain: "shop.example.com"})
		require.NoError(t, err)

		p := w.as(ca.RoleOperator)
		p.cookies["__Host-imca-searches"] = base64.RawURLEncoding.EncodeToString([]byte(`[{"n":` + strconv.Quote(evil) + `,"q":"javascript:alert(1)"}]`))
		q := url.QueryEscape(evil)
		pages := append(consolePages(issued.Certificate), "/console/approvals/shop/shop.example.com", "/console/certificates?q="+q, "/console/certificates?app="+q+"&status="+q,
			"/console/certificates?issued-from="+q, "/console/events?object="+q+"&actor="+q+"&app="+q+"&action="+q+"&outcome="+q, "/console/events?from="+q, "/console/revoke?suffix="+q+"&serials="+q,
			"/console/certificates/"+url.PathEscape(evil), "/console/apps/"+url.PathEscape(evil), "/console/approvals/"+url.PathEscape(evil)+"/"+url.PathEscape(evil),
			"/console/checks?url="+q+"&app="+q, "/console?done="+q, "/"+url.PathEscape(evil))
		bodies := make(map[string]string)
		for _, path := range pages {
			bodies[path] = p.get(path).body
		}
		for path, form := range map[string]url.Values{
			"/console/revoke/count":                           {"suffix": {evil}, "serials": {evil}, "reason": {evil}, "app": {evil}, "key": {evil}},
			"/console/revoke/start":                           {"suffix": {"example.com"}, "reason": {"superseded"}, "confirm": {evil}, "typed": {evil}, "open": {evil}},
			"/console/apps/new":                               {"id": {evil}, "name": {evil}, "policy": {evil}, "allowed": {evil}},
			"/console/apps/demo":                              {"name": {evil + "\x00"}, "policy": {evil}, "allowed": {evil}},
			"/console/apps/demo/tokens":                       {"name": {evil + "\n"}, "days": {evil}},
			"/console/apps/demo/eab":                          {"name": {strings.Repeat(evil, 9)}},
			"/console/certificates/saved":                     {"name": {evil}, "query": {"q=" + q}},
			"/console/approvals/shop/shop.example.com/reject": {"reason": {strings.Repeat(evil, 99)}},
			"/console/certificates/" + issued.Certificate.Serial.String() + "/revoke": {"reason": {evil}, "typed": {evil}},
		} {
			a := p.post(path, form)
			p.keep(a)
			bodies["POST "+path] = a.body
		}
		bodies["saved"] = p.get("/console/certificates").body
		shown := 0
		for path, body := range bodies {
			require.NotContains(t, body, "<script>alert", path)
			require.NotContains(t, body, "<img src=x", path)
			require.NotRegexp(t, `(href|action|formaction)="javascript:`, body, path)
			shown += strings.Count(body, "&lt;script&gt;alert(1)")
		}
		require.Greater(t, shown, 20, "it was shown, as text")
	})
}

func TestChecks(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		cert := w.issue("www.example.com")
		p := w.as(ca.RoleOperator)
		require.Contains(t, p.page("/console/certificates/"+cert.Serial.String()).body, "No check has seen it in use lately.")
		w.sight = ca.CheckFacts{
			Summary: "open", Served: cert.Serial.String(), ServedUntil: cert.NotAfter,
			Findings: []ca.CheckFinding{{Code: "open", Severity: "fault", Title: "Strangers <b>get in</b>"}},
		}
		_, _, err := w.ca.AddEndpoint(t.Context(), developer, ca.NewEndpoint{URL: "https://www.example.com/callback"})
		require.NoError(t, err)
		require.NoError(t, w.ca.RunDueChecks(t.Context()))

		require.Contains(t, p.page("/console").body, "<strong>1</strong> servers with something wrong")
		body := p.page("/console/checks").body
		require.Contains(t, body, "https://www.example.com/callback")
		require.Contains(t, body, "strangers get in")
		require.Contains(t, body, "Strangers &lt;b&gt;get in&lt;/b&gt;")
		link := regexp.MustCompile(`/console/checks/chk_[A-Za-z0-9_-]+`).FindString(body)
		require.Contains(t, p.page(link).body, cert.Serial.String())
		require.Contains(t, p.page("/console/certificates/"+cert.Serial.String()).body, link)
		require.Equal(t, http.StatusNotFound, p.get("/console/checks/chk_nothing").StatusCode)
	})
}
