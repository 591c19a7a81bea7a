package validate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imca-project/imca/internal/judge"
	"github.com/stretchr/testify/require"
)

func TestStanding(t *testing.T) {
	const app, account = "https://imca.example/v1/apps/7", "https://imca.example/acme/account/9"
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	record := func(host, value string) string {
		return fmt.Sprintf("_validation-persist.%s TXT %q\n", host, value)
	}
	stand := "imca.example; accounturi=" + app
	until := func(at time.Time) string { return fmt.Sprintf("; persistUntil=%d", at.Unix()) }
	resolver := judge.Knot(t, map[string]string{"example.test": strings.Join([]string{
		record("plain", stand),
		record("acme", "IMCA.Example.; accounturi="+account),
		record("acmeok", "IMCA.Example; AccountURI = "+account+" ;future=1"),
		record("wild", StandingValue("imca.example", app, true)),
		record("shouting", stand+"; policy=WILDCARD"),
		record("policy", stand+"; policy=other"),
		record("ends", stand+until(now)),
		record("ended", stand+until(now.Add(-time.Second))),
		record("several", "letsencrypt.org; accounturi=https://le.example/1"),
		record("several", "unrelated text"),
		record("several", stand+until(now.Add(-time.Hour))),
		record("several", stand+until(now.Add(time.Hour))),
		record("several", stand+until(now.Add(2*time.Hour))),
		record("widest", stand),
		record("widest", stand+"; policy=wildcard"+until(now.Add(time.Hour))),
		record("endless", stand+until(now.Add(time.Hour))),
		record("endless", stand),
		"_validation-persist.alias CNAME _validation-persist.plain\n",
		"_validation-persist.split TXT \"imca.example;\" \" accounturi=https://imca.example\" \"/v1/apps/7\"\n",

		record("foreign", "letsencrypt.org; accounturi="+app),
		record("stranger", "imca.example; accounturi=https://imca.example/v1/apps/8"),
		record("cased", "imca.example; accounturi=https://imca.example/v1/APPS/7"),
		record("noaccount", "imca.example"),
		record("emptyaccount", "imca.example; accounturi="),
		record("twice", stand+"; accounturi="+app),
		record("twopolicies", stand+"; policy=wildcard; Policy=wildcard"),
		record("twoends", stand+until(now.Add(time.Hour))+until(now.Add(time.Hour))),
		record("notime", stand+"; persistUntil=tomorrow"),
		record("hex", stand+"; persistUntil=0x7fffffff"),
		record("plus", stand+"; persistUntil=+1893456000"),
		record("minus", stand+"; persistUntil=-1"),
		record("hugetime", stand+"; persistUntil=99999999999999999999"),
		record("farfuture", stand+"; persistUntil=253402300800"),
		record("trailing", stand+"; "),
		record("novalue", stand+"; policy"),
	}, "")})
	v := validator(t, setup{resolver: resolver.Addr, Config: Config{
		CAIdentities: []string{"imca.example"}, Now: func() time.Time { return now }}})
	accounts := []string{app, account}

	for proven, want := range map[string]Standing{
		"plain.example.test":      {},
		"alias.example.test":      {},
		"split.example.test":      {},
		"acmeok.example.test":     {},
		"wild.example.test":       {Wildcard: true},
		"*.wild.example.test":     {Wildcard: true},
		"*.shouting.example.test": {Wildcard: true},
		"policy.example.test":     {},
		"ends.example.test":       {Until: now},
		"several.example.test":    {Until: now.Add(2 * time.Hour)},
		"widest.example.test":     {Wildcard: true, Until: now.Add(time.Hour)},
		"*.widest.example.test":   {Wildcard: true, Until: now.Add(time.Hour)},
		"endless.example.test":    {},
	} {
		got, err := v.Standing(t.Context(), name(t, proven), accounts)
		require.NoError(t, err, proven)
		want.Account = app
		if proven == "acmeok.example.test" {
			want.Account = account
		}
		require.Equal(t, want, got, proven)
	}
	for _, test := range []struct {
		name string
		kind Kind
		says string
	}{
		{"missing.example.test", KindUnauthorized, "there is no TXT record at _validation-persist.missing.example.test"},
		{"foreign.example.test", KindUnauthorized, "is for imca.example"},
		{"acme.example.test", KindUnauthorized, "is for imca.example"},
		{"stranger.example.test", KindUnauthorized, "it is for another account"},
		{"cased.example.test", KindUnauthorized, "it is for another account"},
		{"ended.example.test", KindUnauthorized, "it ended at 2026-05-01T11:59:59Z"},
		{"*.plain.example.test", KindUnauthorized, "policy=wildcard"},
		{"*.policy.example.test", KindUnauthorized, "policy=wildcard"},
		{"noaccount.example.test", KindMalformed, "accounturi is missing"},
		{"emptyaccount.example.test", KindMalformed, "accounturi is missing"},
		{"twice.example.test", KindMalformed, "accounturi is given twice"},
		{"twopolicies.example.test", KindMalformed, "policy is given twice"},
		{"twoends.example.test", KindMalformed, "persistuntil is given twice"},
		{"notime.example.test", KindMalformed, "seconds since 1970"},
		{"hex.example.test", KindMalformed, "seconds since 1970"},
		{"plus.example.test", KindMalformed, "seconds since 1970"},
		{"minus.example.test", KindMalformed, "seconds since 1970"},
		{"hugetime.example.test", KindMalformed, "seconds since 1970"},
		{"farfuture.example.test", KindMalformed, "seconds since 1970"},
		{"trailing.example.test", KindMalformed, "remove the semicolon"},
		{"novalue.example.test", KindMalformed, "tag=value"},
	} {
		_, err := v.Standing(t.Context(), name(t, test.name), accounts)
		requireError(t, err, test.kind, test.says, "publish this record: _validation-persist.", `TXT "imca.example; accounturi=`+app)
	}
	_, err := v.Standing(t.Context(), name(t, "127.0.10.1"), accounts)
	requireError(t, err, KindMalformed, "use http-01")
	_, err = v.Standing(t.Context(), name(t, "plain.example.test"), nil)
	requireError(t, err, KindInternal, "use dns-01")

	// One app's record is no other app's.
	_, err = v.Standing(t.Context(), name(t, "plain.example.test"), []string{"https://imca.example/v1/apps/8"})
	requireError(t, err, KindUnauthorized, "it is for another account")
}

// The vectors are those of draft-ietf-acme-dns-persist-02, Section 10.2.
func TestHashedAccount(t *testing.T) {
	const prefix, thumbprint, url = "https://ca.example/account-hash/", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "https://ca.example/acct/123"
	require.Equal(t, prefix+"sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", HashedAccount(prefix, "example.com", thumbprint, url))
	require.Equal(t, prefix+"sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug", HashedAccount(prefix, "*", thumbprint, url))
}

// FuzzStanding holds that a record proves a name only if it names this CA and this
// account in so many words, and never after its end.
func FuzzStanding(f *testing.F) {
	const account = "https://imca.example/v1/apps/7"
	for _, seed := range []string{"imca.example; accounturi=" + account, "imca.example; accounturi=" + account + "; policy=wildcard; persistUntil=1893456000",
		"imca.example; accounturi=" + account + "; persistUntil=1", "other.example; accounturi=" + account, "imca.example", ";", ""} {
		f.Add(seed, int64(1777636800))
	}
	v, err := New(Config{CAIdentities: []string{"imca.example"}})
	require.NoError(f, err)
	www := name(f, "www.example.test")
	wild := name(f, "*.example.test")
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		now := time.Unix(seconds%253402300799, 0)
		record, mine, err := v.parseStanding(text)
		if !mine || err != nil {
			return
		}
		lower := strings.ToLower(text)
		require.True(t, strings.HasPrefix(strings.Trim(lower, " \t"), "imca.example"), "%q", text)
		require.Contains(t, text, record.Account)
		if record.judge(www, []string{account}, now) == "" {
			require.Contains(t, text, account)
			require.False(t, !record.Until.IsZero() && now.After(record.Until))
		}
		if record.judge(wild, []string{account}, now) == "" {
			require.Contains(t, lower, "wildcard")
			require.Empty(t, record.judge(www, []string{account}, now))
		}
		if !record.Until.IsZero() {
			_, err := record.Until.MarshalJSON()
			require.NoError(t, err)
		}
	})
}
