package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func TestSearch(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		issue := func(holder string, days int, names ...string) *api.Certificate {
			w.pass(time.Hour)
			cert, err := w.as(holder).Issue(t.Context(), api.IssueRequest{Domains: names, ValidityDays: &days})
			require.NoError(t, err)
			return cert
		}
		short := issue("developer", 1, "short.example.com", "203.0.113.7")
		long := issue("developer", 300, "long.example.com", "xn--mnchen-3ya.example")
		revoked := issue("developer", 300, "gone.example.com")
		others := issue("stranger", 30, "*.other.example.com")
		_, err := w.as("developer").Revoke(t.Context(), revoked.Serial, "superseded")
		require.NoError(t, err)
		w.pass(time.Hour)
		platform, err := w.as("operator").Issue(t.Context(), api.IssueRequest{Profile: "client", Domain: "callback.platform.internal"})
		require.NoError(t, err)
		w.pass(2 * 24 * time.Hour)
		spki, err := pki.SPKIHash(parse(t, long.Certificate).PublicKey)
		require.NoError(t, err)

		all := []*api.Certificate{platform, others, revoked, long, short}
		for _, c := range []struct {
			filter api.Filter
			want   []*api.Certificate
		}{
			{nil, all},
			{api.Filter{"domain": "LONG.example.com."}, []*api.Certificate{long}},
			{api.Filter{"domain": "203.0.113.7"}, []*api.Certificate{short}},
			{api.Filter{"domain": "münchen.example"}, []*api.Certificate{long}},
			{api.Filter{"domain": "*.other.example.com"}, []*api.Certificate{others}},
			{api.Filter{"domain": "example.com"}, nil},
			{api.Filter{"suffix": "other.example.com"}, []*api.Certificate{others}},
			{api.Filter{"suffix": ".long.example.com"}, []*api.Certificate{long}},
			{api.Filter{"suffix": "ample.com"}, nil},
			{api.Filter{"app": "demo"}, []*api.Certificate{revoked, long, short}},
			{api.Filter{"profile": "client"}, []*api.Certificate{platform}},
			{api.Filter{"authority": "TencentQQAuthCA"}, all},
			{api.Filter{"authority": "Nobody"}, nil},
			{api.Filter{"status": "valid"}, []*api.Certificate{platform, others, long}},
			{api.Filter{"status": "expired"}, []*api.Certificate{short}},
			{api.Filter{"status": "revoked"}, []*api.Certificate{revoked}},
			{api.Filter{"status": "pending"}, nil},
			{api.Filter{"status": "valid", "app": "demo", "suffix": "example.com"}, []*api.Certificate{long}},
			{api.Filter{"serial": strings.ToUpper(long.Serial)}, []*api.Certificate{long}},
			{api.Filter{"serial": "01" + strings.Repeat("0", 32)}, nil},
			{api.Filter{"fingerprint_sha256": long.FingerprintSHA256}, []*api.Certificate{long}},
			{api.Filter{"fingerprint_sha256": strings.Repeat("0", 64)}, nil},
			{api.Filter{"spki_sha256": fmt.Sprintf("%X", spki)}, []*api.Certificate{long}},
			{api.Filter{"expires_before": start.AddDate(0, 0, 20).Format(time.DateOnly)}, []*api.Certificate{short, platform}},
			{api.Filter{"expires_after": start.AddDate(0, 0, 60).Format(time.RFC3339)}, []*api.Certificate{long, revoked}},
			{api.Filter{"issued_after": start.Add(3 * time.Hour).Format(time.RFC3339Nano)}, []*api.Certificate{platform, others, revoked}},
			{api.Filter{"issued_before": start.Add(3 * time.Hour).In(time.FixedZone("", 3600)).Format(time.RFC3339)}, []*api.Certificate{long, short}},
		} {
			t.Run(fmt.Sprint(c.filter), func(t *testing.T) {
				page, err := w.as("auditor").Certificates(t.Context(), c.filter)
				require.NoError(t, err)
				require.Equal(t, serials(c.want), itemSerials(page.Items))
				require.Empty(t, page.Next)

				// Page by page, the same comes in the same order.
				var paged []string
				for filter := (api.Filter{"limit": "1"}); c.filter["serial"] == ""; {
					for name, value := range c.filter {
						filter[name] = value
					}
					page, err := w.as("auditor").Certificates(t.Context(), filter)
					require.NoError(t, err)
					paged = append(paged, itemSerials(page.Items)...)
					if filter["cursor"] = page.Next; page.Next == "" {
						require.Equal(t, serials(c.want), paged)
						break
					}
				}
			})
		}

		page, err := w.as("developer").Certificates(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, serials([]*api.Certificate{revoked, long, short}), itemSerials(page.Items), "a developer sees the own ones")
		_, err = w.as("developer").Certificates(t.Context(), api.Filter{"app": "other"})
		refusal(t, err, ca.KindNotFound)
		page, err = w.as("developer").Certificates(t.Context(), api.Filter{"serial": others.Serial})
		require.NoError(t, err)
		require.Empty(t, page.Items)

		var status []string
		page, err = w.as("operator").Certificates(t.Context(), nil)
		require.NoError(t, err)
		for _, item := range page.Items {
			status = append(status, item.Status)
		}
		require.Equal(t, []string{"valid", "valid", "revoked", "valid", "expired"}, status, "judged now")
	})
}

func serials(certificates []*api.Certificate) []string {
	var list []string
	for _, c := range certificates {
		list = append(list, c.Serial)
	}
	return list
}

func itemSerials(items []api.CertificateSummary) []string {
	var list []string
	for _, c := range items {
		list = append(list, c.Serial)
	}
	return list
}

func TestParametersAreRead(t *testing.T) {
	w := newWorld(t)
	for query, parameter := range map[string]string{
		"?domian=www.example.com": "domian",
		"?domain=":                "domain",
		"?domain=a.example.com&domain=b.example.com": "domain",
		"?domain=http%3A%2F%2Fexample.com":           "domain",
		"?suffix=203.0.113.7":                        "suffix",
		"?suffix=*.example.com":                      "suffix",
		"?suffix=..":                                 "suffix",
		"?status=good":                               "status",
		"?serial=17":                                 "serial",
		"?serial=" + strings.Repeat("4f", 17) + "&app=demo": "serial",
		"?fingerprint_sha256=abc":                           "fingerprint_sha256",
		"?spki_sha256=abc":                                  "spki_sha256",
		"?expires_before=tomorrow":                          "expires_before",
		"?expires_after=2026-02-30":                         "expires_after",
		"?issued_after=2026-03-01T12:00:00+01:00":           "issued_after", // the "+" of a query is a space
		"?issued_before=9999-12-31T23:59:59-23:00":          "issued_before",
		"?limit=0":     "limit",
		"?limit=1001":  "limit",
		"?limit=many":  "limit",
		"?cursor=AAAA": "cursor",
		"?cursor=!":    "cursor",
	} {
		p := w.ask("auditor", "GET", "/v1/certificates"+query, "").problem(t, ca.KindInvalid)
		require.Equal(t, parameter, p.Errors[0].Parameter, query)
		require.NotEmpty(t, p.Errors[0].Detail)
	}
	p := w.ask("auditor", "GET", "/v1/certificates?status=good&limit=0&cursor=!", "").problem(t, ca.KindInvalid)
	require.Len(t, p.Errors, 3, "all faults at once")
	for _, query := range []string{"?a=b;c=d", "?a=%00", "?a=%ff", "?a=%zz"} {
		w.ask("auditor", "GET", "/v1/certificates"+query, "").problem(t, ca.KindMalformed)
	}
	for _, list := range []string{"/v1/apps", "/v1/tokens", "/v1/apps/demo/tokens", "/v1/events"} {
		require.Equal(t, "cursor", w.ask("auditor", "GET", list+"?cursor=imca_x", "").problem(t, ca.KindInvalid).Errors[0].Parameter)
		require.Equal(t, "limit", w.ask("auditor", "GET", list+"?limit=-1", "").problem(t, ca.KindInvalid).Errors[0].Parameter)
	}
}

func TestEvents(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.pass(time.Hour)
		cert, err := w.as("developer").Issue(t.Context(), api.IssueRequest{Domain: "www.example.com"})
		require.NoError(t, err)
		w.pass(time.Hour)
		_, err = w.as("stranger").Certificate(t.Context(), cert.Serial)
		refusal(t, err, ca.KindNotFound)
		w.pass(time.Hour)
		_, err = w.as("operator").Revoke(t.Context(), cert.Serial, "superseded")
		require.NoError(t, err)

		told := func(filter api.Filter) (list []string) {
			page, err := w.as("auditor").Events(t.Context(), filter)
			require.NoError(t, err)
			for _, e := range page.Items {
				list = append(list, e.Actor+" "+e.Action+" "+e.Outcome)
			}
			return list
		}
		const issued, peeked, ended = "developer certificate.issue done", "stranger certificate.read refused", "operator certificate.revoke done"
		require.Equal(t, []string{ended, peeked, issued}, told(api.Filter{"object": cert.Serial}))
		require.Equal(t, []string{issued}, told(api.Filter{"actor": "developer"}))
		require.Equal(t, []string{peeked}, told(api.Filter{"outcome": "refused"}))
		require.Equal(t, []string{ended}, told(api.Filter{"action": "certificate.revoke"}))
		require.Equal(t, []string{ended, peeked}, told(api.Filter{"after": start.Add(90 * time.Minute).Format(time.RFC3339)}))
		require.Equal(t, []string{issued}, told(api.Filter{"after": start.Add(time.Minute).Format(time.RFC3339), "before": start.Add(90 * time.Minute).Format(time.RFC3339)}))
		require.Contains(t, told(api.Filter{"app": "demo"}), issued)

		all, err := w.as("auditor").Events(t.Context(), api.Filter{"limit": "1000"})
		require.NoError(t, err)
		var paged []api.Event
		for filter := (api.Filter{"limit": "3"}); ; {
			page, err := w.as("auditor").Events(t.Context(), filter)
			require.NoError(t, err)
			paged = append(paged, page.Items...)
			if filter["cursor"] = page.Next; page.Next == "" {
				break
			}
		}
		require.Equal(t, all.Items, paged)
		require.True(t, slices.ContainsFunc(all.Items, func(e api.Event) bool { return e.Address == "127.0.0.1" && strings.HasPrefix(e.RequestID, "req-") }))
	})
}
