// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"time"

	"ezio/lib/wire"
)

// An event is something that happens at a moment of virtual time. Those that happen millions of
// times are values with a kind; the rare ones are functions.
type event struct {
	kind  eventKind
	hop   uint8
	conn  *conn // whose end hears of it, or whose chunk it is
	node  *node
	block wire.Block
	bytes int32
	rate  int64
	do    func()
}

type eventKind uint8

const (
	call    eventKind = iota
	tick              // the node's 50 ms are over
	act               // the node decides
	message           // a word arrives at conn
	chunk             // bytes arrive at a link on conn's way
	acked             // conn hears that a chunk of its own has arrived
	arrived           // a block is whole at conn
	told              // the node's announcement of a piece arrives at its peers
	written           // the node has verified and written a piece
)

// A timeline is the events to come, a heap of four children a parent, by time and then by order of
// making, so that a run can be repeated.
type timeline struct {
	heap []entry
	pool []event
	free []int32
	seq  uint64
}

type entry struct {
	at  time.Duration
	seq uint64
	idx int32
}

func (a entry) before(b entry) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (t *timeline) push(at time.Duration, e event) {
	var idx int32
	if n := len(t.free); n > 0 {
		idx, t.free = t.free[n-1], t.free[:n-1]
		t.pool[idx] = e
	} else {
		idx = int32(len(t.pool))
		t.pool = append(t.pool, e)
	}
	t.seq++
	x := entry{at, t.seq, idx}
	t.heap = append(t.heap, x)
	i := len(t.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !x.before(t.heap[up]) {
			break
		}
		t.heap[i] = t.heap[up]
		i = up
	}
	t.heap[i] = x
}

func (t *timeline) pop() (time.Duration, event) {
	top := t.heap[0]
	last := len(t.heap) - 1
	x := t.heap[last]
	t.heap = t.heap[:last]
	for i := 0; last > 0; {
		least, child := -1, 4*i+1
		for c := child; c < min(child+4, last); c++ {
			if least < 0 || t.heap[c].before(t.heap[least]) {
				least = c
			}
		}
		if least < 0 || !t.heap[least].before(x) {
			t.heap[i] = x
			break
		}
		t.heap[i] = t.heap[least]
		i = least
	}
	e := t.pool[top.idx]
	t.pool[top.idx] = event{}
	t.free = append(t.free, top.idx)
	return top.at, e
}
