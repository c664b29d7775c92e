// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import "testing"

func TestBlocksFitTheLink(t *testing.T) {
	for _, c := range []struct {
		rate float64 // bytes a second
		most int     // that the peer sends
		want int
	}{
		{0, 1 << 20, 32 << 10},
		{125e3, 1 << 20, 32 << 10},
		{1.25e6, 1 << 20, 48 << 10},  // 10 Mbit/s: what comes in 0.05 s, in whole chunks
		{12.5e6, 1 << 20, 256 << 10}, // 100 Mbit/s: 20 ms
		{30e6, 1 << 20, 288 << 10},   // beyond that, 10 ms
		{125e6, 1 << 20, 1 << 20},
		{125e6, 256 << 10, 256 << 10},
		{125e6, chunk, chunk}, // a foreign client
	} {
		q := &peer{tr: Traits{Block: c.most}, src: source{rate: c.rate}}
		if got := q.block(); got != c.want {
			t.Errorf("%.0f bytes a second: blocks of %d, not %d", c.rate, got, c.want)
		}
	}
}
