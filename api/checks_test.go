package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// doors are looked at in a test: they are healthy, unless the test says otherwise.
type doors struct {
	mu sync.Mutex
	at func(ca.Visit) (ca.Sight, error)

	posted []string // bodies of messages
	fail   error    // of messages
}

func (d *doors) say(at func(ca.Visit) (ca.Sight, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
}

func (d *doors) look(_ context.Context, v ca.Visit) (ca.Sight, error) {
	d.mu.Lock()
	at := d.at
	d.mu.Unlock()
	if at != nil {
		return at(v)
	}
	return sightOf(v, "healthy"), nil
}

func sightOf(v ca.Visit, summary string) ca.Sight {
	yes := map[string]any{"answer": "yes", "reason": "it was so"}
	report, err := json.Marshal(map[string]any{
		"url": v.URL, "summary": summary, "admits_platform": yes, "refuses_strangers": yes, "refuses_revoked": yes,
		"findings": []any{}, "untold": []string{"much"}, "probes": []any{map[string]any{"name": "platform"}},
	})
	if err != nil {
		panic(err)
	}
	return ca.Sight{Report: report, Facts: ca.CheckFacts{Summary: summary}}
}

func TestCheck(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		first, err := w.as("developer").RunCheck(t.Context(), api.CheckRequest{URL: "https://WWW.example.com/callback", Callback: true, Address: "192.0.2.7"})
		require.NoError(t, err)
		require.Equal(t, "done", first.State)
		require.Equal(t, "healthy", first.Summary)
		require.Equal(t, "https://www.example.com/callback", first.URL)
		require.Equal(t, "demo", first.App)
		require.Equal(t, "developer", first.AskedBy)
		require.Contains(t, string(first.Report), `"untold":["much"]`)

		w.doors.say(func(v ca.Visit) (ca.Sight, error) {
			sight := sightOf(v, "open")
			sight.Facts.Findings = []ca.CheckFinding{{Code: "not_required", Severity: "fault", Title: "Anybody"}}
			sight.Changes = []ca.CheckChange{{What: "finding", After: "not_required", Worse: true, Text: "new: Anybody"}}
			return sight, nil
		})
		w.pass(time.Minute)
		second, err := w.as("developer").RunCheck(t.Context(), api.CheckRequest{URL: "https://www.example.com/callback", Address: "192.0.2.7"})
		require.NoError(t, err)
		require.Equal(t, first.ID, second.Since)
		require.Equal(t, []api.CheckChange{{What: "finding", After: "not_required", Worse: true, Text: "new: Anybody"}}, second.Changes)
		read, err := w.as("auditor").Check(t.Context(), second.ID)
		require.NoError(t, err)
		require.Equal(t, second, read)

		page, err := w.as("developer").Checks(t.Context(), api.Filter{"endpoint": "https://www.example.com/callback", "limit": "1"})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		require.Equal(t, second.ID, page.Items[0].ID)
		require.Empty(t, page.Items[0].Report, "lists are short")
		page, err = w.as("developer").Checks(t.Context(), api.Filter{"limit": "1", "cursor": page.Next, "state": "done"})
		require.NoError(t, err)
		require.Equal(t, first.ID, page.Items[0].ID)
		page, err = w.as("stranger").Checks(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, page.Items)
	})
}

func TestCheckThatTakesLong(t *testing.T) {
	w := newWorld(t)
	open := make(chan struct{})
	w.doors.say(func(v ca.Visit) (ca.Sight, error) { <-open; return sightOf(v, "locked_out"), nil })
	body := `{"url":"https://www.example.com/"}`
	var k api.Check
	for _, preference := range []string{"respond-async", "wait=0", `foo, WAIT = 0`} {
		got := w.ask("developer", "POST", "/v1/checks", body, "Prefer", preference)
		got.read(t, http.StatusAccepted, &k)
		require.Equal(t, "running", k.State)
		require.Equal(t, "/v1/checks/"+k.ID, got.Header.Get("Location"))
		require.Equal(t, "1", got.Header.Get("Retry-After"))
	}
	close(open)
	for k.State == "running" {
		w.ask("developer", "GET", "/v1/checks/"+k.ID, "").read(t, http.StatusOK, &k)
	}
	require.Equal(t, "locked_out", k.Summary)
	w.ask("developer", "POST", "/v1/checks", body, "Prefer", "wait=99999999999").read(t, http.StatusCreated, &k)

	var again api.Check
	k = api.Check{}
	w.ask("developer", "POST", "/v1/checks", body, "Idempotency-Key", "k").read(t, http.StatusCreated, &k)
	got := w.ask("developer", "POST", "/v1/checks", body, "Idempotency-Key", "k")
	got.read(t, http.StatusOK, &again)
	require.Equal(t, "true", got.Header.Get("Idempotent-Replayed"))
	require.Equal(t, k, again)
}

func TestBadChecks(t *testing.T) {
	w := newWorld(t)
	for body, want := range map[string]struct {
		kind    ca.Kind
		pointer string
	}{
		`{}`:                               {ca.KindInvalid, "/url"},
		`{"url":"http://www.example.com"}`: {ca.KindInvalid, "/url"},
		`{"url":"https://www.example.com/?secret=1"}`:         {ca.KindInvalid, "/url"},
		`{"url":"https://127.0.0.1/"}`:                        {ca.KindRejectedName, "/url"},
		`{"url":"https://www.example.com:25/"}`:               {ca.KindInvalid, "/url"},
		`{"url":"https://www.example.com/","address":"here"}`: {ca.KindInvalid, "/address"},
		`{"url":"https://www.example.com/","callback":"yes"}`: {ca.KindMalformed, "/callback"},
		`{"url":7}`:                          {ca.KindMalformed, "/url"},
		`{"uri":"https://www.example.com/"}`: {ca.KindMalformed, "/uri"},
		`{"url":"https://www.example.com/","app":"other"}`:             {ca.KindNotFound, ""},
		`{"url":"https://` + strings.Repeat("a", 1000) + `.example/"}`: {ca.KindInvalid, "/url"},
	} {
		p := w.ask("developer", "POST", "/v1/checks", body).problem(t, want.kind)
		if want.pointer != "" {
			require.Equal(t, want.pointer, p.Errors[0].Pointer, body)
		}
	}
	for _, path := range []string{"/v1/checks/chk_1", "/v1/checks/" + "chk_" + strings.Repeat("0", 32), "/v1/checks/%00"} {
		got := w.ask("operator", "GET", path, "")
		require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, got.StatusCode, path)
	}
	w.ask("developer", "GET", "/v1/checks?app=other", "").problem(t, ca.KindNotFound)
	for _, query := range []string{"cursor=chk_1", "state=over", "endpoint=www.example.com", "limit=0", "url=x"} {
		w.ask("operator", "GET", "/v1/checks?"+query, "").problem(t, ca.KindInvalid)
	}
}

func TestEndpoints(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.doors.say(func(v ca.Visit) (ca.Sight, error) { return sightOf(v, "wrong_way"), nil })
		e, err := w.as("developer").AddEndpoint(t.Context(), api.EndpointRequest{URL: "https://WWW.example.com/callback", Callback: true})
		require.NoError(t, err)
		require.Equal(t, "https://www.example.com/callback", e.URL)
		require.Empty(t, e.Alerts)
		again, err := w.as("operator").AddEndpoint(t.Context(), api.EndpointRequest{URL: e.URL, App: "demo"})
		require.NoError(t, err)
		require.Equal(t, e.ID, again.ID)
		require.Eventually(t, func() bool {
			e, err = w.as("developer").Endpoint(t.Context(), e.ID)
			require.NoError(t, err)
			return e.CheckedAt != nil
		}, 10*time.Second, 20*time.Millisecond)
		require.Equal(t, []string{"open", "locked-out"}, e.Alerts)
		require.Equal(t, "wrong_way", e.Summary)
		k, err := w.as("developer").Check(t.Context(), e.Check)
		require.NoError(t, err)
		require.Equal(t, "scheduled", k.Cause)

		w.pass(time.Second)
		_, err = w.as("developer").AddEndpoint(t.Context(), api.EndpointRequest{URL: e.URL + "/2"})
		require.NoError(t, err)
		page, err := w.as("auditor").Endpoints(t.Context(), api.Filter{"app": "demo", "limit": "1"})
		require.NoError(t, err)
		require.Equal(t, e.ID, page.Items[0].ID)
		page, err = w.as("auditor").Endpoints(t.Context(), api.Filter{"app": "demo", "limit": "1", "cursor": page.Next})
		require.NoError(t, err)
		require.Equal(t, e.URL+"/2", page.Items[0].URL)
		require.NoError(t, w.as("developer").RemoveEndpoint(t.Context(), e.ID))
		_, err = w.as("developer").Endpoint(t.Context(), e.ID)
		refusal(t, err, ca.KindNotFound)
	})
}

func TestBadEndpoints(t *testing.T) {
	w := newWorld(t)
	for body, kind := range map[string]ca.Kind{
		`{}`: ca.KindInvalid, `{"url":"https://www.example.com/?q=1"}`: ca.KindInvalid, `{"url":"https://localhost/"}`: ca.KindRejectedName,
		`{"url":"https://www.example.com/","app":"other"}`: ca.KindNotFound, `{"url":"https://www.example.com/","every":"hour"}`: ca.KindMalformed,
	} {
		w.ask("developer", "POST", "/v1/endpoints", body).problem(t, kind)
	}
	w.ask("operator", "POST", "/v1/endpoints", `{"url":"https://www.example.com/"}`).problem(t, ca.KindInvalid)
	w.ask("developer", "GET", "/v1/endpoints/end_1", "").problem(t, ca.KindNotFound)
	w.ask("developer", "DELETE", "/v1/endpoints/end_1", "").problem(t, ca.KindNotFound)
	w.ask("developer", "GET", "/v1/endpoints?app=other", "").problem(t, ca.KindNotFound)
	w.ask("developer", "GET", "/v1/endpoints?cursor=x", "").problem(t, ca.KindInvalid)
	for i := range 100 {
		_, err := w.as("developer").AddEndpoint(t.Context(), api.EndpointRequest{URL: fmt.Sprintf("https://h%d.example.com/", i)})
		require.NoError(t, err)
	}
	w.ask("developer", "POST", "/v1/endpoints", `{"url":"https://more.example.com/"}`).problem(t, ca.KindConflict)
}

func (d *doors) post(_ context.Context, _ string, _ map[string]string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.posted = append(d.posted, string(body))
	return d.fail
}

// onlyWebhook makes a webhook of the app "demo", and removes the others.
func (w *world) onlyWebhook() *api.Webhook {
	w.t.Helper()
	page, err := w.as("developer").Webhooks(w.t.Context(), "demo")
	require.NoError(w.t, err)
	for _, old := range page.Items {
		require.NoError(w.t, w.as("developer").RemoveWebhook(w.t.Context(), "demo", old.ID))
	}
	made, err := w.as("developer").CreateWebhook(w.t.Context(), "demo", api.WebhookRequest{URL: "https://hooks.example.com/imca?token=1"})
	require.NoError(w.t, err)
	return made
}

func TestWebhooks(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		made := w.onlyWebhook()
		require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, made.Secret)
		w.doors.mu.Lock()
		w.doors.fail = errors.New("HTTP 503")
		w.doors.mu.Unlock()
		require.NoError(t, w.as("developer").TestWebhook(t.Context(), "demo", made.ID))
		var listed api.Webhook
		require.Eventually(t, func() bool {
			page, err := w.as("auditor").Webhooks(t.Context(), "demo")
			require.NoError(t, err)
			listed = page.Items[0]
			return listed.Failure != ""
		}, 10*time.Second, 20*time.Millisecond)
		require.Empty(t, listed.Secret)
		require.Equal(t, "HTTP 503", listed.Failure)
		require.NotNil(t, listed.FailingSince)
		rotated, err := w.as("operator").RotateWebhook(t.Context(), "demo", made.ID)
		require.NoError(t, err)
		require.NotEqual(t, made.Secret, rotated.Secret)
		require.NotNil(t, rotated.OldSecretUntil)
		w.doors.mu.Lock()
		require.Contains(t, w.doors.posted[0], "webhook.test")
		w.doors.mu.Unlock()
		require.NotContains(t, w.log.String(), made.Secret)
		require.NotContains(t, w.log.String(), "token=1")
	})
}

func TestBadWebhooks(t *testing.T) {
	w := newWorld(t)
	made := w.onlyWebhook()
	for body, kind := range map[string]ca.Kind{
		`{}`: ca.KindInvalid, `{"url":"http://hooks.example.com/"}`: ca.KindInvalid, `{"url":"https://hooks.example.com:25/"}`: ca.KindInvalid,
		`{"url":["https://hooks.example.com/"]}`: ca.KindMalformed, `{"url":"https://hooks.example.com/","secret":"mine"}`: ca.KindMalformed,
	} {
		w.ask("developer", "POST", "/v1/apps/demo/webhooks", body).problem(t, kind)
	}
	for _, id := range []string{"whk_1", made.Secret, "whk_" + strings.Repeat("0", 32)} {
		w.ask("developer", "DELETE", "/v1/apps/demo/webhooks/"+url.PathEscape(id), "").problem(t, ca.KindNotFound)
		w.ask("developer", "POST", "/v1/apps/demo/webhooks/"+url.PathEscape(id)+"/rotate", "").problem(t, ca.KindNotFound)
		w.ask("developer", "POST", "/v1/apps/demo/webhooks/"+url.PathEscape(id)+"/test", "").problem(t, ca.KindNotFound)
	}
	for range 9 {
		_, err := w.as("developer").CreateWebhook(t.Context(), "demo", api.WebhookRequest{URL: "https://hooks.example.com/"})
		require.NoError(t, err)
	}
	w.ask("developer", "POST", "/v1/apps/demo/webhooks", `{"url":"https://hooks.example.com/"}`).problem(t, ca.KindConflict)
	events, err := w.as("auditor").Events(t.Context(), nil)
	require.NoError(t, err)
	require.NotContains(t, toJSON(t, events), made.Secret)
	require.NotContains(t, toJSON(t, events), "token=1")
}

// foreignRoot is the certificate of a CA that is none of ours.
func foreignRoot(t testing.TB) string {
	t.Helper()
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	root, err := issuer.NewRoot(issuer.RootRequest{Serial: pki.NewSerial(), CommonName: "A company", Key: key, NotBefore: start.Add(-time.Hour), NotAfter: start.AddDate(1, 0, 0)})
	require.NoError(t, err)
	return string(pki.EncodeCertificate(root.Raw))
}

func TestAppRoots(t *testing.T) {
	w := newWorld(t)
	req := api.AppRootRequest{Certificate: foreignRoot(t)}
	r, err := w.as("operator").AddAppRoot(t.Context(), "demo", req)
	require.NoError(t, err)
	require.Equal(t, "CN=A company", r.Subject)
	require.Equal(t, req.Certificate, r.Certificate)
	page, err := w.as("developer").AppRoots(t.Context(), "demo")
	require.NoError(t, err)
	require.Equal(t, []api.AppRoot{*r}, page.Items)
	require.NoError(t, w.as("operator").RemoveAppRoot(t.Context(), "demo", strings.ToUpper(r.FingerprintSHA256)))
	refusal(t, w.as("operator").RemoveAppRoot(t.Context(), "demo", r.FingerprintSHA256), ca.KindNotFound)

	for body, kind := range map[string]ca.Kind{
		`{}`: ca.KindInvalid, `{"certificate":"root"}`: ca.KindInvalid, `{"certificate":1}`: ca.KindMalformed, `{"pem":"x"}`: ca.KindMalformed,
		toJSON(t, api.AppRootRequest{Certificate: req.Certificate + foreignRoot(t)}): ca.KindInvalid,
	} {
		w.ask("operator", "POST", "/v1/apps/demo/roots", body).problem(t, kind)
	}
	w.ask("operator", "POST", "/v1/apps/-/roots", toJSON(t, req)).problem(t, ca.KindNotFound)
	w.ask("operator", "DELETE", "/v1/apps/demo/roots/root", "").problem(t, ca.KindNotFound)
	for range 10 {
		_, err := w.as("operator").AddAppRoot(t.Context(), "demo", api.AppRootRequest{Certificate: foreignRoot(t)})
		require.NoError(t, err)
	}
	w.ask("operator", "POST", "/v1/apps/demo/roots", toJSON(t, req)).problem(t, ca.KindConflict)
}
