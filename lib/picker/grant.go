// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"encoding/binary"
	"time"
)

// Grants are how our own kind share out an image of many pieces. Everybody could ask everybody, but
// then N receivers make N*N flows of which each is thin: a piece takes long until it is whole and can
// be relayed, TCP shares links badly among flows of a few packets, and the packets cost CPU time. So
// an uplink serves a few receivers at a time, and a downlink is served by as few: in a random graph in
// which everybody has as many neighbours in as out, all links are full and no cut is narrower than
// one machine's link (Edmonds 1973), and if one neighbour pauses, the others have its share.
//
// A grant is an unchoke (BEP 3). It lasts as long as the receiver finds something to ask for, or
// until it has lasted a while and another one waits. A receiver tells those who do not serve it
// whether it would take more: Full and Want, as for offers. Foreign clients are never choked.
const (
	grantIdle   = 500 * time.Millisecond // a grant that is not used ends
	grantTime   = 2 * time.Second        // one that is used too, if somebody waits who has much less
	dryTime     = 150 * time.Millisecond // a source without anything for us for so long is dismissed
	dryAgain    = 500 * time.Millisecond // until then; a seed shows what it has only to those whom it serves
	muchLess    = 50                     // of the pieces: a part that matters
	leastBehind = 8                      // pieces that matter, however few there are
	overshoot   = 5                      // sources beyond what the downlink needs that are kept
)

// The rules of the slots. A downlink takes somewhat more than an uplink gives, so that no uplink lacks
// somebody to serve.
var (
	granted     = slotRules{base: 4, enough: 0.9, probe: 2 * time.Second, settle: 200 * time.Millisecond}
	grantedDown = slotRules{base: 6, enough: 0.9, settle: 200 * time.Millisecond}
)

// byGrant says whether what q and we exchange is arranged by grants.
func (p *Picker) byGrant(q *peer) bool { return !p.offers.on && q.tr.Offers }

// unchoke opens the uplink to all who do not wait for a grant.
func (p *Picker) unchoke() {
	for _, q := range p.order {
		if !q.snk.open && !q.tr.Vague && !p.byGrant(q) {
			q.snk.open = true
			p.act(Action{Kind: Unchoke, Peer: q.id})
		}
	}
}

// grant serves q from now on.
func (p *Picker) grant(q *peer) {
	q.snk.open, q.snk.turn, q.snk.inTurn = true, true, 0
	q.snk.since, q.snk.used = p.now, p.now
	p.up.turns++
	if p.cfg.Seed {
		p.setShy(q, false)
		p.revealTo(q)
	}
	p.act(Action{Kind: Unchoke, Peer: q.id})
}

// revoke ends a grant. What a seed has shown and not sent is not on its way any more.
func (p *Picker) revoke(q *peer) {
	s := &q.snk
	s.open, s.turn = false, false
	p.up.turns--
	p.setShy(q, true)
	p.act(Action{Kind: Choke, Peer: q.id})
	for _, b := range s.queue {
		p.up.queued -= int64(b.Length)
		p.act(Action{Kind: Reject, Peer: q.id, Block: b})
	}
	s.queue = nil
}

// keep serves a granted peer, or ends its grant.
func (p *Picker) keep(q *peer) {
	s := &q.snk
	if len(s.queue) > 0 || s.handed > 0 {
		s.used = p.now
	}
	switch {
	case !s.full.IsZero(), q.has.All():
		p.revoke(q)
	case p.now.Sub(s.used) > grantIdle:
		s.full = p.now
		p.revoke(q)
	case !p.cfg.Seed && p.up.turns >= p.up.slots.count() && p.now.Sub(s.since) > grantTime && p.needier(q):
		p.revoke(q)
	default:
		p.hand(q)
	}
}

// needier says whether somebody who waits has much less than q. Only one of those who are served has to
// make place for him.
func (p *Picker) needier(q *peer) bool {
	if !p.waits {
		p.waits, p.waiting = true, p.bestGrant()
	}
	w := p.waiting
	if w == nil || w.snk.open || q.has.Count() == 0 || w.has.Count() >= q.has.Count()-len(p.avail)/muchLess {
		return false
	}
	p.waiting = nil
	return true
}

// bestGrant is the receiver to serve next, nil if there is none: of those that would take something,
// one that has much less than we, else the one that prefers us as we prefer it.
func (p *Picker) bestGrant() (best *peer) {
	if p.offers.on {
		return nil
	}
	owes := p.owesFar()
	for _, q := range p.order {
		if q.tr.Vague || q.snk.open || !q.snk.full.IsZero() || !p.byGrant(q) {
			continue
		}
		if best != nil && owes && q.tr.Near != best.tr.Near {
			if q.tr.Near || !p.lacks(q) {
				continue
			}
			best = q
		} else if (best == nil || p.ahead(q, best)) && p.lacks(q) {
			best = q
		}
	}
	return best
}

// ahead says whether a is to be served before b.
func (p *Picker) ahead(a, b *peer) bool {
	if x, y := p.behind(a), p.behind(b); x != y {
		return x > y
	}
	return a.pair > b.pair
}

// behind is how much less than we a peer has, in steps that matter.
func (p *Picker) behind(q *peer) int {
	return max(0, p.have.Count()-q.has.Count()) / max(leastBehind, len(p.avail)/muchLess)
}

// pair is how much two peers prefer each other: a number that both compute alike and that is chance to
// everybody. In a full mesh everyone would otherwise be served by others all the time; this way those
// who serve each other go on doing so, and who they are is still a random graph.
func pair(a, b uint64) uint64 {
	x := a + b // splitmix64's mixing (Steele, Lea and Flood 2014)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// lacks says whether we have something that q has not.
func (p *Picker) lacks(q *peer) bool {
	if p.cfg.Seed {
		return !q.has.All()
	}
	return exceeds(p.have.Bytes(), q.has.Bytes())
}

// exceeds says whether a has a bit that b has not.
func exceeds(a, b []byte) bool {
	for ; len(a) >= 8; a, b = a[8:], b[8:] {
		if binary.NativeEndian.Uint64(a)&^binary.NativeEndian.Uint64(b) != 0 {
			return true
		}
	}
	for i := range a {
		if a[i]&^b[i] != 0 {
			return true
		}
	}
	return false
}

// tellRoom tells those who do not serve us whether we would take something from them, and those
// who do when we would not any more.
func (p *Picker) tellRoom() {
	if p.offers.on || p.have.All() && !p.cfg.Seed {
		return
	}
	flows, far := 0, 0
	for _, q := range p.order {
		if p.byGrant(q) && !q.src.choked && !q.src.saidFull {
			flows++
			if p.far(q) {
				far++
			}
		}
	}
	for _, q := range p.order {
		if q.tr.Vague || !p.byGrant(q) {
			continue
		}
		full := q.src.saidFull
		room := flows < p.down.slots.count()
		if p.far(q) {
			room = (room || far < farSources) && p.useful(q)
		}
		switch {
		case p.cfg.Seed: // it reveals itself to nobody as one that has everything
			full = true
		case q.src.choked && !full:
			full, q.src.dry = !room, false
		case q.src.choked:
			full = !room || q.src.dry && !p.useful(q) && (flows > 0 && !q.tr.Shows || p.now.Sub(q.src.used) < dryAgain)
		case flows > p.down.slots.count() && !q.src.begun && !p.reveals(q), flows > p.down.slots.count()+overshoot:
			full, q.src.dry = true, false // too many came when there was room
		case len(q.src.inflight) > 0:
		case p.now.Sub(q.src.used) > dryTime:
			full, q.src.dry = true, true
		}
		if full == q.src.saidFull {
			continue
		}
		q.src.saidFull = full
		if !full {
			p.act(Action{Kind: Want, Peer: q.id, Piece: -1})
			continue
		}
		if !q.src.choked {
			flows--
		}
		p.act(Action{Kind: Full, Peer: q.id, Piece: -1})
	}
}

// reveals says whether a peer seems to be a seed that shows us pieces one by one.
func (p *Picker) reveals(q *peer) bool { return q.has.Count() < p.have.Count()/2 }

// useful says whether there is something to ask q for. It is found out again when something changed.
func (p *Picker) useful(q *peer) bool {
	if !q.src.known {
		q.src.known = true
		q.src.useful = exceeds(p.offeredBy(q).Bytes(), p.open.not.Bytes()) || p.joinable(q)
	}
	return q.src.useful
}

// joinable says whether q could help with a piece that is open: one that another has left, or near the
// end any.
func (p *Picker) joinable(q *peer) bool {
	ending := p.ending()
	for _, o := range p.open.list {
		if q.has.Has(o.index) && !o.whole() && !p.barred(q, o.index) && (o.owner == nil && o.missing > 0 || ending && o.owner != q) {
			return true
		}
	}
	return false
}
