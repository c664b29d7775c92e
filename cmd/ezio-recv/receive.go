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
	"ezio/lib/metainfo"
	"ezio/lib/progress"
	"ezio/lib/report"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

// A job is one image onto one target.
type job struct {
	shared *deployment
	c      *cli.Call
	r      *progress.Reporter
	t      *metainfo.Torrent
	from   sources
	target *disk.Target
	store  *store.Store
	doubts doubts
	left   leftover
	kept   int64 // bytes that were right on the target before
	came   int64 // bytes that came from others
	voice  *voice

	settling settling
	captured *extent.Patched // the disk as it was captured, when its GPT must be moved; else nil
}

func (j *job) run() error {
	ctx := j.c.Context.Context
	if err := j.enterRoom(ctx); err != nil {
		return err
	}
	leaveRoom := sync.OnceFunc(func() { j.shared.room.leave(j.t.Layout.Length) })
	defer leaveRoom()
	j.keepTable()
	if err := j.resume(ctx); err != nil {
		return err
	}
	sw, err := j.join()
	if err != nil {
		return err
	}
	defer sw.Close()
	announce := j.from.announce(ctx, sw, j.store, j.voice.key, j.shared.iface, j.c.Log(j.r))
	defer announce.stop()
	j.voice.inSwarm(sw, announce.client)
	j.voice.say(report.Receiving)

	if err := j.fetch(ctx, sw, announce); err != nil {
		return err
	}
	j.came = sw.Stats().Down
	if err := j.finish(ctx); err != nil {
		return err
	}
	leaveRoom()
	announce.completed()
	j.voice.say(report.Done)
	j.linger(ctx, sw, announce)
	return nil
}

// enterRoom waits until there is memory for this job beside the others.
func (j *job) enterRoom(ctx context.Context) error {
	room, length := j.shared.room, j.t.Layout.Length
	if room.atOnce(length) {
		return nil
	}
	j.r.Start("queued", func() progress.Sample {
		return progress.Sample{Total: j.t.Layout.Size, Waiting: "the memory that other targets use"}
	}, progress.Fields{"infohash": j.t.InfoHash.String()})
	defer j.r.Stop()
	return room.wait(ctx, length)
}

// join takes part in the torrent's swarm, on the port of all jobs. The same image for a second
// target has a port of its own: a port is one peer of a swarm.
func (j *job) join() (*swarm.Swarm, error) {
	port, err := j.shared.port()
	if err != nil {
		return nil, err
	}
	cfg := swarm.Config{
		Port:       port,
		PeerID:     j.voice.id,
		Throttle:   j.shared.up,
		Download:   j.shared.down,
		Dial:       j.shared.iface.DialContext,
		Log:        j.c.Log(j.r),
		Memory:     j.shared.room.buffers(j.t.Layout.Length),
		Unknown:    j.left.set(len(j.t.Pieces)),
		Banned:     j.r.Banned,
		ReadFailed: j.readFailed,
	}
	sw := swarm.New(j.t, j.store, cfg)
	err = sw.Start()
	if errors.Is(err, swarm.ErrSameTorrent) {
		cfg.Port = nil
		sw = swarm.New(j.t, j.store, cfg)
		err = sw.Start()
	}
	if err != nil {
		return nil, err
	}
	return sw, nil
}

// fetch returns when every piece is verified and written.
func (j *job) fetch(ctx context.Context, sw *swarm.Swarm, a *announcing) error {
	var quiet lull
	j.r.Start("receiving", func() progress.Sample {
		st := sw.Stats()
		s := progress.Sample{
			Done:  j.store.PresentBytes(),
			Total: j.t.Layout.Size,
			Down:  st.Down,
			Up:    st.Up,
			Peers: st.Peers,
		}
		switch waits := quiet.waits(time.Now(), s); {
		case j.settling.Load():
			s.Waiting = j.settling.waits()
		case st.Peers == 0 && s.Done < s.Total:
			s.Waiting = "peers" + a.trouble()
		case !j.left.done():
			s.Waiting = fmt.Sprintf("the check of what is there (%d%%)", 100*j.left.checked.Load()/j.left.bytes)
		default:
			s.Waiting = waits
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
	wg.Go(func() { j.checkLeftover(ending, sw) })
	wg.Go(func() { j.watchStall(ending, sw, a) })
	return sw.Wait(ctx)
}

// finish makes the image durable and says so: only after it is the job done.
func (j *job) finish(ctx context.Context) error {
	j.settling.Store(true)
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
	j.r.Done(progress.Fields{"bytes": j.t.Layout.Size, "pieces": len(j.t.Pieces), "target": j.target.Path(), "kept_bytes": j.kept, "received_bytes": j.came})
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
