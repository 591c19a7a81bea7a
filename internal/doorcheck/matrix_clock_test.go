package doorcheck

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// TestWrongClocks runs servers that believe in another time.
func TestWrongClocks(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		off     string
		product Product
		row
	}{
		{off: "-2h", product: Apache, row: row{name: "Apache, two hours behind", admits: No, refuses: Unknown, codes: "clock_behind"}},
		{off: "-2h", product: Nginx, row: row{name: "nginx, two hours behind", admits: No, refuses: Unknown, codes: "clock_behind"}},
		{off: "-2h", product: HAProxy, row: row{name: "HAProxy, two hours behind", admits: No, refuses: Unknown, codes: "clock_behind"}},
		{off: "+30d", product: Apache, row: row{name: "Apache, a month ahead", admits: No, refuses: Unknown, codes: "clock_ahead"}},
		{off: "+4m", product: Nginx, row: row{name: "nginx, four minutes ahead", admits: Yes, refuses: Yes, codes: "clock_off"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The program faketime sets the environment in which every program believes in another time.
			for line := range strings.Lines(judge.Run(t, judge.Path(t, "faketime"), "-f", test.off, exec.Command("env").Path)) {
				if name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name == "LD_PRELOAD" || strings.HasPrefix(name, "FAKETIME") {
					t.Setenv(name, value)
				}
			}
			s := softwares[test.product]
			port := judge.FreePort(t)
			s.start(t, w, fill(s.base, w, port), port)
			found := test.check(t, w, port)
			test.expect(t, found)
			if test.product != HAProxy {
				require.NotNil(t, found.Clock)
				require.NotZero(t, found.Clock.SkewMS)
			}
		})
	}
}
