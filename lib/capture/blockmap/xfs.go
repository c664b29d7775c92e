// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"encoding/binary"
	"io"
	"math"
	"sort"
)

// An xfsLog is the log of an XFS: a ring of blocks of 512 bytes. The first word of each is the
// number of the turn (cycle) it was written in, except that a record begins with a magic number
// and has its cycle after that (linux fs/xfs/libxfs/xfs_log_format.h).
type xfsLog struct {
	disk   io.ReaderAt
	start  int64 // disk offset
	blocks int64 // of 512 bytes
}

const (
	xfsBlock       = 512
	xfsRecordMagic = 0xfeedbabe
	xfsUnmount     = 0x20            // XLOG_UNMOUNT_TRANS in an operation's oh_flags
	xfsMaxRecord   = 256<<10 + 8<<10 // bytes of a record with its headers
)

// xfs wants the log to end in the record of an unmount.
func xfs(disk io.ReaderAt) error {
	l, err := xfsLogOf(disk)
	if err != nil {
		return err
	}
	clean, err := l.endsInUnmount()
	if err != nil {
		return err
	}
	return journal(true, !clean)
}

// xfsLogOf finds the log in struct xfs_dsb. The error is ErrStrange when the superblock makes no sense
// and ErrDevices when the log is on another device.
func xfsLogOf(disk io.ReaderAt) (*xfsLog, error) {
	sb, err := read(disk, 0, 512)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	blockSize, logStart, logBlocks := int64(be.Uint32(sb[4:])), be.Uint64(sb[48:]), int64(be.Uint32(sb[96:]))
	groupBlocks, groupBits := uint64(be.Uint32(sb[84:])), sb[124]
	if string(sb[:4]) != "XFSB" || blockSize < xfsBlock || blockSize > 64<<10 || logBlocks == 0 || groupBits > 31 {
		return nil, ErrStrange
	}
	if logStart == 0 {
		return nil, ErrDevices
	}
	// An address is a group's number and a block in that group. The product is below 2^64.
	block := logStart>>groupBits&math.MaxUint32*groupBlocks + logStart&(1<<groupBits-1)
	if block > 1<<46 {
		return nil, ErrStrange
	}
	return &xfsLog{disk: disk, start: int64(block) * blockSize, blocks: logBlocks * blockSize / xfsBlock}, nil
}

// at reads one block of the ring.
func (l *xfsLog) at(n int64) ([]byte, error) {
	n = (n%l.blocks + l.blocks) % l.blocks
	return read(l.disk, l.start+n*xfsBlock, xfsBlock)
}

func (l *xfsLog) cycle(n int64) (uint32, error) {
	b, err := l.at(n)
	if err != nil {
		return 0, err
	}
	if binary.BigEndian.Uint32(b) == xfsRecordMagic {
		b = b[4:]
	}
	return binary.BigEndian.Uint32(b), nil
}

// head is the block that will be written next: the first of an older cycle than block 0 is of, and
// block 0 itself when there is none. A log that was being written when the machine stopped may
// have no such order; whatever is found there then is not an unmount record.
func (l *xfsLog) head() (int64, error) {
	first, err := l.cycle(0)
	if err != nil {
		return 0, err
	}
	var failed error
	n := sort.Search(int(l.blocks), func(i int) bool {
		c, err := l.cycle(int64(i))
		if err != nil {
			failed = err
		}
		return c != first
	})
	return int64(n), failed
}

// endsInUnmount looks at the record before the head.
func (l *xfsLog) endsInUnmount() (bool, error) {
	head, err := l.head()
	if err != nil {
		return false, err
	}
	be := binary.BigEndian
	for back := int64(2); back <= min(xfsMaxRecord/xfsBlock, l.blocks); back++ {
		record, err := l.at(head - back)
		if err != nil {
			return false, err
		}
		if be.Uint32(record) != xfsRecordMagic {
			continue
		}
		// A record is its headers, one for each 32 KiB of a full record, and h_len bytes.
		length, operations := int64(be.Uint32(record[12:])), be.Uint32(record[40:])
		data := back - (length+xfsBlock-1)/xfsBlock // blocks of headers
		if operations != 1 || data < 1 || data > 8 {
			return false, nil
		}
		op, err := l.at(head - back + data)
		if err != nil {
			return false, err
		}
		return op[9]&xfsUnmount != 0, nil
	}
	return false, nil
}
