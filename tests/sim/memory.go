// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"slices"

	"ezio/lib/wire"
)

// A buffer is a piece in memory.
type buffer struct {
	from  []*node
	wrong bool
	whole bool
}

// strikesToBan is lib/swarm's: whoever alone sent so many wrong pieces is sent away.
const strikesToBan = 2

// arrived hears of a block that has come, as lib/swarm does.
func (n *node) arrived(c *conn, b wire.Block) {
	r, i := n.run, int(b.Piece)
	expected := c.answered(b)
	if !expected || n.have.Has(i) || n.memory[i] != nil && n.memory[i].whole {
		r.res.Wasted += int64(b.Length)
		if expected {
			n.sched.Rejected(c.id, b)
			n.soon()
		}
		return
	}
	buf := n.memory[i]
	if buf == nil {
		buf = &buffer{}
		n.memory[i] = buf
		n.checkMemory()
	}
	if from := c.far.node; !slices.Contains(buf.from, from) {
		buf.from = append(buf.from, from)
	}
	buf.wrong = buf.wrong || c.far.node.cfg.Wrong > r.rng.Float64()
	switch {
	case n.sched.Received(c.id, b, r.clock()):
		buf.whole = true
		_, size := r.cfg.Layout.Span(i)
		at := n.disk.pass(r.now, int32(size)) + r.cfg.Write
		r.at(at, event{kind: written, node: n, block: wire.Block{Piece: b.Piece}})
	case !n.sched.Opened(i):
		delete(n.memory, i)
		r.res.Wasted += int64(b.Length)
	}
	n.soon()
}

// written hears what became of a whole piece.
func (n *node) written(i int) {
	if n.gone {
		return
	}
	buf := n.memory[i]
	delete(n.memory, i)
	if buf.wrong {
		n.blame(buf.from)
		n.sched.Failed(i)
		n.soon()
		return
	}
	n.have.Set(i)
	n.gained = n.run.now
	n.sched.Verified(i)
	n.soon()
	n.announce(i)
	if n.have.All() {
		n.done = n.run.now
		if n.cfg.Leave == 0 && n.cfg.Honest() {
			n.run.left--
		}
	}
}

// blame sends a peer away that alone sent wrong pieces.
func (n *node) blame(from []*node) {
	if len(from) != 1 {
		return
	}
	if n.strikes == nil {
		n.strikes = map[*node]int{}
	}
	bad := from[0]
	if n.strikes[bad]++; n.strikes[bad] < strikesToBan {
		return
	}
	for _, c := range n.conns {
		if c != nil && c.far.node == bad {
			if bad.cfg.Wrong == 0 {
				n.run.fail("node %d sends %d away, which is honest", n.id, bad.id)
			}
			n.run.hangUp(c)
			return
		}
	}
}
