// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// A Source is a device or file opened for reading only.
type Source struct{ *handle }

// OpenSource opens a device or regular file for reading. The error is a *RefusedError. A device
// may be in use meanwhile; MountedReadWrite tells.
func OpenSource(path string) (*Source, error) {
	h, err := openSource(path)
	if err != nil {
		r, ok := err.(*RefusedError)
		if !ok {
			r = refused(path, err)
		}
		r.Path = path
		return nil, r
	}
	return &Source{h}, nil
}

func openSource(path string) (*handle, error) {
	fd, st, err := locate(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if what := kind(&st); what != "" {
		return nil, &RefusedError{Reason: what, Hint: "the source is a block device or a regular file"}
	}
	f, err := reopen(fd, path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	h, err := measureSource(f, &st)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return h, nil
}

func measureSource(f *os.File, st *unix.Stat_t) (*handle, error) {
	h, err := newHandle(f, st)
	if err != nil {
		return nil, err
	}
	// Only advice: captures read from one end to the other.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	return h, nil
}
