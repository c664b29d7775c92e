// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ezio/lib/extent"
)

// readAhead is the memory between the input and Read. It grows up to maxReadAhead to hold a block of
// a format 0001 image, which tells the layout of that image.
const (
	readAhead    = 64 << 10
	maxReadAhead = 1<<20 + 2*padding
)

// A Reader takes a partclone image apart. Read gives the bytes of the used blocks, in order: image
// space. They are handed out before their checksum has been seen, so only a Reader whose Read has
// returned io.EOF has told the truth throughout: every checksum matched and the image ended where
// it had to.
type Reader struct {
	Header

	src *bufio.Reader
	m   *extent.Map
	pos int64 // image offset of the next byte to deliver
	err error // what Read returns from now on

	sum      checksum
	groupEnd int64 // image offset at which the next checksum is due
	padded   bool  // format 0001 with the 64-bit bug, see findPadding
}

// NewReader reads an image's header and bitmap from r and checks them. Memory does not depend on
// what the header claims.
func NewReader(r io.Reader) (*Reader, error) {
	src := bufio.NewReaderSize(r, readAhead)
	h, m, err := readFront(src)
	if err != nil {
		return nil, err
	}
	if ahead := h.BlockSize + 2*padding; h.Format == 1 && ahead <= maxReadAhead {
		src = bufio.NewReaderSize(src, int(ahead))
	}
	p := &Reader{Header: h, src: src, m: m, sum: newChecksum(&h)}
	p.nextGroup()
	return p, nil
}

// readFront reads everything that precedes the blocks.
func readFront(src io.Reader) (Header, *extent.Map, error) {
	h, err := readHeader(src)
	if err != nil {
		return h, nil, fmt.Errorf("partclone image: %w", err)
	}
	list, err := readBitmap(src, &h)
	if err != nil {
		return h, nil, fmt.Errorf("partclone image: %w", err)
	}
	m, err := extent.New(list)
	if err != nil {
		return h, nil, fmt.Errorf("partclone image: %w", err)
	}
	return h, m, nil
}

// Extents are the used blocks: ascending, maximal runs at disk offsets.
func (r *Reader) Extents() []extent.Extent {
	list := make([]extent.Extent, 0, r.m.Len())
	for e := range r.m.All() {
		list = append(list, e)
	}
	return list
}

// Size is how many bytes Read will deliver in all.
func (r *Reader) Size() int64 { return r.m.Size() }

// Read delivers the used blocks. An error other than io.EOF names the block at fault: a *BlockError
// where there is one.
func (r *Reader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.pos == r.m.Size():
		r.err = r.finish()
		return 0, r.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := r.src.Read(p[:min(int64(len(p)), r.groupEnd-r.pos)])
	r.sum.write(p[:n], r.pos%r.BlockSize, r.BlockSize)
	r.pos += int64(n)
	switch {
	case r.pos == r.groupEnd:
		r.err = r.endGroup()
	case err != nil:
		r.err = r.blockError(r.pos, r.pos, unexpected(err))
	}
	return n, r.err
}

// nextGroup finds where the checksum after r.pos is due: after blocksPerChecksum blocks, or after
// the last block.
func (r *Reader) nextGroup() {
	r.groupEnd = r.m.Size()
	if group := r.blocksPerChecksum * r.BlockSize; group > 0 { // at most 2^58
		r.groupEnd = min(r.groupEnd, r.pos+group)
	}
}

// endGroup checks the checksum of the blocks up to r.pos, and prepares for those after.
func (r *Reader) endGroup() error {
	if r.checksumSize > 0 {
		first := (r.pos - 1) / (r.blocksPerChecksum * r.BlockSize) * r.blocksPerChecksum * r.BlockSize
		b := make([]byte, r.checksumSize)
		if _, err := io.ReadFull(r.src, b); err != nil {
			return r.blockError(first, r.pos-1, fmt.Errorf("checksum: %w", unexpected(err)))
		}
		if sum := r.sum.value(); !bytes.Equal(b, sum) {
			return r.blockError(first, r.pos-1, fmt.Errorf("%w: %s is %x, the image says %x", ErrChecksum, checksumName(r.checksum), sum, b))
		}
		if r.reseed {
			r.sum.reset()
		}
	}
	if r.Format == 1 && r.pos == r.BlockSize {
		r.padded = r.findPadding()
	}
	if r.padded {
		if _, err := r.src.Discard(padding); err != nil {
			return r.blockError(r.pos-1, r.pos-1, fmt.Errorf("checksum: %w", unexpected(err)))
		}
	}
	r.nextGroup()
	return nil
}

// padding is what partclone before 0.1.0 on 64-bit machines left after each checksum of format
// 0001: it wrote the upper half of an unsigned long as well.
const padding = 4

// findPadding says, right after the first block, whether the image has padding after its
// checksums: when the second block's checksum is right only if 4 bytes are skipped. Nothing in the
// header tells. Blocks too large to look ahead are of later partclones.
func (r *Reader) findPadding() bool {
	if r.m.Size() == r.BlockSize { // one block only: what is left is 4 zero bytes, or nothing
		b, err := r.src.Peek(padding + 1)
		return err == io.EOF && len(b) == padding && binary.LittleEndian.Uint32(b) == 0
	}
	ahead := r.BlockSize + 4 + padding
	if ahead > maxReadAhead {
		return false
	}
	b, err := r.src.Peek(int(ahead))
	if err != nil {
		return false
	}
	right := func(skip int64) bool {
		sum := r.sum
		sum.write(b[skip:skip+r.BlockSize], 0, r.BlockSize)
		return bytes.HasPrefix(b[skip+r.BlockSize:], sum.value())
	}
	return !right(0) && right(padding)
}

// finish is what Read returns after the last byte.
func (r *Reader) finish() error {
	_, err := r.src.ReadByte()
	switch err {
	case nil:
		return errors.New("partclone image: there are bytes after its last block")
	case io.EOF:
		return io.EOF
	}
	return fmt.Errorf("partclone image: after its last block: %w", err)
}

// blockError names the blocks that hold the image offsets first to last.
func (r *Reader) blockError(first, last int64, err error) error {
	e := &BlockError{Err: err}
	e.First, e.Offset = r.block(first)
	e.Last, _ = r.block(last)
	return fmt.Errorf("partclone image: %w", e)
}

// block is the number and the disk offset of the block at an image offset.
func (r *Reader) block(off int64) (number, disk int64) {
	for e := range r.m.Slices(off, 1) {
		number = e.Offset / r.BlockSize
	}
	return number, number * r.BlockSize
}
