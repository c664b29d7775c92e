// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"sync/atomic"

	"ezio/lib/progress"
)

// Reporter is the progress display that the flags ask for. JSON events go to stdout, except for a
// tool whose product goes there (product): its events go to stderr.
func (c *Call) Reporter(product bool) (*progress.Reporter, error) {
	mode, err := progress.ParseMode(c.String("progress"))
	if err != nil {
		return nil, Usagef("--progress: %v", err)
	}
	cfg := progress.Config{
		Mode:   mode,
		Quiet:  c.Bool("quiet"),
		Tool:   c.Tool,
		Stdout: c.Stdout,
		Stderr: c.Stderr,
	}
	if product {
		cfg.Stdout = c.Stderr
	}
	return progress.New(cfg), nil
}

// Track runs work with progress shown: the start and the end of it, and what went wrong. work's
// error is returned as it is.
func (c *Call) Track(product bool, work func(*progress.Reporter) error) error {
	r, err := c.Reporter(product)
	if err != nil {
		return err
	}
	err = work(r)
	if err == nil {
		err = r.Err()
	}
	if err != nil && !Silent(err) {
		r.Error(err, Hint(err))
	}
	r.Exit(Code(err))
	return err
}

// A Counter counts bytes for a phase whose total is known.
type Counter struct {
	Total int64
	done  atomic.Int64
}

// Add counts n bytes more.
func (k *Counter) Add(n int64) { k.done.Add(n) }

// Done is what was counted.
func (k *Counter) Done() int64 { return k.done.Load() }

// Sample is the counter as a Reporter reads it.
func (k *Counter) Sample() progress.Sample {
	return progress.Sample{Done: k.done.Load(), Total: k.Total}
}
