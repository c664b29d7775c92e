// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A handle is what an open Source and an open Target have in common. Its methods may be used by
// any number of goroutines.
type handle struct {
	f      *os.File
	size   int64
	sector int
	device bool

	around around

	closing  sync.Once
	closeErr error
}

// newHandle measures an open file. Its errors are bare.
func newHandle(f *os.File, st *unix.Stat_t) (*handle, error) {
	h := &handle{f: f, sector: 1, device: isBlock(st)}
	var err error
	if h.size, err = Size(f); err != nil {
		return nil, err
	}
	if h.device {
		n, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
		if err != nil {
			return nil, err
		}
		h.sector = int(n)
	}
	return h, nil
}

// Path is the path it was opened by.
func (h *handle) Path() string { return h.f.Name() }

// Size in bytes, as it was when opened.
func (h *handle) Size() int64 { return h.size }

// SectorSize is a device's logical sector size in bytes, and 1 for a regular file.
func (h *handle) SectorSize() int { return h.sector }

// IsDevice tells a block device from a regular file.
func (h *handle) IsDevice() bool { return h.device }

// File is the open file, for sendfile and the like. Its position is shared: use explicit offsets.
// It must not be closed nor kept beyond Close.
func (h *handle) File() *os.File { return h.f }

// ReadAt is io.ReaderAt at a disk offset. An error other than io.EOF is the bare reason, such as
// "input/output error": the caller knows which extent or piece it was reading and joins
// operation, path and offset.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(p, off)
	if errors.Is(err, unix.EIO) {
		n, err = h.readAround(p, off, n, err)
	}
	return n, bare(err)
}

// hugeFolio is a bound on the units in which the kernel caches a file. It evicts only units that
// lie in the range asked for as a whole.
const hugeFolio = 2 << 20

// DropCache evicts the n bytes from off, and some around them, from the kernel's cache, so that
// the next read of them comes from the medium. Bytes not yet written there stay: Sync first.
func (h *handle) DropCache(off, n int64) error {
	if off < 0 || n <= 0 || off >= h.size {
		return nil
	}
	end := min(off+min(n, h.size-off)+hugeFolio, h.size)
	off -= off % hugeFolio
	n = end - off
	if end == h.size {
		n = 0 // to the end, with the last page, of which there may be only a part
	}
	return h.control(func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) })
}

// control runs do with the descriptor, which a Close meanwhile cannot hand to another file.
func (h *handle) control(do func(fd int) error) error {
	conn, err := h.f.SyscallConn()
	if err != nil {
		return bare(err)
	}
	var doErr error
	if err := conn.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return os.ErrClosed // the one way in which it fails, with an error of its own
	}
	return doErr
}

// Close closes it. Further calls do nothing and return what the first one did.
func (h *handle) Close() error {
	h.closing.Do(func() {
		h.closeErr = h.f.Close()
		h.around.open.Do(func() {})
		if h.around.f != nil {
			_ = h.around.f.Close()
		}
	})
	return h.closeErr
}
