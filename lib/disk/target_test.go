// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		found func(path string) error // makes what is there, or nil
		opt   TargetOptions
		size  int64
		fresh bool
	}{
		{"created", nil, TargetOptions{Need: 3 * mib}, 3 * mib, true},
		{"created as large as the source", nil, TargetOptions{Need: mib, FileSize: 1 << 40}, 1 << 40, true},
		{"created no smaller than needed", nil, TargetOptions{Need: 2 * mib, FileSize: mib}, 2 * mib, true},
		{"created for nothing", nil, TargetOptions{}, 0, true},
		{"empty", write(nil), TargetOptions{Need: mib, FileSize: 2 * mib}, 2 * mib, true},
		{"a hole", hole(4 * mib), TargetOptions{Need: mib, FileSize: 2 * mib}, 4 * mib, true},
		{"zeros", write(make([]byte, mib)), TargetOptions{Need: mib}, mib, false},
		{"data", write(randomBytes(1, mib+5)), TargetOptions{Need: mib, FileSize: 2 * mib}, mib + 5, false},
		{"data after a hole", tail, TargetOptions{Need: mib}, 4*mib + 1, false},
		{"odd alignment", write(make([]byte, mib)), TargetOptions{BlockAlign: 1}, mib, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.img")
			if c.found != nil {
				if err := c.found(path); err != nil {
					t.Fatal(err)
				}
			}
			target := mustTarget(t, path, c.opt)
			if target.Size() != c.size || target.Fresh() != c.fresh || target.IsDevice() ||
				target.SectorSize() != 1 || target.Path() != path {
				t.Errorf("size %d, fresh %v, device %v, sector %d, path %s", target.Size(), target.Fresh(),
					target.IsDevice(), target.SectorSize(), target.Path())
			}
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if st.Size() != c.size {
				t.Errorf("the file has %d bytes", st.Size())
			}
			if blocks := st.Sys().(*syscall.Stat_t).Blocks; c.fresh && blocks != 0 {
				t.Errorf("%d blocks allocated", blocks)
			}
			if c.found == nil && st.Mode().Perm() != 0o600 {
				t.Errorf("mode %v: anybody could read the disk's files", st.Mode())
			}
		})
	}
}

func write(p []byte) func(string) error {
	return func(path string) error { return os.WriteFile(path, p, 0o600) }
}

func hole(size int64) func(string) error {
	return func(path string) error { return errors.Join(write(nil)(path), os.Truncate(path, size)) }
}

func tail(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{0}, 4*mib)
	return errors.Join(err, f.Close())
}

func TestOpenDevice(t *testing.T) {
	img, dev := partitioned(t)
	ext4(t, dev+"p2")
	for _, c := range []struct {
		name, path string
		size       int64
	}{
		{"disk with partitions that are not in use", dev, 32 * mib},
		{"partition", dev + "p1", 8 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := mustTarget(t, c.path, TargetOptions{Need: c.size, FileSize: 64 * mib, BlockAlign: 4096})
			if target.Size() != c.size || target.Fresh() || !target.IsDevice() || target.SectorSize() != 512 {
				t.Errorf("size %d, fresh %v, device %v, sector %d", target.Size(), target.Fresh(),
					target.IsDevice(), target.SectorSize())
			}
		})
	}
	t.Run("partition beside a mounted one", func(t *testing.T) {
		mountAt(t, dev+"p2")
		target := mustTarget(t, dev+"p1", TargetOptions{})
		data := randomBytes(7, 4*mib+17)
		if n, err := target.WriteAt(data, 1111); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		if err := target.Sync(); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, img, 2048*512+1111, data)
	})
}

// TestDeviceIsHeld shows that nobody can take a target away while it is open.
func TestDeviceIsHeld(t *testing.T) {
	_, dev := partitioned(t)
	ext4(t, dev+"p1")
	target := mustTarget(t, dev, TargetOptions{})
	dir := t.TempDir()
	try := func() string {
		out, err := exec.Command("mount", dev+"p1", dir).CombinedOutput()
		if err == nil {
			run(t, "umount", dir)
			return ""
		}
		return string(out)
	}
	if out := try(); !strings.Contains(out, "busy") {
		t.Errorf("mounting a partition of an open target: %q", out)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	if out := try(); out != "" {
		t.Errorf("mounting it afterwards: %s", out)
	}
}

func TestWriteAt(t *testing.T) {
	img := imageFile(t, mib)
	dev := loopDevice(t, imageFile(t, mib))
	for _, path := range []string{img, dev} {
		target := mustTarget(t, path, TargetOptions{})
		old := make([]byte, mib)
		if _, err := target.ReadAt(old, 0); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			off int64
			n   int
		}{{-1, 1}, {mib, 1}, {mib - 1, 2}, {mib - 4096, 8192}, {1<<63 - 1, 1}, {1<<63 - 1, 4096}, {0, mib + 1}} {
			if n, err := target.WriteAt(make([]byte, c.n), c.off); n != 0 || err != errBeyond {
				t.Errorf("%s: %d bytes at %#x: %d, %v", path, c.n, c.off, n, err)
			}
		}
		got := make([]byte, mib+1)
		if n, err := target.ReadAt(got, 0); n != mib || err != io.EOF || string(got[:mib]) != string(old) {
			t.Errorf("%s: a refused write has left a trace (%d, %v)", path, n, err)
		}
		data := randomBytes(3, 4097)
		if n, err := target.WriteAt(data, mib-4097); n != 4097 || err != nil {
			t.Errorf("%s: up to its end: %d, %v", path, n, err)
		}
		if n, err := target.WriteAt(nil, mib); n != 0 || err != nil {
			t.Errorf("%s: nothing at its end: %d, %v", path, n, err)
		}
		wantBytes(t, path, mib-4097, data)
	}
}

// TestBareErrors checks that an error of ReadAt and WriteAt is the reason alone.
func TestBareErrors(t *testing.T) {
	dir := fullTmpfs(t, "size=4m")
	target := mustTarget(t, filepath.Join(dir, "x.img"), TargetOptions{Need: 16 * mib})
	n, err := target.WriteAt(make([]byte, 8*mib), 0)
	if n <= 0 || n > 4*mib || err != unix.ENOSPC {
		t.Errorf("write on a full disk: %d, %v", n, err)
	}
	if n, err := target.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("read before the start: %d, %v", n, err)
	}
	if n, err := target.ReadAt(make([]byte, 1), 16*mib); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}

	img := imageFile(t, 8*mib)
	dev := mustTarget(t, loopDevice(t, img, "--direct-io=on"), TargetOptions{})
	if err := os.Truncate(img, mib); err != nil {
		t.Fatal(err)
	}
	if n, err := dev.ReadAt(make([]byte, 4096), 4*mib); n != 0 || err != unix.EIO {
		t.Errorf("read of a bad sector: %d, %v", n, err)
	}
}

// failingDevice is a loop device that cannot keep more than 4 MiB, until heal is called.
func failingDevice(t *testing.T) (dev string, heal func()) {
	t.Helper()
	dir := fullTmpfs(t, "size=4m")
	img := filepath.Join(dir, "disk.img")
	sparse(t, img, 32*mib)
	dev = loopDevice(t, img)
	return dev, func() { run(t, "mount", "-o", "remount,size=64m", dir) }
}

// TestSyncFailsForGood fails a sync on a real device, heals the device and syncs again: the kernel
// then says that all is well, while what could not be written is lost.
func TestSyncFailsForGood(t *testing.T) {
	for _, c := range []struct {
		name string
		sync func(*Target) error
		want string
	}{
		{"Sync", (*Target).Sync, "sync PATH: "},
		{"WriteBack", func(target *Target) error { return target.WriteBack(8*mib, 8*mib) }, "sync PATH at 0x800000: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev, heal := failingDevice(t)
			target := mustTarget(t, dev, TargetOptions{Need: 32 * mib})
			if _, err := target.WriteAt(randomBytes(4, 16*mib), 0); err != nil {
				t.Fatal(err)
			}
			first := c.sync(target)
			if want := strings.Replace(c.want, "PATH", dev, 1); first == nil || !strings.HasPrefix(first.Error(), want) {
				t.Fatalf("%v, want %s...", first, want)
			}
			if !errors.Is(first, unix.ENOSPC) && !errors.Is(first, unix.EIO) {
				t.Errorf("%v does not say what went wrong", first)
			}
			heal()
			// What the kernel tried in the background may have failed as well; the second time is clean.
			_ = unix.Fsync(int(target.File().Fd()))
			if err := unix.Fsync(int(target.File().Fd())); err != nil {
				t.Fatalf("the kernel still fails (%v): this test shows nothing", err)
			}
			for range 2 {
				if err := target.Sync(); err != first {
					t.Errorf("Sync after a failure: %v", err)
				}
				if err := target.WriteBack(0, 1); err != first {
					t.Errorf("WriteBack after a failure: %v", err)
				}
			}
		})
	}
}

func TestWriteBack(t *testing.T) {
	img := imageFile(t, 8*mib)
	target := mustTarget(t, loopDevice(t, img), TargetOptions{})
	data := randomBytes(5, mib)
	if _, err := target.WriteAt(data, 3*mib); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, 0}, {0, -1}, {-1, 1}, {8 * mib, 1}, {0, 1<<63 - 1}, {8*mib - 1, 1<<63 - 1}} {
		if err := target.WriteBack(r[0], r[1]); err != nil {
			t.Error(err)
		}
	}
	if err := target.WriteBack(3*mib, mib); err != nil {
		t.Error(err)
	}
	wantBytes(t, img, 3*mib, data)
}

// TestDropCache changes the medium behind the kernel's back and looks which of the two is read.
func TestDropCache(t *testing.T) {
	const size = 16*mib + 512
	for _, c := range []struct {
		name   string
		off, n int64
	}{
		{"all", 0, size},
		{"beyond the end", 0, 1 << 62},
		{"one byte in the middle", 5*mib + 3, 1},
		{"an odd range", 5*mib - 7, 8*mib + 11},
		{"the last byte", size - 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := imageFile(t, size)
			target := mustTarget(t, loopDevice(t, img), TargetOptions{})
			got := make([]byte, min(c.n, size-c.off))
			changed := changeBehindCache(t, target, img, c.off, got)
			if err := target.DropCache(c.off, c.n); err != nil {
				t.Fatal(err)
			}
			if _, err := target.ReadAt(got, c.off); err != nil || string(got) != string(changed[c.off:][:len(got)]) {
				t.Errorf("not read from the medium (%v)", err)
			}
		})
	}
	target := mustTarget(t, imageFile(t, mib), TargetOptions{})
	for _, r := range [][2]int64{{0, mib}, {0, 0}, {0, -1}, {-1, 1}, {mib, 1}, {1<<63 - 1, 1<<63 - 1}, {1, 1<<63 - 1}} {
		if err := target.DropCache(r[0], r[1]); err != nil {
			t.Errorf("%d bytes at %d of a file: %v", r[1], r[0], err)
		}
	}
}

// changeBehindCache replaces what is in img, below the device, by what it returns, while the cache
// still holds the old bytes at off, which buf gets. The kernel may evict them at any time, so this
// may take more than one attempt.
func changeBehindCache(t *testing.T, target *Target, img string, off int64, buf []byte) []byte {
	t.Helper()
	for seed := byte(10); seed < 50; seed += 2 {
		old, changed := randomBytes(seed, int(target.Size())), randomBytes(seed+1, int(target.Size()))
		err := write(old)(img)
		err = errors.Join(err, unix.Fadvise(int(target.File().Fd()), 0, 0, unix.FADV_DONTNEED))
		_, readErr := target.ReadAt(make([]byte, target.Size()), 0)
		err = errors.Join(err, readErr, write(changed)(img))
		if _, readErr = target.ReadAt(buf, off); errors.Join(err, readErr) != nil {
			t.Fatal(err, readErr)
		}
		if string(buf) == string(old[off:][:len(buf)]) {
			return changed
		}
	}
	t.Fatal("the cache never held what it had read: this test shows nothing")
	return nil
}

func TestClose(t *testing.T) {
	path := imageFile(t, mib)
	target, err := OpenTarget(path, TargetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := target.WriteAt([]byte{1}, 0); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %d, %v", n, err)
	}
	if err := target.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("sync after close: %v", err)
	}
	mustTarget(t, path, TargetOptions{}) // the lock is gone as well
}

func TestAbandon(t *testing.T) {
	for _, c := range []struct {
		name  string
		found func(string) error
		write bool
		want  int64 // bytes afterwards, -1 when the file is gone
	}{
		{"created", nil, false, -1},
		{"created and written to", nil, true, mib},
		{"grown", write(nil), false, 0},
		{"grown and written to", write(nil), true, mib},
		{"found", write(randomBytes(1, mib)), false, mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.img")
			if c.found != nil {
				if err := c.found(path); err != nil {
					t.Fatal(err)
				}
			}
			target, err := OpenTarget(path, TargetOptions{Need: mib})
			if err != nil {
				t.Fatal(err)
			}
			if c.write {
				if _, err := target.WriteAt([]byte{1}, 0); err != nil {
					t.Error(err)
				}
			}
			if err := target.Abandon(); err != nil {
				t.Error(err)
			}
			size := int64(-1)
			if st, err := os.Stat(path); err == nil {
				size = st.Size()
			}
			if size != c.want {
				t.Errorf("%d bytes, want %d", size, c.want)
			}
			if _, err := target.WriteAt([]byte{1}, 0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("still open: %v", err)
			}
		})
	}
	t.Run("replaced meanwhile", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.img")
		target, err := OpenTarget(path, TargetOptions{Need: mib})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(write([]byte("other"))(path+".other"), os.Rename(path+".other", path)); err != nil {
			t.Fatal(err)
		}
		if err := target.Abandon(); err != nil {
			t.Error(err)
		}
		wantBytes(t, path, 0, []byte("other"))
	})
}

// The kernel reads a table only of a device that may have partitions; of a file nobody expects it.
func TestReadPartitions(t *testing.T) {
	img := imageFile(t, mib)
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"file":               {img, nil},
		"device":             {loopDevice(t, imageFile(t, mib), "--partscan"), nil},
		"device without any": {loopDevice(t, imageFile(t, mib)), unix.EINVAL},
	} {
		target := mustTarget(t, c.path, TargetOptions{Need: mib})
		if err := target.ReadPartitions(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
