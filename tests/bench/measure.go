// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// compare checks what everybody wrote. It needs the programs stopped, so that nothing is in flight.
func (r *round) compare() error {
	for i := 1; i <= r.N; i++ {
		if err := r.image.Compare(r.receivers[i].Outputs, !r.awaited(i)); err != nil {
			return fmt.Errorf("receiver %d of %d: %w", i, r.N, err)
		}
	}
	return nil
}

// measure takes the figures at the end, then stops everyone to learn what they cost.
func (r *round) measure(ctx context.Context) (Result, error) {
	res := newResult(r.Plan)
	res.Busy = r.cpu.busySince(readCPU())
	for _, p := range r.all() {
		p.readMemory()
	}
	sent, err := r.lab.Nodes[0].Sent(ctx)
	if err != nil {
		return res, err
	}
	res.SeedSent = float64(sent) / float64(r.Bytes)
	if err := r.survivors(); err != nil {
		return res, err
	}
	r.takeTimes(&res)
	r.stopAll()
	r.takeCosts(&res)
	res.Note = r.remarks()
	return res, nil
}

// remarks are the notes in a line, with one about a trouble that did not come to pass.
func (r *round) remarks() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.KillSeed > 0 && !r.seedKilled {
		return "the seed was not killed: all were done as soon as its last byte had left it"
	}
	return strings.Join(r.notes, "; ")
}

// survivors makes sure that slow receivers were slow, not dead.
func (r *round) survivors() error {
	for i := 1; i <= r.N; i++ {
		_, unplugged := r.Unplug[i]
		if r.awaited(i) || unplugged {
			continue // without a cable a program may give up
		}
		if err := r.receivers[i].Died(); err != nil {
			return fmt.Errorf("receiver %d of %d: %w", i, r.N, err)
		}
	}
	return nil
}

func (r *round) takeTimes(res *Result) {
	var times []float64
	for i := 1; i <= r.N; i++ {
		p := r.receivers[i]
		switch {
		case r.ordinary(i):
			times = append(times, p.DoneAt().Sub(r.begun[i]).Seconds())
		case r.awaited(i):
			res.Late = p.DoneAt().Sub(r.begun[i]).Seconds()
			r.note("joined after %.1f s, done %.1f s later", r.begun[i].Sub(r.start).Seconds(), res.Late)
		default:
			r.note("receiver %d (%s) then held %.0f %%", i, r.fate(i), 100*r.held(i).Share())
		}
	}
	slices.Sort(times)
	res.First, res.Median, res.Last = times[0], times[len(times)/2], times[len(times)-1]
	if len(times)%2 == 0 {
		res.Median = (times[len(times)/2-1] + times[len(times)/2]) / 2
	}
	res.Speed = float64(r.Bytes) / mib / res.Last
	if ideal := r.Ideal(); ideal > 0 {
		res.Ideal = res.Last / ideal.Seconds()
	}
}

func (r *round) takeCosts(res *Result) {
	perGiB := float64(gib) / float64(r.Bytes)
	seed := r.seed.Usage()
	res.SeedCPU = seed.CPU.Seconds() * perGiB
	res.SeedRSS, res.SeedAnon = seed.RSS, seed.Anon
	n := 0
	for i := 1; i <= r.N; i++ {
		if !r.ordinary(i) {
			continue
		}
		u := r.receivers[i].Usage()
		res.ReceiverCPU += u.CPU.Seconds() * perGiB
		res.ReceiverRSS = max(res.ReceiverRSS, u.RSS)
		res.ReceiverAnon = max(res.ReceiverAnon, u.Anon)
		n++
	}
	res.ReceiverCPU /= float64(n)
}
