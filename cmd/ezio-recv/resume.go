// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"

	"github.com/dustin/go-humanize"

	"ezio/lib/cli"
	"ezio/lib/progress"
)

// resume finds what an earlier run left on the target. It also protects a file that holds something
// else: a device is named to be overwritten, a file may be a slip of the finger.
func (j *job) resume(ctx context.Context) error {
	if j.target.Fresh() {
		return nil
	}
	mayOverwrite := j.target.IsDevice() || j.c.Bool("force")
	if mayOverwrite && j.c.Bool("no-resume") {
		return nil
	}
	found, err := j.store.Sample(ctx)
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
	if _, err := j.scan(ctx, "checking", nil); err != nil {
		return err
	}
	j.r.Printf("%s of %s are right on %s already",
		humanize.IBytes(uint64(j.store.PresentBytes())), humanize.IBytes(uint64(j.t.Layout.Size)), j.target.Path())
	return nil
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
	j.r.Start(phase, count.Sample, progress.Fields{"target": j.target.Path()})
	defer j.r.Stop()
	err = j.store.Scan(ctx, which, func(bytes int64, ok bool) {
		count.Add(bytes)
		if !ok {
			bad++
		}
	})
	return bad, err
}
