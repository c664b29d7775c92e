// SPDX-License-Identifier: GPL-2.0-or-later

package hasher

import (
	"context"
	"sync"

	"ezio/lib/piece"
)

// A job is one filled buffer on its way to a worker, and after it one result on its way to fn.
type job struct {
	seq int // position in the run, which is the order of delivery
	buf []byte
	res Result
}

// run moves buffers round: fill (one goroutine, in order) -> workers -> fn (the caller, in order)
// -> fill again. fill says more=false when there is nothing further. Whatever ends the run, every
// goroutine has returned when run does.
func run(ctx context.Context, length int64, pieces int, opt Options, fill func([]byte) (Result, bool), fn func(Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	nw := workers(opt)
	nb := buffers(length, nw, pieces)
	free := make(chan []byte, nb)
	jobs := make(chan job, nb)
	done := make(chan job, nb)
	for range nb {
		free <- nil // allocated at first use: a small source never needs them all
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(jobs)
		read(ctx, length, free, jobs, fill)
	})
	var hashing sync.WaitGroup
	for range nw {
		hashing.Go(func() {
			for j := range jobs {
				if j.res.Err == nil {
					j.res.Sum = piece.Sum(j.buf[:j.res.Bytes])
				}
				done <- j // never blocks: as many slots as buffers
			}
		})
	}
	wg.Go(func() {
		hashing.Wait()
		close(done)
	})
	if err := deliver(ctx, free, done, fn); err != nil {
		return err
	}
	return ctx.Err()
}

func read(ctx context.Context, length int64, free chan []byte, jobs chan<- job, fill func([]byte) (Result, bool)) {
	for seq := 0; ; seq++ {
		var buf []byte
		select {
		case <-ctx.Done():
			return
		case buf = <-free:
		}
		if ctx.Err() != nil {
			return
		}
		if buf == nil {
			buf = make([]byte, length)
		}
		res, more := fill(buf)
		if !more {
			return
		}
		jobs <- job{seq: seq, buf: buf, res: res}
	}
}

// deliver puts results back in order. Results that wait for an earlier one hold their buffer no
// longer than needed: a sum is all that is kept of them.
func deliver(ctx context.Context, free chan<- []byte, done <-chan job, fn func(Result) error) error {
	waiting := map[int]Result{}
	next := 0
	for j := range done {
		free <- j.buf
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
