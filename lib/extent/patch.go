// SPDX-License-Identifier: GPL-2.0-or-later

package extent

import (
	"errors"
	"io"
)

// A Patch is some bytes at a disk offset.
type Patch struct {
	Offset int64
	Data   []byte
}

// Extent is where the patch lies.
func (p Patch) Extent() Extent { return Extent{Offset: p.Offset, Length: int64(len(p.Data))} }

// A Patched disk is read as if its patches had been written to it, the last one on top. What is
// written goes to the disk itself and into the patches in its way, so that it is read back. Like a
// disk it may be used by any number of goroutines, as long as none reads what another writes.
type Patched struct {
	Disk    io.ReaderAt // and io.WriterAt if it is to be written
	Patches []Patch
}

// overlap is the part that two extents have in common; its Length is not positive if there is none.
func overlap(a, b Extent) Extent {
	off := max(a.Offset, b.Offset)
	return Extent{Offset: off, Length: min(a.End(), b.End()) - off}
}

// Covers says whether a patch lies in a part of e.
func (d *Patched) Covers(e Extent) bool {
	for _, p := range d.Patches {
		if overlap(p.Extent(), e).Length > 0 {
			return true
		}
	}
	return false
}

// each calls do with the parts of b, which lies at off, and of patches that are the same bytes.
func (d *Patched) each(b []byte, off int64, do func(part, patch []byte)) {
	for _, p := range d.Patches {
		if o := overlap(p.Extent(), Extent{Offset: off, Length: int64(len(b))}); o.Length > 0 {
			do(b[o.Offset-off:][:o.Length], p.Data[o.Offset-p.Offset:][:o.Length])
		}
	}
}

// ReadAt is io.ReaderAt at a disk offset.
func (d *Patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(b, off)
	d.each(b[:n], off, func(part, patch []byte) { copy(part, patch) })
	return n, err
}

// WriteAt is io.WriterAt at a disk offset.
func (d *Patched) WriteAt(b []byte, off int64) (int, error) {
	w, ok := d.Disk.(io.WriterAt)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	n, err := w.WriteAt(b, off)
	d.each(b[:n], off, func(part, patch []byte) { copy(patch, part) })
	return n, err
}
