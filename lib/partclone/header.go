// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Sizes of the packed structs image_desc_v1 and image_desc_v2 in src/partclone.h.
const (
	magic        = "partclone-image"
	headerSizeV1 = 4160
	headerSizeV2 = 110

	maxBlockSize = 64 << 20 // partclone's own MAX_BLOCK_SIZE
)

// checksum_mode_enum in src/checksum.h; those of XXH are of 2025, in a partclone built with libxxhash.
const (
	checksumNone   = 0x00
	checksumCRC32  = 0x20
	checksumXXH64  = 0x30
	checksumXXH128 = 0x31
)

// bitmap_mode_t in src/partclone.h.
const (
	bitmapNone = 0x00 // every block is in the image
	bitmapBit  = 0x01
	bitmapByte = 0x08
)

// A Header describes a partclone image.
type Header struct {
	Format     int    // 1 or 2, for 0001 and 0002
	Tool       string // version of the partclone that wrote it; "" in 0001, which does not say
	Filesystem string // partclone's name of it, such as EXTFS
	DeviceSize int64  // bytes; never less than Blocks*BlockSize
	BlockSize  int64  // bytes, 1 to 64 MiB
	Blocks     int64  // blocks of the filesystem, used or not

	checksum          uint16
	checksumSize      int64 // bytes after each group of blocks
	blocksPerChecksum int64
	reseed            bool // every checksum begins anew
	bitmap            uint8
}

// readHeader reads and checks the fixed part of an image.
func readHeader(r io.Reader) (Header, error) {
	b := make([]byte, headerSizeV1)
	n, err := io.ReadFull(r, b[:headerSizeV2])
	switch {
	case err == io.EOF:
		return Header{}, ErrEmpty
	case err != nil && err != io.ErrUnexpectedEOF:
		return Header{}, fmt.Errorf("read header: %w", err)
	case !bytes.HasPrefix(b[:n], []byte(magic)):
		return Header{}, notAnImage(b[:n])
	case err != nil:
		return Header{}, fmt.Errorf("header truncated after %d bytes: %w", n, err)
	}
	var h Header
	switch version := string(b[30:34]); version {
	case "0001":
		if n, err := io.ReadFull(r, b[headerSizeV2:]); err != nil {
			return h, fmt.Errorf("header truncated after %d bytes: %w", headerSizeV2+n, unexpected(err))
		}
		err = h.parseV1(b)
	case "0002":
		err = h.parseV2(b[:headerSizeV2])
	default:
		err = fmt.Errorf("image format %q is not known, only 0001 and 0002 are", version)
	}
	if err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// parseV1 reads format 0001, which protects its header by nothing and always has a byte a block
// and a checksum after each block.
func (h *Header) parseV1(b []byte) error {
	le := binary.LittleEndian
	h.Format, h.bitmap = 1, bitmapByte
	h.checksum, h.checksumSize, h.blocksPerChecksum = checksumCRC32, 4, 1
	if err := h.setFilesystem(b[15:30]); err != nil {
		return err
	}
	return h.setSizes(uint64(le.Uint32(b[36:])), le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint64(b[56:]))
}

func (h *Header) parseV2(b []byte) error {
	le := binary.LittleEndian
	switch marker := le.Uint16(b[34:]); marker {
	case 0xc0de:
	case 0xdec0:
		return errors.New("image of a big-endian machine, which only such a machine's partclone can restore")
	default:
		return fmt.Errorf("endianness marker is %#04x, want 0xc0de", marker)
	}
	// partclone's CRC32 is the usual one without its final inversion.
	const end = headerSizeV2 - 4
	if want, got := le.Uint32(b[end:]), ^crc32.ChecksumIEEE(b[:end]); want != got {
		return fmt.Errorf("%w: its CRC32 is %08x, it says %08x", ErrChecksum, got, want)
	}
	h.Format, h.Tool = 2, printable(b[16:30])
	h.checksum, h.checksumSize = le.Uint16(b[96:]), int64(le.Uint16(b[98:]))
	h.blocksPerChecksum, h.reseed, h.bitmap = int64(le.Uint32(b[100:])), b[104] != 0, b[105]
	if err := h.checkModes(); err != nil {
		return err
	}
	if err := h.setFilesystem(b[36:52]); err != nil {
		return err
	}
	return h.setSizes(uint64(le.Uint32(b[84:])), le.Uint64(b[52:]), le.Uint64(b[60:]), le.Uint64(b[76:]))
}

func (h *Header) checkModes() error {
	sizes := map[uint16]int64{checksumNone: 0, checksumCRC32: 4, checksumXXH64: 8, checksumXXH128: 16}
	size, ok := sizes[h.checksum]
	switch {
	case !ok:
		return fmt.Errorf("unknown checksum mode %#x", h.checksum)
	case h.checksum == checksumNone:
		h.checksumSize, h.blocksPerChecksum = 0, 0
	case h.checksumSize != size:
		return fmt.Errorf("%s checksums of %d bytes", checksumName(h.checksum), h.checksumSize)
	case h.blocksPerChecksum == 0:
		return errors.New("a checksum for every 0 blocks")
	}
	switch h.bitmap {
	case bitmapNone, bitmapBit, bitmapByte:
		return nil
	}
	return fmt.Errorf("unknown bitmap mode %#x", h.bitmap)
}

// setSizes checks the sizes so that no later arithmetic on them overflows.
func (h *Header) setSizes(blockSize, deviceSize, blocks, used uint64) error {
	switch {
	case blockSize == 0 || blockSize > maxBlockSize:
		return fmt.Errorf("block size %d is not between 1 and %d", blockSize, maxBlockSize)
	case blocks > math.MaxInt64/blockSize:
		return fmt.Errorf("%d blocks of %d bytes do not fit 63 bits", blocks, blockSize)
	case deviceSize > math.MaxInt64:
		return fmt.Errorf("device size %d does not fit 63 bits", deviceSize)
	case used > blocks:
		return fmt.Errorf("%d blocks used of %d", used, blocks)
	case h.bitmap == bitmapNone && used != blocks:
		return fmt.Errorf("no bitmap, yet only %d of %d blocks used", used, blocks)
	}
	h.BlockSize, h.Blocks = int64(blockSize), int64(blocks)
	// Old images give the device a size a little off; what holds the blocks is a device.
	h.DeviceSize = max(int64(deviceSize), h.Blocks*h.BlockSize)
	return nil
}

// setFilesystem takes a NUL-padded name. It ends up in line-oriented files, so it must be text.
func (h *Header) setFilesystem(b []byte) error {
	b, _, _ = bytes.Cut(b, []byte{0})
	if printable(b) != string(b) {
		return fmt.Errorf("filesystem name %q is not text", b)
	}
	h.Filesystem = string(b)
	return nil
}

// printable is the leading printable ASCII of b.
func printable(b []byte) string {
	for i, c := range b {
		if c < ' ' || c > '~' {
			return string(b[:i])
		}
	}
	return string(b)
}

// foreign lists what people pipe in by mistake.
var foreign = []struct{ prefix, is string }{
	{"\x1f\x8b", "compressed by gzip: pipe it through `zcat` first"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd: pipe it through `zstd -dc` first"},
	{"\x04\x22\x4d\x18", "compressed by lz4: pipe it through `lz4 -dc` first"},
	{"\xfd7zXZ\x00", "compressed by xz: pipe it through `xz -dc` first"},
	{"BZh", "compressed by bzip2: pipe it through `bzip2 -dc` first"},
	{"LZIP", "compressed by lzip: pipe it through `lzip -dc` first"},
	{"block_size: ", "torrent.info already: give it to ezio-mktorrent"},
	{"offset: ", "torrent.info already: give it to ezio-mktorrent"},
	{"# Domain logfile", "a domain map, without the blocks themselves"},
}

func notAnImage(b []byte) error {
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.prefix)) {
			return fmt.Errorf("not a partclone image but %s", f.is)
		}
	}
	return errors.New("not a partclone image")
}

// unexpected turns an end of input in the middle of something into the error that says so.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
