// SPDX-License-Identifier: GPL-2.0-or-later

// Package picker decides who gets which piece next. It is pure: events in, actions out, no I/O, no
// goroutine, no clock and no randomness of its own.
//
// Why a swarm is slow, and what is done about it here (design.md, section 4):
//
//   - A seed must not send what others could send. As long as some piece has never left it, it
//     reveals only such pieces, each to one receiver (reveal.go; BEP 16, which any client obeys).
//   - Uplinks must not idle, and a piece can be relayed only when it is whole. So an uplink serves a
//     few receivers at a time, and a downlink is served by as few: a random graph in which everybody
//     has as many neighbours in as out (grant.go). With few long pieces even that is too many: links
//     are then matched, one piece to one receiver at a time (offer.go).
//   - Everybody works for the same owner. So rare pieces are asked for first, who has least
//     is served first, and near the end whoever is idle helps (fetch.go).
//
// Invariants: a block is asked of a peer only if that peer has its piece, and of two peers only
// near the end; no more than Config.Budget pieces are open at a time; a piece that is present is
// never asked for.
package picker

import (
	"math/rand/v2"
	"slices"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// An ID names a peer; the caller chooses it and does not use it again.
type ID int

// A Kind is what an Action asks the caller to do.
type Kind uint8

const (
	Request Kind = iota // ask the peer for Block
	Cancel              // take a request back
	Send                // send Block to the peer
	Reveal              // tell the peer that we have Piece
	Offer               // offer Piece to the peer
	Decline             // tell the peer that Piece, which it offered, comes from elsewhere
	Full                // tell it that there is no room, for Piece if that is what it offered
	Want                // tell it that there is room again, for Piece too if it is not -1
	Unchoke             // tell it that its requests are served
	Choke               // tell it that they are not
	Reject              // tell it that Block does not come
)

// An Action is one thing to do for one peer.
type Action struct {
	Kind  Kind
	Peer  ID
	Block wire.Block // Request, Cancel, Send, Reject
	Piece int        // all others; -1: none
	Rate  int64      // Offer: bytes a second that our link is known to carry
}

// Traits are what a peer's handshakes say about it.
type Traits struct {
	Block  int  // bytes of the largest block it sends: 16 KiB for a foreign client
	Queue  int  // how many requests it keeps; 0 means 250
	Offers bool // it makes offers and answers them: it is of our own kind
	Vague  bool // it has not said what it speaks, and is going to: nothing is done with it till then

	Near  bool // it is on the same network segment as we are
	Shows bool // it is a seed that shows its pieces one by one, each to one peer at first

	// Key is made of its peer id, so that all who know the peer have the same. Only what Join says of it and of Near counts.
	Key uint64
}

// Config is what a picker starts from.
type Config struct {
	Layout piece.Layout
	Have   *piece.Bitfield // pieces present at the start; the picker keeps its own copy
	// Unknown are pieces of which it is still being found out whether they are here, nil for none. They
	// are not asked for until Missing says so; Verified says that they are here.
	Unknown *piece.Bitfield
	Budget  int  // how many pieces may be open, that is in memory, at a time
	Seed    bool // reveal pieces one by one (super-seeding) instead of all at once
	Rand    *rand.Rand
	Key     uint64 // what others have in their Traits for us
}

// A Picker is the state of one torrent's decisions. It belongs to one goroutine.
type Picker struct {
	cfg     Config
	have    *piece.Bitfield
	avail   []int32 // how many peers have each piece
	peers   map[ID]*peer
	order   []*peer // in order of joining, so that iteration is repeatable
	open    openPieces
	unknown *piece.Bitfield
	suspect map[int]bool // pieces that were wrong and are not here yet
	awake   []*peer      // who may have something for us
	met     bool         // who serves whom may have changed
	waiting *peer        // since the last tick, if waits: who would have been served next
	waits   bool
	actions []Action
	now     time.Time
	ticked  time.Time

	up     uplink
	down   downlink
	offers offering
	near   nearby
	reveal revealing
}

// peer is what is known of one peer, and its part in every topic.
type peer struct {
	id  ID
	has *piece.Bitfield
	tr  Traits
	src source // what we fetch from it
	snk sink   // what we send to it
	rev revealed
	age time.Duration // ticks since it joined

	pair uint64 // how much it and we prefer each other
}

// vagueTime is how long a peer may take to say what it speaks.
const vagueTime = 2 * time.Second

// blocks of this size are the grain of all bookkeeping; every request is a run of them.
const chunk = 16 << 10

// New makes a picker.
func New(cfg Config) *Picker {
	n := cfg.Layout.Count()
	p := &Picker{
		cfg:   cfg,
		have:  cfg.Have.Clone(),
		avail: make([]int32, n),
		peers: map[ID]*peer{},
		open:  newOpenPieces(cfg.Have),

		suspect: map[int]bool{},
	}
	p.up.slots.slotRules, p.down.slots.slotRules = granted, grantedDown
	if n < fewPieces && cfg.Layout.Length >= longPiece {
		p.match()
	}
	if p.unknown = cfg.Unknown; p.unknown == nil {
		p.unknown = piece.NewBitfield(n)
	}
	p.unknown = p.unknown.Clone()
	for i := range n {
		if p.unknown.Has(i) {
			p.open.not.Set(i)
		}
	}
	p.reveal.init(n)
	return p
}

// Join adds a peer that has nothing yet.
func (p *Picker) Join(id ID, tr Traits) {
	if tr.Block < chunk {
		tr.Block = chunk
	}
	if tr.Queue == 0 {
		tr.Queue = 250
	}
	q := &peer{id: id, tr: tr, has: piece.NewBitfield(len(p.avail))}
	q.src.choked = true
	q.pair = pair(p.cfg.Key, tr.Key)
	p.joinNear(q, 1)
	p.peers[id] = q
	p.order = append(p.order, q)
	p.met = true
}

// Leave forgets a peer. What it was asked for is free for others.
func (p *Picker) Leave(id ID) {
	q := p.peers[id]
	if q == nil {
		return
	}
	p.dropInflight(q)
	p.leaveUplink(q)
	p.leaveReveal(q)
	p.leaveOffers(q)
	for i := range p.avail {
		if q.has.Has(i) {
			p.avail[i]--
		}
	}
	p.joinNear(q, -1)
	delete(p.peers, id)
	gone := func(x *peer) bool { return x == q }
	p.order = slices.DeleteFunc(p.order, gone)
	p.awake = slices.DeleteFunc(p.awake, gone) // or a piece would be asked of nobody, for ever
	p.wakeAll()
}

// Traits changes what is known of a peer, when its extension handshake has come.
func (p *Picker) Traits(id ID, tr Traits) {
	if q := p.peers[id]; q != nil {
		if tr.Block >= chunk {
			q.tr.Block = tr.Block
		}
		if tr.Queue > 0 {
			q.tr.Queue = tr.Queue
		}
		q.tr.Offers, q.tr.Vague = q.tr.Offers || tr.Offers, false
		q.tr.Shows = tr.Shows
		p.met = true
		p.wake(q)
	}
}

// PeerHas says that a peer has a piece.
func (p *Picker) PeerHas(id ID, i int) {
	q := p.peers[id]
	if q == nil || i < 0 || i >= len(p.avail) || q.has.Has(i) {
		return
	}
	q.has.Set(i)
	p.avail[i]++
	q.src.known = false
	if q.tr.Near && !p.near.stale {
		p.near.any.Set(i)
	}
	if !p.open.not.Has(i) || p.ending() {
		p.met = p.met || q.src.dry
		p.wake(q)
	}
	if q.has.All() {
		p.up.stirred = true // it takes nothing more
	}
	p.revealHas(q, i)
	p.offerHas(q, i)
}

// PeerLost says that a peer no longer has a piece (BEP 54). What it was asked for of it is free for
// others.
func (p *Picker) PeerLost(id ID, i int) {
	q := p.peers[id]
	if q == nil || i < 0 || i >= len(p.avail) || !q.has.Has(i) {
		return
	}
	q.has.Clear(i)
	p.near.stale = true
	p.avail[i]--
	for _, b := range slices.Clone(q.src.inflight) {
		if int(b.Piece) == i {
			p.Rejected(id, b)
		}
	}
}

// PeerBitfield says which pieces a peer has, instead of what was known before.
func (p *Picker) PeerBitfield(id ID, b *piece.Bitfield) {
	for i := range b.Len() {
		if b.Has(i) {
			p.PeerHas(id, i)
		}
	}
}

// Interesting says whether a peer has anything that is missing here.
func (p *Picker) Interesting(id ID) bool {
	q := p.peers[id]
	if q == nil || p.cfg.Seed || p.have.All() {
		return false
	}
	for i, b := range q.has.Bytes() {
		if b&^p.have.Bytes()[i] != 0 {
			return true
		}
	}
	return false
}

// Has says whether a peer has a piece.
func (p *Picker) Has(id ID, i int) bool {
	q := p.peers[id]
	return q != nil && q.has.Has(i)
}

// Complete says whether a peer has every piece.
func (p *Picker) Complete(id ID) bool {
	q := p.peers[id]
	return q != nil && q.has.All()
}

// Availability is how many peers have piece i.
func (p *Picker) Availability(i int) int { return int(p.avail[i]) }

// tickEvery is how often the slow parts of Act run: rates, turns, places lost.
const tickEvery = 50 * time.Millisecond

// Act returns what is to be done now. It is called after events, and at least every 50 ms. The
// slice is the caller's until the next call.
func (p *Picker) Act(now time.Time) []Action {
	p.now = now
	if d := now.Sub(p.ticked); d >= tickEvery {
		p.tick(d)
		p.ticked = now
	}
	if p.met {
		p.met = false
		p.unchoke()
		p.tellRoom()
	}
	p.fetch()
	p.announceRoom()
	p.revealNext()
	if p.up.stirred {
		p.up.stirred = false
		p.serve()
	}
	p.offer()
	out := p.actions
	p.actions = nil
	return out
}

func (p *Picker) tick(since time.Duration) {
	if p.ticked.IsZero() {
		since = tickEvery
	}
	for _, q := range p.order {
		q.src.tick(since)
		average(&q.snk.rate, &q.snk.fresh, since)
		if q.age += since; q.age > vagueTime {
			q.tr.Vague = false
		}
		p.wake(q)
		p.watch(q)
	}
	p.met, p.up.stirred = true, true
	p.waits = false
	p.up.tick(since, p.next() != nil || p.bestGrant() != nil)
	p.down.tick(since, p.order)
	p.tickSlow(since)
	if r := p.down.gauge.rate(); r > 0 && r >= fedShare*p.down.gauge.best {
		p.down.fed = p.now
	}
	p.tickOffers()
	p.release()
}

func (p *Picker) act(a Action) { p.actions = append(p.actions, a) }

func (p *Picker) wakeAll() {
	p.up.stirred = true
	for _, q := range p.order {
		p.wake(q)
	}
}

// wake says that a peer may have something for us.
func (p *Picker) wake(q *peer) {
	q.src.idle, q.src.known = false, false
	if !q.src.awake && !q.src.choked {
		q.src.awake = true
		p.awake = append(p.awake, q)
	}
}
