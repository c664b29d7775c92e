// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"ezio/lib/extent"
)

// ErrUnused is wrapped by the error for a disk offset whose block is not in an image.
var ErrUnused = errors.New("the image has no such block")

// A File is an image that is not compressed, as the disk it was taken from: ReadAt takes disk
// offsets and finds the blocks through the bitmap, between the checksums that are strewn among them.
// It compares none of these; who reads pieces of a torrent has better sums. Any number of goroutines
// may use it.
type File struct {
	Header

	r       io.ReaderAt
	m       *extent.Map
	blocks  int64 // where in the file the first block is
	group   int64 // bytes of blocks before each checksum; more than there are if there is none
	between int64 // bytes of a checksum
	scratch sync.Pool
}

// IsImage says whether a file of which b is the beginning calls itself a partclone image.
func IsImage(b []byte) bool { return len(b) > len(magic) && string(b[:len(magic)]) == magic }

// NewFile looks at an image of size bytes. One that was cut short, or has something after its last
// block, is refused, without reading its blocks.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	count := &countReader{r: io.NewSectionReader(r, 0, size)}
	src := bufio.NewReaderSize(count, readAhead)
	h, m, err := readFront(src)
	if err != nil {
		return nil, err
	}
	f := &File{Header: h, r: r, m: m, blocks: count.n - int64(src.Buffered()), group: math.MaxInt64, between: h.checksumSize}
	if per := h.blocksPerChecksum * h.BlockSize; per > 0 {
		f.group = per
	}
	// Of format 0001 only the first blocks tell how long a checksum is.
	if h.Format == 1 && m.Size() > 0 {
		p, err := NewReader(io.NewSectionReader(r, 0, size))
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, p, h.BlockSize); err != nil {
			return nil, err
		}
		if p.padded {
			f.between += padding
		}
	}
	if want := f.at(m.Size()) + f.lastSum(); want != size {
		return nil, fmt.Errorf("partclone image: it has %d bytes, want %d: %w", size, want, io.ErrUnexpectedEOF)
	}
	return f, nil
}

// at is where in the file the byte at an image offset is.
func (f *File) at(image int64) int64 { return f.blocks + image + image/f.group*f.between }

// lastSum is the length of the checksum of the last, incomplete group.
func (f *File) lastSum() int64 {
	if f.m.Size()%f.group == 0 {
		return 0
	}
	return f.between
}

// Size is the device's, in bytes.
func (f *File) Size() int64 { return f.DeviceSize }

// maxScratch is how much of the file, checksums included, is read at a time.
const maxScratch = 1 << 20

// ReadAt fills p from disk offset off. Beyond Size it returns io.EOF; for bytes of a block that is
// not in the image, an error that wraps ErrUnused.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("partclone image: read at negative disk offset %d", off)
	}
	done := 0
	for done < len(p) {
		disk := off + int64(done)
		if disk >= f.DeviceSize {
			return done, io.EOF
		}
		image, left, ok := f.m.At(disk)
		if !ok {
			return done, fmt.Errorf("partclone image: disk offset %#x: %w", disk, ErrUnused)
		}
		n, err := f.readImage(p[done:done+int(min(int64(len(p)-done), left))], image)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readImage fills p from an image offset: at once where no checksum lies between, else through a
// buffer out of which they are left.
func (f *File) readImage(p []byte, image int64) (int, error) {
	if inGroup := f.group - image%f.group; int64(len(p)) <= inGroup || inGroup >= maxScratch {
		p = p[:min(int64(len(p)), inGroup)]
		n, err := f.r.ReadAt(p, f.at(image))
		return n, whole(n, p, err)
	}
	buf, _ := f.scratch.Get().(*[]byte)
	if buf == nil {
		b := make([]byte, maxScratch)
		buf = &b
	}
	defer f.scratch.Put(buf)
	from := f.at(image)
	raw := (*buf)[:min(maxScratch, f.at(image+int64(len(p))-1)+1-from)]
	n, err := f.r.ReadAt(raw, from)
	if err = whole(n, raw, err); err != nil {
		return 0, err
	}
	done := 0
	for len(raw) > 0 {
		n := copy(p[done:], raw[:min(int64(len(raw)), f.group-(image+int64(done))%f.group)])
		done += n
		raw = raw[min(len(raw), n+int(f.between)):]
	}
	return done, nil
}

// whole is nil for a read that got everything: io.ReaderAt may say io.EOF then.
func whole(n int, p []byte, err error) error {
	if n == len(p) {
		return nil
	}
	return unexpected(err)
}

// A countReader counts what was read through it.
type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
