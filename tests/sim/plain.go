// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"ezio/lib/picker"
	"ezio/lib/piece"
	"ezio/lib/wire"
)

// A plain client fetches the rarest piece first, in blocks of 16 KiB with a fixed amount asked ahead
// of each peer, and serves the peers that it has unchoked: those that gave most in the last ten
// seconds, or took most if it is a seed, and one of chance. It is what BEP 3 describes and what most
// clients do, without their refinements but one: a piece that was wrong comes from one peer the next time.
type plain struct {
	n       *node
	rng     *rand.Rand
	peers   []*plainPeer // by picker.ID; nil when gone
	avail   []int32
	open    map[int]*plainPiece
	not     *piece.Bitfield // here or open
	wrong   map[int]bool    // pieces that were wrong and are not here: one peer sends all of such a piece
	actions []picker.Action
	rechoke time.Time
	stale   time.Time
}

type plainPeer struct {
	id       picker.ID
	has      *piece.Bitfield
	choked   bool // it does not serve us
	serving  bool // we serve it
	idle     bool // it had nothing for us last time
	queue    []wire.Block
	handed   int
	inflight int
	gave     int64 // since the last choice of whom to serve
	took     int64
}

// A plainPiece is fetched from one peer at a time.
type plainPiece struct {
	from   *plainPeer // nil: whoever comes
	blocks []blockState
	got    int
	moved  time.Time // when something of it last came
}

type blockState uint8

const (
	absent blockState = iota
	wanted
	present
)

const (
	plainBlock   = 16 << 10
	plainAhead   = 32 // blocks
	plainHand    = 8  // blocks
	plainQueue   = 500
	plainUploads = 4
	plainRechoke = 10 * time.Second
	plainPatient = 20 * time.Second
)

func newPlain(n *node, rng *rand.Rand) *plain {
	return &plain{n: n, rng: rng, avail: make([]int32, n.have.Len()), open: map[int]*plainPiece{}, not: n.have.Clone(), wrong: map[int]bool{}}
}

func (p *plain) peer(id picker.ID) *plainPeer {
	if int(id) < len(p.peers) {
		return p.peers[id]
	}
	return nil
}

func (p *plain) Join(id picker.ID, _ picker.Traits) {
	for int(id) >= len(p.peers) {
		p.peers = append(p.peers, nil)
	}
	p.peers[id] = &plainPeer{id: id, has: piece.NewBitfield(len(p.avail)), choked: true}
	p.rechoke = time.Time{} // there may be a place for it
}

func (p *plain) Leave(id picker.ID) {
	q := p.peer(id)
	p.peers[id] = nil
	for i := range p.avail {
		if q.has.Has(i) {
			p.avail[i]--
		}
	}
	for i, o := range p.open {
		if o.from == q {
			p.orphan(i, o)
		}
	}
	if q.serving {
		p.rechoke = time.Time{}
	}
}

// orphan leaves a piece to whoever comes.
func (p *plain) orphan(i int, o *plainPiece) {
	o.from = nil
	for k := range o.blocks {
		if o.blocks[k] == wanted {
			o.blocks[k] = absent
		}
	}
	if o.got == 0 {
		delete(p.open, i)
		p.not.Clear(i)
	}
	p.wake()
}

func (p *plain) wake() {
	for _, q := range p.peers {
		if q != nil {
			q.idle = false
		}
	}
}

func (p *plain) Choked(id picker.ID, choked, _ bool) {
	p.peer(id).choked, p.peer(id).idle = choked, false
}

func (p *plain) PeerHas(id picker.ID, i int) {
	q := p.peer(id)
	if q == nil || q.has.Has(i) {
		return
	}
	q.has.Set(i)
	p.avail[i]++
	q.idle = q.idle && p.n.have.Has(i) // it may be one that another left
}

func (p *plain) PeerBitfield(id picker.ID, b *piece.Bitfield) {
	for i := range b.Len() {
		if b.Has(i) {
			p.PeerHas(id, i)
		}
	}
}

func (p *plain) Requested(id picker.ID, b wire.Block, _ time.Time) bool {
	q := p.peer(id)
	if q == nil || !q.serving || !p.n.have.Has(int(b.Piece)) || len(q.queue) >= plainQueue {
		return false
	}
	q.queue = append(q.queue, b)
	return true
}

func (p *plain) Cancelled(id picker.ID, b wire.Block) bool {
	q := p.peer(id)
	i := slices.Index(q.queue, b)
	if i >= 0 {
		q.queue = slices.Delete(q.queue, i, i+1)
	}
	return i >= 0
}

func (p *plain) Sent(id picker.ID, b wire.Block) {
	if q := p.peer(id); q != nil {
		q.handed--
		q.took += int64(b.Length)
	}
}

func (p *plain) Dropped(id picker.ID, _ wire.Block) { p.peer(id).handed-- }

func (p *plain) Rejected(id picker.ID, b wire.Block) {
	q := p.peer(id)
	q.inflight--
	q.idle = false
	if o := p.open[int(b.Piece)]; o != nil && o.from == q && o.blocks[b.Begin/plainBlock] == wanted {
		o.blocks[b.Begin/plainBlock] = absent
		if !slices.Contains(o.blocks, wanted) {
			p.orphan(int(b.Piece), o)
		}
	}
}

func (p *plain) Received(id picker.ID, b wire.Block, now time.Time) bool {
	if q := p.peer(id); q != nil {
		q.inflight--
		q.gave += int64(b.Length)
		q.idle = false
	}
	o := p.open[int(b.Piece)]
	if o == nil || o.blocks[b.Begin/plainBlock] == present {
		return false
	}
	o.blocks[b.Begin/plainBlock] = present
	o.got++
	o.moved = now
	return o.got == len(o.blocks)
}

func (p *plain) Opened(i int) bool { return p.open[i] != nil }
func (p *plain) Verified(i int)    { delete(p.open, i); p.not.Set(i); p.wake() }
func (p *plain) Failed(i int)      { p.wrong[i] = true; delete(p.open, i); p.not.Clear(i); p.wake() }

// What our own kind say about offers is nothing to a plain client.
func (p *plain) Offered(picker.ID, int, int64, time.Time) {}
func (p *plain) Declined(picker.ID, int, time.Time)       {}
func (p *plain) Full(picker.ID, int, time.Time)           {}
func (p *plain) Wanted(picker.ID, int)                    {}

func (p *plain) act(a picker.Action) { p.actions = append(p.actions, a) }

func (p *plain) Act(now time.Time) []picker.Action {
	p.actions = nil
	if now.Sub(p.rechoke) >= plainRechoke {
		p.rechoke = now
		p.choose()
	}
	if now.Sub(p.stale) >= time.Second {
		p.stale = now
		p.giveUp(now)
	}
	for _, q := range p.peers {
		if q == nil {
			continue
		}
		for !q.choked && !q.idle && q.inflight < plainAhead {
			b, ok := p.pick(q, now)
			if q.idle = !ok; ok {
				q.inflight++
				p.act(picker.Action{Kind: picker.Request, Peer: q.id, Block: b})
			}
		}
		for len(q.queue) > 0 && q.handed < plainHand {
			p.act(picker.Action{Kind: picker.Send, Peer: q.id, Block: q.queue[0]})
			q.queue = q.queue[1:]
			q.handed++
		}
	}
	return p.actions
}

// giveUp leaves pieces to others of which nothing has come for long.
func (p *plain) giveUp(now time.Time) {
	for i, o := range p.open {
		if o.from != nil && o.got < len(o.blocks) && now.Sub(o.moved) > plainPatient {
			p.orphan(i, o)
		}
	}
}

// choose is BEP 3's choice of whom to serve.
func (p *plain) choose() {
	var list []*plainPeer
	for _, k := range p.rng.Perm(len(p.peers)) {
		if q := p.peers[k]; q != nil && !q.has.All() {
			list = append(list, q)
		}
	}
	seed := p.not.All() && len(p.open) == 0
	slices.SortStableFunc(list, func(a, b *plainPeer) int {
		if seed {
			return cmp.Compare(b.took, a.took)
		}
		return cmp.Compare(b.gave, a.gave)
	})
	if n := len(list); n > plainUploads {
		k := plainUploads + p.rng.IntN(n-plainUploads)
		list[plainUploads], list[k] = list[k], list[plainUploads]
	}
	for k, q := range list {
		serve := k <= plainUploads
		if serve != q.serving {
			q.serving = serve
			if serve {
				p.act(picker.Action{Kind: picker.Unchoke, Peer: q.id})
			} else {
				p.act(picker.Action{Kind: picker.Choke, Peer: q.id})
				for _, b := range q.queue {
					p.act(picker.Action{Kind: picker.Reject, Peer: q.id, Block: b})
				}
				q.queue = nil
			}
		}
	}
	for _, q := range p.peers {
		if q != nil {
			q.gave, q.took = 0, 0
		}
	}
}

// pick is the next block to ask of q.
func (p *plain) pick(q *plainPeer, now time.Time) (wire.Block, bool) {
	best := -1
	for i, o := range p.open {
		if q.has.Has(i) && (o.from == q || o.from == nil) && slices.Contains(o.blocks, absent) && (best < 0 || i < best) {
			best = i
		}
	}
	if best < 0 && len(p.open) < p.n.run.cfg.Budget {
		if best = p.rarest(q); best >= 0 {
			_, size := p.n.run.cfg.Layout.Span(best)
			p.open[best] = &plainPiece{blocks: make([]blockState, (size+plainBlock-1)/plainBlock), moved: now}
			p.not.Set(best)
		}
	}
	if best < 0 {
		return p.help(q)
	}
	o := p.open[best]
	if o.from == nil {
		o.from, o.moved = q, now
	}
	k := slices.Index(o.blocks, absent)
	o.blocks[k] = wanted
	return p.block(best, k), true
}

// help is the end game: what another was asked for.
func (p *plain) help(q *plainPeer) (wire.Block, bool) {
	if p.n.have.Count()+len(p.open) < p.n.have.Len() || q.inflight > 0 {
		return wire.Block{}, false
	}
	best := -1
	for i, o := range p.open {
		if o.from != q && !p.wrong[i] && q.has.Has(i) && slices.Contains(o.blocks, wanted) && (best < 0 || i < best) {
			best = i
		}
	}
	if best < 0 {
		return wire.Block{}, false
	}
	o := p.open[best]
	for k := len(o.blocks) - 1; ; k-- {
		if o.blocks[k] == wanted {
			o.from = q
			return p.block(best, k), true
		}
	}
}

func (p *plain) block(i, k int) wire.Block {
	_, size := p.n.run.cfg.Layout.Span(i)
	begin := int64(k) * plainBlock
	return wire.Block{Piece: int32(i), Begin: int32(begin), Length: int32(min(plainBlock, size-begin))}
}

// rarest is the piece that fewest peers have of those that q has and we neither have nor fetch.
func (p *plain) rarest(q *plainPeer) int {
	best, ties := -1, 0
	a, b := q.has.Bytes(), p.not.Bytes()
	for at := range a {
		if a[at]&^b[at] == 0 {
			continue
		}
		for i := at * 8; i < min(at*8+8, len(p.avail)); i++ {
			switch {
			case !q.has.Has(i) || p.not.Has(i):
			case best < 0 || p.avail[i] < p.avail[best]:
				best, ties = i, 1
			case p.avail[i] == p.avail[best]:
				if ties++; p.rng.IntN(ties) == 0 {
					best = i
				}
			}
		}
	}
	return best
}
