// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"testing"
	"time"
)

// Many machines that come at the same moment, each with few places for connections: the first to come
// must not fill all of theirs among themselves. Everybody finishes, and about as soon as in a small
// swarm.
func TestNoIslands(t *testing.T) {
	cfg := config(100, 200, 256<<10)
	cfg.MaxPeers, cfg.Dials, cfg.Answer, cfg.Think = 24, 6, 20, time.Millisecond
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	alone := float64(cfg.Layout.Size) / cfg.Rate
	if got := res.Last.Seconds() / alone; got > 1.35 {
		t.Errorf("the last of 100 is done after %.2f of the time of one", got)
	}
}

// Four racks whose links to each other carry a tenth of what their machines could: each piece enters
// a rack about once.
func TestRacksFetchOnce(t *testing.T) {
	cfg := config(31, 200, 256<<10)
	cfg.Rack, cfg.RackUplink = 8, 8*cfg.Rate/10
	cfg.Think = time.Millisecond
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for k, n := range res.Racks {
		images := float64(n) / float64(cfg.Layout.Size)
		t.Logf("rack %d: %.2f images came in", k, images)
		if images > 1.3 {
			t.Errorf("rack %d fetched %.2f images", k, images)
		}
	}
}

// A plain client's swarm works too: it is what ours is compared with, and what ours has guests from.
func TestPlainSwarm(t *testing.T) {
	cfg := config(8, 100, 256<<10)
	cfg.Plain = true
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("plain: %v for %v alone", res.Last, time.Duration(float64(cfg.Layout.Size)/cfg.Rate*1e9))
}
