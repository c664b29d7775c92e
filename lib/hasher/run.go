// SPDX-License-Identifier: GPL-2.0-or-later

package hasher

import (
	"context"
	"sync"

	"ezio/lib/piece"
)

// A job is one result on its way to fn.
type job struct {
	seq int // position in the run, which is the order of delivery
	res Result
}

// A line is where workers queue to read: one reads at a time, in order, so that the source sees one
// stream.
type line struct {
	mu   sync.Mutex
	fill func([]byte) (Result, bool)
	next int
	end  bool
}

// read fills buf with the next piece; more is false when there is none.
func (l *line) read(ctx context.Context, buf []byte) (j job, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end || ctx.Err() != nil {
		return job{}, false
	}
	j.seq = l.next
	l.next++
	j.res, more = l.fill(buf)
	l.end = !more
	return j, more
}

// run has workers read pieces by fill, one after the other, and hash them, side by side; fn gets the
// results in order, from the caller's goroutine. fill says more=false when there is nothing further.
// Whoever has read a piece hashes it: it is in that core's cache. With one worker more than cores
// somebody is free to read while all cores hash. Whatever ends the run, every goroutine has returned
// when run does.
func run(ctx context.Context, length int64, pieces int, opt Options, fill func([]byte) (Result, bool), fn func(Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	source := &line{fill: fill}
	nw := buffers(length, workers(opt), pieces)
	done := make(chan job, nw)

	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var working sync.WaitGroup
	for range nw {
		working.Go(func() { work(ctx, source, length, done) })
	}
	wg.Go(func() {
		working.Wait()
		close(done)
	})
	if err := deliver(ctx, done, fn); err != nil {
		return err
	}
	return ctx.Err()
}

func work(ctx context.Context, source *line, length int64, done chan<- job) {
	var buf []byte
	for {
		if buf == nil {
			buf = make([]byte, length)
		}
		j, more := source.read(ctx, buf)
		if !more {
			return
		}
		if j.res.Err == nil {
			j.res.Sum = piece.Sum(buf[:j.res.Bytes])
		}
		select {
		case done <- j:
		case <-ctx.Done():
			return
		}
	}
}

// deliver puts results back in order. What is kept of those that wait for an earlier one is their sum.
func deliver(ctx context.Context, done <-chan job, fn func(Result) error) error {
	waiting := map[int]Result{}
	next := 0
	for j := range done {
		waiting[j.seq] = j.res
		for {
			res, ok := waiting[next]
			if !ok {
				break
			}
			delete(waiting, next)
			next++
			if ctx.Err() != nil {
				continue // drain, so that the workers can end
			}
			if err := fn(res); err != nil {
				return err
			}
		}
	}
	return nil
}
