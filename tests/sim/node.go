// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"ezio/lib/picker"
	"ezio/lib/piece"
	"ezio/lib/wire"
)

// A scheduler is what decides for a node: *picker.Picker, or a plain client's habits.
type scheduler interface {
	Join(id picker.ID, tr picker.Traits)
	Leave(id picker.ID)
	Choked(id picker.ID, choked, fast bool)
	PeerHas(id picker.ID, i int)
	PeerBitfield(id picker.ID, b *piece.Bitfield)
	Requested(id picker.ID, b wire.Block, now time.Time) bool
	Cancelled(id picker.ID, b wire.Block) bool
	Rejected(id picker.ID, b wire.Block)
	Sent(id picker.ID, b wire.Block)
	Dropped(id picker.ID, b wire.Block)
	Received(id picker.ID, b wire.Block, now time.Time) bool
	Opened(i int) bool
	Verified(i int)
	Failed(i int)
	Offered(id picker.ID, i int, rate int64, now time.Time)
	Declined(id picker.ID, i int, now time.Time)
	Full(id picker.ID, i int, now time.Time)
	Wanted(id picker.ID, i int)
	Act(now time.Time) []picker.Action
}

// A word beside the picker's kinds of actions: all that the sender has.
const (
	bitfield picker.Kind = 200
)

// A node is one machine.
type node struct {
	run        *run
	id         int
	cfg        Node
	rack       int
	up, down   *link
	disk       *link
	sched      scheduler
	have       *piece.Bitfield
	memory     map[int]*buffer
	strikes    map[*node]int
	conns      []*conn // by picker.ID; nil when it is over
	peers      int
	dialed     int // of them, those that it made; in racks without those within its own
	dialedNear int
	known      []*node // addresses it has heard of and has no connection to
	knows      map[*node]bool
	joined     bool
	gone       bool
	stalled    time.Duration // until then
	done       time.Duration
	sent       int64
	hungry     time.Duration // since when it could be given something and is not
	fed        int64         // what its link had carried then
	gained     time.Duration // when it last had a new piece
	pending    bool          // an Act is due
}

// A conn is one end of a connection.
type conn struct {
	node   *node
	far    *conn
	id     picker.ID
	open   bool
	dialed bool            // by this end
	asked  []wire.Block    // of the other end, and not answered
	shown  *piece.Bitfield // what the other end was told of, if this end reveals; nil: all it has
	flow   flow
}

func (r *run) newNode(i int) *node {
	n := &node{run: r, id: i, cfg: Node{Up: r.cfg.Rate, Down: r.cfg.Rate, Disk: r.cfg.Disk}, memory: map[int]*buffer{}, knows: map[*node]bool{}}
	if i > 0 && r.cfg.Node != nil {
		r.cfg.Node(i, &n.cfg)
	}
	if r.cfg.Rack > 0 {
		n.rack = i / r.cfg.Rack
	}
	n.up, n.down, n.disk = &link{rate: n.cfg.Up}, &link{rate: n.cfg.Down}, &link{rate: n.cfg.Disk}
	n.have = piece.NewBitfield(r.cfg.Layout.Count())
	if i == 0 {
		fill(n.have)
	}
	rng := rand.New(rand.NewPCG(r.cfg.Seed, uint64(i)))
	if r.cfg.Plain || n.cfg.Plain {
		n.sched = newPlain(n, rng)
	} else {
		n.sched = picker.New(picker.Config{Layout: r.cfg.Layout, Have: n.have, Budget: r.cfg.Budget, Seed: i == 0, Rand: rng, Key: r.key(n)})
	}
	return n
}

// key is a number of chance that is always the same for a node, as its peer id is.
func (r *run) key(n *node) uint64 {
	return rand.New(rand.NewPCG(r.cfg.Seed, uint64(n.id)+1<<32)).Uint64()
}

func fill(b *piece.Bitfield) {
	for k := range b.Len() {
		b.Set(k)
	}
}

// reveals says whether the node shows its pieces one by one.
func (n *node) reveals() bool {
	_, ours := n.sched.(*picker.Picker)
	return n.id == 0 && ours
}

func (n *node) tick() {
	if n.gone {
		return
	}
	n.check()
	n.act()
	n.run.at(n.run.now+50*time.Millisecond, event{kind: tick, node: n})
}

// soon lets the node decide once for all that happens in a moment.
func (n *node) soon() {
	if !n.pending && !n.gone {
		n.pending = true
		n.run.at(n.run.now+n.run.cfg.Think, event{kind: act, node: n})
	}
}

func (n *node) act() {
	r := n.run
	if n.gone || r.now < n.stalled {
		return
	}
	for _, a := range n.decide() {
		c := n.conns[a.Peer]
		if c == nil {
			continue // decided before the connection broke
		}
		switch a.Kind {
		case picker.Send:
			n.checkSend(c, a.Block)
			c.flow.blocks = append(c.flow.blocks, a.Block)
			r.start(c)
		case picker.Reject:
			r.say(c, event{kind: message, hop: uint8(a.Kind), block: a.Block})
		case picker.Request:
			n.checkRequest(c, a.Block)
			c.asked = append(c.asked, a.Block)
			r.say(c, event{kind: message, hop: uint8(a.Kind), block: a.Block})
		case picker.Cancel:
			r.say(c, event{kind: message, hop: uint8(a.Kind), block: a.Block})
		case picker.Reveal, picker.Offer:
			n.checkHas(a.Piece)
			if c.shown != nil {
				c.shown.Set(a.Piece)
			}
			fallthrough
		default:
			r.say(c, event{kind: message, hop: uint8(a.Kind), block: wire.Block{Piece: int32(a.Piece)}, rate: a.Rate})
		}
	}
}

func (n *node) decide() []picker.Action {
	r := n.run
	r.res.Acts++
	if !r.cfg.Measure {
		return n.sched.Act(r.clock())
	}
	began := time.Now()
	list := n.sched.Act(r.clock())
	r.res.Deciding += time.Since(began)
	return list
}

// hear takes a word from the other end of a connection.
func (n *node) hear(c *conn, e event) {
	r, i := n.run, int(e.block.Piece)
	switch picker.Kind(e.hop) {
	case picker.Request:
		if !n.sched.Requested(c.id, e.block, r.clock()) && !n.cfg.Silent {
			r.say(c, event{kind: message, hop: uint8(picker.Reject), block: e.block})
		}
	case picker.Cancel:
		n.cancel(c, e.block)
	case picker.Reject:
		if c.answered(e.block) {
			n.sched.Rejected(c.id, e.block)
		}
	case picker.Reveal:
		n.sched.PeerHas(c.id, i)
	case bitfield:
		n.sched.PeerBitfield(c.id, c.far.claims())
	case picker.Offer:
		n.sched.Offered(c.id, i, e.rate, r.clock())
	case picker.Decline:
		n.sched.Declined(c.id, i, r.clock())
	case picker.Full:
		n.sched.Full(c.id, i, r.clock())
	case picker.Want:
		n.sched.Wanted(c.id, i)
	case picker.Choke, picker.Unchoke:
		n.sched.Choked(c.id, picker.Kind(e.hop) == picker.Choke, true)
	}
	n.soon()
}

// cancel is lib/swarm's onCancel: a block that has begun comes all the same.
func (n *node) cancel(c *conn, b wire.Block) {
	if !n.sched.Cancelled(c.id, b) {
		first := 0
		if c.flow.begun {
			first = 1
		}
		k := slices.Index(c.flow.blocks[min(first, len(c.flow.blocks)):], b)
		if k < 0 {
			return
		}
		c.flow.blocks = slices.Delete(slices.Clone(c.flow.blocks), first+k, first+k+1)
		n.sched.Dropped(c.id, b)
	}
	n.run.say(c, event{kind: message, hop: uint8(picker.Reject), block: b})
}

// answered settles a request and says whether there was one.
func (c *conn) answered(b wire.Block) bool {
	i := slices.Index(c.asked, b)
	if i >= 0 {
		c.asked = slices.Delete(c.asked, i, i+1)
	}
	return i >= 0
}

// claims is what this end says it has.
func (c *conn) claims() *piece.Bitfield {
	n := c.node
	switch {
	case n.cfg.Boasts:
		all := piece.NewBitfield(n.have.Len())
		fill(all)
		return all
	case c.shown != nil:
		return c.shown
	}
	return n.have
}

// announce tells all peers of a piece that was written.
func (n *node) announce(i int) {
	n.checkHas(i)
	at := max(n.run.now, n.up.free) + n.run.cfg.Latency
	n.run.at(at, event{kind: told, node: n, block: wire.Block{Piece: int32(i)}})
}

// told is the moment at which an announcement arrives: at once with all peers but those for whom it
// waits behind a block.
func (n *node) told(i int) {
	if n.gone {
		return
	}
	for _, c := range n.conns {
		switch {
		case c == nil || c.far.node.gone:
		case c.flow.begun:
			c.flow.held = append(c.flow.held, event{kind: message, hop: uint8(picker.Reveal), block: wire.Block{Piece: int32(i)}})
		default:
			c.far.node.sched.PeerHas(c.far.id, i)
			c.far.node.soon()
		}
	}
}
