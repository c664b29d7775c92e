// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// source is one peer as somebody to fetch from.
type source struct {
	choked    bool // it does not serve us
	idle      bool // it has nothing for us until something changes
	useful    bool // if known: it has something for us
	known     bool
	awake     bool      // it is in Picker.awake
	begun     bool      // it was asked for something since it serves us
	dry       bool      // it was told that we take nothing because it had nothing
	used      time.Time // when it was last asked for something
	inflight  []wire.Block
	bytes     int64     // of inflight
	busySince time.Time // when it was first asked for what is in flight
	came      time.Time // when it last brought something
	given     int64     // bytes it brought altogether
	naps      int       // how often it was left alone since
	timed     bool      // that is being measured
	rate      float64
	fresh     int64 // bytes since the last tick
	slow      bool  // it brings much less than our link can (slow.go)
	offerer
}

// downlink is our side of all sources together.
type downlink struct {
	gauge gauge
	slots slots
	trip  time.Duration // from asking an idle source for something to the first block: the least, slowly forgotten
	fed   time.Time     // when it last carried a fair part of what it can
	came  int64         // bytes altogether
}

func (d *downlink) tick(since time.Duration, sources []*peer) {
	d.gauge.tick(since)
	used := 0
	for _, q := range sources {
		if q.src.bytes > 0 && q.tr.Offers {
			used++
		}
	}
	d.slots.tick(since, &d.gauge, used, true)
}

// How many bytes are asked of a peer ahead of what has come: what its link brings while a request goes
// there and its block comes back, and two blocks at least, so that neither side waits for the other. All
// that is asked for more delays the piece that is asked for next, so that a new one spreads the slower,
// and binds pieces to those who have them first, while others who have them soon after stand idle.
const (
	aheadTime = 2 * blockTime
	shownTime = 4 * blockTime // of a seed that shows us what it shows nobody else
	aheadMost = time.Second   // that a request may take
	aheadMin  = 2
	aheadMax  = 16 << 20
	blockTime = 50 * time.Millisecond
	blockMin  = 2 * chunk

	// What a fast link brings in fastBlockTime may be longer than mostSlow: fewer blocks cost less, and what waits
	// behind one does not wait long.
	mostSlow      = 256 << 10
	fastBlockTime = 10 * time.Millisecond

	foreignAhead = 4 << 20
	untriedAhead = 256 << 10 // as long as a foreign client has brought nothing
)

func (q *peer) ahead(trip time.Duration) int64 {
	least := int64(aheadMin * q.block())
	switch {
	case q.tr.Block > chunk:
	case q.src.given == 0:
		least = untriedAhead
	default:
		least = foreignAhead // some look at their uplinks twice a second, and send no more than this each time
	}
	d := max(aheadTime, min(trip, aheadMost)+blockTime)
	if q.tr.Shows {
		d = max(d, shownTime)
	}
	return min(aheadMax, max(least, int64(q.src.rate*d.Seconds())))
}

// block is the size of the blocks that a peer is asked for: what its link brings in blockTime, but no more than
// mostSlow, or than it brings in fastBlockTime.
func (q *peer) block() int {
	if q.tr.Block <= chunk {
		return chunk
	}
	n := max(blockMin, min(mostSlow, int(q.src.rate*blockTime.Seconds())), int(q.src.rate*fastBlockTime.Seconds()))
	return min(q.tr.Block, n/chunk*chunk)
}

// began says whether a peer has been asked for something long enough to know its rate.
func (s *source) began(now time.Time) bool {
	return len(s.inflight) > 0 && now.Sub(s.busySince) > patience
}

// time measures a trip when the first block of those comes that were asked for at a time.
func (d *downlink) time(s *source, now time.Time) {
	if !s.timed {
		return
	}
	s.timed = false
	took := now.Sub(s.busySince)
	if d.trip == 0 || took < d.trip {
		d.trip = took
	}
	const weight = 256
	d.trip += (took - d.trip) / weight
}

func (s *source) tick(since time.Duration) { average(&s.rate, &s.fresh, since) }

// average moves a rate towards that of the fresh bytes: it is an average over about half a second.
func average(rate *float64, fresh *int64, since time.Duration) {
	const weight = 0.1 // of the newest 50 ms
	w := min(1, weight*float64(since)/float64(tickEvery))
	*rate += w * (float64(*fresh)/since.Seconds() - *rate)
	*fresh = 0
}

// Choked says whether a peer serves us. A choke drops what it was asked for, except with the fast
// extension (BEP 6), where each request is rejected by itself.
func (p *Picker) Choked(id ID, choked, fast bool) {
	q := p.peers[id]
	if q == nil {
		return
	}
	q.src.choked, q.src.begun = choked, false
	q.src.used = p.now
	p.met = true
	p.wake(q)
	q.src.saidFull = choked // it is told again where it may think otherwise
	if choked && !fast {
		p.dropInflight(q)
		p.wakeAll()
	}
}

func (p *Picker) dropInflight(q *peer) {
	for _, b := range q.src.inflight {
		if o := p.open.of[int(b.Piece)]; o != nil {
			o.unask(b)
			p.closeIfUntouched(o)
		}
	}
	q.src.inflight, q.src.bytes = nil, 0
	for _, o := range slices.Clone(p.open.list) {
		if o.owner == q {
			p.orphan(o)
		}
	}
}

// closeIfUntouched frees the place of a piece that nobody is asked for and nothing has come of.
func (p *Picker) closeIfUntouched(o *open) {
	if o.missing == len(o.chunks) {
		p.open.remove(o.index, false)
	}
}

// Received says that a block came from a peer. whole means that its piece is complete in memory and
// wants to be verified. Others who were asked for the same are told not to send it.
func (p *Picker) Received(id ID, b wire.Block, now time.Time) (whole bool) {
	p.now = now
	expected := false
	if q := p.peers[id]; q != nil {
		if expected = q.src.settle(b); expected {
			p.down.time(&q.src, now)
		}
		q.src.fresh += int64(b.Length)
		q.src.given += int64(b.Length)
		q.src.came, q.src.rests, q.src.naps = now, time.Time{}, 0
		p.down.gauge.fresh += int64(b.Length)
		p.down.came += int64(b.Length)
		q.src.used = now
		p.wake(q)
	}
	o := p.open.of[int(b.Piece)]
	if o == nil {
		return false
	}
	first, several := o.received == 0, !expected || o.askedOfSeveral(b)
	if !o.receive(b) {
		return false
	}
	o.progress = now
	if q := p.peers[id]; first && q != nil && !p.ending() {
		p.settleOn(o, q)
	}
	if several {
		for _, r := range p.order {
			if r.id != id && len(r.src.inflight) > 0 {
				p.cancelCovered(r, o, b)
			}
		}
	}
	return o.whole()
}

// cancelCovered takes back what r is asked of a block that has come from elsewhere.
func (p *Picker) cancelCovered(r *peer, o *open, b wire.Block) {
	for _, x := range slices.Clone(r.src.inflight) {
		if x.Piece != b.Piece || x.Begin >= b.Begin+b.Length || b.Begin >= x.Begin+x.Length {
			continue
		}
		c, end := span(x)
		if slices.ContainsFunc(o.chunks[c:end], func(st chunkState) bool { return st != received }) {
			continue
		}
		r.src.settle(x)
		p.wake(r)
		p.act(Action{Kind: Cancel, Peer: r.id, Block: x})
	}
}

// settle removes a block from what the peer is asked for.
func (s *source) settle(b wire.Block) bool {
	i := slices.Index(s.inflight, b)
	if i < 0 {
		return false
	}
	s.inflight = slices.Delete(s.inflight, i, i+1)
	s.bytes -= int64(b.Length)
	return true
}

// Rejected says that a peer will not send a block, or that it was not kept.
func (p *Picker) Rejected(id ID, b wire.Block) {
	q := p.peers[id]
	if q == nil || !q.src.settle(b) {
		return
	}
	if o := p.open.of[int(b.Piece)]; o != nil {
		o.unask(b)
		if o.owner == q {
			p.orphan(o)
		}
		p.closeIfUntouched(o)
	}
	if i := int(b.Piece); p.speaks(q) && !slices.Contains(q.src.again, i) {
		q.src.again = append(q.src.again, i)
	}
	p.wakeAll()
	q.src.idle = true // until the next tick: not at once again
}

// Expects says whether a peer was asked for a block.
func (p *Picker) Expects(id ID, b wire.Block) bool {
	q := p.peers[id]
	return q != nil && slices.Contains(q.src.inflight, b)
}

// Opened says whether a piece is being fetched.
func (p *Picker) Opened(i int) bool { return p.open.of[i] != nil }

// Verified says that a piece is on the disk.
func (p *Picker) Verified(i int) {
	p.open.remove(i, true)
	p.unknown.Clear(i)
	p.have.Set(i)
	delete(p.suspect, i)
	p.offers.dry = false
	p.wakeAll()
}

// Missing says that a piece of which that was not known is not here.
func (p *Picker) Missing(i int) {
	if !p.unknown.Has(i) {
		return
	}
	p.unknown.Clear(i)
	p.open.not.Clear(i)
	p.offers.dry = false
	p.invite(i)
	p.wakeAll()
}

// Failed says that a piece was not what it should be: all of it is missing again. It is fetched from
// one peer next, if that one sends: then it is plain whose it was.
func (p *Picker) Failed(i int) {
	p.suspect[i] = true
	if o := p.open.of[i]; o != nil {
		for _, q := range p.order {
			for _, b := range slices.Clone(q.src.inflight) {
				if int(b.Piece) == i && q.src.settle(b) {
					p.act(Action{Kind: Cancel, Peer: q.id, Block: b})
				}
			}
		}
		p.open.remove(i, false)
		p.orphan(o)
	}
	p.wakeAll()
}

// fetch asks every peer that serves us, but those whose offers we wait for, for as much as its link
// takes.
func (p *Picker) fetch() {
	if p.cfg.Seed || p.have.All() { // a seed that lost a piece cannot write it back
		return
	}
	for k := 0; k < len(p.awake); k++ { // asking may wake others
		q := p.awake[k]
		q.src.awake = false
		if q.tr.Vague || p.speaks(q) || p.now.Before(q.src.rests) || p.unproven(q) || p.byGrant(q) && q.src.saidFull {
			continue
		}
		for !q.src.idle && !q.src.choked && q.src.bytes < q.ahead(p.down.trip) && len(q.src.inflight) < q.tr.Queue {
			b, ok := p.pick(q)
			if !ok {
				q.src.idle = true
				break
			}
			p.request(q, p.open.of[int(b.Piece)], b)
		}
	}
	p.awake = p.awake[:0]
}

func (p *Picker) request(q *peer, o *open, b wire.Block) {
	if len(q.src.inflight) == 0 {
		q.src.busySince, q.src.timed = p.now, true
	}
	q.src.inflight = append(q.src.inflight, b)
	q.src.bytes += int64(b.Length)
	q.src.used, q.src.begun = p.now, true
	o.ask(b)
	p.act(Action{Kind: Request, Peer: q.id, Block: b})
}

// pick is the next block to ask of q: of a piece begun with it, of one that another left, of a new
// piece, of a piece that another is working on, and last of what others are already asked for.
func (p *Picker) pick(q *peer) (wire.Block, bool) {
	var mine, join *open
	for _, o := range p.open.list {
		switch {
		case o.missing == 0 || !q.has.Has(o.index) || p.reserved(o, q):
		case o.owner == q:
			if mine == nil || o.index < mine.index {
				mine = o
			}
		case p.barred(q, o.index):
		case join == nil || better(o, join):
			join = o
		}
	}
	if mine != nil {
		return mine.run(missing, 0, q.block())
	}
	// A piece that lost its owner is nearest to being whole; it goes before any new one.
	if join != nil && join.owner == nil {
		join.owner, join.since, join.progress = q, p.now, p.now
		return join.run(missing, 0, q.block())
	}
	budget := p.cfg.Budget
	if p.offers.on {
		budget = max(1, budget-reserve)
	}
	if len(p.open.list) < budget {
		if i := p.rarest(q); i >= 0 {
			return p.openPiece(i, q).run(missing, 0, q.block())
		}
	}
	if join != nil {
		return join.run(missing, 0, q.block())
	}
	return p.takeOver(q)
}

// better orders open pieces for a helper: one without an owner, then the one with most to do, then
// by index so that a run can be repeated.
func better(a, b *open) bool {
	if (a.owner == nil) != (b.owner == nil) {
		return a.owner == nil
	}
	if a.missing != b.missing {
		return a.missing > b.missing
	}
	return a.index < b.index
}

// rarest is the piece that fewest peers have among those q has and we neither have nor have open;
// -1 if there is none.
func (p *Picker) rarest(q *peer) int {
	return p.least(p.offeredBy(q), p.open.not, func(i int) int32 { return p.avail[i] })
}

// enough candidates make a random sample as good as the whole for finding a rare piece.
const enough = 256

// never is the rarity of a piece that is not to be chosen.
const never = math.MaxInt32

// least is the rarest piece that is in one set and not in another, -1 if there is none. Among equals,
// and among very many, chance decides: never the same order everywhere.
func (p *Picker) least(in, not *piece.Bitfield, rarity func(i int) int32) int {
	a, b := in.Bytes(), not.Bytes()
	start := p.cfg.Rand.IntN(len(a))
	best, least, ties, seen := -1, int32(never), uint32(0), 0
	for k := 0; k < len(a) && seen < enough; k++ {
		at := start + k
		if at >= len(a) {
			at -= len(a)
		}
		for w := a[at] &^ b[at]; w != 0; {
			lead := bits.LeadingZeros8(w)
			w &^= 0x80 >> lead
			i := at*8 + lead
			r := rarity(i)
			if r == never {
				continue
			}
			seen++
			switch {
			case r < least:
				best, least, ties = i, r, 1
			case r == least:
				if ties++; p.cfg.Rand.Uint32N(ties) == 0 {
					best = i
				}
			}
		}
	}
	return best
}
