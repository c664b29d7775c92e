// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"math"
	"testing"
	"time"
)

// TestRates follows one phase through a start, a steady flow, a stall and its end.
func TestRates(t *testing.T) {
	begin := time.Unix(1000, 0)
	p := newPhase("receiving", nil, Sample{Done: 40, Total: 1000, Down: 500}, begin)
	for _, c := range []struct {
		at         float64 // seconds
		done, down int64
		rate       float64 // of done
		rateDown   float64
		eta        int64
	}{
		{0, 40, 500, 0, 0, -1},
		{0, 40, 500, 0, 0, -1},           // no time has passed
		{1, 40, 600, 0, 100, 10},         // no piece yet, but the network flows
		{2, 240, 700, 100, 100, 8},       // two pieces
		{5, 440, 1000, 80, 100, 6},       // the window is full
		{10, 440, 1000, 0, 0, -1},        // a whole window of nothing
		{11, 440, 1001, 0, 1. / 6, 3360}, // the point before the window is its edge
		{12, 400, 1001, 0, 1. / 7, 4200}, // a piece taken back
		{13, 1000, 1600, 70, 75, 0},
	} {
		at := begin.Add(time.Duration(c.at * float64(time.Second)))
		f := p.measure(Sample{Done: c.done, Total: 1000, Down: c.down}, at)
		if math.Abs(f.now.done-c.rate) > 1e-9 || math.Abs(f.now.down-c.rateDown) > 1e-9 || f.eta != c.eta {
			t.Errorf("at %v s: rate %v, down %v, eta %d; want %v, %v, %d", c.at, f.now.done, f.now.down, f.eta, c.rate, c.rateDown, c.eta)
		}
	}
	if n := len(p.points); n > 6 {
		t.Errorf("%d points kept", n)
	}
}

func TestLeft(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		rate        float64
		want        int64
	}{
		{0, 0, 1, -1},
		{5, 0, 1, -1},
		{0, 10, 0, -1},
		{0, 10, 3, 4},
		{10, 10, 0, 0},
		{11, 10, 3, 0},
		{0, math.MaxInt64, 1e-9, 1 << 53},
	} {
		f := figures{Sample: Sample{Done: c.done, Total: c.total}, now: rates{done: c.rate}}
		if got := f.left(); got != c.want {
			t.Errorf("%d of %d at %v: %d s, want %d", c.done, c.total, c.rate, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 B"},
		{size(1023.9), "1023 B"},
		{size(1024), "1.0 KiB"},
		{size(1023.94 * 1024), "1023.9 KiB"},
		{size(1023.96 * 1024), "1.0 MiB"},
		{size(math.MaxInt64), "8.0 EiB"},
		{size(1e30), "867361737988.4 EiB"},
		{ofTotal(3, 7), "3 of 7 B"},
		{ofTotal(mib, 1<<40), "0.0 of 1.0 TiB"},
		{duration(0), "0 s"},
		{duration(59), "59 s"},
		{duration(200), "3 min 20 s"},
		{duration(3660), "1 h 01 min"},
		{duration(100 * 3600), "4 days"},
		{elapsed(449 * time.Millisecond), "0.4 s"},
		{elapsed(9949 * time.Millisecond), "9.9 s"},
		{elapsed(9950 * time.Millisecond), "10 s"},
		{elapsed(59600 * time.Millisecond), "1 min 00 s"},
		{printable("a\x1b[1m\r\u202eb\tc\n"), "a\ufffd[1m\ufffd\ufffdb\tc\n"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        int
	}{
		{-1, 10, 0}, {0, 10, 0}, {29, 100, 29}, {999, 1000, 99}, {10, 10, 100}, {11, 10, 100},
		{math.MaxInt64 - 1, math.MaxInt64, 99},
	} {
		if got := percent(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %d%%, want %d%%", c.done, c.total, got, c.want)
		}
	}
}
