// SPDX-License-Identifier: GPL-2.0-or-later

// Package journal tells whether a filesystem has changes that are only in its journal yet, because
// it was in use when its machine stopped or its image was taken.
//
// The next mount replays them. Until then the bitmaps on the disk are older than the files:
// partclone, which reads bitmaps, takes blocks of recent files for free ones, and its programs for
// ext4, XFS, btrfs and F2FS do not notice. A copy made by such a map has those files filled with
// whatever the target held before, or cannot be mounted.
//
// When in doubt the answer is that something is pending: it costs a larger capture, no data.
package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A check looks at the disk from the filesystem's first byte.
type check func(disk io.ReaderAt) (bool, error)

// checks are by partclone's name of the filesystem. The others keep no journal, or partclone's
// program itself refuses them when they were not cleanly unmounted (FAT, NTFS).
var checks = map[string]check{
	"EXTFS":    ext,
	"XFS":      xfs,
	"BTRFS":    btrfs,
	"F2FS":     f2fs,
	"HFS Plus": hfsPlus,
}

// Pending says whether the filesystem, by partclone's name of it, has a journal to be replayed. An
// error means that it could not be read.
func Pending(disk io.ReaderAt, filesystem string) (bool, error) {
	look, ok := checks[filesystem]
	if !ok {
		return false, nil
	}
	pending, err := look(disk)
	if err != nil {
		return false, fmt.Errorf("journal of %s: %w", filesystem, err)
	}
	return pending, nil
}

// read reads n bytes at a disk offset.
func read(disk io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if m, err := disk.ReadAt(b, off); m < n {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read at %#x: %w", off, err)
	}
	return b, nil
}

// ext looks for INCOMPAT_RECOVER in struct ext2_super_block (linux fs/ext4/ext4.h), which is set
// from mount to unmount.
func ext(disk io.ReaderAt) (bool, error) {
	b, err := read(disk, 1024, 1024)
	if err != nil {
		return false, err
	}
	le := binary.LittleEndian
	const recover = 0x4
	return le.Uint16(b[0x38:]) != 0xef53 || le.Uint32(b[0x60:])&recover != 0, nil
}

// btrfs looks at log_root in struct btrfs_super_block (linux include/uapi/linux/btrfs_tree.h): the
// tree of what was fsynced since the last transaction. Its blocks are in no extent tree.
func btrfs(disk io.ReaderAt) (bool, error) {
	b, err := read(disk, 64<<10, 4096)
	if err != nil {
		return false, err
	}
	return string(b[0x40:0x48]) != "_BHRfS_M" || binary.LittleEndian.Uint64(b[0x60:]) != 0, nil
}

// f2fs looks for CP_UMOUNT_FLAG in the newer of the two struct f2fs_checkpoint (linux
// include/linux/f2fs_fs.h). Without it, nodes written after the checkpoint may be rolled forward.
func f2fs(disk io.ReaderAt) (bool, error) {
	sb, err := read(disk, 1024, 1024)
	if err != nil {
		return false, err
	}
	le := binary.LittleEndian
	logBlock, logSegment := le.Uint32(sb[16:]), le.Uint32(sb[20:])
	if le.Uint32(sb) != 0xf2f52010 || logBlock < 12 || logBlock > 16 || logSegment > 16 {
		return true, nil
	}
	const umount = 0x1
	var newest uint64
	pending := true
	for pack := range int64(2) {
		block := int64(le.Uint32(sb[76:])) + pack<<logSegment
		cp, err := read(disk, block<<logBlock, 4096)
		if err != nil {
			return false, err
		}
		if version := le.Uint64(cp); version >= newest {
			newest, pending = version, le.Uint32(cp[132:])&umount == 0
		}
	}
	return pending, nil
}

// hfsPlus looks for kHFSVolumeUnmountedBit in the volume header's attributes (Apple TN1150).
func hfsPlus(disk io.ReaderAt) (bool, error) {
	b, err := read(disk, 1024, 512)
	if err != nil {
		return false, err
	}
	known := bytes.HasPrefix(b, []byte("H+")) || bytes.HasPrefix(b, []byte("HX"))
	return !known || binary.BigEndian.Uint32(b[4:])&(1<<8) == 0, nil
}
