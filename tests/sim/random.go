// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"ezio/lib/piece"
)

// Random is a deployment with the troubles of a classroom: some machines are slow, come late, vanish
// without a word, stop for a while, lie, or are foreign clients. At least one receiver of two stays and
// is honest. The same number is always the same deployment.
func Random(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 17))
	length := int64(64<<10) << rng.IntN(9) // to 16 MiB
	pieces := 1 + rng.IntN(int(min(300, (256<<20)/length)))
	cfg := Config{
		Receivers: 1 + rng.IntN(12),
		Layout:    piece.Layout{Length: length, Size: int64(pieces)*length - rng.Int64N(length)},
		Block:     256 << 10,
		Rate:      12.5e6,
		Latency:   time.Duration(rng.IntN(25)) * time.Millisecond,
		Write:     time.Duration(1+rng.IntN(50)) * time.Millisecond,
		Budget:    int(max(3, min(1024, (64<<20)/length))),
		Notice:    3 * time.Second,
		Limit:     time.Hour,
		Seed:      seed,
		Unfair:    rng.Float64(),
	}
	if rng.IntN(4) == 0 { // a few of several racks
		cfg.Rack = 1 + rng.IntN(4)
		cfg.RackUplink = cfg.Rate * float64(cfg.Rack) / (1 + 9*rng.Float64())
	}
	plan := make([]func(*Node), cfg.Receivers+1)
	for i := 1; i <= cfg.Receivers; i++ {
		plan[i] = trouble(rng, cfg, i)
	}
	cfg.Node = func(i int, n *Node) {
		if plan[i] != nil {
			plan[i](n)
		}
	}
	return cfg
}

// trouble is what may be wrong with receiver i; nil if nothing is.
func trouble(rng *rand.Rand, cfg Config, i int) func(*Node) {
	alone := float64(cfg.Layout.Size) / cfg.Rate
	at := time.Duration(alone * rng.Float64() * float64(time.Second))
	lasts := time.Duration(10 * rng.Float64() * float64(time.Second))
	slower, share := 1+19*rng.Float64(), rng.Float64()
	kind := rng.IntN(16)
	if i%2 == 1 && kind < 3 {
		return nil // so that half of them stay
	}
	switch kind {
	case 0:
		return func(n *Node) { n.Leave = max(at, time.Millisecond) }
	case 1:
		return func(n *Node) { n.Wrong = share }
	case 2:
		return func(n *Node) { n.Boasts, n.Silent = true, share < 0.5 }
	case 3, 4:
		return func(n *Node) { n.Up /= slower }
	case 5, 6:
		return func(n *Node) { n.Down /= slower; n.Up /= slower }
	case 7:
		return func(n *Node) { n.Disk = n.Down / slower }
	case 8, 9:
		return func(n *Node) { n.Join = at }
	case 10:
		return func(n *Node) { n.Stall, n.For = at, lasts }
	case 11:
		return func(n *Node) { n.Plain = true }
	}
	return nil
}

// Bound is the time before which receiver i cannot be done whatever the schedule: its own links and
// disk, and the seed's pieces passed on by doubling (Mundinger, Weber and Weiss 2008).
func (cfg Config) Bound(i int) time.Duration {
	cfg = cfg.filled()
	n := Node{Up: cfg.Rate, Down: cfg.Rate, Disk: cfg.Disk}
	if cfg.Node != nil {
		cfg.Node(i, &n)
	}
	size := float64(cfg.Layout.Size)
	hop := float64(min(cfg.Layout.Length, cfg.Layout.Size)) / cfg.Rate
	rate := min(n.Down, n.Disk, cfg.Rate)
	if cfg.Rack > 0 && cfg.Receivers >= cfg.Rack { // there is another rack, through which or to which it must go
		rate = min(rate, cfg.RackUplink)
	}
	seconds := size/rate + hop*math.Floor(math.Log2(float64(cfg.Receivers)))
	return n.Join + n.For + time.Duration(seconds*float64(time.Second)) + 2*cfg.Latency + cfg.Write
}

// Waited says whether the end of the run waited for receiver i: those who left or lie are not waited for.
func (cfg Config) Waited(i int) bool {
	var n Node
	if cfg.Node != nil {
		cfg.Node(i, &n)
	}
	return n.Leave == 0 && n.Honest()
}

// Well says whether nothing is wrong with receiver i.
func (cfg Config) Well(i int) bool {
	var n Node
	if cfg.Node == nil {
		return true
	}
	n.Up, n.Down = cfg.Rate, cfg.Rate
	cfg.Node(i, &n)
	return n == Node{Up: cfg.Rate, Down: cfg.Rate}
}
