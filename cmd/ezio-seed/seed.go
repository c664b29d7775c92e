// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"time"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/progress"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

func seed(c *cli.Call, r *progress.Reporter) error {
	path := c.String("source")
	if path == "" {
		return cli.Usagef("no source: -d is missing").WithHint("ezio-seed --help")
	}
	if c.Int("exit-after") < 0 {
		return cli.Usagef("--exit-after %d is negative", c.Int("exit-after"))
	}
	limit, err := throttle(c)
	if err != nil {
		return err
	}
	iface, err := c.Interface()
	if err != nil {
		return err
	}
	t, err := c.Torrent()
	if err != nil {
		return err
	}
	disk, err := store.OpenSource(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if disk.Size() < t.Map.End() {
		return cli.Refusef("refuse %s: it has %d bytes, the image's last extent ends at %d", path, disk.Size(), t.Map.End())
	}
	original, _ := store.AsCaptured(t, disk)
	st := store.NewSource(t, original, path)
	if err := check(c, r, t, st, path); err != nil {
		return err
	}
	l, err := c.ListenForPeers(iface)
	if err != nil {
		return err
	}
	port := swarm.NewPort(l, c.Log(r))
	defer port.Close()
	sw := swarm.New(t, st, swarm.Config{
		Log:      c.Log(r),
		Port:     port,
		Throttle: limit,
		Dial:     iface.DialContext,
		Banned:   r.Banned,
		ReadFailed: func(i int, err error) {
			r.Printf("piece %d is not served any more: %v", i, err)
		},
	})
	if err := sw.Start(); err != nil {
		return err
	}
	defer sw.Close()
	meet, err := openMeetingPoint(c, iface, t, sw, c.Log(r))
	if err != nil {
		return err
	}
	defer meet.close()
	return serve(c, r, t, sw, meet)
}

// check makes sure that the source holds the image: a few pieces of it, or all with --check. A
// seed with the wrong disk would be found out by every receiver, one piece at a time.
func check(c *cli.Call, r *progress.Reporter, t *metainfo.Torrent, st *store.Store, path string) error {
	which, total, what := spread(len(t.Pieces), t.Layout.Length), int64(0), "sampled pieces"
	if c.Bool("check") {
		which, what = all(len(t.Pieces)), "pieces"
	}
	for _, i := range which {
		_, n := t.Layout.Span(i)
		total += n
	}
	count := &cli.Counter{Total: total}
	r.Start("checking", count.Sample, progress.Fields{"source": path})
	defer r.Stop()
	bad := 0
	err := st.Scan(c.Context.Context, which, func(_ int, bytes int64, ok bool) {
		count.Add(bytes)
		if !ok {
			bad++
		}
	})
	if err != nil {
		return err
	}
	if bad > 0 {
		return &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s does not hold this image: %d of %d %s differ", path, bad, len(which), what),
			Hint: "capture it again: it has changed since, or it is another disk"}
	}
	return nil
}

// spread picks the few pieces compared in any case: first, last and some between, 64 MiB at most.
func spread(pieces int, length int64) []int {
	n := min(pieces, max(2, min(16, int((64<<20)/length))))
	if n == 1 {
		return []int{0}
	}
	which := make([]int, n)
	for k := range which {
		which[k] = int(int64(k) * int64(pieces-1) / int64(n-1))
	}
	return which
}

func all(pieces int) []int {
	which := make([]int, pieces)
	for i := range which {
		which[i] = i
	}
	return which
}

// serve uploads until interrupted or until an exit condition holds.
func serve(c *cli.Call, r *progress.Reporter, t *metainfo.Torrent, sw *swarm.Swarm, meet *meetingPoint) error {
	r.Start("serving", func() progress.Sample {
		s := sw.Stats()
		return progress.Sample{Done: s.Up, Up: s.Up, Peers: s.Peers}
	}, progress.Fields{
		"infohash":     t.InfoHash.String(),
		"port":         sw.Port(),
		"tracker_port": meet.port(),
		"total_bytes":  t.Layout.Size,
	})
	defer r.Stop()
	for _, line := range meet.invitation(t) {
		r.Printf("%s", line)
	}
	return until(c.Context.Context, sw, meet, c.Int("exit-after"), c.Duration("exit-idle"))
}

// until returns nil when an exit condition holds and the cause when ctx is done.
func until(ctx context.Context, sw *swarm.Swarm, meet *meetingPoint, after int, idle time.Duration) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last, since := int64(0), time.Now()
	done := map[[20]byte]bool{}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-meet.failed:
			return err
		case now := <-tick.C:
			if up := sw.Stats().Up; up != last {
				last, since = up, now
			}
			if idle > 0 && now.Sub(since) >= idle {
				return nil
			}
			if after > 0 && meet.finished(sw, done) >= after {
				return nil
			}
		}
	}
}
