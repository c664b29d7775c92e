// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"slices"
	"sync"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// memory is the piece buffers that blocks are received into. How many there can be is what the
// picker is told of as its budget; memory itself gives out a buffer when the first block of a
// piece arrives, so that pieces that were only asked for take none.
type memory struct {
	layout piece.Layout
	budget int

	mu      sync.Mutex
	open    map[int]*buffer
	free    [][]byte
	written *piece.Bitfield
}

// A buffer is one piece on its way in. A grain that arrives is written by exactly one connection, so
// that no two ever write the same bytes.
type buffer struct {
	data     []byte
	grains   []grainState
	holder   []*conn // of the grains that arrive
	arriving int     // how many do
	from     contributors
}

type grainState uint8

const (
	absent grainState = iota
	arriving
	present
)

// grain is the unit of claims: every block asked for is made of these.
const grain = wire.BlockLength

// leastBudget keeps one piece coming while another is verified and written.
const leastBudget = 2

// budget is how many pieces may be in memory at a time: 64 MiB worth of small ones, and nine of
// partclone's 16 MiB; fewer where memory (bytes, 0 for no limit) does not hold them and one more.
func budget(length, memory int64) int {
	var n int64
	switch {
	case length > 16<<20:
		n = 3
	case length > 4<<20:
		n = 9
	default:
		n = min(1024, (64<<20)/length)
	}
	if memory > 0 {
		n = max(leastBudget, min(n, memory/length-1))
	}
	return int(n)
}

// Buffers is how many bytes of pieces of a length (bytes) a swarm that fetches has in memory: at
// least, however small Config.Memory, and at most.
func Buffers(length int64) (least, most int64) {
	return (leastBudget + 1) * length, int64(budget(length, 0)+1) * length
}

func newMemory(l piece.Layout, budget int) *memory {
	return &memory{layout: l, budget: budget, open: map[int]*buffer{}, written: piece.NewBitfield(l.Count())}
}

// A place is where a connection receives a block.
type place struct {
	buf *buffer // nil: on the disk already
	b   wire.Block
	dst []byte
}

// A refusal says why a block that has begun to arrive has no place.
type refusal struct {
	here   []place // what of the block is in memory already, or on the disk
	holder *conn   // who is in the middle of sending another part, if anybody
}

// claim finds the place for a block that has begun to arrive at c.
func (m *memory) claim(b wire.Block, c *conn) (place, *refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written.Has(int(b.Piece)) {
		return place{}, &refusal{here: []place{{b: b}}}
	}
	buf := m.open[int(b.Piece)]
	if buf == nil {
		if len(m.open) > m.budget { // one more than the picker opens: it may have closed one just now
			return place{}, &refusal{}
		}
		buf = m.newBuffer(int(b.Piece))
	}
	if no := buf.refuse(b); no != nil {
		return place{}, no
	}
	buf.mark(b, arriving, c)
	return place{buf, b, buf.data[b.Begin : b.Begin+b.Length]}, nil
}

// refuse is nil when the whole block is absent.
func (buf *buffer) refuse(b wire.Block) *refusal {
	no, taken := refusal{}, 0
	first, end := grains(b)
	for i := first; i < end; i++ {
		switch buf.grains[i] {
		case present:
			no.here = append(no.here, place{buf: buf, b: buf.part(i, b)})
			taken++
		case arriving:
			no.holder = buf.holder[i]
			taken++
		}
	}
	switch {
	case taken == 0:
		return nil
	case len(no.here) == end-first:
		no.here = []place{{buf: buf, b: b}}
	}
	return &no
}

// part is what of a block lies in grain i.
func (buf *buffer) part(i int, b wire.Block) wire.Block {
	begin, end := max(int32(i)*grain, b.Begin), min(int32(i+1)*grain, b.Begin+b.Length)
	return wire.Block{Piece: b.Piece, Begin: begin, Length: end - begin}
}

// grains are those [first, end) that a block touches.
func grains(b wire.Block) (first, end int) {
	return int(b.Begin) / grain, (int(b.Begin) + int(b.Length) + grain - 1) / grain
}

func (buf *buffer) mark(b wire.Block, st grainState, c *conn) {
	first, end := grains(b)
	for i := first; i < end; i++ {
		buf.grains[i], buf.holder[i] = st, c
		if st == arriving {
			buf.from.mark(i, c.who)
		}
	}
	if st == arriving {
		buf.arriving += end - first
	} else {
		buf.arriving -= end - first
	}
}

func (m *memory) newBuffer(i int) *buffer {
	_, n := m.layout.Span(i)
	k := (n + grain - 1) / grain
	buf := &buffer{grains: make([]grainState, k), holder: make([]*conn, k), from: contributors{by: make([]uint16, k)}}
	if k := len(m.free) - 1; k >= 0 {
		buf.data, m.free = m.free[k][:n], m.free[:k]
	} else {
		buf.data = make([]byte, n, m.layout.Length)
	}
	m.open[i] = buf
	return buf
}

// arrived says that a block is whole in its place.
func (m *memory) arrived(p place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.buf.mark(p.b, present, nil)
}

// holds says whether what arrived in a place is still here: its piece may have been dropped.
func (m *memory) holds(p place) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := int(p.b.Piece)
	return m.written.Has(i) || p.buf != nil && m.open[i] == p.buf
}

// broke gives back the place of a block that did not arrive whole.
func (m *memory) broke(p place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.buf.mark(p.b, absent, nil)
	untouched := !slices.ContainsFunc(p.buf.grains, func(st grainState) bool { return st != absent })
	if i := int(p.b.Piece); untouched && m.open[i] == p.buf {
		m.close(i)
	}
}

// drop forgets what has come of a piece that nobody wants now: it began with a block whose request
// was taken back too late. Such pieces must not use up the budget.
func (m *memory) drop(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.close(i)
}

// data is a whole piece and who sent it.
func (m *memory) data(i int) ([]byte, contributors) {
	m.mu.Lock()
	defer m.mu.Unlock()
	buf := m.open[i]
	return buf.data, buf.from
}

// release takes a whole piece's buffer back. A piece that was written is never received again.
func (m *memory) release(i int, written bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if written {
		m.written.Set(i)
	}
	m.close(i)
}

func (m *memory) close(i int) {
	buf := m.open[i]
	if buf == nil {
		return
	}
	delete(m.open, i)
	if buf.arriving == 0 { // else a connection still writes to it: nobody else may
		m.free = append(m.free, buf.data[:cap(buf.data)])
	}
}

// empty gives the free buffers back to the system: everything is here, and others may need them.
func (m *memory) empty() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = nil
}

// lost says that a piece that was written cannot be read back: it may be received again.
func (m *memory) lost(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written.Clear(i)
}
