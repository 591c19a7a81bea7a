package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// held is a group whose rounds wait until they are let go; it answers each question with the number of its round.
type held struct {
	*group[int, int]
	begun  chan []int
	let    chan error
	rounds int
}

func newHeld(workers int) *held {
	h := &held{begun: make(chan []int), let: make(chan error)}
	var mu sync.Mutex
	h.group = newGroup(workers, func(round []*call[int, int]) {
		mu.Lock()
		h.rounds++
		n := h.rounds
		mu.Unlock()
		var questions []int
		for _, c := range round {
			questions = append(questions, c.question)
		}
		h.begun <- questions
		err := <-h.let
		for _, c := range round {
			c.answer, c.err = n, err
		}
	})
	return h
}

// TestGroupCollects: those who come while a round is on its way share the next one, and never join the one that has begun.
func TestGroupCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(1)
		answers := make([]int, 10)
		var all sync.WaitGroup
		ask := func(i int) {
			all.Go(func() {
				answer, err := h.do(context.Background(), i)
				require.NoError(t, err)
				answers[i] = answer
			})
			synctest.Wait()
		}
		ask(0)
		require.Equal(t, []int{0}, <-h.begun)
		for i := 1; i < 10; i++ {
			ask(i)
		}
		h.let <- nil
		require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, <-h.begun, "in the order in which they came")
		h.let <- nil
		all.Wait()
		require.Equal(t, []int{1, 2, 2, 2, 2, 2, 2, 2, 2, 2}, answers)
	})
}

func TestGroupBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(1)
		var all sync.WaitGroup
		for i := range 1 + maxRound + 1 {
			all.Go(func() { _, _ = h.do(context.Background(), i) })
			synctest.Wait()
			if i == 0 {
				<-h.begun
			}
		}
		h.let <- nil
		require.Len(t, <-h.begun, maxRound)
		h.let <- nil
		require.Len(t, <-h.begun, 1)
		h.let <- nil
		all.Wait()
	})
}

// TestGroupHelps: a second worker joins when a crowd waits, and not before.
func TestGroupHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(2)
		var all sync.WaitGroup
		for i := range crowd {
			all.Go(func() { _, _ = h.do(context.Background(), i) })
			synctest.Wait()
			if i == 0 {
				<-h.begun
			}
		}
		select {
		case <-h.begun:
			t.Fatal("helped too soon")
		default:
		}
		all.Go(func() { _, _ = h.do(context.Background(), crowd) })
		require.Len(t, <-h.begun, crowd)
		h.let <- nil
		h.let <- nil
		all.Wait()
	})
}

// TestGroupLeave: whoever leaves gets the context's error at once; the question is dropped if its round has not begun, and the round goes on.
func TestGroupLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(1)
		leave := func(i int) <-chan error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			left := make(chan error, 1)
			go func() {
				defer cancel()
				_, err := h.do(ctx, i)
				left <- err
			}()
			synctest.Wait()
			return left
		}
		first := leave(1)
		require.Equal(t, []int{1}, <-h.begun)
		second := leave(2)
		var stays sync.WaitGroup
		stays.Go(func() {
			_, err := h.do(context.Background(), 3)
			require.NoError(t, err)
		})
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, <-first, context.DeadlineExceeded)
		require.ErrorIs(t, <-second, context.DeadlineExceeded)
		h.let <- nil
		require.Equal(t, []int{3}, <-h.begun)
		h.let <- nil
		stays.Wait()
	})
}

// TestGroupClose: what was accepted is answered, with whatever comes of it; what comes later is refused.
func TestGroupClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(1)
		errs := make([]error, 3)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, errs[i] = h.do(context.Background(), i) })
			synctest.Wait()
			if i == 0 {
				<-h.begun
			}
		}
		closed := make(chan struct{})
		go func() {
			h.close()
			close(closed)
		}()
		synctest.Wait()
		_, err := h.do(context.Background(), 9)
		require.ErrorIs(t, err, ErrClosed)
		h.let <- nil
		<-h.begun
		select {
		case <-closed:
			t.Fatal("closed before the last round was answered")
		default:
		}
		full := errors.New("disk full")
		h.let <- full
		<-closed
		all.Wait()
		require.Equal(t, []error{nil, full, full}, errs)
	})
}
