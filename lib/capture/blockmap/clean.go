// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"encoding/binary"
	"io"
)

// A flag is where a filesystem says that it was unmounted.
type flag struct {
	super int64  // disk offset of the superblock
	magic string // that it has
	at    int    // offset in the superblock of the magic
	state int    // offset of the field, a little-endian word of 16 bits
	mask  uint16 // the bits that count
	clean uint16 // what they are when it was unmounted
}

// flagOf makes a check of a flag.
func flagOf(f flag) check {
	return func(disk io.ReaderAt) error {
		b, err := read(disk, f.super, 512)
		if err != nil {
			return err
		}
		known := string(b[f.at:f.at+len(f.magic)]) == f.magic
		state := binary.LittleEndian.Uint16(b[f.state:])
		return journal(known, state&f.mask != f.clean)
	}
}

var (
	// VolumeDirty of VolumeFlags (Microsoft's exFAT specification, 3.1.13.2): clusters may be in use
	// that the allocation bitmap has not heard of.
	exfat = flagOf(flag{magic: "EXFAT   ", at: 3, state: 106, mask: 1 << 1})
	// s_state of struct jfs_superblock (linux fs/jfs/jfs_superblock.h), FM_CLEAN.
	jfs = flagOf(flag{super: 32 << 10, magic: "JFS1", state: 40, mask: 0xffff})
	// s_umount_state of struct reiserfs_super_block_v1 (reiserfsprogs include/reiserfs_fs.h), FS_CLEANLY_UMOUNTED.
	reiserfs = flagOf(flag{super: 64 << 10, magic: "ReIsEr", at: 52, state: 50, mask: 0xffff, clean: 1})
	// s_state of struct nilfs_super_block (linux include/uapi/linux/nilfs2_ondisk.h): NILFS_VALID_FS, and
	// neither NILFS_ERROR_FS nor NILFS_RESIZE_FS. A log may follow the last checkpoint otherwise.
	nilfs = flagOf(flag{super: 1024, magic: "\x34\x34", at: 6, state: 116, mask: 7, clean: 1})
)

// minix looks for MINIX_VALID_FS in s_state of struct minix_super_block (linux
// include/uapi/linux/minix_fs.h). Version 3 has no such field.
func minix(disk io.ReaderAt) error {
	b, err := read(disk, 1024, 512)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint16(b[24:]) == 0x4d5a {
		return nil
	}
	switch le.Uint16(b[16:]) {
	case 0x137f, 0x138f, 0x2468, 0x2478:
		return journal(true, le.Uint16(b[18:])&1 == 0)
	}
	return ErrStrange
}

// ufsSuperblocks are the places where a UFS may have its superblock, in the order of SBLOCKSEARCH
// (FreeBSD sys/ufs/ffs/fs.h).
var ufsSuperblocks = []int64{64 << 10, 8 << 10, 0, 256 << 10}

// ufs looks at fs_clean in struct fs. partclone looks at it too, and goes on if fs_flags says as well
// that it was not unmounted.
func ufs(disk io.ReaderAt) error {
	var failed error
	for _, at := range ufsSuperblocks {
		b, err := read(disk, at, 1376)
		if err != nil {
			failed = err // of a small device only the places far in
			continue
		}
		switch binary.LittleEndian.Uint32(b[1372:]) {
		case 0x00011954, 0x19540119:
			return journal(true, b[209] != 1)
		}
	}
	if failed != nil {
		return failed
	}
	return ErrStrange
}

// Where a VMFS volume has what vmfs looks at (vmfs-tools libvmfs/vmfs_volume.h, vmfs_heartbeat.h). The
// filesystem begins 16 MiB behind the volume's header.
const (
	vmfsVolume     = 1 << 20
	vmfsExtents    = 0x290 // number of devices
	vmfsHeartbeats = vmfsVolume + 16<<20 + 3<<20
	vmfsSlots      = 2048
	vmfsSlot       = 512
)

// vmfs looks for other devices of the same volume, which partclone opens without them, and for a host
// that has it open: its slot among the heartbeats is taken, and its journal may hold changes.
func vmfs(disk io.ReaderAt) error {
	b, err := read(disk, vmfsVolume, 1024)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	switch {
	case le.Uint32(b) != 0xc001d00d:
		return ErrStrange
	case le.Uint32(b[vmfsExtents:]) > 1:
		return ErrDevices
	}
	slots, err := read(disk, vmfsHeartbeats, vmfsSlots*vmfsSlot)
	if err != nil {
		return err
	}
	for at := 0; at < len(slots); at += vmfsSlot {
		if le.Uint32(slots[at:]) == 0xabcdef02 {
			return ErrJournal
		}
	}
	return nil
}
