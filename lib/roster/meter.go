// SPDX-License-Identifier: GPL-2.0-or-later

package roster

import "time"

// meterWindow is the time over which a rate is measured: reports come every second or two, whole
// pieces rarer.
const meterWindow = 8 * time.Second

// A meter measures the rate of one counter.
type meter struct {
	points []point
}

type point struct {
	at time.Time
	n  int64 // bytes
}

// add takes the counter's value and says whether it has grown. A counter that goes back has begun anew.
func (m *meter) add(now time.Time, n int64) (grown bool) {
	last := len(m.points) - 1
	if last >= 0 && n < m.points[last].n {
		m.points = m.points[:0]
		last = -1
	}
	grown = last >= 0 && n > m.points[last].n || last < 0 && n > 0
	m.points = append(m.points, point{now, n})
	for len(m.points) > 2 && now.Sub(m.points[1].at) >= meterWindow {
		m.points = m.points[1:]
	}
	return grown
}

// full says whether a whole window was measured.
func (m *meter) full() bool {
	return len(m.points) > 1 && m.points[len(m.points)-1].at.Sub(m.points[0].at) >= meterWindow
}

// rate is in bytes a second.
func (m *meter) rate() float64 {
	if len(m.points) < 2 {
		return 0
	}
	a, b := m.points[0], m.points[len(m.points)-1]
	if s := b.at.Sub(a.at).Seconds(); s > 0 {
		return float64(b.n-a.n) / s
	}
	return 0
}

// maxHistory is how many points the history of a deployment has at most; beyond it they get coarser.
const maxHistory = 360

// A history is rates over the whole time of a deployment.
type history struct {
	step   time.Duration // between points
	points []Moment
	next   time.Duration // when the next point is due
	sum    Moment        // of what has come since the last one
	n      int
}

// A Moment is the rates at one time.
type Moment struct {
	At   float64 `json:"at"`   // seconds since the seed began
	Down float64 `json:"down"` // bytes a second that all receivers together receive
	Up   float64 `json:"up"`   // bytes a second that the seed sends
}

func (h *history) add(at time.Duration, down, up float64) {
	if h.step == 0 {
		h.step = time.Second
	}
	h.sum.Down, h.sum.Up, h.n = h.sum.Down+down, h.sum.Up+up, h.n+1
	if at < h.next {
		return
	}
	n := float64(h.n)
	h.points = append(h.points, Moment{At: at.Seconds(), Down: h.sum.Down / n, Up: h.sum.Up / n})
	h.sum, h.n = Moment{}, 0
	h.next = at + h.step
	if len(h.points) >= maxHistory {
		h.halve()
	}
}

// halve joins each two points.
func (h *history) halve() {
	half := h.points[:0]
	for i := 0; i+1 < len(h.points); i += 2 {
		a, b := h.points[i], h.points[i+1]
		half = append(half, Moment{At: b.At, Down: (a.Down + b.Down) / 2, Up: (a.Up + b.Up) / 2})
	}
	h.points = half
	h.step *= 2
}
