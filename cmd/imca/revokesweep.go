package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/api"
)

// revocationSweep carries a revocation by search through its steps.
type revocationSweep struct {
	p     *program
	c     *api.Client
	parts []api.RevocationRequest // each with its confirmation, once it is counted
	total api.Revocations
}

// count makes the dry run of all parts.
func (s *revocationSweep) count(ctx context.Context) error {
	for i := range s.parts {
		req := s.parts[i]
		req.DryRun = true
		step, err := s.steps(ctx, req, func(step *api.Revocations) {
			s.total.First = append(s.total.First, step.First...)
			s.p.progress(fmt.Sprintf("Counting: %d …", s.total.Matched+step.Matched))
		})
		if err != nil {
			return err
		}
		s.parts[i].Confirm = step.Confirm
		s.total.Matched += step.Matched
		s.total.RevokedBefore += step.RevokedBefore
		s.total.Missing = append(s.total.Missing, step.Missing...)
	}
	s.total.First = s.total.First[:min(len(s.total.First), 20)]
	s.p.progress("")
	return nil
}

// revoke revokes what was counted.
func (s *revocationSweep) revoke(ctx context.Context) error {
	defer s.p.progress("")
	done := 0
	for _, req := range s.parts {
		step, err := s.steps(ctx, req, func(step *api.Revocations) {
			s.total.Revoked += step.Revoked
			s.p.progress(bar(done+step.Matched, s.total.Matched))
		})
		if err != nil {
			return err
		}
		done += step.Matched
	}
	return nil
}

// steps repeats a request until its end, and returns the last answer.
func (s *revocationSweep) steps(ctx context.Context, req api.RevocationRequest, each func(*api.Revocations)) (*api.Revocations, error) {
	for {
		step, err := patiently(ctx, func() (*api.Revocations, error) { return s.c.RevokeFound(ctx, req) })
		if err != nil {
			return nil, err
		}
		each(step)
		if req.Cursor = step.Next; step.Next == "" {
			return step, nil
		}
	}
}

// patiently repeats what the server asks to try again later, a few times. It is for requests that do no harm a second time.
func patiently[A any](ctx context.Context, ask func() (A, error)) (A, error) {
	for try := 1; ; try++ {
		answer, err := ask()
		var problem *api.Problem
		if try == 5 || !errors.As(err, &problem) || problem.RetryAfter == 0 {
			return answer, err
		}
		select {
		case <-time.After(problem.RetryAfter):
		case <-ctx.Done():
			return answer, ctx.Err()
		}
	}
}

// bar is a line of progress.
func bar(done, all int) string {
	const width = 40
	all = max(all, done, 1)
	full := width * done / all
	return fmt.Sprintf("Revoking [%s%s] %3d %%  %d of %d", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done/all, done, all)
}

// ask lets somebody at the terminal type how many certificates they mean.
func (s *revocationSweep) ask(open int) error {
	if !s.p.asked {
		return usageError{fmt.Errorf("this would revoke %d certificates; nothing was done: look at them with --dry-run, then say --yes", open)}
	}
	s.show()
	fmt.Fprintf(s.p.err, "\nRevoke %d certificates for %s? It cannot be taken back. Type %d to go on: ", open, s.parts[0].Reason, open)
	line, err := bufio.NewReader(s.p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(line) != strconv.Itoa(open) {
		return codedError{exitRefused, errors.New("that is not the number: nothing was revoked")}
	}
	return nil
}

func (s *revocationSweep) show() {
	if len(s.total.First) > 0 {
		certificateTable(s.p, s.total.First)
		if more := s.total.Matched - len(s.total.First); more > 0 {
			s.p.say("%s", s.p.paint(quiet, fmt.Sprintf("and %d more", more)))
		}
	}
	for _, serial := range s.total.Missing {
		s.p.note("%s: there is no such certificate.", serial)
	}
}

// report tells what was done, or how much there is to do.
func (s *revocationSweep) report(open int) error {
	if s.p.json {
		s.total.Next, s.total.Confirm = "", ""
		return s.p.encode(s.total)
	}
	if s.total.Revoked == 0 {
		s.show()
	}
	before := ""
	if n := s.total.RevokedBefore; n > 0 {
		before = fmt.Sprintf(" %d were revoked before.", n)
	}
	switch {
	case s.total.Revoked > 0:
		s.p.say("%s %d certificates for %s.%s", s.p.paint(bad, "Revoked"), s.total.Revoked, s.parts[0].Reason, before)
	case open > 0:
		s.p.say("%d certificates would be revoked.%s", open, before)
	default:
		s.p.say("Nothing to revoke.%s", before)
	}
	return nil
}

// readInput reads a file, or the standard input for "-".
func readInput(p *program, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(p.in)
	}
	return os.ReadFile(file)
}
