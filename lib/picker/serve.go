// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"time"

	"ezio/lib/wire"
)

// sink is one peer as somebody to send to.
type sink struct {
	queue  []wire.Block // what it asked for and was not handed to its connection
	handed int64        // bytes handed to its connection and not yet sent
	turn   bool         // it is being served
	inTurn int64        // bytes of this turn
	open   bool         // it is not choked
	since  time.Time    // when it was granted, or its turn began
	slow   bool         // it takes much less than our link can bring (slow.go)
	used   time.Time    // when the grant was last in use
	sent   int64        // bytes altogether
	fresh  int64        // bytes since the last tick
	rate   float64      // bytes a second, over about half a second
	offeree
}

// An uplink serves some peers at a time: its slots. Our own kind keeps one for as long as it is granted
// (grant.go), or has it for a piece that it was offered (offer.go); others wait for a turn, which is one
// piece's worth of bytes.
type uplink struct {
	gauge  gauge
	slots  slots
	turns  int
	queued int64 // bytes requested and not yet sent

	stirred bool // there may be something to hand out, or somebody to serve
}

const (
	handAhead = 512 << 10 // bytes given to a connection ahead of the wire
	maxQueue  = 2048      // requests kept for one peer
)

func (u *uplink) tick(since time.Duration, more bool) {
	u.gauge.tick(since)
	u.slots.tick(since, &u.gauge, u.turns, more)
}

// Requested queues a block that a peer asks for. It is false when the peer cannot have it: the
// piece is not here, was not revealed, or too much is queued.
func (p *Picker) Requested(id ID, b wire.Block, now time.Time) bool {
	q := p.peers[id]
	if q == nil || !q.snk.open || !p.shown(q, int(b.Piece)) || len(q.snk.queue) >= maxQueue {
		return false
	}
	q.rev.asked = now
	p.setShy(q, false)
	if !slices.Contains(q.snk.queue, b) {
		q.snk.queue = append(q.snk.queue, b)
		p.up.queued += int64(b.Length)
		p.up.stirred = true
		p.taken(q, int(b.Piece), now)
	}
	return true
}

// Cancelled takes a queued block out and says whether it was still there.
func (p *Picker) Cancelled(id ID, b wire.Block) bool {
	q := p.peers[id]
	if q == nil {
		return false
	}
	i := slices.Index(q.snk.queue, b)
	if i < 0 {
		return false
	}
	q.snk.queue = slices.Delete(q.snk.queue, i, i+1)
	p.up.queued -= int64(b.Length)
	p.dropHandout(q, int(b.Piece))
	return true
}

// Sent says that a connection has passed a block on to the network.
func (p *Picker) Sent(id ID, b wire.Block) {
	p.up.gauge.fresh += int64(b.Length)
	p.up.stirred = true
	if q := p.peers[id]; q != nil {
		p.up.queued -= int64(b.Length)
		q.snk.handed -= int64(b.Length)
		q.snk.sent += int64(b.Length)
		q.snk.fresh += int64(b.Length)
	}
}

// Waits says whether a peer has asked for something that was not sent yet.
func (p *Picker) Waits(id ID) bool {
	q := p.peers[id]
	return q != nil && (len(q.snk.queue) > 0 || q.snk.handed > 0)
}

// Dropped says that a connection will not send a block that it was handed.
func (p *Picker) Dropped(id ID, b wire.Block) {
	if q := p.peers[id]; q != nil {
		p.up.queued -= int64(b.Length)
		q.snk.handed -= int64(b.Length)
		p.up.stirred = true
	}
}

// Withdraw says that a piece that was here cannot be read any more. Requests for it are returned,
// to be rejected.
func (p *Picker) Withdraw(i int) []Action {
	p.have.Clear(i)
	p.open.remove(i, false)
	var lost []Action
	for _, q := range p.order {
		q.snk.queue = slices.DeleteFunc(q.snk.queue, func(b wire.Block) bool {
			if int(b.Piece) == i {
				lost = append(lost, Action{Kind: Send, Peer: q.id, Block: b})
				p.up.queued -= int64(b.Length)
			}
			return int(b.Piece) == i
		})
	}
	return lost
}

func (p *Picker) leaveUplink(q *peer) {
	if q.snk.turn {
		q.snk.turn = false
		p.up.turns--
	}
	p.up.queued -= q.snk.handed
	for _, b := range q.snk.queue {
		p.up.queued -= int64(b.Length)
	}
}

// serve hands blocks to the connections whose turn it is.
func (p *Picker) serve() {
	for _, q := range p.order {
		switch {
		case q.snk.open && p.byGrant(q):
			p.keep(q)
		case q.snk.turn:
			p.hand(q)
		}
	}
	for p.up.turns < p.up.slots.count() {
		q := p.bestGrant()
		if q == nil {
			break
		}
		p.grant(q)
	}
	places := p.up.slots.count()
	if !p.offers.on {
		places++ // grants are kept for long: one place is for the others, beside them
	}
	for p.up.turns < places {
		q := p.next()
		if q == nil {
			return
		}
		q.snk.turn, q.snk.inTurn, q.snk.since = true, 0, p.now
		p.up.turns++
		p.hand(q)
	}
}

// hand gives a connection what it can take. A turn that has had its piece's worth, while somebody
// waits, gets no more; it ends when all it was handed is on its way. The kernel still holds some
// of that then, which bridges the gap to the next turn's first byte.
func (p *Picker) hand(q *peer) {
	s := &q.snk
	for len(s.queue) > 0 && s.handed < handAhead {
		if !p.byGrant(q) && s.inTurn >= p.cfg.Layout.Length && p.next() != nil {
			break
		}
		b := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.handed += int64(b.Length)
		s.inTurn += int64(b.Length)
		p.act(Action{Kind: Send, Peer: q.id, Block: b})
	}
	if s.handed == 0 && !p.byGrant(q) {
		s.turn = false
		p.up.turns--
	}
}

// next is the waiting peer to serve first: the one that asks for the piece fewest others have, and
// among those the one that has had least.
func (p *Picker) next() *peer {
	var best *peer
	for _, q := range p.order {
		if q.snk.turn || len(q.snk.queue) == 0 {
			continue
		}
		if best == nil || p.before(q, best) {
			best = q
		}
	}
	return best
}

func (p *Picker) before(a, b *peer) bool {
	ra, rb := p.avail[a.snk.queue[0].Piece], p.avail[b.snk.queue[0].Piece]
	if ra != rb {
		return ra < rb
	}
	return a.snk.sent < b.snk.sent
}
