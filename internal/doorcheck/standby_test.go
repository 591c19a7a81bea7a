package doorcheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// TestEachStandbyIsToldApart: of two that stand by, the lines that mend are about the one that is not let in.
func TestEachStandbyIsToldApart(t *testing.T) {
	w := newWorld(t)
	port := judge.FreePort(t)
	goRow{}.start(t, w, addr(port))
	found := row{alter: func(c *Config, target *Target, w *world) {
		withIntermediate(c, target, w)
		withNext(c, target, w)
		c.RootsURL = "http://ca.example.com/ca/clients.pem"
	}}.check(t, w, port)
	require.Equal(t, Healthy, found.Summary)
	require.Len(t, found.Standbys, 2)
	require.Equal(t, []any{caName + "-Issuing", AsIntermediate, Yes}, []any{found.Standbys[0].Authority, found.Standbys[0].Kind, found.Standbys[0].Answer})
	require.Equal(t, []any{caName + "-G2", AsNextRoot, No}, []any{found.Standbys[1].Authority, found.Standbys[1].Kind, found.Standbys[1].Answer})
	finding := found.Finding("next_root_refused")
	require.NotNil(t, finding)
	require.Equal(t, High, finding.Confidence, "the names in the handshake tell")
	require.Contains(t, finding.Advice, "http://ca.example.com/ca/clients.pem always holds")
	require.Contains(t, strings.Join(finding.Evidence, "\n"), fingerprint(w.nextRoot.certificate))
	for _, mend := range finding.Mends {
		require.NotRegexp(t, `\{[a-z]+\}`, strings.Join(mend.Lines, "\n"), mend.Server)
		require.NotContains(t, strings.Join(mend.Lines, "\n"), caName+"-Issuing", mend.Server)
	}
	shown := Render(found, Style{})
	require.Regexp(t, "ready for "+caName+"-G2 +NO", shown)
	require.Regexp(t, "ready for "+caName+"-Issuing +yes", shown)

	var changes []string
	for _, c := range Compare(&Report{Standbys: []Readiness{{Authority: caName + "-G2", Verdict: Verdict{Answer: Yes}}}}, found) {
		if c.What == "ready" {
			require.Equal(t, c.After == "no", c.Worse)
			changes = append(changes, c.Text)
		}
	}
	require.Len(t, changes, 2)
}

// TestStandbysOfADoorThatTellsNothing are unknown, not unready.
func TestStandbysOfADoorThatTellsNothing(t *testing.T) {
	w := newParties(t)
	for name, change := range map[string]func(*sight){
		"it is closed to the platform today": alerts(alertUnknownCA),
		"it was not tried":                   func(s *sight) {},
	} {
		s := imagined(t, w, func(s *sight) {
			target := Target{}
			withNext(&s.Config, &target, w)
			if name != "it was not tried" {
				p := s.standbys(s.lead)[0]
				p.Stage, p.Failure, p.Alert = StageRequest, AlertCame, &Alert{Code: alertUnknownCA}
				s.probes = append(s.probes, p)
			}
			change(s)
		})
		report := s.report()
		require.Equal(t, Unknown, report.Standbys[0].Answer, name)
		require.Nil(t, report.Finding("next_root_refused"), name)
	}
}
