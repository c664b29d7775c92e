// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"time"
)

// The receiver's side of offers (offer.go): which are taken, what becomes of a piece that does not come, and who
// is told that there is room.

// Offered says that a peer would send us a piece, and how many bytes a second its link carries. It is
// taken by requesting all that is missing of it, or declined.
func (p *Picker) Offered(id ID, i int, rate int64, now time.Time) {
	p.now = now
	q := p.peers[id]
	if q == nil || i < 0 || i >= len(p.avail) {
		return
	}
	p.PeerHas(id, i)
	if rate > 0 && muchSlower*float64(rate) < p.down.gauge.best {
		q.src.slow = true
	}
	o := p.open.of[i]
	switch {
	case now.Before(q.src.rests):
		q.src.saidFull = true
		p.act(Action{Kind: Full, Peer: id, Piece: i})
	case !p.offers.on || p.cfg.Seed || p.have.Has(i) || p.unknown.Has(i) || o != nil && !p.free(o) && !p.improves(o, rate):
		if q.src.declined == nil {
			q.src.declined = map[int]bool{}
		}
		q.src.declined[i] = true
		p.act(Action{Kind: Decline, Peer: id, Piece: i})
		if p.offers.on && !p.cfg.Seed && p.hasRoom() {
			if j := p.rarest(q); j >= 0 {
				p.take(q, j) // then another one
			}
		}
	case o == nil && !p.hasRoom() && !p.hasSlowRoom(rate):
		q.src.saidFull = true
		p.act(Action{Kind: Full, Peer: id, Piece: i})
	default:
		if o != nil && o.owner != nil || o == nil && !p.hasRoom() {
			p.dares(rate)
		}
		p.take(q, i)
	}
}

// improves says whether an open piece would come much sooner by an offer of the given rate. One that was
// wrong comes from one peer alone.
func (p *Picker) improves(o *open, rate int64) bool {
	return !p.suspect[o.index] && p.slower(o.owner, rate)
}

// free says whether an open piece may be taken from somebody else: nobody is asked for it any
// more, or who is asked is far slower than we could be.
func (p *Picker) free(o *open) bool {
	if o.owner == nil {
		return o.missing > 0
	}
	return !p.suspect[o.index] && p.now.Sub(o.since) > 2*patience && muchSlower*o.owner.src.rate < min(p.down.gauge.best, p.believed())
}

// hasSlowRoom says whether all that comes, comes so slowly that an offer of the given rate is worth
// taking beside it. Our own link may never have shown what it can do.
func (p *Picker) hasSlowRoom(rate int64) bool {
	if len(p.open.list) >= p.cfg.Budget {
		return false
	}
	for _, o := range p.open.list {
		if o.owner != nil && !p.slower(o.owner, rate) {
			return false
		}
	}
	return true
}

// hasRoom says whether the downlink can take one more piece. What others are asked for does not
// count: they come when they come.
func (p *Picker) hasRoom() bool {
	if len(p.open.list) >= p.cfg.Budget {
		return false
	}
	var bytes int64
	sources := 0
	for _, q := range p.order {
		if q.src.bytes > 0 && p.speaks(q) {
			bytes += q.src.bytes
			sources++
		}
	}
	return sources < p.down.slots.count() || bytes <= lead(&p.down.gauge, leadDown, p.offers.rtt, leadDownMin)
}

// take requests all that is missing of a piece from a peer, and of another nothing any more.
func (p *Picker) take(q *peer, i int) {
	o := p.open.of[i]
	if o == nil {
		o = p.openPiece(i, q)
	}
	if o.owner != nil && o.owner != q {
		p.takeBack(o)
	}
	o.owner, o.since, o.progress = q, p.now, p.now
	// Of a slow link's blocks several a second come, or its rate could not be told.
	block := min(q.tr.Block, max(blockMin, int(p.down.gauge.best*takeTime.Seconds())/chunk*chunk))
	for len(q.src.inflight) < q.tr.Queue {
		b, ok := o.run(missing, 0, block)
		if !ok {
			return
		}
		p.request(q, o, b)
	}
}

// takeBack cancels the requests for a piece that its owner has.
func (p *Picker) takeBack(o *open) {
	q := o.owner
	for _, b := range slices.Clone(q.src.inflight) {
		if int(b.Piece) == o.index && q.src.settle(b) {
			o.unask(b)
			p.act(Action{Kind: Cancel, Peer: q.id, Block: b})
		}
	}
}

// announceRoom tells our own kind when the downlink has become full, and when it has room again.
func (p *Picker) announceRoom() {
	if !p.offers.on || p.cfg.Seed {
		return
	}
	full, kind := !p.hasRoom(), Want
	if full {
		kind = Full
	}
	for _, q := range p.order {
		if q.tr.Offers && q.src.saidFull != full && !p.now.Before(q.src.rests) {
			q.src.saidFull = full
			p.act(Action{Kind: kind, Peer: q.id, Piece: -1})
		}
	}
}

// release gives up pieces that were taken and of which nothing comes, and asks for offers of those
// that somebody else would send much sooner.
func (p *Picker) release() {
	if !p.offers.on {
		return
	}
	for _, q := range p.order {
		for _, i := range q.src.again {
			p.act(Action{Kind: Want, Peer: q.id, Piece: i})
		}
		q.src.again = nil
	}
	for _, o := range slices.Clone(p.open.list) {
		switch {
		case o.whole():
		case o.owner != nil && p.stuck(o):
			o.owner.src.rests = p.now.Add(memory)
			p.takeBack(o)
			p.orphan(o)
		case p.free(o):
			p.invite(o.index)
		}
	}
}

// stuck says whether a piece should have made progress.
func (p *Picker) stuck(o *open) bool {
	return p.now.Sub(o.progress) > late(2*patience, o.owner)
}

// orphan leaves an open piece to whoever offers it next.
func (p *Picker) orphan(o *open) {
	o.owner = nil
	p.closeIfUntouched(o)
	p.invite(o.index)
}

// invite tells those whose offers of a piece were declined that it would be welcome now.
func (p *Picker) invite(i int) {
	for _, q := range p.order {
		if q.src.declined[i] {
			delete(q.src.declined, i)
			p.act(Action{Kind: Want, Peer: q.id, Piece: i})
		}
	}
}
