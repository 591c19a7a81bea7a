package main

import (
	"bytes"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/issuer"
)

func TestTableAlignsWithAndWithoutColour(t *testing.T) {
	rows := [][]cell{{{"valid", good}, {"münchen.example", ""}, {"a", ""}}, {{"revoked", bad}, {"b", ""}, {"–", ""}}}
	var plain, coloured bytes.Buffer
	(&program{out: &plain}).table([]string{"STATUS", "NAME", "APP"}, rows)
	require.Equal(t, ""+
		"STATUS   NAME             APP\n"+
		"valid    münchen.example  a\n"+
		"revoked  b                –\n", plain.String())
	(&program{out: &coloured, colour: true}).table([]string{"STATUS", "NAME", "APP"}, rows)
	require.Contains(t, coloured.String(), "\x1b[32mvalid\x1b[0m    münchen.example  a\n", "colours take no room")
}

func TestQuotedIsOneWordOfAShell(t *testing.T) {
	for _, text := range []string{"imca-data", "/tmp/my data/x", "it's", `$HOME "x" \y`, "a;b", "", "ü"} {
		output, err := exec.Command("sh", "-c", "printf %s "+quoted(text)).Output()
		require.NoError(t, err)
		require.Equal(t, text, string(output))
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	require.Equal(t, "2027-01-23T18:00:00Z", moment("30d", false, now))
	require.Equal(t, "2026-12-17T18:00:00Z", moment("7d", true, now))
	require.Equal(t, "2026-12-31", moment("2026-12-31", false, now))
	require.Equal(t, "soon", moment("soon", false, now))
}

// The defaults stand in the configuration, for its documentation, and in the issuer, for those who have no configuration.
func TestDefaultProfilesAgree(t *testing.T) {
	s := &settings{Config: config.Default()}
	var faults config.Faults
	s.read(&faults)
	require.Empty(t, faults)
	require.Equal(t, issuer.DefaultProfiles(), s.profiles)
}
