// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// contributors are who sent the grains of a piece.
type contributors struct {
	who []netip.AddrPort // identities
	by  []uint16         // for each grain, an index into who
}

func (c *contributors) mark(grain int, who netip.AddrPort) {
	for i, w := range c.who {
		if w == who {
			c.by[grain] = uint16(i)
			return
		}
	}
	c.by[grain] = uint16(len(c.who))
	c.who = append(c.who, who)
}

// A share is how many grains of a piece a peer sent, right and wrong.
type share struct {
	who netip.AddrPort
	weight
	again bool // that the piece was wrong through this peer has been told before; this corrects it
}

// A verdict is what a whole piece says about those who sent it.
type verdict struct {
	from []netip.AddrPort
	good []share // of a right piece
	bad  []share // of wrong ones
}

// evidence keeps sums of the grains of pieces that did not match, so that when the right piece is
// here it is known who sent which of them wrong. The sums are keyed: nobody can send something else
// that has the same.
type evidence struct {
	key maphash.Seed

	mu     sync.Mutex
	pieces map[int][]testimony
	order  []int // the pieces, oldest first
}

// A testimony is one try at a piece.
type testimony struct {
	contributors
	sums []uint64
}

const (
	maxEvidence = 64 // pieces; 10 KiB each for those of 16 MiB
	maxTries    = 4  // of each
)

func newEvidence() *evidence {
	return &evidence{key: maphash.MakeSeed(), pieces: map[int][]testimony{}}
}

func (e *evidence) sums(data []byte) []uint64 {
	list := make([]uint64, 0, (len(data)+grain-1)/grain)
	for at := 0; at < len(data); at += grain {
		list = append(list, maphash.Bytes(e.key, data[at:min(at+grain, len(data))]))
	}
	return list
}

// wrong hears of a piece that does not match. Who sent all of it is to blame; otherwise that is open.
func (e *evidence) wrong(i int, data []byte, from contributors) verdict {
	t := testimony{from, e.sums(data)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pieces[i]) == 0 {
		if len(e.order) == maxEvidence {
			delete(e.pieces, e.order[0])
			e.order = e.order[1:]
		}
		e.order = append(e.order, i)
	}
	if len(e.pieces[i]) < maxTries {
		e.pieces[i] = append(e.pieces[i], t)
	}
	v := verdict{from: from.who}
	if len(from.who) == 1 {
		v.bad = []share{{who: from.who[0], weight: weight{int64(len(from.by)) - 1, 1}}} // one at least
	}
	return v
}

// right hears of a piece that matches.
func (e *evidence) right(i int, data []byte, from contributors) verdict {
	v := verdict{from: from.who, good: from.shares(func(int) bool { return true })}
	e.mu.Lock()
	tries := e.pieces[i]
	if tries != nil {
		delete(e.pieces, i)
		for k, x := range e.order {
			if x == i {
				e.order = append(e.order[:k], e.order[k+1:]...)
				break
			}
		}
	}
	e.mu.Unlock()
	if tries == nil {
		return v
	}
	sums := e.sums(data)
	for _, t := range tries {
		for _, s := range t.shares(func(g int) bool { return t.sums[g] == sums[g] }) {
			if s.wrong == 0 {
				continue
			}
			if s.again = len(t.who) == 1; s.again {
				s.weight = weight{1 - s.wrong, s.wrong - 1}
			}
			v.bad = append(v.bad, s)
		}
	}
	return v
}

// shares counts the grains of each, right where ok says yes.
func (c *contributors) shares(ok func(grain int) bool) []share {
	list := make([]share, len(c.who))
	for i, w := range c.who {
		list[i].who = w
	}
	for g, i := range c.by {
		if ok(g) {
			list[i].right++
		} else {
			list[i].wrong++
		}
	}
	return list
}
