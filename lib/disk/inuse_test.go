// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A fake is a made-up /proc and /sys, for what needs drivers that a test cannot count on.
type fake struct {
	kernel
	t *testing.T
}

// newFake has a disk sda (8:0) with the partitions sda1 (8:1) and sda2 (8:2).
func newFake(t *testing.T) *fake {
	dir := t.TempDir()
	f := &fake{kernel{sys: dir + "/sys", proc: dir + "/proc", dev: dir + "/dev"}, t}
	f.device("sda", 8, 0)
	f.device("sda/sda1", 8, 1)
	f.device("sda/sda2", 8, 2)
	f.file("sys/devices/sda/sda1/partition", "1\n")
	f.file("sys/devices/sda/sda2/partition", "2\n")
	f.file("proc/self/mountinfo", "22 1 9:9 / / rw - ext4 /dev/root rw\n")
	return f
}

func (f *fake) file(path, text string) {
	f.t.Helper()
	path = filepath.Join(filepath.Dir(f.sys), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) link(to, from string) {
	f.t.Helper()
	base := filepath.Dir(f.sys)
	if err := os.MkdirAll(filepath.Dir(filepath.Join(base, from)), 0o700); err != nil {
		f.t.Fatal(err)
	}
	symlink(f.t, filepath.Join(base, to), filepath.Join(base, from))
}

func (f *fake) device(path string, major, minor int) {
	f.t.Helper()
	number := fmt.Sprintf("%d:%d", major, minor)
	f.file("sys/devices/"+path+"/dev", number+"\n")
	f.link("sys/devices/"+path, "sys/dev/block/"+number)
	if !strings.Contains(path, "/") {
		f.link("sys/devices/"+path, "sys/block/"+path)
	}
}

// hold puts a device on top of another.
func (f *fake) hold(below, by string, minor int) {
	f.t.Helper()
	f.device(by, 252, minor)
	f.link("sys/devices/"+by, "sys/devices/"+below+"/holders/"+by)
}

func TestHeld(t *testing.T) {
	sda, sda1, sda2 := unix.Mkdev(8, 0), unix.Mkdev(8, 1), unix.Mkdev(8, 2)
	for _, c := range []struct {
		name   string
		make   func(f *fake)
		target uint64
		want   string // empty when the target is free
		hint   string
	}{
		{"nobody", func(*fake) {}, sda, "", ""},
		{"LVM", func(f *fake) {
			f.hold("sda/sda1", "dm-0", 0)
			f.file("sys/devices/dm-0/dm/name", "vg0-root\n")
			f.file("sys/devices/dm-0/dm/uuid", "LVM-abcdef\n")
		}, sda1, "it is held by LVM, dm-0 (vg0-root)", "vgchange -an"},
		{"encryption", func(f *fake) {
			f.hold("sda/sda1", "dm-0", 0)
			f.file("sys/devices/dm-0/dm/name", "secret\n")
			f.file("sys/devices/dm-0/dm/uuid", "CRYPT-LUKS2-abcdef-secret\n")
		}, sda1, "it is held by encryption, dm-0 (secret)", "cryptsetup close secret"},
		{"multipath", func(f *fake) {
			f.hold("sda", "dm-3", 3)
			f.file("sys/devices/dm-3/dm/name", "mpatha\n")
			f.file("sys/devices/dm-3/dm/uuid", "mpath-36001\n")
		}, sda, "it is a path of the multipath device dm-3 (mpatha)", "use /dev/dm-3"},
		{"other device-mapper", func(f *fake) {
			f.hold("sda/sda1", "dm-0", 0)
			f.file("sys/devices/dm-0/dm/name", "x\n")
			f.file("sys/devices/dm-0/dm/uuid", "\n")
		}, sda1, "it is held by device-mapper, dm-0 (x)", "lsblk"},
		{"RAID", func(f *fake) { f.hold("sda/sda2", "md127", 127) }, sda2,
			"it is part of the RAID array md127", "mdadm --stop /dev/md127"},
		{"bcache", func(f *fake) { f.hold("sda", "bcache0", 5) }, sda, "it is held by bcache0", "lsblk"},
		{"partition of the disk", func(f *fake) { f.hold("sda/sda2", "md0", 0) }, sda,
			"its partition sda2 is part of the RAID array md0", "mdadm"},
		{"disk of the partition", func(f *fake) { f.hold("sda", "md0", 0) }, sda1,
			"its disk sda is part of the RAID array md0", "mdadm"},
		{"other partition of the disk", func(f *fake) { f.hold("sda/sda2", "md0", 0) }, sda1, "", ""},
		{"the running system", func(f *fake) {
			f.file("proc/self/mountinfo", "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n")
		}, sda, "its partition sda2 is mounted on /", "this system runs from it"},
		{"mount point with a blank", func(f *fake) {
			f.file("proc/self/mountinfo", `22 1 8:1 / /my\040disk rw - ext4 /dev/sda1 rw`+"\n")
		}, sda1, "it is mounted on /my disk", "umount /my disk"},
		{"btrfs nobody here has mounted", func(f *fake) {
			f.link("sys/devices/sda/sda1", "sys/fs/btrfs/0a1b/devices/sda1")
		}, sda1, "it is part of a btrfs mounted in another mount namespace", ""},
		{"no mount table", func(f *fake) { _ = os.RemoveAll(f.proc) }, sda, "it cannot be told whether", "/proc"},
		{"broken mount table", func(f *fake) { f.file("proc/self/mountinfo", "22 1 8:1 /\n") }, sda,
			"it cannot be told whether", "/proc"},
		{"no list of devices", func(f *fake) { _ = os.RemoveAll(f.sys + "/block") }, sda, "it cannot be told whether", "/sys"},
		{"unknown device", func(*fake) {}, unix.Mkdev(8, 16), "it cannot be told whether", "/sys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			c.make(f)
			r := inUse(f.kernel, object{rdev: c.target})
			if r == nil {
				r = &RefusedError{}
			}
			if !strings.HasPrefix(r.Reason, c.want) || (c.want == "") != (r.Reason == "") {
				t.Errorf("%q, want %q", r.Reason, c.want)
			}
			if !strings.Contains(r.Hint, c.hint) {
				t.Errorf("hint %q, want %q", r.Hint, c.hint)
			}
		})
	}
}

// TestMountedWithoutDevice is about file systems that name a file as their source and have no
// block device: FUSE, and erofs on a file.
func TestMountedWithoutDevice(t *testing.T) {
	f := newFake(t)
	img := imageFile(t, mib)
	f.file("proc/self/mountinfo", "22 1 0:55 / /mnt rw - fuse.fuse2fs "+img+" rw\n23 1 0:56 / /n rw - nfs host:"+img+" rw\n")
	o, ok := objectAt(img)
	if !ok {
		t.Fatal("no image")
	}
	if r := inUse(f.kernel, o); r == nil || r.Reason != "it is mounted on /mnt" {
		t.Errorf("%v", r)
	}
	if where, ok, err := f.mountedReadWrite(img); where != "/mnt" || !ok || err != nil {
		t.Errorf("%q, %v, %v", where, ok, err)
	}
	other, _ := objectAt(imageFile(t, mib))
	if r := inUse(f.kernel, other); r != nil {
		t.Errorf("another file: %v", r)
	}
}

// TestWriterOnHolder is about a source with a mounted LVM volume or RAID array on it.
func TestWriterOnHolder(t *testing.T) {
	f := newFake(t)
	f.hold("sda/sda2", "md0", 0)
	f.hold("md0", "dm-0", 1)
	f.file("proc/self/mountinfo", "22 1 252:1 / /srv rw - xfs /dev/mapper/x rw\n")
	s, err := f.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for rdev, want := range map[uint64]bool{unix.Mkdev(8, 0): true, unix.Mkdev(8, 1): false, unix.Mkdev(8, 2): true} {
		m, err := s.writer(object{rdev: rdev}, map[object]bool{})
		if (m != nil) != want || err != nil {
			t.Errorf("8:%d: %v, %v", unix.Minor(rdev), m, err)
		}
	}
}

// TestLoopOfAnUnprivilegedProcess follows the backing file's path when the driver cannot be asked.
func TestLoopOfAnUnprivilegedProcess(t *testing.T) {
	f := newFake(t)
	img := imageFile(t, mib)
	f.device("loop9", 7, 9)
	f.file("sys/devices/loop9/loop/backing_file", img+"\n")
	f.device("loop10", 7, 10) // not in use
	o, _ := objectAt(img)
	if r := inUse(f.kernel, o); r == nil || r.Reason != "it is the backing file of /dev/loop9" {
		t.Errorf("%v", r)
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "/a b", `/a\b`, "/tab\tand\nline", `/\040`, `\`, `\0`, `\777`, "/é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		_ = unescape(path) // as it is: must not panic
		var b strings.Builder
		for i := 0; i < len(path); i++ { // what seq_path(m, path, " \t\n\\") does
			if strings.IndexByte(" \t\n\\", path[i]) >= 0 {
				fmt.Fprintf(&b, `\%03o`, path[i])
			} else {
				b.WriteByte(path[i])
			}
		}
		if got := unescape(b.String()); got != path {
			t.Errorf("%q became %q", path, got)
		}
	})
}
