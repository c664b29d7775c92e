// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel reads and caches a disk in units of up to 2 MiB, and one bad sector fails a unit as a
// whole, again and again, though all else of it is readable. What fails through the cache is therefore
// read once more around it, sector by sector in the end: only what is really bad is an error.

// around reads a file past the cache. It is opened when it is needed first.
type around struct {
	open sync.Once
	f    *os.File // nil when the file system has no such thing
}

const (
	aroundUnit = 64 << 10 // bytes read at a time, while that works
	aroundStep = 4096     // and then; offset, length and memory are multiples of it
)

// readAround goes on where a read of p at off failed after n bytes, with cause.
func (h *handle) readAround(p []byte, off int64, n int, cause error) (int, error) {
	h.around.open.Do(func() {
		_ = h.control(func(fd int) error {
			f, err := reopen(fd, h.f.Name(), unix.O_RDONLY|unix.O_DIRECT)
			h.around.f = f
			return err
		})
	})
	if h.around.f == nil {
		return n, cause
	}
	buf := aligned(aroundUnit)
	for n < len(p) {
		got, err := h.readUnit(p[n:], off+int64(n), buf)
		if err != nil {
			got, err = h.readUnit(p[n:], off+int64(n), buf[:aroundStep])
		}
		if err != nil {
			return n, err
		}
		if got == 0 {
			return n, cause
		}
		n += got
	}
	return n, nil
}

// readUnit reads what of p lies in the unit, as long as buf, that begins with off's step.
func (h *handle) readUnit(p []byte, off int64, buf []byte) (int, error) {
	start := off &^ (aroundStep - 1)
	if end := h.size; h.device && start+int64(len(buf)) > end {
		buf = buf[:end-start] // a multiple of its sectors
	}
	m, err := unix.Pread(int(h.around.f.Fd()), buf, start)
	if err != nil {
		return 0, err
	}
	skip := int(off - start)
	if m <= skip {
		return 0, nil
	}
	return copy(p, buf[skip:m]), nil
}

// aligned is n bytes at an address that a disk can write to.
func aligned(n int) []byte {
	b := make([]byte, n+aroundStep)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (aroundStep - 1)
	return b[skip : skip+n : skip+n]
}
