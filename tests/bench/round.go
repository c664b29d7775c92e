// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// round is a Plan at work.
type round struct {
	Plan
	tools   tools
	lab     *Lab
	image   *Image
	torrent string
	dir     string

	seed      *Proc
	receivers []*Proc // by number from 1; nil until started
	begun     []time.Time
	start     time.Time
	cpu       cpuTicks   // the whole machine's, at the start
	failed    chan error // what goes wrong beside the awaited receivers

	mu         sync.Mutex
	notes      []string
	seedKilled bool
}

func (r *round) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *round) nodeDir(i int) string { return filepath.Join(r.dir, fmt.Sprintf("node%d", i)) }

// others are the addresses of every machine but i, for contestants without a tracker.
func (r *round) others(i int) []string {
	var ips []string
	for j, n := range r.lab.Nodes {
		if j != i {
			ips = append(ips, n.IP)
		}
	}
	return ips
}

// runRound plays one round to its end and takes everything down again.
func runRound(ctx context.Context, p Plan, t tools, im *Image, dir string) (res Result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout(), fmt.Errorf("not done after %v", p.timeout().Round(time.Second)))
	defer cancel()
	r := &round{Plan: p, tools: t, image: im, dir: dir,
		receivers: make([]*Proc, p.N+1), begun: make([]time.Time, p.N+1), failed: make(chan error, 2*p.N+2)}
	if r.torrent, err = im.Torrent(p.PieceLength); err != nil {
		return res, err
	}
	if r.lab, err = NewLab(ctx, p.links()); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, r.lab.Close()) }()
	defer r.stopAll() // before the lab goes

	if err := r.layDisks(); err != nil {
		return res, err
	}
	if err := r.play(ctx); err != nil {
		return res, err
	}
	if res, err = r.measure(ctx); err != nil {
		return res, err
	}
	return res, r.compare()
}

// layDisks makes the targets, full of old bytes, as a disk is: it exists, whatever it holds, and what
// a machine's memory needs to hold a file in place of a disk is nobody's to pay for.
func (r *round) layDisks() error {
	for i := 1; i <= r.N; i++ {
		if err := os.Mkdir(r.nodeDir(i), 0o755); err != nil {
			return err
		}
		if r.Holes {
			continue
		}
		for _, path := range r.Contestant.Receiver(r, i).Outputs {
			if err := r.image.LayOld(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// play starts everyone and returns when every awaited receiver has the image.
func (r *round) play(ctx context.Context) error {
	if !r.SeedLast {
		if err := r.startSeed(ctx); err != nil {
			return err
		}
	}
	if r.Gated || r.SeedLast {
		if err := r.startReceivers(ctx); err != nil {
			return err
		}
		if err := r.awaitReady(ctx); err != nil {
			return err
		}
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	faults, stop := context.WithCancel(ctx)
	defer stop()
	r.schedule(faults)
	return r.awaitDone(ctx)
}

// begin is where the time starts to count.
func (r *round) begin(ctx context.Context) error {
	for _, p := range r.all() {
		p.MarkStart()
	}
	r.startClock()
	switch {
	case r.SeedLast:
		if err := r.startSeed(ctx); err != nil || r.seed.Begins == nil {
			return err
		}
		err := r.await(ctx, r.seed, r.seed.begins)
		r.startClock()
		return err
	case r.Gated:
		for _, p := range r.all() {
			if err := p.Go(); err != nil {
				return fmt.Errorf("begin: %w", err)
			}
		}
		return nil
	default:
		return r.startReceivers(ctx)
	}
}

func (r *round) startClock() {
	r.cpu = readCPU()
	r.start = time.Now()
	for i := range r.begun {
		r.begun[i] = r.start
	}
}

func (r *round) startSeed(ctx context.Context) (err error) {
	if r.seed, err = r.lab.Nodes[0].Start(r.Contestant.Seed(r), filepath.Join(r.dir, "seed.log")); err != nil {
		return err
	}
	return r.await(ctx, r.seed, r.seed.ready)
}

// startReceivers starts all but the late ones.
func (r *round) startReceivers(ctx context.Context) error {
	for i := 1; i <= r.N; i++ {
		if _, late := r.Late[i]; late {
			continue
		}
		if err := r.startReceiver(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) startReceiver(i int) error {
	c := r.Contestant.Receiver(r, i)
	if delay, ok := r.SlowDisk[i]; ok {
		c.Args = slowWrites(c.Args, delay)
	}
	p, err := r.lab.Nodes[i].Start(c, filepath.Join(r.dir, fmt.Sprintf("node%d.log", i)))
	r.receivers[i] = p
	return err
}

func (r *round) all() []*Proc {
	var all []*Proc
	for _, p := range append([]*Proc{r.seed}, r.receivers...) {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

func (r *round) awaitReady(ctx context.Context) error {
	for i := 1; i <= r.N; i++ {
		if p := r.receivers[i]; p != nil {
			if err := r.await(ctx, p, p.ready); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits for one thing of one program, unless it dies of itself.
func (r *round) await(ctx context.Context, p *Proc, what <-chan struct{}) error {
	select {
	case <-what:
		return nil
	case <-p.exited:
		select {
		case <-what: // it did its work and left
			return nil
		default:
		}
		if err := p.Died(); err != nil {
			return err
		}
		return fmt.Errorf("%s ended too early", p.Args[0])
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitDone waits for the receivers. Late ones are started here, since they are waited for here too.
func (r *round) awaitDone(ctx context.Context) error {
	for i := 1; i <= r.N; i++ {
		if part, late := r.Late[i]; late {
			if err := r.join(ctx, i, part); err != nil {
				return err
			}
		}
	}
	for i := 1; i <= r.N; i++ {
		if r.awaited(i) {
			if err := r.await(ctx, r.receivers[i], r.receivers[i].done); err != nil {
				return fmt.Errorf("receiver %d of %d: %w", i, r.N, err)
			}
		}
	}
	return nil
}

func (r *round) join(ctx context.Context, i int, part float64) error {
	select {
	case <-time.After(time.Until(r.start.Add(r.at(part)))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.begun[i] = time.Now()
	if err := r.startReceiver(i); err != nil {
		return err
	}
	if !r.Gated {
		return nil
	}
	if err := r.await(ctx, r.receivers[i], r.receivers[i].ready); err != nil {
		return err
	}
	r.begun[i] = time.Now()
	return r.receivers[i].Go()
}

func (r *round) stopAll() {
	for _, p := range r.all() {
		p.expectEnd() // all at once: no receiver's end may look like another's failure
	}
	// Those that finish in an orderly way do so side by side.
	done := make(chan struct{})
	all := r.all()
	for _, p := range all {
		go func() { p.Stop(); done <- struct{}{} }()
	}
	for range all {
		<-done
	}
}
