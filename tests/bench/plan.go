// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"time"
)

// Plan is one round: who deploys what to how many, over which links, and what goes wrong meanwhile.
type Plan struct {
	Scenario string
	Variant  string // what is special in this round, in a word; empty when nothing
	Contestant
	N           int
	Rate        Rate // of every link
	Bytes       int64
	PieceLength int64

	Holes bool // targets are new files: what a receiver has written is seen by the holes that are left

	SeedUp   Rate                  // the seed's way up, when not Rate
	SlowLink map[int]Rate          // receivers with another link
	SlowDisk map[int]time.Duration // receivers whose disk takes so long for each write
	Late     map[int]float64       // receivers that join after this part of the ideal time
	Kill     map[int]float64       // receivers killed then
	Unplug   map[int]float64       // receivers whose cable is taken out then
	KillSeed float64               // the seed is killed then, but not before every byte has left it
}

// Ideal is the time that the image's bytes take on one link; 0 when links are unlimited.
func (p Plan) Ideal() time.Duration {
	if p.Rate == 0 {
		return 0
	}
	return time.Duration(float64(p.Bytes*8) / float64(p.Rate) * float64(time.Second))
}

// at is a part of the ideal time, or of a guess at it.
func (p Plan) at(part float64) time.Duration {
	ideal := p.Ideal()
	if ideal == 0 {
		ideal = time.Duration(float64(p.Bytes) / (300 * mib) * float64(time.Second))
	}
	return time.Duration(part * float64(ideal))
}

// timeout is when a round counts as hung.
func (p Plan) timeout() time.Duration {
	return time.Minute + 8*p.at(1) + time.Duration(p.N)*time.Second
}

// ordinary receivers are those whose times are reported together.
func (p Plan) ordinary(i int) bool {
	_, late := p.Late[i]
	return !late && p.awaited(i)
}

// awaited receivers must finish; the others are stopped when these have.
func (p Plan) awaited(i int) bool {
	_, slow := p.SlowLink[i]
	_, disk := p.SlowDisk[i]
	_, killed := p.Kill[i]
	_, unplugged := p.Unplug[i]
	return !slow && !disk && !killed && !unplugged
}

func (p Plan) links() []Link {
	links := make([]Link, p.N+1)
	for i := range links {
		links[i] = Link{Up: p.Rate, Down: p.Rate}
		if rate, ok := p.SlowLink[i]; ok {
			links[i] = Link{Up: rate, Down: rate}
		}
	}
	if p.SeedUp != 0 {
		links[0].Up = p.SeedUp
	}
	return links
}

func (p Plan) fate(i int) string {
	if rate, ok := p.SlowLink[i]; ok {
		return rate.String()
	}
	if delay, ok := p.SlowDisk[i]; ok {
		return delay.String() + " a write"
	}
	if _, ok := p.Kill[i]; ok {
		return "killed"
	}
	return "unplugged"
}
