// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"ezio/lib/btfiles"
	"ezio/lib/disk"
	"ezio/lib/partclone"
)

// A Source is something that holds a disk's bytes: a device, an image file, a btfiles directory, a
// partclone image.
type Source interface {
	io.ReaderAt  // at disk offsets
	Size() int64 // bytes from disk offset 0 to the end
	Close() error
}

// OpenSource opens a device, an image file, a btfiles directory or an uncompressed partclone image
// for reading.
func OpenSource(path string) (Source, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return btfiles.Open(path)
	}
	src, err := disk.OpenSource(path)
	if err != nil || src.IsDevice() {
		return src, err
	}
	// No disk begins like this: where the image has its name, a boot sector has code.
	front := make([]byte, 16)
	if _, err := src.ReadAt(front, 0); err != nil || !partclone.IsImage(front) {
		return src, nil
	}
	f, err := partclone.NewFile(src, src.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), src.Close())
	}
	return cloned{f, src}, nil
}

// cloned is a partclone image with the file that it is in.
type cloned struct {
	*partclone.File
	io.Closer
}
