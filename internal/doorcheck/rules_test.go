package doorcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// imagined is a sight made by hand: a check in which the platform was admitted and everyone else refused, as change leaves it.
func imagined(t *testing.T, w *world, change func(s *sight)) *sight {
	t.Helper()
	target, err := parseTarget("https://www.example.com/callback")
	require.NoError(t, err)
	c := &caller{Config: w.config().withDefaults(), endpoint: target, protocol: http1}
	require.NoError(t, c.dress())
	s := &sight{caller: c, started: c.Now()}
	for _, role := range []Role{AsPlatform, AsNobody, AsStranger, AsImpostor, AsDeveloper, AsExpired} {
		p := c.newProbe(role, netip.MustParseAddr("192.0.2.1"))
		p.Stage, p.Asked, p.Verified, p.Negotiated = StageRequest, true, true, "1.3"
		p.Failure, p.Alert = AlertCame, &Alert{Code: alertUnknownCA, Name: "unknown_ca"}
		p.caNames, p.served = [][]byte{w.root.certificate.RawSubject}, append(p.served, w.server.certificate)
		s.probes = append(s.probes, p)
	}
	s.lead = s.probes[0]
	s.answers200(s.lead)
	again := s.lead.once()
	s.answers200(again)
	s.probes = append(s.probes, again)
	for _, p := range s.probes {
		p.Name = p.name(false)
	}
	if change != nil {
		change(s)
	}
	s.look(context.Background())
	return s
}

func (s *sight) answers200(p *Probe) { s.answersWith(p, 200, `{"ActionStatus":"OK"}`) }

func (s *sight) answersWith(p *Probe, status int, body string) {
	p.Stage, p.Failure, p.Alert = StageAnswer, NoFailure, nil
	p.Answer = newAnswer(&http.Response{StatusCode: status, Header: http.Header{}}, []byte(body), s.Now())
}

// alerts has the platform refused with an alert, and the others with theirs.
func alerts(code uint8, others ...uint8) func(*sight) {
	return func(s *sight) {
		refused := func(p *Probe, code uint8) {
			p.Stage, p.Failure, p.Alert, p.Answer = StageRequest, AlertCame, &Alert{Code: code, Name: alertNames[code]}, nil
		}
		refused(s.lead, code)
		for i, other := range others { // none, stranger, impostor, developer, expired
			refused(s.probes[i+1], other)
		}
	}
}

func with(changes ...func(*sight)) func(*sight) {
	return func(s *sight) {
		for _, change := range changes {
			change(s)
		}
	}
}

func noNames(s *sight) {
	for _, p := range s.probes {
		p.caNames = nil
	}
}

func unasked(s *sight) {
	for _, p := range s.probes {
		p.Asked, p.caNames = false, nil
	}
}

// TestRules judges what no server of the matrix does, from what is known of servers that do.
func TestRules(t *testing.T) {
	w := newParties(t)
	for _, test := range []struct {
		name            string
		change          func(*sight)
		admits, refuses Answer
		codes           string
	}{
		{"nothing wrong", nil, Yes, Yes, ""},
		{"an answer in time, but not in good time", func(s *sight) { s.lead.AnswerMS = s.Budget.Milliseconds() * 2 / 3 }, Yes, Yes, "near_budget"},
		{"Java with an empty trust store", with(noNames, alerts(alertInternalError)), No, Unknown, "trust_store_empty"},
		{"a missing certificate, although it was sent", alerts(alertCertificateRequired), No, Unknown, "certificate_lost"},
		{"the platform is held for revoked", alerts(alertCertificateRevoked, alertCertificateRequired, alertUnknownCA, alertUnknownCA, alertUnsupportedCertificate),
			No, Unknown, "platform_revoked"},
		{"no list, nor another developer to compare with", with(alerts(alertUnknownCA), func(s *sight) { s.probes = slices.Delete(s.probes, 4, 5) }), No, Unknown,
			"ca_stale revocation_list_missing"},
		{"expired list, time unknown", alerts(alertCertificateUnknown, alertCertificateRequired, alertUnknownCA, alertUnknownCA, alertUnsupportedCertificate), No, Unknown,
			"revocation_list_expired"},
		{"clock ahead or list expired", alerts(alertCertificateExpired), No, Unknown, "clock_ahead revocation_list_expired"},
		{"an alert without a cause", alerts(alertAccessDenied), No, Unknown, "platform_refused"},
		{"not asked, and 403", with(unasked, func(s *sight) {
			s.answersWith(s.lead, 403, "no")
			s.answersWith(s.probes[1], 403, "no")
		}), No, Unknown, "asked_too_late"},
		{"IIS asks after the handshake", with(unasked, func(s *sight) { s.answersWith(s.lead, 403, "HTTP Error 403.7 - Forbidden") }), No, Unknown, "asked_too_late"},
		{"a site without a certificate for the name", func(s *sight) {
			alerts(alertUnrecognizedName)(s)
			s.lead.Stage, s.lead.served, s.lead.Asked = StageHello, nil, false
		}, No, Unknown, "no_site"},
		{"a certificate that cannot be read", func(s *sight) {
			s.lead.Stage, s.lead.Failure, s.lead.Answer, s.lead.served, s.lead.Error = StageHandshake, WeHungUp, nil, nil, "x509: malformed certificate"
		}, No, Unknown, "unreadable_certificate"},
		{"a reset in the handshake", func(s *sight) { s.lead.Stage, s.lead.Failure, s.lead.Answer = StageHandshake, ResetByServer, nil }, No, Unknown, "cut_off"},
		{"this machine has no way there", func(s *sight) { s.lead.Stage, s.lead.Failure, s.lead.Answer = StageDial, NoRoute, nil }, Unknown, Unknown, ""},
		{"a chain that breaks a rule", func(s *sight) {
			odd := w.server0(t, w.root, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			})
			for _, p := range s.probes {
				p.served, p.Verified = []*x509.Certificate{odd.certificate}, false
			}
		}, No, Yes, "chain_refused"},
		{"nobody is sent to a login", func(s *sight) { s.answersWith(s.probes[1], 302, "") }, Yes, Yes, ""},
		{"nobody is told that nothing is here", func(s *sight) { s.answersWith(s.probes[1], 404, "") }, Yes, Yes, ""},
		{"nobody calls too often", func(s *sight) { s.answersWith(s.probes[1], 429, "") }, Yes, Unknown, ""},
		{"nobody gets more than the platform", func(s *sight) {
			s.answersWith(s.lead, 404, "")
			s.answersWith(s.probes[1], 200, "sorry")
		}, Yes, Unknown, "path_unknown"},
		{"nobody gets in where the platform is refused", func(s *sight) {
			s.answersWith(s.lead, 400, "The SSL certificate error")
			s.answersWith(s.probes[1], 200, "ok")
		}, No, No, "not_required revocation_list_expired"},
		{"an overloaded server answers nobody", func(s *sight) { s.answersWith(s.probes[1], 503, "") }, Yes, Unknown, ""},
		{"nobody gets no answer", func(s *sight) { s.probes[1].Failure, s.probes[1].Alert = TimedOut, nil }, Yes, Unknown, ""},
		{"nobody cannot connect any more", func(s *sight) { s.probes[1].Stage, s.probes[1].Failure, s.probes[1].Alert = StageDial, DialFailed, nil }, Yes, Unknown, ""},
		{"the check ended early", func(s *sight) { s.probes = s.probes[:2] }, Yes, Unknown, ""},
		{"we cannot go on, nobody knows why", func(s *sight) {
			s.lead.Stage, s.lead.Failure, s.lead.Answer, s.lead.Asked = StageHandshake, WeHungUp, nil, false
		}, No, Unknown, "not_admitted"},
		{"a stranger without having been asked", func(s *sight) {
			unasked(s)
			s.answers200(s.probes[2])
		}, Yes, No, "strangers_admitted"},
		{"the same 404 for everyone", func(s *sight) {
			for _, p := range s.probes {
				s.answersWith(p, 404, "not here")
			}
		}, Yes, Unknown, "path_unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := imagined(t, w, test.change).report()
			row{admits: test.admits, refuses: test.refuses, codes: test.codes}.expect(t, report)
		})
	}
}

// TestNoFalseVerdict throws outcomes together at random. Whatever they are: strangers count as refused only if each of them was while the platform
// was admitted, a stranger who got the platform's answer counts as admitted, and no bad verdict stands without a finding.
func TestNoFalseVerdict(t *testing.T) {
	w := newParties(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		s := imagined(t, w, func(s *sight) {
			for _, p := range s.probes {
				s.anything(random, p)
			}
		})
		r := s.report()
		again := s.leadAgain()
		for _, p := range s.probes {
			stranger := slices.Contains(s.strangers(), p.Certificate)
			entered := p.Answer != nil && p.Answer.Status == 200 && s.lead.Answer != nil && p.Answer.digest == s.lead.Answer.digest && s.lead.Answer.Status == 200
			if stranger && entered {
				require.Equal(t, No, r.RefusesStrangers.Answer, "%s", Render(r, Style{Verbose: true}))
			}
			if r.RefusesStrangers.Answer == Yes {
				require.True(t, !stranger || p.Outcome == Refused, "%s", Render(r, Style{Verbose: true}))
				require.True(t, s.lead.Answer != nil && again.Answer != nil)
			}
		}
		if r.AdmitsPlatform.Answer == Yes {
			require.NotNil(t, s.lead.Answer)
			require.True(t, s.lead.Verified)
		}
		bad := r.AdmitsPlatform.Answer == No || r.RefusesStrangers.Answer == No
		require.Equal(t, bad, bad && slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Fault }), "%s", Render(r, Style{Verbose: true}))
		requirePrintable(t, Render(r, Style{Verbose: true}))
	}
}

// anything lets a probe end somehow.
func (s *sight) anything(random *rand.Rand, p *Probe) {
	p.Asked = random.IntN(4) > 0
	p.Answer, p.Alert, p.Failure = nil, nil, NoFailure
	switch random.IntN(4) {
	case 0:
		s.answersWith(p, []int{200, 200, 200, 204, 302, 400, 401, 403, 404, 421, 495, 500, 502}[random.IntN(13)], []string{"", "ok", "No required SSL certificate was sent"}[random.IntN(3)])
	case 1:
		s.answers200(p)
	case 2:
		p.Stage, p.Failure = []Stage{StageHello, StageHandshake, StageRequest}[random.IntN(3)], AlertCame
		code := []uint8{40, 42, 43, 44, 45, 46, 48, 49, 51, 70, 80, 112, 116, 120}[random.IntN(14)]
		p.Alert = &Alert{Code: code, Name: alertNames[code]}
	default:
		p.Stage = []Stage{StageDial, StageHello, StageHandshake, StageRequest}[random.IntN(4)]
		p.Failure = []Failure{TimedOut, ResetByServer, ClosedByServer, WeHungUp, NotHTTP, BadKey, AsksAgain, NotTLS, PlainHTTP}[random.IntN(9)]
		if p.Stage == StageDial {
			p.Failure = []Failure{DialFailed, DialGuarded, NoRoute}[random.IntN(3)]
		}
	}
}

// TestEveryRuleIsJudged: each rule is found by a configuration of the matrix or by a sight of TestRules, and says what to do.
func TestEveryRuleIsJudged(t *testing.T) {
	w := newParties(t)
	var judged []string
	for _, rows := range [][]row{apacheRows, nginxRows, haproxyRows, caddyRows, nodeRows, tomcatRows} {
		for _, r := range rows {
			judged = append(judged, sorted(r.codes)...)
		}
	}
	for _, r := range goRows(t, w) {
		judged = append(judged, sorted(r.codes)...)
	}
	elsewhere := strings.Fields("addresses_differ open_by_address address_down clock_behind clock_ahead clock_off " + // TestAddresses, TestWrongClocks
		"near_budget not_admitted strangers_admitted trust_store_empty certificate_lost platform_revoked platform_refused no_site unreadable_certificate chain_refused") // TestRules
	judged = append(judged, elsewhere...)

	codes := map[string]bool{}
	for _, r := range rules {
		require.False(t, codes[r.code], "%s stands twice", r.code)
		require.Contains(t, judged, r.code)
		require.NotEmpty(t, r.title)
		require.NotEmpty(t, r.advice, r.code)
		for _, code := range r.unless {
			require.True(t, codes[code], "%s gives way to %s, which does not stand before it", r.code, code)
		}
		codes[r.code] = true
	}
	for _, code := range judged {
		require.True(t, codes[code], "%s is no rule", code)
	}
}

// TestConfigurations counts them: the matrix may grow, not shrink.
func TestConfigurations(t *testing.T) {
	count := len(apacheRows) + len(nginxRows) + len(haproxyRows) + len(caddyRows) + len(nodeRows) + len(tomcatRows) + len(goRows(t, newParties(t)))
	require.GreaterOrEqual(t, count, 150)
}

func TestSummaries(t *testing.T) {
	for _, test := range []struct {
		admits, refuses Answer
		severity        Severity
		summary         Summary
		code            int
	}{
		{Yes, Yes, Note, Healthy, 0},
		{Yes, Yes, Warning, Healthy, 0},
		{Yes, Yes, Fault, Faulty, 14},
		{Yes, No, Fault, Open, 11},
		{Unknown, No, Fault, Open, 11},
		{No, No, Fault, Wrong, 12},
		{No, Yes, Fault, LockedOut, 10},
		{No, Unknown, Fault, LockedOut, 10},
		{Yes, Unknown, Note, Undecided, 13},
		{Unknown, Unknown, Note, Undecided, 13},
		{Unknown, Yes, Note, Undecided, 13},
	} {
		r := &Report{AdmitsPlatform: Verdict{Answer: test.admits}, RefusesStrangers: Verdict{Answer: test.refuses}, Findings: []Finding{{Severity: test.severity}}}
		r.Summary = summarize(r)
		require.Equal(t, test.summary, r.Summary, "%+v", test)
		require.Equal(t, test.code, r.ExitCode(), "%+v", test)
	}
}

func TestAlertOf(t *testing.T) {
	for code, name := range alertNames {
		err := &opError{op: "remote error", alert: tls.AlertError(code)}
		alert, ours := alertOf(err.wrapped())
		require.Equal(t, &Alert{Code: code, Name: name}, alert)
		require.False(t, ours)
	}
	alert, ours := alertOf((&opError{op: "local error", alert: 100}).wrapped())
	require.Equal(t, uint8(100), alert.Code)
	require.True(t, ours)
	alert, _ = alertOf(fmt.Errorf("something else: %w", context.DeadlineExceeded))
	require.Nil(t, alert)
}

func TestRecogniseServers(t *testing.T) {
	w := newParties(t)
	for _, test := range []struct {
		header, value string
		product       Product
		front         string
	}{
		{"Server", "Apache/2.4.62 (Unix)", Apache, ""},
		{"Server", "Apache-Coyote/1.1", Tomcat, ""},
		{"Server", "openresty/1.25.3.1", Nginx, ""},
		{"Server", "Microsoft-IIS/10.0", IIS, ""},
		{"Server", "Jetty(12.0.1)", Tomcat, ""},
		{"Server", "awselb/2.0", LoadBalancer, ""},
		{"Server", "something of our own", Unrecognised, ""},
		{"Cf-Ray", "8f", Unrecognised, "Cloudflare"},
		{"Via", "1.1 varnish", Unrecognised, "a proxy"},
		{"X-Powered-By", "Express", Node, ""},
	} {
		s := imagined(t, w, func(s *sight) {
			s.lead.Answer.header.Set(test.header, test.value)
			s.lead.Answer.Server = s.lead.Answer.header.Get("Server")
		})
		require.Equal(t, test.product, s.server.Product, test.value)
		require.Equal(t, test.front, s.server.Front, test.value)
	}
}

func TestExpiresSoon(t *testing.T) {
	w := newParties(t)
	at := func(left time.Duration) *Report {
		return imagined(t, w, func(s *sight) {
			s.Issued = nil
			s.Config.Now = func() time.Time { return w.server.certificate.NotAfter.Add(-left) }
		}).report()
	}
	require.Nil(t, at(15*24*time.Hour).Finding("expires_soon"))
	require.NotNil(t, at(13*24*time.Hour).Finding("expires_soon"))
	require.NotNil(t, at(0).Finding("expires_soon"), "the last second is valid")
	require.NotNil(t, at(-time.Second).Finding("served_expired"))
}

// opError makes errors as crypto/tls does.
type opError struct {
	op    string
	alert tls.AlertError
}

func (e *opError) wrapped() error {
	return fmt.Errorf("asking: %w", &net.OpError{Op: e.op, Err: e.alert})
}

// A server that fetched its revocation list before the certificate was revoked is not called one that has none.
func TestLatelyRevoked(t *testing.T) {
	w := newParties(t)
	for _, test := range []struct {
		age  time.Duration
		want Answer
		how  Confidence
	}{{0, Unknown, Medium}, {59 * time.Minute, Unknown, Medium}, {time.Hour, No, High}} {
		s := imagined(t, w, func(s *sight) {
			s.Canaries.RevokedAt = s.started.Add(-test.age)
			p := s.newProbe(AsRevoked, s.lead.address)
			p.Asked, p.Verified, p.Negotiated = true, true, "1.3"
			s.answers200(p)
			s.probes = append(s.probes, p)
		})
		r := s.report()
		require.Equal(t, test.want, r.RefusesRevoked.Answer, test.age)
		require.Equal(t, test.how, r.Finding("revocation_not_checked").Confidence)
		require.Equal(t, Warning, r.Finding("revocation_not_checked").Severity)
	}
}
