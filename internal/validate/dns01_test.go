package validate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/judge"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func TestDNS01(t *testing.T) {
	value := DNS01Value(keyAuthorization)
	resolver := judge.Knot(t, map[string]string{
		"example.test": fmt.Sprintf(`
_acme-challenge          TXT   "%[1]s"
_acme-challenge.several  TXT   "google-site-verification=x"
_acme-challenge.several  TXT   "%[1]s"
_acme-challenge.split    TXT   "%[2]s" "%[3]s"
_acme-challenge.alias    CNAME alias.challenges.test.
_acme-challenge.*        TXT   "%[1]s"
_acme-challenge.wrong    TXT   "%[4]s"
_acme-challenge.hostile  TXT   "\027[31m\000\"<script>\255" "%[5]s"
_acme-challenge.hostile  TXT   "bbbbbbbbbbbbbbbbbbbb"
_acme-challenge.hostile  TXT   "cccccccccccccccccccc"
_acme-challenge.hostile  TXT   "dddddddddddddddddddd"
_acme-challenge.longer   TXT   "%[1]sx"
_acme-challenge.spaced   TXT   "%[1]s "
_acme-challenge.quoted   TXT   "\"%[1]s\""
_acme-challenge.address  A     127.0.10.1
_acme-challenge.hanging  CNAME nothing.challenges.test.
_acme-challenge.outside  CNAME outside.elsewhere.test.
%[6]s
`, value, value[:10], value[10:], DNS01Value("other"), strings.Repeat("x", 200), largeTXT("_acme-challenge.big", value)),
		"challenges.test": fmt.Sprintf("alias TXT %q\n", value),
	})
	v := validator(t, setup{resolver: resolver.Addr})

	for _, proven := range []string{"example.test", "*.example.test", "several.example.test", "split.example.test",
		"alias.example.test", "*.alias.example.test", "big.example.test"} {
		require.NoError(t, v.DNS01(t.Context(), name(t, proven), keyAuthorization), proven)
	}
	for _, test := range []struct {
		name string
		kind Kind
		says []string
	}{
		{"missing.example.test", KindUnauthorized, []string{"there is no TXT record at _acme-challenge.missing.example.test",
			`publish this record: _acme-challenge.missing.example.test. TXT "` + value + `"`}},
		{"address.example.test", KindUnauthorized, []string{"there is no TXT record"}},
		{"hanging.example.test", KindUnauthorized, []string{"there is no TXT record"}},
		{"wrong.example.test", KindUnauthorized, []string{"none of the 1 TXT records", DNS01Value("other"), "publish this record"}},
		{"hostile.example.test", KindUnauthorized, []string{"none of the 4 TXT records", `\x1b[31m\x00\"<script>\xff`, "…"}},
		{"longer.example.test", KindUnauthorized, nil},
		{"spaced.example.test", KindUnauthorized, nil},
		{"quoted.example.test", KindUnauthorized, nil},
		{"outside.example.test", KindDNS, []string{"REFUSED", "try again"}},
		{"127.0.10.1", KindMalformed, []string{"use http-01 or tls-alpn-01"}},
	} {
		requireError(t, v.DNS01(t.Context(), name(t, test.name), keyAuthorization), test.kind, test.says...)
	}
	requireError(t, v.DNS01(t.Context(), name(t, "alias.example.test"), "other"), KindUnauthorized, "an alias of alias.challenges.test")

	t.Run("a resolver that does not answer proves nothing", func(t *testing.T) {
		dead := validator(t, setup{resolver: judge.FreeAddr(t)})
		requireError(t, dead.DNS01(t.Context(), name(t, "example.test"), keyAuthorization), KindDNS, "connection refused", "try again")
		silent := validator(t, setup{resolver: serveDNS(t, func(dns.ResponseWriter, *dns.Msg) {}), timeout: 100 * time.Millisecond})
		requireError(t, silent.DNS01(t.Context(), name(t, "example.test"), keyAuthorization), KindDNS, "no DNS server answered in time")
		failing := validator(t, setup{resolver: serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		})})
		requireError(t, failing.DNS01(t.Context(), name(t, "example.test"), keyAuthorization), KindDNS, "SERVFAIL")
		lying := validator(t, setup{timeout: 100 * time.Millisecond, resolver: serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg).SetReply(q)
			reply.Question[0].Name = "_acme-challenge.mine.test."
			rr, _ := dns.NewRR(`_acme-challenge.mine.test. 1 TXT "` + value + `"`)
			reply.Answer = []dns.RR{rr}
			w.WriteMsg(reply)
		})})
		requireError(t, lying.DNS01(t.Context(), name(t, "example.test"), keyAuthorization), KindDNS, "does not fit the question")
	})
}

// largeTXT is a name with more TXT than one UDP datagram holds, of which one is larger
// than 4 KiB, and the value last.
func largeTXT(owner, value string) string {
	piece := ` "` + strings.Repeat("x", 250) + `"`
	return owner + " TXT" + strings.Repeat(piece, 17) + "\n" + owner + " TXT \"" + value + "\""
}
