// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A refusal is a target that must be refused, and the file that would suffer if it were not.
type refusal struct {
	path  string
	bytes string // file whose bytes must stay; path itself when empty
	opt   TargetOptions
	want  string // in the reason; %m stands for mnt
	mnt   string
	err   error // that must be wrapped, or nil
	swap  bool  // the kernel may swap to the bytes at any time
}

var refusals = []struct {
	name string
	make func(t *testing.T) refusal
}{
	{"missing directory", func(t *testing.T) refusal {
		return refusal{path: filepath.Join(t.TempDir(), "no", "x"), want: "/no does not exist", err: unix.ENOENT}
	}},
	{"misspelled device", func(t *testing.T) refusal {
		t.Cleanup(func() { _ = os.Remove("/dev/ezio-no-such-disk") })
		return refusal{path: "/dev/ezio-no-such-disk", want: "no such device", err: unix.ENOENT}
	}},
	{"misspelled device through a link", func(t *testing.T) refusal {
		link := filepath.Join(t.TempDir(), "by-id")
		symlink(t, "/dev", link)
		t.Cleanup(func() { _ = os.Remove("/dev/ezio-no-such-disk") })
		return refusal{path: link + "/ezio-no-such-disk", bytes: "/dev/ezio-no-such-disk", want: "no such device"}
	}},
	{"no name", func(t *testing.T) refusal { return refusal{path: "", want: "does not exist"} }},
	{"name with a slash at its end", func(t *testing.T) refusal {
		return refusal{path: t.TempDir() + "/x/", want: "does not exist", err: unix.ENOENT}
	}},
	{"directory", func(t *testing.T) refusal { return refusal{path: t.TempDir(), bytes: "/none", want: "a directory"} }},
	{"character device", func(t *testing.T) refusal {
		return refusal{path: "/dev/null", want: "a character device"}
	}},
	{"fifo", func(t *testing.T) refusal {
		path := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		return refusal{path: path, bytes: "/none", want: "a fifo"}
	}},
	{"socket", func(t *testing.T) refusal {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return refusal{path: path, bytes: "/none", want: "a socket"}
	}},
	{"dangling link", func(t *testing.T) refusal {
		dir := t.TempDir()
		symlink(t, dir+"/nothing", dir+"/link")
		return refusal{path: dir + "/link", bytes: dir + "/nothing", want: "a symbolic link to nothing", err: unix.EEXIST}
	}},
	{"link to itself", func(t *testing.T) refusal {
		link := filepath.Join(t.TempDir(), "link")
		symlink(t, link, link)
		return refusal{path: link, bytes: "/none", want: "symbolic links", err: unix.ELOOP}
	}},
	{"negative size", func(t *testing.T) refusal {
		return refusal{path: filepath.Join(t.TempDir(), "x"), opt: TargetOptions{Need: -1}, want: "-1 bytes"}
	}},
	{"new file too large for the file system", func(t *testing.T) refusal {
		path := filepath.Join(t.TempDir(), "x")
		return refusal{path: path, opt: TargetOptions{Need: 1<<63 - 1}, want: "cannot become", err: unix.EFBIG}
	}},
	{"file that only looks regular", func(t *testing.T) refusal {
		return refusal{path: "/proc/self/clear_refs", bytes: "/none", opt: TargetOptions{Need: mib}, want: "too small"}
	}},
	{"file of data too small", func(t *testing.T) refusal {
		return refusal{path: imageFile(t, mib), opt: TargetOptions{Need: mib + 1}, want: "holds 1048576 bytes and 1048577", err: unix.ENOSPC}
	}},
	{"hole too small", func(t *testing.T) refusal {
		path := filepath.Join(t.TempDir(), "x")
		sparse(t, path, mib)
		return refusal{path: path, opt: TargetOptions{Need: mib + 1}, want: "too small"}
	}},
	{"immutable file", func(t *testing.T) refusal {
		path := imageFile(t, mib)
		run(t, "chattr", "+i", path)
		undo(t, "chattr", "-i", path)
		return refusal{path: path, want: "not permitted", err: unix.EPERM}
	}},
	{"file on a read-only file system", func(t *testing.T) refusal {
		dir := fullTmpfs(t, "size=2m")
		sparse(t, dir+"/x", mib)
		run(t, "mount", "-o", "remount,ro", dir)
		return refusal{path: dir + "/x", want: "read-only", err: unix.EROFS}
	}},
	{"new file on a read-only file system", func(t *testing.T) refusal {
		dir := fullTmpfs(t, "size=2m,ro")
		return refusal{path: dir + "/x", want: "read-only", err: unix.EROFS}
	}},
	{"running program", func(t *testing.T) refusal {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return refusal{path: self, want: "running program", err: unix.ETXTBSY}
	}},
	{"file another receiver writes", func(t *testing.T) refusal {
		path := imageFile(t, mib)
		mustTarget(t, path, TargetOptions{})
		return refusal{path: path, want: "in use by another process", err: unix.EBUSY}
	}},
	{"file locked by flock(1)", func(t *testing.T) refusal {
		path := imageFile(t, mib)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
			t.Fatal(err)
		}
		return refusal{path: path, want: "in use by another process", err: unix.EBUSY}
	}},
	{"file without a name", func(t *testing.T) refusal {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		return refusal{path: path, opt: TargetOptions{Need: mib}, want: "removed just now"}
	}},
	{"file of a virtual machine", func(t *testing.T) refusal {
		path := imageFile(t, mib)
		ofdLock(t, path, 100) // where qemu puts its shared locks
		return refusal{path: path, want: "in use by another process"}
	}},
	{"device another receiver writes", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		dev := loopDevice(t, img)
		mustTarget(t, dev, TargetOptions{})
		return refusal{path: dev, bytes: img, want: "in use by another program", err: unix.EBUSY}
	}},
	{"device too small", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		return refusal{path: loopDevice(t, img), bytes: img, opt: TargetOptions{Need: mib + 1},
			want: "holds 1048576 bytes and 1048577", err: unix.ENOSPC}
	}},
	{"read-only device", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		return refusal{path: loopDevice(t, img, "--read-only"), bytes: img, want: "read-only device", err: unix.EROFS}
	}},
	{"sectors too large", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		return refusal{path: loopDevice(t, img, "--sector-size", "4096"), bytes: img, opt: TargetOptions{BlockAlign: 512},
			want: "its sectors are 4096 bytes and the image was made for sectors of 512"}
	}},
	{"sectors of another size, for a whole disk", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		return refusal{path: loopDevice(t, img), bytes: img, opt: TargetOptions{BlockAlign: 4096, SectorSize: 4096},
			want: "its sectors are 512 bytes and the image is of a whole disk with sectors of 4096"}
	}},
	{"mounted", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		return refusal{path: dev, bytes: img, want: "it is mounted on %m", mnt: mountAt(t, dev), err: unix.EBUSY}
	}},
	{"mounted read-only", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		return refusal{path: dev, bytes: img, want: "it is mounted on %m", mnt: mountAt(t, dev, "-o", "ro"), err: unix.EBUSY}
	}},
	{"mounted, by a link to the device", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		link := filepath.Join(t.TempDir(), "by-id")
		symlink(t, dev, link)
		return refusal{path: link, bytes: img, want: "it is mounted on %m", mnt: mountAt(t, dev)}
	}},
	{"mounted, by another node of the device", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		var st unix.Stat_t
		if err := unix.Stat(dev, &st); err != nil {
			t.Fatal(err)
		}
		node := filepath.Join(t.TempDir(), "node")
		if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(st.Rdev)); err != nil {
			t.Fatal(err)
		}
		return refusal{path: node, bytes: img, want: "it is mounted on %m", mnt: mountAt(t, dev)}
	}},
	{"mounted in another mount namespace", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		dir := mountElsewhere(t, dev)
		return refusal{path: dev, bytes: img, want: "it is mounted on %m (in the mount namespace of process", mnt: dir, err: unix.EBUSY}
	}},
	{"disk with a mounted partition", func(t *testing.T) refusal {
		img, dev := partitioned(t)
		ext4(t, dev+"p1")
		return refusal{path: dev, bytes: img, want: "p1 is mounted on %m", mnt: mountAt(t, dev+"p1"), err: unix.EBUSY}
	}},
	{"partition of a mounted disk", func(t *testing.T) refusal {
		img, dev := partitioned(t)
		ext4(t, img) // before the device has read any of it
		return refusal{path: dev + "p1", bytes: img, want: "its disk loop", mnt: mountAt(t, dev), err: unix.EBUSY}
	}},
	{"swap", func(t *testing.T) refusal {
		img := imageFile(t, 16*mib)
		dev := loopDevice(t, img)
		swapOn(t, dev)
		return refusal{path: dev, bytes: img, want: "it is in use as swap", err: unix.EBUSY, swap: true}
	}},
	{"disk with a swap partition", func(t *testing.T) refusal {
		img, dev := partitioned(t)
		swapOn(t, dev+"p2")
		return refusal{path: dev, bytes: img, want: "p2 is in use as swap", err: unix.EBUSY, swap: true}
	}},
	{"swap file", func(t *testing.T) refusal {
		path := filepath.Join(t.TempDir(), "swap file") // the blank is escaped in /proc/swaps
		if err := os.WriteFile(path, randomBytes(2, 16*mib), 0o600); err != nil {
			t.Fatal(err)
		}
		swapOn(t, path)
		return refusal{path: path, want: "it is in use as swap", swap: true}
	}},
	{"member of a btrfs", func(t *testing.T) refusal {
		img, a, b := btrfsPair(t)
		return refusal{path: b, bytes: img, want: "btrfs mounted on %m", mnt: mountAt(t, a), err: unix.EBUSY}
	}},
	{"backing file of a loop device", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		loopDevice(t, img)
		return refusal{path: img, want: "it is the backing file of /dev/loop"}
	}},
	{"backing file by another of its names", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		loopDevice(t, img)
		if err := errors.Join(os.Link(img, img+".link"), os.Remove(img)); err != nil {
			t.Fatal(err)
		}
		return refusal{path: img + ".link", want: "it is the backing file of /dev/loop"}
	}},
	{"backing file renamed", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		loopDevice(t, img)
		if err := os.Rename(img, img+".new"); err != nil {
			t.Fatal(err)
		}
		return refusal{path: img + ".new", want: "it is the backing file of /dev/loop"}
	}},
	{"loop-mounted file", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		return refusal{path: img, want: dev + ", mounted on %m", mnt: mountAt(t, dev)}
	}},
	{"device behind a loop device", func(t *testing.T) refusal {
		img := imageFile(t, mib)
		dev := loopDevice(t, img)
		loopDevice(t, dev)
		return refusal{path: dev, bytes: img, want: "it is the backing file of /dev/loop"}
	}},
	{"disk with a partition behind a loop device", func(t *testing.T) refusal {
		img, dev := partitioned(t)
		loopDevice(t, dev+"p2")
		return refusal{path: dev, bytes: img, want: "p2 is the backing file of /dev/loop"}
	}},
	{"partition of a disk behind a loop device", func(t *testing.T) refusal {
		img, dev := partitioned(t)
		loopDevice(t, dev)
		return refusal{path: dev + "p1", bytes: img, want: "is the backing file of /dev/loop"}
	}},
	{"loop device over a mounted one", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		over := loopDevice(t, dev)
		return refusal{path: over, bytes: img, want: "its backing file " + dev + " is mounted on %m", mnt: mountAt(t, dev)}
	}},
	{"loop device over one mounted in another mount namespace", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		over := loopDevice(t, dev)
		return refusal{path: over, bytes: img, want: "its backing file " + dev + " is mounted on %m", mnt: mountElsewhere(t, dev)}
	}},
	{"second loop device on a mounted file", func(t *testing.T) refusal {
		img, dev := ext4Loop(t)
		second := loopDevice(t, img)
		return refusal{path: second, bytes: img, want: dev + ", mounted on %m", mnt: mountAt(t, dev)}
	}},
}

func TestRefused(t *testing.T) {
	needRoot(t)
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			r := c.make(t)
			if r.bytes == "" {
				r.bytes = r.path
			}
			err := wantUntouched(t, r)
			if err == nil {
				t.Fatal("opened")
			}
			refused, ok := errors.AsType[*RefusedError](err)
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			t.Logf("%v; hint: %s", err, refused.Hint)
			if want := strings.ReplaceAll(r.want, "%m", r.mnt); !strings.Contains(refused.Reason, want) {
				t.Errorf("reason %q, want %q in it", refused.Reason, want)
			}
			if refused.Path != r.path {
				t.Errorf("path %q", refused.Path)
			}
			if r.err != nil && !errors.Is(err, r.err) {
				t.Errorf("does not wrap %q", r.err)
			}
		})
	}
}

// wantUntouched opens what must be refused and compares bytes and open files before and after.
// A swap area may be swapped to meanwhile, but not each time, so there it looks again.
func wantUntouched(t *testing.T, r refusal) error {
	t.Helper()
	for range 5 {
		unix.Sync()
		before, fds := held(t, r.bytes), openFiles(t)
		target, err := OpenTarget(r.path, r.opt)
		if err == nil {
			_ = target.Close()
			return nil
		}
		unix.Sync()
		if n := openFiles(t); n != fds {
			t.Errorf("%d files open, %d before", n, fds)
		}
		if held(t, r.bytes) == before {
			return err
		}
		if !r.swap {
			break
		}
	}
	t.Fatal("the bytes have changed")
	return nil
}

// TestRefusedPermission is a test of its own because it gives root up, which only a thread that
// ends afterwards can do.
func TestRefusedPermission(t *testing.T) {
	needRoot(t)
	img := imageFile(t, mib)
	dir := filepath.Dir(img)
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	dev := loopDevice(t, imageFile(t, mib))
	for _, path := range []string{img, dev, dir + "/new"} {
		before := digest(t, path)
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if _, err := unix.SetfsuidRetUid(65534); err != nil {
				t.Error(err)
			}
			target, err := OpenTarget(path, TargetOptions{Need: mib})
			if err == nil {
				_ = target.Close()
			}
			done <- err
		}()
		err := <-done
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Reason != "permission denied" || refused.Hint == "" || !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", path, err)
		}
		if digest(t, path) != before {
			t.Errorf("%s has changed", path)
		}
	}
}

// TestAfterRefusal shows that a refusal lets go: what is in the way can be removed, and then the
// same target opens.
func TestAfterRefusal(t *testing.T) {
	_, dev := ext4Loop(t)
	dir := t.TempDir()
	for range 3 {
		run(t, "mount", dev, dir)
		if target, err := OpenTarget(dev, TargetOptions{}); err == nil {
			_ = target.Close()
			t.Error("opened while mounted")
		}
		run(t, "umount", dir)
		target, err := OpenTarget(dev, TargetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
}

// held is the digest of a regular file, and "nothing" when there is none.
func held(t *testing.T, path string) string {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return "nothing"
	}
	return digest(t, path)
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
