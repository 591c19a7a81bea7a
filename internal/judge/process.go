package judge

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 30 * time.Second // two busy cores under the race detector are slow; a healthy start takes a fraction of a second
	stopLimit  = 10 * time.Second // from TERM to KILL
)

// Process is a program that the test has started. It and everything that it starts end with the test.
type Process struct {
	Name string

	cmd    *exec.Cmd
	output string        // path of the file that takes both of its output streams
	exited chan struct{} // closed when the program itself has ended
	err    error         // how it ended; read after exited
}

// Start starts a program and waits until ready returns nil, at most 30 s. A program that ends before that, or that is never
// ready, fails the test with its output. cmd.Stdout and cmd.Stderr must be unset: Output has them.
func Start(t testing.TB, name string, cmd *exec.Cmd, ready func() error) *Process {
	t.Helper()
	p, err := StartErr(t, name, cmd, ready)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// StartErr is Start for a program that may refuse: the error then carries its own words, and nothing of it is left running.
func StartErr(t testing.TB, name string, cmd *exec.Cmd, ready func() error) (*Process, error) {
	t.Helper()
	p := &Process{Name: name, cmd: cmd, output: filepath.Join(t.TempDir(), "output"), exited: make(chan struct{})}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.Output())
		}
	})
	if err := p.await(ready); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w\n%s", name, err, p.Output())
	}
	return p, nil
}

func (p *Process) start() error {
	// A file, not a pipe: servers reopen /dev/stderr as their log, and a pipe that a grandchild holds would keep Wait waiting.
	output, err := os.OpenFile(p.output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = ownGroup(p.cmd.SysProcAttr)

	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread that started it ends, so this goroutine keeps its thread until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.exited)
		}
	}()
	return <-started
}

func (p *Process) await(ready func() error) error {
	limit := time.After(startLimit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended before it was ready: %w", p.ended())
		case <-limit:
			return fmt.Errorf("not ready after %v: %w", startLimit, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ended is how the program ended. A server that detaches itself ends with status 0, which is still no way to be ready.
func (p *Process) ended() error {
	if p.err == nil {
		return fmt.Errorf("exit status 0")
	}
	return p.err
}

// PID is the program's process id, and the id of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program alone: SIGHUP or SIGUSR1 to reload, say.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop ends the program in good order: TERM, after 10 s KILL, and KILL for whatever of its process group is left. It returns how the program
// ended, nil for status 0. Stopping what has ended does nothing more.
func (p *Process) Stop() error {
	for range 2 { // Apache forgets a TERM that arrives while it reloads
		_ = p.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return p.Kill()
		case <-time.After(stopLimit / 2):
		}
	}
	return p.Kill()
}

// Kill ends the program and its process group at once, as a loss of power would, and returns when it is gone.
func (p *Process) Kill() error {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.exited
	return p.err
}

// Output is what the program has printed so far, standard output and standard error together.
func (p *Process) Output() string {
	output, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(output)
}

// Listening is a ready function for Start: every address, host:port, accepts a connection.
func Listening(addrs ...string) func() error {
	return func() error {
		for _, addr := range addrs {
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return err
			}
			_ = conn.Close()
		}
		return nil
	}
}
