package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var domainTests = map[string]func(*testing.T, *suite){
	"a claim comes back":                claimComesBack,
	"a claim is made once":              claimOnce,
	"open claims are counted":           openClaims,
	"one app holds a name":              oneHolder,
	"a change is whole or not at all":   wholeChange,
	"claims on many names":              claimsOnNames,
	"lists of claims go by the name":    claimsListed,
	"what is due is leased once":        dueClaims,
	"one name, many at once":            raceForName,
	"the last open claim, many":         raceForSlots,
	"a quota is used up and refilled":   quotaRefills,
	"quotas are taken all or none":      quotasTogether,
	"the last of a quota, many at once": raceForQuota,
}

// NewDomain is a pending claim of an app.
func NewDomain(app, name string) ca.Domain {
	n, err := pki.ParseName(name)
	if err != nil {
		panic(err)
	}
	return ca.Domain{
		Name: n, App: app, State: ca.DomainPending, Method: ca.MethodHTTP, Token: fmt.Sprintf("%x", random(16)), ChallengeUntil: Epoch.Add(time.Hour),
		CreatedAt: Epoch, CreatedBy: "ci of " + app,
	}
}

// claim makes claims, and returns them as they are stored.
func (s *suite) claim(claims ...ca.Domain) []ca.Domain {
	s.Helper()
	for i := range claims {
		s.must(s.CreateDomain(s.Context(), claims[i], 100, NewAct(Epoch)))
		claims[i].Version = 1
	}
	return claims
}

func holding(d ca.Domain) ca.Domain {
	d.State, d.Holds = ca.DomainValid, true
	return d
}

func claimComesBack(t *testing.T, s *suite) {
	bare := s.claim(NewDomain("alpha", "2001:db8::7"))[0]
	full := s.claim(NewDomain("alpha", "www.example.com"))[0]
	full = ca.Domain{
		Name: full.Name, App: "alpha", State: ca.DomainSuspended, Holds: true, Wildcard: true, Method: ca.MethodDNS, Token: "T", ChallengeUntil: Epoch,
		ProvenBy: ca.MethodStanding, Lasting: true, ProvenAt: Epoch.Add(1 * time.Microsecond), ExpiresAt: Epoch.Add(2 * time.Microsecond),
		CheckedAt: Epoch.Add(3 * time.Microsecond), Failure: "ünreachable ' \x00", FailingSince: Epoch.Add(4 * time.Microsecond), DueAt: Epoch.Add(5 * time.Microsecond),
		Flag: "looks like \"x\"", DecidedAt: Epoch.Add(6 * time.Microsecond), DecidedBy: "olga", Decision: "well; known", CreatedAt: Epoch, CreatedBy: "dev", Version: 1,
	}
	before := s.events()
	s.must(s.ChangeDomains(t.Context(), nil, []ca.Domain{full}, NewAct(Epoch)))
	require.Equal(t, before+1, s.events())
	full.Version, full.Failure = 2, "ünreachable ' \uFFFD"
	for _, want := range []ca.Domain{bare, full} {
		got, err := s.Domain(t.Context(), "alpha", want.Name)
		s.must(err)
		require.Equal(t, want, got)
	}
	for _, app := range []string{"beta", "none", "", "\x00"} {
		_, err := s.Domain(t.Context(), app, full.Name)
		require.ErrorIs(t, err, ca.ErrNotFound)
	}
}

func claimOnce(t *testing.T, s *suite) {
	first := s.claim(NewDomain("alpha", "www.example.com"))[0]
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateDomain(t.Context(), NewDomain("alpha", "www.example.com"), 100, NewAct(Epoch)), ca.ErrExists)
	})
	got, err := s.Domain(t.Context(), "alpha", first.Name)
	s.must(err)
	require.Equal(t, first, got)
	s.claim(NewDomain("beta", "www.example.com"))
}

func openClaims(t *testing.T, s *suite) {
	claims := s.claim(NewDomain("alpha", "a.example"), NewDomain("alpha", "b.example"), NewDomain("beta", "c.example"))
	another := func() error { return s.CreateDomain(t.Context(), NewDomain("alpha", "d.example"), 2, NewAct(Epoch)) }
	s.unchanged(func() { require.ErrorIs(t, another(), ca.ErrFull) })
	s.must(s.ChangeDomains(t.Context(), nil, []ca.Domain{holding(claims[0])}, NewAct(Epoch)))
	s.must(another())
	rejected := claims[1]
	rejected.State = ca.DomainRejected
	require.ErrorIs(t, s.CreateDomain(t.Context(), NewDomain("alpha", "e.example"), 2, NewAct(Epoch)), ca.ErrFull)
	s.must(s.ChangeDomains(t.Context(), nil, []ca.Domain{rejected}, NewAct(Epoch)))
	s.must(s.CreateDomain(t.Context(), NewDomain("alpha", "e.example"), 2, NewAct(Epoch)))
}

func oneHolder(t *testing.T, s *suite) {
	claims := s.claim(NewDomain("alpha", "www.example.com"), NewDomain("beta", "www.example.com"))
	s.must(s.ChangeDomains(t.Context(), nil, []ca.Domain{holding(claims[0])}, NewAct(Epoch)))
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeDomains(t.Context(), nil, []ca.Domain{holding(claims[1])}, NewAct(Epoch)), ca.ErrExists)
	})
	claims[0].Version = 2
	// In one change the name passes from one to the other, whatever the order.
	s.must(s.ChangeDomains(t.Context(), nil, []ca.Domain{holding(claims[1]), claims[0]}, NewAct(Epoch)))
	got, err := s.Domain(t.Context(), "beta", claims[1].Name)
	s.must(err)
	require.True(t, got.Holds)
	fresh := holding(NewDomain("alpha", "new.example"))
	s.must(s.ChangeDomains(t.Context(), []ca.Domain{got}, []ca.Domain{fresh}, NewAct(Epoch)))
	_, err = s.Domain(t.Context(), "beta", claims[1].Name)
	require.ErrorIs(t, err, ca.ErrNotFound)
	fresh.Version = 1
	got, err = s.Domain(t.Context(), "alpha", fresh.Name)
	s.must(err)
	require.Equal(t, fresh, got)
}

func wholeChange(t *testing.T, s *suite) {
	claims := s.claim(NewDomain("alpha", "a.example"), NewDomain("alpha", "b.example"))
	stale := claims[1]
	stale.Version = 7
	changed := claims[0]
	changed.Failure = "x"
	s.unchanged(func() {
		require.ErrorIs(t, s.ChangeDomains(t.Context(), nil, []ca.Domain{changed, stale}, NewAct(Epoch)), ca.ErrChanged)
		require.ErrorIs(t, s.ChangeDomains(t.Context(), []ca.Domain{claims[0], stale}, nil, NewAct(Epoch)), ca.ErrChanged)
	})
	got, err := s.Domain(t.Context(), "alpha", claims[0].Name)
	s.must(err)
	require.Equal(t, claims[0], got)
}

func claimsOnNames(t *testing.T, s *suite) {
	claims := s.claim(NewDomain("alpha", "a.example"), NewDomain("beta", "a.example"), NewDomain("alpha", "b.example"), NewDomain("alpha", "www.a.example"))
	got, err := s.Domains(t.Context(), []pki.Name{claims[0].Name, claims[2].Name, NewDomain("alpha", "none.example").Name})
	s.must(err)
	require.ElementsMatch(t, claims[:3], got)
	got, err = s.Domains(t.Context(), nil)
	s.must(err)
	require.Empty(t, got)
}

func claimsListed(t *testing.T, s *suite) {
	names := []string{"example.com", "a.example.com", "z.a.example.com", "b.example.com", "examplea.com", "example.net", "203.0.113.7"}
	for _, app := range []string{"beta", "alpha"} {
		for _, name := range names {
			s.claim(NewDomain(app, name))
		}
	}
	for what, test := range map[string]struct {
		q    ca.DomainQuery
		want int
	}{
		"all":    {ca.DomainQuery{}, 14},
		"app":    {ca.DomainQuery{App: "alpha"}, 7},
		"suffix": {ca.DomainQuery{Suffix: "example.com"}, 8},
		"both":   {ca.DomainQuery{Suffix: "a.example.com", App: "beta"}, 2},
		"name":   {ca.DomainQuery{Name: NewDomain("alpha", "example.com").Name}, 2},
		"state":  {ca.DomainQuery{State: ca.DomainPending}, 14},
		"none":   {ca.DomainQuery{State: ca.DomainValid}, 0},
	} {
		for _, limit := range []int{1, 3, 14, 100} {
			test.q.Beyond, test.q.Limit = ca.DomainCursor{}, limit
			var listed []string
			for {
				page, err := s.ListDomains(t.Context(), test.q)
				s.must(err)
				if len(page) == 0 {
					break
				}
				require.LessOrEqual(t, len(page), limit)
				for _, d := range page {
					listed = append(listed, d.Name.Reversed()+"."+" "+d.App)
				}
				test.q.Beyond = ca.DomainCursor{Name: page[len(page)-1].Name, App: page[len(page)-1].App}
			}
			require.Len(t, listed, test.want, what)
			require.Len(t, slices.Compact(slices.Clone(listed)), test.want, what)
		}
	}
}

func dueClaims(t *testing.T, s *suite) {
	var claims []ca.Domain
	for i, name := range []string{"c.example", "a.example", "b.example"} {
		d := NewDomain("alpha", name)
		d.DueAt = Epoch.Add(time.Duration(i) * time.Minute)
		claims = append(claims, d)
	}
	s.claim(claims...)
	s.claim(NewDomain("alpha", "never.example"))
	due, err := s.DueDomains(t.Context(), Epoch.Add(time.Minute), 10)
	s.must(err)
	require.Equal(t, claims[:2], due)
	due, err = s.DueDomains(t.Context(), Epoch.Add(time.Hour), 1)
	s.must(err)
	require.Equal(t, claims[:1], due)
	stores := s.two()
	exactlyOne(t, together(20, func(i int) error {
		return stores[i%2].LeaseDomain(t.Context(), claims[0], Epoch.Add(time.Hour))
	}), ca.ErrChanged)
	leased, err := s.Domain(t.Context(), "alpha", claims[0].Name)
	s.must(err)
	claims[0].DueAt = Epoch.Add(time.Hour)
	require.Equal(t, claims[0], leased, "nothing else has changed")
}

func raceForName(t *testing.T, s *suite) {
	stores := s.two()
	var claims []ca.Domain
	for i := range 10 {
		app := fmt.Sprintf("app-%d", i)
		s.must(s.CreateApp(t.Context(), NewApp(app), NewAct(Epoch)))
		claims = append(claims, s.claim(NewDomain(app, "www.example.com"))...)
	}
	exactlyOne(t, together(len(claims), func(i int) error {
		return stores[i%2].ChangeDomains(t.Context(), nil, []ca.Domain{holding(claims[i])}, NewAct(Epoch))
	}), ca.ErrExists)
}

func raceForSlots(t *testing.T, s *suite) {
	stores := s.two()
	var made int
	for _, err := range together(12, func(i int) error {
		return stores[i%2].CreateDomain(t.Context(), NewDomain("alpha", fmt.Sprintf("n%d.example", i)), 3, NewAct(Epoch))
	}) {
		if err == nil {
			made++
		} else {
			require.ErrorIs(t, err, ca.ErrFull)
		}
	}
	require.Equal(t, 3, made)
}

func quotaRefills(t *testing.T, s *suite) {
	q := []ca.Quota{{Scope: "q", Most: 4, Per: time.Hour}}
	take := func(at time.Time) time.Duration {
		_, wait, err := s.TakeQuota(t.Context(), q, at)
		s.must(err)
		return wait
	}
	for range 4 {
		require.Zero(t, take(Epoch))
	}
	require.Equal(t, 15*time.Minute, take(Epoch))
	require.Equal(t, 5*time.Minute, take(Epoch.Add(10*time.Minute)))
	require.Zero(t, take(Epoch.Add(15*time.Minute)))
	require.Equal(t, 15*time.Minute, take(Epoch.Add(15*time.Minute)))
	s.must(s.GiveBackQuota(t.Context(), q))
	require.Zero(t, take(Epoch.Add(15*time.Minute)))
	for range 4 {
		require.Zero(t, take(Epoch.Add(24*time.Hour)), "a pause fills it, and no more than that")
	}
	require.NotZero(t, take(Epoch.Add(24*time.Hour)))
	s.must(s.ForgetQuotas(t.Context(), Epoch.Add(24*time.Hour)))
	require.NotZero(t, take(Epoch.Add(24*time.Hour)), "what is in use is not forgotten")
	s.must(s.ForgetQuotas(t.Context(), Epoch.Add(48*time.Hour)))
	require.Zero(t, take(Epoch.Add(24*time.Hour)))
}

func quotasTogether(t *testing.T, s *suite) {
	wide, narrow := ca.Quota{Scope: "a", Most: 3, Per: time.Hour}, ca.Quota{Scope: "b", Most: 1, Per: time.Hour}
	take := func(quotas ...ca.Quota) (int, time.Duration) {
		full, wait, err := s.TakeQuota(t.Context(), quotas, Epoch)
		s.must(err)
		return full, wait
	}
	_, wait := take(narrow, wide)
	require.Zero(t, wait)
	for range 5 {
		full, wait := take(wide, narrow)
		require.Equal(t, 1, full)
		require.Equal(t, time.Hour, wait)
	}
	for range 2 {
		_, wait := take(wide)
		require.Zero(t, wait, "what was refused has counted against nothing")
	}
	_, wait = take(wide)
	require.NotZero(t, wait)
}

func raceForQuota(t *testing.T, s *suite) {
	stores := s.two()
	q := []ca.Quota{{Scope: "b", Most: 5, Per: time.Hour}, {Scope: "a", Most: 100, Per: time.Hour}}
	waits := make([]time.Duration, 30)
	for _, err := range together(30, func(i int) (err error) {
		_, waits[i], err = stores[i%2].TakeQuota(t.Context(), q, Epoch)
		return err
	}) {
		s.must(err)
	}
	taken := 0
	for _, w := range waits {
		if w == 0 {
			taken++
		}
	}
	require.Equal(t, 5, taken)
}
