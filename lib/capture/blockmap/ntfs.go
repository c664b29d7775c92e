// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"bytes"
	"encoding/binary"
	"io"
)

// ntfs looks into the log. Windows leaves clients in it when it hibernates, as it does at every shut-down
// unless its "fast startup" is turned off: what it has in memory is then newer than the disk. partclone
// asks only for the flag of a volume that wants to be checked. Structures are named as in ntfs-3g
// (include/ntfs-3g/layout.h, logfile.h), whose ntfs_logfile_is_clean says the same.
func ntfs(disk io.ReaderAt) error {
	at, err := ntfsLog(disk)
	if err != nil {
		return err
	}
	first, err := read(disk, at, ntfsPage)
	if err != nil {
		return err
	}
	page := first
	second, err := read(disk, at+ntfsPage, ntfsPage)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if a, b := restartArea(first), restartArea(second); a == nil || b != nil && le.Uint64(b) > le.Uint64(a) {
		page = second
	}
	area := restartArea(page)
	switch {
	case area != nil:
		const noClient, clean = 0xffff, 0x0002
		if le.Uint16(area[12:]) != noClient && le.Uint16(area[14:])&clean == 0 {
			return ErrWindows
		}
		return nil
	case len(bytes.Trim(first, "\xff")) == 0: // emptied
		return nil
	case bytes.HasPrefix(first, []byte("CHKD")):
		return nil
	}
	return ErrWindows
}

// ntfsPage is the size of a restart page, of which there are two.
const ntfsPage = 4096

// restartArea is the RESTART_AREA in a restart page; nil if there is none.
func restartArea(page []byte) []byte {
	at := int(binary.LittleEndian.Uint16(page[24:]))
	if !bytes.HasPrefix(page, []byte("RSTR")) || at+16 > len(page) {
		return nil
	}
	return page[at:]
}

// ntfsLog is the disk offset of the log: the file whose record is the third of the MFT.
func ntfsLog(disk io.ReaderAt) (int64, error) {
	boot, err := read(disk, 0, 512)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	sector, perCluster, recordSize := int64(le.Uint16(boot[11:])), int64(boot[13]), int64(int8(boot[64]))
	if perCluster > 128 { // more than fit a byte: a power of two
		perCluster = 1 << min(256-perCluster, 24)
	}
	cluster := sector * perCluster
	if recordSize *= cluster; recordSize < 0 {
		recordSize = 1 << min(-recordSize/max(cluster, 1), 24)
	}
	table := le.Uint64(boot[48:])
	if string(boot[3:11]) != "NTFS    " || cluster < 256 || cluster > 2<<20 || recordSize < 512 || recordSize > 64<<10 || table > 1<<40 {
		return 0, ErrStrange
	}
	record, err := read(disk, int64(table)*cluster+2*recordSize, int(recordSize))
	if err != nil {
		return 0, err
	}
	if first, ok := firstRun(record); ok {
		return first * cluster, nil
	}
	return 0, ErrStrange
}

// firstRun is the cluster at which the data of a file begin that has no name and is not in its record.
func firstRun(record []byte) (int64, bool) {
	if !bytes.HasPrefix(record, []byte("FILE")) || !fixUp(record) {
		return 0, false
	}
	le := binary.LittleEndian
	for at := int(le.Uint16(record[20:])); at+64 <= len(record); {
		attribute := record[at:]
		kind, length := le.Uint32(attribute), int(le.Uint32(attribute[4:]))
		switch {
		case kind == 0xffffffff || length < 24 || length > len(attribute):
			return 0, false
		case kind == 0x80 && attribute[8] == 1 && attribute[9] == 0 && length >= 64:
			return runStart(attribute[:length])
		}
		at += length
	}
	return 0, false
}

// runStart reads the first of an attribute's mapping pairs: a byte that says of how many bytes the length
// of the run and its first cluster are, and these.
func runStart(attribute []byte) (int64, bool) {
	at := int(binary.LittleEndian.Uint16(attribute[32:]))
	if at >= len(attribute) {
		return 0, false
	}
	length, offset := int(attribute[at]&15), int(attribute[at]>>4)
	b := attribute[at+1:]
	if length == 0 || offset == 0 || offset > 5 || length+offset > len(b) {
		return 0, false
	}
	var cluster int64
	for i, c := range b[length : length+offset] {
		cluster |= int64(c) << (8 * i)
	}
	return cluster, true
}

// fixUp puts the words back whose place at the end of each 512 bytes a sequence number has taken.
func fixUp(record []byte) bool {
	le := binary.LittleEndian
	at, n := int(le.Uint16(record[4:])), int(le.Uint16(record[6:]))
	if n < 1 || at+2*n > len(record) || (n-1)*512 > len(record) {
		return false
	}
	for i := range n - 1 {
		end := record[(i+1)*512-2:][:2]
		if !bytes.Equal(end, record[at:at+2]) {
			return false
		}
		copy(end, record[at+2+2*i:][:2])
	}
	return true
}
