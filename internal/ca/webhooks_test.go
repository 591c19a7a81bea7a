package ca_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
)

// mailbox receives messages, and fails as a test tells it to.
type mailbox struct {
	mu   sync.Mutex
	got  []message
	fail error
}

type message struct {
	url    string
	header map[string]string
	body   []byte
}

func (m *mailbox) Post(_ context.Context, url string, header map[string]string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, message{url, header, body})
	return m.fail
}

const hookURL = "https://hooks.example.com/imca?token=1"

// tellingFixture is a fixture whose CA looks at doors and tells what it sees; the app "demo" has a webhook.
func tellingFixture(t testing.TB, url string) (*fixture, *doors, *mailbox, ca.Webhook) {
	f, d := checkingFixture(t, url)
	m := &mailbox{}
	f.webhooks = ca.WebhookRules{Post: m.Post}
	f.load(f.store)
	w, err := f.CreateWebhook(t.Context(), developer, "demo", hookURL)
	require.NoError(t, err)
	return f, d, m, w
}

// requireSigned has openssl compute the signature.
func requireSigned(t testing.TB, m message, secrets ...string) {
	t.Helper()
	signatures := strings.Fields(m.header["webhook-signature"])
	require.Len(t, signatures, len(secrets))
	for i, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		require.NoError(t, err)
		require.Len(t, key, 32)
		file := filepath.Join(t.TempDir(), "signed")
		require.NoError(t, os.WriteFile(file, []byte(m.header["webhook-id"]+"."+m.header["webhook-timestamp"]+"."+string(m.body)), 0o600))
		out := judge.Run(t, "openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(key), "-r", file)
		sum, err := hex.DecodeString(strings.Fields(out)[0])
		require.NoError(t, err)
		require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(sum), signatures[i])
	}
}

func TestWebhookIsToldOfAlerts(t *testing.T) {
	judge.Need(t, "openssl")
	onEach(t, func(t *testing.T, url string) {
		f, d, m, w := tellingFixture(t, url)
		_, err := f.CreateWebhook(t.Context(), stranger, "other", hookURL)
		require.NoError(t, err)
		d.answer(func(ca.Visit) (ca.Sight, error) {
			return ca.Sight{Report: []byte(`{}`), Facts: ca.CheckFacts{Summary: "open", Findings: []ca.CheckFinding{{Code: "not_required", Severity: "fault", Title: "T"}}}}, nil
		})
		e := f.register(endpointURL)
		f.pass(0)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 1, "nobody else's webhook")
		require.Equal(t, hookURL, m.got[0].url)
		require.Equal(t, strconv.FormatInt(f.clock.Now().Unix(), 10), m.got[0].header["webhook-timestamp"])
		require.Equal(t, "application/json", m.got[0].header["Content-Type"])
		requireSigned(t, m.got[0], w.SecretText())
		var body struct {
			Type      string
			Timestamp time.Time
			Data      struct {
				App, Endpoint, URL, Check, Summary string
				Alerts                             []string
				Findings                           []ca.CheckFinding
			}
		}
		require.NoError(t, json.Unmarshal(m.got[0].body, &body))
		require.Equal(t, "endpoint.open", body.Type)
		require.Equal(t, e.ID, body.Data.Endpoint)
		require.Equal(t, endpointURL, body.Data.URL)
		require.Equal(t, []string{"open"}, body.Data.Alerts)
		require.Equal(t, "not_required", body.Data.Findings[0].Code)

		f.pass(24 * time.Hour)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 1, "what goes on is told once")
		d.answer(nil)
		f.pass(24 * time.Hour)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 2)
		require.Contains(t, string(m.got[1].body), `"type":"endpoint.recovered"`)
	})
}

func TestWebhookIsTriedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _, m, w := tellingFixture(t, url)
		attempts := 0
		f.webhooks.Observe = func(delivered bool) { attempts++ }
		f.load(f.store)
		m.fail = errors.New("HTTP 503")
		require.NoError(t, f.TestWebhook(t.Context(), developer, "demo", w.ID))
		since := f.clock.Now()
		require.NoError(t, f.DeliverDue(t.Context()))
		list, err := f.ListWebhooks(t.Context(), auditor, "demo")
		require.NoError(t, err)
		require.Equal(t, "HTTP 503", list[0].Failure)
		require.Equal(t, since, list[0].FailingSince)

		f.clock.advance(4 * time.Second)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 1, "not at once")
		f.clock.advance(2 * time.Second)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 2)
		require.Equal(t, m.got[0].header["webhook-id"], m.got[1].header["webhook-id"], "so that a receiver knows it again")
		require.NotEqual(t, m.got[0].header["webhook-timestamp"], m.got[1].header["webhook-timestamp"])

		m.fail = nil
		f.clock.advance(time.Hour)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 3)
		f.clock.advance(48 * time.Hour)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 3)
		list, err = f.ListWebhooks(t.Context(), developer, "demo")
		require.NoError(t, err)
		require.Empty(t, list[0].Failure)
		require.NotZero(t, list[0].DeliveredAt)

		m.fail = errors.New("HTTP 500")
		require.NoError(t, f.TestWebhook(t.Context(), operator, "demo", w.ID))
		given := 0
		for range 20 {
			for _, e := range f.events(func() { require.NoError(t, f.DeliverDue(t.Context())) }) {
				if e.Action == ca.ActGiveUp {
					given++
				}
			}
			f.clock.advance(30 * time.Hour)
		}
		require.Equal(t, 1, given, "it is given up, and that is an event")
		require.Len(t, m.got, 3+10)
		require.Equal(t, len(m.got), attempts)
	})
}

func TestWebhookSecretsRotate(t *testing.T) {
	judge.Need(t, "openssl")
	f, _, m, w := tellingFixture(t, databases["sqlite"](t))
	fresh, err := f.RotateWebhook(t.Context(), developer, "demo", w.ID)
	require.NoError(t, err)
	require.NotEqual(t, w.SecretText(), fresh.SecretText())
	send := func() message {
		require.NoError(t, f.TestWebhook(t.Context(), developer, "demo", w.ID))
		require.NoError(t, f.DeliverDue(t.Context()))
		return m.got[len(m.got)-1]
	}
	requireSigned(t, send(), fresh.SecretText(), w.SecretText())
	f.clock.advance(24 * time.Hour)
	requireSigned(t, send(), fresh.SecretText())
	for _, e := range f.events(func() { _, _ = f.RotateWebhook(t.Context(), developer, "demo", w.ID) }) {
		require.NotContains(t, e.Detail, "secret")
	}
}

// A message whose process died is delivered by another.
func TestDeliverySurvivesItsProcess(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f, _, m, w := tellingFixture(t, url)
		require.NoError(t, f.TestWebhook(t.Context(), developer, "demo", w.ID))
		due, err := f.store.DueDeliveries(t.Context(), f.clock.Now(), 10)
		require.NoError(t, err)
		require.NoError(t, f.store.LeaseDelivery(t.Context(), due[0], f.clock.Now().Add(time.Minute)))
		f.open()
		f.load(f.store)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Empty(t, m.got)
		f.clock.advance(time.Minute)
		require.NoError(t, f.DeliverDue(t.Context()))
		require.Len(t, m.got, 1)
	})
}

func TestWebhooksAreTheApps(t *testing.T) {
	f, _, m, w := tellingFixture(t, databases["sqlite"](t))
	_, err := f.CreateWebhook(t.Context(), stranger, "demo", hookURL)
	refusal(t, err, ca.KindNotFound)
	_, err = f.ListWebhooks(t.Context(), stranger, "demo")
	refusal(t, err, ca.KindNotFound)
	for _, app := range []string{"demo", "other"} {
		refusal(t, f.TestWebhook(t.Context(), stranger, app, w.ID), ca.KindNotFound)
		refusal(t, f.RemoveWebhook(t.Context(), stranger, app, w.ID), ca.KindNotFound)
		_, err = f.RotateWebhook(t.Context(), stranger, app, w.ID)
		refusal(t, err, ca.KindNotFound)
	}
	refusal(t, f.TestWebhook(t.Context(), auditor, "demo", w.ID), ca.KindForbidden)
	_, err = f.CreateWebhook(t.Context(), operator, "none", hookURL)
	refusal(t, err, ca.KindInvalid)
	for _, bad := range []string{"", "http://hooks.example.com/", "https://", "https://u:p@hooks.example.com/", "https://hooks.example.com:22/", "https://hooks.example.com/#a",
		"https://*.example.com/", "https://hooks.example.com:99999/", "https://hooks.example.com/" + strings.Repeat("a", 1000), "hooks.example.com", "https://a b/"} {
		_, err := f.CreateWebhook(t.Context(), developer, "demo", bad)
		require.Equal(t, "/url", refusal(t, err, ca.KindInvalid).Field, bad)
	}
	for range 9 {
		_, err := f.CreateWebhook(t.Context(), developer, "demo", hookURL)
		require.NoError(t, err)
	}
	_, err = f.CreateWebhook(t.Context(), developer, "demo", hookURL)
	refusal(t, err, ca.KindConflict)

	require.NoError(t, f.TestWebhook(t.Context(), developer, "demo", w.ID))
	require.NoError(t, f.RemoveWebhook(t.Context(), developer, "demo", w.ID))
	require.NoError(t, f.DeliverDue(t.Context()))
	require.Empty(t, m.got)
	refusal(t, f.RemoveWebhook(t.Context(), developer, "demo", w.ID), ca.KindNotFound)
}
