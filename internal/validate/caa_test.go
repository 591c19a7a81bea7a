package validate

import (
	"strings"
	"testing"

	"github.com/imca-project/imca/internal/judge"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func TestCAA(t *testing.T) {
	const (
		app     = "https://imca.example/v1/apps/7"
		account = "https://imca.example/acme/account/9"
	)
	resolver := judge.Knot(t, map[string]string{
		".": "example.test. NS ns.invalid.\n",
		"test": `
closed        CAA 0 issue ";"
alias.below   CNAME caa.open
caa.open      CAA 0 issue "imca.example"
`,
		"example.test": `
mine               CAA 0 issue "imca.example"
second             CAA 0 issue "ca.imca.net"
shouting           CAA 0 ISSUE "IMCA.Example"
among              CAA 0 issue "letsencrypt.org"
among              CAA 0 issue "imca.example"
other              CAA 0 issue "letsencrypt.org"
other              CAA 0 issue "sectigo.com; policy=ev"
deep.other         CAA 0 iodef "mailto:security@example.test"
nobody             CAA 0 issue ";"
empty              CAA 0 issue ""
host.mine          A   127.0.10.1
own.other          CAA 0 issue "imca.example"
reports            CAA 0 iodef "mailto:security@example.test"
reports            CAA 128 issuemail ";"
critical           CAA 0 issue "imca.example"
critical           CAA 128 tbs "unknown"
uncritical         CAA 0 issue "imca.example"
uncritical         CAA 0 tbs "unknown"
criticalissue      CAA 128 issue "imca.example"
wild               CAA 0 issue "letsencrypt.org"
wild               CAA 0 issuewild "imca.example"
notwild            CAA 0 issue "imca.example"
notwild            CAA 0 issuewild ";"
onlywild           CAA 0 issuewild "letsencrypt.org"
account            CAA 0 issue "imca.example; accounturi=https://imca.example/v1/apps/7"
acme               CAA 0 issue "imca.example;accounturi = https://imca.example/acme/account/9 ; ValidationMethods=dns-01"
stranger           CAA 0 issue "imca.example; accounturi=https://imca.example/v1/apps/8"
twoaccounts        CAA 0 issue "imca.example; accounturi=https://imca.example/v1/apps/7; accounturi=https://imca.example/v1/apps/7"
methods            CAA 0 issue "imca.example; validationmethods=dns-01,tls-alpn-01"
nomethods          CAA 0 issue "imca.example; validationmethods="
twomethods         CAA 0 issue "imca.example; validationmethods=dns-01; validationmethods=dns-01"
approved           CAA 0 issue "imca.example; validationmethods=ca-approved"
unknownparameter   CAA 0 issue "imca.example; future=1"
trailing           CAA 0 issue "imca.example;"
malformed          CAA 0 issue "imca.example; accounturi"
doubled            CAA 0 issue "imca.example; a=b;"
underscore         CAA 0 issue "imca_example"
hostile            CAA 0 issue "\027[31m\000<script>"
alias              CNAME www.elsewhere.test.
both               CNAME mine
`,
		"elsewhere.test": "www CAA 0 issue \"imca.example\"\n@ CAA 0 issue \";\"\n",
	})
	v := validator(t, setup{resolver: resolver.Addr, Config: Config{CAIdentities: []string{"imca.example", "CA.imca.net."}}})

	for _, test := range []struct {
		name   string
		method Method
		says   string // why it is forbidden; empty: it is not
	}{
		{"example.test", "dns-01", ""}, // no records up to the root
		{"no.such.name.example.test", "dns-01", ""},
		{"*.example.test", "dns-01", ""},
		{"127.0.10.1", "http-01", ""},
		{"mine.example.test", "dns-01", ""},
		{"*.mine.example.test", "dns-01", ""},
		{"host.mine.example.test", "dns-01", ""},
		{"a.b.c.mine.example.test", "dns-01", ""},
		{"second.example.test", "dns-01", ""},
		{"shouting.example.test", "dns-01", ""},
		{"among.example.test", "dns-01", ""},
		{"own.other.example.test", "dns-01", ""},
		{"reports.example.test", "dns-01", ""},
		{"uncritical.example.test", "dns-01", ""},
		{"criticalissue.example.test", "dns-01", ""},
		{"*.wild.example.test", "dns-01", ""},
		{"notwild.example.test", "dns-01", ""},
		{"onlywild.example.test", "dns-01", ""},
		{"account.example.test", "dns-01", ""},
		{"acme.example.test", "dns-01", ""},
		{"methods.example.test", "dns-01", ""},
		{"methods.example.test", "tls-alpn-01", ""},
		{"approved.example.test", MethodApproved, ""},
		{"unknownparameter.example.test", "dns-01", ""},
		{"trailing.example.test", "dns-01", ""},
		{"alias.example.test", "dns-01", ""}, // at the alias, not above its target
		{"both.example.test", "dns-01", ""},
		{"deep.other.example.test", "dns-01", ""}, // a set without issue ends the climb

		{"other.example.test", "dns-01", `"letsencrypt.org" allows another CA`},
		{"www.other.example.test", "dns-01", "CAA at other.example.test forbids it"},
		{"*.other.example.test", "dns-01", "CAA at other.example.test forbids it"},
		{"nobody.example.test", "dns-01", `";" allows nobody`},
		{"empty.example.test", "dns-01", `"" allows nobody`},
		{"a.b.closed.test", "dns-01", "CAA at closed.test forbids it"},
		{"critical.example.test", "dns-01", `"tbs" is critical and unknown`},
		{"wild.example.test", "dns-01", "another CA"},
		{"*.notwild.example.test", "dns-01", "nobody"},
		{"*.onlywild.example.test", "dns-01", "another CA"},
		{"stranger.example.test", "dns-01", "allows another account (yours: " + app},
		{"twoaccounts.example.test", "dns-01", "another account"},
		{"acme.example.test", "http-01", "does not allow the method http-01"},
		{"methods.example.test", "http-01", "does not allow the method http-01"},
		{"methods.example.test", MethodApproved, "does not allow the method ca-approved"},
		{"nomethods.example.test", "dns-01", "does not allow the method"},
		{"twomethods.example.test", "dns-01", "does not allow the method"},
		{"malformed.example.test", "dns-01", "not of the form tag=value"},
		{"doubled.example.test", "dns-01", "remove the semicolon"},
		{"underscore.example.test", "dns-01", `"imca_example" is not the domain name of a CA`},
		{"hostile.example.test", "dns-01", `\x1b[31m\x00<script>`},
	} {
		err := v.CAA(t.Context(), name(t, test.name), []string{app, account}, test.method)
		if test.says == "" {
			require.NoError(t, err, test.name)
			continue
		}
		requireError(t, err, KindCAA, test.says, "publish this record as well: ", `CAA 0 issue "imca.example"`)
	}

	t.Run("without accounts an account is another's", func(t *testing.T) {
		requireError(t, v.CAA(t.Context(), name(t, "account.example.test"), nil, "dns-01"), KindCAA, "another account")
		require.NoError(t, v.CAA(t.Context(), name(t, "mine.example.test"), nil, "dns-01"))
	})
	t.Run("a CA without a name", func(t *testing.T) {
		nameless := validator(t, setup{resolver: resolver.Addr})
		requireError(t, nameless.CAA(t.Context(), name(t, "mine.example.test"), nil, "dns-01"), KindCAA, "ask its operator")
		require.NoError(t, nameless.CAA(t.Context(), name(t, "example.test"), nil, "dns-01"))
	})
	t.Run("no answer forbids", func(t *testing.T) {
		// The name itself has no records; the question for its parent fails.
		failing := validator(t, setup{resolver: serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg).SetReply(q)
			if strings.EqualFold(q.Question[0].Name, "example.test.") {
				reply = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			w.WriteMsg(reply)
		})})
		requireError(t, failing.CAA(t.Context(), name(t, "www.example.test"), nil, "dns-01"), KindDNS, "CAA of example.test", "SERVFAIL", "try again")
	})
	t.Run("what is asked", func(t *testing.T) {
		asked := make(chan string, 10)
		empty := validator(t, setup{resolver: serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
			asked <- strings.ToLower(q.Question[0].Name)
			w.WriteMsg(new(dns.Msg).SetReply(q))
		})})
		require.NoError(t, empty.CAA(t.Context(), name(t, "*.a.b.example.test"), nil, "dns-01"))
		var names []string
		for len(asked) > 0 {
			names = append(names, <-asked)
		}
		require.Equal(t, []string{"a.b.example.test.", "b.example.test.", "example.test.", "test."}, names)
	})
}

// FuzzIssueValue holds that what is accepted says the same when written again, and
// that nobody but a well-formed domain name is ever read as the issuer.
func FuzzIssueValue(f *testing.F) {
	for _, seed := range []string{"", ";", "ca.example", "ca.example; a=b;c = d ", " ca.example\t;", "ca.example; a=b;", "ca.example;;",
		"CA.Example; AccountURI=https://x/y?z=1", "ca.example; a", "ca..example", "-", "ca.example; a=b c", "ü.example", "ca.example\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := parseIssueValue(text)
		require.True(t, value.issuer == "" || isIssuerName(value.issuer), "%q", value.issuer)
		require.Equal(t, strings.ToLower(value.issuer), value.issuer)
		if err != nil {
			return
		}
		again, err := parseIssueValue(value.String())
		require.NoError(t, err, "%q from %q", value.String(), text)
		require.Equal(t, value, again)
		require.LessOrEqual(t, len(value.parameters), strings.Count(text, ";"))
	})
}
