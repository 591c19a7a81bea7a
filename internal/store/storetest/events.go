package storetest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var eventTests = map[string]func(*testing.T, *suite){
	"an event comes back":                eventComesBack,
	"what strangers send can be written": hostileEvent,
	"filters and pages":                  eventFilters,
}

func eventComesBack(t *testing.T, s *suite) {
	for i, spoil := range []func(*ca.Event){
		func(*ca.Event) {},
		func(e *ca.Event) { e.App, e.Token, e.Detail = "", "", nil },
		func(e *ca.Event) { e.Detail = map[string]string{"": "", "a": "\"\\\n ü 😀 </script>"} },
		func(e *ca.Event) { e.Object, e.Actor = strings.Repeat("x", 300), "' OR 1=1 --" },
	} {
		e := NewEvent(Epoch.Add(time.Duration(i+1)*time.Second), ca.ActIssueServer)
		spoil(&e)
		s.must(s.RecordEvent(t.Context(), e))
		got, err := s.ListEvents(t.Context(), ca.EventQuery{Limit: 1})
		s.must(err)
		require.Equal(t, []ca.Event{e}, got)
	}
}

// hostileEvent: a refusal tells what was asked, and what was asked need not be text. If it could not be written, the answer would be a fault.
func hostileEvent(t *testing.T, s *suite) {
	for i, text := range []string{"\x00", "a\x00b", "\xff\xfe", "\xed\xa0\x80", "ok"} {
		e := NewEvent(Epoch.Add(time.Duration(i+1)*time.Second), ca.ActReadApp)
		e.Object, e.App, e.Actor, e.Address, e.RequestID, e.Token = text, text, text, text, text, text
		e.Detail = map[string]string{"path": text}
		s.must(s.RecordEvent(t.Context(), e))
		got, err := s.ListEvents(t.Context(), ca.EventQuery{Object: text, App: text, Actor: text, Limit: 1})
		s.must(err)
		require.Len(t, got, 1, "%q", text)
		require.True(t, utf8.ValidString(got[0].Object))
		require.Equal(t, e.ID, got[0].ID)
	}
}

func eventFilters(t *testing.T, s *suite) {
	pick := func(i int, of ...string) string { return of[i%len(of)] }
	var all []ca.Event
	for i := range 120 {
		e := NewEvent(Epoch.Add(time.Duration(i/3)*time.Millisecond+time.Duration(i%2)*time.Microsecond), ca.Action(pick(i, "certificate.issue", "certificate.revoke", "app.read")))
		e.App, e.Actor, e.Object = pick(i/2, "", "alpha", "beta"), pick(i/3, "dev", "olga"), pick(i/5, "o1", "o2", "o3")
		if i%4 == 0 {
			e.Outcome = ca.OutcomeRefused
		}
		s.must(s.RecordEvent(t.Context(), e))
		all = append(all, e)
	}
	setup, err := s.ListEvents(t.Context(), ca.EventQuery{Object: "thing", Limit: 100})
	s.must(err)
	all = append(all, setup...)
	slices.SortFunc(all, func(a, b ca.Event) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	require.True(t, slices.IsSortedFunc(all, func(a, b ca.Event) int { return b.At.Compare(a.At) }), "the order of IDs is that of time")

	for _, q := range []ca.EventQuery{
		{}, {App: "alpha"}, {Actor: "olga"}, {Object: "o2"}, {Action: "app.read"}, {Outcome: ca.OutcomeRefused}, {Outcome: ca.OutcomeDone},
		{After: Epoch.Add(10 * time.Millisecond)}, {Before: Epoch.Add(10 * time.Millisecond)},
		{After: Epoch.Add(5*time.Millisecond + time.Microsecond), Before: Epoch.Add(9*time.Millisecond + time.Microsecond)},
		{App: "beta", Action: "certificate.issue"}, {App: "alpha", Outcome: ca.OutcomeRefused}, {Actor: "dev", Object: "o1"},
		{App: "beta", Actor: "dev", Object: "o3", Action: "certificate.revoke", Outcome: ca.OutcomeDone, After: Epoch}, {App: "none"},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(e ca.Event) bool {
			return q.App != "" && e.App != q.App || q.Actor != "" && e.Actor != q.Actor || q.Object != "" && e.Object != q.Object ||
				q.Action != "" && e.Action != q.Action || q.Outcome != "" && e.Outcome != q.Outcome ||
				!q.After.IsZero() && e.At.Before(q.After) || !q.Before.IsZero() && !e.At.Before(q.Before)
		})
		for _, q.Limit = range []int{1, 7, 1000} {
			var listed []ca.Event
			for q.Beyond = (uuid.UUID{}); ; {
				page, err := s.ListEvents(t.Context(), q)
				s.must(err)
				require.LessOrEqual(t, len(page), q.Limit)
				if len(page) == 0 {
					break
				}
				listed = append(listed, page...)
				q.Beyond = page[len(page)-1].ID
			}
			require.Equal(t, len(want), len(listed), "%+v", q)
			for i := range want {
				require.Equal(t, want[i], listed[i], "%+v", q)
			}
		}
	}
}
