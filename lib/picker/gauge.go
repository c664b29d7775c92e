// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import "time"

// A gauge measures one direction of our link: how many bytes a second it carries, and the most it
// was seen to carry.
type gauge struct {
	window [windowTicks]int64 // bytes in each of the last ticks
	at     int
	fresh  int64   // bytes since the last tick
	best   float64 // bytes a second, slowly forgotten
}

const (
	windowTicks = 8     // of 50 ms
	forget      = 0.999 // of best, a tick
)

func (g *gauge) rate() float64 {
	var sum int64
	for _, n := range g.window {
		sum += n
	}
	return float64(sum) / (windowTicks * tickEvery.Seconds())
}

func (g *gauge) tick(since time.Duration) {
	g.window[g.at] = int64(float64(g.fresh) * float64(tickEvery) / float64(since))
	g.at = (g.at + 1) % windowTicks
	g.fresh = 0
	g.best = max(g.rate(), g.best*forget)
}

// Slots are how many peers a link works with at a time: a base number always, and one more each
// time that the link has carried less than it can for a while, so that a slow peer costs only its
// own share.
type slots struct {
	slotRules
	extra int
	since time.Duration // since the last change, or the last time that none was needed
	tried time.Duration // since a slot was last added

	lonely
}

// slotRules are how slots are added.
type slotRules struct {
	base   int
	enough float64       // of the best rate: below it another slot is opened
	probe  time.Duration // a slot is tried this long after the last, even so; 0: never
	settle time.Duration // how long a change takes to show in the rate
}

const maxSlots = 64

func (s *slots) count() int { return s.base + s.extra }

// tick hears how many slots are used and whether there is somebody for another one.
func (s *slots) tick(since time.Duration, g *gauge, used int, more bool) {
	if s.since += since; s.since < s.settle {
		return
	}
	s.tried += s.since
	slow := g.rate() < s.enough*g.best
	switch {
	case more && used >= s.count() && (slow || s.probe > 0 && s.tried > s.probe):
		s.extra, s.tried = min(s.extra+1, maxSlots-s.base), 0
	case s.extra > 0:
		s.extra--
	}
	s.since = 0
}
