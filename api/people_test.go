package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func TestApps(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		operator := w.as("operator")
		app, err := operator.CreateApp(t.Context(), api.AppRequest{ID: "shop", Name: "Web shop", Policy: "list", Allowed: []string{".Shop.example.com", "shop.example.com"}})
		require.NoError(t, err)
		require.Equal(t, &api.App{ID: "shop", Name: "Web shop", Policy: "list", Allowed: []string{".shop.example.com", "shop.example.com"}, CreatedAt: start, Quotas: map[string]int{}}, app)
		read, err := operator.App(t.Context(), "shop")
		require.NoError(t, err)
		require.Equal(t, app, read)
		_, err = operator.CreateApp(t.Context(), api.AppRequest{ID: "shop"})
		refusal(t, err, ca.KindConflict)

		got := w.ask("operator", "POST", "/v1/apps", "{}", "Idempotency-Key", "an-app")
		var made, again api.App
		got.read(t, http.StatusCreated, &made)
		require.Equal(t, "/v1/apps/"+made.ID, got.Header.Get("Location"))
		require.Equal(t, []string{}, made.Allowed)
		got = w.ask("operator", "POST", "/v1/apps", "{}", "Idempotency-Key", "an-app")
		got.read(t, http.StatusOK, &again)
		require.Equal(t, "true", got.Header.Get("Idempotent-Replayed"))
		require.Equal(t, made, again)
		w.ask("operator", "POST", "/v1/apps", `{"name":"x"}`, "Idempotency-Key", "an-app").problem(t, ca.KindKeyReused)
		w.ask("operator", "POST", "/v1/apps", "{}", "Idempotency-Key", "").problem(t, ca.KindInvalid)

		name, suspended := "Shop", true
		app, err = operator.ChangeApp(t.Context(), "shop", api.AppChange{Name: &name, Suspended: &suspended})
		require.NoError(t, err)
		require.Equal(t, &api.App{ID: "shop", Name: "Shop", Policy: "list", Allowed: read.Allowed, Suspended: true, CreatedAt: start, Quotas: map[string]int{}}, app)
		_, err = operator.Issue(t.Context(), api.IssueRequest{App: "shop", Domain: "shop.example.com"})
		require.Equal(t, "/app", refusal(t, err, ca.KindForbidden).Errors[0].Pointer)
		none := []string{}
		app, err = operator.ChangeApp(t.Context(), "shop", api.AppChange{Allowed: &none})
		require.NoError(t, err)
		require.Empty(t, app.Allowed)
		_, err = operator.ChangeApp(t.Context(), "nobody", api.AppChange{Allowed: &none})
		refusal(t, err, ca.KindNotFound)
		bad := []string{"example.com", "*.*.example.com"}
		_, err = operator.ChangeApp(t.Context(), "shop", api.AppChange{Allowed: &bad})
		require.Equal(t, "/allowed/1", refusal(t, err, ca.KindRejectedName).Errors[0].Pointer)
		quotas := map[string]int{"certificates_per_week": 5000}
		app, err = operator.ChangeApp(t.Context(), "shop", api.AppChange{Quotas: &quotas})
		require.NoError(t, err)
		require.Equal(t, quotas, app.Quotas)
		app, err = operator.ChangeApp(t.Context(), "shop", api.AppChange{Name: &name})
		require.NoError(t, err)
		require.Equal(t, quotas, app.Quotas, "what is not named stays")
		for body, want := range map[string]struct {
			kind    ca.Kind
			pointer string
		}{
			`{"quotas":{"certificates_per_week":"5000"}}`:                      {ca.KindMalformed, "/quotas/certificates_per_week"},
			`{"quotas":{"certificates_per_week":null}}`:                        {ca.KindMalformed, "/quotas/certificates_per_week"},
			`{"quotas":{"certificates_per_week":1,"certificates_per_week":2}}`: {ca.KindMalformed, "/quotas/certificates_per_week"},
			`{"quotas":[5000]}`:                                       {ca.KindMalformed, "/quotas"},
			`{"quotas":{"certificates_per_week":-1}}`:                 {ca.KindInvalid, "/quotas/certificates_per_week"},
			`{"quotas":{` + strings.Repeat(`"a":1,`, 100) + `"a":1}}`: {ca.KindInvalid, "/quotas"},
		} {
			p := w.ask("operator", "PATCH", "/v1/apps/shop", body).problem(t, want.kind)
			require.Equal(t, want.pointer, p.Errors[0].Pointer, body)
		}

		var listed []string
		for filter := (api.Filter{"limit": "2"}); ; {
			page, err := operator.Apps(t.Context(), filter)
			require.NoError(t, err)
			for _, a := range page.Items {
				listed = append(listed, a.ID)
			}
			if filter["cursor"] = page.Next; page.Next == "" {
				break
			}
		}
		require.Equal(t, []string{made.ID, "demo", "other", "shop"}, listed)
	})
}

func TestTokens(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		days := 30
		got := w.ask("operator", "POST", "/v1/apps/demo/tokens", `{"name":"build server","expires_in_days":30}`, "Idempotency-Key", "a-token")
		var made, again api.Token
		got.read(t, http.StatusCreated, &made)
		require.Equal(t, "/v1/tokens/"+made.ID, got.Header.Get("Location"))
		require.True(t, strings.HasPrefix(made.Secret, "imca_"))
		require.Equal(t, "demo", made.App)
		require.Equal(t, "operator", made.CreatedBy)
		require.True(t, made.ExpiresAt.Equal(start.AddDate(0, 0, days)))
		got = w.ask("operator", "POST", "/v1/apps/demo/tokens", `{"name":"build server","expires_in_days":30}`, "Idempotency-Key", "a-token")
		got.read(t, http.StatusOK, &again)
		require.Equal(t, "true", got.Header.Get("Idempotent-Replayed"))
		require.Empty(t, again.Secret, "the secret is shown once")
		require.Equal(t, made.ID, again.ID)

		w.security["build"] = made.Secret
		who, err := w.as("build").Whoami(t.Context())
		require.NoError(t, err)
		require.Equal(t, &api.Principal{Name: "build server", Role: "developer", App: "demo", TokenID: made.ID}, who)

		page, err := w.as("auditor").AppTokens(t.Context(), "demo", nil)
		require.NoError(t, err)
		require.Len(t, page.Items, 2)
		for _, item := range page.Items {
			require.Empty(t, item.Secret)
			if item.ID == made.ID {
				require.True(t, item.LastUsedAt.Equal(start))
			}
		}

		require.NoError(t, w.as("operator").RevokeToken(t.Context(), made.ID))
		_, err = w.as("build").Whoami(t.Context())
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "revoked")
		require.NoError(t, w.as("operator").RevokeToken(t.Context(), made.ID), "once more changes nothing")
		refusal(t, w.as("operator").RevokeToken(t.Context(), "tok_nobody"), ca.KindNotFound)

		second, err := w.as("admin").CreateToken(t.Context(), api.TokenRequest{Name: "Dana", Role: "operator", ExpiresInDays: &days, IdempotencyKey: "dana"})
		require.NoError(t, err)
		replayed, err := w.as("admin").CreateToken(t.Context(), api.TokenRequest{Name: "Dana", Role: "operator", ExpiresInDays: &days, IdempotencyKey: "dana"})
		require.NoError(t, err)
		require.Equal(t, second.ID, replayed.ID)
		w.security["dana"] = second.Secret
		w.pass(30 * 24 * time.Hour)
		_, err = w.as("dana").Whoami(t.Context())
		require.Contains(t, refusal(t, err, ca.KindUnauthenticated).Detail, "expired")
		refusal(t, w.as("operator").RevokeToken(t.Context(), second.ID), ca.KindForbidden)

		listed := make(map[string]bool)
		for filter := (api.Filter{"limit": "1"}); ; {
			page, err := w.as("operator").Tokens(t.Context(), filter)
			require.NoError(t, err)
			for _, item := range page.Items {
				listed[item.Name] = true
			}
			if filter["cursor"] = page.Next; page.Next == "" {
				break
			}
		}
		require.Equal(t, map[string]bool{"auditor": true, "operator": true, "admin": true, "Dana": true}, listed)
	})
}

func TestTokenBounds(t *testing.T) {
	w := newWorld(t)
	before := w.recorded()
	for body, pointer := range map[string]string{
		`{}`:          "/name",
		`{"name":""}`: "/name",
		`{"name":"` + strings.Repeat("a", 101) + `"}`: "/name",
		`{"name":"two\nlines"}`:                       "/name",
		`{"name":"x","expires_in_days":0}`:            "/expires_in_days",
		`{"name":"x","expires_in_days":3651}`:         "/expires_in_days",
		`{"name":"x","expires_in_days":-1}`:           "/expires_in_days",
	} {
		p := w.ask("operator", "POST", "/v1/apps/demo/tokens", body).problem(t, ca.KindInvalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, body)
		p = w.ask("admin", "POST", "/v1/tokens", strings.TrimSuffix(strings.Replace(body, `{}`, `{"name":""}`, 1), "}")+`,"role":"auditor"}`).problem(t, ca.KindInvalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, body)
	}
	for _, role := range []string{"developer", "king", ""} {
		p := w.ask("admin", "POST", "/v1/tokens", fmt.Sprintf(`{"name":"x","role":%q}`, role)).problem(t, ca.KindInvalid)
		require.Equal(t, "/role", p.Errors[0].Pointer)
	}
	w.ask("operator", "POST", "/v1/tokens", `{"name":"x","role":"operator"}`).problem(t, ca.KindForbidden)
	w.ask("operator", "POST", "/v1/apps/nobody/tokens", `{"name":"x"}`).problem(t, ca.KindNotFound)
	w.ask("operator", "POST", "/v1/apps/demo/tokens", `{"name":"x"}`, "Idempotency-Key", "two words").problem(t, ca.KindInvalid)
	w.ask("admin", "POST", "/v1/tokens", `{"name":"x","role":"auditor"}`, "Idempotency-Key", "two words").problem(t, ca.KindInvalid)
	w.ask("operator", "GET", "/v1/apps/nobody/tokens", "").problem(t, ca.KindNotFound)
	require.Equal(t, before, w.recorded())
}

// TestSecretInThePath shows the likely mistake: the token itself where its ID belongs. It must get into no event and no log.
func TestSecretInThePath(t *testing.T) {
	w := newWorld(t)
	secret := w.security["developer"]
	w.ask("operator", "DELETE", "/v1/tokens/"+secret, "").problem(t, ca.KindNotFound)
	w.ask("operator", "GET", "/v1/apps/"+secret, "").problem(t, ca.KindNotFound)
	w.ask("operator", "GET", "/v1/certificates/"+secret, "").problem(t, ca.KindNotFound)
	w.ask("operator", "GET", "/v1/apps?token="+secret, "").problem(t, ca.KindInvalid)

	require.NotContains(t, w.log.String(), secret)
	page, err := w.as("auditor").Events(t.Context(), api.Filter{"limit": "1000"})
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(page), secret)
}

func TestOverview(t *testing.T) {
	w := newWorld(t, func(o *worldOptions) { o.hierarchy = ca.HierarchyIssuing })
	profiles, err := w.as("developer").Profiles(t.Context())
	require.NoError(t, err)
	require.Len(t, profiles, 2)
	require.Equal(t, "client", profiles[0].Name)
	require.Equal(t, "clientAuth", profiles[0].Usage)
	require.Equal(t, api.Profile{
		Name: "server", Authority: "TencentQQAuthCA-Issuing", Usage: "serverAuth", KeyTypes: []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"},
		DefaultValidityDays: 90, MaxValidityDays: 397, MaxNames: 100, Wildcards: true, IPNames: true, Ready: true,
	}, profiles[1])

	authorities, err := w.as("auditor").Authorities(t.Context())
	require.NoError(t, err)
	require.Len(t, authorities, 2)
	root, issuing := authorities[0], authorities[1]
	require.Equal(t, []string{"client"}, root.Profiles)
	require.Empty(t, root.Parent)
	require.Equal(t, "TencentQQAuthCA", issuing.Parent)
	require.Equal(t, "CN=TencentQQAuthCA-Issuing", issuing.Subject)
	require.NoError(t, parse(t, issuing.Certificate).CheckSignatureFrom(parse(t, root.Certificate)))
	require.True(t, root.Ready)
	require.Equal(t, "ecdsa-p256", root.KeyType)
}
