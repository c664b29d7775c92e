// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import "time"

// revealing is a seed's super-seeding (BEP 16): it claims to have nothing and shows each receiver
// a few pieces, its own, to relay. While some piece has never left the seed, only such pieces are
// shown, so that the seed's link carries no piece twice.
type revealing struct {
	given []int32     // to how many peers each piece was shown and is on its way
	since []time.Time // when it was last shown
	next  int         // pieces before it were shown at least once
	took  time.Duration
}

// revealed is one peer's share.
type revealed struct {
	pieces map[int]time.Time // shown to it, and not yet announced by it
	asked  time.Time         // when it last asked for anything, or we last gave in
	extra  int               // how many more it is shown because it does not ask
	shy    bool              // it does not ask: its pieces do not count as given
}

const (
	leastRevealed = 2
	revealBytes   = 16 << 20 // to all foreign clients together, at least
	maxRevealed   = 64
	revealTime    = 500 * time.Millisecond // and what its link takes in this time
	// A piece shown this many times longer ago than such a piece takes is lost with its holder.
	lostAfter = 4
	leastLost = 2 * time.Second
	mostLost  = 20 * time.Second // and twice what our own link needs for it

	shyTime = time.Second
)

func (r *revealing) init(n int) {
	r.given = make([]int32, n)
	r.since = make([]time.Time, n)
}

// depth is how many pieces q may have been shown and not yet have: enough that its requests never
// run dry, few enough that none waits long. A slow machine is entrusted with few.
func (p *Picker) depth(q *peer) int {
	n := leastRevealed + int(q.snk.rate*revealTime.Seconds()/float64(p.cfg.Layout.Length))
	if q.tr.Block <= chunk { // a foreign client: who knows how it chooses
		n = max(n, int(revealBytes/(int64(len(p.order))*p.cfg.Layout.Length)))
	}
	return q.rev.extra + min(maxRevealed, n)
}

// watch notices a peer that asks for nothing of what it was shown. Those pieces are not on their way,
// whatever else it is shown. If it is a foreign client, it is shown more: the Client of
// anacrolix/torrent puts what nobody has first, and asks for nothing when that fills its limit.
func (p *Picker) watch(q *peer) {
	if p.byGrant(q) && !q.snk.open {
		q.rev.asked = p.now
		return // it may not ask (see grant, revoke)
	}
	if len(q.rev.pieces) == 0 || len(q.snk.queue) > 0 || q.snk.handed > 0 {
		p.setShy(q, false)
		q.rev.asked = p.now
		return
	}
	if p.now.Sub(q.rev.asked) >= shyTime {
		p.setShy(q, true)
		q.rev.asked = p.now
		if q.tr.Block <= chunk {
			q.rev.extra = 2 * max(q.rev.extra, len(q.rev.pieces))
		}
	}
}

func (p *Picker) setShy(q *peer, shy bool) {
	if q.rev.shy == shy {
		return
	}
	for i := range q.rev.pieces {
		if shy {
			p.ungive(q, i)
		} else {
			p.reveal.given[i]++
		}
	}
	q.rev.shy = shy
}

// ungive says that a piece is not on its way to q any more.
func (p *Picker) ungive(q *peer, i int) {
	if !q.rev.shy {
		p.reveal.given[i]--
		p.reveal.next = min(p.reveal.next, i)
	}
}

// revealHas notes that a peer announced a piece.
func (p *Picker) revealHas(q *peer, i int) {
	at, ok := q.rev.pieces[i]
	if !ok {
		return
	}
	p.ungive(q, i)
	delete(q.rev.pieces, i)
	const weight = 8
	if d := p.now.Sub(at); d > 0 && !q.rev.shy {
		p.reveal.took += (d - p.reveal.took) / weight
	}
}

func (p *Picker) leaveReveal(q *peer) {
	for i := range q.rev.pieces {
		p.ungive(q, i)
	}
	q.rev.pieces = nil
}

// revealNext shows every receiver that has few pieces left to ask for some more, those with the
// fewest first.
func (p *Picker) revealNext() {
	if !p.cfg.Seed {
		return
	}
	for again := true; again; {
		again = false
		for _, q := range p.order {
			if !q.tr.Vague && !p.speaks(q) && (q.snk.open || !p.byGrant(q)) && p.revealTo(q) {
				again = true
			}
		}
	}
}

// revealTo shows a peer one more piece, if it is entrusted with more.
func (p *Picker) revealTo(q *peer) bool {
	if len(q.rev.pieces) >= p.depth(q) || q.has.All() {
		return false
	}
	i := p.nextToReveal(q)
	if i < 0 {
		return false
	}
	if q.rev.pieces == nil {
		q.rev.pieces = map[int]time.Time{}
	}
	q.rev.pieces[i] = p.now
	if !q.rev.shy {
		p.reveal.given[i]++
		p.reveal.since[i] = p.now
	}
	p.act(Action{Kind: Reveal, Peer: q.id, Piece: i})
	return true
}

// nextToReveal is the piece to show q: the first that never left; else, among those that it lacks,
// one whose holder seems lost; else the one that fewest have.
func (p *Picker) nextToReveal(q *peer) int {
	r := &p.reveal
	for r.next < len(r.given) && (p.avail[r.next] > 0 || r.given[r.next] > 0 || !p.have.Has(r.next)) {
		r.next++
	}
	if _, shown := q.rev.pieces[r.next]; r.next < len(r.given) && !shown && !q.rev.shy {
		return r.next
	}
	return p.least(p.have, q.has, func(i int) int32 {
		if _, shown := q.rev.pieces[i]; shown || p.underway(i) {
			return never
		}
		return p.spread(i)
	})
}

// underway says whether a piece is on its way to somebody who will relay it.
func (p *Picker) underway(i int) bool {
	r := &p.reveal
	return p.avail[i] == 0 && r.given[i] > 0 && p.now.Sub(r.since[i]) < p.lost()
}

// lost is how long a piece may be under way before it is given to somebody else too.
func (p *Picker) lost() time.Duration {
	d := min(mostLost, max(leastLost, lostAfter*p.reveal.took, lostAfter*p.offers.took))
	if best := p.up.gauge.best; best > 0 {
		d = max(d, time.Duration(2*float64(p.cfg.Layout.Length)/best*float64(time.Second)))
	}
	return d
}

// shown says whether a peer was told of a piece that is here, so that it may ask for it.
func (p *Picker) shown(q *peer, i int) bool {
	if !p.have.Has(i) {
		return false
	}
	if !p.cfg.Seed {
		return true
	}
	_, ok := q.rev.pieces[i]
	return ok || p.speaks(q) || q.has.Has(i)
}
