// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ezio/lib/sha1lanes"
	"ezio/lib/store"
)

// writers are the pools that verify whole pieces and write them to the disk. Verifiers, one a core, take
// several pieces at once where they wait or follow each other fast. Of writers there is one, which the
// kernel's cache keeps up with: writes to one file would only wait for each other. Where it does not,
// because the disk makes it wait, others join in.
type writers struct {
	s     *Swarm
	batch int // pieces that are verified together at most

	// Pieces, at most the memory's budget in both.
	queue chan int
	right chan received
	extra atomic.Int64 // writers beyond the first

	gathering sync.Mutex
	gap       atomic.Int64 // between pieces that become whole, in nanoseconds, smoothed
	last      time.Time    // when one did; the loop's
}

// received is a verified piece, its data and who sent it.
type received struct {
	store.Verified
	data []byte
	from contributors
	at   time.Time // since when it waits to be written
}

const (
	maxWriters = 8
	behind     = 20 * time.Millisecond // a piece that waited so long calls for another writer
)

func newWriters(s *Swarm) *writers {
	w := &writers{
		s:     s,
		batch: max(1, min(sha1lanes.Width(), s.mem.budget/4)), // there must be buffers to receive into
		queue: make(chan int, s.mem.budget+1),
		right: make(chan received, s.mem.budget+1),
	}
	w.gap.Store(int64(time.Hour))
	return w
}

func (w *writers) start() {
	cores := runtime.GOMAXPROCS(0)
	for range min(8, cores) {
		w.s.wg.Go(w.verify)
	}
	w.s.wg.Go(w.write)
}

// put never blocks: a piece in the queue holds one of the memory's buffers.
func (w *writers) put(piece int, now time.Time) {
	if !w.last.IsZero() {
		w.gap.Store((w.gap.Load() + int64(min(now.Sub(w.last), time.Second))) / 2)
	}
	w.last = now
	w.queue <- piece
}

// A piece waits for others to be verified with only while they come so fast that there soon are some,
// and not for long: on a link of gigabits some megabytes' time.
const (
	fastGap = 2 * time.Millisecond
	maxWait = 5 * time.Millisecond
)

// gather appends the pieces to be verified next to batch, at least one. It is false when the swarm closes.
func (w *writers) gather(batch []int) ([]int, bool) {
	w.gathering.Lock()
	defer w.gathering.Unlock()
	select {
	case <-w.s.ctx.Done():
		return nil, false
	case i := <-w.queue:
		batch = append(batch, i)
	}
	enough := time.NewTimer(w.patience())
	defer enough.Stop()
	for len(batch) < w.batch {
		select { // those that are here, whether the time is up or not
		case i := <-w.queue:
			batch = append(batch, i)
			continue
		default:
		}
		select {
		case i := <-w.queue:
			batch = append(batch, i)
		case <-enough.C:
			return batch, true
		case <-w.s.ctx.Done():
			return nil, false
		}
	}
	return batch, true
}

// patience is how long a piece may wait for others.
func (w *writers) patience() time.Duration {
	gap := time.Duration(w.gap.Load())
	if gap > fastGap {
		return 0
	}
	return min(maxWait, gap*time.Duration(w.batch))
}

func (w *writers) verify() {
	pieces := make([]int, 0, w.batch)
	data := make([][]byte, w.batch)
	from := make([]contributors, w.batch)
	for {
		var ok bool
		if pieces, ok = w.gather(pieces[:0]); !ok {
			return
		}
		for k, i := range pieces {
			data[k], from[k] = w.s.mem.data(i)
		}
		right, errs := w.s.store.Verify(pieces, data[:len(pieces)])
		now := time.Now()
		for k, i := range pieces {
			if errs[k] != nil {
				w.done(i, data[k], from[k], errs[k])
				continue
			}
			w.right <- received{right[0], data[k], from[k], now} // there is room for all
			right = right[1:]
		}
	}
}

func (w *writers) write() {
	for {
		select {
		case <-w.s.ctx.Done():
			return
		case r := <-w.right:
			w.writeOne(r)
		}
	}
}

// help writes what waits, and ends.
func (w *writers) help() {
	defer w.extra.Add(-1)
	for w.s.ctx.Err() == nil {
		select {
		case r := <-w.right:
			w.writeOne(r)
		default:
			return
		}
	}
}

func (w *writers) writeOne(r received) {
	if len(w.right) > 0 && time.Since(r.at) > behind {
		if w.extra.Add(1) < maxWriters {
			w.s.wg.Go(w.help)
		} else {
			w.extra.Add(-1)
		}
	}
	w.done(r.Piece(), r.data, r.from, w.s.store.Write(r.Verified))
}

// done says what became of a piece, whose buffer is free again.
func (w *writers) done(i int, data []byte, from contributors, err error) {
	v := w.s.judge(i, data, from, err)
	w.s.mem.release(i, err == nil)
	w.s.post(func() { w.s.loop.onPut(i, v, err) })
}
