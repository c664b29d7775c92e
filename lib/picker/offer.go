// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"time"
)

// Offers are how our own kind share out an image of few pieces. A piece is long there, so each
// should travel by itself, from an uplink that does nothing else to a downlink that does nothing
// else. Requests cannot arrange that: who asks does not know whose uplink idles, who is asked does
// not know whose downlink does. So an uplink that runs dry offers the rarest piece that it has and
// the other lacks; the receiver takes it by requesting it when its downlink has room, or says that
// it is full, or that the piece comes from elsewhere. It is the request, grant and accept by which
// crossbar switches match inputs to outputs (McKeown's iSLIP, 1999), without a common clock.
//
// What somebody said of itself is forgotten after a while, so that a lost word costs time and
// nothing else.
type offering struct {
	on   bool          // this torrent has few pieces
	dry  bool          // there is nothing to offer until something changes
	out  int           // offers not answered
	rtt  time.Duration // from an offer to its answer
	took time.Duration // from a piece's acceptance to its announcement
	dare dare
}

// A handout is a piece that one peer was offered, or has taken, and does not have yet.
type handout struct {
	at    time.Time
	taken bool
	given bool // it counts as on its way to somebody who will relay it
}

// offeree is one peer as somebody to make offers to; offerer as somebody who makes them.
type (
	offeree struct {
		handouts  map[int]handout
		late      map[int]bool      // pieces that were given up for lost, and may be on their way all the same
		elsewhere map[int]time.Time // pieces that it said come from others, and when
		full      time.Time         // when it said that it has no room; zero: it has
		room      time.Time         // since when it has
		unhelped  bool              // it has waited for others in vain
	}
	offerer struct {
		saidFull bool         // it was told that we have no room
		declined map[int]bool // its offers of pieces that come from elsewhere
		again    []int        // pieces of which a block was refused, to be offered again
		rests    time.Time    // it sent nothing of what it was asked for, and is left alone till then
	}
)

const (
	fewPieces = 96      // below it, offers are better than sharing,
	longPiece = 8 << 20 // if a piece takes far longer than arranging it
	reserve   = 2       // open pieces that foreign clients leave to offers

	answerTime = time.Second     // an offer not answered by then is void
	memory     = 5 * time.Second // what a peer said of itself is asked again after
	fullTime   = 2 * time.Second // that it is full, sooner: what fills it may be slow
	candidates = 8               // receivers looked at for an offer

	takeTime = 100 * time.Millisecond // a block of an offered piece is what the link brings in it

	sparePieces = 1.75 // see leaves

	// Arranging the next piece begins this much before the last one ends, in round trips, within
	// bounds. The receiver's share is the larger: it waits for the offer and the piece.
	leadUp, leadUpMin     = 1, 50 * time.Millisecond
	leadDown, leadDownMin = 3, 30 * time.Millisecond
	leadMax               = 300 * time.Millisecond
)

// matched are the rules of a link that works with one peer at a time, and with more only if that
// one is slow (slow.go).
var matched = slotRules{base: 1}

func lead(g *gauge, rtts int, rtt, least time.Duration) int64 {
	return int64(g.best * min(leadMax, max(least, time.Duration(rtts)*rtt)).Seconds())
}

// match begins to arrange everything by offers.
func (p *Picker) match() {
	p.offers.on, p.up.slots.slotRules, p.down.slots.slotRules = true, matched, matched
	p.up.slots.piece = p.cfg.Layout.Length
}

// speaks says whether what q and we exchange is arranged by offers.
func (p *Picker) speaks(q *peer) bool { return p.offers.on && q.tr.Offers }

// runsDry says whether the uplink is about to have nothing to do: little is left to send, or fewer
// peers are served than could be and none waits. Then it is to be somebody beside them.
func (p *Picker) runsDry() (dry, beside bool) {
	pending := p.up.queued - p.slowQueued() + int64(p.offers.out)*p.cfg.Layout.Length
	if pending <= lead(&p.up.gauge, leadUp, p.offers.rtt, leadUpMin) {
		return true, false
	}
	beside = p.offers.out == 0 && p.up.turns < p.up.slots.count() && p.next() == nil
	return beside, beside
}

// offer makes offers until the uplink has enough to do.
func (p *Picker) offer() {
	for p.offers.on && !p.offers.dry {
		dry, beside := p.runsDry()
		if !dry {
			return
		}
		q, i := p.bestOffer(beside)
		if q == nil {
			p.offers.dry = !beside // else there may be something for whoever is served now, soon
			return
		}
		if q.snk.handouts == nil {
			q.snk.handouts = map[int]handout{}
		}
		h := handout{at: p.now, given: !q.snk.slow}
		if h.given {
			p.reveal.given[i]++
			p.reveal.since[i] = p.now
		}
		q.snk.handouts[i] = h
		p.offers.out++
		p.act(Action{Kind: Offer, Peer: q.id, Piece: i, Rate: int64(max(p.up.gauge.best, p.down.gauge.best))})
	}
}

// bestOffer looks at a few receivers that have room and takes the one for which the rarest piece is
// there; among equals the one that we have sent least.
func (p *Picker) bestOffer(beside bool) (best *peer, index int) {
	n := len(p.order)
	if n == 0 {
		return nil, -1
	}
	start, seen, out := p.cfg.Rand.IntN(n), 0, p.allOut()
	for k := 0; k < n && seen < candidates; k++ {
		q := p.order[(start+k)%n]
		if !p.speaks(q) || !q.snk.full.IsZero() || (beside || q.snk.slow) && len(q.snk.handouts) > 0 || p.cfg.Seed && p.leaves(q, out) {
			continue
		}
		i := p.rarestFor(q)
		if i < 0 {
			continue
		}
		seen++
		if best == nil || p.prefers(q, i, best, index) {
			best, index = q, i
		}
	}
	return best, index
}

// leaves says whether a seed leaves q to others that have something for it: what they have is not the
// seed's to send, unless q has had room for somewhat longer than a piece takes. Most who are busy now are
// not then. A slow one is theirs as long as some piece has not left. Those others may be liars: whoever has
// waited for nothing waits less till he has something from them.
func (p *Picker) leaves(q *peer, allOut bool) bool {
	wait := mostLost
	if allOut {
		wait = time.Duration(min(mostLost.Seconds(), sparePieces*p.pieceTime()) * float64(time.Second))
	} else if !q.snk.slow {
		return false
	}
	if q.snk.unhelped {
		wait /= 4
	}
	if p.up.gauge.best == 0 {
		return false
	}
	if p.now.Sub(q.snk.room) >= wait {
		q.snk.unhelped = true
		return false
	}
	return slices.ContainsFunc(p.order, func(r *peer) bool {
		return r != q && p.speaks(r) && !r.snk.slow && exceeds(r.has.Bytes(), q.has.Bytes())
	})
}

// pieceTime is how many seconds our uplink needs for a piece.
func (p *Picker) pieceTime() float64 { return float64(p.cfg.Layout.Length) / p.up.gauge.best }

// allOut says whether every piece has left us, or is about to.
func (p *Picker) allOut() bool {
	for i, n := range p.avail {
		if n == 0 && p.reveal.given[i] == 0 {
			return false
		}
	}
	return true
}

// prefers says whether to offer piece i to q rather than piece j to r: who is slow comes last.
func (p *Picker) prefers(q *peer, i int, r *peer, j int) bool {
	if q.snk.slow != r.snk.slow {
		return r.snk.slow
	}
	if x, y := p.spread(i), p.spread(j); x != y {
		return x < y
	}
	return q.snk.sent < r.snk.sent
}

// spread is how many have a piece or are being given it by us.
func (p *Picker) spread(i int) int32 { return p.avail[i] + p.reveal.given[i] }

// rarestFor is the rarest piece that can be offered to q, -1 if there is none.
func (p *Picker) rarestFor(q *peer) int {
	return p.least(p.have, q.has, func(i int) int32 {
		if !p.offerable(q, i) {
			return never
		}
		return p.spread(i)
	})
}

func (p *Picker) offerable(q *peer, i int) bool {
	if _, given := q.snk.handouts[i]; given {
		return false
	}
	if _, coming := q.snk.elsewhere[i]; coming {
		return false
	}
	return !p.cfg.Seed || !p.underway(i) && (p.avail[i] > 0 || p.relays(q))
}

// relays says whether q is one to give what nobody else has. A slow machine is not, if there is another.
func (p *Picker) relays(q *peer) bool {
	return !q.snk.slow || !slices.ContainsFunc(p.order, func(r *peer) bool { return p.speaks(r) && !r.snk.slow && !r.has.All() })
}

// answered ends an offer's wait.
func (p *Picker) answered(h handout, now time.Time) {
	if h.taken {
		return
	}
	p.offers.out--
	if d := now.Sub(h.at); p.offers.rtt == 0 {
		p.offers.rtt = d
	} else {
		p.offers.rtt += (d - p.offers.rtt) / 8
	}
}

// dropHandout forgets a handout.
func (p *Picker) dropHandout(q *peer, i int) {
	if h, ok := q.snk.handouts[i]; ok {
		if !h.taken {
			p.offers.out--
		}
		p.withhold(i, h)
		delete(q.snk.handouts, i)
		p.offers.dry = false
	}
}

// withhold says that a piece is not on its way to somebody who will relay it.
func (p *Picker) withhold(i int, h handout) {
	if h.given {
		p.reveal.given[i]--
		p.reveal.next = min(p.reveal.next, i)
	}
}

// taken notes that a peer requests of a piece that it was offered.
func (p *Picker) taken(q *peer, i int, now time.Time) {
	if h, ok := q.snk.handouts[i]; ok && !h.taken {
		p.answered(h, now)
		h.at, h.taken = now, true
		q.snk.handouts[i] = h
	}
}

// Declined is the answer of a peer that does not take an offer because the piece is there, or comes
// from elsewhere.
func (p *Picker) Declined(id ID, i int, now time.Time) {
	q := p.peers[id]
	if q == nil || i < 0 || i >= len(p.avail) {
		return
	}
	p.decline(q, i, now)
	if q.snk.elsewhere == nil {
		q.snk.elsewhere = map[int]time.Time{}
	}
	q.snk.elsewhere[i] = now
}

func (p *Picker) decline(q *peer, i int, now time.Time) {
	if h, ok := q.snk.handouts[i]; ok {
		p.answered(h, now)
		h.taken = true
		q.snk.handouts[i] = h
		p.dropHandout(q, i)
	}
}

// Full says that a peer has no room for offers. If i is not negative, it is the answer to the offer
// of that piece.
func (p *Picker) Full(id ID, i int, now time.Time) {
	if q := p.peers[id]; q != nil {
		p.decline(q, i, now)
		q.snk.full = now
		p.up.stirred = true
		if !p.offers.on { // it says when it has room again
			q.snk.full = now.Add(24 * time.Hour)
		}
	}
}

// Wanted says that a peer has room for offers again, and if i is not negative, that it would take
// that piece now.
func (p *Picker) Wanted(id ID, i int) {
	if q := p.peers[id]; q != nil {
		if !q.snk.full.IsZero() {
			q.snk.full, q.snk.room = time.Time{}, p.now
		}
		p.up.stirred = true
		delete(q.snk.elsewhere, i)
		p.dropHandout(q, i)
		p.offers.dry = false
	}
}

// tickOffers forgets what is old.
func (p *Picker) tickOffers() {
	p.offers.dry = false
	lost := max(memory, p.lost())
	for _, q := range p.order {
		s := &q.snk
		if !s.full.IsZero() && p.now.Sub(s.full) > fullTime {
			s.full, s.room = time.Time{}, p.now
		}
		for i, h := range s.handouts {
			switch d := p.now.Sub(h.at); {
			case !h.taken && d > answerTime:
				s.full = p.now.Add(memory - fullTime) // whoever does not answer has no room either
				p.dropHandout(q, i)
			case d > lost:
				p.dropHandout(q, i)
				if s.late == nil {
					s.late = map[int]bool{}
				}
				s.late[i] = true
			}
		}
		for i, at := range s.elsewhere {
			if p.now.Sub(at) > memory {
				delete(s.elsewhere, i)
			}
		}
	}
}

// offerHas notes that a peer announced a piece.
func (p *Picker) offerHas(q *peer, i int) {
	if h, ok := q.snk.handouts[i]; ok {
		if d := p.now.Sub(h.at); h.taken && d > 0 {
			p.offers.took += (d - p.offers.took) / 8
		}
		p.dropHandout(q, i)
	} else if !q.snk.late[i] {
		q.snk.unhelped = false
	}
	delete(q.snk.late, i)
	delete(q.snk.elsewhere, i)
}

func (p *Picker) leaveOffers(q *peer) {
	for i := range q.snk.handouts {
		p.dropHandout(q, i)
	}
	p.offers.dry = false
}
