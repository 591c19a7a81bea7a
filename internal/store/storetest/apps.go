package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var appTests = map[string]func(*testing.T, *suite){
	"an app comes back":             appComesBack,
	"there is none":                 noApp,
	"an ID is taken once":           appOnce,
	"a change needs the version":    appVersion,
	"lists go by bytes":             appsByBytes,
	"an answer is the caller's own": appMemory,
}

func appComesBack(t *testing.T, s *suite) {
	allowed := make([]string, 1000)
	for i := range allowed {
		allowed[i] = fmt.Sprintf(".host%d.example.com", i)
	}
	for _, a := range []ca.App{
		{ID: "bare", Name: "bare", Policy: ca.PolicyOpen, CreatedAt: Epoch, Version: 1},
		{ID: "full", Name: "Ünïcode ✓ 'quoted' \"name\"", Policy: ca.PolicyList, Allowed: allowed, Suspended: true, CreatedAt: Epoch, Version: 7,
			Quotas: map[string]int{"certificates_per_week": 0, "proofs_per_hour": 1_000_000_000}},
	} {
		s.must(s.CreateApp(t.Context(), a, NewAct(Epoch)))
		got, err := s.App(t.Context(), a.ID)
		s.must(err)
		require.Equal(t, a, got)
	}
}

func noApp(t *testing.T, s *suite) {
	for _, id := range []string{"none", "", "\x00", "\xff", "ALPHA", "alpha ", "' OR 1=1 --"} {
		_, err := s.App(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound, "%q", id)
	}
	s.unchanged(func() { require.ErrorIs(t, s.ChangeApp(t.Context(), NewApp("none"), NewAct(Epoch)), ca.ErrChanged) })
}

func appOnce(t *testing.T, s *suite) {
	other := NewApp("alpha")
	other.Name = "Another"
	s.unchanged(func() { require.ErrorIs(t, s.CreateApp(t.Context(), other, NewAct(Epoch)), ca.ErrExists) })
	got, err := s.App(t.Context(), "alpha")
	s.must(err)
	require.Equal(t, NewApp("alpha"), got)
}

func appVersion(t *testing.T, s *suite) {
	changed := ca.App{ID: "alpha", Name: "New", Policy: ca.PolicyList, Allowed: []string{"a.example"}, Suspended: true, CreatedAt: Epoch.Add(time.Hour), Version: 1,
		Quotas: map[string]int{"open_claims": 7}}
	s.must(s.ChangeApp(t.Context(), changed, NewAct(Epoch)))
	want := changed
	want.Version, want.CreatedAt = 2, Epoch // the creation stays
	got, err := s.App(t.Context(), "alpha")
	s.must(err)
	require.Equal(t, want, got)

	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeApp(t.Context(), changed, NewAct(Epoch)), ca.ErrChanged, "its version is 2 now")
	})
	changed.Version, changed.Allowed, changed.Quotas = 2, nil, nil
	s.must(s.ChangeApp(t.Context(), changed, NewAct(Epoch)))
	got, err = s.App(t.Context(), "alpha")
	s.must(err)
	require.Empty(t, got.Allowed)
	require.Empty(t, got.Quotas)
	require.Equal(t, 3, got.Version)
}

func appsByBytes(t *testing.T, s *suite) {
	ids := []string{"alpha", "beta", "a", "a-b", "a0", "ab", "a-0", "b", "z9", "0", "9-z"}
	for _, id := range ids[2:] {
		s.must(s.CreateApp(t.Context(), NewApp(id), NewAct(Epoch)))
	}
	slices.Sort(ids)
	for _, limit := range []int{1, 3, len(ids), 100} {
		var listed []string
		for after := ""; ; {
			page, err := s.ListApps(t.Context(), after, limit)
			s.must(err)
			require.LessOrEqual(t, len(page), limit)
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				listed = append(listed, a.ID)
			}
			after = page[len(page)-1].ID
		}
		require.Equal(t, ids, listed)
	}
}

// appMemory: callers who ask at the same time may be answered by one query.
func appMemory(t *testing.T, s *suite) {
	a := NewApp("gamma")
	a.Allowed, a.Quotas = []string{"a.example", "b.example"}, map[string]int{"open_claims": 7}
	s.must(s.CreateApp(t.Context(), a, NewAct(Epoch)))
	for _, err := range together(32, func(int) error {
		got, err := s.App(t.Context(), "gamma")
		if err == nil && !(slices.Equal(got.Allowed, a.Allowed) && maps.Equal(got.Quotas, a.Quotas)) {
			err = fmt.Errorf("someone else's change is seen: %v %v", got.Allowed, got.Quotas)
		}
		if err == nil {
			got.Allowed[0], got.Quotas["open_claims"] = "changed.example", 8
		}
		return err
	}) {
		require.NoError(t, err)
	}
}
