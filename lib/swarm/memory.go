// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net/netip"
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

	mu   sync.Mutex
	open map[int]*buffer
	free [][]byte
}

// A buffer is one piece on its way in. A claimed grain is received or being received by exactly one
// connection, so that no two ever write the same bytes.
type buffer struct {
	data    []byte
	claimed []bool
	count   int
	from    []netip.Addr // who contributed
}

// grain is the unit of claims: every block asked for is made of these.
const grain = wire.BlockLength

// budget is how many pieces may be in memory at a time: 64 MiB worth of small ones, and nine of
// partclone's 16 MiB.
func budget(length int64) int {
	switch {
	case length > 16<<20:
		return 3
	case length > 4<<20:
		return 9
	}
	return int(min(1024, (64<<20)/length))
}

func newMemory(l piece.Layout, budget int) *memory {
	return &memory{layout: l, budget: budget, open: map[int]*buffer{}}
}

// claim is the place for a block that has begun to arrive; nil when it is here already, is arriving
// elsewhere, or there is no room.
func (m *memory) claim(b wire.Block, from netip.Addr) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	buf := m.open[int(b.Piece)]
	if buf == nil {
		if len(m.open) > m.budget { // one more than the picker opens: it may have closed one just now
			return nil
		}
		buf = m.newBuffer(int(b.Piece))
	}
	first, end := int(b.Begin)/grain, (int(b.Begin)+int(b.Length)+grain-1)/grain
	if slices.Contains(buf.claimed[first:end], true) {
		return nil
	}
	for i := first; i < end; i++ {
		buf.claimed[i] = true
	}
	buf.count += end - first
	if !slices.Contains(buf.from, from) {
		buf.from = append(buf.from, from)
	}
	return buf.data[b.Begin : b.Begin+b.Length]
}

func (m *memory) newBuffer(i int) *buffer {
	_, n := m.layout.Span(i)
	buf := &buffer{claimed: make([]bool, (n+grain-1)/grain)}
	if k := len(m.free) - 1; k >= 0 {
		buf.data, m.free = m.free[k][:n], m.free[:k]
	} else {
		buf.data = make([]byte, n, m.layout.Length)
	}
	m.open[i] = buf
	return buf
}

// unclaim gives back the place of a block that did not arrive whole.
func (m *memory) unclaim(b wire.Block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	buf := m.open[int(b.Piece)]
	if buf == nil {
		return
	}
	for i := int(b.Begin) / grain; i < (int(b.Begin)+int(b.Length)+grain-1)/grain; i++ {
		buf.claimed[i] = false
		buf.count--
	}
	if buf.count == 0 {
		m.close(int(b.Piece))
	}
}

// data is a whole piece and who sent it.
func (m *memory) data(i int) ([]byte, []netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	buf := m.open[i]
	return buf.data, buf.from
}

// release takes a piece's buffer back.
func (m *memory) release(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.close(i)
}

func (m *memory) close(i int) {
	if buf := m.open[i]; buf != nil {
		m.free = append(m.free, buf.data[:cap(buf.data)])
		delete(m.open, i)
	}
}
