package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes, as 'imca help exit-codes' tells them.
const (
	exitDone        = 0
	exitFault       = 1
	exitUsage       = 2
	exitRefused     = 3
	exitToken       = 4
	exitUnreachable = 5
	exitFindings    = 6
)

const exitCodes = `Every command ends with one of these codes:

  0  done
  1  something failed: on this machine (a file cannot be written), or inside the server
  2  the command line or the configuration is wrong
  3  the server understood the request and refuses it: the message says why
  4  no token, or none that may do this
  5  no server was reached, it is not the one that was expected (TLS), or it is not ready
  6  'imca doctor' or 'imca inspect' found something that is not as it should be, or what 'keep' keeps nears its end
  10 to 14: what 'imca check' found, see 'imca check --help'; 13, it could not be told, is also of 'imca inspect'`

func newExitCodes() *cobra.Command {
	// Without a Run it is a topic of 'imca help', not a command.
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodes}
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// codedError is an error with an exit code of its own.
type codedError struct {
	code int
	error
}

func (e codedError) Unwrap() error { return e.error }

// exitCode is how the program ends after an error.
func exitCode(err error) int {
	var (
		usage usageError
		coded codedError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFault
}

// run runs a command line and returns its exit code.
func run(args []string, p *program) int {
	root := newRoot(p)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err != nil && err.Error() != "" { // doctor has said it all
		p.complain(err)
	}
	return exitCode(err)
}

// complain prints an error as one block: what is wrong, then the details below it.
func (p *program) complain(err error) {
	if p.json {
		text, _ := json.Marshal(map[string]any{"error": err.Error(), "exit_code": exitCode(err)})
		fmt.Fprintf(p.err, "%s\n", text)
		return
	}
	first, rest, _ := strings.Cut(strings.TrimRight(err.Error(), "\n"), "\n")
	fmt.Fprintf(p.err, "imca: %s\n", first)
	for line := range strings.Lines(rest) {
		fmt.Fprintf(p.err, "  %s", line)
	}
	if rest != "" {
		fmt.Fprintln(p.err)
	}
}
