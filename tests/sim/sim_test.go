// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"fmt"
	"math"
	"testing"
	"time"

	"ezio/lib/piece"
)

func config(n, pieces int, length int64, rate float64) Config {
	return Config{
		Receivers: n,
		Layout:    piece.Layout{Length: length, Size: int64(pieces) * length},
		Block:     256 << 10,
		Rate:      rate,
		Latency:   500 * time.Microsecond,
		Write:     5 * time.Millisecond,
		Budget:    int(max(9, (64<<20)/length)),
		Limit:     time.Hour,
	}
}

func TestMakespan(t *testing.T) {
	for _, c := range []struct {
		n, pieces int
		length    int64
	}{
		{1, 250, 1 << 20}, {2, 250, 1 << 20}, {4, 250, 1 << 20}, {8, 250, 1 << 20}, {16, 250, 1 << 20}, {32, 250, 1 << 20},
		{8, 1000, 256 << 10}, {1, 17, 16 << 20}, {2, 17, 16 << 20}, {4, 17, 16 << 20}, {8, 17, 16 << 20}, {16, 17, 16 << 20},
	} {
		cfg := config(c.n, c.pieces, c.length, 12.5e6)
		start := time.Now()
		res, err := Run(cfg)
		if err != nil {
			t.Error(err)
		}
		base := float64(cfg.Layout.Size) / cfg.Rate
		limit := 1 + math.Floor(math.Log2(float64(c.n)))/float64(c.pieces)
		fmt.Printf("N=%-3d P=%-4d last %.3f of bytes/rate, %.3f of the limit; seed sent %.3f; %d events in %v\n", c.n, c.pieces,
			res.Last.Seconds()/base, res.Last.Seconds()/base/limit, float64(res.SeedSent)/float64(cfg.Layout.Size), res.Events, time.Since(start).Round(time.Millisecond))
	}
}
