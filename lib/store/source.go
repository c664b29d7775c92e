// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"io"
	"os"

	"ezio/lib/btfiles"
	"ezio/lib/disk"
)

// A Source is something that holds a disk's bytes: a device, an image file, a btfiles directory.
type Source interface {
	io.ReaderAt  // at disk offsets
	Size() int64 // bytes from disk offset 0 to the end
	Close() error
}

// OpenSource opens a device, an image file or a btfiles directory for reading.
func OpenSource(path string) (Source, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return btfiles.Open(path)
	}
	return disk.OpenSource(path)
}
