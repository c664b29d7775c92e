// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"time"

	"ezio/lib/progress"
	"ezio/lib/report"
	"ezio/lib/swarm"
	"ezio/lib/tracker"
)

const (
	lingerLook = 200 * time.Millisecond
	askEvery   = 2 * time.Second // a tracker, by those whose seed is an ordinary client
)

// linger uploads as long as others need it: until the seed, or else the trackers' figures, say that
// nobody misses anything, or nobody has asked for anything for --seed-idle. An interruption ends it
// early, and is no failure: the job is done.
func (j *job) linger(ctx context.Context, sw *swarm.Swarm, a *announcing) {
	idle := j.c.Duration("seed-idle")
	if idle <= 0 {
		return
	}
	j.r.Start("uploading", func() progress.Sample {
		st := sw.Stats()
		return progress.Sample{Done: j.t.Layout.Size, Total: j.t.Layout.Size, Up: st.Up, Peers: st.Peers}
	}, nil)
	defer j.r.Stop()
	tick := time.NewTicker(min(idle, lingerLook))
	defer tick.Stop()
	last, since, asked := sw.Stats().Up, time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if up := sw.Stats().Up; up != last {
				last, since = up, now
			}
			if now.Sub(since) >= idle || !stillMissed(j.voice.client.Standing(), a.client.Status()) {
				return
			}
			if now.Sub(asked) >= askEvery {
				asked = now
				a.client.Announce()
			}
		}
	}
}

// stillMissed says whether somebody may still want something from a receiver that is done. What counts is
// what was said after it was known that this one is done: before, it was among those who miss
// something. A seed that takes reports knows best.
func stillMissed(seed report.Standing, trackers []tracker.TrackerStatus) bool {
	if !seed.At.IsZero() {
		return seed.Sent != report.Done || seed.Answer.Unfinished > 0
	}
	known := false
	for _, t := range trackers {
		if t.Completed && t.Leeches > 0 {
			return true
		}
		known = known || t.Completed && t.Seeds > 0 && t.Leeches == 0
	}
	return !known
}
