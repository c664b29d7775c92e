// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"ezio/lib/piece"
)

func config(receivers, pieces int, length int64) Config {
	return Config{
		Receivers: receivers,
		Layout:    piece.Layout{Length: length, Size: int64(pieces) * length},
		Block:     256 << 10,
		Rate:      12.5e6, // 100 Mbit/s
		Latency:   500 * time.Microsecond,
		Write:     5 * time.Millisecond,
		Budget:    int(max(9, (64<<20)/length)),
		Limit:     time.Hour,
	}
}

// TestMakespan holds the time until the last of N equal receivers is done against the limit of any
// schedule, 1 + floor(log2 N)/P times size/rate (Mundinger, Weber and Weiss 2008).
func TestMakespan(t *testing.T) {
	for _, c := range []struct {
		receivers, pieces int
		length            int64
		within            float64 // of the limit
	}{
		{1, 250, 1 << 20, 1.01},
		{2, 250, 1 << 20, 1.01},
		{4, 250, 1 << 20, 1.02},
		{8, 250, 1 << 20, 1.05},
		{16, 250, 1 << 20, 1.07},
		{32, 250, 1 << 20, 1.08},
		{8, 1000, 256 << 10, 1.03},
		{16, 1000, 256 << 10, 1.05},
		{1, 17, 16 << 20, 1.01},
		{2, 17, 16 << 20, 1.03},
		{4, 17, 16 << 20, 1.13},
		{8, 17, 16 << 20, 1.09},
		{16, 17, 16 << 20, 1.12},
	} {
		cfg := config(c.receivers, c.pieces, c.length)
		res, err := Run(cfg)
		if err != nil {
			t.Errorf("N=%d P=%d: %v", c.receivers, c.pieces, err)
			continue
		}
		limit := 1 + math.Floor(math.Log2(float64(c.receivers)))/float64(c.pieces)
		ratio := res.Last.Seconds() * cfg.Rate / float64(cfg.Layout.Size) / limit
		t.Logf("N=%-2d P=%-4d %.3f of the limit, the seed sent %.3f images", c.receivers, c.pieces, ratio, float64(res.SeedSent)/float64(cfg.Layout.Size))
		if ratio > c.within {
			t.Errorf("N=%d P=%d: %.3f of the limit, want at most %.2f", c.receivers, c.pieces, ratio, c.within)
		}
	}
}

// Links with queues in front of them answer late. A receiver that has asked for something is not taken
// for one that does not ask, and a piece that several help with is not asked for twice.
func TestLateAnswers(t *testing.T) {
	for _, latency := range []time.Duration{5 * time.Millisecond, 12 * time.Millisecond, 20 * time.Millisecond} {
		cfg := config(16, 544, 256<<10)
		cfg.Rate, cfg.Latency, cfg.Unfair = 6.25e6, latency, 0.5
		res, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		size := float64(cfg.Layout.Size)
		ratio, sent, wasted := res.Last.Seconds()*cfg.Rate/size, float64(res.SeedSent)/size, float64(res.Wasted)/16/size
		t.Logf("%v a link: %.3f, the seed sent %.3f images, %.4f came in vain", latency, ratio, sent, wasted)
		if ratio > 1.08 || sent > 1.07 || wasted > 0.01 {
			t.Errorf("%v a link: %.3f, the seed sent %.3f images, %.4f came in vain", latency, ratio, sent, wasted)
		}
	}
}

// On a way of 160 ms there and back more is asked for ahead than in a room: links stay full.
func TestFarMachines(t *testing.T) {
	cfg := config(8, 300, 256<<10)
	cfg.Rate, cfg.Latency = 6.25e6, 80*time.Millisecond
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ratio := res.Last.Seconds() * cfg.Rate / float64(cfg.Layout.Size)
	t.Logf("%.3f", ratio)
	if ratio > 1.35 {
		t.Errorf("8 far machines take %.3f of the time of one", ratio)
	}
}

// Who comes when the others are half done has the image in the time that his own link needs.
func TestLateHasItsOwnTime(t *testing.T) {
	for seed := range uint64(3) {
		cfg := config(8, 1088, 256<<10)
		cfg.Think, cfg.Unfair, cfg.Seed = time.Millisecond, 0.3, seed
		alone := float64(cfg.Layout.Size) / cfg.Rate
		join := time.Duration(alone / 2 * float64(time.Second))
		cfg.Node = func(i int, n *Node) {
			if i == 8 {
				n.Join = join
			}
		}
		res, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		late, others := (res.Done[7]-join).Seconds()/alone, slices.Max(res.Done[:7]).Seconds()/alone
		t.Logf("late: %.3f of a lone stream, the others %.3f", late, others)
		if late > 1.01 || others > 1.05 {
			t.Errorf("the late one takes %.3f of the time of a lone stream, the others %.3f", late, others)
		}
	}
}

func TestRunRepeatsItself(t *testing.T) {
	cfg := config(6, 60, 1<<20)
	cfg.Seed = 42
	a, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := Run(cfg); !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v and %+v", a, b)
	}
}

// A receiver that vanishes costs the others little; one that comes late finishes too.
func TestVanishedAndLate(t *testing.T) {
	cfg := config(8, 250, 1<<20)
	cfg.Node = func(i int, n *Node) {
		switch i {
		case 3:
			n.Leave = 10 * time.Second
		case 5:
			n.Join = 10 * time.Second
		}
	}
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	alone := time.Duration(float64(cfg.Layout.Size) / cfg.Rate * 1e9)
	for i, done := range res.Done {
		limit := alone + 5*time.Second
		if i+1 == 5 {
			limit += 10 * time.Second
		}
		if i+1 != 3 && (done == 0 || done > limit) {
			t.Errorf("receiver %d was done after %v, want %v", i+1, done, limit)
		}
	}
}

// With few long pieces too, a slow machine and one that vanishes cost the others little.
func TestTroubleWithFewPieces(t *testing.T) {
	last := func(name string, change func(i int, n *Node), but ...int) time.Duration {
		cfg := config(8, 17, 16<<20)
		cfg.Node = change
		res, err := Run(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var last time.Duration
		for i, done := range res.Done {
			if !slices.Contains(but, i+1) {
				last = max(last, done)
			}
		}
		t.Logf("%s: %v", name, last)
		return last
	}
	quiet := last("nothing", nil)
	for name, got := range map[string]time.Duration{
		"one slow link": last("one slow link", func(i int, n *Node) {
			if i == 8 {
				n.Up, n.Down = n.Up/10, n.Down/10
			}
		}, 8),
		"one vanishes": last("one vanishes", func(i int, n *Node) {
			if i == 3 {
				n.Leave = 10 * time.Second
			}
		}, 3),
	} {
		if got > quiet+5*time.Second {
			t.Errorf("%s: the others are done after %v, without it after %v", name, got, quiet)
		}
	}
}
