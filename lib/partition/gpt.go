// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"ezio/lib/extent"
)

// entrySize is the size of an entry in every table seen so far, and the only one that go-diskfs
// reads; maxEntries bounds what it is made to hold in memory.
const (
	entrySize  = gpt.PartitionEntrySize
	maxEntries = 4096
)

// A header is what go-diskfs does not tell of a GPT header.
type header struct {
	my, alternate uint64 // sectors of this header and the other one
	entries       uint64 // first sector of the entries
	count         uint32 // of entries
}

// readHeader reads the header in a sector. It looks only at what must be bounded before go-diskfs
// reads it, not at the sums.
func readHeader(disk io.ReaderAt, size, sector int64, at uint64) (h header, err error) {
	b := make([]byte, sector)
	if n, err := disk.ReadAt(b, int64(at)*sector); n < len(b) {
		return h, fmt.Errorf("read the GPT header at %#x: %w", int64(at)*sector, err)
	}
	le := binary.LittleEndian
	h = header{my: le.Uint64(b[24:]), alternate: le.Uint64(b[32:]), entries: le.Uint64(b[72:]), count: le.Uint32(b[80:])}
	all := uint64(size / sector)
	switch n := le.Uint32(b[84:]); {
	case string(b[:8]) != "EFI PART":
		return h, fmt.Errorf("sector %d is no GPT header", at)
	case h.my != at:
		return h, fmt.Errorf("the GPT header in sector %d says it is in sector %d", at, h.my)
	case n != entrySize || h.count == 0 || h.count > maxEntries:
		return h, fmt.Errorf("the GPT header in sector %d has %d entries of %d bytes", at, h.count, n)
	case h.entries < 2 || h.entries > all || h.tableSectors(sector) > all-h.entries:
		return h, fmt.Errorf("the GPT header in sector %d has its entries at sector %d of %d", at, h.entries, all)
	}
	return h, nil
}

// tableSectors is the number of sectors that hold the entries.
func (h header) tableSectors(sector int64) uint64 {
	return (uint64(h.count)*entrySize + uint64(sector) - 1) / uint64(sector)
}

// readGPT reads the primary GPT, or, when that is damaged, the backup in the last sector.
func readGPT(disk io.ReaderAt, size, sector int64) (*Table, error) {
	t := &Table{Kind: GPT, Sector: sector, Size: size}
	table, h, err := loadGPT(disk, size, sector)
	if err != nil {
		return nil, err
	}
	if table.RecoveredFromBackup {
		t.note("the primary GPT is damaged: the partitions are those of the backup")
	}
	t.Tables = append(t.Tables, t.sectors(0, 2), t.sectors(h.my, 1), t.sectors(h.entries, h.tableSectors(sector)))
	if h.alternate > 1 && h.alternate < uint64(size/sector) { // the backup's, of a sound primary
		t.Tables = append(t.Tables, t.sectors(h.alternate, 1))
		if backup, err := readHeader(disk, size, sector, h.alternate); err == nil {
			t.Tables = append(t.Tables, t.sectors(backup.entries, backup.tableSectors(sector)))
		} else {
			t.note("the backup GPT is damaged")
		}
	} else if h.my == 1 {
		t.note("the backup GPT is not on this disk")
	}
	for _, p := range table.Partitions {
		var n uint64
		if p.End >= p.Start && p.End != ^uint64(0) {
			n = p.End - p.Start + 1
		}
		if err := t.part(p.Index, p.Start, n); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// loadGPT has go-diskfs read what readHeader finds no fault with. A header with a fault is hidden
// from it: of the primary's it would not go on to the backup.
func loadGPT(disk io.ReaderAt, size, sector int64) (*gpt.Table, header, error) {
	if sector < recordSize || size < 6*sector {
		return nil, header{}, fmt.Errorf("a disk of %d bytes has no room for a GPT", size)
	}
	last := uint64(size/sector) - 1
	hidden := &extent.Patched{Disk: disk}
	hide := func(at uint64) {
		hidden.Patches = append(hidden.Patches, extent.Patch{Offset: int64(at) * sector, Data: make([]byte, sector)})
	}
	primary, err := readHeader(disk, size, sector, 1)
	if err != nil {
		hide(1)
	}
	backup, backupErr := readHeader(disk, size, sector, last)
	if backupErr != nil {
		hide(last)
	}
	if err != nil && backupErr != nil {
		return nil, header{}, fmt.Errorf("%w; %w", err, backupErr)
	}
	table, err := gpt.Read(view(hidden, 0, size/sector*sector), int(sector), int(sector))
	switch {
	case err != nil:
		return nil, header{}, err
	case table.RecoveredFromBackup:
		return table, backup, nil
	}
	return table, primary, nil
}
