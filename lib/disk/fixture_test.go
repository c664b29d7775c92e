// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// imageFile makes a file of random bytes.
func imageFile(t testing.TB, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, randomBytes(1, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func randomBytes(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// loopDevice attaches a file or device.
func loopDevice(t testing.TB, file string, flags ...string) string {
	t.Helper()
	needRoot(t)
	out, err := exec.Command("losetup", append(flags, "--find", "--show", file)...).Output()
	if err != nil {
		t.Fatalf("losetup %v %s: %v", flags, file, err)
	}
	dev := strings.TrimSpace(string(out))
	undo(t, "losetup", "-d", dev)
	return dev
}

// ext4 makes a file system that nothing writes to any more once it is mounted and synced.
func ext4(t testing.TB, dev string) {
	t.Helper()
	run(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0", dev)
}

func mountAt(t testing.TB, dev string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mount", append(flags, dev, dir)...)
	undo(t, "umount", dir)
	return dir
}

// mountElsewhere mounts dev in a mount namespace of its own until the test ends.
func mountElsewhere(t testing.TB, dev string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private",
		"sh", "-c", `mount "$0" "$1" && echo mounted && read end`, dev, dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // read reports the end of its input
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		t.Fatalf("mount in another namespace: %q, %v", line, err)
	}
	return dir
}

func symlink(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}

func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func fullTmpfs(t *testing.T, options string) string {
	t.Helper()
	return mountAt(t, "none", "-t", "tmpfs", "-o", options)
}

func ext4Loop(t *testing.T) (img, dev string) {
	t.Helper()
	img = imageFile(t, 8*mib)
	dev = loopDevice(t, img)
	ext4(t, dev)
	return img, dev
}

// partitioned is a disk with two partitions. The kernel is told of them: not every kernel reads
// partition tables.
func partitioned(t *testing.T) (img, dev string) {
	t.Helper()
	img = imageFile(t, 32*mib)
	dev = loopDevice(t, img, "--partscan")
	run(t, "addpart", dev, "1", "2048", "16384")
	run(t, "addpart", dev, "2", "18432", "32768")
	return img, dev
}

func swapOn(t *testing.T, path string) {
	t.Helper()
	run(t, "mkswap", path)
	run(t, "swapon", path)
	undo(t, "swapoff", path)
}

// btrfsPair makes one btrfs over two devices; img is behind the second.
func btrfsPair(t *testing.T) (img, a, b string) {
	t.Helper()
	dir := t.TempDir()
	img = dir + "/b.img"
	sparse(t, dir+"/a.img", 128*mib)
	sparse(t, img, 128*mib)
	a, b = loopDevice(t, dir+"/a.img"), loopDevice(t, img)
	run(t, "mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", a, b)
	run(t, "btrfs", "device", "scan", a, b)
	return img, a, b
}

func ofdLock(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	l := unix.Flock_t{Type: unix.F_RDLCK, Start: off, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		t.Fatal(err)
	}
}
