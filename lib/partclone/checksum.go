// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import "hash/crc32"

// A checksum is a running CRC32 as partclone computes it (src/checksum.c).
type checksum struct {
	crc uint32 // as hash/crc32 keeps it

	// Format 0001's loop never advances its pointer: it takes in the first byte of a block as many
	// times as the block has bytes. It protects little, but a good image matches.
	firstByteOnly bool
}

// write takes in p, which begins at offset off in a block of size bytes.
func (c *checksum) write(p []byte, off, size int64) {
	if !c.firstByteOnly {
		c.crc = crc32.Update(c.crc, crc32.IEEETable, p)
		return
	}
	for i := (size - off) % size; i < int64(len(p)); i += size {
		c.repeat(p[i], size)
	}
}

// repeat takes in the byte b n times.
func (c *checksum) repeat(b byte, n int64) {
	var buf [4096]byte
	for i := range buf {
		buf[i] = b
	}
	for ; n > 0; n -= int64(len(buf)) {
		c.crc = crc32.Update(c.crc, crc32.IEEETable, buf[:min(n, int64(len(buf)))])
	}
}

// value is the checksum as the image stores it: without CRC32's final inversion.
func (c *checksum) value() uint32 { return ^c.crc }
