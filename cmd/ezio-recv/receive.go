// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ezio/lib/cli"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/limits"
	"ezio/lib/metainfo"
	"ezio/lib/progress"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

// receive is the whole job: torrent, target, what is already there, the rest from the swarm, sync,
// and a while of uploading.
func receive(c *cli.Call, r *progress.Reporter) error {
	if c.String("target") == "" {
		return cli.Usagef("no target: -d is missing").WithHint("ezio-recv --help")
	}
	t, err := c.Torrent()
	if err != nil {
		return err
	}
	if err := cli.Pin(t, c.String("infohash")); err != nil {
		return err
	}
	from, err := findSources(c, t)
	if err != nil {
		return err
	}
	if err := enoughRoom(t.Layout.Length, limits.Memory(), limits.Files()); err != nil {
		return err
	}
	target, err := disk.OpenTarget(c.String("target"), targetOptions(t))
	if err != nil {
		return err
	}
	job := &job{c: c, r: r, t: t, from: from, target: target, store: store.New(t, target, target.Path())}
	if err := job.run(); err != nil {
		// What was received stays for the next run; a file that got nothing does not.
		return errors.Join(err, target.Abandon())
	}
	if err := target.Close(); err != nil {
		return fmt.Errorf("close %s: %w", target.Path(), err)
	}
	return nil
}

// A job is one deployment onto one target.
type job struct {
	c      *cli.Call
	r      *progress.Reporter
	t      *metainfo.Torrent
	from   sources
	target *disk.Target
	store  *store.Store
	doubts doubts

	captured *extent.Patched // the disk as it was captured, when its GPT must be moved; else nil
}

func (j *job) run() error {
	ctx := j.c.Context.Context
	j.keepTable()
	if err := j.resume(ctx); err != nil {
		return err
	}
	sw := swarm.New(j.t, j.store, swarm.Config{
		Listen:     j.c.String("listen"),
		Banned:     j.r.Banned,
		ReadFailed: j.readFailed,
	})
	if err := sw.Start(); err != nil {
		return cli.Failf("%w", err).WithHint("choose another port with --listen, or --listen :0 for any")
	}
	defer sw.Close()
	announce := j.from.announce(ctx, sw, j.store)
	defer announce.stop()

	if err := j.fetch(ctx, sw, announce); err != nil {
		return err
	}
	if err := j.finish(ctx); err != nil {
		return err
	}
	announce.completed()
	j.linger(ctx, sw)
	return nil
}

// fetch returns when every piece is verified and written.
func (j *job) fetch(ctx context.Context, sw *swarm.Swarm, a *announcing) error {
	j.r.Start("receiving", func() progress.Sample {
		st := sw.Stats()
		s := progress.Sample{
			Done:  j.store.PresentBytes(),
			Total: j.t.Layout.Size,
			Down:  st.Down,
			Up:    st.Up,
			Peers: st.Peers,
		}
		if st.Peers == 0 {
			s.Waiting = "peers" + a.trouble()
		}
		return s
	}, progress.Fields{
		"infohash": j.t.InfoHash.String(),
		"target":   j.target.Path(),
		"port":     sw.Port(),
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	ending, end := context.WithCancel(ctx)
	defer end()
	wg.Go(func() { j.store.WriteBack(ending) })
	wg.Go(func() { j.watchStall(ending, sw, a) })
	return sw.Wait(ctx)
}

// finish makes the image durable and says so: only after it is the job done.
func (j *job) finish(ctx context.Context) error {
	if err := j.store.Sync(); err != nil {
		return err
	}
	check := j.settleDoubts
	if j.c.Bool("verify-after") {
		check = j.verifyAfter
	}
	if err := check(ctx); err != nil {
		return err
	}
	if err := j.settleTable(); err != nil {
		return err
	}
	j.r.Done(progress.Fields{"bytes": j.t.Layout.Size, "pieces": len(j.t.Pieces), "target": j.target.Path()})
	return nil
}

// verifyAfter hashes the whole image again.
func (j *job) verifyAfter(ctx context.Context) error {
	bad, err := j.readBack(ctx, "verifying", nil)
	if err == nil && bad > 0 {
		err = &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s: %d of %d pieces read back wrong", j.target.Path(), bad, len(j.t.Pieces)),
			Hint: "the device does not hold what was written to it: check its health"}
	}
	return err
}

// readBack hashes pieces, nil for all, as the device, not the cache, returns them.
func (j *job) readBack(ctx context.Context, phase string, which []int) (bad int, err error) {
	if err := j.target.DropCache(0, j.target.Size()); err != nil {
		return 0, fmt.Errorf("drop the cache of %s: %w", j.target.Path(), err)
	}
	return j.scan(ctx, phase, which)
}

// linger uploads until nobody has asked for anything for --seed-idle. An interruption ends it
// early, and is no failure: the job is done.
func (j *job) linger(ctx context.Context, sw *swarm.Swarm) {
	idle := j.c.Duration("seed-idle")
	if idle <= 0 {
		return
	}
	j.r.Start("uploading", func() progress.Sample {
		st := sw.Stats()
		return progress.Sample{Done: j.t.Layout.Size, Total: j.t.Layout.Size, Up: st.Up, Peers: st.Peers}
	}, nil)
	defer j.r.Stop()
	last, since := sw.Stats().Up, time.Now()
	for tick := time.NewTicker(min(idle, 200*time.Millisecond)); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case now := <-tick.C:
			if up := sw.Stats().Up; up != last {
				last, since = up, now
			}
			if now.Sub(since) >= idle {
				tick.Stop()
				return
			}
		}
	}
}
