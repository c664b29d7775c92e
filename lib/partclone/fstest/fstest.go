// SPDX-License-Identifier: GPL-2.0-or-later

// Package fstest makes real filesystems for tests, with files in them, by the system's own mkfs
// programs. A program that is missing fails the test: nothing is skipped. It needs root, for loop
// devices, where a filesystem is filled by mounting it. Whatever it attaches or mounts is gone
// when the test ends.
package fstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Size is that of every image made, in bytes: the least that mkfs.xfs accepts. They are sparse.
const Size = 300 << 20

// A Kind is one way to make a filesystem.
type Kind struct {
	Name    string // of the test: ext4-1k
	Type    string // as blkid calls it: ext4
	Program string // partclone's program for it: partclone.extfs
	mkfs    []string
	fill    func(t testing.TB, image, tree string)
}

// Main runs a package's tests in a mount namespace of their own; TestMain calls it. Programs under
// test that run at the same time elsewhere in namespaces of theirs would otherwise take copies of
// what is mounted here, and keep it mounted.
func Main(m *testing.M) {
	const inside = "FSTEST_NAMESPACE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		args := append([]string{"unshare", "--mount", "--propagation", "private", "--"}, os.Args...)
		err = syscall.Exec(unshare, args, append(os.Environ(), inside+"=1"))
	}
	fmt.Fprintf(os.Stderr, "run the tests in a mount namespace: unshare: %v\n", err)
	os.Exit(1)
}

// Kinds are all of them.
var Kinds = []Kind{
	{"ext4-1k", "ext4", "partclone.extfs", []string{"mkfs.ext4", "-q", "-F", "-b", "1024"}, mounted("ext4")},
	{"ext4-4k", "ext4", "partclone.extfs", []string{"mkfs.ext4", "-q", "-F", "-b", "4096"}, mounted("ext4")},
	{"ext3", "ext3", "partclone.extfs", []string{"mkfs.ext3", "-q", "-F"}, mounted("ext3")},
	{"ext2", "ext2", "partclone.extfs", []string{"mkfs.ext2", "-q", "-F"}, mounted("ext2")},
	{"xfs", "xfs", "partclone.xfs", []string{"mkfs.xfs", "-q", "-f"}, mounted("xfs")},
	{"btrfs", "btrfs", "partclone.btrfs", []string{"mkfs.btrfs", "-q", "-f"}, mounted("btrfs")},
	{"fat32", "vfat", "partclone.fat", []string{"mkfs.fat", "-F", "32"}, mtools},
	{"fat16", "vfat", "partclone.fat", []string{"mkfs.fat", "-F", "16", "-s", "32"}, mtools},
	{"ntfs", "ntfs", "partclone.ntfs", []string{"mkfs.ntfs", "-q", "-F", "-f"}, mounted("ntfs-3g")},
	{"exfat", "exfat", "partclone.exfat", []string{"mkfs.exfat"}, mounted("exfat-fuse")},
	{"f2fs", "f2fs", "partclone.f2fs", []string{"mkfs.f2fs", "-q", "-f"}, sload},
	{"minix", "minix", "partclone.minix", []string{"mkfs.minix", "-2"}, func(testing.TB, string, string) {}},
}

// Named finds a Kind by its name.
func Named(t testing.TB, name string) Kind {
	t.Helper()
	for _, k := range Kinds {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no kind of filesystem is named %q", name)
	return Kind{}
}

// Make makes a filesystem with files in it in an image file, and returns the file's path.
func (k Kind) Make(t testing.TB) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), k.Name+".img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, Size); err != nil {
		t.Fatal(err)
	}
	Run(t, k.mkfs[0], append(k.mkfs[1:len(k.mkfs):len(k.mkfs)], image)...)
	k.fill(t, image, tree(t))
	return image
}

// tree makes a directory of files of many sizes. Contents are the same in every run.
func tree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	random := rand.NewChaCha8([32]byte{1})
	for i, size := range []int{0, 1, 511, 4096, 4097, 70_000, 1 << 20, 3<<20 + 5, 20_000, 9_000_000, 12_345} {
		b := make([]byte, size)
		_, _ = random.Read(b)
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%3), fmt.Sprintf("file%02d.bin", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mounted fills a filesystem through the kernel or FUSE and removes some files again, so that used
// blocks do not form a single run.
func mounted(driver string) func(testing.TB, string, string) {
	return func(t testing.TB, image, tree string) {
		t.Helper()
		dev := Loop(t, image)
		m := Mount(t, driver, dev)
		Run(t, "cp", "-r", tree, m.Dir)
		for _, name := range []string{"d0/file06.bin", "d1/file04.bin"} {
			if err := os.Remove(filepath.Join(m.Dir, "tree", name)); err != nil {
				t.Fatal(err)
			}
		}
		m.Now()
		Run(t, "losetup", "-d", dev)
	}
}

func mtools(t testing.TB, image, tree string) {
	t.Helper()
	Run(t, "mcopy", "-s", "-i", image, tree, "::")
	Run(t, "mdel", "-i", image, "::tree/d0/file06.bin")
}

func sload(t testing.TB, image, tree string) {
	t.Helper()
	Run(t, "sload.f2fs", "-f", tree, image)
}

// Loop attaches a loop device to an image until the test ends.
func Loop(t testing.TB, image string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root, for loop devices")
	}
	dev := strings.TrimSpace(Run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() {
		// It may have been detached already, and be someone else's by now.
		out, err := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", image).Output()
		if err == nil && strings.TrimSpace(string(out)) == dev {
			Run(t, "losetup", "-d", dev)
		}
	})
	return dev
}

// A Mounted is a mounted filesystem.
type Mounted struct {
	Dir string
	Now func() // unmounts it, once
}

// Mount mounts a device by a driver, a kernel's filesystem type or a FUSE program, until the test
// ends or earlier.
func Mount(t testing.TB, driver, dev string, options ...string) Mounted {
	t.Helper()
	m := Mounted{Dir: t.TempDir()}
	opts := strings.Join(append([]string{"noatime"}, options...), ",")
	switch driver {
	case "ntfs-3g":
		Run(t, "ntfs-3g", "-o", opts, dev, m.Dir)
	case "exfat-fuse":
		Run(t, "mount.exfat-fuse", "-o", opts, dev, m.Dir)
	default:
		Run(t, "mount", "-t", driver, "-o", opts, dev, m.Dir)
	}
	done := false
	m.Now = func() {
		if !done {
			done = true
			Run(t, "umount", m.Dir)
		}
	}
	t.Cleanup(m.Now)
	return m
}

// Run runs a program to its end and returns its stdout. A failure, or the program's absence, fails
// the test.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	return stdout.String()
}
