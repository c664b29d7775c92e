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
	grantIdle = 500 * time.Millisecond // a grant that is not used ends
	grantTime = 2 * time.Second        // one that is used too, if somebody waits who has much less
	dryTime   = 150 * time.Millisecond // a source without anything for us for so long is dismissed
	dryAgain  = 500 * time.Millisecond // until then; a seed shows what it has only to those whom it serves
	muchLess  = 50                     // of the pieces: a part that matters
	overshoot = 1                      // sources beyond what the downlink needs that are kept
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
		p.revealTo(q)
	}
	p.act(Action{Kind: Unchoke, Peer: q.id})
}

// revoke ends a grant.
func (p *Picker) revoke(q *peer) {
	s := &q.snk
	s.open, s.turn = false, false
	p.up.turns--
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

// needier says whether somebody who waits has much less than q.
func (p *Picker) needier(q *peer) bool {
	if q.has.Count() == 0 {
		return false
	}
	w := p.bestGrant()
	return w != nil && w.has.Count() < q.has.Count()-len(p.avail)/muchLess
}

// bestGrant is the receiver to serve next: of a few that would take something, the one that has
// least. nil if there is none.
func (p *Picker) bestGrant() (best *peer) {
	n := len(p.order)
	if n == 0 || p.offers.on {
		return nil
	}
	start, seen := p.cfg.Rand.IntN(n), 0
	for k := 0; k < n && seen < candidates; k++ {
		q := p.order[(start+k)%n]
		if q.tr.Vague || !p.byGrant(q) || q.snk.open || !q.snk.full.IsZero() || !p.lacks(q) {
			continue
		}
		seen++
		if best == nil || q.has.Count() < best.has.Count() {
			best = q
		}
	}
	return best
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
	flows := 0
	for _, q := range p.order {
		if p.byGrant(q) && !q.src.choked && !q.src.saidFull {
			flows++
		}
	}
	for _, q := range p.order {
		if q.tr.Vague || !p.byGrant(q) {
			continue
		}
		if len(q.src.inflight) > 0 {
			q.src.used = p.now
		}
		full := q.src.saidFull
		switch room := flows < p.down.slots.count(); {
		case p.cfg.Seed: // it reveals itself to nobody as one that has everything
			full = true
		case q.src.choked && !full:
			full, q.src.dry = !room, false
		case q.src.choked:
			full = !room || q.src.dry && !p.useful(q) && (flows > 0 || p.now.Sub(q.src.used) < dryAgain)
		case len(q.src.inflight) > 0:
		case p.now.Sub(q.src.used) > dryTime:
			full, q.src.dry = true, true
		case flows > p.down.slots.count()+overshoot:
			full, q.src.dry = true, false
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

// useful says whether there is something to ask q for. It is found out again when something changed.
func (p *Picker) useful(q *peer) bool {
	if !q.src.known {
		q.src.known = true
		q.src.useful = exceeds(q.has.Bytes(), p.open.not.Bytes()) || p.joinable(q)
	}
	return q.src.useful
}

// joinable says whether q could help with a piece that is open: one that another has left, or near the
// end any.
func (p *Picker) joinable(q *peer) bool {
	ending := p.ending()
	for _, o := range p.open.list {
		if q.has.Has(o.index) && !o.whole() && (o.owner == nil && o.missing > 0 || ending && o.owner != q) {
			return true
		}
	}
	return false
}
