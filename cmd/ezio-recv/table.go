// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"io"

	"ezio/lib/cli"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/partition"
	"ezio/lib/store"
)

// targetOptions are what the target must be able to hold.
func targetOptions(t *metainfo.Torrent) disk.TargetOptions {
	opt := disk.TargetOptions{Need: t.NeedSize(), FileSize: t.NeedSize(), BlockAlign: t.Alignment()}
	if t.Disk.PartitionTable != "" {
		opt.SectorSize = t.Disk.BlockSize
	}
	return opt
}

// keepTable prepares for a GPT that is going to be moved, or was by an earlier run: from now on the
// store has the sectors in question as they were captured, which is what the torrent has sums of and
// the other receivers want, whatever the disk has in their place.
func (j *job) keepTable() {
	if !store.Grown(j.t, j.target.Size()) {
		return
	}
	patches, _ := partition.Keep(j.target, j.t.Disk.DeviceSize, j.target.Size(), j.t.Disk.BlockSize)
	j.captured = j.store.Keep(patches)
}

// settleTable moves the GPT to the end of a larger disk, when the image is verified and durable, and
// tells the kernel of the new partitions. Each write is durable before the next one, so that after a
// power cut in between there is a table that is right. A table that cannot be moved is as good as on
// the disk that was captured: no failure.
func (j *job) settleTable() error {
	if j.t.Disk.PartitionTable == "" {
		return nil
	}
	path := j.target.Path()
	if j.captured != nil {
		writes, err := partition.Move(j.captured, j.t.Disk.DeviceSize, j.target.Size(), j.t.Disk.BlockSize)
		if err != nil {
			j.r.Printf("warning: %s: the backup GPT is left where it was captured: %v", path, err)
		}
		for _, w := range writes {
			if _, err := j.target.WriteAt(w.Data, w.Offset); err != nil {
				return &extent.IOError{Op: "write", Path: path, Offset: w.Offset, Err: err}
			}
			if err := j.target.Sync(); err != nil {
				return err
			}
		}
		if len(writes) > 0 {
			j.r.Printf("%s: the backup GPT is now at the end of this larger disk", path)
		}
		if err := j.checkTable(writes); err != nil {
			return err
		}
	}
	if err := j.target.ReadPartitions(); err != nil {
		j.r.Printf("warning: the kernel does not know the new partitions: %v; partprobe %s may help", err, path)
	}
	return nil
}

// checkTable compares what was written with what the device returns, if --verify-after is given.
func (j *job) checkTable(writes []extent.Patch) error {
	if len(writes) == 0 {
		return nil
	}
	if !j.reversible() {
		j.r.Printf("warning: %s: the GPT was damaged when it was captured and is not now: ezio-verify will say that it differs", j.target.Path())
	}
	if !j.c.Bool("verify-after") {
		return nil
	}
	if err := j.target.DropCache(0, j.target.Size()); err != nil {
		return fmt.Errorf("drop the cache of %s: %w", j.target.Path(), err)
	}
	for _, w := range writes {
		got := make([]byte, len(w.Data))
		if _, err := j.target.ReadAt(got, w.Offset); err != nil && err != io.EOF || !bytes.Equal(got, w.Data) {
			return &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s: its GPT read back wrong at %#x", j.target.Path(), w.Offset),
				Hint: "the device does not hold what was written to it: check its health"}
		}
	}
	return nil
}

// reversible says whether ezio-verify will find again what was captured.
func (j *job) reversible() bool {
	was, moved := store.AsCaptured(j.t, j.target)
	for _, p := range j.captured.Patches {
		got := make([]byte, len(p.Data))
		if _, err := was.ReadAt(got, p.Offset); err != nil || !bytes.Equal(got, p.Data) {
			return false
		}
	}
	return moved
}
