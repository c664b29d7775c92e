// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"sync/atomic"

	"github.com/dustin/go-humanize"

	"ezio/lib/cli"
	"ezio/lib/piece"
	"ezio/lib/progress"
	"ezio/lib/report"
	"ezio/lib/swarm"
)

// A leftover is what an earlier run may have left on the target.
type leftover struct {
	unknown []int // pieces (ascending) that are to be looked at while others are received
	bytes   int64 // of them
	checked atomic.Int64
}

// done says whether everything was looked at.
func (l *leftover) done() bool { return l.checked.Load() == l.bytes }

// set is the unknown pieces of so many.
func (l *leftover) set(pieces int) *piece.Bitfield {
	b := piece.NewBitfield(pieces)
	for _, i := range l.unknown {
		b.Set(i)
	}
	return b
}

// resume finds out whether an earlier run was here, by a few pieces. It also protects a file that holds
// something else: a device is named to be overwritten, a file may be a slip of the finger.
func (j *job) resume(ctx context.Context) error {
	if j.target.Fresh() {
		return nil
	}
	mayOverwrite := j.target.IsDevice() || j.c.Bool("force")
	if mayOverwrite && j.c.Bool("no-resume") {
		return nil
	}
	sampled := remind(j.r, "a sample of what is on "+j.target.Path())
	unknown, found, err := j.store.Sample(ctx)
	sampled()
	if err != nil {
		return err
	}
	if !found && !mayOverwrite {
		return cli.Refusef("refuse %s: it is a file that holds other data", j.target.Path()).
			WithHint("--force overwrites it")
	}
	if !found || j.c.Bool("no-resume") {
		j.store.Forget()
		return nil
	}
	j.kept, j.left.unknown = j.store.PresentBytes(), unknown
	for _, i := range unknown {
		_, n := j.t.Layout.Span(i)
		j.left.bytes += n
	}
	return nil
}

// checkLeftover looks at the rest of what an earlier run left, and tells the swarm of each piece: what
// is right is kept, the others are received, meanwhile.
func (j *job) checkLeftover(ctx context.Context, sw *swarm.Swarm) {
	if j.kept == 0 {
		return
	}
	var err error
	if len(j.left.unknown) > 0 {
		err = j.scanLeftover(ctx, sw)
	}
	if err == nil {
		j.r.Printf("%s of %s were right on %s already",
			humanize.IBytes(uint64(j.kept)), humanize.IBytes(uint64(j.t.Layout.Size)), j.target.Path())
	}
}

func (j *job) scanLeftover(ctx context.Context, sw *swarm.Swarm) error {
	return j.store.Scan(ctx, j.left.unknown, func(i int, bytes int64, ok bool) {
		if ok {
			j.kept += bytes
		}
		sw.Found(i, ok)
		j.left.checked.Add(bytes)
	})
}

// scan rehashes pieces (ascending), nil for all, and returns how many are not right.
func (j *job) scan(ctx context.Context, phase string, which []int) (bad int, err error) {
	count := &cli.Counter{Total: j.t.Layout.Size}
	if which != nil {
		count.Total = 0
		for _, i := range which {
			_, n := j.t.Layout.Span(i)
			count.Total += n
		}
	}
	j.voice.say(report.Verifying)
	j.r.Start(phase, count.Sample, progress.Fields{"target": j.target.Path()})
	defer j.r.Stop()
	err = j.store.Scan(ctx, which, func(_ int, bytes int64, ok bool) {
		count.Add(bytes)
		if !ok {
			bad++
		}
	})
	return bad, err
}
