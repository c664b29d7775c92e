// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"ezio/lib/piece"
)

var (
	seeds = flag.Int("seeds", 150, "random deployments to simulate")
	first = flag.Uint64("first", 1, "the first seed")
)

// random is a deployment with the troubles of a classroom: some machines are slow, come late or
// vanish without a word. At least one receiver of two stays.
func random(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 17))
	length := int64(64<<10) << rng.IntN(9) // to 16 MiB
	pieces := 1 + rng.IntN(int(min(300, (256<<20)/length)))
	cfg := Config{
		Receivers: 1 + rng.IntN(12),
		Layout:    piece.Layout{Length: length, Size: int64(pieces)*length - rng.Int64N(length)},
		Block:     256 << 10,
		Rate:      12.5e6,
		Latency:   time.Duration(rng.IntN(50)) * time.Millisecond,
		Write:     time.Duration(1+rng.IntN(50)) * time.Millisecond,
		Budget:    int(max(3, min(1024, (64<<20)/length))),
		Notice:    3 * time.Second,
		Limit:     time.Hour,
		Seed:      seed,
		Unfair:    rng.Float64(),
	}
	alone := float64(cfg.Layout.Size) / cfg.Rate
	plan := make([]func(*Node), cfg.Receivers+1)
	for i := 1; i <= cfg.Receivers; i++ {
		at := time.Duration(alone * rng.Float64() * float64(time.Second))
		switch slower := 1 + 19*rng.Float64(); rng.IntN(8) {
		case 0:
			plan[i] = func(n *Node) { n.Up /= slower }
		case 1:
			plan[i] = func(n *Node) { n.Down /= slower; n.Up /= slower }
		case 2:
			plan[i] = func(n *Node) { n.Join = at }
		case 3:
			if i%2 == 0 {
				plan[i] = func(n *Node) { n.Leave = max(at, time.Millisecond) }
			}
		}
	}
	cfg.Node = func(i int, n *Node) {
		if plan[i] != nil {
			plan[i](n)
		}
	}
	return cfg
}

// Whatever happens, everybody who stays finishes, and in a time that somebody could explain: the
// slowest of them needs at least what its own link takes.
func TestRandomDeployments(t *testing.T) {
	var worst float64
	over := 0
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		cfg := random(seed)
		res, err := Run(cfg)
		if err != nil {
			t.Errorf("seed %d: %v (N=%d P=%d of %d)", seed, err, cfg.Receivers, cfg.Layout.Count(), cfg.Layout.Length)
			continue
		}
		for i, done := range res.Done {
			n := Node{Up: cfg.Rate, Down: cfg.Rate}
			cfg.Node(i+1, &n)
			if n.Leave > 0 {
				continue
			}
			alone := float64(cfg.Layout.Size)/n.Down + 2*cfg.Latency.Seconds() + cfg.Write.Seconds()
			piece := float64(min(cfg.Layout.Length, cfg.Layout.Size)) / cfg.Rate
			limit := alone + piece*math.Floor(math.Log2(float64(cfg.Receivers))) + n.Join.Seconds()
			ratio := (done.Seconds() - 5) / limit // 5 s are what the dead may cost
			if worst = max(worst, ratio); ratio > 2 {
				over++
				t.Errorf("seed %d: receiver %d was done after %v, %.1f times %.1f s (N=%d P=%d of %d, latency %v, %+v)", seed, i+1, done, ratio, limit,
					cfg.Receivers, cfg.Layout.Count(), cfg.Layout.Length, cfg.Latency, n)
			}
		}
	}
	t.Logf("the worst: %.2f, %d over", worst, over)
}
