// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math"
	"testing"
	"time"
)

// few is partclone's 16 MiB pieces of a small image, on links with queues in front of them that TCP
// shares unevenly.
func few(receivers int, seed uint64) Config {
	cfg := config(receivers, 17, 16<<20)
	cfg.Seed, cfg.Unfair = seed, 0.3
	cfg.Latency = time.Duration(5+seed%8) * time.Millisecond
	return cfg
}

const fewSeeds = 10

// With few long pieces chance has a part, but not a large one: no run takes much longer than the limit of
// any schedule, and the seed's link carries little that others have.
func TestFewLongPieces(t *testing.T) {
	for _, n := range []int{2, 4, 8, 12, 16} {
		var worst, most float64
		for seed := range uint64(fewSeeds) {
			cfg := few(n, seed)
			res, err := Run(cfg)
			if err != nil {
				t.Errorf("N=%d, seed %d: %v", n, seed, err)
				continue
			}
			size := float64(cfg.Layout.Size)
			limit := 1 + math.Floor(math.Log2(float64(n)))/float64(cfg.Layout.Count())
			worst = max(worst, res.Last.Seconds()*cfg.Rate/size/limit)
			most = max(most, float64(res.SeedSent)/size)
		}
		t.Logf("N=%-2d at most %.3f of the limit, the seed sent at most %.3f images", n, worst, most)
		if worst > 1.17 || most > 1.10 {
			t.Errorf("N=%d: %.3f of the limit, and the seed sent %.3f images", n, worst, most)
		}
	}
}

// A slow machine among them costs the others little: a link of a tenth, or such a disk.
func TestFewLongPiecesAndASlowMachine(t *testing.T) {
	const n = 8
	last := func(seed uint64, change func(*Node)) time.Duration {
		cfg := few(n, seed)
		cfg.Node = func(i int, node *Node) {
			if i == n && change != nil {
				change(node)
			}
		}
		res, err := Run(cfg)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var last time.Duration
		for _, done := range res.Done[:n-1] {
			last = max(last, done)
		}
		return last
	}
	var without float64 // the mean: which of them is the last one is chance
	for seed := range uint64(fewSeeds) {
		without += last(seed, nil).Seconds() / fewSeeds
	}
	for name, change := range map[string]func(*Node){
		"link": func(node *Node) { node.Up, node.Down = node.Up/10, node.Down/10 },
		"disk": func(node *Node) { node.Disk = 1.25e6 },
	} {
		var mean, worst float64
		for seed := range uint64(fewSeeds) {
			ratio := last(seed, change).Seconds() / without
			mean, worst = mean+ratio/fewSeeds, max(worst, ratio)
		}
		t.Logf("a slow %s: the others take %.3f of the time, at most %.3f", name, mean, worst)
		if worst > 1.15 {
			t.Errorf("with a slow %s the others take %.3f of the time without it", name, worst)
		}
	}
}
