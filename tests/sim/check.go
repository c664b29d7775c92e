// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math/bits"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// starved is how long a machine may go without anything while a peer of it has something for it and
// nothing to do; where a slow link is between them, on which every word waits, starvedSlowly. So it is
// with few long pieces: those are arranged by offers, and who does not answer one is left alone for a
// while, which lib/picker makes shorter than this the second time.
const (
	starved       = 5 * time.Second
	starvedSlowly = 20 * time.Second
	idle          = 2 * time.Second // since when such a peer has nothing to do: who was full is asked again after that
	fewPieces     = 96
	longPiece     = 8 << 20
)

// patience is how long s, with nothing to do, may leave n without anything.
func (n *node) patience(s *node) time.Duration {
	cfg := n.run.cfg
	few := cfg.Layout.Count() < fewPieces && cfg.Layout.Length >= longPiece
	if few || s.cfg.Up < cfg.Rate || s.rack != n.rack && cfg.RackUplink < cfg.Rate {
		return starvedSlowly
	}
	return starved
}

// checkHas: no piece is advertised before it is written.
func (n *node) checkHas(i int) {
	if !n.have.Has(i) {
		n.run.fail("node %d tells of piece %d, which it has not written", n.id, i)
	}
}

// checkSend: only what is written, and was shown, is sent.
func (n *node) checkSend(c *conn, b wire.Block) {
	switch {
	case !n.have.Has(int(b.Piece)):
		n.run.fail("node %d sends of piece %d, which it does not have", n.id, b.Piece)
	case c.shown != nil && !c.shown.Has(int(b.Piece)):
		n.run.fail("node %d sends of piece %d, which it has not shown to %d", n.id, b.Piece, c.far.node.id)
	}
}

// checkRequest: only what is missing is asked for, and only of somebody who has said that he has it.
func (n *node) checkRequest(c *conn, b wire.Block) {
	switch {
	case n.have.Has(int(b.Piece)):
		n.run.fail("node %d asks for piece %d, which it has", n.id, b.Piece)
	case !c.far.claims().Has(int(b.Piece)):
		n.run.fail("node %d asks %d for piece %d, which that does not have", n.id, c.far.node.id, b.Piece)
	}
}

// checkMemory: never more pieces in memory than the budget, and one that the picker closed.
func (n *node) checkMemory() {
	if len(n.memory) > n.run.cfg.Budget+1 {
		n.run.fail("node %d holds %d pieces in memory, of a budget of %d", n.id, len(n.memory), n.run.cfg.Budget)
	}
}

// check: nobody starves while a source has nothing to do.
func (n *node) check() {
	r := n.run
	if _, plain := n.sched.(*plain); plain {
		return // what foreign clients do is not ours to answer for
	}
	if n.have.All() || !n.cfg.Honest() || n.down.sent != n.fed || r.now < n.stalled || n.down.free > r.now || n.disk.free > r.now {
		n.hungry, n.fed = r.now, n.down.sent
		return
	}
	waited := r.now - n.hungry
	if waited < starved {
		return
	}
	for _, c := range n.conns {
		if c == nil {
			continue
		}
		s := c.far.node
		if s.gone || waited < n.patience(s) || !s.cfg.Honest() || r.now < s.stalled || max(s.up.free, s.gained)+idle > r.now || c.far.shown != nil && c.far.shown.Count() == 0 {
			continue
		}
		if i := useful(c.far.claims(), n.have); i >= 0 && n.memory[i] == nil {
			r.fail("node %d has had nothing for %v, while %d has piece %d and nothing to do", n.id, waited, s.id, i)
			return
		}
	}
}

// useful is a piece in one set and not in the other, or -1.
func useful(has, not *piece.Bitfield) int {
	for at, w := range has.Bytes() {
		if w &^= not.Bytes()[at]; w != 0 {
			return at*8 + bits.LeadingZeros8(w)
		}
	}
	return -1
}
