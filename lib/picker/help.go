// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"time"

	"ezio/lib/wire"
)

// Work that others were given and do not get done: who is idle takes it over.

// patience is how long a piece may wait at a busy peer before an idle one takes it over.
const patience = time.Second

// takeOver finds work for a peer that is idle while others still have some: it asks it for what
// another is asked for already. Before the end that is a piece of which nothing has come for a
// while; the first block of it decides who goes on (see Received). When every missing piece is
// open it is one that would come late, the one that has waited longest, from behind, since the other
// works from the front.
func (p *Picker) takeOver(q *peer) (wire.Block, bool) {
	ending := p.ending()
	if ending && len(q.src.inflight) >= 2 {
		return wire.Block{}, false // helping is not worth a queue
	}
	var oldest *open
	for _, o := range p.open.list {
		if o.owner == q || o.whole() || !q.has.Has(o.index) || p.reserved(o, q) || p.untried(q, o.index) || p.barred(q, o.index) {
			continue
		}
		if !ending && (o.received > 0 || p.now.Sub(o.progress) < patience) {
			continue
		}
		if oldest != nil && (o.progress.After(oldest.progress) || o.progress.Equal(oldest.progress) && o.index > oldest.index) {
			continue
		}
		if b, ok := p.doublable(o, q, ending); ok && (!ending || p.lags(b)) {
			oldest = o
		}
	}
	if oldest == nil {
		return p.relieve(q)
	}
	return p.doublable(oldest, q, ending)
}

// endTime is how much later than the rest a block may be on its way near the end.
const endTime = 200 * time.Millisecond

// lags says whether a block comes so slowly from whom it was asked of that it would be there long after
// all else that is on its way. To ask for any other block twice only takes room on the downlink from
// what is still to come.
func (p *Picker) lags(b wire.Block) bool {
	var all int64
	var from *peer
	for _, r := range p.order {
		all += r.src.bytes
		if from == nil && slices.ContainsFunc(r.src.inflight, func(x wire.Block) bool {
			return x.Piece == b.Piece && x.Begin < b.Begin+b.Length && b.Begin < x.Begin+x.Length
		}) {
			from = r
		}
	}
	switch best := p.down.gauge.best; {
	case from == nil || best == 0:
		return true
	case from.src.rate == 0:
		return from.src.began(p.now)
	default:
		return float64(from.src.bytes)/from.src.rate > 2*float64(all)/best+endTime.Seconds()
	}
}

// silentTime is how long a peer may send nothing of what it was asked for before an idle one gets its
// work: longer if it is known to be slow (see late).
const silentTime = 2 * time.Second

// mostNaps bounds for how long a peer that sends nothing is left alone.
const mostNaps = 4

// unproven says whether a peer has brought nothing yet of what it was first asked for: it is asked for
// no more till then.
func (p *Picker) unproven(q *peer) bool { return q.src.given == 0 && q.src.began(p.now) }

// untried says whether q has brought nothing yet and another, which has, can be asked for a piece
// instead: those who only claim would pass the last pieces round among themselves.
func (p *Picker) untried(q *peer, i int) bool {
	return q.src.given == 0 && slices.ContainsFunc(p.order, func(r *peer) bool {
		return r.src.given > 0 && !r.src.choked && r.has.Has(i) && !p.silent(r) && !p.now.Before(r.src.rests)
	})
}

// silent says whether nothing comes of what a peer was asked for.
func (p *Picker) silent(q *peer) bool {
	if len(q.src.inflight) == 0 {
		return false
	}
	last := q.src.busySince
	if q.src.came.After(last) {
		last = q.src.came
	}
	return p.now.Sub(last) > late(silentTime, q)
}

// late is how long to wait for the next block of a peer, at least least.
func late(least time.Duration, q *peer) time.Duration {
	if r := q.src.rate; r > 0 {
		least = max(least, time.Duration(4*float64(q.tr.Block)/r*float64(time.Second)))
	}
	return min(least, memory)
}

// reserved says whether an open piece is not for q to help with: it was wrong once, and comes from
// another alone now.
func (p *Picker) reserved(o *open, q *peer) bool {
	return p.suspect[o.index] && o.owner != nil && o.owner != q && p.now.Sub(o.progress) < patience
}

// relieve gives q, which is idle, the work of a peer that is silent: peers that claim everything and
// send nothing would keep the last pieces among themselves.
func (p *Picker) relieve(q *peer) (wire.Block, bool) {
	for _, r := range p.order {
		if r == q || !p.silent(r) || !slices.ContainsFunc(r.src.inflight, func(b wire.Block) bool {
			return q.has.Has(int(b.Piece)) && !p.untried(q, int(b.Piece))
		}) {
			continue
		}
		p.rest(r)
		return p.pick(q)
	}
	return wire.Block{}, false
}

// rest takes back what a peer was asked for, and leaves it alone for a while.
func (p *Picker) rest(r *peer) {
	for _, b := range slices.Clone(r.src.inflight) {
		r.src.settle(b)
		if o := p.open.of[int(b.Piece)]; o != nil {
			o.unask(b)
		}
		p.act(Action{Kind: Cancel, Peer: r.id, Block: b})
	}
	for _, o := range slices.Clone(p.open.list) {
		if o.owner == r {
			p.orphan(o)
		}
	}
	r.src.naps = min(r.src.naps+1, mostNaps)
	r.src.rests = p.now.Add(memory * time.Duration(r.src.naps))
}

// ending says whether no piece is left that nobody is asked for.
func (p *Picker) ending() bool { return p.have.Count()+len(p.open.list) == len(p.avail) }

// doublable is a block of o that one other peer is asked for and q is not: the first, or the last.
func (p *Picker) doublable(o *open, q *peer, last bool) (found wire.Block, ok bool) {
	for from := 0; ; {
		b, more := o.run(asked, from, q.block())
		if !more {
			return found, ok
		}
		_, from = span(b)
		if slices.ContainsFunc(q.src.inflight, func(x wire.Block) bool {
			return x.Piece == b.Piece && x.Begin < b.Begin+b.Length && b.Begin < x.Begin+x.Length
		}) {
			continue
		}
		if found, ok = b, true; !last {
			return found, ok
		}
	}
}

// settleOn leaves an open piece that was asked of two to the peer that was first to send of it. Who was
// asked for another part of a piece goes on with that.
func (p *Picker) settleOn(o *open, q *peer) {
	if !p.offers.on && o.owner != nil && !slices.Contains(o.chunks, doubled) {
		return
	}
	o.owner = q
	for _, r := range p.order {
		if r == q || len(r.src.inflight) == 0 {
			continue
		}
		for _, x := range slices.Clone(r.src.inflight) {
			if int(x.Piece) == o.index && r.src.settle(x) {
				o.unask(x)
				p.wake(r)
				p.act(Action{Kind: Cancel, Peer: r.id, Block: x})
			}
		}
	}
}
