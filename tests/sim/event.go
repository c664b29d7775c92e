// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"cmp"
	"slices"
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

// A timeline is the events to come, by time and then by order of making, so that a run can be repeated.
// Almost all of them are less than a second ahead: they wait in a wheel of short slots, and only the
// slot whose turn it is is kept in order. The rest wait in the order in which they came until the wheel
// reaches them.
type timeline struct {
	slots  [slotCount][]entry
	now    []entry // what is left of the slot whose turn it is, the last one first
	turn   int64   // that slot's number since the beginning of time
	later  []entry // of later turns of the wheel
	length int
	pool   []event
	free   []int32
	seq    uint64
}

const (
	slotTime  = 1 << 15 // nanoseconds
	slotCount = 1 << 14 // half a second
)

type entry struct {
	at  time.Duration
	seq uint64
	idx int32
}

func (e entry) compare(o entry) int {
	if e.at != o.at {
		return cmp.Compare(e.at, o.at)
	}
	return cmp.Compare(e.seq, o.seq)
}

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
	t.length++
	t.put(entry{at, t.seq, idx})
}

func (t *timeline) put(x entry) {
	switch slot := int64(x.at) / slotTime; {
	case slot <= t.turn:
		i, _ := slices.BinarySearchFunc(t.now, x, func(a, b entry) int { return b.compare(a) })
		t.now = slices.Insert(t.now, i, x)
	case slot < t.turn+slotCount:
		t.slots[slot%slotCount] = append(t.slots[slot%slotCount], x)
	default:
		t.later = append(t.later, x)
	}
}

// pop takes the next event; there must be one.
func (t *timeline) pop() (time.Duration, event) {
	for len(t.now) == 0 {
		t.advance()
	}
	x := t.now[len(t.now)-1]
	t.now = t.now[:len(t.now)-1]
	t.length--
	e := t.pool[x.idx]
	t.pool[x.idx] = event{}
	t.free = append(t.free, x.idx)
	return x.at, e
}

// advance begins the next slot. Twice a turn of the wheel what comes later is looked through, so that
// nothing is due before it has its slot.
func (t *timeline) advance() {
	t.turn++
	idle := t.length == len(t.later)
	if idle { // nothing happens before the first of them
		t.turn = int64(slices.MinFunc(t.later, entry.compare).at) / slotTime
	}
	if idle || t.turn%(slotCount/2) == 0 {
		later := t.later
		t.later = nil
		for _, x := range later {
			t.put(x)
		}
	}
	slot := &t.slots[t.turn%slotCount]
	t.now, *slot = append(*slot, t.now...), t.now[:0]
	slices.SortFunc(t.now, func(a, b entry) int { return b.compare(a) })
}
