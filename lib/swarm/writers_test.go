// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ezio/lib/piece"
	"ezio/lib/store"
)

func newGatherer(ctx context.Context, batch int, gap time.Duration) *writers {
	w := &writers{s: &Swarm{ctx: ctx}, batch: batch, queue: make(chan int, 100)}
	w.gap.Store(int64(gap))
	return w
}

func TestGather(t *testing.T) {
	for _, c := range []struct {
		name   string
		gap    time.Duration // that there has been
		waits  []int         // pieces that wait
		comes  time.Duration // when another one does, piece 99
		want   []int
		within time.Duration
	}{
		{"a lone piece on a slow link", 20 * time.Millisecond, []int{7}, time.Millisecond, []int{7}, 0},
		{"two at a time on a slow link", 20 * time.Millisecond, []int{7, 3}, time.Millisecond, []int{7, 3}, 0},
		{"no more than a batch", 20 * time.Millisecond, []int{1, 2, 3, 4, 5}, time.Millisecond, []int{1, 2, 3, 4}, 0},
		{"others soon", time.Millisecond, []int{1}, time.Millisecond, []int{1, 99}, 4 * time.Millisecond},
		{"the batch is full", time.Millisecond, []int{1, 2, 3}, time.Millisecond, []int{1, 2, 3, 99}, time.Millisecond},
		{"no others after all", time.Millisecond, []int{1}, time.Hour, []int{1}, 4 * time.Millisecond},
		{"never for long", time.Millisecond, []int{1}, maxWait + time.Millisecond, []int{1}, maxWait},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newGatherer(t.Context(), 4, c.gap)
				for _, i := range c.waits {
					w.queue <- i
				}
				time.AfterFunc(c.comes, func() { w.queue <- 99 })
				start := time.Now()
				got, ok := w.gather(nil)
				if !ok || !slices.Equal(got, c.want) {
					t.Errorf("gathered %v, %v, want %v", got, ok, c.want)
				}
				if took := time.Since(start); took > c.within {
					t.Errorf("it took %v, at most %v are allowed", took, c.within)
				}
			})
		})
	}
}

func TestGatherEnds(t *testing.T) {
	for _, waiting := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			w := newGatherer(ctx, 4, time.Microsecond*900)
			for range waiting {
				w.queue <- 1
			}
			time.AfterFunc(time.Millisecond, cancel)
			if got, ok := w.gather(nil); ok {
				t.Errorf("gathered %v after the end", got)
			}
		})
	}
}

// What the gaps were decides whether a piece waits.
func TestPatience(t *testing.T) {
	w := newGatherer(t.Context(), 16, time.Hour)
	now := time.Now()
	feed := func(n int, gap time.Duration) {
		for range n {
			w.put(0, now)
			<-w.queue
			now = now.Add(gap)
		}
	}
	feed(1, 0)
	if p := w.patience(); p != 0 {
		t.Errorf("the first piece waits %v", p)
	}
	feed(100, 100*time.Microsecond)
	if p := w.patience(); p < 1600*time.Microsecond || p > 1800*time.Microsecond {
		t.Errorf("at 0.1 ms a piece they wait %v", p)
	}
	feed(5, 30*time.Millisecond)
	if p := w.patience(); p != 0 {
		t.Errorf("at 30 ms a piece they wait %v", p)
	}
}

// slowStore takes a while for each write, and notes how many there were at the same time at most.
type slowStore struct {
	Store
	takes     time.Duration
	now, most atomic.Int64
}

func (s *slowStore) Write(store.Verified) error {
	for n := s.now.Add(1); ; {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	time.Sleep(s.takes)
	s.now.Add(-1)
	return nil
}

// One writer while the disk keeps up; more, but not without end, where it makes them wait.
func TestWritersJoinIn(t *testing.T) {
	for _, c := range []struct {
		name        string
		takes       time.Duration // for a write
		gap         time.Duration // between pieces
		least, most int64         // writers
	}{
		{"memory", time.Millisecond, 2 * time.Millisecond, 1, 1},
		{"a disk that is busy", 20 * time.Millisecond, 5 * time.Millisecond, 3, maxWriters},
		{"a disk that hangs", time.Minute, time.Millisecond, maxWriters, maxWriters},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &slowStore{takes: c.takes}
				ctx, cancel := context.WithCancel(t.Context())
				s := &Swarm{
					ctx: ctx, store: disk, events: make(chan func(), 1000), evidence: newEvidence(),
					mem: newMemory(piece.Layout{Length: 1 << 20, Size: 1 << 30}, 64),
				}
				w := newWriters(s)
				s.wg.Go(w.write)
				for range 60 {
					w.right <- received{at: time.Now()}
					time.Sleep(c.gap)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if got := disk.most.Load(); got < c.least || got > c.most {
					t.Errorf("%d writers, want %d to %d", got, c.least, c.most)
				}
				if len(s.events) != 60 || w.extra.Load() != 0 {
					t.Errorf("%d of 60 written, %d helpers are left", len(s.events), w.extra.Load())
				}
				cancel()
				s.wg.Wait()
			})
		})
	}
}
