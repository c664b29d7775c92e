// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import "ezio/lib/piece"

// Machines of one network segment share the links that lead to the others, and those may be narrow: a
// rack of 32 with a tenth of their rate to the core. What one of them has fetched from outside, the
// others should have from it. So of a far peer only such pieces are asked as no near one has, and of
// those each is brought in by one machine, on which all agree without a word: the one whose key gives
// the greatest number with the piece (rendezvous hashing, Thaler and Ravishankar 1998). Whose link has
// had little to carry for a while asks for anything: the one that is to bring it may be slow, or gone.
//
// A seed that shows its pieces one by one is not far: what it shows, it shows to nobody else.
type nearby struct {
	near, far int             // peers of our own kind
	any       *piece.Bitfield // what near peers have
	ours      *piece.Bitfield // what we are to bring in
	stale     bool            // ours is not
	wanted    *piece.Bitfield // scratch
}

// farSources are how many far sources may serve us beside those that the downlink has room for: they
// are what all near ones wait for.
const farSources = 2

// fedShare of what the downlink can carry is enough not to be starving.
const fedShare = 0.25

// joinNear counts a peer, and finds out again who brings in what.
func (p *Picker) joinNear(q *peer, n int) {
	if q.tr.Near {
		p.near.near += n
	} else {
		p.near.far += n
	}
	p.near.stale = true
}

// segmented says whether there are near peers and far ones.
func (p *Picker) segmented() bool { return p.near.near > 0 && p.near.far > 0 && !p.cfg.Seed }

// far says whether what q sends comes over links that others wait for.
func (p *Picker) far(q *peer) bool { return !q.tr.Near && !q.tr.Shows && p.segmented() }

// settleNear brings the sets up to date after somebody has come, gone or lost a piece.
func (p *Picker) settleNear() {
	s := &p.near
	if !s.stale {
		return
	}
	s.stale = false
	n := len(p.avail)
	s.any, s.ours, s.wanted = piece.NewBitfield(n), piece.NewBitfield(n), piece.NewBitfield(n)
	for i := range n {
		best := pair(p.cfg.Key, uint64(i))
		mine := true
		for _, q := range p.order {
			if !q.tr.Near {
				continue
			}
			if q.has.Has(i) {
				s.any.Set(i)
			}
			mine = mine && pair(q.tr.Key, uint64(i)) <= best
		}
		if mine {
			s.ours.Set(i)
		}
	}
}

// barred says whether piece i is not to be had from q, because it is far.
func (p *Picker) barred(q *peer, i int) bool {
	if !p.far(q) || p.starving() {
		return false
	}
	p.settleNear()
	return p.near.any.Has(i) || !p.near.ours.Has(i)
}

// starving says whether little has come for a while.
func (p *Picker) starving() bool {
	if p.down.fed.IsZero() {
		p.down.fed = p.now
	}
	return p.now.Sub(p.down.fed) > patience
}

// owesFar says whether the next to be served should be a far peer: each brings to many what we have,
// and nobody far is served.
func (p *Picker) owesFar() bool {
	if !p.segmented() {
		return false
	}
	for _, q := range p.order {
		if q.snk.open && !q.tr.Near && p.byGrant(q) {
			return false
		}
	}
	return true
}

// offeredBy is what q has and may be asked for.
func (p *Picker) offeredBy(q *peer) *piece.Bitfield {
	if !p.far(q) || p.starving() {
		return q.has
	}
	p.settleNear()
	s := &p.near
	s.wanted.SetTo(func(k int) byte { return q.has.Bytes()[k] & s.ours.Bytes()[k] &^ s.any.Bytes()[k] })
	return s.wanted
}
