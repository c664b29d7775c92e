// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"ezio/lib/extent"
)

// bitmapChunk is how many bytes of a bitmap are held at a time. Only the runs found are kept.
const bitmapChunk = 64 << 10

// bitmapMagic ends the bitmap of format 0001 (BIT_MAGIC).
const bitmapMagic = "BiTmAgIc"

// readBitmap reads the bitmap and its seal, and returns the used blocks as maximal extents.
func readBitmap(r io.Reader, h *Header) ([]extent.Extent, error) {
	used := runs{blockSize: h.BlockSize}
	if h.bitmap == bitmapNone {
		err := used.add(h.Blocks, h.Blocks > 0)
		return used.list, err
	}
	crc := uint32(0)
	buf := make([]byte, bitmapChunk)
	for used.next < h.Blocks {
		packed, n, err := nextBits(r, buf, h.bitmap, h.Blocks-used.next)
		if err != nil {
			return nil, fmt.Errorf("bitmap, after block %d of %d: %w", used.next, h.Blocks, unexpected(err))
		}
		crc = crc32.Update(crc, crc32.IEEETable, packed)
		if err := used.addBits(packed, n); err != nil {
			return nil, fmt.Errorf("bitmap: %w", err)
		}
	}
	if err := readSeal(r, h, ^crc); err != nil {
		return nil, fmt.Errorf("bitmap: %w", err)
	}
	return used.list, nil
}

// nextBits reads the next piece of a bitmap that has left more blocks, and returns it packed, with
// the number of blocks in it. buf is its memory.
func nextBits(r io.Reader, buf []byte, mode uint8, left int64) (packed []byte, n int64, err error) {
	if mode == bitmapBit {
		n = min(left, int64(len(buf))*8)
		packed = buf[:(n+7)/8]
		_, err = io.ReadFull(r, packed)
		return packed, n, err
	}
	n = min(left, int64(len(buf)))
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return nil, 0, err
	}
	// Packing in place is safe: byte i is written when byte i*8 has been read. Old images hold
	// values other than 0 and 1; partclone takes only 1 for used.
	for i := range (n + 7) / 8 {
		var b byte
		for j, v := range buf[i*8 : min(i*8+8, n)] {
			if v == 1 {
				b |= 1 << j
			}
		}
		buf[i] = b
	}
	return buf[:(n+7)/8], n, nil
}

// addBits adds n blocks, least significant bit first.
func (r *runs) addBits(packed []byte, n int64) error {
	for _, b := range packed {
		for left := int(min(8, n)); left > 0; {
			used := b&1 != 0
			same := bits.TrailingZeros8(b)
			if used {
				same = bits.TrailingZeros8(^b)
			}
			same = min(same, left)
			if err := r.add(int64(same), used); err != nil {
				return err
			}
			b >>= same
			left -= same
		}
		n -= 8
	}
	return nil
}

// readSeal checks what follows a bitmap. For format 0002 in byte mode, which no partclone chooses,
// partclone's writer and reader disagree: one ends it by the CRC32 of the packed bits, the other
// expects format 0001's magic. Either is accepted.
func readSeal(r io.Reader, h *Header, crc uint32) error {
	var b [len(bitmapMagic)]byte
	if _, err := io.ReadFull(r, b[:4]); err != nil {
		return fmt.Errorf("its checksum: %w", unexpected(err))
	}
	got := binary.LittleEndian.Uint32(b[:])
	if h.Format == 2 && got == crc {
		return nil
	}
	if h.bitmap == bitmapBit {
		return fmt.Errorf("%w: its CRC32 is %08x, the image says %08x", ErrChecksum, crc, got)
	}
	if _, err := io.ReadFull(r, b[4:]); err != nil {
		return fmt.Errorf("its end marker: %w", unexpected(err))
	}
	if string(b[:]) != bitmapMagic {
		return fmt.Errorf("%w: it ends in %q, want %q", ErrChecksum, b[:], bitmapMagic)
	}
	return nil
}
