// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// TargetOptions say what a target must be able to hold.
type TargetOptions struct {
	Need       int64 // bytes: the disk offset just past the last byte that will be written
	FileSize   int64 // bytes a regular file gets when created or found empty; at least Need, 0 means Need
	BlockAlign int64 // bytes: a power of two that divides every extent's offset and length; 0 if unknown
	SectorSize int64 // bytes: what the logical sectors of a device must be, as partition tables count in them; 0 for any
}

func (o TargetOptions) fileSize() int64 { return max(o.FileSize, o.Need) }

// OpenTarget opens the device or regular file that will be overwritten, or refuses with a
// *RefusedError, which is the type of every error it returns. A path that does not exist yet
// becomes a sparse regular file. Whether a file with data in it may be overwritten (see Fresh) is
// for the caller to decide, and that a device may is implied by naming it.
func OpenTarget(path string, opt TargetOptions) (*Target, error) {
	if opt.Need < 0 {
		return nil, &RefusedError{Path: path, Reason: fmt.Sprintf("a target of %d bytes is needed", opt.Need)}
	}
	t, err := openTarget(path, opt)
	if err == nil {
		return t, nil
	}
	var r *RefusedError
	if !errors.As(err, &r) {
		r = refused(path, err)
	}
	r.Path = path
	return nil, r
}

func openTarget(path string, opt TargetOptions) (*Target, error) {
	fd, st, err := locate(path)
	if errors.Is(err, unix.ENOENT) {
		return create(path, opt)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if what := kind(&st); what != "" {
		return nil, &RefusedError{Reason: what, Hint: "the target is a block device or a regular file"}
	}
	openKind := openFile
	if isBlock(&st) {
		openKind = openDevice
	}
	t, err := openKind(fd, path, opt)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// openDevice opens a block device exclusively: from then on nothing can mount it, a partition of
// it, or the disk it is on, or swap to them, in any mount namespace. What had claimed it before
// makes the open fail with EBUSY.
func openDevice(fd int, path string, opt TargetOptions) (*Target, error) {
	f, err := reopen(fd, path, unix.O_RDWR|unix.O_EXCL)
	if errors.Is(err, unix.EBUSY) {
		return nil, whyBusy(fd)
	}
	if err != nil {
		return nil, err
	}
	t, err := checkDevice(f, opt)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	// udev leaves a locked disk alone (systemd.io/BLOCK_DEVICE_LOCKING). It is a courtesy: udev
	// may itself hold the lock just now, and exclusiveness is O_EXCL's affair.
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return t, nil
}

// checkDevice looks for what an exclusive open does not notice.
func checkDevice(f *os.File, opt TargetOptions) (*Target, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if r := inUse(live, objectOf(&st)); r != nil {
		return nil, r
	}
	readOnly, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKROGET)
	if err != nil {
		return nil, err
	}
	if readOnly != 0 {
		return nil, &RefusedError{
			Reason: "it is a read-only device",
			Hint:   "look for a write-protect switch, or blockdev --setrw " + f.Name(),
			Err:    unix.EROFS,
		}
	}
	h, err := newHandle(f, &st)
	if err != nil {
		return nil, err
	}
	// The bytes could be written, but a file system or partition table that was made for smaller
	// sectors cannot be used there.
	if opt.BlockAlign != 0 && opt.BlockAlign%int64(h.sector) != 0 {
		return nil, &RefusedError{Reason: fmt.Sprintf(
			"its sectors are %d bytes and the image was made for sectors of %d", h.sector, opt.BlockAlign)}
	}
	if opt.SectorSize != 0 && opt.SectorSize != int64(h.sector) {
		return nil, &RefusedError{Reason: fmt.Sprintf(
			"its sectors are %d bytes and the image is of a whole disk with sectors of %d", h.sector, opt.SectorSize)}
	}
	if h.size < opt.Need {
		return nil, tooSmall(h.size, opt.Need)
	}
	return &Target{handle: h}, nil
}

func tooSmall(size, need int64) *RefusedError {
	return &RefusedError{
		Reason: fmt.Sprintf("it is too small: it holds %d bytes and %d are needed", size, need),
		Err:    unix.ENOSPC,
	}
}
