// SPDX-License-Identifier: GPL-2.0-or-later

// Package sim runs a deployment in virtual time with the real scheduler: every node has a
// picker.Picker, as lib/swarm has, and the machines, disks and network between them are a model.
//
// Bytes travel in chunks through links that serve in order of arrival (link.go): the sender's link
// up, its rack's and the receiver's rack's link to the core where there are racks, the receiver's
// link down. A flow has a window of chunks under way, so flows share a link about as TCP's do. A
// word between peers waits in the same queues, and behind the block that its connection is sending,
// as in lib/swarm. A whole piece waits for its disk. Peers find each other through a tracker that
// names a few at a time, and keep a limited number of connections (meet.go). Some nodes are slow,
// come late, vanish, stall or lie, and some are of another kind (plain.go).
//
// What must never happen is looked for all the time (check.go). A run is deterministic: the same
// Config gives the same Result.
package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"ezio/lib/piece"
)

// Config describes a deployment. Rates are in bytes a second. What is zero has the value in brackets.
type Config struct {
	Receivers int
	Layout    piece.Layout
	Block     int           // bytes of the largest block among our own
	Rate      float64       // of every link, up and down
	Latency   time.Duration // of a link, one way
	Write     time.Duration // to verify a piece and write it, beside what Disk takes
	Disk      float64       // what a disk writes (no limit)
	Budget    int           // pieces in memory
	Unfair    float64       // how unequal TCP's shares are: sigma of their logarithm, drawn for each block
	Seed      uint64        // of all randomness

	Rack       int           // machines in a rack (all in one place, without racks)
	RackUplink float64       // of a rack's link to the core, up and down
	MaxPeers   int           // connections of a node (128)
	Dials      int           // connections of its own making of which a node has enough (24)
	Answer     int           // addresses in a tracker's answer (50)
	Arrive     time.Duration // the receivers come in this time, in an order of chance (at once)
	Chunk      int32         // bytes in which links are shared (16 KiB)
	Think      time.Duration // from an event to the decision it causes (100 microseconds)
	Plain      bool          // every node schedules as plain rarest-first clients do
	Measure    bool          // how long decisions take is measured, in real time

	// Node changes one receiver, numbered from 1; nil leaves all alike.
	Node func(i int, n *Node)
	// Notice is how long after a node has vanished the others' connections to it break; 0: never.
	Notice time.Duration
	// Limit ends a run that does not finish (24 hours).
	Limit time.Duration
}

// A Node is one machine's part of a Config.
type Node struct {
	Up, Down float64
	Disk     float64
	Join     time.Duration // when it arrives
	Leave    time.Duration // when it vanishes without a word; 0: never
	Stall    time.Duration // when it stops for a while: its link carries nothing
	For      time.Duration // how long
	Wrong    float64       // the share of its blocks that are wrong
	Boasts   bool          // it says that it has everything, and would serve everybody
	Silent   bool          // it does not even refuse what it is asked for and does not have
	Plain    bool          // it is a foreign client
}

// Honest says whether what the node says and sends is true.
func (n Node) Honest() bool { return n.Wrong == 0 && !n.Boasts }

// Result is what came of it.
type Result struct {
	Done     []time.Duration // of each receiver, from the start; 0 if it did not finish
	Last     time.Duration   // the last to finish
	SeedSent int64           // bytes
	Wasted   int64           // bytes that arrived where nobody wanted them
	Racks    []int64         // bytes that came into each rack from outside
	Events   int
	Acts     int           // decisions
	Deciding time.Duration // real time of all decisions together, if Config.Measure
	Peers    int           // connections, of all nodes
}

type run struct {
	cfg    Config
	now    time.Duration
	events timeline
	nodes  []*node
	racks  []rack
	rng    *rand.Rand
	res    Result
	left   int // nodes that have to finish
	err    error
}

// A rack's links to and from the core.
type rack struct{ up, down *link }

// epoch is the pickers' notion of when the run began; any will do.
var epoch = time.Unix(1_000_000_000, 0)

func (cfg Config) filled() Config {
	set(&cfg.Limit, 24*time.Hour)
	set(&cfg.MaxPeers, 128)
	set(&cfg.Dials, 24)
	set(&cfg.Answer, 50)
	set(&cfg.Chunk, 16<<10)
	set(&cfg.Think, 100*time.Microsecond)
	set(&cfg.Disk, math.Inf(1))
	return cfg
}

func set[T comparable](v *T, def T) {
	if zero := *new(T); *v == zero {
		*v = def
	}
}

// Run simulates a deployment to its end.
func Run(cfg Config) (Result, error) {
	cfg = cfg.filled()
	r := &run{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, math.MaxUint64))}
	if cfg.Rack > 0 {
		for range cfg.Receivers/cfg.Rack + 1 {
			r.racks = append(r.racks, rack{&link{rate: cfg.RackUplink}, &link{rate: cfg.RackUplink}})
		}
	}
	for i := range cfg.Receivers + 1 {
		r.nodes = append(r.nodes, r.newNode(i))
	}
	for _, i := range append([]int{0}, r.arrivals()...) {
		n := r.nodes[i]
		r.call(n.cfg.Join, func() { r.join(n) })
		if n.cfg.Leave > 0 {
			r.call(n.cfg.Leave, func() { r.vanish(n) })
		} else if i > 0 && n.cfg.Honest() {
			r.left++ // liars are sent away, or nobody gives them anything
		}
		if n.cfg.For > 0 {
			r.call(n.cfg.Stall, func() { r.stall(n) })
		}
	}
	err := r.run()
	return r.result(), err
}

// arrivals is the receivers in the order in which they come.
func (r *run) arrivals() []int {
	order := r.rng.Perm(r.cfg.Receivers)
	for k := range order {
		order[k]++
		n := r.nodes[order[k]]
		if n.cfg.Join == 0 && r.cfg.Arrive > 0 {
			n.cfg.Join = time.Duration(k) * r.cfg.Arrive / time.Duration(r.cfg.Receivers)
		}
	}
	return order
}

func (r *run) at(t time.Duration, e event)     { r.events.push(t, e) }
func (r *run) call(t time.Duration, do func()) { r.at(t, event{kind: call, do: do}) }
func (r *run) clock() time.Time                { return epoch.Add(r.now) }

// fail notes the first thing that should never happen; it ends the run.
func (r *run) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%v: "+format, append([]any{r.now}, args...)...)
	}
}

func (r *run) run() error {
	for r.left > 0 && r.err == nil {
		if r.events.length == 0 {
			return fmt.Errorf("nothing happens any more after %v", r.now)
		}
		at, e := r.events.pop()
		if at > r.cfg.Limit {
			return fmt.Errorf("not finished after %v", r.now)
		}
		r.now = at
		r.res.Events++
		r.happen(e)
	}
	return r.err
}

func (r *run) happen(e event) {
	switch e.kind {
	case call:
		e.do()
	case tick:
		e.node.tick()
	case act:
		e.node.pending = false
		e.node.act()
	case chunk:
		r.pass(e)
	case acked:
		e.conn.flow.air--
		r.start(e.conn)
	case written:
		e.node.written(int(e.block.Piece))
	case told:
		e.node.told(int(e.block.Piece))
	case arrived:
		if c := e.conn; c.open && !c.node.gone {
			c.node.arrived(c, e.block)
		}
	case message:
		if c := e.conn; c.open && !c.node.gone {
			c.node.hear(c, e)
		}
	}
}

func (r *run) result() Result {
	res := r.res
	res.SeedSent = r.nodes[0].sent
	for _, n := range r.nodes {
		res.Peers += n.peers
		if n.id > 0 {
			res.Done = append(res.Done, n.done)
			res.Last = max(res.Last, n.done)
		}
	}
	for _, k := range r.racks {
		res.Racks = append(res.Racks, k.down.sent)
	}
	return res
}

func (r *run) unfair() float64 { return math.Exp(r.cfg.Unfair * r.rng.NormFloat64()) }
