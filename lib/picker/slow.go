// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"math"
	"time"
)

// A link that is matched one to one works with one peer at a time, so a peer that is much slower than
// the link must not count as that one: it has its own share beside another. Who is slow shows while it
// sends or is sent to, and is remembered till its next piece. That our own link idles, or is shared for
// a moment, must not be taken for it: each needless flow makes two pieces late, and with them those who
// wait for them.
const (
	muchSlower = 4   // this many times less is worth a change
	fullShare  = 0.5 // of the best rate: a link that carries it waits for nobody

	slowAfter = 600 * time.Millisecond // a flow's rate is known after
	darePause = 10 * time.Second       // after an offer that promised too much, the first time
	mostPause = 80 * time.Second
)

// A dare is taking an offer beside what comes, or instead of it, since it promises much more: what our
// own link can do may not have been seen. What came of it is believed for a while.
type dare struct {
	at      time.Time // of one that is not decided; zero: there is none
	promise int64     // bytes a second
	came    int64     // bytes till then

	pause time.Duration // the last one's, if it came to nothing
	until time.Time
	rate  float64 // till then our link is believed to carry no more, in bytes a second
}

// tickSlow finds out who is slow, and gives each link a place beside each of those.
func (p *Picker) tickSlow(since time.Duration) {
	if !p.offers.on {
		return
	}
	up, down := p.waitsFor(&p.up.gauge), p.waitsFor(&p.down.gauge)
	turns, sources, slowTurns, slowSources := 0, 0, 0, 0
	for _, q := range p.order {
		if q.snk.turn {
			turns++
			if p.now.Sub(q.snk.since) >= slowAfter {
				judge(&q.snk.slow, q.snk.rate, p.up.gauge.best, up)
				p.distrust(q)
			}
			slowTurns += count(q.snk.slow)
		}
		if q.src.bytes > 0 && p.speaks(q) {
			sources++
			if p.now.Sub(q.src.busySince) >= slowAfter {
				judge(&q.src.slow, q.src.rate, p.down.gauge.best, down)
			}
			slowSources += count(q.src.slow)
		}
	}
	p.up.slots.set(since, &p.up.gauge, turns, slowTurns)
	p.down.slots.set(since, &p.down.gauge, sources, slowSources)
	p.settleDare()
}

// distrust says that what a slow peer was given is not on its way to others.
func (p *Picker) distrust(q *peer) {
	for i, h := range q.snk.handouts {
		if h.given && q.snk.slow {
			p.withhold(i, h)
			h.given = false
			q.snk.handouts[i] = h
			p.offers.dry = false
		}
	}
}

// slowQueued is how many bytes are queued for slow peers: they keep the link busy for nobody else.
func (p *Picker) slowQueued() (bytes int64) {
	for _, q := range p.order {
		if q.snk.slow {
			bytes += q.snk.handed
			for _, b := range q.snk.queue {
				bytes += int64(b.Length)
			}
		}
	}
	return bytes
}

// waitsFor says whether a link carries much less than it can.
func (p *Picker) waitsFor(g *gauge) bool { return g.rate() < fullShare*g.best }

func judge(slow *bool, rate, best float64, waits bool) {
	switch {
	case muchSlower*rate >= best:
		*slow = false
	case waits:
		*slow = true
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// slower says whether a peer sends much less than an offer of the given rate would bring.
func (p *Picker) slower(q *peer, rate int64) bool {
	return q != nil && q.src.began(p.now) && muchSlower*q.src.rate < min(float64(rate), p.believed())
}

// believed is what our downlink may carry, in bytes a second.
func (p *Picker) believed() float64 {
	if p.now.Before(p.offers.dare.until) {
		return p.offers.dare.rate
	}
	return math.Inf(1)
}

// dares notes that an offer is taken for what it promises.
func (p *Picker) dares(rate int64) {
	if d := &p.offers.dare; d.at.IsZero() {
		d.at, d.promise, d.came = p.now, rate, p.down.came
	}
}

// settleDare looks what came of it.
func (p *Picker) settleDare() {
	d := &p.offers.dare
	if d.at.IsZero() || p.now.Sub(d.at) < 2*patience {
		return
	}
	d.rate = float64(p.down.came-d.came) / p.now.Sub(d.at).Seconds()
	d.at = time.Time{}
	if muchSlower*d.rate >= float64(d.promise) {
		d.pause = 0
		return
	}
	d.pause = min(mostPause, max(darePause, 2*d.pause))
	d.until = p.now.Add(d.pause)
}

// A piece that is to take longer than slowPiece is either on a slow link or with a slow peer. As long
// as nobody knows which, a second one is tried beside it, once.
const (
	slowPiece = 4 * time.Second
	probeTime = time.Second
)

// lonely is that trial.
type lonely struct {
	piece  int64         // bytes of a piece
	alone  time.Duration // how long somebody was served alone till it began
	probes bool          // it goes on
	joined bool          // a second one came
}

// set gives a link one place, another for each slow peer that is served, and one for a trial.
func (s *slots) set(since time.Duration, g *gauge, used, slow int) {
	switch {
	case s.probes && used >= s.count():
		s.joined = true
	case s.probes && s.joined:
		s.probes = false
	case used > 0 && s.alone <= probeTime:
		s.alone += since
		s.probes = s.alone > probeTime && g.rate()*slowPiece.Seconds() < float64(s.piece)
	}
	s.extra = min(slow+count(s.probes), maxSlots-s.base)
}
