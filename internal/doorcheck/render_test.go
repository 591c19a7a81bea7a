package doorcheck

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestRender(t *testing.T) {
	w := newParties(t)
	report := imagined(t, w, func(s *sight) {
		s.answers200(s.probes[1])
		s.lead.Answer.Server = "Apache/2.4.62"
		s.lead.Answer.header.Set("Server", "Apache/2.4.62")
	}).report()

	plain := Render(report, Style{})
	for _, part := range []string{
		"https://www.example.com/callback\n", "admits the platform  yes ", "refuses strangers    NO ", "refuses the revoked  unknown",
		"FAULT   The server asks for a certificate, but lets in who has none (not_required, confidence high)\n",
		"no certificate at 192.0.2.1: HTTP 200\n", "  > Make the certificate a condition, not an option.\n",
		"    apache:\n      SSLCACertificateFile conf/TencentQQAuthCA.crt\n      SSLVerifyClient require\n",
		"Not told:\n", "  server       apache (confidence medium: its Server header: Apache/2.4.62)\n", "a certificate of CN=TencentQQAuthCA\n",
	} {
		require.Contains(t, plain, part)
	}
	require.NotContains(t, plain, "PROBE")
	require.NotContains(t, plain, "\x1b")

	verbose := Render(report, Style{Verbose: true})
	require.Contains(t, verbose, "PROBE ")
	require.Contains(t, verbose, "platform, again")

	colored := Render(report, Style{Color: true})
	require.Contains(t, colored, "\x1b[31;1mNO")
	require.Equal(t, plain, strip(colored))
}

// strip takes the colours away.
func strip(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, text, _ = strings.Cut(after, "m")
	}
}

// requirePrintable: nothing that moves a cursor, rings or hides.
func requirePrintable(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U in %q", r, text)
	}
}

// TestHostileText: what the endpoint says reaches a terminal without its tricks.
func TestHostileText(t *testing.T) {
	w := newParties(t)
	const hostile = "\x1b[2J\x1b]0;owned\x07\r\nHealthy\u202e\u200b\xff"
	report := imagined(t, w, func(s *sight) {
		s.lead.Answer.header.Set("Server", hostile)
		s.answersWith(s.probes[1], 302, hostile)
		s.lead.Answer.Server = printable(hostile, 100)
		evil := w.ca(t, "\x1b[2J\aHealthy\u202e", party{})
		s.lead.caNames = append(s.lead.caNames, evil.certificate.RawSubject, []byte(hostile))
	}).report()
	require.Equal(t, 3, report.Asks.Names)
	requirePrintable(t, Render(report, Style{Verbose: true}))
}

func TestCompare(t *testing.T) {
	w := newParties(t)
	healthy := func() *Report { return imagined(t, w, nil).report() }
	opened := imagined(t, w, func(s *sight) { s.answers200(s.probes[1]) }).report()

	require.Empty(t, Compare(nil, healthy()))
	require.Empty(t, Compare(healthy(), healthy()), "times alone are no change")

	changes := Compare(healthy(), opened)
	require.Equal(t, []string{"refuses_strangers", "finding"}, whats(changes))
	require.Equal(t, Change{What: "finding", After: "not_required", Worse: true, Text: "new: The server asks for a certificate, but lets in who has none"}, changes[1])
	require.True(t, changes[0].Worse)
	require.Contains(t, changes[0].Text, "strangers are refused: was yes, is no: ")

	changes = Compare(opened, healthy())
	require.Equal(t, []string{"refuses_strangers", "finding"}, whats(changes))
	require.False(t, changes[0].Worse || changes[1].Worse)
	require.Equal(t, "gone: The server asks for a certificate, but lets in who has none", changes[1].Text)

	other := imagined(t, w, func(s *sight) {
		for _, p := range s.probes {
			p.served = p.served[:0:0]
			p.served = append(p.served, w.older.certificate)
			p.caNames = append(p.caNames, w.nextRoot.certificate.RawSubject)
			p.Address = "192.0.2.2"
		}
		s.lead.Answer.header.Set("Server", "nginx")
		s.lead.Answer.Server = "nginx"
		s.lead.Version, s.lead.Negotiated = "1.3", "1.3"
	}).report()
	require.Subset(t, whats(Compare(healthy(), other)), []string{"certificate", "server", "asks", "addresses", "versions", "finding"})
}

func whats(changes []Change) []string {
	list := []string{}
	for _, change := range changes {
		list = append(list, change.What)
	}
	return list
}
