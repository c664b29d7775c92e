// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"ezio/lib/extent"
)

// Move is what to write so that the GPT of a disk of captured bytes, copied onto a larger one of
// size bytes, is right there: a backup at the new end, and a primary that points to it. The writes
// must become durable one after the other: until the last one the disk has a table that is right,
// the old primary or the new backup. Nothing is to be written when the sizes make no difference.
//
// The old backup stays where it was, as sgdisk -e leaves it.
func Move(disk io.ReaderAt, captured, size, sector int64) ([]extent.Patch, error) {
	if size/sector == captured/sector {
		return nil, nil
	}
	if size < captured {
		return nil, fmt.Errorf("a disk of %d bytes has no room for the table of one of %d", size, captured)
	}
	table, h, err := loadGPT(disk, captured, sector)
	if err != nil {
		return nil, err
	}
	if h.my == 1 && h.alternate != uint64(captured/sector)-1 {
		return nil, errors.New("its backup was not at the end of the captured disk either")
	}
	// go-diskfs would put them elsewhere, or where the header is.
	if h.my == 1 && h.entries != 2 {
		return nil, fmt.Errorf("its entries begin at sector %d, not 2", h.entries)
	}
	if int64(h.count)*entrySize%sector != 0 {
		return nil, fmt.Errorf("its %d entries do not fill sectors of %d bytes", h.count, sector)
	}
	if err := table.Repair(uint64(size)); err != nil {
		return nil, err
	}
	table.ProtectiveMBR = false // its would have no CHS addresses, and be wrong beyond 2 TiB
	rec := &recorder{file: view(disk, 0, size)}
	if err := table.Write(rec, size); err != nil {
		return nil, err
	}
	// Entries and header of the backup, then of the primary.
	if len(rec.writes) != 4 {
		return nil, fmt.Errorf("go-diskfs wrote %d times", len(rec.writes))
	}
	if err := sameTable(disk, h, sector, rec.writes); err != nil {
		return nil, err
	}
	writes := []extent.Patch{rec.writes[0], rec.writes[1], rec.writes[3]}
	boot, err := moveProtective(disk, captured, size, sector)
	if err != nil {
		return nil, err
	}
	if boot != nil {
		writes = append(writes, *boot)
	}
	return writes, nil
}

// sameTable makes sure that what go-diskfs understood of the table is all there was to it: the
// entries are the same, and a sound primary header differs where it must and nowhere else.
func sameTable(disk io.ReaderAt, h header, sector int64, writes []extent.Patch) error {
	old := make([]byte, int64(h.count)*entrySize)
	if n, err := disk.ReadAt(old, int64(h.entries)*sector); n < len(old) {
		return fmt.Errorf("read the GPT entries: %w", err)
	}
	if !bytes.Equal(writes[0].Data, old) || !bytes.Equal(writes[2].Data, old) {
		return errors.New("its entries hold something unknown")
	}
	if h.my != 1 {
		return nil
	}
	old = make([]byte, sector)
	if n, err := disk.ReadAt(old, sector); n < len(old) {
		return fmt.Errorf("read the GPT header: %w", err)
	}
	for _, field := range [][2]int{{16, 20}, {32, 40}, {48, 56}} { // sum, alternate, last usable
		copy(old[field[0]:field[1]], writes[3].Data[field[0]:field[1]])
	}
	if !bytes.Equal(old, writes[3].Data) {
		return errors.New("its header holds something unknown")
	}
	return nil
}

// Fields of the entries of an MBR: where they are, and in each its type, first sector and size.
const (
	mbrEntries   = 446
	mbrEntrySize = 16
	mbrType      = 4
	mbrFirst     = 8
	mbrSectors   = 12
)

// protectiveSize is the size that the protective partition should have, in sectors.
func protectiveSize(size, sector int64) uint32 { return uint32(min(size/sector-1, 0xffffffff)) }

// moveProtective lets the protective partition end at the disk's new end if it did at the old one.
// Everything else in its sector, boot code and a hybrid's other partitions, stays. The patch is nil
// when there is nothing to do.
func moveProtective(disk io.ReaderAt, captured, size, sector int64) (*extent.Patch, error) {
	b := make([]byte, sector)
	if n, err := disk.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read the boot record: %w", err)
	}
	le := binary.LittleEndian
	from, to := protectiveSize(captured, sector), protectiveSize(size, sector)
	for at := mbrEntries; at < mbrEntries+4*mbrEntrySize; at += mbrEntrySize {
		e := b[at : at+mbrEntrySize]
		if e[mbrType] == 0xee && le.Uint32(e[mbrFirst:]) == 1 && le.Uint32(e[mbrSectors:]) == from && from != to {
			le.PutUint32(e[mbrSectors:], to)
			return &extent.Patch{Data: b}, nil
		}
	}
	return nil, nil
}

// Captured is the reverse of Move: of a disk on which Move's writes were done it returns, as
// patches, what they replaced of the disk that was captured. They are what verifies the copy with
// the sums of the original, and only these can say whether it is that one's table at all. ok is
// false of a disk without such a table, and when the primary or the new backup has a single byte
// that Move would have written otherwise.
func Captured(disk io.ReaderAt, captured, size, sector int64) (patches []extent.Patch, ok bool) {
	if size/sector <= captured/sector {
		return nil, false
	}
	table, h, err := loadGPT(disk, size, sector)
	if err != nil || table.RecoveredFromBackup || h.alternate != uint64(size/sector)-1 {
		return nil, false
	}
	original, err := unmove(disk, h, captured, size, sector)
	if err != nil {
		return nil, false
	}
	was := &extent.Patched{Disk: disk, Patches: original}
	writes, err := Move(was, captured, size, sector)
	if err != nil {
		return nil, false
	}
	for _, w := range writes {
		now := make([]byte, len(w.Data))
		if _, err := disk.ReadAt(now, w.Offset); err != nil && err != io.EOF || !bytes.Equal(now, w.Data) {
			return nil, false
		}
	}
	return original, true
}

// Keep is what Move will replace, or may, of a disk of captured bytes that is being written to a disk
// of size bytes, as patches: of the disk that was captured if Move has been here before, else what
// is there now. Who keeps them up to date has the captured disk also after Move.
func Keep(disk io.ReaderAt, captured, size, sector int64) (patches []extent.Patch, moved bool) {
	was := &extent.Patched{Disk: disk}
	was.Patches, moved = Captured(disk, captured, size, sector)
	front := extent.Extent{Length: min(2*sector, captured)}
	// The new backup is behind the captured disk, unless the difference is less than it needs.
	back := extent.Extent{Offset: max(front.Length, size-maxEntries*entrySize-2*sector)}
	back.Length = captured - back.Offset
	for _, e := range []extent.Extent{front, back} {
		if e.Length > 0 {
			p := extent.Patch{Offset: e.Offset, Data: make([]byte, e.Length)}
			_, _ = was.ReadAt(p.Data, p.Offset) // what cannot be read will be written
			patches = append(patches, p)
		}
	}
	return patches, moved
}

// unmove makes the sectors that Move replaced as they were when the disk ended at captured: the boot
// record, the primary header, and, where the new backup was put over it, the old backup.
func unmove(disk io.ReaderAt, h header, captured, size, sector int64) ([]extent.Patch, error) {
	last := uint64(captured/sector) - 1
	n := uint64(h.count) * entrySize / uint64(sector)
	if last < 2*n+3 {
		return nil, errors.New("no room for a GPT")
	}
	primary := make([]byte, sector)
	entries := make([]byte, n*uint64(sector))
	if _, err := disk.ReadAt(primary, sector); err != nil {
		return nil, err
	}
	if _, err := disk.ReadAt(entries, int64(h.entries)*sector); err != nil {
		return nil, err
	}
	usable := last - n - 1 // as every program has it; the old backup, if it is there, knows
	old := make([]byte, sector)
	if _, err := readHeader(disk, captured, sector, last); err == nil {
		if _, err := disk.ReadAt(old, int64(last)*sector); err != nil {
			return nil, err
		}
		usable = binary.LittleEndian.Uint64(old[48:])
	}
	place := func(b []byte, my, alternate, entries uint64) []byte {
		le := binary.LittleEndian
		b = slices.Clone(b)
		le.PutUint64(b[24:], my)
		le.PutUint64(b[32:], alternate)
		le.PutUint64(b[48:], usable)
		le.PutUint64(b[72:], entries)
		le.PutUint32(b[16:], 0)
		le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:92]))
		return b
	}
	patches := []extent.Patch{{Offset: sector, Data: place(primary, 1, last, h.entries)}}
	switch boot, err := moveProtective(disk, size, captured, sector); {
	case err != nil:
		return nil, err
	case boot != nil:
		patches = append(patches, *boot)
	}
	if newBackup := size/sector*sector - int64(n+1)*sector; newBackup < captured {
		patches = append(patches,
			extent.Patch{Offset: int64(last-n) * sector, Data: entries},
			extent.Patch{Offset: int64(last) * sector, Data: place(primary, last, 1, last-n)})
	}
	return patches, nil
}
