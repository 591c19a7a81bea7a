package web_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

func TestLimitPerAddress(t *testing.T) {
	d := newDoor(t, web.Config{Limits: web.Limits{Address: web.Rate{PerSecond: 2, Burst: 3}}})
	ask := func(from string) int { return d.get("/open", "From", from).Code }

	for range 3 {
		require.Equal(t, 200, ask("192.0.2.1:1000"))
	}
	w := d.get("/open", "From", "192.0.2.1:2000")
	problem(t, w, ca.KindRateLimited)
	require.Equal(t, "1", w.Header().Get("Retry-After"), "half a second, rounded up")
	require.Equal(t, 200, ask("192.0.2.2:1000"), "somebody else is not concerned")

	d.pass(500 * time.Millisecond)
	require.Equal(t, 200, ask("192.0.2.1:1000"), "the steady rate")
	require.Equal(t, 429, ask("192.0.2.1:1000"))
	d.pass(time.Hour)
	for range 3 {
		require.Equal(t, 200, ask("192.0.2.1:1000"))
	}
	require.Equal(t, 429, ask("192.0.2.1:1000"), "a long pause saves up no more than the burst")

	for i := range 3 {
		require.Equal(t, 200, ask(fmt.Sprintf("[2001:db8:1:2::%x]:1000", i)))
	}
	require.Equal(t, 429, ask("[2001:db8:1:2:ffff::1]:1000"), "one host has a whole /64")
	require.Equal(t, 200, ask("[2001:db8:1:3::1]:1000"))
}

func TestNoLimit(t *testing.T) {
	d := newDoor(t, web.Config{Limits: web.Limits{Address: web.Rate{PerSecond: -1}, Token: web.Rate{PerSecond: -1}}})
	for range 5000 {
		require.Equal(t, 200, d.get("/mine", "Authorization", "Bearer imca_good").Code)
	}
	d.pass(-time.Millisecond)
	require.Equal(t, 200, d.get("/mine", "Authorization", "Bearer imca_good").Code, "a request that was overtaken by one with a later clock")
}

func TestLimitPerToken(t *testing.T) {
	d := newDoor(t, web.Config{Limits: web.Limits{Token: web.Rate{PerSecond: 1, Burst: 2}}})
	ask := func(token, from string) int {
		return d.get("/mine", "Authorization", "Bearer "+token, "From", from).Code
	}
	require.Equal(t, 200, ask("imca_good", "192.0.2.1:1"))
	require.Equal(t, 200, ask("imca_good", "192.0.2.2:1"))
	before := d.lookups
	require.Equal(t, 429, ask("imca_good", "192.0.2.3:1"), "from wherever it comes")
	require.Equal(t, before, d.lookups, "and it costs no look-up")
	require.Equal(t, 200, ask("imca_other", "192.0.2.1:1"))
}

func TestGuessesAreLimitedBeforeTheLookUp(t *testing.T) {
	d := newDoor(t, web.Config{Limits: web.Limits{Failures: web.Rate{PerSecond: 0.1, Burst: 5}}})
	guess := func(i int) int {
		return d.get("/mine", "Authorization", "Bearer imca_guess"+strconv.Itoa(i), "From", "192.0.2.1:1").Code
	}
	neighbour := func(token string) int {
		return d.get("/mine", "Authorization", "Bearer "+token, "From", "192.0.2.1:2").Code
	}
	require.Equal(t, 200, neighbour("imca_good"))
	for i := range 5 {
		require.Equal(t, 401, guess(i))
	}
	before := d.lookups
	for i := range 100 {
		require.Equal(t, 429, guess(i))
	}
	require.Equal(t, 429, d.get("/mine", "From", "192.0.2.1:1").Code, "no token at all counts too")
	require.Equal(t, before, d.lookups)

	require.Equal(t, 200, neighbour("imca_good"), "who showed a good token before shares the address and goes on")
	require.Equal(t, 200, d.get("/open", "From", "192.0.2.1:1").Code)
	require.Equal(t, 429, neighbour("imca_other"), "who did not waits")
	d.pass(10 * time.Second)
	require.Equal(t, 200, neighbour("imca_other"))
	require.Equal(t, 401, guess(0), "a good token was not charged")
}

// After a start no token is known yet, and many clients may share an address.
func TestFirstRequestsAreNoGuesses(t *testing.T) {
	const clients = 50
	var arrived, served sync.WaitGroup
	arrived.Add(clients)
	f := web.New(web.Config{
		Limits: web.Limits{Failures: web.Rate{PerSecond: 0.1, Burst: 5}},
		Authenticate: func(context.Context, string, string, string) (ca.Principal, error) {
			arrived.Done()
			arrived.Wait() // all are under way at once
			return ca.Principal{Name: "good", Role: ca.RoleAuditor}, nil
		},
	})
	var refused atomic.Int64
	for range clients {
		served.Go(func() {
			if _, err := f.Principal(httptest.NewRequest("GET", "/", nil)); err != nil {
				refused.Add(1)
				arrived.Done()
			}
		})
	}
	served.Wait()
	require.Zero(t, refused.Load())
}

func TestRevokedTokenIsAGuess(t *testing.T) {
	d := newDoor(t, web.Config{Limits: web.Limits{Failures: web.Rate{PerSecond: 0.1, Burst: 3}}})
	ask := func() int { return d.get("/mine", "Authorization", "Bearer imca_good").Code }
	require.Equal(t, 200, ask())
	delete(d.tokens, "imca_good")
	codes := map[int]int{}
	for range 10 {
		codes[ask()]++
	}
	require.Equal(t, map[int]int{401: 4, 429: 6}, codes, "remembered once, then on the address's account")
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	d := newDoor(t, web.Config{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	addr := netip.MustParseAddr("2001:db8::")
	for i := range 100_000 {
		b := addr.As16()
		b[5], b[6], b[7] = byte(i>>16), byte(i>>8), byte(i)
		d.get("/open", "From", netip.AddrPortFrom(netip.AddrFrom16(b), 1).String())
	}
	d.log.b = bytes.Buffer{} // what the log took is not what is measured
	require.Less(t, heap()-min(before, heap()), uint64(40<<20))
	require.Equal(t, http.StatusOK, d.get("/open").Code)
}

func TestAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:f::/48")}
	for _, c := range []struct {
		name, from string
		forwarded  []string
		trusted    []netip.Prefix
		want       string
	}{
		{"no proxy", "192.0.2.1:99", nil, nil, "192.0.2.1"},
		{"spoofed", "192.0.2.1:99", []string{"203.0.113.7"}, nil, "192.0.2.1"},
		{"spoofed beside trusted proxies", "192.0.2.1:99", []string{"203.0.113.7"}, trusted, "192.0.2.1"},
		{"by a proxy", "10.0.0.1:99", []string{"203.0.113.7"}, trusted, "203.0.113.7"},
		{"spoofed before a proxy", "10.0.0.1:99", []string{"198.51.100.1, 203.0.113.7"}, trusted, "203.0.113.7"},
		{"in several headers", "10.0.0.1:99", []string{"198.51.100.1", "203.0.113.7"}, trusted, "203.0.113.7"},
		{"by two proxies", "10.0.0.1:99", []string{"198.51.100.1, 203.0.113.7, 10.0.0.2"}, trusted, "203.0.113.7"},
		{"proxies only", "10.0.0.1:99", []string{"10.0.0.3, 10.0.0.2"}, trusted, "10.0.0.3"},
		{"rubbish", "10.0.0.1:99", []string{"203.0.113.7, <script>"}, trusted, "10.0.0.1"},
		{"nothing from the proxy", "10.0.0.1:99", nil, trusted, "10.0.0.1"},
		{"IPv6 by a proxy", "[2001:db8:f::1%eth0]:99", []string{"2001:db8::7"}, trusted, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:99", []string{"::ffff:203.0.113.7"}, trusted, "203.0.113.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDoor(t, web.Config{TrustedProxies: c.trusted})
			header := []string{"Authorization", "Bearer imca_good", "From", c.from, "X-Real-Ip", "8.8.8.8", "Forwarded", "for=8.8.8.8"}
			for _, f := range c.forwarded {
				header = append(header, "X-Forwarded-For", f)
			}
			require.Equal(t, "somebody from "+c.want, d.get("/mine", header...).Body.String())
			require.Contains(t, d.log.String(), `"address":"`+c.want+`"`)
		})
	}
}
