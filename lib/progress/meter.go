// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"math"
	"time"
)

// A Sample is a job's counters at one moment. Counters count from wherever they like; rates are
// taken from differences within a phase.
type Sample struct {
	Done, Total int64  // bytes; a Total of 0 is unknown
	Down, Up    int64  // bytes moved over the network so far
	Peers       int    // connected now
	Waiting     string // what nothing goes on without, such as "peers"; shown as "waiting for peers"
}

// window is the time rates are measured over: long enough to even out bursts, short enough that
// a stall is seen.
const window = 5 * time.Second

// rates are in bytes per second.
type rates struct{ done, down, up float64 }

// figures are what displays show: a phase as measured at one moment.
type figures struct {
	Sample
	phase   string
	at      time.Time
	elapsed time.Duration // since the phase began
	now     rates         // over the window
	mean    rates         // over the phase
	eta     int64         // seconds left, rounded up; -1 when unknown

	over bool // the phase is, in a bar of several jobs

	// What a phase never did is not worth a zero in its line.
	downSeen, upSeen, peersSeen bool
}

// A point is one entry of the window.
type point struct {
	at time.Time
	Sample
}

// A phase measures samples. It is not safe for concurrent use.
type phase struct {
	name    string
	sample  func() Sample
	begun   time.Time
	points  []point // begun, then ascending in time
	first   Sample
	stop    chan struct{} // closed to end the sampling
	stopped chan struct{} // closed when it has ended

	downSeen, upSeen, peersSeen bool
}

func newPhase(name string, sample func() Sample, first Sample, now time.Time) *phase {
	return &phase{
		name: name, sample: sample, begun: now, first: first,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// measure adds a sample to the window and tells what it makes of it.
func (p *phase) measure(s Sample, now time.Time) figures {
	p.points = append(p.points, point{now, s})
	for len(p.points) > 2 && now.Sub(p.points[1].at) >= window {
		p.points = p.points[1:]
	}
	p.downSeen = p.downSeen || s.Down != p.first.Down
	p.upSeen = p.upSeen || s.Up != p.first.Up
	p.peersSeen = p.peersSeen || p.downSeen || p.upSeen || s.Peers > 0 || s.Waiting != ""
	f := figures{
		Sample: s, phase: p.name, at: now, elapsed: now.Sub(p.begun),
		now:      between(p.points[0], point{now, s}),
		mean:     between(point{p.begun, p.first}, point{now, s}),
		downSeen: p.downSeen, upSeen: p.upSeen, peersSeen: p.peersSeen,
	}
	f.eta = f.left()
	return f
}

// between is the average rate from a to b. A counter that went back, such as that of a piece
// taken back, counts as one that stood still.
func between(a, b point) rates {
	seconds := b.at.Sub(a.at).Seconds()
	if seconds <= 0 {
		return rates{}
	}
	per := func(a, b int64) float64 { return float64(max(b-a, 0)) / seconds }
	return rates{per(a.Done, b.Done), per(a.Down, b.Down), per(a.Up, b.Up)}
}

// left is the estimate of the seconds left, or -1. Done advances by whole pieces, on a slow link
// rarer than once in a window, so the network's rate is preferred where there is one.
func (f *figures) left() int64 {
	rate := f.now.done
	if f.downSeen {
		rate = f.now.down
	}
	switch {
	case f.Total <= 0:
		return -1
	case f.Done >= f.Total:
		return 0
	case rate <= 0:
		return -1
	}
	// A float beyond int64 has no defined conversion.
	return int64(min(math.Ceil(float64(f.Total-f.Done)/rate), 1<<53))
}
