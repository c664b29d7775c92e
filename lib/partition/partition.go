// SPDX-License-Identifier: GPL-2.0-or-later

// Package partition reads the partition table of a disk and moves a GPT to another disk's end.
//
// github.com/diskfs/go-diskfs knows the formats: GPT (UEFI specification, chapter 5), MBR and the
// entries of an extended boot record. Here is what it leaves to its callers: bounds of everything
// that a table says about itself, the chain of extended boot records, what lies between the
// partitions, and what must be the same after a GPT was moved.
//
// A disk is outside input. Invariants of every Table: its partitions ascend, are not empty, lie
// within the disk, and overlap neither each other nor the sectors that hold the tables. A table
// about which that cannot be said is an error, and whoever reads the disk takes all of it.
package partition

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"ezio/lib/extent"
)

// ErrNone is returned for a disk without a partition table.
var ErrNone = errors.New("no partition table")

// Kinds of tables, in blkid's words.
const (
	GPT = "gpt"
	DOS = "dos"
)

// A Table is a disk's partition table.
type Table struct {
	Kind   string // GPT or DOS
	Sector int64  // bytes of the logical sectors it counts in
	Size   int64  // bytes of the disk
	Parts  []Part
	Tables []extent.Extent // the sectors of the tables themselves, in no order
	Notes  []string        // what is not as it should be, for people
}

// A Part is a partition.
type Part struct {
	Number int // as in /dev/sda5
	extent.Extent
}

func (t *Table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// Read reads the table of a disk of size bytes. Of the logical sector sizes it may have, a device
// has one and an image file may have any, the first that fits counts. The error is ErrNone or says
// what is wrong with the table.
func Read(disk io.ReaderAt, size int64, sectors ...int64) (*Table, error) {
	boot, err := readRecord(disk, 0)
	if err != nil {
		return nil, err
	}
	if boot == nil {
		return nil, ErrNone
	}
	if !slices.ContainsFunc(boot, isProtective) {
		return finish(readDOS(disk, size, sectors[0], boot))
	}
	var first error
	for _, sector := range sectors {
		t, err := finish(readGPT(disk, size, sector))
		if err == nil {
			return t, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// finish brings a table into order and sees to the invariants.
func finish(t *Table, err error) (*Table, error) {
	if err != nil {
		return nil, err
	}
	byOffset := func(a, b Part) int { return int(min(1, max(-1, a.Offset-b.Offset))) }
	slices.SortFunc(t.Parts, byOffset)
	taken := slices.Clone(t.Parts)
	for _, e := range t.Tables {
		taken = append(taken, Part{Extent: e})
	}
	slices.SortStableFunc(taken, byOffset)
	end, last := int64(0), 0
	for _, p := range taken {
		switch {
		case p.End() > t.Size:
			return nil, fmt.Errorf("%s ends at %#x, beyond the disk's end at %#x", name(p.Number), p.End(), t.Size)
		case p.Offset < end && (p.Number != 0 || last != 0): // tables may share a sector
			return nil, fmt.Errorf("%s begins at %#x, before the end of %s at %#x", name(p.Number), p.Offset, name(last), end)
		}
		if p.End() >= end {
			end, last = p.End(), p.Number
		}
	}
	return t, nil
}

func name(number int) string {
	if number == 0 {
		return "the table"
	}
	return fmt.Sprintf("partition %d", number)
}

// part adds a partition, given in sectors. One of no sectors holds nothing, and is only noted.
func (t *Table) part(number int, first, sectors uint64) error {
	switch all := uint64(t.Size / t.Sector); {
	case sectors == 0:
		t.note("partition %d has no sectors", number)
		return nil
	case first > all || sectors > all-first:
		return fmt.Errorf("partition %d ends at sector %d, beyond the disk's %d sectors", number, first+sectors, all)
	}
	t.Parts = append(t.Parts, Part{number, t.sectors(first, sectors)})
	return nil
}

// sectors is where n sectors from first lie, which are on the disk.
func (t *Table) sectors(first, n uint64) extent.Extent {
	return extent.Extent{Offset: int64(first) * t.Sector, Length: int64(n) * t.Sector}
}

// What is read of the space that belongs to no partition. Boot loaders live before the first one
// (GRUB in the first sectors, those of small ARM computers up to 16 MiB in) and in what alignment
// leaves between two; in the disk's last sectors are a backup GPT, the database of dynamic disks,
// and the metadata of firmware RAID.
const (
	bootGap  = 16 << 20
	smallGap = 4 << 20
	tail     = 1 << 20
)

// Gaps are the ranges outside of the partitions that a copy of the disk needs, the tables among
// them, ascending and not touching; left is the number of bytes outside that it does not need.
func (t *Table) Gaps() (list []extent.Extent, left int64) {
	need := slices.Clone(t.Tables)
	end := int64(0)
	for i, p := range append(slices.Clone(t.Parts), Part{Extent: extent.Extent{Offset: t.Size}}) {
		gap := extent.Extent{Offset: end, Length: p.Offset - end}
		left += gap.Length
		if i == 0 {
			gap.Length = min(gap.Length, bootGap)
			need = append(need, gap)
		} else if gap.Length <= smallGap {
			need = append(need, gap)
		}
		if i == len(t.Parts) {
			from := max(end, t.Size-tail)
			need = append(need, extent.Extent{Offset: from, Length: t.Size - from})
		}
		end = p.End()
	}
	list = Union(need)
	for _, e := range list {
		left -= e.Length
	}
	return list, left
}

// Union is the bytes that are in any of the extents, as maximal runs. The list is not kept.
func Union(list []extent.Extent) []extent.Extent {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b extent.Extent) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	var out []extent.Extent
	for _, e := range list {
		last := len(out) - 1
		switch {
		case e.Length <= 0:
		case last >= 0 && e.Offset <= out[last].End():
			out[last].Length = max(out[last].End(), e.End()) - out[last].Offset
		default:
			out = append(out, e)
		}
	}
	return out
}
