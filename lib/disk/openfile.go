// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openFile opens an existing regular file.
func openFile(fd int, path string, opt TargetOptions) (*Target, error) {
	f, err := reopen(fd, path, unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	var t *Target
	if err == nil {
		t, err = checkFile(f, opt)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return t, nil
}

// checkFile looks at a file that is locked already, and makes room in it.
func checkFile(f *os.File, opt TargetOptions) (*Target, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Nlink == 0 {
		return nil, &RefusedError{Reason: "it was removed just now", Err: unix.ENOENT}
	}
	if r := inUse(live, objectOf(&st)); r != nil {
		return nil, r
	}
	t := &Target{}
	// Only an empty file is grown: any other size was chosen by somebody.
	if st.Size == 0 && opt.fileSize() > 0 {
		if err := f.Truncate(opt.fileSize()); err != nil {
			return nil, &RefusedError{
				Reason: fmt.Sprintf("it cannot become %d bytes long: %v", opt.fileSize(), bare(err)),
				Err:    err,
			}
		}
		t.fresh = true
		t.undo = func() error { return f.Truncate(0) }
	}
	var err error
	if t.handle, err = newHandle(f, &st); err != nil {
		return nil, err
	}
	if t.size < opt.Need { // also what looks like a file and stays empty, in /proc say
		return nil, tooSmall(t.size, opt.Need)
	}
	t.fresh = t.fresh || noData(f)
	return t, nil
}

// noData asks the file system whether the file is one hole. One that cannot tell says no.
func noData(f *os.File) bool {
	_, err := f.Seek(0, unix.SEEK_DATA)
	_, _ = f.Seek(0, unix.SEEK_SET)
	return errors.Is(err, unix.ENXIO)
}

// lock keeps a second receiver, or a virtual machine, from using the file at the same time. Of
// Linux's two kinds of advisory lock ours excludes ours by either, flock(1) looks at the one and
// qemu at the other. A file system without locks is no reason to refuse.
func lock(f *os.File) error {
	fd := f.Fd()
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET}
	// One after the other: who loses the first must not take the second from the winner.
	for _, take := range []func() error{
		func() error { return unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) },
		func() error { return unix.FcntlFlock(fd, unix.F_OFD_SETLK, &whole) },
	} {
		if err := take(); err == unix.EAGAIN || err == unix.EACCES {
			return &RefusedError{
				Reason: "it is in use by another process",
				Hint:   "fuser -v shows which; lslocks too",
				Err:    unix.EBUSY,
			}
		}
	}
	return nil
}

// create makes a sparse regular file where there was nothing. The last element of the path is
// never followed as a symbolic link.
func create(path string, opt TargetOptions) (*Target, error) {
	dir, base := filepath.Split(path)
	if base == "" || base == "." || base == ".." {
		return nil, unix.ENOENT
	}
	if dir == "" {
		dir = "."
	}
	dirFd, err := open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, &RefusedError{Reason: "the directory " + filepath.Clean(dir) + " does not exist", Err: err}
		}
		return nil, err
	}
	d := os.NewFile(uintptr(dirFd), dir)
	defer d.Close()
	if amongDevices(d) {
		return nil, &RefusedError{
			Reason: "there is no such device",
			Hint:   "lsblk lists the devices; a file in /dev would only fill memory",
			Err:    unix.ENOENT,
		}
	}
	fd, err := unix.Openat(dirFd, base,
		unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		return nil, &RefusedError{
			Reason: "it is a symbolic link to nothing, or another process created it just now", Err: err}
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	if err := lock(f); err != nil {
		_ = f.Close() // and the file is now whose lock came first
		return nil, err
	}
	t, err := checkFile(f, opt)
	if err == nil {
		err = syncDir(d)
	}
	if err != nil {
		return nil, errors.Join(err, remove(dir, base, f), f.Close())
	}
	t.fresh = true
	t.undo = func() error { return remove(dir, base, f) }
	return t, nil
}

// amongDevices says whether a directory is where device nodes are. A misspelled /dev/sdX must not
// become a file in memory.
func amongDevices(d *os.File) bool {
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.Fd()))
	if err != nil || at != "/dev" && !strings.HasPrefix(at, "/dev/") {
		return false
	}
	var dir, dev unix.Stat_t
	if unix.Fstat(int(d.Fd()), &dir) != nil || unix.Stat("/dev", &dev) != nil {
		return true
	}
	return dir.Dev == dev.Dev // and not /dev/shm, a file system of its own
}

// syncDir makes the new name durable: a file that is synced under no name is lost.
func syncDir(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // a file system that cannot sync directories
	}
	return err
}

// remove unlinks a file that this process created, unless the name has become another file's.
func remove(dir, base string, f *os.File) error {
	name := filepath.Join(dir, base)
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(name); err != nil || !os.SameFile(mine, there) {
		return nil
	}
	return os.Remove(name)
}
