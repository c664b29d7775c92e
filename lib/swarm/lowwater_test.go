// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"testing"
	"time"

	"ezio/lib/wire"
)

func TestLowWater(t *testing.T) {
	for _, c := range []struct {
		name string
		rate int // bytes a second, in reads of 10 kB
		read int // bytes of the read that follows
		want int
	}{
		{"nothing is known", 0, 256 << 10, 1},
		{"5 Mbit/s: every packet", 625_000, 256 << 10, 1},
		{"100 Mbit/s", 12_500_000, 256 << 10, 25_000},
		{"100 Mbit/s, the end of a block", 12_500_000, 20_000, 20_000},
		{"100 Mbit/s, too little to wait for", 12_500_000, 12_000, 1},
		{"10 Gbit/s", 1_250_000_000, 256 << 10, lowWaterMost},
		{"a message, or a header", 1_250_000_000, wire.ReadAhead, 1},
	} {
		var l lowWater
		now := time.Now()
		l.came(1, now)
		for step := time.Duration(0); c.rate > 0 && step < time.Second; {
			gap := time.Duration(10_000 * int64(time.Second) / int64(c.rate))
			step += gap
			now = now.Add(gap)
			l.came(10_000, now)
		}
		if got := l.want(c.read); got < c.want*95/100 || got > c.want*105/100 {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// A stream that has become slow does not wait as a fast one may.
func TestLowWaterFalls(t *testing.T) {
	var l lowWater
	now := time.Now()
	for range 100 {
		now = now.Add(10 * time.Millisecond)
		l.came(5<<20, now)
	}
	if got := l.want(256 << 10); got != lowWaterMost {
		t.Fatalf("fast: %d", got)
	}
	for range 2 {
		now = now.Add(time.Second)
		l.came(100_000, now)
	}
	if got := l.want(256 << 10); got != 1 {
		t.Errorf("slow: %d", got)
	}
}
