// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"ezio/lib/cli"
	"ezio/lib/disk"
	"ezio/lib/limits"
	"ezio/lib/netif"
	"ezio/lib/progress"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

// A deployment is what one run does: one job or several side by side, which share the port, the
// memory and the command line's flags. One that fails does not stop the others.
type deployment struct {
	c      *cli.Call
	log    *slog.Logger
	iface  *netif.Interface // nil for any
	up     *swarm.Throttle
	down   *swarm.Throttle
	room   *room
	port   func() (*swarm.Port, error) // opened when the first job needs it
	opened *swarm.Port
}

// receive carries out all orders.
func receive(c *cli.Call, r *progress.Reporter) error {
	orders, err := findOrders(c)
	if err != nil {
		return err
	}
	d := &deployment{c: c, log: c.Log(r), room: newRoom(limits.Memory(), limits.Files(), len(orders))}
	if d.iface, err = c.Interface(); err != nil {
		return err
	}
	if d.up, d.down, err = throttles(c); err != nil {
		return err
	}
	d.port = sync.OnceValues(d.openPort)
	defer d.close()
	names := make([]string, len(orders))
	for i, o := range orders {
		names[i] = o.target
	}
	errs := make([]error, len(orders))
	var wg sync.WaitGroup
	for i, lane := range r.Split("target", names) {
		wg.Go(func() { errs[i] = d.carryOut(orders[i], lane) })
	}
	wg.Wait()
	return verdict(errs)
}

func (d *deployment) openPort() (*swarm.Port, error) {
	l, err := d.c.ListenForPeers(d.iface)
	if err != nil {
		return nil, err
	}
	d.opened = swarm.NewPort(l, d.log)
	return d.opened, nil
}

func (d *deployment) close() {
	if d.opened != nil {
		d.opened.Close()
	}
}

// carryOut does one job and says at once how it failed.
func (d *deployment) carryOut(o order, r *progress.Reporter) error {
	defer r.Stop()
	err := d.deploy(o, r)
	if err != nil && d.c.Context.Context.Err() == nil {
		r.Fail(err, cli.Hint(err))
	}
	return err
}

// deploy is a whole job: torrent, target, what is already there, the rest from the swarm, sync, and
// a while of uploading.
func (d *deployment) deploy(o order, r *progress.Reporter) (err error) {
	arrived := remind(r, "the torrent "+o.torrent)
	t, err := d.c.TorrentAt(o.torrent)
	arrived()
	if err != nil {
		return err
	}
	if err := cli.Pin(t, d.c.String("infohash")); err != nil {
		return err
	}
	from, err := findSources(d.c, t)
	if err != nil {
		return err
	}
	v := newVoice(d.c, t, from, o, d.iface)
	defer func() { v.end(err) }()
	if err := d.room.enough(t.Layout.Length); err != nil {
		return err
	}
	target, err := disk.OpenTarget(o.target, targetOptions(t))
	if err != nil {
		return err
	}
	j := &job{c: d.c, r: r, t: t, from: from, target: target, store: store.New(t, target, target.Path()), shared: d, voice: v}
	v.onTarget(target.Size(), j.store)
	if err := j.run(); err != nil {
		// What was received stays for the next run; a file that got nothing does not.
		return errors.Join(err, target.Abandon())
	}
	if err := target.Close(); err != nil {
		return fmt.Errorf("close %s: %w", target.Path(), err)
	}
	return nil
}

// badness orders exit codes: what was written and is wrong is worse than what is not all there,
// and that worse than what was left alone.
var badness = []int{cli.OK, cli.Usage, cli.Refused, cli.Failed, cli.Mismatch, cli.Interrupted}

// verdict is the end of several jobs, of which each has said its own: the worst code.
func verdict(errs []error) error {
	worst, failed := cli.OK, 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		failed++
		if code := cli.Code(err); slices.Index(badness, code) > slices.Index(badness, worst) {
			worst = code
		}
	}
	if failed == 0 {
		return nil
	}
	if worst == cli.Interrupted {
		return context.Canceled
	}
	return &cli.Error{Code: worst, Err: fmt.Errorf("%d of %d targets failed", failed, len(errs)), Quiet: true}
}
