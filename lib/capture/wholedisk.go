// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/loopdev"
	"ezio/lib/partclone"
	"ezio/lib/partition"
)

// planDisk finds what is used of a disk with a partition table: the tables, the space where boot
// loaders live, and of each partition its used blocks, or all of it where they cannot be told. Any
// error means that the table cannot be believed.
func planDisk(ctx context.Context, src *disk.Source, opt Options) (*plan, error) {
	if src.IsDevice() {
		// What was written through a partition's node is not in the disk's own cache.
		if err := src.DropCache(0, src.Size()); err != nil {
			return nil, fmt.Errorf("drop the cache of %s: %w", src.Path(), err)
		}
	}
	table, err := readTable(src)
	if err == nil && table.Kind == partition.DOS && !src.IsDevice() {
		table, err = chooseSector(ctx, src, table)
	}
	if err != nil {
		return nil, fmt.Errorf("a disk whose partition table cannot be used: %w", err)
	}
	for _, note := range table.Notes {
		opt.log("%s: %s", src.Path(), note)
	}
	used, left := table.Gaps()
	if left > 0 {
		opt.log("%s: %s that belong to no partition are left out", src.Path(), humanize.IBytes(uint64(left)))
	}
	for _, part := range table.Parts {
		list, what, err := planPart(ctx, src, part, table.Sector)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		name := fmt.Sprintf("%s, partition %d", src.Path(), part.Number)
		if err != nil {
			opt.log("%s: %v: capturing all of its %s", name, err, humanize.IBytes(uint64(part.Length)))
			list = []extent.Extent{{Length: part.Length}}
		} else {
			opt.log("%s: %s, %s of %s", name, what, humanize.IBytes(uint64(total(list))), humanize.IBytes(uint64(part.Length)))
		}
		for _, e := range list {
			used = append(used, extent.Extent{Offset: part.Offset + e.Offset, Length: e.Length})
		}
	}
	return &plan{
		extents: partition.Union(used), blockSize: table.Sector, blocks: src.Size() / table.Sector,
		deviceSize: src.Size(), table: table.Kind,
	}, nil
}

func total(list []extent.Extent) (n int64) {
	for _, e := range list {
		n += e.Length
	}
	return n
}

// ambiguous says whether a source holds a filesystem and a partition table, one of them a leftover.
// A table without partitions is none: blkid takes exFAT's boot sector for such a one.
func ambiguous(src *disk.Source, probe partclone.Probe) bool {
	if probe.Type == "" || probe.PartitionTable == "" {
		return false
	}
	table, err := readTable(src)
	return err != nil || len(table.Parts) > 0
}

// readTable reads a partition table in sectors of the device's size, or, in a file, of either.
func readTable(src *disk.Source) (*partition.Table, error) {
	sectors := []int64{512, 4096}
	if src.IsDevice() {
		sectors = []int64{int64(src.SectorSize())}
	}
	return partition.Read(src, src.Size(), sectors...)
}

// chooseSector makes sure that the MBR in an image file counts in sectors of 512 bytes, as it was read.
// It does not say, and one that counts in 4096 looks the same, with all partitions in the first eighth
// of the disk: then only what they hold can tell.
func chooseSector(ctx context.Context, src *disk.Source, small *partition.Table) (*partition.Table, error) {
	large, err := partition.Read(src, src.Size(), 4096)
	if err != nil || len(small.Parts) == 0 {
		return small, nil
	}
	is512, is4096 := known(ctx, src, small), known(ctx, src, large)
	switch {
	case is512 && !is4096:
		return small, nil
	case is4096 && !is512:
		return large, nil
	}
	return nil, errors.New("its sectors may be of 512 or of 4096 bytes")
}

// known says whether any partition of a table holds something that is recognised.
func known(ctx context.Context, src *disk.Source, table *partition.Table) bool {
	for _, part := range table.Parts {
		loop, err := loopdev.Attach(src.File(), part.Extent, table.Sector)
		if err != nil {
			return false
		}
		probe, err := partclone.Detect(ctx, loop.Path)
		_ = loop.Close()
		if err == nil && probe.Type != "" {
			return true
		}
	}
	return false
}

// planPart finds the used blocks of a partition, at offsets in it, and what it holds. An error means
// that they cannot be told.
func planPart(ctx context.Context, src *disk.Source, part partition.Part, sector int64) (_ []extent.Extent, what string, err error) {
	loop, err := loopdev.Attach(src.File(), part.Extent, sector)
	if err != nil {
		return nil, "", err
	}
	defer loop.Close()
	window, err := disk.OpenSource(loop.Path)
	if err != nil {
		return nil, "", err
	}
	defer window.Close()
	if window.Size() != part.Length {
		return nil, "", fmt.Errorf("its loop device has %d bytes, not %d", window.Size(), part.Length)
	}
	probe, err := partclone.Detect(ctx, window.Path())
	switch {
	case err != nil:
		return nil, "", err
	case probe.Type == "":
		return nil, "", errors.New("no filesystem recognised")
	case ambiguous(window, probe):
		return nil, "", fmt.Errorf("it holds both %s and a partition table (%s)", probe.Type, probe.PartitionTable)
	case probe.Type == swap:
		list, err := swapHeader(window)
		return list, swap, err
	}
	p, err := usedBlocks(ctx, window, probe.Type)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", probe.Type, err)
	}
	return p.extents, p.filesystem, nil
}

// maxSwapPage is the largest page of any machine that Linux runs on, in bytes.
const maxSwapPage = 64 << 10

// swapHeader is the first page of a swap area (union swap_header in linux include/linux/swap.h),
// which ends with the signature and has label, UUID and the list of bad pages in it. The other pages
// mean nothing once the machine that wrote them is off.
func swapHeader(disk *disk.Source) ([]extent.Extent, error) {
	b := make([]byte, min(maxSwapPage, disk.Size()))
	if _, err := disk.ReadAt(b, 0); err != nil {
		return nil, err
	}
	for page := 4096; page <= len(b); page *= 2 {
		if s := string(b[page-10 : page]); s == "SWAPSPACE2" || s == "SWAP-SPACE" {
			return []extent.Extent{{Length: int64(page)}}, nil
		}
	}
	return nil, errors.New("swap without a signature")
}
