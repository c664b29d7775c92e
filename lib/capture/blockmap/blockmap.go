// SPDX-License-Identifier: GPL-2.0-or-later

// Package blockmap says whether the block maps of a filesystem can be believed by a program that
// looks at them from outside, as partclone does.
//
// They cannot while there are changes that are only in the journal, because the filesystem was in
// use when its machine stopped or its image was taken. The next mount replays them. Until then the
// maps on the disk are older than the files: partclone takes blocks of recent files for free ones,
// and its programs for ext4, XFS, btrfs, F2FS, exFAT, minix and JFS do not notice. In a copy made by such a map those
// files hold whatever the target held before, or it cannot be mounted at all. Nor can they when the
// filesystem spans devices, since its addresses then are not those of this one; nor those of FAT12,
// which partclone misreads.
//
// Some filesystems also keep a backup where no map reaches: Outside says where.
//
// When in doubt the answer is no: it costs a larger capture, no data.
package blockmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What Check finds.
var (
	ErrJournal = errors.New("it was not unmounted: its journal holds changes that its block maps lack (mounting it once replays them)")
	ErrDevices = errors.New("it spans several devices")
	ErrFAT12   = errors.New("it is FAT12, of which partclone takes used blocks for free ones")
	ErrWindows = errors.New("its log is in use: Windows hibernates, as with \"fast startup\", or was not shut down")
	ErrStrange = errors.New("its superblock is not one of this filesystem's")
)

// A check looks at the disk from the filesystem's first byte.
type check func(disk io.ReaderAt) error

// checks are by partclone's name of the filesystem. Of the others partclone's program itself refuses
// reiser4, and, of FAT, 16 and 32, when they were not cleanly unmounted; APFS writes where nothing was
// and switches over in one step.
var checks = map[string]check{
	"EXTFS":    ext,
	"XFS":      xfs,
	"BTRFS":    btrfs,
	"F2FS":     f2fs,
	"HFS Plus": hfsPlus,
	"FAT":      fat,
	"NTFS":     ntfs,
	"EXFAT":    exfat,
	"MINIX":    minix,
	"REISERFS": reiserfs,
	"JFS":      jfs,
	"NILFS":    nilfs,
	"UFS":      ufs,
	"VMFS":     vmfs,
}

// Check is nil when the maps of a filesystem, by partclone's name of it, can be believed. Otherwise
// the error wraps ErrJournal, ErrDevices, ErrFAT12, ErrWindows or ErrStrange, or says that the disk could not be read.
func Check(disk io.ReaderAt, filesystem string) error {
	look, ok := checks[filesystem]
	if !ok {
		return nil
	}
	return look(disk)
}

// journal is ErrStrange of a superblock that is not known, and ErrJournal if there is something to
// be replayed.
func journal(known, pending bool) error {
	switch {
	case !known:
		return ErrStrange
	case pending:
		return ErrJournal
	}
	return nil
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
func ext(disk io.ReaderAt) error {
	b, err := read(disk, 1024, 1024)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	const recover = 0x4
	return journal(le.Uint16(b[0x38:]) == 0xef53, le.Uint32(b[0x60:])&recover != 0)
}

// btrfs looks at log_root in struct btrfs_super_block (linux include/uapi/linux/btrfs_tree.h): the
// tree of what was fsynced since the last transaction, whose blocks are in no extent tree; and at
// num_devices.
func btrfs(disk io.ReaderAt) error {
	b, err := read(disk, 64<<10, 4096)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint64(b[0x88:]) > 1 && string(b[0x40:0x48]) == "_BHRfS_M" {
		return ErrDevices
	}
	return journal(string(b[0x40:0x48]) == "_BHRfS_M", le.Uint64(b[0x60:]) != 0)
}

// f2fs looks for CP_UMOUNT_FLAG in the newer of the two struct f2fs_checkpoint (linux
// include/linux/f2fs_fs.h). Without it, nodes written after the checkpoint may be rolled forward.
func f2fs(disk io.ReaderAt) error {
	sb, err := read(disk, 1024, 1024)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	logBlock, logSegment := le.Uint32(sb[16:]), le.Uint32(sb[20:])
	if le.Uint32(sb) != 0xf2f52010 || logBlock < 12 || logBlock > 16 || logSegment > 16 {
		return ErrStrange
	}
	const umount = 0x1
	var newest uint64
	pending := true
	for pack := range int64(2) {
		block := int64(le.Uint32(sb[76:])) + pack<<logSegment
		cp, err := read(disk, block<<logBlock, 4096)
		if err != nil {
			return err
		}
		if version := le.Uint64(cp); version >= newest {
			newest, pending = version, le.Uint32(cp[132:])&umount == 0
		}
	}
	return journal(true, pending)
}

// hfsPlus looks for kHFSVolumeUnmountedBit in the volume header's attributes (Apple TN1150).
func hfsPlus(disk io.ReaderAt) error {
	b, err := read(disk, 1024, 512)
	if err != nil {
		return err
	}
	known := bytes.HasPrefix(b, []byte("H+")) || bytes.HasPrefix(b, []byte("HX"))
	return journal(known, binary.BigEndian.Uint32(b[4:])&(1<<8) == 0)
}

// fat counts clusters, since it is their number alone that tells FAT12 from FAT16 (Microsoft's
// fatgen103). partclone 0.3.23 reads the table twice, and with an odd number of entries the second
// time by half an entry off: what it then copies passes fsck and has wrong files. At most 4084 clusters are soon captured as a whole.
func fat(disk io.ReaderAt) error {
	b, err := read(disk, 0, 512)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	sector, perCluster := uint32(le.Uint16(b[11:])), uint32(b[13])
	if sector == 0 || perCluster == 0 {
		return ErrStrange
	}
	sectors, perFAT := uint32(le.Uint16(b[19:])), uint32(le.Uint16(b[22:]))
	if sectors == 0 {
		sectors = le.Uint32(b[32:])
	}
	if perFAT == 0 {
		return nil // FAT32
	}
	root := (uint32(le.Uint16(b[17:]))*32 + sector - 1) / sector
	before := uint32(le.Uint16(b[14:])) + uint32(b[16])*perFAT + root
	if sectors < before || (sectors-before)/perCluster < 4085 {
		return ErrFAT12
	}
	return nil
}
