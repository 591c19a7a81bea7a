package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var webhookTests = map[string]func(*testing.T, *suite){
	"a webhook comes back":                 webhookComesBack,
	"webhooks of an app are counted":       webhooksCounted,
	"a webhook's secret is changed once":   webhookRotated,
	"a check's end is told all webhooks":   noticesQueued,
	"a delivery is taken up once":          deliveryLeased,
	"a delivery ends, or is put off, once": deliveryEnds,
}

// NewWebhook is a webhook of an app. Its ID is its number.
func NewWebhook(app string, number int) ca.Webhook {
	return ca.Webhook{
		ID: fmt.Sprintf("whk_%04d", number), App: app, URL: "https://hooks.example.com/?token=ü", CreatedAt: Epoch, CreatedBy: "ci of " + app,
		Secret: [32]byte(random(32)), Version: 1,
	}
}

// NewNotice is a message to an app.
func NewNotice(app string, at time.Time) ca.Notice {
	return ca.Notice{ID: fmt.Sprintf("msg_%x", random(16)), App: app, Type: "endpoint.open", At: at, Body: []byte(`{"a":"\u0000ü"}`)}
}

func (s *suite) webhooks(webhooks ...ca.Webhook) {
	s.Helper()
	for _, w := range webhooks {
		s.must(s.CreateWebhook(s.Context(), w, 10, NewAct(Epoch)))
	}
}

func (s *suite) due(at time.Time) []ca.Delivery {
	s.Helper()
	due, err := s.DueDeliveries(s.Context(), at, 100)
	s.must(err)
	return due
}

func webhookComesBack(t *testing.T, s *suite) {
	before := s.events()
	bare, full := NewWebhook("alpha", 1), NewWebhook("alpha", 2)
	full.OldSecret, full.OldUntil, full.DeliveredAt, full.FailingSince, full.Failure = [32]byte(random(32)), Epoch, Epoch.Add(1), Epoch.Add(time.Hour), "no\x00pe"
	full.DeliveredAt = Epoch.Add(time.Minute)
	s.webhooks(bare, full, NewWebhook("beta", 3))
	require.Equal(t, before+3, s.events())
	full.Failure = "no\uFFFDpe"
	for _, w := range []ca.Webhook{bare, full} {
		found, err := s.open(t).Webhook(t.Context(), w.ID)
		s.must(err)
		require.Equal(t, w, found)
	}
	list, err := s.ListWebhooks(t.Context(), "alpha")
	s.must(err)
	require.Equal(t, []ca.Webhook{bare, full}, list)
	s.must(s.QueueNotice(t.Context(), bare.ID, NewNotice("alpha", Epoch), NewAct(Epoch)))
	s.must(s.RemoveWebhook(t.Context(), bare.ID, NewAct(Epoch)))
	require.Empty(t, s.due(Epoch.Add(time.Hour)), "what was on its way went with it")
	for _, id := range []string{"", bare.ID, "\x00", "\xff"} {
		_, err := s.Webhook(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound)
		s.unchanged(func() {
			require.ErrorIs(t, s.RemoveWebhook(t.Context(), id, NewAct(Epoch)), ca.ErrNotFound)
			require.ErrorIs(t, s.QueueNotice(t.Context(), id, NewNotice("alpha", Epoch), NewAct(Epoch)), ca.ErrNotFound)
		})
	}
}

func webhooksCounted(t *testing.T, s *suite) {
	stores := s.two()
	full := 0
	for _, err := range together(8, func(i int) error {
		return stores[i%2].CreateWebhook(t.Context(), NewWebhook("alpha", i), 3, NewAct(Epoch))
	}) {
		if err != nil {
			require.ErrorIs(t, err, ca.ErrFull)
			full++
		}
	}
	require.Equal(t, 5, full)
	list, err := s.ListWebhooks(t.Context(), "alpha")
	s.must(err)
	s.must(s.RemoveWebhook(t.Context(), list[1].ID, NewAct(Epoch)))
	s.must(s.CreateWebhook(t.Context(), NewWebhook("alpha", 50), 3, NewAct(Epoch)))
}

func webhookRotated(t *testing.T, s *suite) {
	w := NewWebhook("alpha", 1)
	s.webhooks(w)
	w.OldSecret, w.OldUntil, w.Secret = w.Secret, Epoch.Add(time.Hour), [32]byte(random(32))
	stores := s.two()
	exactlyOne(t, together(10, func(i int) error { return stores[i%2].RotateWebhook(t.Context(), w, NewAct(Epoch)) }), ca.ErrChanged)
	w.Version = 2
	found, err := s.Webhook(t.Context(), w.ID)
	s.must(err)
	require.Equal(t, w, found)
}

func noticesQueued(t *testing.T, s *suite) {
	s.webhooks(NewWebhook("alpha", 1), NewWebhook("alpha", 2), NewWebhook("beta", 3))
	k := NewCheck("alpha", 1)
	s.check(k)
	k.State = ca.CheckDone
	first, second := NewNotice("alpha", Epoch), NewNotice("alpha", Epoch.Add(time.Second))
	s.must(s.FinishCheck(t.Context(), k, ca.CheckEnd{Notices: []ca.Notice{first, second}}, NewAct(Epoch)))
	require.ElementsMatch(t, []ca.Delivery{
		{Notice: first, Webhook: "whk_0001", DueAt: Epoch}, {Notice: first, Webhook: "whk_0002", DueAt: Epoch},
	}, s.due(Epoch))
	require.Len(t, s.due(Epoch.Add(time.Hour)), 4)
	require.ErrorIs(t, s.FinishCheck(t.Context(), k, ca.CheckEnd{Notices: []ca.Notice{NewNotice("alpha", Epoch)}}, NewAct(Epoch)), ca.ErrChanged)
	require.Len(t, s.due(Epoch.Add(time.Hour)), 4)
}

func deliveryLeased(t *testing.T, s *suite) {
	s.webhooks(NewWebhook("alpha", 1))
	n := NewNotice("alpha", Epoch)
	s.must(s.QueueNotice(t.Context(), "whk_0001", n, NewAct(Epoch)))
	require.Empty(t, s.due(Epoch.Add(-time.Second)))
	d := s.due(Epoch)[0]
	until := Epoch.Add(time.Minute)
	stores := s.two()
	exactlyOne(t, together(20, func(i int) error { return stores[i%2].LeaseDelivery(t.Context(), d, until) }), ca.ErrChanged)
	require.Empty(t, s.due(Epoch))
	d.DueAt, d.Tries = until, 1
	require.Equal(t, []ca.Delivery{d}, s.due(until))
}

func deliveryEnds(t *testing.T, s *suite) {
	s.webhooks(NewWebhook("alpha", 1))
	s.must(s.QueueNotice(t.Context(), "whk_0001", NewNotice("alpha", Epoch), NewAct(Epoch)))
	d := s.due(Epoch)[0]
	for i := range 2 {
		at := Epoch.Add(time.Duration(i+1) * time.Minute)
		s.must(s.EndDelivery(t.Context(), d, ca.Attempt{At: at, Failure: fmt.Sprint("no ", i), Next: at.Add(time.Second)}, nil))
		require.ErrorIs(t, s.EndDelivery(t.Context(), d, ca.Attempt{At: at}, nil), ca.ErrChanged)
		d = s.due(Epoch.Add(time.Hour))[0]
		require.Equal(t, at.Add(time.Second), d.DueAt)
		w, err := s.Webhook(t.Context(), d.Webhook)
		s.must(err)
		require.Equal(t, Epoch.Add(time.Minute), w.FailingSince, "since the first")
		require.Equal(t, fmt.Sprint("no ", i), w.Failure)
	}
	at := Epoch.Add(time.Hour)
	before := s.events()
	s.must(s.EndDelivery(t.Context(), d, ca.Attempt{At: at}, []ca.Event{NewEvent(at, ca.ActGiveUp)}))
	require.Equal(t, before+1, s.events())
	require.Empty(t, s.due(Epoch.Add(24*time.Hour)))
	w, err := s.Webhook(t.Context(), d.Webhook)
	s.must(err)
	require.Equal(t, at, w.DeliveredAt)
	require.Zero(t, w.FailingSince)
	require.Empty(t, w.Failure)
}
