// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"context"
	"errors"
	"fmt"

	"ezio/lib/capture/blockmap"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/partclone"
	"ezio/lib/partition"
)

const (
	raw  = "raw"  // partclone's name for what has no filesystem (partclone.dd)
	swap = "swap" // blkid's; partclone knows none
)

// A MapError says that the used blocks of a source could not be told although the caller had said
// which filesystem it holds. Options.Raw captures it all the same.
type MapError struct {
	Path       string
	Filesystem string
	Err        error
}

func (e *MapError) Error() string {
	return fmt.Sprintf("used blocks of %s as %s: %v", e.Path, e.Filesystem, e.Err)
}

func (e *MapError) Unwrap() error { return e.Err }

// ErrUnknownFilesystem is wrapped by a MapError for a filesystem that partclone has no program for.
var ErrUnknownFilesystem = errors.New("partclone has no program for it")

// planSource finds the used blocks of a source. When it is left to find out what the source holds
// and cannot, or the program for it fails, the plan is every block, and the log says why.
func planSource(ctx context.Context, src *disk.Source, opt Options) (*plan, error) {
	if opt.Raw {
		return everyBlock(src), nil
	}
	if opt.Filesystem != "" {
		p, err := usedBlocks(ctx, src, opt.Filesystem)
		if err != nil && ctx.Err() == nil {
			err = &MapError{Path: src.Path(), Filesystem: opt.Filesystem, Err: err}
		}
		return p, err
	}
	p, err := detect(ctx, src, opt)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		opt.log("%s: %v: capturing every block", src.Path(), err)
		return everyBlock(src), nil
	}
	return p, nil
}

// detect finds out what a source holds, and its used blocks. Any error means that they are unknown.
func detect(ctx context.Context, src *disk.Source, opt Options) (*plan, error) {
	probe, err := partclone.Detect(ctx, src.Path())
	switch {
	case err != nil:
		return nil, err
	case ambiguous(src, probe):
		return nil, fmt.Errorf("it holds both %s and a partition table (%s)", probe.Type, probe.PartitionTable)
	case probe.Type == swap:
		return planSwap(src, opt)
	case probe.Type != "":
	case isTable(probe.PartitionTable):
		return planDisk(ctx, src, opt)
	case probe.PartitionTable != "":
		return nil, fmt.Errorf("a disk with a partition table (%s)", probe.PartitionTable)
	default:
		return nil, errors.New("no filesystem recognised")
	}
	p, err := usedBlocks(ctx, src, probe.Type)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", probe.Type, err)
	}
	return p, nil
}

// planSwap takes of a swap area what it is known by.
func planSwap(src *disk.Source, opt Options) (*plan, error) {
	list, err := swapHeader(src)
	if err != nil {
		return nil, err
	}
	opt.log("%s: swap: capturing its header only, so UUID and label", src.Path())
	page := list[0].Length
	return &plan{extents: list, blockSize: page, blocks: src.Size() / page, deviceSize: src.Size(), filesystem: swap}, nil
}

// isTable knows blkid's names of the tables that planDisk reads. PMBR is a protective MBR with no GPT
// where blkid looks for it, as in an image of a disk with sectors of 4096 bytes.
func isTable(name string) bool {
	return name == partition.GPT || name == partition.DOS || name == "PMBR"
}

// usedBlocks asks partclone's program for a filesystem, and adds what that leaves out.
func usedBlocks(ctx context.Context, src *disk.Source, fsType string) (*plan, error) {
	program, ok := partclone.ProgramFor(fsType)
	if !ok {
		return nil, ErrUnknownFilesystem
	}
	if _, err := program.Find(); err != nil {
		return nil, fmt.Errorf("%s is not installed", program.Commands[0])
	}
	if err := blockmap.Check(src, program.Filesystem); err != nil {
		return nil, err
	}
	used, err := partclone.UsedBlocks(ctx, program, src.Path())
	switch {
	case err != nil:
		return nil, err
	case used.Size > src.Size(): // cut off, or of a set of devices: not a source to be clever with
		return nil, fmt.Errorf("the filesystem has %d bytes, its device only %d", used.Size, src.Size())
	}
	outside, err := blockmap.Outside(src, program.Filesystem, src.Size())
	if err != nil {
		return nil, err
	}
	p := &plan{
		extents:   partition.Union(append(outside, used.Extents...)),
		blockSize: used.BlockSize, deviceSize: src.Size(), filesystem: used.Filesystem,
	}
	if p.blockSize > 0 {
		p.blocks = used.Size / p.blockSize
	}
	return p, nil
}

// everyBlock is the plan for a source about whose content nothing is known.
func everyBlock(src *disk.Source) *plan {
	p := &plan{deviceSize: src.Size(), filesystem: raw}
	if src.Size() > 0 {
		p.extents = []extent.Extent{{Length: src.Size()}}
	}
	sector := int64(512)
	if src.IsDevice() {
		sector = int64(src.SectorSize())
	}
	if src.Size()%sector == 0 {
		p.blockSize, p.blocks = sector, src.Size()/sector
	}
	return p
}
