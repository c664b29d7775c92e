// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// slowWrites makes each write at an offset take longer, as a disk with a long queue does. A program
// that writes through a mapping, as libtorrent does, escapes it. strace -D stands beside the program
// instead of in front of it, so that the process id stays the program's.
func slowWrites(args []string, delay time.Duration) []string {
	calls := "pwrite64,pwritev,pwritev2"
	return append([]string{"strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:delay_exit=%d", calls, delay.Microseconds())}, args...)
}

// schedule lets late receivers join and things go wrong at their times.
func (r *round) schedule(ctx context.Context) {
	after := func(part float64, do func() error) {
		go func() {
			select {
			case <-time.After(time.Until(r.start.Add(r.at(part)))):
				if err := do(); err != nil && ctx.Err() == nil {
					r.failed <- err
				}
			case <-ctx.Done():
			}
		}()
	}
	for i, part := range r.Kill {
		after(part, func() error { return r.receivers[i].Signal(syscall.SIGKILL) })
	}
	for i, part := range r.Unplug {
		after(part, func() error { return r.lab.Unplug(ctx, r.lab.Nodes[i]) })
	}
	if r.KillSeed > 0 {
		after(r.KillSeed, func() error { return r.killSeed(ctx) })
	}
	go r.watchOver(ctx)
}

// watchOver reports the end of a seed that nobody killed, which otherwise showed as receivers that
// wait in vain.
func (r *round) watchOver(ctx context.Context) {
	select {
	case <-r.seed.exited:
		if err := r.seed.Died(); err != nil {
			r.failed <- fmt.Errorf("seed: %w", err)
		}
	case <-ctx.Done():
	}
}

// killSeed kills the seed as soon as the receivers hold every byte between them: before that the
// rest could not be had from anyone.
func (r *round) killSeed(ctx context.Context) error {
	for {
		union, mean := r.image.NewPresence(), 0.0
		for i := 1; i <= r.N; i++ {
			own := r.held(i)
			mean += own.Share() / float64(r.N)
			for j, ok := range own {
				union[j] = union[j] || ok
			}
		}
		if union.Share() == 1 {
			r.mu.Lock()
			r.seedKilled = true
			r.mu.Unlock()
			r.note("seed killed after %.1f s, receivers held %.0f %% each", time.Since(r.start).Seconds(), 100*mean)
			return r.seed.Signal(syscall.SIGKILL)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// held is what a receiver has written so far.
func (r *round) held(i int) Presence {
	own := r.image.NewPresence()
	own.Add(r.receivers[i].Outputs, r.image.lengthsOf(r.receivers[i].Outputs))
	return own
}

// lengthsOf gives the lengths of outputs that are either one raw image or a file for each extent.
func (im *Image) lengthsOf(outputs []string) []int64 {
	if len(outputs) == 1 {
		return []int64{im.Size}
	}
	return im.lengths
}
