package judge

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Run runs a program to its end and returns what it printed, standard output and standard error together. A status other
// than 0 fails the test with that output; a program that is not installed is treated as by Need.
func Run(t testing.TB, tool string, args ...string) string {
	t.Helper()
	return RunInput(t, nil, tool, args...)
}

// RunInput is Run with the bytes that the program reads from standard input.
func RunInput(t testing.TB, input []byte, tool string, args ...string) string {
	t.Helper()
	output, err := run(t, input, tool, args)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, output)
	}
	return output
}

// RunErr is Run for a program that may refuse: its error is returned, not fatal.
func RunErr(t testing.TB, tool string, args ...string) (output string, err error) {
	t.Helper()
	return run(t, nil, tool, args)
}

func run(t testing.TB, input []byte, tool string, args []string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Path(t, tool), args...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.CombinedOutput()
	return string(output), err
}
