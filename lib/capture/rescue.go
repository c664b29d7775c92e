// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"ezio/lib/btinfo"
	"ezio/lib/disk"
	"ezio/lib/extent"
)

// A LossError says that a capture was made, and what of the source it holds zeros in the place of.
type LossError struct {
	Path string
	Lost []extent.Extent // disk ranges, ascending
}

func (e *LossError) Error() string {
	return fmt.Sprintf("%s: %d bytes could not be read and are zeros in the capture, in %d ranges", e.Path, total(e.Lost), len(e.Lost))
}

// A rescuer reads a source as ddrescue does: what cannot be read it halves until the bad sectors are
// found, gives zeros for these, and remembers them. It is for one reader from front to back.
type rescuer struct {
	*disk.Source
	direct *os.File // past the kernel's cache, which fails a page for one of its sectors; or nil
	page   []byte   // aligned memory for it
	lost   []extent.Extent
}

// rescuePage is the unit of the kernel's cache, and a multiple of any sector.
const rescuePage = 4096

func newRescuer(src *disk.Source) *rescuer {
	r := &rescuer{Source: src}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", src.File().Fd()), os.O_RDONLY|unix.O_DIRECT, 0)
	if err == nil {
		r.direct = f
		b := make([]byte, 2*rescuePage)
		skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (rescuePage - 1)
		r.page = b[skip:][:rescuePage]
	}
	return r
}

func (r *rescuer) Close() error {
	if r.direct == nil {
		return nil
	}
	return r.direct.Close()
}

// rescue captures a source that cannot be read everywhere.
func rescue(ctx context.Context, image extent.Image, src *disk.Source, p *plan, opt Options, last func(*btinfo.Info) error) (*btinfo.Info, error) {
	r := newRescuer(src)
	defer r.Close()
	image.Disk = r
	info, err := run(ctx, io.NewSectionReader(image, 0, image.Map.Size()), p, image.Map, opt, last)
	if err == nil && len(r.lost) > 0 {
		err = &LossError{Path: image.Path, Lost: r.lost}
	}
	return info, err
}

// medium says whether a failure is that of a place on the medium and not of the whole device.
func medium(err error) bool {
	for _, e := range []error{unix.EIO, unix.ENODATA, unix.EILSEQ, unix.EREMOTEIO, unix.ETIMEDOUT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ReadAt is io.ReaderAt at a disk offset.
func (r *rescuer) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.Source.ReadAt(p, off)
	if n == len(p) || !medium(err) {
		return n, err
	}
	if err := r.rescue(p[n:], off+int64(n)); err != nil {
		return n, err
	}
	return len(p), nil
}

// rescue fills p from where a read has failed.
func (r *rescuer) rescue(p []byte, off int64) error {
	sector := int64(max(r.SectorSize(), 512))
	if first := sector - off%sector; int64(len(p)) <= first {
		return r.sector(p, off, sector)
	}
	// Half of it, up to a boundary between sectors.
	half := off + int64(len(p))/2
	half = max(off+sector-off%sector, half-half%sector)
	for _, part := range [][]byte{p[:half-off], p[half-off:]} {
		n, err := r.Source.ReadAt(part, off)
		if n < len(part) {
			if !medium(err) {
				return err
			}
			if err := r.rescue(part[n:], off+int64(n)); err != nil {
				return err
			}
		}
		off += int64(len(part))
	}
	return nil
}

// sector reads p, which lies in one sector, past the cache, and gives it up if that fails too.
func (r *rescuer) sector(p []byte, off, sector int64) error {
	at := off - off%sector
	if r.direct != nil {
		n, err := r.direct.ReadAt(r.page[:sector], at)
		if int64(n) >= off-at+int64(len(p)) {
			copy(p, r.page[off-at:n])
			return nil
		}
		if err != nil && err != io.EOF && !medium(err) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	clear(p)
	r.give(extent.Extent{Offset: off, Length: int64(len(p))})
	return nil
}

// give adds a range to those lost.
func (r *rescuer) give(e extent.Extent) {
	if n := len(r.lost); n > 0 && r.lost[n-1].End() == e.Offset {
		r.lost[n-1].Length += e.Length
		return
	}
	r.lost = append(r.lost, e)
}
