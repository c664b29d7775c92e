// SPDX-License-Identifier: GPL-2.0-or-later

// Package sim runs a deployment in virtual time with the real scheduler: every node has a
// picker.Picker, as lib/swarm has, and the network between them is a model. Blocks flow over links
// with a rate up and a rate down that all of a node's flows share max-min fairly, as TCP roughly
// does; messages take a latency; a whole piece takes a time to be verified and written.
//
// It is deterministic: the same Config gives the same Result.
package sim

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"ezio/lib/picker"
	"ezio/lib/piece"
	"ezio/lib/wire"
)

// Config describes a deployment. Rates are in bytes a second.
type Config struct {
	Receivers int
	Layout    piece.Layout
	Block     int           // bytes of a block among our own
	Rate      float64       // of every link, up and down
	Latency   time.Duration // of a message
	Write     time.Duration // from a piece's last byte to its announcement
	Budget    int           // pieces in memory
	Unfair    float64       // how unequal TCP's shares are: sigma of their logarithm, drawn for each block
	Seed      uint64        // of all randomness

	// Node changes one receiver, numbered from 1; nil leaves all alike.
	Node func(i int, n *Node)
	// Notice is how long after a node has vanished the others' connections to it break; 0: never.
	Notice time.Duration
	// Limit ends a run that does not finish.
	Limit time.Duration
}

// A Node is one machine's part of a Config.
type Node struct {
	Up, Down float64
	Join     time.Duration // when it arrives
	Leave    time.Duration // when it vanishes without a word; 0: never
}

// Result is what came of it.
type Result struct {
	Done     []time.Duration // of each receiver, from the start; 0 if it did not finish
	Last     time.Duration   // the last to finish
	SeedSent int64           // bytes
	Wasted   int64           // bytes that arrived where nobody wanted them
	Events   int
}

// A flow is one direction of one connection: the blocks handed to it, sent one after the other.
type flow struct {
	from, to *node
	queue    []wire.Block
	left     float64 // bytes of queue[0] still to send
	rate     float64
	weight   float64
	active   bool
}

type node struct {
	sim     *run
	id      int
	cfg     Node
	pick    *picker.Picker
	have    *piece.Bitfield
	rng     *rand.Rand
	out     map[picker.ID]*flow
	gone    bool
	done    time.Duration
	sent    int64
	asked   map[picker.ID]map[wire.Block]bool
	pending bool // an Act is due
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

type run struct {
	cfg    Config
	now    time.Duration
	events queue
	seq    int
	nodes  []*node
	active []*flow
	dirty  bool
	rng    *rand.Rand
	count  int
	wasted int64
}

// epoch is the pickers' notion of when the run began; any will do.
var epoch = time.Unix(1_000_000_000, 0)

// Run simulates a deployment to its end.
func Run(cfg Config) (Result, error) {
	r := &run{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, math.MaxUint64))}
	if cfg.Limit == 0 {
		r.cfg.Limit = 24 * time.Hour
	}
	for i := range cfg.Receivers + 1 {
		n := &node{sim: r, id: i, cfg: Node{Up: cfg.Rate, Down: cfg.Rate}, out: map[picker.ID]*flow{}, asked: map[picker.ID]map[wire.Block]bool{}}
		if i > 0 && cfg.Node != nil {
			cfg.Node(i, &n.cfg)
		}
		n.rng = rand.New(rand.NewPCG(cfg.Seed, uint64(i)))
		n.have = piece.NewBitfield(cfg.Layout.Count())
		if i == 0 {
			for k := range n.have.Len() {
				n.have.Set(k)
			}
		}
		n.pick = picker.New(picker.Config{Layout: cfg.Layout, Have: n.have, Budget: cfg.Budget, Seed: i == 0, Rand: n.rng})
		r.nodes = append(r.nodes, n)
	}
	for _, n := range r.nodes {
		r.after(n.cfg.Join, func() { r.join(n) })
		if n.cfg.Leave > 0 {
			r.after(n.cfg.Leave, func() { r.vanish(n) })
		}
	}
	return r.run()
}

func (r *run) vanish(n *node) {
	n.gone, r.dirty = true, true
	if r.cfg.Notice == 0 {
		return
	}
	r.after(r.cfg.Notice, func() {
		for _, m := range r.nodes {
			if id := picker.ID(n.id); m.out[id] != nil {
				m.pick.Leave(id)
				m.out[id].active, m.out[id].queue = false, nil
				delete(m.out, id)
				m.soon()
			}
		}
	})
}

func (r *run) after(d time.Duration, f func()) {
	r.seq++
	heap.Push(&r.events, event{at: r.now + d, seq: r.seq, do: f})
}

// join connects a node with all that are there.
func (r *run) join(n *node) {
	for _, m := range r.nodes {
		if m == n || m.gone || m.cfg.Join > n.cfg.Join || m.cfg.Join == n.cfg.Join && m.id > n.id {
			continue
		}
		for _, p := range [][2]*node{{n, m}, {m, n}} {
			a, b := p[0], p[1]
			id := picker.ID(b.id)
			a.pick.Join(id, picker.Traits{Block: r.cfg.Block, Queue: 2000, Offers: true})
			a.out[id] = &flow{from: a, to: b}
			a.asked[id] = map[wire.Block]bool{}
		}
		if m.id != 0 {
			n.pick.PeerBitfield(picker.ID(m.id), m.have)
		}
	}
	n.tick()
}

func (n *node) tick() {
	if n.gone {
		return
	}
	n.act()
	n.sim.after(50*time.Millisecond, n.tick)
}

// soon lets the node act once for all that happens at this moment.
func (n *node) soon() {
	if n.pending || n.gone {
		return
	}
	n.pending = true
	n.sim.after(0, func() { n.pending = false; n.act() })
}

func (n *node) act() {
	if n.gone {
		return
	}
	r := n.sim
	for _, a := range n.pick.Act(epoch.Add(r.now)) {
		to := r.nodes[a.Peer]
		me := picker.ID(n.id)
		switch a.Kind {
		case picker.Request:
			n.asked[a.Peer][a.Block] = true
			r.deliver(to, func() {
				if !to.pick.Requested(me, a.Block, epoch.Add(r.now)) {
					r.deliver(n, func() { n.pick.Rejected(a.Peer, a.Block) })
				}
			})
		case picker.Cancel:
			r.deliver(to, func() { to.cancel(me, a.Block) })
		case picker.Reveal:
			r.deliver(to, func() { to.pick.PeerHas(me, a.Piece) })
		case picker.Offer:
			r.deliver(to, func() { to.pick.Offered(me, a.Piece, a.Rate, epoch.Add(r.now)) })
		case picker.Decline:
			r.deliver(to, func() { to.pick.Declined(me, a.Piece, epoch.Add(r.now)) })
		case picker.Full:
			r.deliver(to, func() { to.pick.Full(me, a.Piece, epoch.Add(r.now)) })
		case picker.Want:
			r.deliver(to, func() { to.pick.Wanted(me, a.Piece) })
		case picker.Unchoke, picker.Choke:
			r.deliver(to, func() { to.pick.Choked(me, a.Kind == picker.Choke, true) })
		case picker.Reject:
			r.deliver(to, func() { to.pick.Rejected(me, a.Block) })
		case picker.Send:
			f := n.out[a.Peer]
			if f == nil {
				break // decided before the connection broke
			}
			f.queue = append(f.queue, a.Block)
			if !f.active {
				f.active, f.left = true, float64(a.Block.Length)
				r.draw(f)
				r.active = append(r.active, f)
				r.dirty = true
			}
		}
	}
}

func (n *node) cancel(from picker.ID, b wire.Block) {
	if n.pick.Cancelled(from, b) {
		return
	}
	f := n.out[from]
	if f == nil {
		return
	}
	for i := 1; i < len(f.queue); i++ { // the first is on its way
		if f.queue[i] == b {
			f.queue = append(f.queue[:i:i], f.queue[i+1:]...)
			n.pick.Dropped(from, b)
			return
		}
	}
}

func (r *run) deliver(to *node, f func()) {
	r.after(r.cfg.Latency, func() {
		if !to.gone {
			f()
			to.soon()
		}
	})
}

// share gives every active flow its max-min fair rate.
func (r *run) share() {
	r.dirty = false
	flows := r.active[:0]
	for _, f := range r.active {
		if !f.active || f.from.gone {
			f.active = false
			continue
		}
		flows = append(flows, f)
	}
	r.active = flows
	type end struct{ left, weights float64 }
	ups, downs := make([]end, len(r.nodes)), make([]end, len(r.nodes))
	for i, n := range r.nodes {
		ups[i].left, downs[i].left = n.cfg.Up, n.cfg.Down
		if n.gone {
			downs[i].left = 0
		}
	}
	for _, f := range flows {
		f.rate = -1
		ups[f.from.id].weights += f.weight
		downs[f.to.id].weights += f.weight
	}
	share := func(e end) float64 {
		if e.weights < 1e-9 {
			return math.Inf(1)
		}
		return max(0, e.left) / e.weights
	}
	for fixed := 0; fixed < len(flows); {
		least := math.Inf(1)
		for i := range ups {
			least = min(least, share(ups[i]), share(downs[i]))
		}
		upFull, downFull := make([]bool, len(ups)), make([]bool, len(ups))
		for i := range ups {
			upFull[i] = share(ups[i]) <= least*(1+1e-9)
			downFull[i] = share(downs[i]) <= least*(1+1e-9)
		}
		for _, f := range flows {
			if f.rate >= 0 || !upFull[f.from.id] && !downFull[f.to.id] {
				continue
			}
			f.rate = least * f.weight
			for _, e := range []*end{&ups[f.from.id], &downs[f.to.id]} {
				e.left -= f.rate
				if e.weights -= f.weight; e.weights < 1e-9 {
					e.weights = 0
				}
			}
			fixed++
		}
	}
}

// draw gives a flow its share of its links for the next block, relative to other flows'.
func (r *run) draw(f *flow) {
	f.weight = 1
	if r.cfg.Unfair > 0 {
		f.weight = math.Exp(r.cfg.Unfair * r.rng.NormFloat64())
		r.dirty = true
	}
}

func (r *run) run() (Result, error) {
	for {
		if r.dirty {
			r.share()
		}
		at := time.Duration(math.MaxInt64)
		if len(r.events) > 0 {
			at = r.events[0].at
		}
		var first *flow
		for _, f := range r.active {
			if f.rate <= 0 {
				continue
			}
			if t := r.now + time.Duration(math.Ceil(f.left/f.rate*1e9)); t < at {
				at, first = t, f
			}
		}
		if at > r.cfg.Limit || at == math.MaxInt64 {
			return r.result(), fmt.Errorf("not finished after %v", r.now)
		}
		dt := (at - r.now).Seconds()
		for _, f := range r.active {
			if f.rate > 0 {
				f.left -= f.rate * dt
			}
		}
		r.now = at
		r.count++
		if first != nil {
			r.arrived(first)
		} else {
			heap.Pop(&r.events).(event).do()
		}
		if r.finished() {
			return r.result(), nil
		}
	}
}

// arrived is the end of a flow's first block.
func (r *run) arrived(f *flow) {
	b := f.queue[0]
	f.queue = f.queue[1:]
	f.from.sent += int64(b.Length)
	f.from.pick.Sent(picker.ID(f.to.id), b)
	f.from.soon()
	f.left = 0
	if len(f.queue) > 0 {
		f.left = float64(f.queue[0].Length)
		r.draw(f)
	} else {
		// Its writer may be handed more at this same moment.
		f.active = false
		r.dirty = true
	}
	to, from := f.to, picker.ID(f.from.id)
	r.deliver(to, func() {
		if !to.asked[from][b] || to.have.Has(int(b.Piece)) || !to.pick.Expects(from, b) {
			r.wasted += int64(b.Length)
		}
		if !to.asked[from][b] {
			return
		}
		delete(to.asked[from], b)
		if to.have.Has(int(b.Piece)) {
			return
		}
		if to.pick.Received(from, b, epoch.Add(r.now)) {
			r.after(r.cfg.Write, func() { to.written(int(b.Piece)) })
		}
	})
}

func (n *node) written(i int) {
	if n.gone {
		return
	}
	r := n.sim
	n.have.Set(i)
	n.pick.Verified(i)
	n.soon()
	for _, m := range r.nodes {
		if m != n && n.out[picker.ID(m.id)] != nil {
			r.deliver(m, func() { m.pick.PeerHas(picker.ID(n.id), i) })
		}
	}
	if n.have.All() {
		n.done = r.now
	}
}

func (r *run) finished() bool {
	for _, n := range r.nodes[1:] {
		if n.done == 0 && !n.gone {
			return false
		}
	}
	return true
}

func (r *run) result() Result {
	res := Result{SeedSent: r.nodes[0].sent, Events: r.count, Wasted: r.wasted}
	for _, n := range r.nodes[1:] {
		res.Done = append(res.Done, n.done)
		res.Last = max(res.Last, n.done)
	}
	return res
}
