// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"runtime"
)

// writers is the pool that verifies whole pieces and writes them to the disk. A few more than the
// cores: some of them wait for the disk while others hash.
type writers struct {
	s     *Swarm
	queue chan int // pieces, at most the memory's budget
}

func newWriters(s *Swarm) *writers {
	return &writers{s: s, queue: make(chan int, s.mem.budget+1)}
}

func (w *writers) start() {
	for range min(8, runtime.GOMAXPROCS(0)+2) {
		w.s.wg.Go(w.run)
	}
}

// put never blocks: a piece in the queue holds one of the memory's buffers.
func (w *writers) put(piece int) { w.queue <- piece }

func (w *writers) run() {
	for {
		select {
		case <-w.s.ctx.Done():
			return
		case i := <-w.queue:
			data, from := w.s.mem.data(i)
			err := w.s.store.Put(i, data)
			v := w.s.judge(i, data, from, err)
			w.s.mem.release(i, err == nil)
			w.s.post(func() { w.s.loop.onPut(i, v, err) })
		}
	}
}
