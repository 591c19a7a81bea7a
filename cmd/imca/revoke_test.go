package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
)

// At a terminal, only the number of the certificates itself is a yes.
func TestRevokingIsConfirmed(t *testing.T) {
	for answer, yes := range map[string]bool{"12\n": true, " 12 ": true, "y\n": false, "": false, "13\n": false, "yes\n": false} {
		t.Run(fmt.Sprintf("%q", answer), func(t *testing.T) {
			var out, err bytes.Buffer
			s := &revocationSweep{p: &program{in: strings.NewReader(answer), out: &out, err: &err, asked: true}, parts: []api.RevocationRequest{{Reason: "superseded"}}}
			got := s.ask(12)
			require.Contains(t, err.String(), "Revoke 12 certificates for superseded?")
			if yes {
				require.NoError(t, got)
			} else {
				require.Equal(t, exitRefused, exitCode(got))
			}
		})
	}
}

func TestBar(t *testing.T) {
	require.Equal(t, "Revoking ["+strings.Repeat(".", 40)+"]   0 %  0 of 100", bar(0, 100))
	require.Equal(t, "Revoking ["+strings.Repeat("#", 20)+strings.Repeat(".", 20)+"]  50 %  50 of 100", bar(50, 100))
	require.Equal(t, "Revoking ["+strings.Repeat("#", 40)+"] 100 %  120 of 120", bar(120, 100))
}
