// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// A checksum is a running sum as partclone computes it (src/checksum.c). Before the first write it
// is reset.
type checksum struct {
	mode uint16
	crc  uint32 // as hash/crc32 keeps it
	x64  *xxhash.Digest
	x128 *xxh3.Hasher

	// Format 0001's loop never advances its pointer: it takes in the first byte of a block as many
	// times as the block has bytes. It protects little, but a good image matches.
	firstByteOnly bool
}

func newChecksum(h *Header) checksum {
	c := checksum{mode: h.checksum, firstByteOnly: h.Format == 1}
	switch c.mode {
	case checksumXXH64:
		c.x64 = xxhash.New()
	case checksumXXH128:
		c.x128 = xxh3.New()
	}
	return c
}

func (c *checksum) reset() {
	switch c.mode {
	case checksumCRC32:
		c.crc = 0
	case checksumXXH64:
		c.x64.Reset()
	case checksumXXH128:
		c.x128.Reset()
	}
}

// write takes in p, which begins at offset off in a block of size bytes.
func (c *checksum) write(p []byte, off, size int64) {
	switch {
	case c.mode == checksumXXH64:
		_, _ = c.x64.Write(p) // neither of these ever fails
	case c.mode == checksumXXH128:
		_, _ = c.x128.Write(p)
	case c.mode != checksumCRC32:
	case !c.firstByteOnly:
		c.crc = crc32.Update(c.crc, crc32.IEEETable, p)
	default:
		for i := (size - off) % size; i < int64(len(p)); i += size {
			c.repeat(p[i], size)
		}
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

// value is the checksum as the image stores it: CRC32 without its final inversion, the others as a
// little-endian machine has them in memory, the lower half of 128 bits first.
func (c *checksum) value() []byte {
	le := binary.LittleEndian
	switch c.mode {
	case checksumXXH64:
		return le.AppendUint64(nil, c.x64.Sum64())
	case checksumXXH128:
		sum := c.x128.Sum128()
		return le.AppendUint64(le.AppendUint64(nil, sum.Lo), sum.Hi)
	}
	return le.AppendUint32(nil, ^c.crc)
}

// checksumName is what people call a mode.
func checksumName(mode uint16) string {
	switch mode {
	case checksumXXH64:
		return "XXH64"
	case checksumXXH128:
		return "XXH128"
	}
	return "CRC32"
}
