// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"time"

	"ezio/lib/picker"
	"ezio/lib/piece"
)

// How peers find each other, as lib/tracker and lib/swarm have it: the tracker names the seed and a
// few others, those are dialed, and a second later the peers tell of peers that they know.
const (
	exchangeAfter = time.Second
	exchangeSize  = 50
	redial        = 5 * time.Second
)

func (r *run) join(n *node) {
	n.joined, n.hungry = true, r.now
	if n.id > 0 {
		n.learn(r.tracker(n))
		n.dial()
		r.call(r.now+exchangeAfter, n.exchange)
		r.call(r.now+redial, n.again)
	}
	n.tick()
}

// tracker is the tracker's answer: the seed, and a random choice of the others.
func (r *run) tracker(n *node) []*node {
	list := []*node{r.nodes[0]}
	var pool []*node
	for _, m := range r.nodes[1:] {
		if m.joined && !m.gone && m != n {
			pool = append(pool, m)
		}
	}
	near := 0 // those of the same rack come first, as long as they are not more than half
	for i, m := range pool {
		if n.near(m) && near < (r.cfg.Answer-1)/2 {
			pool[near], pool[i] = pool[i], pool[near]
			near++
		}
	}
	for k := range min(len(pool), r.cfg.Answer-1) {
		if k < near {
			list = append(list, pool[k])
			continue
		}
		i := k + r.rng.IntN(len(pool)-k)
		pool[k], pool[i] = pool[i], pool[k]
		list = append(list, pool[k])
	}
	return list
}

func (n *node) learn(list []*node) {
	for _, m := range list {
		if m != n && !n.knows[m] {
			n.knows[m] = true
			n.known = append(n.known, m)
		}
	}
}

// dial connects to those it has heard of until it knows enough, and leaves the rest of its places to
// those who come later. Those of its own rack it always wants, up to half of its places.
func (n *node) dial() {
	if n.gone {
		return
	}
	var later []*node
	for _, m := range n.known {
		switch {
		case m.gone || n.connected(m):
		case m.peers >= n.run.cfg.MaxPeers || n.peers >= n.run.cfg.MaxPeers || !n.near(m) && n.dialed >= n.run.cfg.Dials || n.near(m) && n.dialedNear >= n.run.cfg.MaxPeers/2:
			later = append(later, m)
		default:
			n.run.connect(n, m)
		}
	}
	n.known = later
}

// near says whether two nodes are in the same of several racks.
func (n *node) near(m *node) bool { return n.run.cfg.Rack > 0 && n.rack == m.rack }

func (n *node) connected(m *node) bool {
	for _, c := range n.conns {
		if c != nil && c.far.node == m {
			return true
		}
	}
	return false
}

// exchange hears from each peer of some that it knows (BEP 11).
func (n *node) exchange() {
	if n.gone {
		return
	}
	for _, c := range n.conns {
		if c == nil || n.dialed >= n.run.cfg.Dials && !n.near(c.far.node) {
			continue
		}
		var list []*node
		for _, d := range c.far.node.conns {
			if d != nil && (len(list) < exchangeSize || n.near(d.far.node)) {
				list = append(list, d.far.node)
			}
		}
		n.learn(list)
	}
	n.dial()
}

// again tries those that had no place before, and asks the tracker when it knows few.
func (n *node) again() {
	if n.gone || n.have.All() {
		return
	}
	if n.peers < n.run.cfg.Dials {
		n.learn(n.run.tracker(n))
	}
	n.dial()
	n.run.call(n.run.now+redial, n.again)
}

// connect is a connection's beginning, both handshakes done.
func (r *run) connect(a, b *node) {
	x := &conn{node: a, id: picker.ID(len(a.conns)), open: true}
	y := &conn{node: b, id: picker.ID(len(b.conns)), open: true, far: x}
	x.far = y
	x.dialed = true
	a.count(b, 1)
	for _, c := range []*conn{x, y} {
		c.node.conns = append(c.node.conns, c)
		c.node.peers++
		c.flow.path = r.path(c.node, c.far.node)
		c.flow.window = r.window(c)
		if c.node.reveals() {
			c.shown = piece.NewBitfield(c.node.have.Len())
		}
	}
	for _, c := range []*conn{x, y} {
		c.node.sched.Join(c.id, r.traits(c))
		if c.far.node.cfg.Boasts {
			c.node.sched.Choked(c.id, false, true)
		}
		if c.claims().Count() > 0 {
			r.say(c, event{kind: message, hop: uint8(bitfield)})
		}
		c.node.soon()
	}
}

// traits is what c's node learns of the other end.
func (r *run) traits(c *conn) picker.Traits {
	if _, plain := c.far.node.sched.(*plain); plain {
		return picker.Traits{Block: plainBlock}
	}
	return picker.Traits{Block: r.cfg.Block, Queue: 2000, Offers: true, Key: r.key(c.far.node),
		Near: c.node.near(c.far.node), Shows: c.far.node.reveals()}
}

func (r *run) path(a, b *node) []*link {
	if len(r.racks) == 0 || a.rack == b.rack {
		return []*link{a.up, b.down}
	}
	return []*link{a.up, r.racks[a.rack].up, r.racks[b.rack].down, b.down}
}

// hangUp ends a connection for both ends.
func (r *run) hangUp(c *conn) {
	for _, c := range []*conn{c, c.far} {
		if !c.open {
			continue
		}
		c.open = false
		c.flow.blocks, c.flow.held, c.flow.begun = nil, nil, false
		c.node.conns[c.id] = nil
		c.node.peers--
		if c.dialed {
			c.node.count(c.far.node, -1)
		}
		c.node.sched.Leave(c.id)
		c.node.soon()
	}
}

// vanish is a machine's end without a word; the others notice later.
func (r *run) vanish(n *node) {
	n.gone = true
	for _, c := range n.conns {
		if c != nil {
			c.flow.blocks = nil
		}
	}
	if r.cfg.Notice > 0 {
		r.call(r.now+r.cfg.Notice, func() {
			for _, c := range n.conns {
				if c != nil {
					r.hangUp(c)
				}
			}
		})
	}
}

// stall stops a machine for a while.
func (r *run) stall(n *node) {
	n.stalled = r.now + n.cfg.For
	n.up.block(n.stalled)
	n.down.block(n.stalled)
}

// count counts a connection that n made.
func (n *node) count(to *node, k int) {
	if n.near(to) {
		n.dialedNear += k
	} else {
		n.dialed += k
	}
}
