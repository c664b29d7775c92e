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

// read fills buffers with the next pieces, as many as there are of either, and says which. No more are
// to come when it is fewer than there are buffers.
func (l *line) read(ctx context.Context, buffers [][]byte, jobs []job) []job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, buf := range buffers {
		if l.end || ctx.Err() != nil {
			break
		}
		res, more := l.fill(buf)
		if l.end = !more; l.end {
			break
		}
		jobs = append(jobs, job{l.next, res})
		l.next++
	}
	return jobs
}

// run has workers read pieces by fill, one after the other, and hash them, side by side; fn gets the
// results in order, from the caller's goroutine. fill says more=false when there is nothing further.
// Whoever has read pieces hashes them: they are in that core's cache. With one worker more than cores
// somebody is free to read while all cores hash. Whatever ends the run, every goroutine has returned
// when run does.
func run(ctx context.Context, length int64, pieces int, opt Options, fill func([]byte) (Result, bool), fn func(Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	source := &line{fill: fill}
	nw, batch := opt.share(length, pieces)
	done := make(chan job, nw*batch)

	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var working sync.WaitGroup
	for range nw {
		working.Go(func() { work(ctx, source, length, batch, done) })
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

// work reads a batch of pieces and hashes them together, again and again.
func work(ctx context.Context, source *line, length int64, batch int, done chan<- job) {
	buffers := make([][]byte, batch)
	jobs := make([]job, 0, batch)
	sums := make([]piece.Hash, batch)
	data := make([][]byte, 0, batch)
	for i := range buffers {
		buffers[i] = make([]byte, length)
	}
	for {
		jobs, data = source.read(ctx, buffers, jobs[:0]), data[:0]
		for i, j := range jobs {
			if j.res.Err == nil {
				data = append(data, buffers[i][:j.res.Bytes])
			}
		}
		piece.Sums(sums[:len(data)], data)
		next := 0
		for _, j := range jobs {
			if j.res.Err == nil {
				j.res.Sum = sums[next]
				next++
			}
			select {
			case done <- j:
			case <-ctx.Done():
				return
			}
		}
		if len(jobs) < batch {
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
