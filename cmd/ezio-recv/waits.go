// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"ezio/lib/progress"
)

// Nobody who watches is left without a word for longer than ten seconds: a phase has its line as often,
// and what is done outside of one is named when it takes its time.
const (
	remindAfter = 5 * time.Second
	remindEvery = 10 * time.Second
)

// remind says what is waited for, if it takes long, until the function that it returns is called.
func remind(r *progress.Reporter, what string) (stop func()) {
	begun, done, over := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for timer := time.NewTimer(remindAfter); ; timer.Reset(remindEvery) {
			select {
			case <-done:
				timer.Stop()
				return
			case now := <-timer.C:
				r.Printf("waiting for %s, since %s", what, progress.Elapsed(now.Sub(begun).Round(time.Second)))
			}
		}
	}()
	return func() {
		close(done)
		<-over
	}
}

// lullAfter is how long nothing must have come, though peers are connected, for that to be said.
const lullAfter = 5 * time.Second

// A lull notices that nothing comes. It belongs to the one who samples.
type lull struct {
	last  int64
	since time.Time
}

// waits says what a receiver waits for, "" while bytes come.
func (l *lull) waits(now time.Time, s progress.Sample) string {
	if s.Down != l.last || l.since.IsZero() {
		l.last, l.since = s.Down, now
	}
	switch {
	case now.Sub(l.since) < lullAfter || s.Done >= s.Total:
		return ""
	case s.Peers == 1:
		return "data: the one connected peer sends none"
	}
	return fmt.Sprintf("data: none of the %d connected peers sends any", s.Peers)
}

// settling is set while everything has come and is being made durable.
type settling struct{ atomic.Bool }

func (s *settling) waits() string {
	if s.Load() {
		return "the device to have written everything"
	}
	return ""
}
