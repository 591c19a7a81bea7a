package judge

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// family starts a shell with a child, and returns it with a channel that is closed when both are gone: they hold the write end of a pipe.
func family(t *testing.T, script string) (*Process, <-chan struct{}) {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command("sh", "-c", script)
	cmd.ExtraFiles = []*os.File{write}
	p := Start(t, "a shell", cmd, func() error { return nil })
	require.NoError(t, write.Close())
	require.NoError(t, p.await(func() error {
		if !strings.Contains(p.Output(), "ready") {
			return errors.New("the script has not come to its echo ready")
		}
		return nil
	}))
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, read)
		_ = read.Close()
		close(gone)
	}()
	return p, gone
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	p, gone := family(t, `trap 'echo bye; exit 3' TERM; sleep 600 & echo ready; wait`)
	err := p.Stop()
	<-gone
	require.EqualError(t, err, "exit status 3", "TERM came first, so the shell ended in good order")
	require.Contains(t, p.Output(), "bye")
	require.EqualError(t, p.Stop(), "exit status 3", "stopping twice tells the same")
}

func TestKill(t *testing.T) {
	p, gone := family(t, `trap '' TERM; sleep 600 & echo ready; wait`)
	require.EqualError(t, p.Kill(), "signal: killed")
	<-gone
}

func TestSignal(t *testing.T) {
	p, _ := family(t, `trap 'echo reloaded; exit 0' HUP; echo ready; while :; do sleep 0.01; done`)
	require.NoError(t, p.Signal(syscall.SIGHUP))
	<-p.Exited()
	require.NoError(t, p.Stop())
	require.Contains(t, p.Output(), "reloaded")
}

func TestProcessesEndWithTheirTest(t *testing.T) {
	var gone <-chan struct{}
	t.Run("inner", func(t *testing.T) {
		_, gone = family(t, `sleep 600 & echo ready; wait`)
	})
	<-gone
}

func TestStartErr(t *testing.T) {
	notReady := func() error { return errors.New("not ready") }

	_, err := StartErr(t, "a server", exec.Command("sh", "-c", "echo line 7: what is this >&2; exit 1"), notReady)
	require.ErrorContains(t, err, "a server: ended before it was ready: exit status 1")
	require.ErrorContains(t, err, "line 7: what is this")

	_, err = StartErr(t, "a server", exec.Command("true"), notReady)
	require.ErrorContains(t, err, "exit status 0", "one that detaches itself is no server we could end")

	_, err = StartErr(t, "a server", exec.Command("/nowhere/server"), notReady)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRun(t *testing.T) {
	require.Equal(t, "out\nerr\n", Run(t, "sh", "-c", "echo out; echo err >&2"))
	require.Equal(t, "given", RunInput(t, []byte("given"), "cat"))

	output, err := RunErr(t, "sh", "-c", "echo no; exit 4")
	require.EqualError(t, err, "exit status 4")
	require.Equal(t, "no\n", output)
}
