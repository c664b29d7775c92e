// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/diskfs/go-diskfs/partition/mbr"
)

// recordSize is that of a boot record with its table, whatever the sector size.
const recordSize = 512

// readRecord reads the four entries of the master or an extended boot record at a disk offset, nil
// if there is none.
func readRecord(disk io.ReaderAt, off int64) ([]*mbr.Partition, error) {
	var b [recordSize]byte
	if n, err := disk.ReadAt(b[:], off); n < len(b) {
		if err == io.EOF {
			return nil, nil
		}
		return nil, fmt.Errorf("read the boot record at %#x: %w", off, err)
	}
	if b[510] != 0x55 || b[511] != 0xaa {
		return nil, nil
	}
	t, err := mbr.Read(view(disk, off, recordSize), recordSize, recordSize)
	if err != nil {
		return nil, fmt.Errorf("boot record at %#x: %w", off, err)
	}
	return t.Partitions, nil
}

func isProtective(p *mbr.Partition) bool { return p.Type == 0xee }

// isExtended knows the three types of an extended partition (DOS, Windows, Linux).
func isExtended(p *mbr.Partition) bool {
	return p.Size != 0 && (p.Type == 0x05 || p.Type == 0x0f || p.Type == 0x85)
}

// readDOS reads the partitions of an MBR, given its entries, and those in its extended partitions.
func readDOS(disk io.ReaderAt, size, sector int64, boot []*mbr.Partition) (*Table, error) {
	t := &Table{Kind: DOS, Sector: sector, Size: size}
	t.Tables = append(t.Tables, t.sectors(0, 1))
	logical := len(boot) + 1
	for i, p := range boot {
		switch {
		case p.Type == 0:
		case isExtended(p):
			var err error
			if logical, err = t.extended(disk, uint64(p.Start), uint64(p.Size), logical); err != nil {
				return nil, fmt.Errorf("extended partition %d: %w", i+1, err)
			}
		default:
			if err := t.part(i+1, uint64(p.Start), uint64(p.Size)); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// maxLogical bounds the chain of an extended partition; no system counts so far.
const maxLogical = 1024

// extended follows the chain of boot records in an extended partition: each has a partition, at a
// place relative to the record, and the place of the next record, relative to the extended
// partition. number is that of the next logical partition, before and after.
func (t *Table) extended(disk io.ReaderAt, first, sectors uint64, number int) (int, error) {
	if all := uint64(t.Size / t.Sector); first > all || sectors > all-first {
		return number, fmt.Errorf("it ends at sector %d, beyond the disk's %d sectors", first+sectors, all)
	}
	seen := map[uint64]bool{}
	for at := first; ; {
		if seen[at] || len(seen) == maxLogical {
			return number, fmt.Errorf("its chain of boot records does not end: sector %d comes again", at)
		}
		seen[at] = true
		record := t.sectors(at, 1)
		entries, err := readRecord(disk, record.Offset)
		switch {
		case err != nil:
			return number, err
		case entries == nil && at == first: // never partitioned: Linux takes it for empty
			t.note("the extended partition at sector %d has no boot record", at)
			return number, nil
		case entries == nil:
			return number, fmt.Errorf("sector %d is no boot record", at)
		}
		t.Tables = append(t.Tables, record)
		next := slices.IndexFunc(entries, isExtended)
		for _, p := range entries {
			if p.Type == 0 || p.Size == 0 || isExtended(p) {
				continue
			}
			if err := t.part(number, at+uint64(p.Start), uint64(p.Size)); err != nil {
				return number, err
			}
			number++
		}
		if next < 0 {
			return number, nil
		}
		if uint64(entries[next].Start) >= sectors {
			return number, errors.New("its chain of boot records leaves it")
		}
		at = first + uint64(entries[next].Start)
	}
}
