// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"time"

	"ezio/lib/swarm"
)

// Without data for so long it is said, and said again; in a swarm even the slowest machine gets a
// block within seconds.
const (
	stallAfter = 60 * time.Second
	stallLook  = time.Second
)

// A stall notices that nothing comes any more. It only tells: whoever has the missing pieces may be
// switched on again, so the job goes on waiting.
type stall struct {
	after time.Duration
	last  int64     // bytes received so far
	since time.Time // when last changed, or when it was told
	quiet time.Duration
}

// look is told the time and the bytes received, and returns for how long there has been nothing, 0
// while that is not worth telling (again).
func (s *stall) look(now time.Time, down int64) time.Duration {
	if down != s.last || s.since.IsZero() {
		s.last, s.since, s.quiet = down, now, 0
		return 0
	}
	if now.Sub(s.since) < s.after {
		return 0
	}
	s.quiet += now.Sub(s.since)
	s.since = now
	return s.quiet.Truncate(time.Second)
}

// watchStall tells the operator when no data comes, until ctx is done.
func (j *job) watchStall(ctx context.Context, sw *swarm.Swarm, a *announcing) {
	s := stall{after: stallAfter}
	tick := time.NewTicker(stallLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if quiet := s.look(now, sw.Stats().Down+j.left.checked.Load()); quiet > 0 {
				j.r.Printf("no data for %v: %s", quiet, j.whyNoData(sw.Stats().Peers, a))
			}
		}
	}
}

// whyNoData is what is known of the reason.
func (j *job) whyNoData(peers int, a *announcing) string {
	if peers == 0 {
		if why := a.trouble(); why != "" {
			return j.missing() + " and no peer is connected" + why
		}
		return j.missing() + " and no peer is connected; is the seed running?"
	}
	return fmt.Sprintf("%s and none of the %d connected peers sends it", j.missing(), peers)
}

// missing words what is not there yet, with the place of the first of it.
func (j *job) missing() string {
	have, first, n := j.store.Have(), -1, 0
	for i := range have.Len() {
		if !have.Has(i) {
			if n++; first < 0 {
				first = i
			}
		}
	}
	if n == 0 {
		return "nothing is missing"
	}
	at, _ := j.t.Layout.Span(first)
	for e := range j.t.Map.Slices(at, 1) {
		at = e.Offset
	}
	if n == 1 {
		return fmt.Sprintf("piece %d of %d (disk offset %#x) is missing", first, have.Len(), at)
	}
	return fmt.Sprintf("%d of %d pieces are missing (the first is piece %d, disk offset %#x)", n, have.Len(), first, at)
}
