// SPDX-License-Identifier: GPL-2.0-or-later

package extent

import (
	"errors"
	"fmt"
	"io"
)

// An IOError is a read or write that failed, with the place on the disk where it did.
type IOError struct {
	Op     string // "read" or "write"
	Path   string // the device or file, as the user named it
	Offset int64  // disk offset from which on it failed
	Err    error
}

func (e *IOError) Error() string {
	return fmt.Sprintf("%s %s at %#x: %v", e.Op, e.Path, e.Offset, e.Err)
}

func (e *IOError) Unwrap() error { return e.Err }

// An Image is image space over a disk: reads and writes at image offsets, carried out at the disk
// offsets that hold them. It is as safe for concurrent use as the disk is.
type Image struct {
	Map  *Map
	Disk io.ReaderAt // at disk offsets; also an io.WriterAt if the image is to be written
	Path string      // what errors call the disk
}

// ReadAt fills p from image offset off. A short read with io.EOF happens only at the end of image
// space; a disk that ends before its extents do is an *IOError that wraps io.ErrUnexpectedEOF.
func (im Image) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for s := range im.Map.Slices(off, int64(len(p))) {
		n, err := im.Disk.ReadAt(p[done:done+int(s.Length)], s.Offset)
		done += n
		if int64(n) < s.Length {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return done, &IOError{Op: "read", Path: im.Path, Offset: s.Offset + int64(n), Err: err}
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// WriteAt writes p to the places on the disk that hold image offset off. Every byte of p must lie
// in image space. A failed or short write is an *IOError.
func (im Image) WriteAt(p []byte, off int64) (int, error) {
	w, ok := im.Disk.(io.WriterAt)
	if !ok {
		return 0, &IOError{Op: "write", Path: im.Path, Err: errors.ErrUnsupported}
	}
	if off < 0 || off > im.Map.Size()-int64(len(p)) {
		return 0, fmt.Errorf("write of %d bytes at image offset %#x: beyond the image's %d bytes", len(p), off, im.Map.Size())
	}
	done := 0
	for s := range im.Map.Slices(off, int64(len(p))) {
		n, err := w.WriteAt(p[done:done+int(s.Length)], s.Offset)
		done += n
		if err == nil && int64(n) < s.Length {
			err = io.ErrShortWrite
		}
		if err != nil {
			return done, &IOError{Op: "write", Path: im.Path, Offset: s.Offset + int64(n), Err: err}
		}
	}
	return done, nil
}
