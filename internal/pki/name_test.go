package pki_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

func TestParseName(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	longest := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for text, want := range map[string]string{
		"www.example.com":        "www.example.com",
		"WWW.Example.COM":        "www.example.com",
		"www.example.com.":       "www.example.com",
		"*.example.com":          "*.example.com",
		"*.Example.com.":         "*.example.com",
		"*.com":                  "*.com",
		"localhost":              "localhost",
		"a":                      "a",
		"1a.2b.example":          "1a.2b.example",
		"a--b.example":           "a--b.example",
		"münchen.example":        "xn--mnchen-3ya.example",
		"MÜNCHEN.example":        "xn--mnchen-3ya.example",
		"mu\u0308nchen.example":  "xn--mnchen-3ya.example", // decomposed
		"*.münchen.example":      "*.xn--mnchen-3ya.example",
		"XN--MNCHEN-3YA.example": "xn--mnchen-3ya.example",
		"straße.example":         "xn--strae-oqa.example", // no transitional "ss"
		"例え.テスト":                 "xn--r8jz45g.xn--zckzah",
		"例え。テスト":                 "xn--r8jz45g.xn--zckzah", // the ideographic full stop
		"ｗｗｗ.example.com":        "www.example.com",        // full width
		"пример.example":         "xn--e1afmkfd.example",
		"col·lecció.example":     "xn--collecci-ioa91d.example",
		"hello世界こんにちは.example":   "xn--hello-773drdqdsb71a738yvl4e.example",
		label63 + ".example":     label63 + ".example",
		longest:                  longest,
		"192.0.2.1":              "192.0.2.1",
		"2001:DB8::0:1":          "2001:db8::1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"::1":                    "::1",
	} {
		name, err := pki.ParseName(text)
		require.NoError(t, err, text)
		require.Equal(t, want, name.String(), text)
	}
}

func TestParseNameRefusesWithTheMend(t *testing.T) {
	label64 := strings.Repeat("a", 64)
	long := strings.Repeat("abcdefghi.", 25) + "abcd" // 254
	require.Len(t, long, 254)
	for text, mend := range map[string]string{
		"":                                "give a host name such as www.example.com",
		".":                               "give a host name such as www.example.com",
		long:                              "at most 253 characters",
		"*." + long[2:]:                   "at most 253 characters",
		strings.Repeat("a.", 1<<20):       "at most 253 characters",
		label64 + ".example":              "at most 63",
		"a_b.example.com":                 "underscore",
		"_acme-challenge.example.com":     "underscore",
		"a..example.com":                  "single dots",
		".example.com":                    "single dots",
		"example.com..":                   "single dots",
		"*.":                              "at the very left",
		"*":                               "at the very left, such as *.example.com",
		"*.*.example.com":                 "at the very left, such as *.example.com",
		"www*.example.com":                "at the very left",
		"a.*.example.com":                 "at the very left",
		"**.example.com":                  "at the very left",
		"-a.example.com":                  "leave the hyphen out",
		"a-.example.com":                  "leave the hyphen out",
		"ab--c.example.com":               "reserved",
		"https://www.example.com/cb?x=1":  "give only the host name: www.example.com",
		"https://WWW.example.com:8443":    "give only the host name: www.example.com",
		"https://":                        "give only the host name",
		"https://a:b:c":                   "give only the host name",
		"www.example.com:443":             "give only the host name: www.example.com",
		"www.example.com/callback":        "give only the host name or address: www.example.com",
		"192.0.2.0/24":                    "give only the host name or address: 192.0.2.0",
		"ops@example.com":                 "give only the host name: example.com",
		"www.example.com?x":               "leave it out",
		"[2001:db8::1]":                   "give only the address: 2001:db8::1",
		"[2001:db8::1]:443":               "give only the address: 2001:db8::1",
		"192.0.2.1:443":                   "give only the host name: 192.0.2.1",
		"2001:db8::1::2":                  "not an IPv6 address",
		"fe80::1%eth0":                    "zone",
		"1.2.3":                           "neither a name nor an address",
		"1.2.3.4.5":                       "neither a name nor an address",
		"256.1.1.1":                       "neither a name nor an address",
		"01.2.3.4":                        "neither a name nor an address",
		"１.２.３.４":                         "neither a name nor an address", // full width
		"4711":                            "neither a name nor an address",
		"www.example.0":                   "neither a name nor an address",
		"a b.example.com":                 "control character",
		" www.example.com":                "control character",
		"www.example.com\n":               "control character",
		"a\x00b.example.com":              "control character",
		"a\u0085b.example.com":            "control character",
		"a\u00a0b.example.com":            "control character",
		"a\u2003b.example.com":            "control character",
		`example.com"`:                    "leave it out",
		`example.com" SSLVerifyClient no`: "one name per entry",
		"a,b.example.com":                 "leave it out",
		"a;b.example.com":                 "leave it out",
		"$(id).example.com":               "leave it out",
		"a\xff.example.com":               "UTF-8",
		"pаypal.example":                  "different scripts", // Cyrillic а
		"xn--pypal-4ve.example":           "different scripts", // the same in punycode
		"αbc.example":                     "different scripts", // Greek and Latin
		"한ひ.example":                      "different scripts",
		"☃.example":                       "symbol",
		"💩.example":                       "symbol",
		"a·b.example":                     "symbol",
		"・.example":                       "symbol",
		"ب٠۰.example":                     "international name", // Arabic and Persian digits
		"xn--.example":                    "single dots",
		"xn--a.example":                   "international name",
		"xn--mnchen-3ya-.example":         "international name",
		"a.xn--0.example":                 "international name",
		"a\u200db.example":                "international name",
		"אa.example":                      "international name", // writing direction
	} {
		_, err := pki.ParseName(text)
		var nameErr *pki.NameError
		require.ErrorAs(t, err, &nameErr, text)
		require.Equal(t, text, nameErr.Input)
		require.Contains(t, nameErr.Error(), mend, "%.60q", text)
		require.Less(t, len(nameErr.Error()), 600, "a stranger does not fill our log")
		require.NotContains(t, nameErr.Error(), "\n")
	}
}

func TestNameParts(t *testing.T) {
	wildcard := mustName(t, "*.www.example.com")
	require.True(t, wildcard.IsWildcard())
	require.Equal(t, mustName(t, "www.example.com"), wildcard.Base())
	require.Equal(t, "com.example.www.*", wildcard.Reversed())
	plain := mustName(t, "www.example.com")
	require.False(t, plain.IsWildcard())
	require.False(t, plain.IsIP())
	require.False(t, plain.Addr().IsValid())
	require.Equal(t, plain, plain.Base())
	require.Equal(t, "com.example.www", plain.Reversed())
	ip := mustName(t, "192.0.2.1")
	require.True(t, ip.IsIP())
	require.False(t, ip.IsWildcard())
	require.Equal(t, netip.MustParseAddr("192.0.2.1"), ip.Addr())
	require.Equal(t, "192.0.2.1", ip.Reversed())
	require.Equal(t, ip, pki.NameFromAddr(netip.MustParseAddr("::ffff:192.0.2.1")))
	require.True(t, pki.NameFromAddr(netip.Addr{}).IsZero())

	var back []pki.Name
	text, err := json.Marshal([]pki.Name{plain, ip})
	require.NoError(t, err)
	require.JSONEq(t, `["www.example.com","192.0.2.1"]`, string(text))
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, []pki.Name{plain, ip}, back)
	require.Error(t, json.Unmarshal([]byte(`["a b"]`), &back))
}

func mustName(t *testing.T, text string) pki.Name {
	t.Helper()
	name, err := pki.ParseName(text)
	require.NoError(t, err)
	return name
}

func TestParseNames(t *testing.T) {
	names, err := pki.ParseNames([]string{"b.example", "A.example", "a.example.", "192.0.2.1", "::ffff:192.0.2.1"})
	require.NoError(t, err)
	require.Equal(t, []pki.Name{mustName(t, "b.example"), mustName(t, "a.example"), mustName(t, "192.0.2.1")}, names)
	names, err = pki.ParseNames(nil)
	require.NoError(t, err)
	require.Empty(t, names)
}

// Three million certificates were once issued after one of N names had been
// checked N times. The bad name is found wherever it stands.
func TestParseNamesFindsTheBadOneEverywhere(t *testing.T) {
	const n = 20
	for bad := range n {
		texts := make([]string, n)
		for i := range texts {
			texts[i] = string(rune('a'+i)) + ".example"
		}
		texts[bad] = "a_b.example"
		names, err := pki.ParseNames(texts)
		require.Nil(t, names)
		var one *pki.NameError
		require.True(t, errors.As(err, &one))
		require.Equal(t, bad, one.Index)
	}
	var all pki.NameErrors
	_, err := pki.ParseNames(strings.Fields(strings.Repeat("_ ok.example ", 40)))
	require.ErrorAs(t, err, &all)
	require.Len(t, all, 40)
	require.Equal(t, 78, all[39].Index)
	require.Contains(t, err.Error(), "and 30 more")
}

func TestCheckPublic(t *testing.T) {
	for _, good := range []string{
		"example.com", "www.example.com", "*.example.com", "a.example", "münchen.example", "x.test", "a.b.test",
		"www.example.co.uk", "foo.github.io", "github.io", "*.foo.github.io", "mycorp.com", "local.example.com",
		"8.8.8.8", "2606:4700::1", "192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1",
	} {
		require.NoError(t, pki.CheckPublic(mustName(t, good)), good)
	}
	for bad, why := range map[string]string{
		"localhost":              "private network",
		"a.localhost":            "private network",
		"printer.local":          "private network",
		"db.internal":            "private network",
		"*.internal":             "private network",
		"router.lan":             "private network",
		"x.home.arpa":            "private network",
		"1.2.0.192.in-addr.arpa": "private network",
		"x.corp":                 "private network",
		"x.invalid":              "private network",
		"x.onion":                "private network",
		"intranet":               "private network",
		"server":                 "full name",
		"example":                "full name",
		"com":                    "full name",
		"*.com":                  "top-level domain",
		"co.uk":                  "public suffix",
		"*.co.uk":                "public suffix",
		"*.github.io":            "public suffix",
		"公司.cn":                  "public suffix",
		"0.0.0.0":                "unspecified",
		"::":                     "unspecified",
		"127.0.0.1":              "loopback",
		"127.8.9.1":              "loopback",
		"::1":                    "loopback",
		"::ffff:127.0.0.1":       "loopback",
		"10.1.2.3":               "private network",
		"172.16.0.1":             "private network",
		"192.168.1.1":            "private network",
		"fd00::1":                "private network",
		"169.254.169.254":        "link-local",
		"fe80::1":                "link-local",
		"224.0.0.1":              "multicast",
		"239.1.2.3":              "multicast",
		"ff02::1":                "multicast",
		"0.1.2.3":                "0.0.0.0/8",
		"100.64.0.1":             "100.64.0.0/10",
		"198.18.0.1":             "198.18.0.0/15",
		"240.0.0.1":              "240.0.0.0/4",
		"255.255.255.255":        "240.0.0.0/4",
		"2002:7f00:1::":          "2002::/16",
		"2001::1":                "2001::/23",
		"64:ff9b::7f00:1":        "global unicast",
		"::127.0.0.1":            "global unicast",
		"fec0::1":                "global unicast",
	} {
		err := pki.CheckPublic(mustName(t, bad))
		var nameErr *pki.NameError
		require.ErrorAs(t, err, &nameErr, bad)
		require.Contains(t, err.Error(), why, bad)
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"www.example.com", "*.EXAMPLE.com.", "münchen.example", "xn--mnchen-3ya.example",
		"例え。テスト", "192.0.2.1", "::ffff:1.2.3.4", "a_b", "1.2.3", "https://x.example:1/", "ｗ。com", "xn--a.b", "٠۰.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := pki.ParseName(text)
		if err != nil {
			require.True(t, name.IsZero())
			return
		}
		again, err := pki.ParseName(name.String())
		require.NoError(t, err, "%q → %q", text, name)
		require.Equal(t, name, again)
		require.LessOrEqual(t, len(name.String()), 253)
		if name.IsIP() {
			require.Equal(t, name.Addr().String(), name.String())
			return
		}
		require.Empty(t, strings.Trim(strings.TrimPrefix(name.String(), "*."), "abcdefghijklmnopqrstuvwxyz0123456789.-"),
			"nothing that any configuration language could take for more than a name")
		_, err = netip.ParseAddr(name.String())
		require.Error(t, err)
		require.Equal(t, name.IsWildcard(), name.Base() != name)
		_ = pki.CheckPublic(name)
	})
}

func TestRecordedName(t *testing.T) {
	for _, text := range []string{"www.example.com", "*.example.com", "xn--mnchen-3ya.example", "192.0.2.1", "2001:db8::1"} {
		name, err := pki.ParseName(text)
		require.NoError(t, err)
		require.Equal(t, name, pki.RecordedName(name.String()))
	}
	require.Equal(t, "no longer a name", pki.RecordedName("no longer a name").String())
}
