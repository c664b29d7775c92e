// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"ezio/lib/cli"
)

// doubts is the pieces that could not be read back from the target at some time, though they had
// been written. They are fetched again; whether the disk holds them is for finish to see.
type doubts struct {
	mu     sync.Mutex
	pieces []int
}

func (d *doubts) add(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.pieces, i) {
		d.pieces = append(d.pieces, i)
	}
}

func (d *doubts) list() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.pieces))
}

// readFailed hears of a piece that the target could not give to a peer.
func (j *job) readFailed(i int, err error) {
	j.doubts.add(i)
	j.r.Printf("piece %d: %v", i, err)
}

// settleDoubts reads the pieces in doubt from the device.
func (j *job) settleDoubts(ctx context.Context) error {
	which := j.doubts.list()
	if len(which) == 0 {
		return nil
	}
	bad, err := j.readBack(ctx, "reading back", which)
	if err == nil && bad > 0 {
		err = &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s: %d of %d pieces that were hard to read do not read back right", j.target.Path(), bad, len(which)),
			Hint: "the device is failing: check its health"}
	}
	return err
}
