// SPDX-License-Identifier: GPL-2.0-or-later

// Package disk opens, guards, sizes and syncs a block device or an image file.
//
// A Source is only read. A Target is raw and will be overwritten, so OpenTarget is where EZIO
// decides that a disk is not in use by anybody, and says why when it refuses.
//
// Invariants: a path is looked up once, and every check and every byte goes through what was
// found, so swapping the path afterwards changes nothing; a refusal has written no byte and left
// no file; whatever cannot be checked is refused; no write goes past the size a Target had when
// it was opened; after one failed sync a Target never again claims to be synced.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A RefusedError says why a target or a source was not opened. Nothing was written to it.
type RefusedError struct {
	Path   string
	Reason string // completes the sentence "refuse PATH: ..."
	Hint   string // what the user can do about it, or empty
	Err    error  // the system's error behind the reason, or nil
}

func (e *RefusedError) Error() string { return "refuse " + e.Path + ": " + e.Reason }
func (e *RefusedError) Unwrap() error { return e.Err }

// refused turns an error of the system into a refusal.
func refused(path string, err error) *RefusedError {
	r := &RefusedError{Path: path, Err: err}
	switch {
	case errors.Is(err, unix.EACCES):
		r.Reason, r.Hint = "permission denied", "run it as root, or as a user who may open it"
	case errors.Is(err, unix.EPERM):
		r.Reason, r.Hint = "operation not permitted", "lsattr shows whether it is immutable"
	case errors.Is(err, unix.EROFS):
		r.Reason = "it is on a read-only file system, or read-only itself"
	case errors.Is(err, unix.ETXTBSY):
		r.Reason = "it is a running program or a swap file"
	case errors.Is(err, unix.ENOENT):
		r.Reason = "it does not exist"
	default:
		r.Reason = bare(err).Error()
	}
	return r
}

// open is open(2) on an fd of its own, never inherited by a child.
func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// locate finds what a path names, without opening it: opening may already act (a tape rewinds, a
// watchdog starts to count, a fifo's writer wakes up). The fd keeps hold of exactly that object.
func locate(path string) (fd int, st unix.Stat_t, err error) {
	if fd, err = open(path, unix.O_PATH); err != nil {
		return -1, st, err
	}
	if err = unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// reopen opens for work what locate found, whatever its path names by now.
func reopen(fd int, path string, flags int) (*os.File, error) {
	n, err := open(fmt.Sprintf("/proc/self/fd/%d", fd), flags)
	if err == unix.ENOENT {
		return nil, fmt.Errorf("it cannot be opened through /proc/self/fd, is /proc mounted? %w", unix.ENOSYS)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), path), nil
}

// kind names what cannot be a target or a source, and is empty for what can.
func kind(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK, unix.S_IFREG:
		return ""
	case unix.S_IFDIR:
		return "it is a directory"
	case unix.S_IFCHR:
		return "it is a character device"
	case unix.S_IFIFO:
		return "it is a fifo"
	case unix.S_IFSOCK:
		return "it is a socket"
	}
	return "it is neither a block device nor a regular file"
}

func isBlock(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFBLK }

// Size is the number of bytes in a block device or regular file. It does not move the file's
// position.
func Size(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("size of %s: %w", f.Name(), err)
	}
	if what := kind(&st); what != "" {
		return 0, fmt.Errorf("size of %s: %s", f.Name(), what)
	}
	if !isBlock(&st) {
		return st.Size, nil
	}
	var n uint64
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0, fmt.Errorf("size of %s: %w", f.Name(), errno)
	}
	return int64(n), nil
}

// bare takes the operation and path off an error of package os, whose callers here know them
// better and add the offset.
func bare(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}
