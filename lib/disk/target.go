// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Target is a device or file that OpenTarget has found safe to overwrite and keeps open, and a
// device exclusively so, until Close.
type Target struct {
	*handle
	fresh   bool
	undo    func() error // takes back what OpenTarget did to make room, or nil
	written atomic.Bool

	mu      sync.Mutex
	syncErr error // of the first sync that failed
}

// errBeyond keeps a wrong offset from growing a file. A device would refuse by itself, but only
// after it had written the part that fits.
var errBeyond = errors.New("beyond the end of the target")

// WriteAt is io.WriterAt at a disk offset. It writes all of p or fails; n bytes were handed to the
// kernel before the failure. A range that is not wholly inside the target is refused without
// writing any of it. The error is the bare reason, such as "no space left on device": the caller
// knows which extent or piece it was writing and joins operation, path and offset.
func (t *Target) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > t.size-int64(len(p)) {
		return 0, errBeyond
	}
	t.written.Store(true)
	err = t.control(func(fd int) error {
		n, err = pwriteAll(fd, p, off)
		return err
	})
	return n, err
}

// pwriteAll continues after short writes and EINTR. os.File's WriteAt would do so too, but when it
// fails it forgets how far it had come, and with it where the disk is bad.
func pwriteAll(fd int, p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		m, err := unix.Pwrite(fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrShortWrite
		default:
			n += m
		}
	}
	return len(p), nil
}

// Fresh says that the target has nothing to lose: a regular file that OpenTarget created, or that
// it found without any data in it. A device is never fresh; its zeros may be meant.
func (t *Target) Fresh() bool { return t.fresh }

// WriteBack hands the n bytes from off to the device and waits until it has taken them. It bounds
// what is dirty in memory, and makes a failing disk known near the offset where it fails instead
// of at the end. It is not a Sync: the device may still hold the bytes in its own cache.
//
// A failure is the target's, as if Sync had failed: the kernel tells it only once.
func (t *Target) WriteBack(off, n int64) error {
	if off < 0 || n <= 0 || off >= t.size {
		return nil // to the kernel 0 bytes mean all the rest
	}
	n = min(n, t.size-off)
	return t.once(func() error {
		const writeAndWait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE |
			unix.SYNC_FILE_RANGE_WAIT_AFTER
		err := t.control(func(fd int) error { return unix.SyncFileRange(fd, off, n, writeAndWait) })
		if err != nil {
			return fmt.Errorf("sync %s at %#x: %w", t.Path(), off, err)
		}
		return nil
	})
}

// Sync makes everything written durable. After a failure the kernel has dropped what it could not
// write and may well report success the next time, so the first error is final: every later Sync
// returns it without asking.
func (t *Target) Sync() error {
	return t.once(func() error {
		if err := t.f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", t.Path(), bare(err))
		}
		return nil
	})
}

// once runs one sync at a time: were there two, one could be told of the failure and the other,
// returning first, of success.
func (t *Target) once(sync func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.syncErr == nil {
		t.syncErr = sync()
	}
	return t.syncErr
}

// ReadPartitions has the kernel read the partition table again, so that it knows what was written to
// the disk. Of a file nobody reads it.
func (t *Target) ReadPartitions() error {
	if !t.device {
		return nil
	}
	err := t.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.BLKRRPART, 0) })
	if err != nil {
		return fmt.Errorf("read the partition table of %s: %w", t.Path(), err)
	}
	return nil
}

// Abandon closes a target that will not be filled after all. If nothing was ever written to it, a
// file that OpenTarget created is removed and one that it grew is emptied again.
func (t *Target) Abandon() error {
	var err error
	if t.undo != nil && !t.written.Load() {
		err = t.undo()
		t.undo = nil
	}
	return errors.Join(err, t.Close())
}
