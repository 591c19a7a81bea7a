package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// keepOptions are the flags that both kinds of keeping have.
type keepOptions struct {
	once          bool
	interval      time.Duration
	reload, alarm string
}

func (o *keepOptions) addTo(cmd *cobra.Command, interval time.Duration) {
	flags := cmd.Flags()
	flags.BoolVar(&o.once, "once", false, "look once and end, for cron")
	flags.DurationVar(&o.interval, "interval", interval, "how long to wait between two looks")
	flags.StringVar(&o.reload, "reload", "", "the command (sh -c) that makes the server load what has changed: 'systemctl reload nginx'")
	flags.StringVar(&o.alarm, "alarm", "", "the command (sh -c) to run, once a day, when nothing newer is to be had and the end nears; $IMCA_ALARM says what")
}

const keepHelp = `

It runs until it is ended, or looks once with --once; then the exit code is 0 when all is well, 1 when something could not be written
or reloaded, 5 when nothing newer could be had (what is there stays), and 6 when what is there nears its end.`

// keptState is how what is kept stands after a look.
type keptState struct {
	changed string // what to say about a change; empty if there is none
	faults  []error
	alarm   string
	failed  error
}

// run looks again and again; or once.
func (o *keepOptions) run(ctx context.Context, p *program, look func(context.Context) keptState) error {
	if o.interval < time.Second {
		return usageError{errors.New("--interval: give a second or more")}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var alarmed time.Time
	said := ""
	for {
		state := look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if state.alarm != "" && (o.once || time.Since(alarmed) >= 24*time.Hour) {
			alarmed = time.Now()
			if !o.once { // then it is the error
				p.note("%s: %s", p.paint(bad, "ALARM"), state.alarm)
			}
			if o.alarm != "" {
				if err := shell(ctx, o.alarm, "IMCA_ALARM="+state.alarm); err != nil {
					p.note("the command of --alarm: %v", err)
				}
			}
		}
		if state.alarm == "" {
			alarmed = time.Time{}
		}
		if state.changed != "" {
			p.say("%s", state.changed)
		}
		if o.once {
			return state.exit()
		}
		// What stays wrong is said once, not every minute.
		if now := state.text(); now != said {
			if said = now; said != "" {
				p.note("%s", said)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.interval - rand.N(o.interval/10+1)): // not all machines at the same moment
		}
	}
}

func (s keptState) text() string {
	err := errors.Join(append([]error{s.failed}, s.faults...)...)
	if err == nil {
		return ""
	}
	return err.Error()
}

// exit is the error of a single look.
func (s keptState) exit() error {
	err := errors.Join(append([]error{s.failed}, s.faults...)...)
	switch {
	case s.alarm != "":
		return codedError{exitFindings, errors.New(s.alarm)}
	case s.failed != nil:
		return err
	case err != nil:
		return codedError{exitUnreachable, err}
	}
	return nil
}

// command is a shell command as keep wants it; nil for none.
func command(text string) func(context.Context) error {
	if text == "" {
		return nil
	}
	return func(ctx context.Context) error { return shell(ctx, text) }
}

// shell runs a command and returns what it said if it failed.
func shell(ctx context.Context, text string, environment ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Env = append(os.Environ(), environment...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", text, err, strings.TrimSpace(string(output)))
	}
	return nil
}
