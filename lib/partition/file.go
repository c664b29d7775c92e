// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"io"
	"io/fs"

	"github.com/diskfs/go-diskfs/backend"

	"ezio/lib/extent"
)

// A file is a disk as go-diskfs wants to see one: with an end to seek to, and nothing but reads.
type file struct {
	*io.SectionReader
}

var _ backend.File = file{}

// view is the size bytes of a disk from a disk offset.
func view(disk io.ReaderAt, off, size int64) file {
	return file{io.NewSectionReader(disk, off, size)}
}

func (file) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (file) Close() error               { return nil }

// A recorder is a disk that keeps what is written to it to itself, in order.
type recorder struct {
	file
	writes []extent.Patch
}

var _ backend.WritableFile = (*recorder)(nil)

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.writes = append(r.writes, extent.Patch{Offset: off, Data: append([]byte(nil), p...)})
	return len(p), nil
}
